//! What a record of the message store says of something that came in.

use std::time::Duration;

use ringcentral::{Direction, ExtensionId, MessageKind, MessageRecord, Party, PhoneNumber};
use ringfleet_store::{Millis, Private, StoreError};

use super::Mailboxes;
use crate::{
    inbox::{Inbound, InboundKind},
    metrics,
};

/// A text or a voicemail that came in, with the provider's id.
pub(super) fn received(extension: &ExtensionId, record: &MessageRecord) -> Option<(String, Inbound)> {
    let kind = match record.kind {
        MessageKind::Sms => InboundKind::Text,
        MessageKind::VoiceMail => InboundKind::Voicemail,
        _ => return None,
    };
    if record.direction != Direction::Inbound {
        return None;
    }
    let text = record.text.as_ref().filter(|_| kind == InboundKind::Text);
    let inbound = Inbound {
        extension: extension.clone(),
        kind,
        at: record.creation_time?.as_millisecond(),
        from: record.from.as_ref().and_then(number),
        to: record.to.iter().find_map(number),
        text: text.map(|text| Private::new(text.expose())),
    };
    Some((record.id.get().to_string(), inbound))
}

fn number(party: &Party) -> Option<PhoneNumber> {
    party.phone_number.as_ref().and_then(|written| written.normalised())
}

impl Mailboxes {
    /// Keeps what came in, each once.
    pub(super) async fn keep(&self, all: Vec<(String, Inbound)>) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        let now = self.store.now().await?;
        for (id, inbound) in all {
            if let Some(rest) = rest_of(self.inbound.retention, inbound.at, now)
                && self.inbox.put(&inbound, &id, rest).await?
            {
                metrics::received(inbound.kind.as_str());
            }
        }
        Ok(())
    }
}

/// How much longer what came in `at` that time is kept; `None` for what was forgotten and is only read once more.
fn rest_of(retention: Duration, at: Millis, now: Millis) -> Option<Duration> {
    let age = Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or(0));
    retention.checked_sub(age).filter(|rest| !rest.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_came_in_is_kept_from_its_own_time_and_does_not_come_back_when_it_is_read_once_more() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(rest_of(hour, 1_000, 61_000), Some(Duration::from_secs(3_540)));
        assert_eq!(rest_of(hour, 61_000, 1_000), Some(hour), "the provider's clock is ahead");
        assert_eq!(rest_of(hour, 1_000, 3_601_000), None);
        assert_eq!(rest_of(hour, 1_000, 90_000_000), None);
    }

    #[test]
    fn inbound_texts_and_voicemails_are_kept_and_nothing_else() {
        let extension = ExtensionId::try_new("400100001").expect("an id");
        let kept = |kind: &str, direction: &str| {
            let raw = json!({"id": 7, "type": kind, "direction": direction, "subject": "canary", "from": {},
                "to": [{"phoneNumber": "15550100001"}], "creationTime": "2026-01-02T03:04:05.678Z"});
            let record = serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"));
            received(&extension, &record)
        };
        let (id, text) = kept("SMS", "Inbound").expect("a text");
        assert_eq!(
            (id.as_str(), text.kind, text.at, text.from.is_none()),
            ("7", InboundKind::Text, 1_767_323_045_678, true)
        );
        assert_eq!(text.to.as_ref().map(PhoneNumber::expose), Some("+15550100001"));
        assert!(
            text.text.as_ref().is_some_and(|text| text.expose() == "canary") && !format!("{text:?}").contains("canary")
        );
        let (_, voicemail) = kept("VoiceMail", "Inbound").expect("a voicemail");
        assert_eq!((voicemail.kind, voicemail.text), (InboundKind::Voicemail, None));
        assert!(kept("SMS", "Outbound").is_none() && kept("Fax", "Inbound").is_none());
    }
}
