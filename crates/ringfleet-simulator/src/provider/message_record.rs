//! A message as the API shows it, in the answer to a send and in the message store.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::account::extension_uri;
use crate::clock::{Nanos, nanos};
use crate::faults::DeliveryStatus;
use crate::world::{Message, Number, World};

const LOCATION: &str = "Springfield, IL";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageRecord<'a> {
    uri: String,
    id: u64,
    to: Vec<Recipient<'a>>,
    from: Sender<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    creation_time: Millis,
    last_modified_time: Millis,
    read_status: &'static str,
    priority: &'static str,
    attachments: [Attachment; 1],
    direction: &'static str,
    availability: &'static str,
    subject: Subject<'a>,
    message_status: DeliveryStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_delivery_time: Option<Millis>,
    sms_sending_attempts_count: u32,
    conversation_id: u64,
    conversation: Conversation,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recipient<'a> {
    phone_number: Shown,
    location: &'static str,
    message_status: DeliveryStatus,
    recipient_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    target: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sender<'a> {
    phone_number: Shown,
    name: &'a str,
    location: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    id: u64,
    uri: String,
    #[serde(rename = "type")]
    kind: &'static str,
    content_type: &'static str,
    size: usize,
}

#[derive(Serialize)]
struct Conversation {
    id: String,
    uri: String,
}

/// Numbers come back "usually" as E.164 or plain digits (documented): clients must normalise them.
struct Shown {
    number: Number,
    plus: bool,
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.plus {
            true => self.number.serialize(serializer),
            false => self.number.without_plus().serialize(serializer),
        }
    }
}

/// The text behind the prefix of developer accounts.
struct Subject<'a>(&'a str, &'a str);

impl Serialize for Subject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            "" => serializer.serialize_str(self.1),
            prefix => serializer.collect_str(&format_args!("{prefix}{}", self.1)),
        }
    }
}

/// `2026-01-02T03:04:05.678Z`: always three decimals.
struct Millis(Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// The answer to a send: always `Queued`, numbers as E.164.
    Answer,
    MessageStore,
}

/// The record of `message`; `name` is the sender's.
pub(super) fn record<'a>(
    world: &'a World,
    index: usize,
    name: &'a str,
    message: &'a Message,
    shelf: Shelf,
    now: Nanos,
) -> MessageRecord<'a> {
    let (status, since) = match shelf {
        Shelf::Answer => (DeliveryStatus::Queued, message.accepted_at),
        Shelf::MessageStore => message.status(nanos(world.config.status_delay), now),
    };
    let code = message.error_code(status);
    let plus = shelf == Shelf::Answer || !world.config.store_numbers_without_plus;
    let prefix = world.config.text_prefix.as_deref().unwrap_or_default();
    let home = extension_uri(world, index);
    let uri = format!("{home}/message-store/{}", message.id);
    let group = message.to.len() > 1;
    let recipient = |to: &Number| Recipient {
        phone_number: Shown { number: *to, plus },
        location: LOCATION,
        message_status: status,
        recipient_id: to.0.to_string(),
        error_code: code,
        target: group,
    };
    let modified = world.clock.timestamp(since);
    let conversation = message.conversation_id();
    MessageRecord {
        id: message.id,
        to: message.to.iter().map(recipient).collect(),
        from: Sender { phone_number: Shown { number: message.from, plus }, name, location: LOCATION },
        kind: "SMS",
        creation_time: Millis(world.clock.timestamp(message.accepted_at)),
        last_modified_time: Millis(modified),
        read_status: "Read",
        priority: "Normal",
        attachments: [Attachment {
            id: message.id,
            uri: format!("{uri}/content/{}", message.id),
            kind: "Text",
            content_type: "text/plain",
            size: prefix.len() + message.text.len(),
        }],
        direction: "Outbound",
        availability: "Alive",
        subject: Subject(prefix, &message.text),
        message_status: status,
        delivery_error_code: code,
        sms_delivery_time: (status == DeliveryStatus::Delivered).then_some(Millis(modified)),
        sms_sending_attempts_count: 1,
        conversation_id: conversation,
        conversation: Conversation { id: conversation.to_string(), uri: format!("{home}/conversation/{conversation}") },
        extension_id: (shelf == Shelf::MessageStore).then(|| world.directory.extension_id(index)),
        uri,
    }
}
