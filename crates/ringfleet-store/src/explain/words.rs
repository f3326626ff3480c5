//! The words of each reason: the same wherever it is told.

use std::fmt;

use super::Why;
use crate::{
    calls::QUIET_HOURS,
    message::{Millis, State},
};

impl Why {
    /// One word, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Why::Stopped { .. } => "stopped",
            Why::Parked { .. } => "parked",
            Why::Paused => "paused",
            Why::Gate { .. } => "gate",
            Why::Scheduled { .. } | Why::QuietHours { .. } => "scheduled",
            Why::PairBusy { .. } => "pair-busy",
            Why::Penalty { .. } => "penalty",
            Why::Probe => "probe",
            Why::Behind { .. } => "behind",
            Why::Window { .. } => "window",
            Why::LaneBusy { .. } => "lane-busy",
            Why::Turn => "turn",
            Why::Claimed { .. } => "claimed",
            Why::Sending { .. } => "sending",
            Why::Unknown { .. } => "unknown",
            Why::Held { .. } => "held",
            Why::Ended { .. } => "ended",
            Why::Idle => "idle",
            Why::NoWorkers => "no-workers",
        }
    }

    pub fn since(&self) -> Option<Millis> {
        match self {
            Why::Claimed { since, .. } | Why::Sending { since, .. } | Why::Unknown { since, .. } => Some(*since),
            Why::Held { since, .. } | Why::Ended { at: since, .. } => *since,
            _ => None,
        }
    }

    /// When it is over by itself, where that is known. Of an unknown fate: when it is looked up next.
    pub fn until(&self) -> Option<Millis> {
        match self {
            Why::Gate { until, .. } | Why::Scheduled { until } | Why::QuietHours { until } | Why::Penalty { until } => {
                Some(*until)
            }
            Why::Window { until, .. } | Why::Unknown { next_look: until, .. } => *until,
            _ => None,
        }
    }

    /// From when on it may have arrived: before that no send whose fate is unknown had begun.
    pub fn may_have_arrived(&self) -> Option<Millis> {
        match self {
            Why::Held { may_have_arrived, .. } | Why::Ended { may_have_arrived, .. } => *may_have_arrived,
            _ => None,
        }
    }

    /// The word or code that stands with it in the store.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Why::Stopped { reason }
            | Why::Parked { reason }
            | Why::Gate { reason, .. }
            | Why::Held { reason, .. }
            | Why::Ended { reason, .. } => Some(reason.as_str()).filter(|reason| !reason.is_empty()),
            Why::QuietHours { .. } => Some(QUIET_HOURS),
            _ => None,
        }
    }

    /// What a person can do about it, where anybody can.
    pub fn remedy(&self, extension: &str, id: &str) -> Option<String> {
        Some(match self {
            Why::Stopped { .. } => "`ringfleet fleet resume` lets the fleet go on".to_owned(),
            Why::Parked { .. } => format!("mend the cause, then `ringfleet lane resume {extension}`"),
            Why::Paused => format!("`ringfleet lane resume {extension}` lets it go on"),
            Why::Held { .. } => {
                format!("`ringfleet held show {id}` tells where to look; then `held close` or `held resend`")
            }
            // SEND-SAFETY: whoever is told no more than how to send it again does, though an earlier attempt may have arrived.
            Why::Ended { state: State::Dead, may_have_arrived: Some(_), .. } => {
                format!("`ringfleet held show {id}` tells where to look first; only if it is not there, `held resend`")
            }
            Why::Ended { may_have_arrived: Some(_), .. } => {
                format!("`ringfleet held show {id}` tells where to look before it is handed in anew")
            }
            Why::Ended { state: State::Dead, .. } => format!("`ringfleet held resend {id}` sends it again"),
            Why::NoWorkers => "start one: `ringfleet worker`, or `ringfleet up`".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Stopped { reason } => write!(f, "the fleet is stopped: {reason}"),
            Why::Parked { reason } => write!(f, "its extension is parked: {reason}"),
            Why::Paused => f.write_str("its extension is paused by an operator"),
            Why::Gate { reason, .. } => write!(f, "the whole fleet waits: {reason}"),
            Why::Scheduled { .. } => f.write_str("it is not due yet"),
            Why::QuietHours { .. } => f.write_str("its recipient has quiet hours"),
            Why::PairBusy { with, state } => {
                write!(f, "another message to the same number is {}, and goes first: {with}", state.as_str())
            }
            // Which of them it was is not kept.
            Why::Penalty { .. } => f.write_str(
                "its extension waits: after a 429, for a login, because a gateway refused, or because the provider or the store \
                 could not be reached",
            ),
            Why::Probe => f.write_str("after a wait one message of its extension goes alone, and has no answer yet"),
            Why::Behind { ahead, at_least: false } => write!(f, "{ahead} of its extension go first"),
            Why::Behind { ahead, at_least: true } => write!(f, "at least {ahead} of its extension go first"),
            Why::Window { limit, window_ms, .. } => {
                let seconds = f64::from(*window_ms) / 1e3;
                write!(f, "its extension has used its plan of {limit} in {seconds} s")
            }
            Why::LaneBusy { in_flight } => {
                write!(f, "{in_flight} of its extension are under way, no more may be at once")
            }
            Why::Turn => f.write_str("nothing is in its way: the next free worker takes it"),
            Why::Claimed { worker, .. } => write!(f, "worker {worker} has it in hand and has not begun to send it"),
            Why::Sending { worker, .. } => write!(f, "worker {worker} is sending it"),
            Why::Unknown { reads: 0, .. } => {
                f.write_str("nobody knows whether it was sent; the provider's message store will be read")
            }
            Why::Unknown { reads, .. } => write!(
                f,
                "nobody knows whether it was sent; the provider's message store was read {reads} times and does not show it"
            ),
            Why::Held { reason, .. } => {
                write!(f, "nobody knows whether it was sent, and a person must decide: {reason}")
            }
            Why::Ended { state, reason, may_have_arrived, .. } => {
                let maybe = may_have_arrived.map(|_| "an earlier attempt may have arrived; ").unwrap_or_default();
                let colon = if reason.is_empty() { "" } else { ": " };
                write!(f, "{maybe}it is {}{colon}{reason}", state.as_str())
            }
            Why::Idle => f.write_str("no message of it is due"),
            Why::NoWorkers => f.write_str("no worker is there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_waits_is_told_all_that_may_be_the_cause() {
        let told = Why::Penalty { until: 1 }.to_string();
        for part in
            ["after a 429", "for a login", "a gateway refused", "the provider or the store could not be reached"]
        {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }

    #[test]
    fn what_is_given_up_after_an_attempt_of_unknown_fate_is_not_told_as_not_sent() {
        let dead = |may_have_arrived| Why::Ended {
            state: State::Dead,
            at: Some(9),
            reason: "MSG-290".into(),
            may_have_arrived,
        };
        let (sure, unsure) = (dead(None), dead(Some(7)));
        assert_eq!(sure.to_string(), "it is dead: MSG-290");
        assert_eq!(sure.remedy("101", "msg_1").as_deref(), Some("`ringfleet held resend msg_1` sends it again"));
        assert_eq!(unsure.to_string(), "an earlier attempt may have arrived; it is dead: MSG-290");
        assert_eq!((unsure.since(), unsure.may_have_arrived()), (Some(9), Some(7)));
        let remedy = unsure.remedy("101", "msg_1").unwrap();
        assert!(remedy.starts_with("`ringfleet held show msg_1` tells where to look first"), "{remedy}");
        let expired = Why::Ended { state: State::Expired, at: None, reason: String::new(), may_have_arrived: Some(7) };
        assert_eq!(expired.to_string(), "an earlier attempt may have arrived; it is expired");
        assert!(expired.remedy("101", "msg_1").unwrap().contains("before it is handed in anew"));
    }
}
