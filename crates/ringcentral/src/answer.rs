//! What a call yields: an answer, or an error with its evidence.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

use crate::provider_error::ProviderError;
use crate::rate::RateHeaders;

/// A successful call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    pub value: T,
    pub rate: RateHeaders,
    /// The provider's clock when it answered, in whole seconds (the `Date` header), if it told it.
    pub date: Option<Timestamp>,
    /// The `RCRequestId` header: name it to RingCentral's support.
    pub request_id: Option<String>,
    /// From just before the request to the last byte of the body; waiting for the guard is not in it.
    pub elapsed: Duration,
}

/// The cause below an error, without any address.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a call yielded no answer. The variant is the evidence for whether the server may have acted:
/// `Connect`, `Guard` and `Withheld` are certain that nothing was sent, `Lost` and `Unreadable` are not.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request did not begin.
    #[error("no connection to the server ({fault})")]
    Connect {
        fault: ConnectFault,
        #[source]
        source: Option<Cause>,
    },
    /// The request began, and no answer came.
    #[error("request began but its answer was lost ({fault})")]
    Lost {
        fault: LostFault,
        #[source]
        source: Option<Cause>,
    },
    /// An answer other than 2xx.
    #[error("server answered {status}, {error}")]
    Status { status: StatusCode, error: Box<ProviderError>, rate: RateHeaders, request_id: Option<String> },
    /// A 2xx answer that does not say what it must.
    #[error("server answered {status}, but its body is unusable ({fault})")]
    Unreadable { status: StatusCode, fault: UnreadableFault, rate: RateHeaders, request_id: Option<String> },
    /// The guard in this process refused; nothing was sent.
    #[error("usage plan leaves no request for {wait:?}")]
    Guard {
        /// How long until the same call would pass.
        wait: Duration,
    },
    /// The permit of [`send_sms_if`](crate::Client::send_sms_if) was refused when the connection stood; nothing was sent.
    #[error("text withheld: its time was over when the connection stood")]
    Withheld,
}

/// What kept a request from beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFault {
    #[error("host name not resolved")]
    Dns,
    #[error("connection refused")]
    Refused,
    #[error("connect time-out")]
    Timeout,
    #[error("tls handshake failed")]
    Tls,
    /// HTTP/2 `REFUSED_STREAM`: the server says that it did no work on the request (RFC 9113 §8.7).
    #[error("stream refused before any work")]
    RefusedStream,
    /// The request could not be built, which is a fault of this program.
    #[error("request not built")]
    NotBuilt,
    #[error("network failure")]
    Network,
}

/// How an answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LostFault {
    #[error("deadline passed")]
    Timeout,
    #[error("connection cut")]
    Cut,
}

/// Why a 2xx body is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableFault {
    #[error("larger than the cap")]
    TooLarge,
    #[error("cut short")]
    CutShort,
    #[error("not the expected json")]
    NotJson,
    #[error("no id in it")]
    NoId,
    #[error("no token in it")]
    NoToken,
    /// The next page lies on another server, which must not see the token.
    #[error("next page on another server")]
    ForeignNextPage,
}

impl CallError {
    /// The status of the answer, if one came.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } | Self::Unreadable { status, .. } => Some(*status),
            Self::Connect { .. } | Self::Lost { .. } | Self::Guard { .. } | Self::Withheld => None,
        }
    }

    /// The rate headers of the answer, if one came.
    pub fn rate(&self) -> Option<&RateHeaders> {
        match self {
            Self::Status { rate, .. } | Self::Unreadable { rate, .. } => Some(rate),
            Self::Connect { .. } | Self::Lost { .. } | Self::Guard { .. } | Self::Withheld => None,
        }
    }

    /// The `RCRequestId` of the answer, if one came with it.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Status { request_id, .. } | Self::Unreadable { request_id, .. } => request_id.as_deref(),
            Self::Connect { .. } | Self::Lost { .. } | Self::Guard { .. } | Self::Withheld => None,
        }
    }

    /// The provider's error, if it wrote one.
    pub fn provider(&self) -> Option<&ProviderError> {
        match self {
            Self::Status { error, .. } => Some(error),
            Self::Connect { .. }
            | Self::Lost { .. }
            | Self::Unreadable { .. }
            | Self::Guard { .. }
            | Self::Withheld => None,
        }
    }
}
