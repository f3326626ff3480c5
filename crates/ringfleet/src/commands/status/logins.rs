//! How the fleet's logins stand: sessions, connections, what was refused, and whose the budget of logins is.

use std::sync::Arc;

use ringfleet_explain::{Logins, Standing, in_force, sense, short};
use ringfleet_identity::{AppPrint, ConnectionState, Credential, SessionState, Vault};
use ringfleet_store::{Millis, SharedStore};
use serde_json::{Value, json};

use crate::{accounts::Accounts, commands::evidence::time, config::Settings, keys, output::say};

/// Refusals that are shown one by one; `ringfleet credentials list` tells the rest.
const MOST_SHOWN: usize = 10;

/// `None` where the settings name no app, or no key that opens what is kept: then nothing can be told.
pub(super) async fn read(
    settings: &Settings,
    store: &SharedStore,
    standing: &Standing,
) -> anyhow::Result<Option<Logins>> {
    let (Some(id), Some(secret)) = (&settings.provider.client_id, &settings.provider.client_secret) else {
        return Ok(None);
    };
    let print = AppPrint::of(id.as_str(), secret.expose());
    let Some(credentials) = credentials(settings, store).await? else { return Ok(None) };
    Ok(Some(Logins::read(store, &settings.provider.app, &print, &credentials, standing).await?))
}

/// Those of the store, and those of the accounts file that the store has none in the place of.
async fn credentials(settings: &Settings, store: &SharedStore) -> anyhow::Result<Option<Vec<Credential>>> {
    // What is wrong with the file, `ringfleet config check` tells.
    let of_file = Accounts::load(settings).map(|accounts| accounts.credentials()).unwrap_or_default();
    let Ok(keys) = keys::ring_to_look(settings) else { return Ok((!of_file.is_empty()).then_some(of_file)) };
    let kept = Vault::new(store.clone(), Arc::new(keys), &settings.provider.app).all().await?;
    let all = in_force(of_file, kept);
    Ok((!all.is_empty()).then_some(all))
}

pub(super) fn as_json(logins: &Logins) -> Value {
    let sessions: serde_json::Map<_, _> = SessionState::ALL
        .iter()
        .map(|state| (state.as_str().to_owned(), json!(logins.health.sessions(*state))))
        .collect();
    let connections: serde_json::Map<_, _> = ConnectionState::ALL
        .iter()
        .map(|state| (state.as_str().to_owned(), json!(logins.health.connections(*state))))
        .collect();
    let refused: Vec<_> = logins
        .health
        .refused
        .iter()
        .map(|one| json!({"extension": one.extension.as_str(), "method": one.method.as_str(), "code": one.code}))
        .collect();
    json!({
        "sessions": sessions,
        "waiting_for_login": logins.waiting,
        "waiting_for_login_at_least": logins.at_least,
        "connections": connections,
        "first_connection_ends_at": logins.health.first_end.map(|end| time(Some(end))),
        "refused": refused,
        "budget": {
            "of": match logins.budget.of_the_app {
                Some(true) => "app",
                Some(false) => "extension",
                None => "unknown",
            },
            "used": logins.budget.used,
            "limit": logins.budget.limit,
        },
        "app_refused": logins.app.iter().map(|one| json!({"code": one.code, "since": time(Some(one.at))})).collect::<Vec<_>>(),
    })
}

pub(super) fn say(logins: &Logins, now: Millis) {
    for refusal in &logins.app {
        let sense = sense(&refusal.code);
        let meaning = sense.as_ref().map_or("the provider refuses the app", |sense| sense.meaning);
        say!("app     REFUSED since {}: {} ({meaning})", time(Some(refusal.at)), refusal.code);
        if let Some(remedy) = sense.and_then(|sense| sense.remedy) {
            say!("        {remedy}");
        }
        say!("        one login tries again in {}", short(refusal.again_at - now));
    }
    let session = |state| logins.health.sessions(state);
    say!(
        "logins  {} sessions good, {} ending soon, {} extensions not logged in ({}{} of them have messages waiting), {} refused",
        session(SessionState::Good),
        session(SessionState::Ending),
        session(SessionState::None),
        if logins.at_least { "at least " } else { "" },
        logins.waiting,
        session(SessionState::Refused),
    );
    say!("        {}", budget_text(logins, now));
    if !logins.health.connections.is_empty() {
        let connection = |state| logins.health.connections(state);
        let first =
            logins.health.first_end.map(|end| format!("; the first ends {}", time(Some(end)))).unwrap_or_default();
        say!(
            "        {} connections good, {} due to be refreshed, {} ended, {} refused{first}",
            connection(ConnectionState::Good),
            connection(ConnectionState::Due),
            connection(ConnectionState::Ended),
            connection(ConnectionState::Refused),
        );
    }
    for one in logins.health.refused.iter().take(MOST_SHOWN) {
        say!("        extension {}: {} refused with {}", one.extension, one.method, one.code);
    }
    if logins.health.refused.len() > MOST_SHOWN {
        let more = logins.health.refused.len() - MOST_SHOWN;
        say!("        and {more} more: `ringfleet credentials list`");
    }
}

fn budget_text(logins: &Logins, now: Millis) -> String {
    let used = || match logins.budget.limit {
        Some(limit) => format!("{} of {limit} are used", logins.budget.used),
        None => format!("{} are used", logins.budget.used),
    };
    let penalty = logins.budget.penalty_until.map(|until| format!("; none for {}", short(until - now)));
    match logins.budget.of_the_app {
        Some(true) => {
            format!("all extensions share the app's budget of logins: {}{}", used(), penalty.unwrap_or_default())
        }
        Some(false) => "each extension has its own budget of logins".to_owned(),
        None => "whose the budget of logins is, no login has shown yet".to_owned(),
    }
}
