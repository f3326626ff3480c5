//! What a record of the message store says of something that came in.

use std::time::Duration;

use ringcentral::{Direction, ExtensionId, MessageKind, MessageRecord, Party, PhoneNumber};
use ringfleet_store::{Millis, Private, StoreError};

use super::Mailboxes;
use crate::{
    inbox::{Inbound, InboundKind},
    metrics,
};

/// Kept of a text. No SMS is as long, but the provider sets no bound, and a document has one: written as JSON, six bytes may stand
/// for one of these.
const MOST_TEXT_BYTES: usize = 10_000;

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
        text: text.map(|text| Private::new(text.beginning(MOST_TEXT_BYTES))),
    };
    Some((record.id.get().to_string(), inbound))
}

fn number(party: &Party) -> Option<PhoneNumber> {
    party.phone_number.as_ref().and_then(|written| written.normalised())
}

impl Mailboxes {
    /// Keeps what came in, each once. What the store will never take keeps nothing else from it: read again and again, it would
    /// keep its extension's mailbox from being read on for good.
    pub(super) async fn keep(&self, all: Vec<(String, Inbound)>) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        let now = self.store.now().await?;
        for (id, inbound) in all {
            let Some(rest) = rest_of(self.inbound.retention, inbound.at, now) else { continue };
            match self.inbox.put(&inbound, &id, rest).await {
                Ok(true) => metrics::received(inbound.kind.as_str()),
                Ok(false) => {}
                Err(error @ StoreError::Refused { .. }) => {
                    metrics::store_error("inbound", &error);
                    tracing::warn!(error = &error as &dyn std::error::Error, "something that came in can't be kept");
                }
                Err(error) => return Err(error),
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
#[allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
mod tests {
    use std::sync::Arc;

    use ringcentral::{Client, ClientConfig, ClientId, ClientSecret, ServerUrl, install_crypto};
    use ringfleet_identity::{KeyRing, Reader, Roster, Sessions, Vault, new_key};
    use ringfleet_store::{
        SharedStore, WorkerId,
        sqlite::{SqliteOptions, SqliteStore},
    };
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{inbox::Inbox, options::InboundOptions};

    fn mailboxes(store: SharedStore, retention: Duration) -> Arc<Mailboxes> {
        install_crypto();
        let server = ServerUrl::try_new("http://127.0.0.1:1").unwrap();
        let (app, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
        let client = Client::new(ClientConfig::new(server, app, secret)).unwrap();
        let vault = Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
        let (inbox, worker) = (Inbox::new(&vault), WorkerId::incarnation("this one"));
        let sessions = Sessions::new(vault, Roster::fixed([]), client, worker, Duration::from_secs(30));
        let options = InboundOptions { retention, ..InboundOptions::default() };
        Mailboxes::new(Reader::new(Arc::new(sessions)), inbox, options, Duration::ZERO, CancellationToken::new())
    }

    #[tokio::test]
    async fn a_text_that_was_forgotten_does_not_come_back_with_the_next_reading_of_it() {
        const RETENTION: Duration = Duration::from_secs(3);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fleet.db");
        let store: SharedStore = Arc::new(SqliteStore::open(&file, SqliteOptions::default()).await.unwrap());
        let mailboxes = mailboxes(store.clone(), RETENTION);
        let text = Inbound {
            extension: ExtensionId::try_new("400100001").unwrap(),
            kind: InboundKind::Text,
            at: store.now().await.unwrap(),
            from: None,
            to: None,
            text: Some(Private::new("See you on Monday")),
        };
        let kept = async || mailboxes.inbox.list().await.unwrap().inbound.len();
        let read = async || mailboxes.keep(vec![("7".to_owned(), text.clone())]).await.unwrap();
        read().await;
        assert_eq!(kept().await, 1);
        let forgotten = async {
            while kept().await > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(10 * RETENTION, forgotten).await.expect("it is forgotten in its time");
        read().await;
        assert_eq!(kept().await, 0);
    }

    #[tokio::test]
    async fn what_the_store_never_takes_keeps_nothing_else_from_being_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fleet.db");
        let store: SharedStore = Arc::new(SqliteStore::open(&file, SqliteOptions::default()).await.unwrap());
        let at = store.now().await.unwrap();
        let mailboxes = mailboxes(store, Duration::from_secs(3_600));
        let extension = ExtensionId::try_new("400100001").unwrap();
        let text = |text: String| {
            let created = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
            let raw = json!({"id": 7, "type": "SMS", "direction": "Inbound", "subject": text, "creationTime": created});
            received(&extension, &serde_json::from_value(raw).unwrap()).unwrap().1
        };
        // The last byte of what is kept falls into a character; and each byte takes the most room that one can.
        let (long, odd) = (text(format!("x{}", "é".repeat(50_000))), text("\u{1}".repeat(100_000)));
        assert_eq!(long.text.as_ref().map(|text| text.expose().len()), Some(MOST_TEXT_BYTES - 1));
        let all = [("7", long), ("no key\0", text("refused".into())), ("8", odd), ("9", text("the last".into()))];
        mailboxes.keep(all.map(|(id, inbound)| (id.to_owned(), inbound)).into()).await.unwrap();
        assert_eq!(mailboxes.inbox.list().await.unwrap().inbound.len(), 3);
    }

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
