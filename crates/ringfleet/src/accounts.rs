//! The extensions that may send: their numbers, and how a worker logs in for them.

use std::{collections::BTreeMap, path::Path};

use ringcentral::{ExtensionId, Jwt, PhoneNumber};
use ringfleet_identity::{
    Credential, Facts, Login, Method, Source,
    directory::{Claim, Claims},
};
use serde_json::Value;

use crate::config::{Faults, Settings};

/// One extension of the accounts file.
pub(crate) struct Account {
    pub extension: ExtensionId,
    pub numbers: Vec<PhoneNumber>,
    /// A producer needs none.
    pub jwt: Option<Jwt>,
}

pub(crate) struct Accounts(pub Vec<Account>);

impl Accounts {
    /// Reads the file that the settings name, if they name one. All its faults are reported together.
    pub(crate) fn load(settings: &Settings) -> Result<Self, Faults> {
        const AT: &str = "ringcentral.accounts_file";
        let Some(path) = &settings.provider.accounts_file else { return Ok(Self(Vec::new())) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Faults::one(AT, format!("{} can't be read: {error}", path.display())))?;
        Self::parse(&text, path)
    }

    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Faults> {
        let at = |what: &str| format!("{}{what}", path.display());
        let list: Value = serde_json::from_str(text).map_err(|error| {
            // The message may quote the file, so only the place is told.
            Faults::one(&at(""), format!("is not JSON at line {}, column {}", error.line(), error.column()))
        })?;
        let Some(list) = list.as_array() else {
            return Err(Faults::one(&at(""), "must be a JSON list of extensions"));
        };
        let mut faults = Faults::default();
        let mut accounts = Vec::new();
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for (place, entry) in list.iter().enumerate() {
            let mut fault = |field: &str, problem: String| {
                faults.0.push(crate::config::Fault { at: at(&format!("[{place}].{field}")), problem });
            };
            let id = entry["extension_id"].as_str().unwrap_or_default();
            let extension = match ExtensionId::try_new(id) {
                Ok(extension) => extension,
                Err(error) => {
                    fault("extension_id", error.to_string());
                    continue;
                }
            };
            let mut numbers = Vec::new();
            for number in entry["numbers"].as_array().into_iter().flatten() {
                match PhoneNumber::try_new(number.as_str().unwrap_or_default()) {
                    Ok(number) => {
                        if let Some(other) = owners.insert(number.expose().to_owned(), id.to_owned()) {
                            fault("numbers", format!("{number} is listed for extension {other} too"));
                        }
                        numbers.push(number);
                    }
                    Err(error) => fault("numbers", error.to_string()),
                }
            }
            let jwt = match entry["jwt"].as_str().filter(|jwt| !jwt.is_empty()).map(Jwt::try_new) {
                None => None,
                Some(Ok(jwt)) => Some(jwt),
                Some(Err(error)) => {
                    fault("jwt", error.to_string());
                    None
                }
            };
            accounts.push(Account { extension, numbers, jwt });
        }
        if faults.0.is_empty() { Ok(Self(accounts)) } else { Err(faults) }
    }

    /// What the file says of numbers; counts until the provider says otherwise.
    pub(crate) fn claims(&self) -> anyhow::Result<Claims> {
        let claim =
            |account: &Account| Claim { extension: account.extension.clone(), numbers: account.numbers.clone() };
        Ok(Claims::try_new(self.0.iter().map(claim))?)
    }

    /// One for each extension that has a JWT.
    pub(crate) fn credentials(&self) -> Vec<Credential> {
        let with_jwt = self.0.iter().filter_map(|account| Some(of_file(&account.extension, account.jwt.as_ref()?)));
        with_jwt.collect()
    }
}

pub(crate) fn of_file(extension: &ExtensionId, jwt: &Jwt) -> Credential {
    Credential {
        extension: extension.clone(),
        login: Login::Jwt(jwt.clone()),
        prefer: Method::Jwt.usual_preference(),
        enabled: true,
        source: Source::File,
        facts: Facts::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_the_file_are_told_together_and_nothing_private() {
        let text = r#"[{"extension_id":"1","numbers":["+15550100001"],"jwt":"canary jwt"},
                       {"extension_id":"2","numbers":["+15550100001","5550100002"]}]"#;
        let faults = Accounts::parse(text, Path::new("accounts.json")).err().unwrap();
        assert_eq!(faults.0.len(), 3, "{faults}");
        let told = faults.to_string();
        assert!(!told.contains("canary") && !told.contains("5550100"), "{told}");
    }
}
