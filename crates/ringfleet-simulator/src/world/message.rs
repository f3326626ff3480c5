//! Accepted messages. The status is worked out from the time when somebody asks; there is no timer per message.

use std::sync::Arc;

use super::number::Number;
use crate::clock::Nanos;
use crate::faults::DeliveryStatus;

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) accepted_at: Nanos,
    pub(crate) from: Number,
    /// Several recipients make one group message, not several messages (documented).
    pub(crate) to: Box<[Number]>,
    /// As the client sent it, without the developer accounts' prefix.
    pub(crate) text: Box<str>,
    pub(crate) delivery: Delivery,
}

/// Where a message ends, and the `deliveryErrorCode` if it fails.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) last: DeliveryStatus,
    pub(crate) code: Option<Arc<str>>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { last: DeliveryStatus::Delivered, code: None }
    }
}

impl Message {
    /// The status at `now` and the instant at which it was reached.
    ///
    /// `Queued → Sent → Delivered | DeliveryFailed`, or `Queued → SendingFailed` (documented).
    pub(crate) fn status(&self, delay: Nanos, now: Nanos) -> (DeliveryStatus, Nanos) {
        use DeliveryStatus::{Delivered, DeliveryFailed, Queued, SendingFailed, Sent};
        let first = self.accepted_at + delay;
        let second = first + delay;
        match self.delivery.last {
            Queued => (Queued, self.accepted_at),
            _ if now < first => (Queued, self.accepted_at),
            SendingFailed => (SendingFailed, first),
            Sent => (Sent, first),
            Delivered | DeliveryFailed if now < second => (Sent, first),
            last @ (Delivered | DeliveryFailed) => (last, second),
        }
    }

    /// Only a message that has failed shows its code.
    pub(crate) fn error_code(&self, status: DeliveryStatus) -> Option<&str> {
        (status == self.delivery.last).then_some(self.delivery.code.as_deref()).flatten()
    }

    /// Messages between the same two parties share a conversation.
    pub(crate) fn conversation_id(&self) -> u64 {
        let recipients = self.to.iter().fold(0, |acc, to| super::mix(acc ^ to.0));
        super::mix(self.from.0 ^ recipients) >> 20
    }
}
