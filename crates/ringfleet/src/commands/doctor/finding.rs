//! What the doctor finds: one line a check, with what was seen and what to do.

use ringcentral::{CallError, ConnectFault};
use ringfleet_explain::sense;
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// Could not be looked at, or does not matter here.
    Skip,
    /// Works, and will hurt one day.
    Warn,
    /// Keeps texts from going out, or will make promises break.
    Fail,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Skip => "skip",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at, in a word or two.
    pub(super) check: String,
    pub(super) level: Level,
    /// What was seen. Numbers are shortened, secrets are not in it.
    pub(super) seen: String,
    /// The provider's code, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_step: Option<String>,
}

impl Finding {
    fn new(check: &str, level: Level, seen: impl Into<String>) -> Self {
        Self { check: check.to_owned(), level, seen: seen.into(), code: None, next_step: None }
    }

    pub(super) fn ok(check: &str, seen: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, seen)
    }

    pub(super) fn skip(check: &str, why: impl Into<String>) -> Self {
        Self::new(check, Level::Skip, why)
    }

    pub(super) fn warn(check: &str, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self { next_step: Some(next.into()), ..Self::new(check, Level::Warn, seen) }
    }

    pub(super) fn fail(check: &str, seen: impl Into<String>, next: impl Into<String>) -> Self {
        Self { next_step: Some(next.into()), ..Self::new(check, Level::Fail, seen) }
    }

    /// A fault that the provider has a code for: the code's own sentence and next step, after what was seen.
    pub(super) fn coded(check: &str, level: Level, code: &str, seen: &str) -> Self {
        let separator = if seen.is_empty() { "" } else { ": " };
        let told = sense(code);
        let meaning = told.map_or("a code that is not in the table", |told| told.meaning);
        let next = told.and_then(|told| told.remedy).unwrap_or("ask RingCentral's support, with the time of this try");
        Self {
            code: Some(code.to_owned()),
            next_step: Some(next.to_owned()),
            ..Self::new(check, level, format!("{seen}{separator}{meaning} ({code})"))
        }
    }

    /// A call that gave no answer.
    pub(super) fn of_call(check: &str, error: &CallError) -> Self {
        match error {
            CallError::Connect { fault, .. } => {
                Self::fail(check, format!("can't be reached: {fault}"), connect_step(*fault))
            }
            CallError::Status { status, error, .. } => match &error.code {
                Some(code) => Self::coded(check, Level::Fail, code.as_str(), ""),
                None => Self::fail(
                    check,
                    format!("answered {} without a code of RingCentral's", status.as_u16()),
                    "look at ringcentral.server, and at proxies and gateways on the way",
                ),
            },
            CallError::Lost { fault, .. } => Self::fail(
                check,
                format!("the answer was lost: {fault}"),
                "try again; look at the network if it stays so",
            ),
            other => {
                Self::fail(check, other.to_string(), "look at ringcentral.server: it does not answer like RingCentral")
            }
        }
    }
}

fn connect_step(fault: ConnectFault) -> &'static str {
    match fault {
        ConnectFault::Dns => "correct the host name in ringcentral.server, or look at this machine's name resolution",
        ConnectFault::Refused => "is the server up, and the port in ringcentral.server right?",
        ConnectFault::Tls => {
            "its certificate is not trusted here: look at the host name, at this machine's clock and certificates, and at \
             proxies that open TLS"
        }
        ConnectFault::Timeout | ConnectFault::Network => "does a firewall let this machine out to the server?",
        ConnectFault::RefusedStream | ConnectFault::NotBuilt => "try again",
    }
}

/// Findings about one thing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) findings: Vec<Finding>,
}

impl Section {
    pub(super) fn new(title: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self { title: title.into(), findings }
    }

    /// The worst of them.
    pub(super) fn level(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Skip)
    }
}
