//! The developer console and the account's administrator.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Shared, bad};
use crate::world::{AccountStatus, lock};

/// The app's settings, its secret among them.
pub(super) async fn show(State(world): Shared) -> Json<Value> {
    Json(json!(*world.settings()))
}

/// Changes the settings that the body names, from the next request on.
pub(super) async fn change(State(world): Shared, Json(changes): Json<Map<String, Value>>) -> Answer {
    let changed = world.change_settings(|app| app.changed(changes)).map_err(bad)?;
    Ok(Json(json!(*changed)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    status: AccountStatus,
}

/// Any status but `Confirmed` ends all sessions of all extensions and lets nobody log in.
pub(super) async fn account(State(world): Shared, Json(body): Json<Account>) -> Json<Value> {
    *lock(&world.account_status) = body.status;
    if body.status != AccountStatus::Confirmed {
        for index in 0..world.extensions.len() {
            world.extension(index).sessions.revoke_all();
        }
    }
    Json(json!({"status": body.status}))
}
