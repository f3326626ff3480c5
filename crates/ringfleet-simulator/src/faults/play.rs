//! Plays a fault around the answer to a request.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::{StreamExt, stream};
use http::{HeaderValue, StatusCode, header};

use super::{Endpoint, Fault, RetryAfter};
use crate::oauth::OauthError;
use crate::provider::{ApiError, gateway_page};
use crate::transport::Connection;
use crate::world::World;

/// What a huge body is made of, and how often.
const HUGE_CHUNK: &[u8] = &[b' '; 64 * 1024];
const HUGE_CHUNKS: usize = 256;
const DRIP_EVERY: Duration = Duration::from_millis(100);
const FLUSH: Duration = Duration::from_millis(20);

pub(crate) enum Played {
    /// The answer as it is.
    Plain(Response),
    /// An answer that the rate headers must not be added to.
    Bare(Response),
}

impl Played {
    pub(crate) fn map(self, headers: impl FnOnce(Response) -> Response) -> Response {
        match self {
            Self::Plain(response) => headers(response),
            Self::Bare(response) => response,
        }
    }
}

/// `answer` is what the endpoint says: after taking effect, or a stand-in when the fault keeps it from that.
pub(crate) async fn play(
    world: &World,
    connection: &Connection,
    endpoint: Endpoint,
    fault: &Fault,
    answer: Response,
) -> Played {
    match fault {
        Fault::Delivery { .. } => Played::Plain(answer),
        Fault::Delay { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            Played::Plain(answer)
        }
        Fault::AcceptThenHang | Fault::HangBeforeRead => {
            // The client gives up first, and hyper then drops this future; or the simulator stops.
            world.stopped().await;
            connection.reset();
            Played::Bare(answer)
        }
        Fault::AcceptThenReset | Fault::ResetBefore => {
            connection.reset();
            Played::Bare(answer)
        }
        Fault::ErrorBefore { status, code, retry_after } => {
            Played::Plain(asking_for(retry_after.as_ref(), error(endpoint, *status, code.as_deref())))
        }
        Fault::ErrorAfterAccept { status } => Played::Plain(error(endpoint, *status, None)),
        Fault::Throttle { retry_after, headers } => {
            let response = asking_for(retry_after.as_ref(), ApiError::throttled().response());
            match headers {
                true => Played::Plain(response),
                false => Played::Bare(response),
            }
        }
        Fault::Garbage => Played::Plain(with_body(answer, Body::from("<<\u{1}not json>>"))),
        Fault::Truncated => Played::Plain(truncated(answer).await),
        Fault::Huge => Played::Plain(huge(answer)),
        Fault::Drip => Played::Plain(drip(answer).await),
    }
}

fn asking_for(pause: Option<&RetryAfter>, mut response: Response) -> Response {
    if let Some(value) = pause.and_then(RetryAfter::header) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn error(endpoint: Endpoint, status: u16, code: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match (status, code) {
        (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, None) => gateway_page(status),
        (_, Some(code)) if endpoint == Endpoint::Token && code.starts_with("OAU-") => {
            OauthError::injected(status, code)
        }
        _ => ApiError::injected(status, code).response(),
    }
}

fn with_body(mut answer: Response, body: Body) -> Response {
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    *answer.body_mut() = body;
    answer
}

/// Answers are whole in memory, so this does not wait.
async fn body_of(answer: &mut Response) -> Bytes {
    let body = std::mem::take(answer.body_mut());
    axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default()
}

/// Promises the whole length, gives half, and breaks off: hyper then closes the connection.
async fn truncated(mut answer: Response) -> Response {
    let whole = body_of(&mut answer).await;
    let length = HeaderValue::from(whole.len());
    let half = whole.slice(..whole.len() / 2);
    let broken = stream::once(async {
        // Time for the first half to leave; hyper throws unsent bytes away when a body fails.
        tokio::time::sleep(FLUSH).await;
        Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
    });
    let body = stream::once(async { Ok(half) }).chain(broken);
    let mut answer = with_body(answer, Body::from_stream(body));
    answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    answer
}

fn huge(answer: Response) -> Response {
    let chunks = std::iter::once(&b"{\"padding\":\""[..])
        .chain(std::iter::repeat_n(HUGE_CHUNK, HUGE_CHUNKS))
        .chain([&b"\"}"[..]])
        .map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk)));
    with_body(answer, Body::from_stream(stream::iter(chunks)))
}

async fn drip(mut answer: Response) -> Response {
    let whole = body_of(&mut answer).await;
    let drops = stream::unfold(whole, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(DRIP_EVERY).await;
        let drop = rest.split_to(1);
        Some((Ok::<_, Infallible>(drop), rest))
    });
    with_body(answer, Body::from_stream(drops))
}
