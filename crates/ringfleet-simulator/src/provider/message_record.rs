//! A message as the API shows it, in the answer to a send and in the message store.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::account::extension_uri;
use super::answer::Millis;
use crate::clock::{Nanos, nanos};
use crate::faults::DeliveryStatus;
use crate::world::{Message, MessageKind, Number, World};

pub(super) const LOCATION: &str = "Springfield, IL";
const AUDIO_BYTES_A_SECOND: usize = 4_000;

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
    message_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_delivery_time: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms_sending_attempts_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm_transcription_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<Conversation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Recipient<'a> {
    phone_number: Shown,
    location: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_status: Option<&'static str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    vm_duration: Option<u32>,
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

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// The answer to a send: always `Queued`, numbers as E.164.
    Answer,
    MessageStore,
}

/// The record of `message`; `name` is that of the extension's user.
pub(super) fn record<'a>(
    world: &'a World,
    index: usize,
    name: &'a str,
    message: &'a Message,
    shelf: Shelf,
    now: Nanos,
) -> MessageRecord<'a> {
    let at = if shelf == Shelf::Answer { message.created_at } else { now };
    let status = message.status(nanos(world.config.status_delay), at);
    let code = message.error_code(status);
    let plus = shelf == Shelf::Answer || !world.config.store_numbers_without_plus;
    let outbound = matches!(message.kind, MessageKind::Outbound(_));
    let group = message.to.len() > 1;
    let recipient = |to: &Number| Recipient {
        phone_number: Shown { number: *to, plus },
        location: LOCATION,
        name: (!outbound).then_some(name),
        message_status: outbound.then_some(status.name()),
        recipient_id: to.0.to_string(),
        error_code: code,
        target: group,
    };
    let home = extension_uri(world, index);
    let uri = format!("{home}/message-store/{}", message.id);
    let modified = world.clock.timestamp(status.since);
    let prefix = match outbound {
        true => world.config.text_prefix.as_deref().unwrap_or_default(),
        false => "",
    };
    let voicemail = match message.kind {
        MessageKind::VoiceMail { seconds } => Some(seconds),
        MessageKind::Outbound(_) | MessageKind::Inbound => None,
    };
    let conversation = voicemail.is_none().then(|| message.conversation_id());
    MessageRecord {
        id: message.id,
        to: message.to.iter().map(recipient).collect(),
        from: Sender {
            phone_number: Shown { number: message.from, plus },
            name: outbound.then_some(name),
            location: LOCATION,
        },
        kind: message.type_name(),
        creation_time: Millis(world.clock.timestamp(message.created_at)),
        last_modified_time: Millis(world.clock.timestamp(status.since.max(message.deleted_at.unwrap_or_default()))),
        read_status: message.read_status(),
        priority: "Normal",
        attachments: [Attachment {
            id: message.id,
            uri: format!("{uri}/content/{}", message.id),
            kind: if voicemail.is_some() { "AudioRecording" } else { "Text" },
            content_type: if voicemail.is_some() { "audio/mpeg" } else { "text/plain" },
            size: voicemail
                .map_or(prefix.len() + message.text.len(), |seconds| seconds as usize * AUDIO_BYTES_A_SECOND),
            vm_duration: voicemail,
        }],
        direction: message.direction(),
        availability: message.availability(),
        subject: Subject(prefix, &message.text),
        message_status: status.name(),
        delivery_error_code: code,
        sms_delivery_time: (status.delivery == Some(DeliveryStatus::Delivered)).then_some(Millis(modified)),
        sms_sending_attempts_count: outbound.then_some(1),
        vm_transcription_status: voicemail.map(|_| "NotAvailable"),
        conversation_id: conversation,
        conversation: conversation
            .map(|id| Conversation { id: id.to_string(), uri: format!("{home}/conversation/{id}") }),
        extension_id: (shelf == Shelf::MessageStore).then(|| world.directory.extension_id(index)),
        uri,
    }
}

/// An inbound text as the `instant` event tells it: a whole message, whose id is a string there (documented).
pub(crate) fn instant_body(world: &World, index: usize, message: &Message, now: Nanos) -> Value {
    let name = world.directory.name(index);
    let mut body = json!(record(world, index, &name, message, Shelf::MessageStore, now));
    body["id"] = message.id.to_string().into();
    body
}
