//! One login: put in, switched, moved, taken out.

use std::process::ExitCode;

use anyhow::Context;
use ringcentral::ExtensionId;
use ringfleet_identity::{Credential, Facts, Follower, Method, Source, Stored, Vault};
use ringfleet_store::StoreError;

use super::{
    login::{PASSWORD_WARNING, Parts, login},
    number::Numbers,
    secret,
};
use crate::{
    cli::{AddOptions, Which},
    exit,
    output::{self, remark, say},
};

/// What takes a login out of the accounts file: no signal has it read again.
const OUT_OF_FILE: &str = "take it out of the file on every machine and restart workers and API";

/// The logins of the accounts file; `None` where it can't be read.
type OfFile = Option<Vec<Credential>>;

pub(super) async fn add(vault: &Vault, options: AddOptions) -> anyhow::Result<ExitCode> {
    let method = Method::from(options.method);
    if method == Method::Password {
        remark!("warning: {PASSWORD_WARNING}");
    }
    anyhow::ensure!(!vault.keys().is_makeshift(), ringfleet_identity::VaultError::NoKey);
    let numbers = Numbers::known(vault, std::iter::once(&options.extension)).await?;
    if let Some(fault) = numbers.fault(&options.extension) {
        anyhow::bail!("nothing was changed: {fault}");
    }
    let what = match method {
        Method::Jwt => "JWT",
        Method::Code => "refresh token",
        Method::Password => "password",
    };
    let parts = Parts {
        secret: secret::read(options.file.as_deref(), what)?,
        username: options.username,
        extension_number: options.extension_number,
    };
    let login = login(method, &parts).map_err(|faults| {
        let told: Vec<_> = faults.into_iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        anyhow::anyhow!("nothing was changed: {}", told.join("; "))
    })?;
    let extension = options.extension;
    let credential = Credential {
        extension: extension.clone(),
        login,
        prefer: options.prefer.unwrap_or(method.usual_preference()),
        enabled: !options.disabled,
        source: Source::Store { rev: 0 },
        facts: Facts { added_at: vault.store().now().await?, ..Facts::default() },
    };
    let told = match vault.put(&credential).await? {
        Stored::Added => "added",
        Stored::Replaced => "replaced",
        Stored::Same => "the same as before",
    };
    say!("extension {extension}: {method} credential {told}");
    if options.disabled {
        say!("it is switched off; `ringfleet credentials enable {extension} {method}` lets it be used");
    } else {
        say!("running workers use it within seconds; `ringfleet credentials check {extension}` tries it now");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn enable(vault: &Vault, which: &Which, of_file: &OfFile) -> anyhow::Result<ExitCode> {
    change(vault, which, of_file, "is used again", |one| !std::mem::replace(&mut one.enabled, true)).await
}

pub(super) async fn disable(vault: &Vault, which: &Which, of_file: OfFile) -> anyhow::Result<ExitCode> {
    let code =
        change(vault, which, &of_file, "is switched off", |one| std::mem::replace(&mut one.enabled, false)).await?;
    left(vault, &which.extension, of_file).await?.iter().for_each(|line| say!("{line}"));
    Ok(code)
}

pub(super) async fn prefer(vault: &Vault, which: &Which, number: u8, of_file: &OfFile) -> anyhow::Result<ExitCode> {
    let done = format!("has preference {number} now; the lowest of an extension comes first");
    change(vault, which, of_file, &done, |one| std::mem::replace(&mut one.prefer, number) != number).await
}

async fn change(
    vault: &Vault,
    which: &Which,
    of_file: &OfFile,
    done: &str,
    change: impl FnMut(&mut Credential) -> bool,
) -> anyhow::Result<ExitCode> {
    let (extension, method) = (&which.extension, Method::from(which.method));
    vault.change(extension, method, change).await?.with_context(|| missing(extension, method, of_file))?;
    say!("extension {extension}: its {method} credential {done}; running workers notice within seconds");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(vault: &Vault, which: &Which, yes: bool, of_file: OfFile) -> anyhow::Result<ExitCode> {
    let (extension, method) = (&which.extension, Method::from(which.method));
    if !yes && !confirmed(extension, method)? {
        say!("nothing was done");
        return Ok(ExitCode::from(exit::FAILED));
    }
    if !vault.remove(extension, method).await? {
        anyhow::bail!(missing(extension, method, &of_file));
    }
    say!("extension {extension}: its {method} credential is forgotten");
    left(vault, extension, of_file).await?.iter().for_each(|line| say!("{line}"));
    say!(
        "it is still valid at RingCentral: a JWT is deleted in the developer console, a connection in the user's settings"
    );
    Ok(ExitCode::SUCCESS)
}

/// What the fleet logs in with from now on, for somebody who may have thought that nothing is left.
async fn left(vault: &Vault, extension: &ExtensionId, of_file: OfFile) -> Result<Vec<String>, StoreError> {
    let unread = of_file.is_none().then(|| {
        format!(
            "the accounts file can't be read here, so a login of extension {extension} may stand in it; `ringfleet config \
             check` tells what is wrong with it"
        )
    });
    // What a worker sees that has the same file.
    let (roster, _) = Follower::start(vault.clone(), of_file.unwrap_or_default()).await?;
    let used = |one: &Credential| match one.source {
        Source::File => format!(
            "the accounts file has a {} login of extension {extension}, and that is used from now on. If it shall not be: \
             {OUT_OF_FILE}; `ringfleet lane pause {extension}` holds its messages back at once",
            one.login.method()
        ),
        Source::Store { .. } => {
            let method = one.login.method();
            format!(
                "the store has a {method} credential of extension {extension} too, and that is used from now on; `ringfleet \
                 credentials disable {extension} {method}` switches it off"
            )
        }
    };
    Ok(roster.of(extension.as_str()).iter().map(used).chain(unread).collect())
}

fn missing(extension: &ExtensionId, method: Method, of_file: &OfFile) -> String {
    let is_it = |one: &Credential| one.extension == *extension && one.login.method() == method;
    if of_file.iter().flatten().any(is_it) {
        return format!(
            "the store has no {method} credential of extension {extension}, but the accounts file has one. If it shall not be \
             used: {OUT_OF_FILE}; `ringfleet lane pause {extension}` holds its messages back at once"
        );
    }
    format!(
        "the store has no {method} credential of extension {extension}; `ringfleet credentials list` shows what there is \
         (those of the accounts file are changed there)"
    )
}

fn confirmed(extension: &ExtensionId, method: Method) -> anyhow::Result<bool> {
    output::must_be_there(format_args!("forget the credential"))?;
    output::confirmed(format_args!(
        "Forget the {method} credential of extension {extension}? It can't be brought back from here."
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use ringcentral::Jwt;
    use ringfleet_identity::{KeyRing, Login, new_key};
    use ringfleet_store::{SqliteStore, sqlite::SqliteOptions};

    use super::*;
    use crate::{accounts, cli::MethodWord};

    pub(crate) async fn vault() -> (tempfile::TempDir, Vault) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("fleet.db"), SqliteOptions::default()).await.unwrap();
        let keys = KeyRing::from_text(&new_key()).unwrap();
        (folder, Vault::new(Arc::new(store), Arc::new(keys), "main"))
    }

    pub(crate) fn id(extension: &str) -> ExtensionId {
        ExtensionId::try_new(extension).unwrap()
    }

    fn of_file(extension: &str) -> Credential {
        accounts::of_file(&id(extension), &Jwt::try_new("canary.of.file").unwrap())
    }

    fn stored(extension: &str, login: Login) -> Credential {
        Credential { login, source: Source::Store { rev: 0 }, ..of_file(extension) }
    }

    fn jwt() -> Login {
        Login::Jwt(Jwt::try_new("canary.of.store").unwrap())
    }

    fn which(extension: &str, method: MethodWord) -> Which {
        Which { extension: id(extension), method }
    }

    #[tokio::test]
    async fn a_login_of_the_accounts_file_that_takes_over_is_told_and_one_that_does_not_is_not() {
        let (_folder, vault) = vault().await;
        let file = || Some(vec![of_file("101"), of_file("102")]);
        vault.put(&stored("101", jwt())).await.unwrap();
        vault.put(&stored("103", jwt())).await.unwrap();
        let left = async |extension: &'static str| left(&vault, &id(extension), file()).await.unwrap();

        disable(&vault, &which("101", MethodWord::Jwt), file()).await.unwrap();
        assert_eq!(left("101").await, Vec::<String>::new(), "switched off, it keeps the file's from being used too");
        remove(&vault, &which("101", MethodWord::Jwt), true, file()).await.unwrap();
        let told = left("101").await.join("\n");
        for part in ["accounts file has a jwt login of extension 101", "restart", "`ringfleet lane pause 101`"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert!(!told.contains("canary"), "{told}");
        remove(&vault, &which("103", MethodWord::Jwt), true, file()).await.unwrap();
        assert_eq!(left("103").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn another_login_of_the_store_is_told_and_so_is_a_file_that_cant_be_read() {
        let (_folder, vault) = vault().await;
        vault.put(&stored("101", jwt())).await.unwrap();
        let password = Login::Password { username: "u".into(), extension: None, password: "canary".into() };
        vault.put(&stored("101", password)).await.unwrap();
        remove(&vault, &which("101", MethodWord::Jwt), true, None).await.unwrap();
        let told = left(&vault, &id("101"), None).await.unwrap();
        assert!(told[0].contains("`ringfleet credentials disable 101 password`"), "{told:?}");
        assert!(told[1].contains("accounts file can't be read") && told.len() == 2, "{told:?}");
    }

    #[tokio::test]
    async fn a_login_that_stands_in_the_accounts_file_alone_is_told_to_be_there() {
        let (_folder, vault) = vault().await;
        let told = |error: anyhow::Error| {
            let told = error.to_string();
            assert!(!told.contains("canary"), "{told}");
            told
        };
        let file = Some(vec![of_file("101")]);
        for error in [
            disable(&vault, &which("101", MethodWord::Jwt), file.clone()).await.unwrap_err(),
            remove(&vault, &which("101", MethodWord::Jwt), true, file.clone()).await.unwrap_err(),
        ] {
            let told = told(error);
            assert!(told.contains("accounts file has one") && told.contains("`ringfleet lane pause 101`"), "{told}");
        }
        for (extension, method) in [("101", MethodWord::Code), ("102", MethodWord::Jwt)] {
            let told = told(disable(&vault, &which(extension, method), file.clone()).await.unwrap_err());
            assert!(told.contains("`ringfleet credentials list`") && !told.contains("lane pause"), "{told}");
        }
    }
}
