//! What all checks look at.

use std::sync::Arc;

use ringcentral::{Client, ExtensionId, PhoneNumber, RedirectUri};
use ringfleet_identity::{Follower, Kept, Reader, Roster, Sessions, Vault, directory::Directory};
use ringfleet_store::{SharedStore, WorkerId};

use crate::{accounts::Accounts, config::Settings, directory, keys};

pub(super) struct Case {
    pub(super) settings: Settings,
    pub(super) accounts: Accounts,
    pub(super) client: Client,
    pub(super) vault: Vault,
    /// All credentials of the store, whether or not they can be opened.
    pub(super) kept: Vec<Kept>,
    pub(super) roster: Roster,
    /// Who may text from which number, as producers see it.
    pub(super) directory: Directory,
    pub(super) sessions: Arc<Sessions>,
    pub(super) reader: Reader,
    /// Where employees come back to from the login page, if they connect by themselves.
    pub(super) redirect_uri: Option<RedirectUri>,
    /// The extensions to look at.
    pub(super) chosen: Vec<ExtensionId>,
}

/// An extension number was typed where it is no id of a connected extension and one extension has it.
fn meant(roster: &Roster, directory: &Directory, typed: ExtensionId) -> ExtensionId {
    let book = directory.book();
    match book.named(typed.as_str()).into_iter().collect::<Vec<_>>()[..] {
        [one] if roster.of(typed.as_str()).is_empty() => one.clone(),
        _ => typed,
    }
}

impl Case {
    pub(super) async fn open(
        settings: Settings,
        accounts: Accounts,
        client: Client,
        store: SharedStore,
        chosen: Vec<ExtensionId>,
        redirect_uri: Option<RedirectUri>,
    ) -> anyhow::Result<Self> {
        let vault = Vault::new(store, Arc::new(keys::ring(&settings)?), &settings.provider.app);
        let kept = vault.all().await?;
        // Read once: what changes while the doctor looks is of no use to it.
        let (roster, _) = Follower::start(vault.clone(), accounts.credentials()).await?;
        let (directory, _) = directory::follow(&settings, &accounts, vault.store(), keys::ring).await?;
        let name = WorkerId::incarnation("doctor");
        let sessions =
            Arc::new(Sessions::new(vault.clone(), roster.clone(), client.clone(), name, settings.worker.lease));
        let all = || roster.extensions().iter().filter_map(|name| ExtensionId::try_new(name).ok()).collect();
        let chosen = match chosen {
            none if none.is_empty() => all(),
            some => some.into_iter().map(|typed| meant(&roster, &directory, typed)).collect(),
        };
        let reader = Reader::new(sessions.clone());
        Ok(Self { settings, accounts, client, vault, kept, roster, directory, sessions, reader, redirect_uri, chosen })
    }

    /// The numbers that the accounts file says are this extension's.
    pub(super) fn numbers_of(&self, extension: &ExtensionId) -> Vec<PhoneNumber> {
        let of_file = self.accounts.0.iter().filter(|account| account.extension == *extension);
        of_file.flat_map(|account| account.numbers.clone()).collect()
    }
}
