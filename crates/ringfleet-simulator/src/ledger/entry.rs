//! Compact entries, kept in memory for the whole run.

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
use crate::faults::Endpoint;
use crate::limits::Verdict;
use crate::world::Number;

/// One `POST …/sms` of a known extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SmsEntry {
    /// Arrival of the request's head.
    pub(crate) at: Nanos,
    /// `None` when the request could not be read. `to` is the first recipient.
    pub(crate) parties: Option<(Number, Number)>,
    pub(crate) text_hash: u64,
    pub(crate) outcome: SmsOutcome,
    pub(crate) verdict: Verdict,
    /// Requests in the window, this one included if admitted.
    pub(crate) used: u32,
    /// The recipient had opted out when the text arrived.
    pub(crate) opted_out: bool,
    pub(crate) fault: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmsOutcome {
    /// `index` is the place among the extension's messages.
    Accepted {
        id: u64,
        index: u32,
    },
    Throttled,
    Rejected(&'static str),
    /// A fault kept it from being accepted.
    Faulted,
}

/// One request to the token endpoint.
#[derive(Debug, Clone)]
pub(crate) struct TokenEntry {
    pub(crate) at: Nanos,
    pub(crate) extension_id: Option<u64>,
    pub(crate) grant: &'static str,
    pub(crate) outcome: TokenOutcome,
    pub(crate) verdict: Verdict,
    pub(crate) fault: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenOutcome {
    Issued,
    Revoked,
    Throttled,
    Refused(&'static str),
    Faulted,
}

/// Any other request, of a known extension or of nobody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiEntry {
    pub(crate) at: Nanos,
    pub(crate) operation: Endpoint,
    /// What was decided, before any fault changed the answer.
    pub(crate) status: u16,
    pub(crate) verdict: Verdict,
    pub(crate) used: u32,
    pub(crate) fault: Option<&'static str>,
}

/// One request to somebody's webhook.
#[derive(Debug, Clone)]
pub(crate) struct WebhookEntry {
    /// When the answer was there, or was given up.
    pub(crate) at: Nanos,
    pub(crate) subscription: String,
    pub(crate) event: WebhookEvent,
    pub(crate) delivered: bool,
    /// Missing without an answer.
    pub(crate) status: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookEvent {
    Handshake,
    MessageStore,
    Instant,
    MissedCall,
    Reminder,
}
