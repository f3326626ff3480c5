//! How the fleet's logins stand: sessions, connections, what was refused, and whose the budget of logins is.

use std::collections::BTreeSet;

use ringcentral::ExtensionId;
use ringfleet_identity::{AppPrint, AppRefusal, Credential, Health, Kept, LoginBudget, SessionState};
use ringfleet_store::{SharedStore, StoreError};

use crate::Standing;

#[derive(Clone, Debug)]
pub struct Logins {
    pub health: Health,
    pub budget: LoginBudget,
    pub app: Vec<AppRefusal>,
    /// Extensions without a session that have messages waiting, and whether there may be more of them.
    pub waiting: usize,
    pub at_least: bool,
}

impl Logins {
    /// Of the fleet whose lanes `standing` has found.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn read(
        store: &SharedStore,
        app: &str,
        print: &AppPrint,
        credentials: &[Credential],
        standing: &Standing,
    ) -> Result<Self, StoreError> {
        let health = Health::read(store, credentials, print).await?;
        let lanes = &standing.lanes;
        let busy: BTreeSet<&str> = lanes.iter().filter_map(|view| Some(view.lane.as_ref()?.extension())).collect();
        let lacks = |(extension, state): &(&ExtensionId, &SessionState)| {
            **state == SessionState::None && busy.contains(extension.as_str())
        };
        let waiting = health.sessions.iter().filter(lacks).count();
        let at_least = standing.stats.lanes_waiting > lanes.len() as u64;
        let budget = LoginBudget::read(store, app).await?;
        let app = AppRefusal::all(store, app, print).await?;
        Ok(Self { health, budget, app, waiting, at_least })
    }
}

/// Those of the store that can be opened, and those of the accounts file that the store has none in the place of.
pub fn in_force(of_file: impl IntoIterator<Item = Credential>, kept: Vec<Kept>) -> Vec<Credential> {
    let place = |credential: &Credential| (credential.extension.clone(), credential.login.method());
    let taken: BTreeSet<_> = kept.iter().map(|kept| (kept.extension.clone(), kept.method)).collect();
    let of_file = of_file.into_iter().filter(|credential| !taken.contains(&place(credential)));
    let mut all: Vec<Credential> = of_file.collect();
    all.extend(kept.into_iter().filter_map(|kept| kept.opened.ok()));
    all
}
