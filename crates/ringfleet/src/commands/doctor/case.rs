//! What all checks look at.

use std::sync::Arc;

use ringcentral::{Client, ExtensionId, PhoneNumber, RedirectUri};
use ringfleet_identity::{Follower, Kept, Reader, Roster, Sessions, Vault};
use ringfleet_store::{SharedStore, WorkerId};

use crate::{accounts::Accounts, config::Settings, keys};

pub(super) struct Case {
    pub(super) settings: Settings,
    pub(super) accounts: Accounts,
    pub(super) client: Client,
    pub(super) vault: Vault,
    /// All credentials of the store, whether or not they can be opened.
    pub(super) kept: Vec<Kept>,
    pub(super) roster: Roster,
    pub(super) sessions: Arc<Sessions>,
    pub(super) reader: Reader,
    /// Where employees come back to from the login page, if they connect by themselves.
    pub(super) redirect_uri: Option<RedirectUri>,
    /// The extensions to look at.
    pub(super) chosen: Vec<ExtensionId>,
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
        let name = WorkerId::incarnation("doctor");
        let sessions =
            Arc::new(Sessions::new(vault.clone(), roster.clone(), client.clone(), name, settings.worker.lease));
        let all = || roster.extensions().iter().filter_map(|name| ExtensionId::try_new(name).ok()).collect();
        let chosen = if chosen.is_empty() { all() } else { chosen };
        let reader = Reader::new(sessions.clone());
        Ok(Self { settings, accounts, client, vault, kept, roster, sessions, reader, redirect_uri, chosen })
    }

    /// The numbers that the fleet would send from in this extension's name.
    pub(super) fn numbers_of(&self, extension: &ExtensionId) -> Vec<PhoneNumber> {
        let of_file = self.accounts.0.iter().filter(|account| account.extension == *extension);
        of_file.flat_map(|account| account.numbers.clone()).collect()
    }
}
