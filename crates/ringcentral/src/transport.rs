//! One request over the wire, and what is certain when it fails.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use reqwest::{RequestBuilder, Response};

use crate::answer::{Answer, CallError, ConnectFault, LostFault, UnreadableFault};
use crate::guard::GuardKey;
use crate::provider_error::ProviderError;
use crate::rate::{RateHeaders, http_date};

/// Status and headers, known before the body is.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) rate: RateHeaders,
    pub(crate) date: Option<Timestamp>,
    pub(crate) request_id: Option<String>,
}

/// An answer of any status, with as much of its body as could be read.
#[derive(Debug)]
pub(crate) struct Reply {
    head: Head,
    body: Result<Vec<u8>, UnreadableFault>,
    elapsed: Duration,
}

/// Sends a request once and reads its answer, of `cap` bytes at most, or `error_cap` if it is no success; `on_head` sees the
/// headers before the body is waited for. The deadline is the client's.
pub(crate) async fn exchange(
    request: RequestBuilder,
    cap: usize,
    error_cap: usize,
    on_head: impl FnOnce(&Head),
) -> Result<Reply, CallError> {
    let started = Instant::now();
    let response = request.send().await.map_err(failure)?;
    let head = Head {
        status: response.status(),
        rate: RateHeaders::read(response.headers(), Timestamp::now()),
        date: response.headers().get("date").and_then(|date| http_date(date.to_str().ok()?)),
        request_id: request_id(response.headers()),
    };
    on_head(&head);
    // A page that a read may ask for is large; what refuses it is not, and is parsed whole.
    let cap = if head.status.is_success() { cap } else { error_cap };
    let body = read_capped(response, cap).await;
    Ok(Reply { head, body, elapsed: started.elapsed() })
}

impl Reply {
    /// Turns an answer other than 2xx into an error.
    pub(crate) fn require_success(self) -> Result<Self, CallError> {
        if self.head.status.is_success() {
            return Ok(self);
        }
        let error = match &self.body {
            Ok(body) => ProviderError::parse(body),
            Err(_) => ProviderError::unread(),
        };
        let Head { status, rate, request_id, .. } = self.head;
        Err(CallError::Status { status, error: Box::new(error), rate, request_id })
    }

    /// Decodes the body of a 2xx answer.
    pub(crate) fn answer<T>(
        self,
        decode: impl FnOnce(&[u8]) -> Result<T, UnreadableFault>,
    ) -> Result<Answer<T>, CallError> {
        let Head { status, rate, date, request_id } = self.head;
        match self.body.and_then(|body| decode(&body)) {
            Ok(value) => Ok(Answer { value, rate, date, request_id, elapsed: self.elapsed }),
            Err(fault) => Err(CallError::Unreadable { status, fault, rate, request_id }),
        }
    }

    /// A 2xx answer whose body does not matter.
    pub(crate) fn without_body(self) -> Answer<()> {
        let Head { rate, date, request_id, .. } = self.head;
        Answer { value: (), rate, date, request_id, elapsed: self.elapsed }
    }
}

/// Decodes JSON. serde's error is dropped, since it may quote the value that it met.
pub(crate) fn json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, UnreadableFault> {
    serde_json::from_slice(body).map_err(|_| UnreadableFault::NotJson)
}

pub(crate) async fn read_capped(mut response: Response, cap: usize) -> Result<Vec<u8>, UnreadableFault> {
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(UnreadableFault::TooLarge);
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > cap => return Err(UnreadableFault::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err(UnreadableFault::CutShort),
        }
    }
}

/// `RCRequestId` (listed in the documentation's Postman collection), if it is fit for a log.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("rcrequestid")?.to_str().ok()?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!id.is_empty() && id.len() <= 128 && id.bytes().all(sound)).then(|| id.to_owned())
}

/// Sorts a failure by what is certain about it.
pub(crate) fn failure(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    // SEND-SAFETY: these alone count as "nothing was sent": the request was never built, its connection never stood, or
    // the server itself says (HTTP/2 REFUSED_STREAM) that it did no work. Everything else may have been acted upon.
    match connect_fault(&error) {
        Some(fault) => CallError::Connect { fault, source: Some(error.into()) },
        None => {
            let fault = if error.is_timeout() { LostFault::Timeout } else { LostFault::Cut };
            CallError::Lost { fault, source: Some(error.into()) }
        }
    }
}

fn connect_fault(error: &reqwest::Error) -> Option<ConnectFault> {
    if error.is_builder() {
        return Some(ConnectFault::NotBuilt);
    }
    if causes(error).any(is_refused_stream) {
        return Some(ConnectFault::RefusedStream);
    }
    if !error.is_connect() {
        return None;
    }
    if error.is_dns() {
        return Some(ConnectFault::Dns);
    }
    if error.is_timeout() {
        return Some(ConnectFault::Timeout);
    }
    if causes(error).any(is_tls) {
        return Some(ConnectFault::Tls);
    }
    let refused = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
    };
    Some(if causes(error).any(refused) { ConnectFault::Refused } else { ConnectFault::Network })
}

/// SEND-SAFETY: a GOAWAY is no such word. h2 gives its error to the streams above the last id, which were not taken, but not to
/// them alone: hyper asks the connection once more after it has opened a stream, and a GOAWAY that came meanwhile fails that
/// stream whatever its id; and a push that names a stream left out spreads the error to all. It stays lost, and is looked up.
fn is_refused_stream(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<h2::Error>()
        .is_some_and(|h2| h2.is_remote() && h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// rustls hides its errors inside `io::Error`.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// One debug line per call: ids and codes only.
pub(crate) fn trace(key: &GuardKey, reply: &Result<Reply, CallError>) {
    match reply {
        Ok(reply) => tracing::debug!(
            group = key.group().as_str(),
            http.status = reply.head.status.as_u16(),
            rc.request_id = reply.head.request_id.as_deref(),
            duration_ms = u64::try_from(reply.elapsed.as_millis()).unwrap_or(u64::MAX),
            "call answered"
        ),
        Err(error) => tracing::debug!(group = key.group().as_str(), %error, "call failed"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one HTTP/2 connection and resets its first stream.
    async fn reset_first_stream(listener: TcpListener, reason: h2::Reason) {
        let (socket, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(socket).await.expect("a handshake");
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            answer.send_reset(reason);
        }
    }

    /// Takes a whole request in over HTTP/2, and then says that it took none. By hand, because a server of h2's own would say
    /// that it took this one.
    async fn go_away(listener: TcpListener) {
        const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // With 0 as the last stream that was taken, and no error as its reason.
        const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (mut socket, _) = listener.accept().await.expect("a connection");
        socket.write_all(&SETTINGS).await.expect("a handshake");
        socket.read_exact(&mut [0; 24]).await.expect("the client's preface");
        loop {
            let mut head = [0; 9];
            socket.read_exact(&mut head).await.expect("a frame");
            let [high, middle, low, kind, flags, ..] = head;
            let mut rest = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
            socket.read_exact(&mut rest).await.expect("a whole frame");
            // The DATA that ends its stream.
            if (kind, flags & 1) == (0, 1) {
                break;
            }
        }
        socket.write_all(&GOAWAY).await.expect("the connection stands");
        while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    }

    async fn post_meets<S>(serve: impl FnOnce(TcpListener) -> S) -> CallError
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let server = tokio::spawn(serve(listener));
        let http = reqwest::Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .http2_prior_knowledge()
            .tls_backend_preconfigured(crate::tls::trusting_nobody().expect("tls"))
            .build()
            .expect("a client");
        let error = exchange(http.post(url).body("x"), 1024, 1024, |_| {}).await.expect_err("no answer");
        server.abort();
        error
    }

    #[tokio::test]
    async fn refused_stream_is_not_sent_but_another_reset_is_lost() {
        let resets = |reason| post_meets(move |listener| reset_first_stream(listener, reason));
        let refused = resets(h2::Reason::REFUSED_STREAM).await;
        assert!(matches!(refused, CallError::Connect { fault: ConnectFault::RefusedStream, .. }), "{refused:?}");
        let reset = resets(h2::Reason::INTERNAL_ERROR).await;
        assert!(matches!(reset, CallError::Lost { fault: LostFault::Cut, .. }), "{reset:?}");
    }

    #[tokio::test]
    async fn text_that_meets_a_goaway_is_lost_although_the_server_says_that_it_took_nothing() {
        let gone = post_meets(go_away).await;
        assert!(matches!(gone, CallError::Lost { fault: LostFault::Cut, .. }), "{gone:?}");
        // By its word, and not by the end of the connection behind it.
        let is_word = |cause: &(dyn Error + 'static)| cause.downcast_ref().is_some_and(h2::Error::is_go_away);
        assert!(std::iter::successors(gone.source(), |&cause| cause.source()).any(is_word), "{gone:?}");
    }

    #[test]
    fn request_id_must_be_fit_for_a_log() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("rcrequestid", value.parse().expect("header value"));
            request_id(&headers)
        };
        assert_eq!(read("a1b2-c3").as_deref(), Some("a1b2-c3"));
        assert_eq!(read("+15550100123"), None);
        assert_eq!(read(&"a".repeat(129)), None);
    }
}
