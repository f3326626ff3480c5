//! The ledger as others read it: one JSON object a line.

use serde::{Deserialize, Serialize};

use super::entry::{ApiEntry, SmsEntry, SmsOutcome, TokenEntry, TokenOutcome, WebhookEntry, WebhookEvent};
use crate::faults::Endpoint;
use crate::limits::Verdict;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LedgerLine {
    Sms(SmsLine),
    Token(TokenLine),
    Api(ApiLine),
    Webhook(WebhookLine),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsLine {
    /// Arrival, nanoseconds since the start of the simulator.
    pub at_ns: u64,
    pub extension: String,
    /// E.164; missing, like `to` and `text_hash`, when the request could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// See [`text_hash`](crate::text_hash).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_hash: Option<String>,
    /// Only of accepted messages, and only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `accepted`, `throttled`, `rejected` or `faulted`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub used: u32,
    pub in_penalty: bool,
    /// The recipient had opted out when the text arrived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opted_out: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLine {
    pub at_ns: u64,
    /// Missing when the credential names no known user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// `jwt`, `authorization_code`, `refresh_token`, `password`, `revoke` or `unknown`.
    pub grant: String,
    /// `issued`, `revoked`, `throttled`, `refused` or `faulted`.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub in_penalty: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Any request but sends and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiLine {
    pub at_ns: u64,
    /// Missing when the token was nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    pub operation: Endpoint,
    /// What was decided, before any fault changed the answer.
    pub status: u16,
    pub used: u32,
    pub in_penalty: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A request that the simulator made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookLine {
    pub at_ns: u64,
    pub extension: String,
    pub subscription: String,
    pub event: WebhookEvent,
    pub delivered: bool,
    /// Missing without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl SmsLine {
    pub(crate) fn new(extension_id: u64, entry: &SmsEntry, text: Option<&str>) -> Self {
        let (outcome, id, code) = match entry.outcome {
            SmsOutcome::Accepted { id, .. } => ("accepted", Some(id), None),
            SmsOutcome::Throttled => ("throttled", None, None),
            SmsOutcome::Rejected(code) => ("rejected", None, Some(code)),
            SmsOutcome::Faulted => ("faulted", None, None),
        };
        Self {
            at_ns: entry.at,
            extension: extension_id.to_string(),
            from: entry.parties.map(|(from, _)| from.to_string()),
            to: entry.parties.map(|(_, to)| to.to_string()),
            text_hash: entry.parties.map(|_| format!("{:016x}", entry.text_hash)),
            text: text.map(str::to_owned),
            outcome: outcome.to_owned(),
            id,
            code: code.map(str::to_owned),
            used: entry.used,
            in_penalty: entry.verdict == Verdict::InPenalty,
            opted_out: entry.opted_out,
            fault: entry.fault.map(str::to_owned),
        }
    }
}

impl TokenLine {
    pub(crate) fn new(entry: &TokenEntry) -> Self {
        let (outcome, code) = match entry.outcome {
            TokenOutcome::Issued => ("issued", None),
            TokenOutcome::Revoked => ("revoked", None),
            TokenOutcome::Throttled => ("throttled", None),
            TokenOutcome::Refused(code) => ("refused", Some(code)),
            TokenOutcome::Faulted => ("faulted", None),
        };
        Self {
            at_ns: entry.at,
            extension: entry.extension_id.map(|id| id.to_string()),
            grant: entry.grant.to_owned(),
            outcome: outcome.to_owned(),
            code: code.map(str::to_owned),
            in_penalty: entry.verdict == Verdict::InPenalty,
            fault: entry.fault.map(str::to_owned),
        }
    }
}

impl ApiLine {
    pub(crate) fn new(extension_id: Option<u64>, entry: &ApiEntry) -> Self {
        Self {
            at_ns: entry.at,
            extension: extension_id.map(|id| id.to_string()),
            operation: entry.operation,
            status: entry.status,
            used: entry.used,
            in_penalty: entry.verdict == Verdict::InPenalty,
            fault: entry.fault.map(str::to_owned),
        }
    }
}

impl WebhookLine {
    pub(crate) fn new(extension_id: u64, entry: &WebhookEntry) -> Self {
        Self {
            at_ns: entry.at,
            extension: extension_id.to_string(),
            subscription: entry.subscription.clone(),
            event: entry.event,
            delivered: entry.delivered,
            status: entry.status,
        }
    }
}
