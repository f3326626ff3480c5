//! How the fleet's logins stand: sessions, connections, what was refused, and whose the budget of logins is.

use std::{collections::BTreeSet, sync::Arc};

use ringcentral::ExtensionId;
use ringfleet_identity::{AppPrint, AppRefusal, ConnectionState, Credential, Health, LoginBudget, SessionState, Vault};
use ringfleet_store::{LaneView, Millis, SharedStore};
use serde_json::{Value, json};

use super::short;
use crate::{
    accounts::Accounts,
    commands::{evidence::time, reason::sense},
    config::Settings,
    keys,
    output::say,
};

/// Refusals that are shown one by one; `ringfleet credentials list` tells the rest.
const MOST_SHOWN: usize = 10;

pub(super) struct Logins {
    health: Health,
    budget: LoginBudget,
    app: Vec<AppRefusal>,
    /// Extensions without a session that have messages waiting, and whether there may be more of them.
    waiting: usize,
    at_least: bool,
}

/// `None` where the settings name no app, or no key that opens what is kept: then nothing can be told. Of the lanes that wait,
/// `lanes` are the first.
pub(super) async fn read(
    settings: &Settings,
    store: &SharedStore,
    lanes: &[LaneView],
    lanes_waiting: u64,
) -> anyhow::Result<Option<Logins>> {
    let (Some(id), Some(secret)) = (&settings.provider.client_id, &settings.provider.client_secret) else {
        return Ok(None);
    };
    let print = AppPrint::of(id.as_str(), secret.expose());
    let Some(credentials) = credentials(settings, store).await? else { return Ok(None) };
    let app = &settings.provider.app;
    let health = Health::read(store, &credentials, &print).await?;
    let busy: BTreeSet<&str> = lanes.iter().filter_map(|view| Some(view.lane.as_ref()?.extension())).collect();
    let lacks = |(extension, state): &(&ExtensionId, &SessionState)| {
        **state == SessionState::None && busy.contains(extension.as_str())
    };
    let waiting = health.sessions.iter().filter(lacks).count();
    let at_least = lanes_waiting > lanes.len() as u64;
    let budget = LoginBudget::read(store, app).await?;
    Ok(Some(Logins { health, budget, app: AppRefusal::all(store, app, &print).await?, waiting, at_least }))
}

/// Those of the store, and those of the accounts file that the store has none in the place of.
async fn credentials(settings: &Settings, store: &SharedStore) -> anyhow::Result<Option<Vec<Credential>>> {
    // What is wrong with the file, `ringfleet config check` tells.
    let mut all = Accounts::load(settings).map(|accounts| accounts.credentials()).unwrap_or_default();
    let Ok(keys) = keys::ring_to_look(settings) else { return Ok((!all.is_empty()).then_some(all)) };
    let kept = Vault::new(store.clone(), Arc::new(keys), &settings.provider.app).all().await?;
    let place = |credential: &Credential| (credential.extension.clone(), credential.login.method());
    let taken: BTreeSet<_> = kept.iter().map(|kept| (kept.extension.clone(), kept.method)).collect();
    all.retain(|credential| !taken.contains(&place(credential)));
    all.extend(kept.into_iter().filter_map(|kept| kept.opened.ok()));
    Ok((!all.is_empty()).then_some(all))
}

impl Logins {
    pub(super) fn as_json(&self) -> Value {
        let sessions: serde_json::Map<_, _> = SessionState::ALL
            .iter()
            .map(|state| (state.as_str().to_owned(), json!(self.health.sessions(*state))))
            .collect();
        let connections: serde_json::Map<_, _> = ConnectionState::ALL
            .iter()
            .map(|state| (state.as_str().to_owned(), json!(self.health.connections(*state))))
            .collect();
        let refused: Vec<_> = self
            .health
            .refused
            .iter()
            .map(|one| json!({"extension": one.extension.as_str(), "method": one.method.as_str(), "code": one.code}))
            .collect();
        json!({
            "sessions": sessions,
            "waiting_for_login": self.waiting,
            "waiting_for_login_at_least": self.at_least,
            "connections": connections,
            "first_connection_ends_at": self.health.first_end.map(|end| time(Some(end))),
            "refused": refused,
            "budget": {
                "of": match self.budget.of_the_app {
                    Some(true) => "app",
                    Some(false) => "extension",
                    None => "unknown",
                },
                "used": self.budget.used,
                "limit": self.budget.limit,
            },
            "app_refused": self.app.iter().map(|one| json!({"code": one.code, "since": time(Some(one.at))})).collect::<Vec<_>>(),
        })
    }

    pub(super) fn say(&self, now: Millis) {
        for refusal in &self.app {
            let sense = sense(&refusal.code);
            let meaning = sense.as_ref().map_or("the provider refuses the app", |sense| sense.meaning);
            say!("app     REFUSED since {}: {} ({meaning})", time(Some(refusal.at)), refusal.code);
            if let Some(remedy) = sense.and_then(|sense| sense.remedy) {
                say!("        {remedy}");
            }
            say!("        one login tries again in {}", short(refusal.again_at - now));
        }
        let session = |state| self.health.sessions(state);
        say!(
            "logins  {} sessions good, {} ending soon, {} extensions not logged in ({}{} of them have messages waiting), {} refused",
            session(SessionState::Good),
            session(SessionState::Ending),
            session(SessionState::None),
            if self.at_least { "at least " } else { "" },
            self.waiting,
            session(SessionState::Refused),
        );
        say!("        {}", self.budget_text(now));
        if !self.health.connections.is_empty() {
            let connection = |state| self.health.connections(state);
            let first =
                self.health.first_end.map(|end| format!("; the first ends {}", time(Some(end)))).unwrap_or_default();
            say!(
                "        {} connections good, {} due to be refreshed, {} ended, {} refused{first}",
                connection(ConnectionState::Good),
                connection(ConnectionState::Due),
                connection(ConnectionState::Ended),
                connection(ConnectionState::Refused),
            );
        }
        for one in self.health.refused.iter().take(MOST_SHOWN) {
            say!("        extension {}: {} refused with {}", one.extension, one.method, one.code);
        }
        if self.health.refused.len() > MOST_SHOWN {
            let more = self.health.refused.len() - MOST_SHOWN;
            say!("        and {more} more: `ringfleet credentials list`");
        }
    }

    fn budget_text(&self, now: Millis) -> String {
        let used = || match self.budget.limit {
            Some(limit) => format!("{} of {limit} are used", self.budget.used),
            None => format!("{} are used", self.budget.used),
        };
        let penalty = self.budget.penalty_until.map(|until| format!("; none for {}", short(until - now)));
        match self.budget.of_the_app {
            Some(true) => {
                format!("all extensions share the app's budget of logins: {}{}", used(), penalty.unwrap_or_default())
            }
            Some(false) => "each extension has its own budget of logins".to_owned(),
            None => "whose the budget of logins is, no login has shown yet".to_owned(),
        }
    }
}
