//! `config show|check|reference`.

use std::process::ExitCode;

use ringfleet_store::{DocCursor, DocKind, StoreError};

use crate::{
    accounts::Accounts,
    cli::ConfigCommand,
    config::{DEFAULTS, Layers, Settings},
    output::{self, say},
    store,
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
        ConfigCommand::Check => {
            let settings = layers.settings()?;
            let accounts = Accounts::load(&settings)?;
            match &layers.file {
                Some(file) => say!("{} is in order", file.display()),
                None => say!("the settings are in order (no file was read, only defaults and environment)"),
            }
            if accounts.credentials().is_empty() {
                match store_has_credentials(&settings).await {
                    Ok(true) => {}
                    Ok(false) => say!("note: {NOBODY}"),
                    Err(error) => say!("note: the store can't be asked for credentials now: {error}"),
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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
