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
/// Of a form, to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
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

/// Reads the body and runs the handler, each inside its deadline, and sets the headers, on errors too.
pub(crate) async fn surround(request: Request, next: Next) -> Response {
    let answer = async {
        let (parts, body) = request.into_parts();
        let body = match tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Trouble::TooLarge.into_response(),
            Err(_) => return Trouble::TooSlow.into_response(),
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

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_arrive_is_given_up_long_before_a_login_is() {
        let site = Router::new().route("/", post(async || "here")).layer(middleware::from_fn(surround));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, site).await });
        let began = Instant::now();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\nkey=").await.unwrap();
        let mut told = [0; 12];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 504");
        // The clock of the test jumps to the next deadline.
        assert!((BODY_DEADLINE..2 * BODY_DEADLINE).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
}
