//! Who wants no more texts, and who wants them again: the words that RingCentral acts upon too (documented), as the whole of a
//! text to one of the extension's numbers. They count for that pair of numbers, as there.

use std::time::Duration;

use jiff::Timestamp;
use ringcentral::{
    Direction, ExtensionId, MessageKind, MessageRecord, Party, PhoneNumber, ProviderMessageId, WrittenNumber,
};
use ringfleet_store::{DocKind, Expect, OptOut, Private, StoreError};

use super::Mailboxes;
use crate::metrics;

const OUT: [&str; 5] = ["STOP", "UNSUBSCRIBE", "QUIT", "CANCEL", "END"];
const IN_AGAIN: [&str; 5] = ["START", "SUBSCRIBE", "RESUME", "CONTINUE", "UNSTOP"];
/// Longer than any full reading looks back.
const REMEMBERED: Duration = Duration::from_secs(35 * 86_400);

/// What a recipient has asked for.
pub(super) struct Wish {
    text: ProviderMessageId,
    at: Option<Timestamp>,
    out: bool,
    /// For each of our numbers that the text went to, and each number that a writing can mean: together, since a text is heard once.
    changes: Vec<OptOut>,
}

/// The wish of an inbound text, if it is one.
pub(super) fn wish(record: &MessageRecord) -> Option<Wish> {
    let inbound = matches!(record.direction, Direction::Inbound);
    if !inbound || !matches!(record.kind, MessageKind::Sms | MessageKind::Other) {
        return None;
    }
    let out = asks_for(record.text.as_ref()?.expose())?;
    let customer = readings(record.from.as_ref()?);
    let pairs = record.to.iter().flat_map(readings).flat_map(|own| {
        let own = Private::new(own.expose());
        customer.iter().map(move |customer| OptOut { from: own.clone(), to: Private::new(customer.expose()), out })
    });
    let changes: Vec<_> = pairs.collect();
    (!changes.is_empty()).then_some(Wish { text: record.id, at: record.creation_time, out, changes })
}

/// SEND-SAFETY: a number without its plus can be read in two ways. The wrong one would leave a customer who wants no more in the
/// fleet's reach, so a wish counts for both; what that costs is a stranger who gets no text from this one number.
fn readings(party: &Party) -> Vec<PhoneNumber> {
    party.phone_number.as_ref().map(WrittenNumber::readings).unwrap_or_default()
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
            self.store.set_opt_outs(Some(extension.as_str()), &wish.changes).await?;
            self.store.doc_put(DocKind::Progress, &key, Expect::Anything, Some(b""), Some(REMEMBERED)).await?;
            metrics::wish_heard(if wish.out { "opt_out" } else { "opt_in" });
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
        let told = |change: &OptOut| (change.from.expose().to_owned(), change.to.expose().to_owned(), change.out);
        wish(&record).iter().flat_map(|wish| &wish.changes).map(told).collect()
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
    #[test]
    fn a_foreign_number_without_its_plus_is_heard_as_well_as_the_north_american_one_that_it_looks_like() {
        for (word, out) in [("STOP", true), ("START", false)] {
            let pair = |to: &str| ("+15550100001".to_owned(), to.to_owned(), out);
            let from = |number: &str| heard(json!({"subject": word, "from": {"phoneNumber": number}}));
            assert_eq!(from("4722334455"), [pair("+14722334455"), pair("+4722334455")]);
            assert_eq!(from("+4722334455"), [pair("+4722334455")]);
        }
        let own = heard(json!({"to": [{"phoneNumber": "4722334455"}]}));
        assert_eq!(own.iter().map(|pair| pair.0.as_str()).collect::<Vec<_>>(), ["+14722334455", "+4722334455"]);
    }
}
