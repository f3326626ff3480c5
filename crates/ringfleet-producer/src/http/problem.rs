//! Errors of the API: `application/problem+json` (RFC 9457) with a list of refusals.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use super::send::MAX_MESSAGES;
use crate::refusal::{Code, Refusal};

/// When a caller should come back to a store that is away, or a process that is, in seconds.
const AWAY_RETRY_AFTER: u32 = 5;
/// And where something is full, which takes longer to mend.
const FULL_RETRY_AFTER: u32 = 30;

/// What the API answers when it can't do what was asked. Holds nothing that was sent.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Refusal>,
    /// The message that the problem is about, where it has an id already.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The key with which a keyless request can be repeated safely.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Value>,
    /// Behind the answers to the lines of a body: from this one on nothing was handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip)]
    retry_after: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, code: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:ringfleet:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            id: None,
            key: None,
            results: None,
            line: None,
            retry_after: None,
        }
    }

    pub(super) fn no_key() -> Self {
        let detail = "send a known API key as Authorization: Bearer <key> or X-Api-Key: <key>";
        Self::new(StatusCode::UNAUTHORIZED, "no-key", "API key missing or unknown", detail)
    }

    pub(super) fn read_only_key() -> Self {
        let detail =
            "this key may only read; call this route with a key that may send, one of api.keys or api.keys_file";
        Self::new(StatusCode::FORBIDDEN, "read-only-key", "API key may only read", detail)
    }

    pub(super) fn foreign_name() -> Self {
        let detail = "without keys the API answers to localhost, 127.0.0.1 and [::1]; set api.keys to call the API under another name";
        Self::new(StatusCode::FORBIDDEN, "foreign-name", "called under another name", detail)
    }

    pub(super) fn no_such_path() -> Self {
        let detail = "the API has /v1/messages, /v1/messages/{id}, /v1/senders and /v1/opt-outs; /v1/openapi.json describes them";
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "no such path", detail)
    }

    pub(super) fn wrong_method() -> Self {
        let detail = "use POST or GET on /v1/messages, GET or DELETE on /v1/messages/{id}, GET on /v1/senders, GET, PUT or DELETE on \
                      /v1/opt-outs, GET on /v1/openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "method not allowed", detail)
    }

    pub(super) fn not_json() -> Self {
        let detail =
            "send the header Content-Type: application/json; a POST of /v1/messages may be application/x-ndjson too";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "body is not declared as JSON", detail)
    }

    pub(super) fn body_too_large(most_bytes: usize) -> Self {
        let detail = format!("{most_bytes} bytes is the most; split the call");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "body too large", detail)
    }

    pub(super) fn body_unread() -> Self {
        let detail = "the body ended early or came too slowly; nothing was taken";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body-unread", "body could not be read", detail)
    }

    pub(super) fn malformed(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "body is not what it should be", detail)
    }

    pub(super) fn bad_query(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-query", "query is not what it should be", detail)
    }

    pub(super) fn wrong_count(count: usize) -> Self {
        Self::malformed(format!("messages holds {count} items; 1 to {MAX_MESSAGES} go into one call"))
    }

    pub(super) fn refused(errors: Vec<Refusal>) -> Self {
        let id = errors.iter().find_map(|error| error.id).map(|id| id.to_string());
        if let [only] = errors.as_slice()
            && only.code == Code::KeyConflict
        {
            // Not "nothing was taken": the key's message may be this one, where its record can't be read.
            let detail = "nothing was added; errors tells what is known of the message that has the key";
            return Self {
                errors,
                id,
                ..Self::new(StatusCode::CONFLICT, "key-conflict", "key was used before", detail)
            };
        }
        let detail = match errors.iter().any(|error| error.code == Code::KeyTaken) {
            true => "this repeat is refused, and its key's message was taken before; errors tells its id and state",
            false => "nothing was taken; errors names each field and its remedy",
        };
        let (status, title) = (StatusCode::UNPROCESSABLE_ENTITY, "message refused");
        Self { errors, id, ..Self::new(status, "refused", title, detail) }
    }

    pub(super) fn opt_out_refused(errors: Vec<Refusal>) -> Self {
        let detail = "nothing was entered or lifted; errors names each field and its remedy";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "opt-out refused", detail) }
    }

    pub(super) fn no_such_message() -> Self {
        let detail = "no message has this id, or its record is older than the retention";
        Self::new(StatusCode::NOT_FOUND, "no-such-message", "no such message", detail)
    }

    pub(super) fn too_late(state: &str) -> Self {
        let detail = format!("the message is {state} and can't be cancelled any more");
        Self::new(StatusCode::CONFLICT, "too-late", "too late to cancel", detail)
    }

    pub(super) fn store_full() -> Self {
        let detail = "the store is full; nothing was taken; send it again later";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-full", "store is full", detail);
        Self { retry_after: Some(FULL_RETRY_AFTER), ..problem }
    }

    pub(super) fn store_away() -> Self {
        let detail = "the store does not answer; try again later";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-away", "store does not answer", detail);
        Self { retry_after: Some(AWAY_RETRY_AFTER), ..problem }
    }

    /// What the store held is gone. No time to come back: somebody must act first.
    pub(super) fn store_replaced() -> Self {
        let detail = "the store was flushed or exchanged and is not used any more; nothing is taken or told until an \
                      operator has started the fleet anew";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-replaced", "store was exchanged", detail)
    }

    /// Another process, or the one that follows, takes it.
    pub(super) fn stopping() -> Self {
        let detail = "this process is stopping; nothing was taken; send it again";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "process is stopping", detail);
        Self { retry_after: Some(AWAY_RETRY_AFTER), ..problem }
    }

    /// There is no room for one more call of NDJSON.
    pub(super) fn busy() -> Self {
        let detail = "as many calls of NDJSON as this process takes at a time are under way; nothing was taken; send it again \
                      later, or as lists of JSON";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many calls of NDJSON", detail);
        Self { retry_after: Some(FULL_RETRY_AFTER), ..problem }
    }

    /// The store may have taken the message.
    pub(super) fn unsettled() -> Self {
        let detail = "the store did not say whether it took the message: look it up by its id, or send it again with \
                      the same key (the one in this answer if you gave none); without it the customer may get two texts";
        Self { kind: "urn:ringfleet:problem:unsettled".into(), detail: detail.into(), ..Self::store_away() }
    }

    /// None of many messages was taken for certain.
    pub(super) fn none_settled() -> Self {
        let detail = "the store failed; results tells of each message whether it was taken, and how to repeat it";
        Self { detail: detail.into(), ..Self::store_away() }
    }

    pub(super) fn of_message(self, id: String, key: Option<String>) -> Self {
        Self { id: Some(id), key, ..self }
    }

    /// As the last line behind the answers to those before `line`, of which `why` says why no more follow.
    pub(super) fn behind_lines(self, line: u64, why: &str) -> Self {
        let detail = format!("{why}; nothing was handed in from line {line} of the body on");
        Self { line: Some(line), detail, ..self }
    }

    pub(super) fn with_results(self, results: Value) -> Self {
        Self { results: Some(results), ..self }
    }

    pub(super) fn internal() -> Self {
        let detail = "the store refused the call; the server's log tells why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ringfleet\""));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
