//! What follows from a send: one pure function over the evidence.

use std::time::Duration;

use http::StatusCode;

use crate::answer::{Answer, CallError, ConnectFault, LostFault, UnreadableFault};
use crate::calls::sms::SmsSent;
use crate::calls::sync::MessageSync;
use crate::ids::ProviderMessageId;
use crate::provider_error::{ErrorCode, ProviderError};
use crate::rate::{DEFAULT_RETRY_AFTER, RateHeaders};
use crate::words::MessageStatus;

#[cfg(test)]
mod tests;
mod unauthorised;

use unauthorised::unauthorised;
pub use unauthorised::{Cure, UnauthorisedKind};

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it. Settle.
    Accepted { id: ProviderMessageId, status: MessageStatus },
    /// For certain not sent, and nobody's fault. Send again, no attempt burnt.
    NotSent { reason: NotSentReason },
    /// For certain not sent: the token was refused. [`UnauthorisedKind::cure`] says what to do about it.
    Unauthorised { code: Option<ErrorCode>, kind: UnauthorisedKind },
    /// For certain not sent: a limit. Close the scope's gate for `after`, then send again.
    Throttled { scope: ThrottleScope, after: Duration },
    /// For certain not sent, and the same request fails again until something in the scope changes.
    Rejected { code: Option<ErrorCode>, scope: RejectScope },
    /// For certain not sent, in the provider's own words. Send again after `after`.
    RetryLater { code: ErrorCode, after: Duration },
    /// It may have been sent. Ask the message store before anything else.
    Unknown { reason: UnknownReason },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSentReason {
    #[error("no connection ({0})")]
    Connect(ConnectFault),
    /// The guard in this process refused; the same call passes after `wait`.
    #[error("guard refused for {wait:?}")]
    Guard { wait: Duration },
    /// The sender's own time was over.
    #[error("withheld")]
    Withheld,
}

/// Whose limit it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThrottleScope {
    /// This app, extension and group.
    Lane,
    /// Account, app, source address or the whole service.
    Wider,
}

/// How far a rejection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectScope {
    /// This message alone.
    Message,
    /// Every message of this extension (or of this sender's number).
    Extension,
    /// Every message of the app.
    App,
    /// Every message of the account.
    Account,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownReason {
    #[error("answer lost ({0})")]
    Lost(LostFault),
    #[error("answer unusable ({0})")]
    Unreadable(UnreadableFault),
    #[error("server answered {0}")]
    Status(StatusCode),
}

/// Decides what became of a text from the result of [`send_sms`](crate::Client::send_sms). Pure.
pub fn classify(result: &Result<Answer<SmsSent>, CallError>) -> Outcome {
    match result {
        Ok(Answer { value: SmsSent { id, status }, .. }) => Outcome::Accepted { id: *id, status: *status },
        // SEND-SAFETY: no connection stood, or the server refused the stream before any work (see `transport`).
        Err(CallError::Connect { fault, .. }) => Outcome::NotSent { reason: NotSentReason::Connect(*fault) },
        // SEND-SAFETY: the guard is asked before the request is built.
        Err(CallError::Guard { wait }) => Outcome::NotSent { reason: NotSentReason::Guard { wait: *wait } },
        // SEND-SAFETY: no byte of the text was given to the connection (see `permit`).
        Err(CallError::Withheld) => Outcome::NotSent { reason: NotSentReason::Withheld },
        // SEND-SAFETY: the request began, so the provider may have queued the text before its answer was lost.
        Err(CallError::Lost { fault, .. }) => Outcome::Unknown { reason: UnknownReason::Lost(*fault) },
        // SEND-SAFETY: 2xx means queued; that its body can't be read does not unqueue it.
        Err(CallError::Unreadable { fault, .. }) => Outcome::Unknown { reason: UnknownReason::Unreadable(*fault) },
        // SEND-SAFETY: CMN-304 is no limit. It says that the same request is running already, and that one may get the text out.
        Err(CallError::Status { status, error, .. })
            if *status == StatusCode::TOO_MANY_REQUESTS && error.code_str() == "CMN-304" =>
        {
            Outcome::Unknown { reason: UnknownReason::Status(*status) }
        }
        Err(CallError::Status { status, error, rate, .. }) => by_status(*status, error, rate),
    }
}

/// What kept a read from its answer, in the same words: only throttling, refused tokens and refusals matter to a reader.
pub fn classify_read(error: &CallError) -> Outcome {
    match error {
        CallError::Status { status, error, rate, .. } => by_status(*status, error, rate),
        CallError::Connect { fault, .. } => Outcome::NotSent { reason: NotSentReason::Connect(*fault) },
        CallError::Guard { wait } => Outcome::NotSent { reason: NotSentReason::Guard { wait: *wait } },
        CallError::Withheld => Outcome::NotSent { reason: NotSentReason::Withheld },
        CallError::Lost { fault, .. } => Outcome::Unknown { reason: UnknownReason::Lost(*fault) },
        CallError::Unreadable { fault, .. } => Outcome::Unknown { reason: UnknownReason::Unreadable(*fault) },
    }
}

/// What became of a message sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncOutcome {
    Synced,
    /// The token is no longer good: begin anew with [`SyncQuery::Full`](crate::SyncQuery::Full).
    FullSyncNeeded,
    /// It says nothing of the token.
    Failed(Outcome),
}

/// Decides what became of a message sync. Pure.
pub fn classify_sync(result: &Result<Answer<MessageSync>, CallError>) -> SyncOutcome {
    match result {
        Ok(_) => SyncOutcome::Synced,
        Err(CallError::Status { error, .. }) if error.code_str() == "MSG-333" => SyncOutcome::FullSyncNeeded,
        Err(error) => SyncOutcome::Failed(classify_read(error)),
    }
}

fn by_status(status: StatusCode, error: &ProviderError, rate: &RateHeaders) -> Outcome {
    let code = error.code.clone();
    match status {
        // SEND-SAFETY: refused for its token, before the message was looked at.
        StatusCode::UNAUTHORIZED => Outcome::Unauthorised { kind: unauthorised(error), code },
        // SEND-SAFETY: with an OAU or AGW code a 403 speaks of the token too, before the message was looked at.
        StatusCode::FORBIDDEN if is_token_code(error) => Outcome::Unauthorised { kind: unauthorised(error), code },
        // SEND-SAFETY: a limit is checked before the message is taken (documented: wait, then repeat).
        StatusCode::TOO_MANY_REQUESTS => throttled(error, rate),
        // SEND-SAFETY: documented as refusals of the request, permanent for it.
        StatusCode::BAD_REQUEST
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Outcome::Rejected { scope: reject_scope(status, error), code },
        StatusCode::SERVICE_UNAVAILABLE => unavailable(error, rate),
        // SEND-SAFETY: CMN-202 says that the operation does not exist; without it, 501 is as open as any 5xx.
        StatusCode::NOT_IMPLEMENTED if error.code_str() == "CMN-202" => {
            Outcome::Rejected { scope: RejectScope::Message, code }
        }
        // SEND-SAFETY: 408 is a time-out that the server saw, after the request began.
        StatusCode::REQUEST_TIMEOUT => Outcome::Unknown { reason: UnknownReason::Status(status) },
        // SEND-SAFETY: another 4xx counts as a refusal only if RingCentral, not a gateway, wrote it.
        _ if status.is_client_error() && error.is_provider_body() => {
            Outcome::Rejected { scope: reject_scope(status, error), code }
        }
        // SEND-SAFETY: 500, 502, 504 and whatever is unexpected (redirects too): documented as "repeat", but the failure
        // may lie behind the point where the text was queued, so a blind repeat could text the customer twice.
        _ => Outcome::Unknown { reason: UnknownReason::Status(status) },
    }
}

/// 503, of which two kinds are certain.
fn unavailable(error: &ProviderError, rate: &RateHeaders) -> Outcome {
    match (error.code_str(), &error.code, rate.retry_after) {
        // SEND-SAFETY: MSG-290 states that sending failed and is to be tried later (documented). No other code says so.
        ("MSG-290", Some(code), after) => {
            Outcome::RetryLater { code: code.clone(), after: after.unwrap_or(DEFAULT_RETRY_AFTER) }
        }
        // SEND-SAFETY: an internal failure (documented for 500) may lie behind the queueing, whatever its status.
        ("CMN-203" | "MSG-352", _, _) => {
            Outcome::Unknown { reason: UnknownReason::Status(StatusCode::SERVICE_UNAVAILABLE) }
        }
        // SEND-SAFETY: RingCentral itself refused, and names the time of its own: load shedding, as with 429. A gateway's
        // 503 has no RingCentral body, and stays open.
        (_, Some(_), Some(_)) => throttled(error, rate),
        _ => Outcome::Unknown { reason: UnknownReason::Status(StatusCode::SERVICE_UNAVAILABLE) },
    }
}

/// Whose limit: the lane's if its headers are there. Without them it is another kind of limit (documented), and CMN-310 is
/// the one over all users by definition. CMN-304 is no limit at all: nobody but this lane has to wait for its own request.
pub(crate) fn throttle_scope(error: &ProviderError, rate: &RateHeaders) -> ThrottleScope {
    match error.code_str() {
        "CMN-304" => ThrottleScope::Lane,
        "CMN-310" => ThrottleScope::Wider,
        _ if rate.any_limit() => ThrottleScope::Lane,
        _ => ThrottleScope::Wider,
    }
}

fn throttled(error: &ProviderError, rate: &RateHeaders) -> Outcome {
    Outcome::Throttled { scope: throttle_scope(error, rate), after: rate.quiet_for() }
}

fn is_token_code(error: &ProviderError) -> bool {
    error.code_str().starts_with("OAU-") || error.code_str().starts_with("AGW-")
}

/// Whether the value at fault is one that all messages of an extension share: its number, or the extension itself. The error
/// names it as the request does (documented: `parameterName`).
fn is_of_the_sender(error: &ProviderError) -> bool {
    let name = error.parameter.as_ref().map_or("", |name| name.as_str());
    name == "from" || name.starts_with("from.") || name == "extensionId" || name == "accountId"
}

/// How far a refusal reaches, by its code; the codes are documented in the 2021 specification and on the errors page.
fn reject_scope(status: StatusCode, error: &ProviderError) -> RejectScope {
    match error.code_str() {
        "CMN-401" | "InsufficientPermissions" | "CMN-120" => RejectScope::App,
        "MSG-384" => RejectScope::Account,
        "CMN-109" | "CMN-402" | "CMN-403" | "CMN-404" | "CMN-405" | "CMN-408" | "CMN-419" => RejectScope::Extension,
        "MSG-241" | "MSG-242" | "MSG-245" | "MSG-304" | "MSG-310" | "MSG-314" | "MSG-367" => RejectScope::Extension,
        "MSG-380" | "MSG-397" | "BIL-103" => RejectScope::Extension,
        "CMN-100" | "CMN-101" | "CMN-102" if is_of_the_sender(error) => RejectScope::Extension,
        "MSG-240" | "MSG-403" | "CMN-101" | "CMN-406" | "InternationalProhibited" => RejectScope::Message,
        // Not RingCentral's own words: a gateway or a wrong server URL, which would refuse every message alike.
        "-" if matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => RejectScope::App,
        // Codes to come: 403 has so far always been about who sends, everything else about what is sent.
        _ if status == StatusCode::FORBIDDEN => RejectScope::Extension,
        _ => RejectScope::Message,
    }
}
