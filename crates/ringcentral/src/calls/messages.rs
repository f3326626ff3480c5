//! The message store: what the provider knows of texts sent and received.

use jiff::Timestamp;
use serde::Deserialize;

use super::page::Page;
use super::paging::{MAX_PER_PAGE, between, from_page};
use super::read::{Read, Whose};
use crate::ids::ProviderMessageId;
use crate::label::{self, Label};
use crate::operation::Operation;
use crate::phone::{PhoneNumber, WrittenNumber};
use crate::serde_text;
use crate::text::StoredText;
use crate::words::{Availability, Direction, MessageKind, MessageStatus, ReadStatus};

/// Which messages to list. The dates are always sent: without them the server looks back 24 hours only (documented).
#[derive(Debug, Clone)]
pub struct MessageQuery {
    pub date_from: Timestamp,
    pub date_to: Timestamp,
    /// Empty means all; so does it for `kinds`.
    pub directions: Vec<Direction>,
    pub kinds: Vec<MessageKind>,
    /// Empty means those that nobody has deleted.
    pub availabilities: Vec<Availability>,
    /// Only messages that were read, or were not.
    pub read_status: Option<ReadStatus>,
    /// Only messages to or from this number.
    pub phone_number: Option<PhoneNumber>,
    /// Counted from 1.
    pub page: u32,
    /// 1 to 1000.
    pub per_page: u32,
}

impl MessageQuery {
    /// All messages between two instants, a hundred a page.
    pub fn new(date_from: Timestamp, date_to: Timestamp) -> Self {
        Self {
            date_from,
            date_to,
            directions: Vec::new(),
            kinds: Vec::new(),
            availabilities: Vec::new(),
            read_status: None,
            phone_number: None,
            page: 1,
            per_page: 100,
        }
    }

    /// Outbound texts between two instants.
    pub fn outbound_sms(date_from: Timestamp, date_to: Timestamp) -> Self {
        Self::of(Direction::Outbound, MessageKind::Sms, date_from, date_to)
    }

    /// Texts received between two instants.
    pub fn inbound_sms(date_from: Timestamp, date_to: Timestamp) -> Self {
        Self::of(Direction::Inbound, MessageKind::Sms, date_from, date_to)
    }

    /// Voicemail left between two instants.
    pub fn voicemail(date_from: Timestamp, date_to: Timestamp) -> Self {
        Self::of(Direction::Inbound, MessageKind::VoiceMail, date_from, date_to)
    }

    fn of(direction: Direction, kind: MessageKind, date_from: Timestamp, date_to: Timestamp) -> Self {
        let (directions, kinds) = (vec![direction], vec![kind]);
        Self { directions, kinds, per_page: MAX_PER_PAGE, ..Self::new(date_from, date_to) }
    }

    /// Arrays are repeated keys (seen in every SDK on the wire).
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::from(between(self.date_from, self.date_to));
        let known_direction = self.directions.iter().filter(|direction| **direction != Direction::Other);
        pairs.extend(known_direction.map(|direction| ("direction", direction.as_str().to_owned())));
        let known_kind = self.kinds.iter().filter(|kind| **kind != MessageKind::Other);
        pairs.extend(known_kind.map(|kind| ("messageType", kind.as_str().to_owned())));
        let known_availability = self.availabilities.iter().filter(|one| **one != Availability::Other);
        pairs.extend(known_availability.map(|one| ("availability", one.as_str().to_owned())));
        let known_status = self.read_status.iter().filter(|status| **status != ReadStatus::Other);
        pairs.extend(known_status.map(|status| ("readStatus", status.as_str().to_owned())));
        pairs.extend(self.phone_number.iter().map(|number| ("phoneNumber", number.expose().to_owned())));
        pairs.extend(from_page(self.page, self.per_page));
        pairs
    }
}

/// One message of the store. What a reconciler decides by (id, parties, text, time) must be readable, or the whole page
/// is refused; the rest may be missing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRecord {
    pub id: ProviderMessageId,
    #[serde(rename = "type", default)]
    pub kind: MessageKind,
    #[serde(default)]
    pub direction: Direction,
    #[serde(rename = "messageStatus", default)]
    pub status: MessageStatus,
    /// What a sync tells of a message that was deleted.
    #[serde(default)]
    pub availability: Availability,
    #[serde(default)]
    pub read_status: ReadStatus,
    pub from: Option<Party>,
    #[serde(default, deserialize_with = "serde_text::list")]
    pub to: Vec<Party>,
    /// The text itself stands in the subject (documented).
    #[serde(rename = "subject")]
    pub text: Option<StoredText>,
    pub creation_time: Option<Timestamp>,
    pub last_modified_time: Option<Timestamp>,
    /// Such as `SMS-CAR-413`: who refused, and why.
    #[serde(default, deserialize_with = "label::lenient")]
    pub delivery_error_code: Option<Label>,
}

/// A sender or recipient. Names and places are not read: nothing here needs them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    pub phone_number: Option<WrittenNumber>,
    #[serde(rename = "messageStatus", default)]
    pub status: MessageStatus,
}

impl MessageRecord {
    /// Whether the message is an SMS, or may be one: of a kind without a name here that can't be told.
    pub fn may_be_sms(&self) -> bool {
        !matches!(self.kind, MessageKind::Fax | MessageKind::VoiceMail | MessageKind::Pager)
    }

    /// Whether the message went to this number, however the provider wrote it; `None` if that can't be told.
    pub fn is_to(&self, number: &PhoneNumber) -> Option<bool> {
        let told: Vec<Option<bool>> = self.to.iter().map(|party| party.is(number)).collect();
        let to_others = !told.is_empty() && told.iter().all(|told| *told == Some(false));
        if told.contains(&Some(true)) { Some(true) } else { to_others.then_some(false) }
    }

    /// Whether the message came from this number, however the provider wrote it; `None` if that can't be told.
    pub fn is_from(&self, number: &PhoneNumber) -> Option<bool> {
        self.from.as_ref()?.is(number)
    }
}

impl Party {
    fn is(&self, number: &PhoneNumber) -> Option<bool> {
        self.phone_number.as_ref()?.means(number)
    }
}

impl Read<Page<MessageRecord>> {
    /// Messages of the token's extension; another one's are its owner's alone. Group Light; the app and the user need
    /// `ReadMessages` (documented).
    pub fn messages(query: &MessageQuery) -> Self {
        Self::new(Operation::LIST_MESSAGES, format!("{}/message-store", Whose::Own.path())).with(query.pairs())
    }
}

impl Read<MessageRecord> {
    /// One message of the token's extension; 404 with `CMN-102` if it has no such message. Group Light; the app and the user
    /// need `ReadMessages` (documented).
    pub fn message(id: ProviderMessageId) -> Self {
        Self::new(Operation::READ_MESSAGE, format!("{}/message-store/{id}", Whose::Own.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_read_and_printed_without_private_values() {
        let record: MessageRecord = serde_json::from_str(
            r#"{"uri":"x","id":1001,"type":"SMS","direction":"Outbound","from":{"phoneNumber":"15550100001","name":"canary"},
                "to":[{"phoneNumber":"(555) 010-0002","messageStatus":"Queued","target":true}],
                "creationTime":"2026-01-02T03:04:05.678Z","subject":"canary text","messageStatus":"DeliveryFailed",
                "deliveryErrorCode":"SMS-CAR-413","conversationId":555,"segmentCount":null}"#,
        )
        .expect("a record");
        let number = |text: &str| PhoneNumber::try_new(text).expect("valid");
        let (first, second) = (number("+15550100001"), number("+15550100002"));
        assert_eq!((record.is_from(&first), record.is_from(&second)), (Some(true), Some(false)));
        assert_eq!((record.is_to(&second), record.is_to(&first)), (Some(true), Some(false)));
        assert_eq!(record.status, MessageStatus::DeliveryFailed);
        assert_eq!(record.delivery_error_code.as_ref().map(Label::as_str), Some("SMS-CAR-413"));
        let printed = format!("{record:?}");
        assert!(!printed.contains("canary") && !printed.contains("010"), "{printed}");
    }

    #[test]
    fn parties_that_are_missing_or_illegible_are_nobody_else() {
        let number = PhoneNumber::try_new("+15550100001").expect("valid");
        let of = |json: &str| serde_json::from_str::<MessageRecord>(json).expect("a record");
        for to in ["[]", r#"[{"name":"A B"}]"#, r#"[{"phoneNumber":"+15550100002"},{"phoneNumber":"x"}]"#] {
            assert_eq!(of(&format!(r#"{{"id":1,"to":{to}}}"#)).is_to(&number), None, "{to}");
        }
        let group = r#"{"id":1,"to":[{"phoneNumber":"x"},{"phoneNumber":"+15550100001"}]}"#;
        assert_eq!(of(group).is_to(&number), Some(true));
        for from in ["null", "{}", r#"{"phoneNumber":"5550100001 x"}"#] {
            assert_eq!(of(&format!(r#"{{"id":1,"from":{from}}}"#)).is_from(&number), None, "{from}");
        }
    }

    #[test]
    fn record_that_could_hide_a_match_is_refused() {
        for record in [r#"{"to":[]}"#, r#"{"id":1,"to":[{"phoneNumber":{}}]}"#, r#"{"id":1,"creationTime":"soon"}"#] {
            assert!(serde_json::from_str::<MessageRecord>(record).is_err(), "{record}");
        }
        assert!(serde_json::from_str::<MessageRecord>(r#"{"id":1,"from":null,"type":null}"#).is_ok());
    }
}
