//! What surrounds every page: headers that keep browsers from doing more than showing it, a cap, and a deadline.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::trouble::Trouble;

/// The largest form, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Longer than a login takes at its slowest: a slot, the exchange with its tries, a look at the extension.
const DEADLINE: Duration = Duration::from_secs(90);

/// No script, no frame, nothing from elsewhere. A form leads to this site only; the way to the provider is a link, because
/// browsers apply `form-action` to every redirect that follows a form.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];

/// Reads the body inside the deadline, runs the handler, and sets the headers, on errors too.
pub(crate) async fn surround(request: Request, next: Next) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
            return Trouble::TooLarge.into_response();
        };
        next.run(Request::from_parts(parts, Body::from(body))).await
    };
    let answer = tokio::time::timeout(DEADLINE, answer).await;
    let mut response = answer.unwrap_or_else(|_| Trouble::TooSlow.into_response());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What a person sees here is theirs alone, and may be old a moment later.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

pub(crate) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

pub(crate) async fn icon() -> impl IntoResponse {
    file("image/svg+xml", include_str!("icon.svg"))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=600")], text)
}
