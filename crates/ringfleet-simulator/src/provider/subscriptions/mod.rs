//! `/restapi/v1.0/subscription`.

mod record;
mod request;

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use self::record::record;
use self::request::{Parsed, parse};
use super::answer::{json_response, read_body};
use super::call::Call;
use super::caller::Caller;
use super::error::ApiError;
use super::operation::Operation;
use crate::clock::Nanos;
use crate::faults::Endpoint;
use crate::ledger::{WebhookEntry, WebhookEvent};
use crate::limits::Group;
use crate::webhook::{HandshakeProblem, catch_up, note, uuid};
use crate::world::{MAX_SUBSCRIPTIONS, Subscription, World, lock, mix};

const READ: Operation = Operation::open(Endpoint::Subscription, Group::Light);
/// Renewing is Light (documented); creating, updating and deleting are Medium.
const RENEW: Operation = Operation::open(Endpoint::Subscription, Group::Light);
const CHANGE: Operation = Operation::open(Endpoint::Subscription, Group::Medium);

pub(super) async fn create(call: Call, body: Body) -> Response {
    let entry = match call.enter(&CHANGE, None) {
        Ok(entry) => entry,
        Err(refusal) => return *refusal,
    };
    let answer = match entry.takes_effect() {
        true => add(&call.world, &entry.caller, body).await,
        false => Ok(Response::default()),
    };
    call.leave(entry, answer).await
}

async fn add(world: &World, caller: &Caller, body: Body) -> Result<Response, ApiError> {
    let body = read_body(body).await?;
    let secret = world.counters.next_secret();
    let id = uuid(mix(world.config.seed ^ secret), mix(!secret));
    let parsed = parse(world, caller, &id, &body)?;
    let address = parsed.address.as_deref().ok_or_else(|| ApiError::missing("deliveryMode.address"))?;
    if parsed.filters.is_empty() && parsed.disabled.is_empty() {
        return Err(ApiError::missing("eventFilters"));
    }
    if live(world, caller.index) >= MAX_SUBSCRIPTIONS {
        return Err(ApiError::subscription("SUB-505", "Subscriptions limit is exceeded"));
    }
    shake_hands(world, caller.index, &id, address).await?;
    let now = world.clock.now();
    let Parsed { filters, disabled, verification_token, lifetime, .. } = parsed;
    let subscription = Subscription {
        id,
        filters,
        disabled,
        address: address.to_owned(),
        verification_token,
        created_at: now,
        lifetime,
        expires_at: now + lifetime,
        blacklisted_at: None,
        failures: 0,
        busy: false,
        waiting: Default::default(),
    };
    let body = record(world, &subscription, now);
    let first = live(world, caller.index) == 0;
    let mut extension = world.extension(caller.index);
    if first {
        catch_up(world, &mut extension, now);
    }
    extension.subscriptions.push(subscription);
    drop(extension);
    lock(&world.subscribers).insert(caller.index);
    Ok(json_response(StatusCode::OK, &body))
}

async fn shake_hands(world: &World, index: usize, id: &str, address: &str) -> Result<(), ApiError> {
    let token = format!("{:016x}", mix(world.counters.next_secret()));
    let shaken = world.webhooks.shake_hands(address, &token, world.config.webhook_timeout).await;
    let status = match shaken {
        Ok(()) => Some(StatusCode::OK),
        Err(HandshakeProblem::Status(status)) => Some(status),
        Err(_) => None,
    };
    let entry = WebhookEntry {
        at: world.clock.now(),
        subscription: id.to_owned(),
        event: WebhookEvent::Handshake,
        delivered: shaken.is_ok(),
        status: status.map(|status| status.as_u16()),
    };
    note(world, index, &mut world.extension(index), entry);
    shaken.map_err(|problem| match problem {
        HandshakeProblem::Address => ApiError::invalid("deliveryMode.address"),
        HandshakeProblem::TokenNotReturned => ApiError::subscription("SUB-520", "Validation token is not returned"),
        HandshakeProblem::Unreachable => ApiError::subscription("SUB-521", "WebHook is not reachable"),
        HandshakeProblem::Status(_) => ApiError::subscription("SUB-522", "WebHook responds with a wrong status"),
        HandshakeProblem::NotHttps => ApiError::subscription("SUB-523", "HTTPS is required for a WebHook"),
        HandshakeProblem::Certificate => ApiError::subscription("SUB-524", "WebHook certificate is not valid"),
        HandshakeProblem::AnswerTooLong => ApiError::subscription("SUB-525", "WebHook response is not valid"),
    })
}

/// Forgets the expired ones and counts the others.
fn live(world: &World, index: usize) -> usize {
    let now = world.clock.now();
    let mut extension = world.extension(index);
    extension.subscriptions.retain(|subscription| now < subscription.expires_at);
    extension.subscriptions.len()
}

pub(super) async fn list(call: Call) -> Response {
    let world = &*call.world;
    call.serve(&READ, None, |caller| {
        live(world, caller.index);
        let now = world.clock.now();
        let extension = world.extension(caller.index);
        let records: Vec<_> = extension.subscriptions.iter().map(|one| record(world, one, now)).collect();
        let uri = format!("{}/restapi/v1.0/subscription", world.base_url);
        Ok(json_response(StatusCode::OK, &json!({"uri": uri, "records": records})))
    })
    .await
}

pub(super) async fn read(call: Call, Path(id): Path<String>) -> Response {
    let world = &*call.world;
    call.serve(&READ, None, |caller| with(world, caller, &id, |one, now| record(world, one, now))).await
}

/// An empty body renews the subscription for its lifetime (documented).
pub(super) async fn update(call: Call, Path(id): Path<String>, body: Body) -> Response {
    let entry = match call.enter(&CHANGE, None) {
        Ok(entry) => entry,
        Err(refusal) => return *refusal,
    };
    let answer = match entry.takes_effect() {
        true => change(&call.world, &entry.caller, &id, body).await,
        false => Ok(Response::default()),
    };
    call.leave(entry, answer).await
}

async fn change(world: &World, caller: &Caller, id: &str, body: Body) -> Result<Response, ApiError> {
    let body = read_body(body).await?;
    if body.is_empty() {
        return with(world, caller, id, |one, now| renew(world, one, one.lifetime, now));
    }
    let parsed = parse(world, caller, id, &body)?;
    if let Some(address) = &parsed.address {
        shake_hands(world, caller.index, id, address).await?;
    }
    with(world, caller, id, |one, now| {
        if !parsed.filters.is_empty() || !parsed.disabled.is_empty() {
            one.filters = parsed.filters;
            one.disabled = parsed.disabled;
            one.waiting = Default::default();
        }
        if let Some(address) = parsed.address {
            one.address = address;
            one.verification_token = parsed.verification_token;
        }
        renew(world, one, parsed.lifetime, now)
    })
}

pub(super) async fn renew_now(call: Call, Path(id): Path<String>) -> Response {
    let world = &*call.world;
    call.serve(&RENEW, None, |caller| with(world, caller, &id, |one, now| renew(world, one, one.lifetime, now))).await
}

/// A blacklisted one stays so: it has to be deleted and created again (documented).
fn renew(world: &World, one: &mut Subscription, lifetime: Nanos, now: Nanos) -> serde_json::Value {
    one.renew(lifetime, now);
    record(world, one, now)
}

pub(super) async fn delete(call: Call, Path(id): Path<String>) -> Response {
    let world = &*call.world;
    call.serve(&CHANGE, None, |caller| {
        with(world, caller, &id, |one, _| {
            one.expires_at = 0;
            json!({})
        })?;
        live(world, caller.index);
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    })
    .await
}

/// Answers with what `act` makes of one of the caller's own subscriptions.
fn with(
    world: &World,
    caller: &Caller,
    id: &str,
    act: impl FnOnce(&mut Subscription, Nanos) -> serde_json::Value,
) -> Result<Response, ApiError> {
    let now = world.clock.now();
    let mut extension = world.extension(caller.index);
    let mut live = extension.subscriptions.iter_mut().filter(|one| now < one.expires_at);
    let one = live.find(|one| one.id == id).ok_or_else(|| ApiError::not_found("subscriptionId"))?;
    Ok(json_response(StatusCode::OK, &act(one, now)))
}
