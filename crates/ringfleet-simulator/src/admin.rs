//! `/simulator`: for tests and demos. No limits, no tokens; the listener stays on the loopback unless told otherwise.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures::stream;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::FaultRule;
use crate::judge::{Report, ReportScope, report};
use crate::ledger::{LedgerLine, SmsLine, SmsOutcome, TokenLine};
use crate::oauth;
use crate::query::{Pairs, Plus};
use crate::world::{Account, Number, World};

type Shared = State<Arc<World>>;
type Answer = Result<Json<Value>, (StatusCode, String)>;

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/simulator/accounts", get(accounts))
        .route("/simulator/ledger", get(ledger))
        .route("/simulator/report", get(report_page))
        .route("/simulator/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/simulator/faults/{id}", delete(remove_fault))
        .route("/simulator/extensions/{id}/revoke-jwt", post(revoke_jwt))
        .route("/simulator/extensions/{id}/restore-jwt", post(restore_jwt))
        .route("/simulator/extensions/{id}/revoke-session", post(revoke_sessions))
        .route("/simulator/extensions/{id}/opt-out", post(opt_out))
        .route("/simulator/extensions/{id}/features", post(features))
}

/// `?tokens=true` opens a session for each extension; it costs no Auth request.
async fn accounts(State(world): Shared, RawQuery(query): RawQuery) -> Json<Vec<Account>> {
    let query = query.unwrap_or_default();
    let tokens = Pairs::parse(&query, Plus::IsPlus).first("tokens") == Some("true");
    let account =
        |index| Account { access_token: tokens.then(|| oauth::gift(&world, index)), ..world.directory.account(index) };
    Json((0..world.extensions.len()).map(account).collect())
}

/// NDJSON, extension by extension in order of arrival, then the token requests; `?text=true` adds the texts of accepted messages.
async fn ledger(State(world): Shared, RawQuery(query): RawQuery) -> Response {
    world.ledger_file.flush();
    let query = query.unwrap_or_default();
    let text = Pairs::parse(&query, Plus::IsPlus).first("text") == Some("true");
    let extensions = world.extensions.len();
    let chunks = (0..=extensions).map(move |index| {
        let lines = match index < extensions {
            true => sms_lines(&world, index, text),
            false => token_lines(&world),
        };
        Ok::<_, std::convert::Infallible>(Bytes::from(lines))
    });
    let mut response = Response::new(Body::from_stream(stream::iter(chunks)));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
    response
}

fn sms_lines(world: &World, index: usize, text: bool) -> Vec<u8> {
    let extension = world.extension(index);
    let id = world.directory.extension_id(index);
    let mut out = Vec::new();
    for entry in &extension.sms_log {
        let text = match entry.outcome {
            SmsOutcome::Accepted { index, .. } if text => extension.messages.get(index as usize),
            _ => None,
        };
        let text = text.map(|message| &*message.text);
        push_line(&mut out, &LedgerLine::Sms(SmsLine::new(id, entry, text)));
    }
    out
}

fn token_lines(world: &World) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in &world.app().token_log {
        push_line(&mut out, &LedgerLine::Token(TokenLine::new(entry)));
    }
    out
}

fn push_line(out: &mut Vec<u8>, line: &LedgerLine) {
    // Own types with string keys always serialise.
    out.extend(serde_json::to_vec(line).unwrap_or_default());
    out.push(b'\n');
}

/// `?from=` and `?to=` in nanoseconds since the start, `?lanes=true`.
async fn report_page(State(world): Shared, RawQuery(query): RawQuery) -> Json<Report> {
    world.ledger_file.flush();
    let query = query.unwrap_or_default();
    let pairs = Pairs::parse(&query, Plus::IsPlus);
    let number = |name| pairs.first(name).and_then(|raw| raw.parse().ok());
    let scope =
        ReportScope { from_ns: number("from"), to_ns: number("to"), lanes: pairs.first("lanes") == Some("true") };
    Json(report(&world, &scope))
}

async fn add_fault(State(world): Shared, Json(rule): Json<FaultRule>) -> Json<Value> {
    Json(json!({"id": world.faults.add(rule)}))
}

async fn list_faults(State(world): Shared) -> Json<Value> {
    let rules = world.faults.list();
    let shown = rules.iter().map(|(rule, struck)| json!({"rule": rule, "struck": struck}));
    Json(shown.collect())
}

async fn clear_faults(State(world): Shared) -> Json<Value> {
    Json(json!({"removed": world.faults.remove(None)}))
}

async fn remove_fault(State(world): Shared, Path(id): Path<String>) -> Json<Value> {
    Json(json!({"removed": world.faults.remove(Some(&id))}))
}

fn find(world: &World, id: &str) -> Result<usize, (StatusCode, String)> {
    id.parse()
        .ok()
        .and_then(|id| world.directory.index_of(id))
        .ok_or_else(|| (StatusCode::NOT_FOUND, "no such extension".to_owned()))
}

/// The JWT is refused from now on; sessions that it opened live on, as they do at RingCentral as far as is known (unsure).
async fn revoke_jwt(State(world): Shared, Path(id): Path<String>) -> Answer {
    world.extension(find(&world, &id)?).jwt_revoked = true;
    Ok(Json(json!({"jwt_revoked": true})))
}

async fn restore_jwt(State(world): Shared, Path(id): Path<String>) -> Answer {
    world.extension(find(&world, &id)?).jwt_revoked = false;
    Ok(Json(json!({"jwt_revoked": false})))
}

/// Ends all sessions: their access and refresh tokens answer OAU-213.
async fn revoke_sessions(State(world): Shared, Path(id): Path<String>) -> Answer {
    let ended = world.extension(find(&world, &id)?).sessions.revoke_all();
    Ok(Json(json!({"sessions_ended": ended})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptOut {
    /// E.164 recipients that opted out from this extension's numbers.
    to: Vec<String>,
    /// Take them back in instead.
    #[serde(default)]
    opt_in: bool,
}

async fn opt_out(State(world): Shared, Path(id): Path<String>, Json(body): Json<OptOut>) -> Answer {
    let index = find(&world, &id)?;
    let numbers: Result<Vec<_>, _> = body.to.iter().map(|raw| Number::parse(raw)).collect();
    let numbers = numbers.map_err(|_| (StatusCode::BAD_REQUEST, "not a number".to_owned()))?;
    let mut extension = world.extension(index);
    for number in numbers {
        match body.opt_in {
            true => extension.opted_out.remove(&number),
            false => extension.opted_out.insert(number),
        };
    }
    Ok(Json(json!({"opted_out": extension.opted_out.len()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Features {
    features: Vec<String>,
}

/// Replaces the features of the extension's numbers; without `SmsSender` a send answers MSG-367.
async fn features(State(world): Shared, Path(id): Path<String>, Json(body): Json<Features>) -> Answer {
    let index = find(&world, &id)?;
    let mut extension = world.extension(index);
    extension.features = body.features;
    Ok(Json(json!({"features": extension.features})))
}
