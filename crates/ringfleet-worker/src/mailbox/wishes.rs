//! Who wants no more texts, and who wants them again: the words that RingCentral acts upon too (documented), as the whole of a
//! text to one of the extension's numbers. They count for that pair of numbers, as there.

use std::time::Duration;

use jiff::Timestamp;
use ringcentral::{Direction, ExtensionId, MessageKind, MessageRecord, PhoneNumber, ProviderMessageId};
use ringfleet_store::{DocKind, Expect, OptOut, Private, StoreError};

use super::{Mailboxes, received::number};
use crate::metrics;

const OUT: [&str; 5] = ["STOP", "UNSUBSCRIBE", "QUIT", "CANCEL", "END"];
const IN_AGAIN: [&str; 5] = ["START", "SUBSCRIBE", "RESUME", "CONTINUE", "UNSTOP"];
/// Longer than any full reading looks back.
const REMEMBERED: Duration = Duration::from_secs(35 * 86_400);

/// What a recipient has asked for.
pub(super) struct Wish {
    text: ProviderMessageId,
    at: Option<Timestamp>,
    change: OptOut,
}

/// The wishes of an inbound text: none, or one for each of our numbers that it went to.
pub(super) fn wishes(record: &MessageRecord) -> Vec<Wish> {
    let inbound = matches!(record.direction, Direction::Inbound);
    if !inbound || !matches!(record.kind, MessageKind::Sms | MessageKind::Other) {
        return Vec::new();
    }
    let Some(out) = record.text.as_ref().and_then(|text| asks_for(text.expose())) else { return Vec::new() };
    let Some(customer) = record.from.as_ref().and_then(number) else { return Vec::new() };
    let wish = |own: PhoneNumber| Wish {
        text: record.id,
        at: record.creation_time,
        change: OptOut { from: Private::new(own.expose()), to: Private::new(customer.expose()), out },
    };
    record.to.iter().filter_map(number).map(wish).collect()
}

/// `true` out, `false` in again.
fn asks_for(text: &str) -> Option<bool> {
    let word = text.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    let among = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if among(&OUT) {
        return Some(true);
    }
    among(&IN_AGAIN).then_some(false)
}

impl Mailboxes {
    /// Takes note of wishes, the oldest first.
    ///
    /// SEND-SAFETY: each counts once, however often its text is read, so that an opt-in or an operator who came later has the last
    /// word. Dying in the middle repeats the last one.
    pub(super) async fn heed(&self, extension: &ExtensionId, mut heard: Vec<Wish>) -> Result<(), StoreError> {
        heard.sort_by_key(|wish| (wish.at, wish.text.get()));
        for wish in heard {
            let key = format!("{}/{extension}/heard/{}", self.app(), wish.text.get());
            if self.store.doc_get(DocKind::Progress, &key).await?.is_some() {
                continue;
            }
            let out = wish.change.out;
            self.store.set_opt_outs(Some(extension.as_str()), &[wish.change]).await?;
            self.store.doc_put(DocKind::Progress, &key, Expect::Anything, Some(b""), Some(REMEMBERED)).await?;
            metrics::wish_heard(if out { "opt_out" } else { "opt_in" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(change: serde_json::Value) -> Vec<(String, String, bool)> {
        let mut raw = json!({"id": 1, "type": "SMS", "direction": "Inbound", "subject": "Stop",
            "from": {"phoneNumber": "15550200001"}, "to": [{"phoneNumber": "+15550100001"}]});
        for (key, value) in change.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        let record = serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"));
        let told =
            |wish: Wish| (wish.change.from.expose().to_owned(), wish.change.to.expose().to_owned(), wish.change.out);
        wishes(&record).into_iter().map(told).collect()
    }

    #[test]
    fn a_word_alone_is_a_wish_for_the_pair_of_numbers() {
        let pair = |out| vec![("+15550100001".to_owned(), "+15550200001".to_owned(), out)];
        for out in ["STOP", "stop", " Stop. ", "\"unsubscribe\"\n", "QUIT!", "cancel", "End"] {
            assert_eq!(heard(json!({"subject": out})), pair(true), "{out}");
        }
        for back in ["START", "subscribe", "Resume", "CONTINUE", "unstop"] {
            assert_eq!(heard(json!({"subject": back})), pair(false), "{back}");
        }
        for other in ["Please stop", "STOPPED", "", "Yes", "stop it"] {
            assert!(heard(json!({"subject": other})).is_empty(), "{other}");
        }
        for other in [
            json!({"direction": "Outbound"}),
            json!({"type": "VoiceMail"}),
            json!({"from": null}),
            json!({"from": {"phoneNumber": "83675"}}),
            json!({"subject": null}),
        ] {
            assert!(heard(other.clone()).is_empty(), "{other}");
        }
    }
}
