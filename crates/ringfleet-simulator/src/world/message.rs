//! Messages: accepted ones, and those that arrived. The status is worked out from the time when somebody asks; there is no timer
//! per message.

use std::sync::Arc;

use super::number::Number;
use crate::clock::Nanos;
use crate::faults::DeliveryStatus;

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) kind: MessageKind,
    /// When it was accepted from the client, or arrived.
    pub(crate) created_at: Nanos,
    pub(crate) from: Number,
    /// Several recipients make one group message, not several messages (documented).
    pub(crate) to: Box<[Number]>,
    /// As the client sent it, without the developer accounts' prefix. Empty for voicemail.
    pub(crate) text: Box<str>,
    /// When its owner deleted it.
    pub(crate) deleted_at: Option<Nanos>,
}

#[derive(Debug)]
pub(crate) enum MessageKind {
    Outbound(Delivery),
    Inbound,
    VoiceMail { seconds: u32 },
}

/// Where an outbound message ends, and the `deliveryErrorCode` if it fails.
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

/// `messageStatus` at some time, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageStatus {
    /// `None`: `Received`.
    pub(crate) delivery: Option<DeliveryStatus>,
    pub(crate) since: Nanos,
}

impl MessageStatus {
    pub(crate) fn name(self) -> &'static str {
        match self.delivery {
            None => "Received",
            Some(DeliveryStatus::Queued) => "Queued",
            Some(DeliveryStatus::Sent) => "Sent",
            Some(DeliveryStatus::Delivered) => "Delivered",
            Some(DeliveryStatus::DeliveryFailed) => "DeliveryFailed",
            Some(DeliveryStatus::SendingFailed) => "SendingFailed",
        }
    }
}

impl Message {
    /// `Queued → Sent → Delivered | DeliveryFailed`, or `Queued → SendingFailed` (documented); `delay` is between two of them.
    pub(crate) fn status(&self, delay: Nanos, now: Nanos) -> MessageStatus {
        use DeliveryStatus::{Delivered, DeliveryFailed, Queued, SendingFailed, Sent};
        let MessageKind::Outbound(delivery) = &self.kind else {
            return MessageStatus { delivery: None, since: self.created_at };
        };
        let first = self.created_at + delay;
        let second = first + delay;
        let (status, since) = match delivery.last {
            Queued => (Queued, self.created_at),
            _ if now < first => (Queued, self.created_at),
            SendingFailed => (SendingFailed, first),
            Sent => (Sent, first),
            Delivered | DeliveryFailed if now < second => (Sent, first),
            last @ (Delivered | DeliveryFailed) => (last, second),
        };
        MessageStatus { delivery: Some(status), since }
    }

    /// Only a message that has failed shows its code.
    pub(crate) fn error_code(&self, status: MessageStatus) -> Option<&str> {
        match &self.kind {
            MessageKind::Outbound(delivery) if status.delivery == Some(delivery.last) => delivery.code.as_deref(),
            _ => None,
        }
    }

    /// `direction` (documented).
    pub(crate) fn direction(&self) -> &'static str {
        match self.kind {
            MessageKind::Outbound(_) => "Outbound",
            MessageKind::Inbound | MessageKind::VoiceMail { .. } => "Inbound",
        }
    }

    /// `type`, and `messageType` in queries (documented).
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            MessageKind::Outbound(_) | MessageKind::Inbound => "SMS",
            MessageKind::VoiceMail { .. } => "VoiceMail",
        }
    }

    /// `availability` (documented). Nothing is here long enough to be purged.
    pub(crate) fn availability(&self) -> &'static str {
        if self.deleted_at.is_some() { "Deleted" } else { "Alive" }
    }

    /// Nobody reads what arrives here.
    pub(crate) fn read_status(&self) -> &'static str {
        match self.kind {
            MessageKind::Outbound(_) => "Read",
            MessageKind::Inbound | MessageKind::VoiceMail { .. } => "Unread",
        }
    }

    pub(crate) fn is_inbound_text(&self) -> bool {
        matches!(self.kind, MessageKind::Inbound)
    }

    pub(crate) fn involves(&self, number: Number) -> bool {
        self.from == number || self.to.contains(&number)
    }

    /// Messages between the same parties share a conversation, whoever began.
    pub(crate) fn conversation_id(&self) -> u64 {
        let parties = self.to.iter().fold(super::mix(self.from.0), |acc, to| acc.wrapping_add(super::mix(to.0)));
        super::mix(parties) >> 20
    }
}
