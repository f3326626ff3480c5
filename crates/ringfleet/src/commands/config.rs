//! `config show|check|reference`.

use std::process::ExitCode;

use ringfleet_store::{DocCursor, DocKind, StoreError};

use crate::{
    accounts::Accounts,
    cli::ConfigCommand,
    config::{DEFAULTS, Fault, Faults, Layers, Settings},
    keys,
    output::{self, say},
    provider, store,
};

/// What a fleet says that has nobody to send for.
pub(crate) const NOBODY: &str = "nobody can log in yet: neither the store nor ringcentral.accounts_file has a credential; bring \
                                 some in with `ringfleet credentials add` or `import`, or let employees connect their extensions";

/// The defaults with their explanations; asks for no settings.
pub(crate) fn reference() -> anyhow::Result<ExitCode> {
    output::to_stdout(format_args!("{DEFAULTS}"));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn run(layers: &Layers, what: ConfigCommand) -> anyhow::Result<ExitCode> {
    match what {
        ConfigCommand::Show => output::to_stdout(format_args!("{}", layers.shown())),
        ConfigCommand::Reference => return reference(),
        ConfigCommand::Check => check(layers).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(layers: &Layers) -> anyhow::Result<()> {
    let (settings, accounts) = checked(layers)?;
    let mut notes = Vec::new();
    if accounts.credentials().is_empty() {
        match store_has_credentials(&settings).await {
            Ok(true) => {}
            Ok(false) => notes.push(NOBODY.to_owned()),
            // No role begins with such a store.
            Err(error @ StoreError::Unfit { .. }) => return Err(error.into()),
            Err(error) => {
                notes.push(format!("the store can't be asked for credentials now: {:#}", anyhow::Error::new(error)));
            }
        }
    }
    notes.push(
        "whether store, server and logins are in order too, `ringfleet doctor` tells, once `ringfleet up` or `credentials add` has made \
         the store"
            .to_owned(),
    );
    match &layers.file {
        Some(file) => say!("{} is in order", file.display()),
        None => say!("the settings are in order (no file was read, only defaults and environment)"),
    }
    for note in notes {
        say!("note: {note}");
    }
    Ok(())
}

/// All for which a role would end before it asks anybody, at once: by the roles' own checks.
fn checked(layers: &Layers) -> Result<(Settings, Accounts), Faults> {
    let needs = layers.needs();
    let mut faults = Vec::new();
    let settings = layers.settings().map_err(|told| faults.extend(told.0));
    let accounts = Accounts::read(needs.accounts_file.as_deref()).map_err(|told| faults.extend(told.0));
    let lacks = provider::lacks(needs.no_client_id, needs.no_client_secret);
    // An API that hands messages to the fleet logs nobody in.
    faults.extend(lacks.0.into_iter().map(|Fault { at, problem }| Fault {
        at,
        problem: format!("{problem}; needed by `worker`, `up` and the connect page"),
    }));
    if let Some(source) = &needs.keys {
        faults.extend(keys::faults(source).0);
    }
    match (settings, accounts) {
        (Ok(settings), Ok(accounts)) if faults.is_empty() => Ok((settings, accounts)),
        _ => Err(Faults(faults)),
    }
}

/// Documents read at once.
const PAGE: u32 = 200;

/// Needs no key, and makes no store where there is none yet.
async fn store_has_credentials(settings: &Settings) -> Result<bool, StoreError> {
    if !store::may_exist(&settings.store) {
        return Ok(false);
    }
    let store = store::open(&settings.store, settings.rules).await?;
    let of_app = format!("{}/", settings.provider.app);
    let mut cursor = DocCursor::default();
    loop {
        let page = store.docs_since(DocKind::Credential, &cursor, PAGE).await?;
        if page.changed.iter().any(|doc| doc.key.starts_with(&of_app)) {
            return Ok(true);
        }
        if !page.more {
            return Ok(false);
        }
        cursor = page.cursor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn faults(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringfleet.toml");
        std::fs::write(&path, text).unwrap();
        checked(&load(Some(&path)).unwrap()).err().map_or_else(String::new, |faults| faults.to_string())
    }

    #[test]
    fn all_that_ends_a_worker_before_it_asks_anybody_is_told_at_once() {
        let told = faults(
            "[ringcentral]\nclient_id = \"\"\naccounts_file = \"missing.json\"\n[worker]\nlease = \"soon\"\n\
             [identity]\nkey_file = \"missing.key\"\n\
             [store]\nurl = \"redis://u:canary@10.0.0.1\"\nprefix = \"A B\"\nshards = 99\n",
        );
        for part in [
            "has 8 faults",
            "ringcentral.client_id: is empty",
            "ringcentral.client_secret: is empty",
            "needed by `worker`, `up` and the connect page",
            "ringcentral.accounts_file: what it names can't be read",
            "worker.lease: is \"soon\"",
            "identity.key_file: what it names can't be read",
            "store.url: Redis at 10.0.0.1 would be used without TLS",
            "store.prefix: is \"A B\"",
            // With it no store can be read, and what else is needed is told all the same.
            "store.shards: ",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        assert!(!told.contains("canary"), "{told}");
    }

    #[test]
    fn settings_with_which_a_worker_begins_are_in_order() {
        let app = "[ringcentral]\nclient_id = \"id\"\nclient_secret = \"secret\"\n";
        for store in ["", "url = \"redis://127.0.0.1\"", "url = \"redis://10.0.0.1\"\nallow_plaintext = true"] {
            assert_eq!(faults(&format!("{app}[store]\n{store}\n")), "");
        }
        // Of no other store is the prefix asked for.
        assert_eq!(faults(&format!("{app}[store]\nprefix = \"A B\"\n")), "");
    }
}
