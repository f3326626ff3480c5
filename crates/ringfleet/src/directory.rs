//! The sender directory as this process sees it.

use std::sync::Arc;

use ringcentral::ExtensionId;
use ringfleet_identity::{
    KeyRing, Vault,
    directory::{Book, Directory, Follower},
};
use ringfleet_store::SharedStore;

use crate::{
    accounts::Accounts,
    config::{KeySource, Settings},
};

/// What the accounts file says and, unless the directory is off, what the fleet has learnt, with what keeps it in step. `keys` is asked
/// for the keys if they are needed.
pub(crate) async fn follow(
    settings: &Settings,
    accounts: &Accounts,
    store: &SharedStore,
    keys: impl FnOnce(&Settings) -> anyhow::Result<KeyRing>,
) -> anyhow::Result<(Directory, Option<Follower>)> {
    let claims = accounts.claims()?;
    if settings.worker.directory_refresh.is_none() {
        return Ok((Directory::fixed(claims), None));
    }
    if matches!(settings.identity.keys, KeySource::App) && settings.provider.client_secret.is_none() {
        tracing::warn!(
            "neither identity.key_file nor the app's secret is here, so what the fleet knows of senders can't be opened; \
             the accounts file alone says who may send"
        );
        return Ok((Directory::fixed(claims), None));
    }
    let vault = Vault::new(store.clone(), Arc::new(keys(settings)?), &settings.provider.app);
    let (directory, follower) = Follower::start(&vault, claims).await?;
    Ok((directory, Some(follower)))
}

/// What is wrong with an id that is an extension number, of extensions that the fleet knows.
pub(crate) fn number_taken_for_id(book: &Book, id: &ExtensionId) -> Option<String> {
    let has_it: Vec<&str> = book.number_taken_for_id(id).into_iter().map(ExtensionId::as_str).collect();
    match has_it[..] {
        [] => None,
        [one] => Some(format!("{id} is the number of extension {one}; write its id")),
        _ => Some(format!("{id} is the number of the extensions {}; write the id of one", has_it.join(" and "))),
    }
}

/// Tells of ids in the accounts file that are extension numbers: such an entry logs nobody in, and the number means two.
pub(crate) fn warn_of_numbers(accounts: &Accounts, book: &Book) {
    // A refusal would keep a whole fleet from starting for what one entry was from its first day on.
    for problem in accounts.0.iter().filter_map(|account| number_taken_for_id(book, &account.extension)) {
        tracing::warn!("ringcentral.accounts_file: extension_id {problem}");
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ringfleet_identity::directory::Register;

    use super::*;

    /// The extension has been read; `short` is its number, if that is one.
    pub(crate) async fn has_read(vault: &Vault, extension: &str, short: &str) {
        let (register, extension) = (Register::new(vault), ExtensionId::try_new(extension).unwrap());
        let read = register.change_extension(&extension, |facts| {
            facts.short = short.parse().ok();
            facts.read_at = 1;
            true
        });
        read.await.unwrap();
    }
}
