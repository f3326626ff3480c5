//! The extensions that may send: their numbers, and how a worker logs in for them.

use std::{collections::BTreeMap, path::Path};

use ringcentral::{ExtensionId, Jwt, PhoneNumber};
use ringfleet_identity::{
    Credential, Facts, Login, Method, Source,
    directory::{Claim, Claims},
};
use serde_json::Value;

use crate::config::{Fault, Faults, Settings, unreadable};

/// All that an entry may hold. Those behind the third come with the simulator's list and are not looked at.
const FIELDS: [&str; 8] =
    ["extension_id", "numbers", "jwt", "account_id", "extension_number", "name", "password", "access_token"];

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
        Self::read(settings.provider.accounts_file.as_deref())
    }

    /// The same of this file.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Faults> {
        const AT: &str = "ringcentral.accounts_file";
        let Some(path) = file else { return Ok(Self(Vec::new())) };
        let text = std::fs::read_to_string(path).map_err(|error| Faults::one(AT, unreadable(&error)))?;
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
        let mut entries = Entries::default();
        let accounts: Vec<_> =
            list.iter().enumerate().filter_map(|(place, entry)| entries.read(place, entry)).collect();
        let faults = entries.faults.into_iter().map(|(place, problem)| Fault { at: at(&place), problem });
        let faults: Vec<_> = faults.collect();
        if faults.is_empty() { Ok(Self(accounts)) } else { Err(Faults(faults)) }
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

/// What has been read of the list.
#[derive(Default)]
struct Entries {
    /// By place. No value of the file but an extension's id is told: it may be private.
    faults: Vec<(String, String)>,
    /// Which extension has a number.
    owners: BTreeMap<String, String>,
}

impl Entries {
    fn fault(&mut self, place: usize, field: &str, problem: impl ToString) {
        self.faults.push((format!("[{place}]{field}"), problem.to_string()));
    }

    /// `None` where no extension is named; what else is wrong is told all the same.
    fn read(&mut self, place: usize, entry: &Value) -> Option<Account> {
        let Some(fields) = entry.as_object() else {
            self.fault(
                place,
                "",
                "must be an object such as {\"extension_id\": \"…\", \"numbers\": [\"+1…\"], \"jwt\": \"…\"}",
            );
            return None;
        };
        for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
            // A value that slipped into the place of a name is not told.
            let is_name = name.len() <= 24 && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
            let field = if is_name { format!(".{name}") } else { String::new() };
            let which = if is_name { "there is no such field" } else { "has a field whose name is none" };
            self.fault(place, &field, format!("{which}; write extension_id, numbers or jwt"));
        }
        let id = match &entry["extension_id"] {
            Value::String(id) => id.as_str(),
            Value::Null => {
                self.fault(
                    place,
                    ".extension_id",
                    "is missing; it is the long id that RingCentral shows, not 101 or 102",
                );
                ""
            }
            _ => {
                self.fault(place, ".extension_id", "must be text; put it in quotes");
                ""
            }
        };
        let extension = match ExtensionId::try_new(id) {
            Ok(extension) => Some(extension),
            Err(_) if id.is_empty() && !entry["extension_id"].is_string() => None,
            Err(error) => {
                self.fault(place, ".extension_id", error);
                None
            }
        };
        let numbers = self.numbers(place, &entry["numbers"], id);
        let jwt = match &entry["jwt"] {
            Value::Null => None,
            Value::String(jwt) if jwt.is_empty() => None,
            Value::String(jwt) => Jwt::try_new(jwt).map_err(|error| self.fault(place, ".jwt", error)).ok(),
            _ => {
                self.fault(place, ".jwt", "must be text; put it in quotes");
                None
            }
        };
        Some(Account { extension: extension?, numbers, jwt })
    }

    fn numbers(&mut self, place: usize, list: &Value, owner: &str) -> Vec<PhoneNumber> {
        const FIELD: &str = ".numbers";
        let mut numbers = Vec::new();
        if !(list.is_array() || list.is_null()) {
            self.fault(place, FIELD, "must be a list of texts such as [\"+15550100001\"], even of one number");
        }
        for number in list.as_array().into_iter().flatten() {
            let Some(number) = number.as_str() else {
                self.fault(place, FIELD, "one is no text; put it in quotes");
                continue;
            };
            match PhoneNumber::try_new(number) {
                Ok(number) => {
                    if let Some(other) = self.owners.insert(number.expose().to_owned(), owner.to_owned()) {
                        self.fault(place, FIELD, format!("{number} is listed for extension {other} too"));
                    }
                    numbers.push(number);
                }
                Err(error) => self.fault(place, FIELD, error),
            }
        }
        numbers
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

    #[test]
    fn misnamed_fields_and_wrong_types_are_told_together_with_place_field_and_remedy_and_no_value() {
        let text = r#"[{"extension_id":"1","number":"+15550100001","JWT":"canary","+15550100009":"canary"},
                       {"extension_id":400100002,"numbers":"+15550100002","jwt":["canary"]},
                       {"numbers":[15550100003]},
                       "canary"]"#;
        let faults = Accounts::parse(text, Path::new("a.json")).err().unwrap();
        let told = faults.to_string();
        for part in [
            "a.json[0].number: there is no such field; write extension_id, numbers or jwt",
            "a.json[0].JWT: there is no such field",
            "a.json[0]: has a field whose name is none",
            "a.json[1].extension_id: must be text; put it in quotes",
            "a.json[1].numbers: must be a list of texts",
            "a.json[1].jwt: must be text; put it in quotes",
            "a.json[2].extension_id: is missing",
            "a.json[2].numbers: one is no text",
            "a.json[3]: must be an object",
        ] {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        assert_eq!(faults.0.len(), 9, "{told}");
        assert!(!told.contains("canary") && !told.contains("15550100002") && !told.contains("0100009"), "{told}");
    }

    #[test]
    fn the_simulators_list_is_taken_as_it_is() {
        let account = ringfleet_simulator::Account {
            account_id: "400".to_owned(),
            extension_id: "400100001".to_owned(),
            extension_number: "101".to_owned(),
            name: "Ada Arden".to_owned(),
            numbers: vec!["+15550100001".to_owned()],
            jwt: "a.b.c".to_owned(),
            password: Some("secret".to_owned()),
            access_token: Some("SIMA".to_owned()),
        };
        let bare = ringfleet_simulator::Account {
            extension_id: "400100002".to_owned(),
            numbers: Vec::new(),
            password: None,
            access_token: None,
            ..account.clone()
        };
        let text = serde_json::to_string(&[account, bare]).unwrap();
        let accounts = Accounts::parse(&text, Path::new("accounts.json")).unwrap();
        assert_eq!((accounts.0.len(), accounts.0[0].numbers.len()), (2, 1));
        assert!(accounts.0.iter().all(|account| account.jwt.is_some()));
    }
}
