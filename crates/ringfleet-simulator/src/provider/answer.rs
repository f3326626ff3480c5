//! Pieces that every answer is made of.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::error::ApiError;
use crate::limits::Admission;

const GROUP: HeaderName = HeaderName::from_static("x-rate-limit-group");
const LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const WINDOW: HeaderName = HeaderName::from_static("x-rate-limit-window");
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");

/// Documented: "request body at most 10m" for a send.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// `2026-01-02T03:04:05.678Z`: always three decimals.
pub(crate) struct Millis(pub(crate) Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    // Own types with string keys always serialise; an empty body would show the contrary at once.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// What a proxy in front of the API says when there is nothing behind it: no JSON, no codes.
pub(crate) fn gateway_page(status: StatusCode) -> Response {
    let mut response = Response::new(Body::from(format!("<html><body><h1>{status}</h1></body></html>")));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// The documented headers of everything that a user's limits apply to, and `Retry-After` on a 429 that has none yet; of a
/// limit that is not the lane's `Retry-After` alone.
pub(crate) fn rate_headers(mut response: Response, admission: &Admission) -> Response {
    let throttled = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let remaining = match throttled {
        true => 0,
        false => admission.limit.saturating_sub(admission.used),
    };
    let headers = response.headers_mut();
    if admission.foreign {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(admission.retry_after_s));
        return response;
    }
    headers.insert(GROUP, HeaderValue::from_static(admission.group.header()));
    headers.insert(LIMIT, HeaderValue::from(admission.limit));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    headers.insert(WINDOW, HeaderValue::from(admission.window_s));
    if throttled && admission.refused() && !headers.contains_key(header::RETRY_AFTER) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(admission.retry_after_s));
    }
    response
}

pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| ApiError::unreadable())
}
