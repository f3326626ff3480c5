//! `/simulator`: for tests and demos. No limits, no tokens; the listener stays on the loopback unless told otherwise.

mod app;
mod arrivals;
mod extension;
mod faults;
mod figures;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::Value;

use crate::world::World;

type Shared = State<Arc<World>>;
type Refusal = (StatusCode, String);
type Answer = Result<Json<Value>, Refusal>;

pub(crate) fn router() -> Router<Arc<World>> {
    let of_extension = |call: &str| format!("/simulator/extensions/{{id}}/{call}");
    Router::new()
        .route("/simulator/accounts", get(figures::accounts))
        .route("/simulator/ledger", get(figures::ledger))
        .route("/simulator/report", get(figures::report_page))
        .route("/simulator/faults", get(faults::list).post(faults::add).delete(faults::clear))
        .route("/simulator/faults/{id}", delete(faults::remove))
        .route("/simulator/app", get(app::show).patch(app::change))
        .route("/simulator/account", post(app::account))
        .route(&of_extension("revoke-jwt"), post(extension::revoke_jwt))
        .route(&of_extension("expire-jwt"), post(extension::expire_jwt))
        .route(&of_extension("restrict-jwt"), post(extension::restrict_jwt))
        .route(&of_extension("restore-jwt"), post(extension::restore_jwt))
        .route(&of_extension("revoke-session"), post(extension::revoke_sessions))
        .route(&of_extension("status"), post(extension::status))
        .route(&of_extension("password"), post(extension::password))
        .route(&of_extension("permissions"), post(extension::permissions))
        .route(&of_extension("opt-out"), post(extension::opt_out))
        .route(&of_extension("features"), post(extension::features))
        .route(&of_extension("numbers"), post(extension::take_number))
        .route(&of_extension("campaign"), post(extension::campaign))
        .route(&of_extension("delete-messages"), post(extension::delete_messages))
        .route(&of_extension("inbound"), post(arrivals::inbound))
        .route(&of_extension("missed-call"), post(arrivals::missed_call))
}

fn bad(message: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, message.into())
}

fn find(world: &World, id: &str) -> Result<usize, Refusal> {
    id.parse()
        .ok()
        .and_then(|id| world.directory.index_of(id))
        .ok_or_else(|| (StatusCode::NOT_FOUND, "no such extension".to_owned()))
}
