//! `POST /v1/messages`.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use ringfleet_store::StoreError;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    BODY_DEADLINE, MAX_BODY_BYTES, Shared,
    body::{self, Body, BodyError, Decoded},
    ndjson,
    problem::Problem,
};
use crate::{
    producer::{Checked, EnqueueError, ItemResult, Outgoing, Producer, result_word},
    refusal::{Code, Field, Refusal, Refused},
};

/// The most messages of one call.
pub const MAX_MESSAGES: usize = 1_000;

pub(super) async fn accept(State(api): State<Shared>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    if media_type(&headers) == ndjson::MEDIA_TYPE {
        return ndjson::accept(api, request).await;
    }
    if !is_json(&headers) {
        return Err(Problem::not_json());
    }
    let bytes = read_body(request).await?;
    match body::read(&bytes, MAX_MESSAGES) {
        Ok(Body::One(decoded)) => one(&api.producer, with_header_key(decoded, &headers)).await,
        Ok(Body::Many(_)) if headers.contains_key("idempotency-key") => {
            let detail = "Idempotency-Key goes with a single message; give each message of a list its own key";
            Err(Problem::malformed(detail.into()))
        }
        Ok(Body::Many(items)) => many(&api.producer, items).await,
        Err(BodyError::Malformed(detail)) => Err(Problem::malformed(detail)),
        Err(BodyError::WrongCount(count)) => Err(Problem::wrong_count(count)),
    }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(super) async fn read_body(request: Request) -> Result<Bytes, Problem> {
    match timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::body_too_large(MAX_BODY_BYTES))
        }
        Ok(Err(_)) | Err(_) => Err(Problem::body_unread()),
    }
}

/// `Idempotency-Key` is another way to write `key`; two different keys are a mistake that must not be guessed away.
// SEND-SAFETY: of two keys the wrong one would make a repeat a second text.
fn with_header_key(mut decoded: Decoded, headers: &HeaderMap) -> Decoded {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return decoded };
    let fault = match std::str::from_utf8(value.as_bytes()) {
        _ if values.any(|other| other != value) => {
            let problem = "stands in several headers Idempotency-Key that differ";
            Refusal::new(Field::Key, Code::FieldTwice, problem, "leave one of them")
        }
        Err(_) => Refusal::new(Field::Key, Code::NotUtf8, "Idempotency-Key is not UTF-8", "write printable characters"),
        Ok(key) if decoded.draft.key.as_deref().is_none_or(|own| own == key) => {
            decoded.draft.key = Some(key.to_owned());
            if !is_quoted(key) {
                return decoded;
            }
            let problem = "Idempotency-Key stands in quotation marks, and would be taken with them";
            let remedy = "write the key alone; one that has such marks of its own goes into the field key";
            Refusal::new(Field::Key, Code::BadKey, problem, remedy)
        }
        Ok(_) => {
            let problem = "Idempotency-Key and the field key differ";
            Refusal::new(Field::Key, Code::FieldTwice, problem, "leave one of them")
        }
    };
    decoded.faults.push(fault);
    decoded
}

/// As the IETF's draft of this header has it: a string of Structured Fields.
// SEND-SAFETY: a client that writes it with the marks once and without them the next time would send a second text, and to take
// them off here would make another message of what was taken with them before. That one is still looked up under its key.
fn is_quoted(key: &str) -> bool {
    key.len() > 1 && key.starts_with('"') && key.ends_with('"')
}

/// Faults of the JSON and of the content together; a field that has the wrong type is not judged for its content too.
pub(super) fn check(producer: &Producer, decoded: Decoded, now: Timestamp) -> Checked {
    let Decoded { draft, mut faults } = decoded;
    if faults.iter().any(|fault| fault.field == Field::Message && fault.code != Code::UnknownField) {
        // There was no object to read a draft from.
        return Err(faults.into());
    }
    match producer.check(&draft, now) {
        Ok(message) if faults.is_empty() => Ok(Outgoing::new(message)),
        Ok(_) => Err(Refused::of(faults, draft.key.as_deref())),
        Err(more) => {
            let named: Vec<Field> = faults.iter().map(|fault| fault.field).collect();
            faults.extend(more.into_iter().filter(|fault| !named.contains(&fault.field)));
            Err(Refused::of(faults, draft.key.as_deref()))
        }
    }
}

async fn one(producer: &Producer, decoded: Decoded) -> Result<Response, Problem> {
    let checked = check(producer, decoded, Timestamp::now());
    let result = producer.submit(vec![checked]).await.pop().unwrap_or(Err(EnqueueError::NotTried));
    match &result {
        Ok(receipt) => {
            let body = json!({"id": receipt.id.to_string(), "status": result_word(&result)});
            Ok((StatusCode::ACCEPTED, Json(body)).into_response())
        }
        Err(EnqueueError::Refused(errors)) => Err(Problem::refused(errors.clone())),
        Err(EnqueueError::Full) => Err(Problem::store_full()),
        Err(EnqueueError::NotTried) => Err(Problem::store_away()),
        Err(EnqueueError::Unsettled { id, generated_key, source }) => {
            tracing::warn!(message.id = %id, error = ?source, "an enqueue over the API stayed without an answer");
            let problem = if is_replaced(&result) { Problem::store_replaced() } else { Problem::unsettled() };
            Err(problem.of_message(id.to_string(), generated_key.clone()))
        }
    }
}

pub(super) fn is_replaced(result: &ItemResult) -> bool {
    let Err(EnqueueError::Unsettled { source, .. }) = result else { return false };
    matches!(**source, StoreError::Replaced { .. })
}

/// One line of `results`, or of an answer to NDJSON.
#[derive(Serialize)]
pub(super) struct Item<'a> {
    index: usize,
    /// Of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Refusal]>,
    /// Repeat the message with this key, since nobody knows whether it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

async fn many(producer: &Producer, items: Vec<Decoded>) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let checked = items.into_iter().map(|item| check(producer, item, now)).collect();
    let results = producer.submit(checked).await;
    let count = |word: &str| results.iter().filter(|result| result_word(result) == word).count();
    let (accepted, duplicates, refused) = (count("accepted"), count("duplicate"), count("refused"));
    let (not_taken, unknown) = (count("not-taken"), count("unknown"));
    let lines: Vec<Item<'_>> = results.iter().enumerate().map(|(index, result)| item(index, result)).collect();
    if not_taken + unknown > 0 {
        tracing::warn!(accepted, not_taken, unknown, "the store failed during a bulk call of the API");
        if accepted + duplicates == 0 {
            let full = unknown == 0 && results.iter().any(|result| matches!(result, Err(EnqueueError::Full)));
            if full {
                return Err(Problem::store_full());
            }
            let replaced = results.iter().any(is_replaced);
            let problem = if replaced { Problem::store_replaced() } else { Problem::none_settled() };
            return Err(problem.with_results(json!(lines)));
        }
    }
    let body = json!({
        "accepted": accepted, "duplicates": duplicates, "refused": refused,
        "not_taken": not_taken, "unknown": unknown, "results": lines,
    });
    Ok(Json(body).into_response())
}

pub(super) fn item(index: usize, result: &ItemResult) -> Item<'_> {
    let item = Item { index, line: None, status: result_word(result), id: None, errors: None, key: None };
    match result {
        Ok(receipt) => Item { id: Some(receipt.id.to_string()), ..item },
        Err(EnqueueError::Refused(errors)) => Item { errors: Some(errors), ..item },
        Err(EnqueueError::Full | EnqueueError::NotTried) => item,
        Err(EnqueueError::Unsettled { id, generated_key, .. }) => {
            Item { id: Some(id.to_string()), key: generated_key.as_deref(), ..item }
        }
    }
}
