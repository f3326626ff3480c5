//! A message on its way: what a producer hands in, what a worker claims, what an operator sees.

use std::fmt;

use crate::{
    delivery::DeliveryReport,
    ids::{Fingerprint, IdempotencyKey, LaneId, LeaseToken, MessageId},
};

/// Milliseconds since 1970 on the *store's* clock. Zero never occurs as a real time.
pub type Millis = i64;

/// Which of a lane's messages goes first; strict, within one lane only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Priority {
    High = 0,
    #[default]
    Normal = 1,
    Low = 2,
}

impl Priority {
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    pub fn as_str(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|p| *p as u8 == code)
    }
}

/// What becomes of a send whose fate is unknown: a time-out, a broken connection, a 5xx, a worker that died half way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum OnUnknown {
    /// The provider's message store is asked; what it can't decide is held.
    #[default]
    Reconcile = 0,
    /// Held at once, for a person.
    Hold = 1,
    /// Sent again at once, and counted. The recipient may get the text twice: a choice, never a default.
    Resend = 2,
}

impl OnUnknown {
    pub const ALL: [OnUnknown; 3] = [OnUnknown::Reconcile, OnUnknown::Hold, OnUnknown::Resend];

    pub fn as_str(self) -> &'static str {
        match self {
            OnUnknown::Reconcile => "reconcile",
            OnUnknown::Hold => "hold",
            OnUnknown::Resend => "resend",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| *policy as u8 == code)
    }
}

/// Where a message is in its life: scheduled → ready → claimed → sending → sent → delivered, or one of the other ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum State {
    /// Waits for its `send_at`, or for the delay after a failed attempt.
    Scheduled = 1,
    /// Waits for a place in its lane's window.
    Ready = 2,
    /// A worker holds a lease and a slot; nothing was sent.
    Claimed = 3,
    /// The intent is written: a POST may be under way.
    Sending = 4,
    /// The provider accepted it.
    Sent = 5,
    /// The provider refused it for good.
    Rejected = 6,
    /// Its `send_by` passed first.
    Expired = 7,
    /// Taken back by the producer.
    Cancelled = 8,
    /// Gave up after too many attempts or recoveries.
    Dead = 9,
    /// Nobody knows whether it was sent, and the provider can't tell: a person must look.
    Held = 10,
    /// Nobody knows whether it was sent; the provider's message store is being asked.
    Unknown = 11,
    /// Its recipient has opted out: it is not sent.
    Suppressed = 12,
    /// Sent, and the provider says that it arrived.
    Delivered = 13,
    /// Sent, and the provider says that it did not arrive.
    DeliveryFailed = 14,
}

impl State {
    pub const ALL: [State; 14] = [
        State::Scheduled,
        State::Ready,
        State::Claimed,
        State::Sending,
        State::Sent,
        State::Rejected,
        State::Expired,
        State::Cancelled,
        State::Dead,
        State::Held,
        State::Unknown,
        State::Suppressed,
        State::Delivered,
        State::DeliveryFailed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Ready => "ready",
            State::Claimed => "claimed",
            State::Sending => "sending",
            State::Sent => "sent",
            State::Rejected => "rejected",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
            State::Dead => "dead",
            State::Held => "held",
            State::Unknown => "unknown",
            State::Suppressed => "suppressed",
            State::Delivered => "delivered",
            State::DeliveryFailed => "delivery_failed",
        }
    }

    /// The provider accepted it, whatever is known of its delivery.
    pub fn was_sent(self) -> bool {
        matches!(self, State::Sent | State::Delivered | State::DeliveryFailed)
    }

    /// Nothing more happens to it by itself, but that a sent one may turn out to be delivered or not. `Held` is not an end:
    /// somebody has to decide.
    pub fn is_final(self) -> bool {
        use State::{Cancelled, Dead, Expired, Rejected, Suppressed};
        self.was_sent() || matches!(self, Rejected | Expired | Cancelled | Dead | Suppressed)
    }

    /// Whether [`Store::list`](crate::Store::list) knows its messages: those that have ended, and those of which a person or the
    /// provider has to tell.
    pub fn is_listed(self) -> bool {
        self.is_final() || matches!(self, State::Held | State::Unknown)
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| *s as u8 == code)
    }
}

/// Text and numbers of customers. Prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Private(String);

impl Private {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What a producer hands in, already validated.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub lane: LaneId,
    pub key: Option<IdempotencyKey>,
    pub from: Private,
    pub to: Private,
    pub text: Private,
    pub priority: Priority,
    pub on_unknown: OnUnknown,
    /// Not before this time; in the past or `None` means now.
    pub send_at: Option<Millis>,
    /// Not after this time: the message expires instead.
    pub send_by: Option<Millis>,
}

impl NewMessage {
    /// What makes two requests with one key the same request. Priority and policy are left out: they make no other text.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[
            self.lane.as_str().as_bytes(),
            self.from.expose().as_bytes(),
            self.to.expose().as_bytes(),
            self.text.expose().as_bytes(),
            &self.send_at.unwrap_or(0).to_be_bytes(),
            &self.send_by.unwrap_or(0).to_be_bytes(),
        ])
    }
}

/// A message in a worker's hand: claimed, with a slot in its lane's window, not sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: MessageId,
    pub token: LeaseToken,
    pub lane: LaneId,
    pub from: Private,
    pub to: Private,
    pub text: Private,
    pub priority: Priority,
    /// Attempts that failed so far.
    pub attempt: u32,
    /// Times a worker died with it in hand.
    pub recoveries: u32,
    pub created_at: Millis,
    /// When it became due: `send_at`, or the time it was enqueued.
    pub due_at: Millis,
}

/// Names a lease in the calls that follow a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    pub id: MessageId,
    pub token: LeaseToken,
}

impl Lease {
    pub fn reference(&self) -> LeaseRef {
        LeaseRef { id: self.id, token: self.token }
    }
}

/// One message as an operator or its producer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    pub id: MessageId,
    pub lane: LaneId,
    pub state: State,
    pub from: Private,
    pub to: Private,
    /// Empty once the message is `sent`: a text is kept no longer than it is needed.
    pub text: Private,
    pub priority: Priority,
    pub attempt: u32,
    pub recoveries: u32,
    pub created_at: Millis,
    pub send_at: Option<Millis>,
    pub send_by: Option<Millis>,
    pub on_unknown: OnUnknown,
    /// Why it is in this state: a provider code or one of ours, such as `worker-lost`. Of a waiting message: why it came
    /// back, if a send's fate had to be found out.
    pub reason: String,
    /// The provider's id of the text, once accepted.
    pub provider_id: Option<String>,
    /// When it reached a final state, was held, or its fate became unknown; of a delivered one, when it was sent.
    pub finished_at: Option<Millis>,
    /// Before this time the send whose fate is or was unknown had certainly not begun.
    pub intent_at: Option<Millis>,
    /// How often the provider's message store was read for it without finding it.
    pub reads: u32,
    /// Of a message that is `delivered` or `delivery_failed`.
    pub delivery: Option<DeliveryReport>,
}

impl MessageView {
    /// When it came into its state: reached a final one, was held, or its fate became unknown. By this it is listed and its changes are
    /// told; of a delivered one its report came later than its end.
    pub fn came_into_state(&self) -> Option<Millis> {
        self.delivery.as_ref().map_or(self.finished_at, |report| Some(report.at))
    }

    /// From when on it may have arrived, of a message that is not known as sent: while its fate is unknown or a person must decide,
    /// and where it has ended after an earlier attempt of which nobody knows.
    pub fn may_have_arrived(&self) -> Option<Millis> {
        may_have_arrived(self.state, self.on_unknown, self.intent_at, self.reads)
    }
}

/// SEND-SAFETY: who takes it for not sent sends it again. By the policy `resend` a send of unknown fate is followed by another at
/// once, and what is told of the last one says nothing of those before; two readings without a match have looked for all of
/// them. By the other policies each one's fate was found out before the next began.
pub(crate) fn may_have_arrived(
    state: State,
    on_unknown: OnUnknown,
    intent_at: Option<Millis>,
    reads: u32,
) -> Option<Millis> {
    let open = match state {
        State::Unknown | State::Held => true,
        State::Rejected | State::Expired | State::Cancelled | State::Dead | State::Suppressed => {
            on_unknown == OnUnknown::Resend && reads < 2
        }
        // It waits or is under way, or it is known as sent.
        _ => false,
    };
    intent_at.filter(|_| open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_the_fate_of_an_attempt_stayed_unknown_may_an_ended_message_have_arrived() {
        let told = |state, policy, reads| may_have_arrived(state, policy, Some(7), reads).is_some();
        for policy in OnUnknown::ALL {
            assert!(told(State::Held, policy, 0) && told(State::Unknown, policy, 1), "{policy:?}");
            for state in [State::Sent, State::Delivered, State::DeliveryFailed, State::Ready, State::Sending] {
                assert!(!told(state, policy, 0), "{state:?} {policy:?}");
            }
            for state in [State::Dead, State::Expired, State::Rejected, State::Cancelled, State::Suppressed] {
                assert_eq!(told(state, policy, 0), policy == OnUnknown::Resend, "{state:?} {policy:?}");
                assert!(!told(state, policy, 2), "all of them were looked for");
            }
        }
        assert_eq!(may_have_arrived(State::Dead, OnUnknown::Resend, None, 0), None, "each attempt had an answer");
    }
}
