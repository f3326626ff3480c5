//! Where callbacks go: one signed POST and what came back.

use std::{error::Error, fmt, time::Duration};

use jiff::Timestamp;
use reqwest::{Response, StatusCode, Url, header, redirect, retry};
use ringcentral::{WebhookAddress, WebhookAddressError};

use super::secret::SigningSecrets;

/// The whole of one POST.
pub(super) const POST_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// An answer's body says nothing, but a short one is read to its end, so that the connection can be used again.
const BODY_CAP: usize = 4 * 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(1);
/// Of the words in which a failed connection is told.
const WHY_CAP: usize = 160;

/// The address that callbacks are POSTed to. `Debug` and `Display` show the server only: a path may be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl(Url);

/// Why a text is not such an address; the address is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackUrlError {
    #[error("is no whole address; write it like \"https://example.com/callbacks\"")]
    NotAbsolute,
    #[error("is not https; plain http is taken on this machine's loopback only")]
    NotHttps,
    #[error("holds a user name or password; leave it out, callbacks are signed with callbacks.secret_file")]
    Credentials,
}

impl CallbackUrl {
    /// # Errors
    /// [`CallbackUrlError`] says what to write instead.
    pub fn try_new(address: &str) -> Result<Self, CallbackUrlError> {
        let address = WebhookAddress::try_new(address).map_err(|error| match error {
            WebhookAddressError::NotAbsolute => CallbackUrlError::NotAbsolute,
            WebhookAddressError::NotHttps => CallbackUrlError::NotHttps,
        })?;
        let mut url = Url::parse(address.expose()).map_err(|_| CallbackUrlError::NotAbsolute)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CallbackUrlError::Credentials);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({self})")
    }
}

/// The client for callbacks can't be made.
#[derive(Debug, thiserror::Error)]
#[error("the client for callbacks can't be set up")]
pub struct EndpointError(#[source] reqwest::Error);

/// The producer's endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    http: reqwest::Client,
    url: CallbackUrl,
    secrets: SigningSecrets,
}

/// What became of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Taken(u16),
    /// Any other status, a redirect too: none is followed.
    Refused {
        status: u16,
        /// `Retry-After`, if it was told in seconds.
        retry_after: Option<Duration>,
    },
    /// No answer came. The endpoint may have taken it all the same.
    NotReached {
        why: String,
        /// It was connected: then [`POST_DEADLINE`] passed, or the connection ended before an answer.
        connected: bool,
    },
}

impl Answer {
    /// The label of the metric.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Answer::Taken(_) => "taken",
            Answer::Refused { .. } => "refused",
            Answer::NotReached { .. } => "not_reached",
        }
    }

    /// What was POSTed may be at fault, by its size or by one of its messages. 429 (RFC 6585, 4), and 503 with a time to come back
    /// (RFC 9110, 15.6.4), tell of load: smaller POSTs are more of them. With other answers `Retry-After` is often a proxy's habit.
    pub(super) fn may_be_of_the_batch(&self) -> bool {
        match self {
            Answer::Taken(_) | Answer::Refused { status: 429, .. } => false,
            Answer::Refused { .. } => !self.tells_of_load(),
            Answer::NotReached { connected, .. } => *connected,
        }
    }

    /// 503 with a time to come back: of load, if it does not go on.
    pub(super) fn tells_of_load(&self) -> bool {
        matches!(self, Answer::Refused { status: 503, retry_after: Some(_) })
    }
}

/// Of a failure, for people.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Taken(status) => write!(f, "taken with {status}"),
            Answer::Refused { status, .. } if (300..400).contains(status) => {
                write!(
                    f,
                    "answered with {status}, and no redirect is followed: name the final address in callbacks.url"
                )
            }
            Answer::Refused { status, .. } => write!(f, "answered with {status}"),
            Answer::NotReached { why, .. } => write!(f, "not reached: {why}"),
        }
    }
}

impl Endpoint {
    /// Opens no connection yet. Proxies of the environment are not used.
    ///
    /// # Errors
    /// Where no crypto provider is installed for TLS, or its roots can't be read.
    pub fn new(url: CallbackUrl, secrets: SigningSecrets) -> Result<Self, EndpointError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("ringfleet/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(POST_DEADLINE)
            // A redirect would show signed documents to another server, and turn a POST into a GET.
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            // A POST that timed out ends its connection. One of HTTP/2 would stay open, and a server that stands still behind a
            // balancer would be asked again and again, though another one may answer.
            .http1_only()
            .no_proxy()
            .https_only(url.0.scheme() == "https");
        let http = builder.build().map_err(|error| EndpointError(error.without_url()))?;
        Ok(Self { http, url, secrets })
    }

    pub fn url(&self) -> &CallbackUrl {
        &self.url
    }

    /// One POST of `{"type":"test","timestamp":…,"data":{}}`, under an id of its own.
    pub async fn test(&self) -> Answer {
        let now = Timestamp::now();
        let body = serde_json::json!({"type": "test", "timestamp": now.to_string(), "data": {}}).to_string();
        self.post(&format!("test_{:016x}", rand::random::<u64>()), body).await
    }

    /// Never repeats it by itself. Dropping the future leaves open whether the endpoint has taken it.
    pub(super) async fn post(&self, id: &str, body: String) -> Answer {
        let timestamp = Timestamp::now().as_second();
        let request = self
            .http
            .post(self.url.0.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.secrets.sign(id, timestamp, &body))
            .body(body);
        match request.send().await {
            Ok(response) => {
                let (status, retry_after) = (response.status(), retry_after(&response));
                let _ = tokio::time::timeout(BODY_DEADLINE, read(response)).await;
                judge(status, retry_after)
            }
            Err(error) => Answer::NotReached { connected: !error.is_connect(), why: why(error) },
        }
    }
}

fn judge(status: StatusCode, retry_after: Option<Duration>) -> Answer {
    match status.as_u16() {
        status @ 200..300 => Answer::Taken(status),
        status => Answer::Refused { status, retry_after },
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(mut response: Response) {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes += chunk.len();
        if bytes > BODY_CAP {
            return;
        }
    }
}

/// The innermost cause, which names no address.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return format!("no answer within {} s", POST_DEADLINE.as_secs());
    }
    let innermost = std::iter::successors(error.source(), |&cause| cause.source()).last();
    let words = innermost.map_or_else(|| error.to_string(), ToString::to_string);
    words.chars().filter(|c| !c.is_control()).take(WHY_CAP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_but_on_the_loopback_and_hides_its_path() {
        let url = CallbackUrl::try_new("https://shop.example:8443/canary?key=canary#canary").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://shop.example:8443/… CallbackUrl(https://shop.example:8443/…)");
        assert!(CallbackUrl::try_new("http://127.0.0.1:8080/callbacks").is_ok());
        for (address, fault) in [
            ("http://shop.example/", CallbackUrlError::NotHttps),
            ("shop.example", CallbackUrlError::NotAbsolute),
            ("https://canary@shop.example/", CallbackUrlError::Credentials),
            ("https://u:canary@shop.example/", CallbackUrlError::Credentials),
        ] {
            assert_eq!(CallbackUrl::try_new(address), Err(fault.clone()), "{address}");
            assert!(!fault.to_string().contains("canary"));
        }
    }
}
