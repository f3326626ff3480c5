//! The message store: what the provider knows of texts sent and received.

use jiff::Timestamp;
use serde::Deserialize;

use super::page::Page;
use crate::answer::{Answer, CallError};
use crate::client::{Caller, Client};
use crate::ids::ProviderMessageId;
use crate::label::{self, Label};
use crate::phone::{PhoneNumber, WrittenNumber};
use crate::text::StoredText;
use crate::words::{Direction, MessageKind, MessageStatus};

/// Most records of one page (documented).
const MAX_PER_PAGE: u32 = 1000;

/// Which messages to list. The dates are always sent: without them the server looks back 24 hours only (documented).
#[derive(Debug, Clone)]
pub struct MessageQuery {
    pub date_from: Timestamp,
    pub date_to: Timestamp,
    /// Empty means all; so does it for `kinds`.
    pub directions: Vec<Direction>,
    pub kinds: Vec<MessageKind>,
    /// Only messages to or from this number.
    pub phone_number: Option<PhoneNumber>,
    /// 1 to 1000.
    pub per_page: u32,
}

impl MessageQuery {
    /// All messages between two instants, a hundred a page.
    pub fn new(date_from: Timestamp, date_to: Timestamp) -> Self {
        let (directions, kinds) = (Vec::new(), Vec::new());
        Self { date_from, date_to, directions, kinds, phone_number: None, per_page: 100 }
    }

    /// Outbound texts between two instants: what a reconciler asks for.
    pub fn outbound_sms(date_from: Timestamp, date_to: Timestamp) -> Self {
        let (directions, kinds) = (vec![Direction::Outbound], vec![MessageKind::Sms]);
        Self { directions, kinds, per_page: MAX_PER_PAGE, ..Self::new(date_from, date_to) }
    }

    /// Arrays are repeated keys (seen in every SDK on the wire).
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            // SEND-SAFETY: rounded outwards, since a message just outside a rounded bound would count as never sent.
            ("dateFrom", rfc3339_ms(self.date_from.as_nanosecond().div_euclid(1_000_000))),
            ("dateTo", rfc3339_ms(-(-self.date_to.as_nanosecond()).div_euclid(1_000_000))),
        ];
        let known_direction = self.directions.iter().filter(|direction| **direction != Direction::Other);
        pairs.extend(known_direction.map(|direction| ("direction", direction.as_str().to_owned())));
        let known_kind = self.kinds.iter().filter(|kind| **kind != MessageKind::Other);
        pairs.extend(known_kind.map(|kind| ("messageType", kind.as_str().to_owned())));
        pairs.extend(self.phone_number.iter().map(|number| ("phoneNumber", number.expose().to_owned())));
        pairs.push(("page", String::from("1")));
        pairs.push(("perPage", self.per_page.clamp(1, MAX_PER_PAGE).to_string()));
        pairs
    }
}

fn rfc3339_ms(milliseconds: i128) -> String {
    let instant = i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", instant.unwrap_or(Timestamp::MAX))
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
    pub from: Option<Party>,
    #[serde(default)]
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
    /// Whether the message went to this number, however the provider wrote it.
    pub fn is_to(&self, number: &PhoneNumber) -> bool {
        self.to.iter().filter_map(|party| party.phone_number.as_ref()).any(|written| written.means(number))
    }

    /// Whether the message came from this number, however the provider wrote it.
    pub fn is_from(&self, number: &PhoneNumber) -> bool {
        self.from.as_ref().and_then(|party| party.phone_number.as_ref()).is_some_and(|written| written.means(number))
    }
}

impl Client {
    /// Lists messages of the token's extension, one page; [`next_page`](Self::next_page) goes on. Group Light; the app
    /// and the user need `ReadMessages` (documented).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn list_messages(
        &self,
        caller: Caller<'_>,
        query: &MessageQuery,
    ) -> Result<Answer<Page<MessageRecord>>, CallError> {
        let mut url = self.config().server.at("/restapi/v1.0/account/~/extension/~/message-store");
        url.query_pairs_mut().extend_pairs(query.pairs());
        self.page(caller, url).await
    }

    /// Reads one message. Group Light.
    ///
    /// # Errors
    /// [`CallError`]; 404 with `CMN-102` if the extension has no such message.
    pub async fn get_message(
        &self,
        caller: Caller<'_>,
        id: ProviderMessageId,
    ) -> Result<Answer<MessageRecord>, CallError> {
        self.object(caller, &format!("/restapi/v1.0/account/~/extension/~/message-store/{id}")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_explicit_and_rounded_outwards() {
        let from = "2026-01-02T03:04:05.6789Z".parse().expect("timestamp");
        let to = "2026-01-02T03:04:05.6781Z".parse().expect("timestamp");
        let pairs = MessageQuery::outbound_sms(from, to).pairs();
        let expected = [
            ("dateFrom", "2026-01-02T03:04:05.678Z"),
            ("dateTo", "2026-01-02T03:04:05.679Z"),
            ("direction", "Outbound"),
            ("messageType", "SMS"),
            ("page", "1"),
            ("perPage", "1000"),
        ];
        assert!(pairs.iter().map(|(name, value)| (*name, value.as_str())).eq(expected), "{pairs:?}");
    }

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
        assert!(record.is_from(&number("+15550100001")) && !record.is_from(&number("+15550100002")));
        assert!(record.is_to(&number("+15550100002")) && !record.is_to(&number("+15550100001")));
        assert_eq!(record.status, MessageStatus::DeliveryFailed);
        assert_eq!(record.delivery_error_code.as_ref().map(Label::as_str), Some("SMS-CAR-413"));
        let printed = format!("{record:?}");
        assert!(!printed.contains("canary") && !printed.contains("010"), "{printed}");
    }

    #[test]
    fn record_that_could_hide_a_match_is_refused() {
        for record in [r#"{"to":[]}"#, r#"{"id":1,"to":[{"phoneNumber":{}}]}"#, r#"{"id":1,"creationTime":"soon"}"#] {
            assert!(serde_json::from_str::<MessageRecord>(record).is_err(), "{record}");
        }
        assert!(serde_json::from_str::<MessageRecord>(r#"{"id":1,"from":null,"type":null}"#).is_ok());
    }
}
