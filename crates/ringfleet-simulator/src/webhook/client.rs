//! Talks to webhooks.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use reqwest::{Client, Response, Url, redirect};
use serde_json::Value;
use tokio::sync::OnceCell;

const VALIDATION_TOKEN: HeaderName = HeaderName::from_static("validation-token");
const VERIFICATION_TOKEN: HeaderName = HeaderName::from_static("verification-token");
/// Head and body of an answer (documented).
const MAX_ANSWER_BYTES: usize = 1024;

/// Why a webhook is not taken, in the order in which one finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeProblem {
    Address,
    NotHttps,
    Certificate,
    Unreachable,
    Status(StatusCode),
    TokenNotReturned,
    AnswerTooLong,
}

#[derive(Default)]
pub(crate) struct WebhookClient(OnceCell<Client>);

impl WebhookClient {
    /// RingCentral wants https (documented). Here plain http does for this machine, and nothing else.
    pub(crate) async fn shake_hands(
        &self,
        address: &str,
        token: &str,
        timeout: Duration,
    ) -> Result<(), HandshakeProblem> {
        let url = Url::parse(address).map_err(|_| HandshakeProblem::Address)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(HandshakeProblem::NotHttps),
            _ => return Err(HandshakeProblem::Address),
        }
        let client = self.client().await.map_err(|_| HandshakeProblem::Certificate)?;
        let request = client
            .post(url)
            .timeout(timeout)
            .header(VALIDATION_TOKEN, token)
            .header(header::CONTENT_TYPE, "application/json");
        let answer = request.send().await.map_err(|error| problem(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(HandshakeProblem::Status(answer.status()));
        }
        if answer.headers().get(VALIDATION_TOKEN).is_none_or(|echo| echo != token) {
            return Err(HandshakeProblem::TokenNotReturned);
        }
        let size = size(answer).await.map_err(|error| problem(&error))?;
        (size <= MAX_ANSWER_BYTES).then_some(()).ok_or(HandshakeProblem::AnswerTooLong)
    }

    /// The status of the answer. `None` without one in time.
    pub(crate) async fn notify(
        &self,
        address: &str,
        verification_token: Option<&str>,
        body: &Value,
        timeout: Duration,
    ) -> Option<StatusCode> {
        let mut request = self.client().await.ok()?.post(address).timeout(timeout).json(body);
        if let Some(token) = verification_token.and_then(|token| HeaderValue::from_str(token).ok()) {
            request = request.header(VERIFICATION_TOKEN, token);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        // Read to its end, so that the connection can be used again.
        size(answer).await.ok().map(|_| status)
    }

    /// Built when it is wanted first: most simulators have no webhooks.
    async fn client(&self) -> Result<&Client, reqwest::Error> {
        self.0
            .get_or_try_init(|| async {
                // A program that has chosen a provider keeps it.
                let _ = rustls::crypto::ring::default_provider().install_default();
                Client::builder().redirect(redirect::Policy::none()).no_proxy().build()
            })
            .await
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Bytes of head and body; stops counting behind the limit.
async fn size(mut answer: Response) -> Result<usize, reqwest::Error> {
    let head = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let mut size = "HTTP/1.1 200 OK\r\n\r\n".len() + head.sum::<usize>();
    while size <= MAX_ANSWER_BYTES
        && let Some(chunk) = answer.chunk().await?
    {
        size += chunk.len();
    }
    Ok(size)
}

fn problem(error: &reqwest::Error) -> HandshakeProblem {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) || error.is::<rustls::Error>() {
            return HandshakeProblem::Certificate;
        }
        cause = error.source();
    }
    HandshakeProblem::Unreachable
}
