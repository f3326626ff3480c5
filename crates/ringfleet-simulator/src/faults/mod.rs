//! Faults on demand: what goes wrong, for whom, how often.

mod magic;
mod play;
mod rules;

pub(crate) use magic::{OPTED_OUT, magic};
pub(crate) use play::play;
pub(crate) use rules::{FaultRules, Subject};

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::clock::Nanos;
use crate::limits::Plan;

/// What happens instead of, or besides, a normal answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Accepted, never answered.
    AcceptThenHang,
    /// Accepted, then the connection is reset.
    AcceptThenReset,
    /// Neither accepted nor answered.
    HangBeforeRead,
    /// Not accepted, the connection is reset.
    ResetBefore,
    /// Not accepted, and an error says so.
    ErrorBefore {
        status: u16,
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        retry_after: Option<RetryAfter>,
    },
    /// Accepted, and an error says the contrary.
    ErrorAfterAccept { status: u16 },
    /// A 429 that begins a real pause: with `headers` a penalty of this lane; without, it stands for a limit of the account or
    /// address, and nobody is let in.
    Throttle {
        #[serde(default)]
        retry_after: Option<RetryAfter>,
        #[serde(default)]
        headers: bool,
    },
    /// Accepted; 200 with a body that is no JSON.
    Garbage,
    /// Accepted; 200 whose body ends half-way, then the connection closes.
    Truncated,
    /// Accepted; 200 with 16 MiB of JSON and no id.
    Huge,
    /// Accepted; the body comes one byte at a time, ten in a second.
    Drip,
    /// Accepted; answered late.
    Delay { ms: u64 },
    /// Accepted and answered; what becomes of the message later.
    Delivery {
        status: DeliveryStatus,
        #[serde(default)]
        code: Option<String>,
    },
}

/// `Retry-After`: whole seconds, or any text to try a client's parser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    Seconds(u64),
    Text(String),
}

/// Whom an injected 429 keeps out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    OfTheLane(Nanos),
    OfEverybody(Nanos),
}

impl RetryAfter {
    /// Seconds, or the time until a date to come.
    fn meant(&self) -> Option<Nanos> {
        let seconds = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        match self {
            Self::Seconds(told) => Some(seconds(*told)),
            Self::Text(text) => text.trim().parse().map(seconds).ok().or_else(|| {
                let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
                let rest = date.duration_since(jiff::Timestamp::now());
                Nanos::try_from(rest.as_nanos()).ok().filter(|rest| *rest > 0)
            }),
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::Seconds(seconds) => Some(HeaderValue::from(*seconds)),
            Self::Text(text) => HeaderValue::from_str(text).ok(),
        }
    }
}

/// `messageStatus` of an outbound message (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryStatus {
    Queued,
    Sent,
    Delivered,
    DeliveryFailed,
    SendingFailed,
}

impl Fault {
    /// What a 429 begins: as long as it says. One that says nothing that can be meant stands for the plan's penalty, which a
    /// client has to keep to whatever it is told.
    pub(crate) fn pause(&self, plan: &Plan) -> Option<Pause> {
        let Self::Throttle { retry_after, headers } = self else { return None };
        let pause = retry_after.as_ref().and_then(RetryAfter::meant).unwrap_or(plan.penalty);
        Some(if *headers { Pause::OfTheLane(pause) } else { Pause::OfEverybody(pause) })
    }

    /// The message or token request takes effect in spite of the fault.
    pub(crate) fn takes_effect(&self) -> bool {
        match self {
            Self::HangBeforeRead | Self::ResetBefore | Self::ErrorBefore { .. } | Self::Throttle { .. } => false,
            Self::AcceptThenHang
            | Self::AcceptThenReset
            | Self::ErrorAfterAccept { .. }
            | Self::Garbage
            | Self::Truncated
            | Self::Huge
            | Self::Drip
            | Self::Delay { .. }
            | Self::Delivery { .. } => true,
        }
    }

    /// The name in JSON and in the ledger.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::AcceptThenHang => "accept_then_hang",
            Self::AcceptThenReset => "accept_then_reset",
            Self::HangBeforeRead => "hang_before_read",
            Self::ResetBefore => "reset_before",
            Self::ErrorBefore { .. } => "error_before",
            Self::ErrorAfterAccept { .. } => "error_after_accept",
            Self::Throttle { .. } => "throttle",
            Self::Garbage => "garbage",
            Self::Truncated => "truncated",
            Self::Huge => "huge",
            Self::Drip => "drip",
            Self::Delay { .. } => "delay",
            Self::Delivery { .. } => "delivery",
        }
    }
}

/// Where a rule applies, and the operation's name in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    #[default]
    Sms,
    Token,
    Account,
    AccountNumbers,
    Extensions,
    Extension,
    ExtensionNumbers,
    SmsConfiguration,
    AuthzProfile,
    MessageStore,
    MessageSync,
    CallLog,
    AccountCallLog,
    Consents,
    Subscription,
    /// Paths that lead nowhere.
    Unknown,
}

/// Conditions that all have to hold. Empty: every request of the endpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMatch {
    pub endpoint: Endpoint,
    /// A recipient's number or the beginning of one, with or without `+`. Only for `sms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// An extension id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// Part of the requests that match so far, 0 to 1, by the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// Each n-th request that matches so far, the n-th first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_nth: Option<u64>,
}

/// A fault with its conditions, as posted to `/simulator/faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Given by the simulator when empty. The same id again replaces the rule.
    #[serde(default)]
    pub id: String,
    #[serde(rename = "match", default)]
    pub matching: FaultMatch,
    pub fault: Fault,
    /// How often it strikes; without it, until it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}
