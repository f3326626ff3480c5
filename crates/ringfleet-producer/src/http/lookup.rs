//! `GET` and `DELETE /v1/messages/{id}`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use ringcentral::PhoneNumber;
use ringfleet_explain::{Told, ToldEta, ToldQuietHours, ToldWhy, bound};
use ringfleet_store::{Cancelled, MessageId, MessageView, Millis, Private, State as MessageState, StoreError};
use serde::Serialize;
use serde_json::json;

use super::{Api, STORE_DEADLINE, Shared, problem::Problem};
use crate::{draft::masked, retry};

/// A message as its producer sees it: no text, numbers masked.
#[derive(Serialize)]
pub(crate) struct View {
    id: String,
    status: &'static str,
    priority: &'static str,
    on_unknown: &'static str,
    extension: String,
    from: String,
    to: String,
    /// Attempts that failed so far.
    attempts: u32,
    created_at: Option<String>,
    send_at: Option<String>,
    send_by: Option<String>,
    /// Why it is in this state; null while nothing went wrong.
    reason: Option<String>,
    provider_message_id: Option<String>,
    finished_at: Option<String>,
    /// Only of a message that is delivered or delivery_failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
    /// Only of a message that is unknown or held, or has ended and may have arrived.
    #[serde(flatten)]
    evidence: Option<Evidence>,
}

/// The same, and how it goes on.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    message: View,
    /// What stands in its way now, what needs a person first.
    why: Vec<ToldWhy>,
    /// When it goes; null once it has ended.
    eta: Option<ToldEta>,
    /// Only of one that waits and is bound by quiet hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<ToldQuietHours>,
}

#[derive(Serialize)]
struct Delivery {
    /// When the provider's word came.
    at: Option<String>,
    /// Why it failed, as the provider says it.
    code: Option<String>,
}

#[derive(Serialize)]
struct Evidence {
    /// Before this time the send had certainly not begun.
    intent_at: Option<String>,
    /// How often the provider's message store was read without finding it.
    reads: u32,
}

pub(super) async fn show(
    State(api): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    shown(&api, &message_id(path).ok_or_else(Problem::no_such_message)?).await
}

pub(super) async fn shown(api: &Api, id: &MessageId) -> Result<Json<Shown>, Problem> {
    let found = retry::within(STORE_DEADLINE, "get", api.store.get(id)).await.map_err(|error| failed(&error))?;
    let explained = retry::within(STORE_DEADLINE, "explain", api.store.explain(id)).await;
    let explained = explained.map_err(|error| failed(&error))?;
    // Removed between the two looks, it is gone.
    let (message, explained) = found.zip(explained).ok_or_else(Problem::no_such_message)?;
    let recipient = bound(api.quiet_hours.as_ref(), &message.to, message.priority);
    let Told { why, eta, quiet_hours } = Told::of(&explained, recipient);
    Ok(Json(Shown { message: View::of(message), why, eta, quiet_hours }))
}

pub(super) async fn cancel(
    State(api): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = message_id(path).ok_or_else(Problem::no_such_message)?;
    let answer = retry::within(STORE_DEADLINE, "cancel", api.store.cancel(&id)).await;
    match answer.map_err(|error| failed(&error))? {
        // A repeated DELETE finds what the first one did.
        Cancelled::Done | Cancelled::TooLate(MessageState::Cancelled) => {
            Ok(Json(json!({"id": id.to_string(), "status": MessageState::Cancelled.as_str()})).into_response())
        }
        Cancelled::TooLate(state) => Err(Problem::too_late(state.as_str())),
        Cancelled::Missing => Err(Problem::no_such_message()),
    }
}

fn message_id(path: Result<Path<String>, PathRejection>) -> Option<MessageId> {
    path.ok().and_then(|Path(id)| id.parse().ok())
}

pub(super) fn failed(error: &StoreError) -> Problem {
    if matches!(error, StoreError::Full { .. }) {
        return Problem::store_full();
    }
    if error.is_transient() {
        tracing::warn!(?error, "the store did not answer a request of the API");
        return Problem::store_away();
    }
    tracing::error!(?error, "the store refused a request of the API");
    if matches!(error, StoreError::Replaced { .. }) { Problem::store_replaced() } else { Problem::internal() }
}

impl View {
    pub(crate) fn of(message: MessageView) -> Self {
        let undecided = matches!(message.state, MessageState::Unknown | MessageState::Held);
        let open = undecided || message.may_have_arrived().is_some();
        let evidence = open.then(|| Evidence { intent_at: message.intent_at.and_then(rfc3339), reads: message.reads });
        let delivery = message
            .delivery
            .map(|report| Delivery { at: rfc3339(report.at), code: Some(report.code).filter(|code| !code.is_empty()) });
        Self {
            id: message.id.to_string(),
            status: message.state.as_str(),
            priority: message.priority.as_str(),
            on_unknown: message.on_unknown.as_str(),
            extension: message.lane.extension().to_owned(),
            from: redacted(&message.from),
            to: redacted(&message.to),
            attempts: message.attempt,
            created_at: rfc3339(message.created_at),
            send_at: message.send_at.and_then(rfc3339),
            send_by: message.send_by.and_then(rfc3339),
            reason: Some(message.reason).filter(|reason| !reason.is_empty()),
            provider_message_id: message.provider_id,
            finished_at: message.finished_at.and_then(rfc3339),
            delivery,
            evidence,
        }
    }
}

fn redacted(number: &Private) -> String {
    PhoneNumber::try_new(number.expose()).map_or_else(|_| masked(number.expose()), |number| number.to_string())
}

fn rfc3339(time: Millis) -> Option<String> {
    Timestamp::from_millisecond(time).ok().map(|time| time.to_string())
}
