//! Who wants no more texts, and who wants them again: the words that RingCentral acts upon too (documented), as the whole of a
//! text to one of the extension's numbers. They count for that pair of numbers, as there.

use std::{cmp::Reverse, collections::HashSet, time::Duration};

use jiff::Timestamp;
use ringcentral::{Direction, ExtensionId, MessageRecord, Party, PhoneNumber, ProviderMessageId, WrittenNumber};
use ringfleet_store::{DocKind, Expect, Millis, OptOut, Private, SharedStore, StoreError};

use crate::metrics;

const OUT: [&str; 5] = ["STOP", "UNSUBSCRIBE", "QUIT", "CANCEL", "END"];
const IN_AGAIN: [&str; 5] = ["START", "SUBSCRIBE", "RESUME", "CONTINUE", "UNSTOP"];
/// Longer than any full reading looks back.
const REMEMBERED: Duration = super::cursor::REMEMBERED.saturating_add(Duration::from_secs(5 * 86_400));

/// An older START is not heeded; a STOP is, however old.
const OLDEST_START_MS: Millis = 30 * 86_400_000;

/// What the note of a wish says.
const BEGUN: &[u8] = b"begun";
const HEEDED: &[u8] = b"";

/// What a recipient has asked for with one text.
pub(super) struct Wish {
    text: ProviderMessageId,
    at: Timestamp,
    out: bool,
    /// For each of our numbers that the text went to, and each number that a writing can mean: together, since a text is heard once.
    changes: Vec<OptOut>,
}

impl Wish {
    /// Whether it asks again for texts as this outbound one, and was said after it. Both times are the provider's.
    pub(super) fn is_opt_in_after(&self, sent: &MessageRecord) -> bool {
        let fits = |pair: &OptOut| {
            let [from, to] = [&pair.from, &pair.to].map(|number| PhoneNumber::try_new(number.expose()).ok());
            from.is_some_and(|from| sent.is_from(&from) == Some(true))
                && to.is_some_and(|to| sent.is_to(&to) == Some(true))
        };
        !self.out && sent.creation_time.is_some_and(|sent| self.at > sent) && self.changes.iter().any(fits)
    }
}

/// The wish of an inbound text, if it is one.
pub(super) fn wish(record: &MessageRecord) -> Option<Wish> {
    let inbound = matches!(record.direction, Direction::Inbound);
    if !inbound || !record.may_be_sms() {
        return None;
    }
    let out = asks_for(record.text.as_ref()?.expose())?;
    // SEND-SAFETY: of a text that does not say when, a STOP is the last word, and a START may be an old one.
    let at = record.creation_time.or(out.then_some(Timestamp::MAX))?;
    let mut customer = readings(record.from.as_ref()?);
    if !out {
        // SEND-SAFETY: who means the other number has not asked for texts again.
        customer.truncate(1);
    }
    let pairs = record.to.iter().flat_map(readings).flat_map(|own| {
        let own = Private::new(own.expose());
        customer.iter().map(move |customer| OptOut { from: own.clone(), to: Private::new(customer.expose()), out })
    });
    let changes: Vec<_> = pairs.collect();
    (!changes.is_empty()).then_some(Wish { text: record.id, at, out, changes })
}

/// SEND-SAFETY: a number without its plus can be read in two ways. The wrong one would leave a customer who wants no more in the
/// fleet's reach, so a STOP counts for both; what that costs is a stranger who gets no text from this one number.
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

/// Takes note of wishes. What can't be heeded or noted keeps no other from it, and the first failure is given at the end.
///
/// SEND-SAFETY: of what was said between two numbers the last word counts, whatever of it was noted before: a store that takes
/// no note makes the next reading hear everything again, an old START among it. `clock_skew`: so far the provider's clock, by
/// which wishes have their times, may be ahead of the store's.
pub(super) async fn heed(
    store: &SharedStore,
    app: &str,
    extension: &ExtensionId,
    mut heard: Vec<Wish>,
    clock_skew: Duration,
) -> Result<(), StoreError> {
    heard.sort_by_key(|wish| Reverse((wish.at, wish.text.get())));
    // SEND-SAFETY: a sync and the list after it may both have a text; the second must not pass for said over by the first, and be
    // noted where that one failed.
    let mut texts = HashSet::new();
    heard.retain(|wish| texts.insert(wish.text.get()));
    let mut said = HashSet::new();
    let mut failed = None;
    for mut wish in heard {
        wish.changes.retain(|pair| said.insert((pair.from.expose().to_owned(), pair.to.expose().to_owned())));
        failed = failed.or(heed_one(store, app, extension, &wish, clock_skew).await.err());
    }
    failed.map_or(Ok(()), Err)
}

/// SEND-SAFETY: each counts once, however often its text is read, so that an opt-in or an operator who came later has the last
/// word. Dying in the middle repeats it.
async fn heed_one(
    store: &SharedStore,
    app: &str,
    extension: &ExtensionId,
    wish: &Wish,
    clock_skew: Duration,
) -> Result<(), StoreError> {
    let key = format!("{app}/{extension}/heard/{}", wish.text.get());
    if store.doc_get(DocKind::Progress, &key).await?.is_some_and(|doc| doc.body == HEEDED) {
        return Ok(());
    }
    if wish.changes.is_empty() {
        // They said something else later.
        return note(store, &key, HEEDED).await;
    }
    let at = wish.at.as_millisecond();
    if !wish.out && at < store.now().await? - OLDEST_START_MS {
        // SEND-SAFETY: said before an absence of weeks, and perhaps before somebody entered that they want no more.
        return note(store, &key, HEEDED).await;
    }
    if !wish.out {
        // SEND-SAFETY: a START that can't be noted, as on a full store, waits: it would be heeded again with each reading, and
        // lift what an operator has set meanwhile. A STOP waits for nothing.
        note(store, &key, BEGUN).await?;
    }
    if wish.out {
        store.set_opt_outs(Some(extension.as_str()), &wish.changes).await?;
    } else {
        // SEND-SAFETY: a START is read minutes after it was said, and lifts nothing that was noted or entered meanwhile.
        store.lift_opt_outs(Some(extension.as_str()), &wish.changes, at).await?;
        // The same pair of numbers, as a person or a backend has entered it: those go with the number. Once: heeded again because
        // one shard is silent it would lift what was entered anew meanwhile, which keeps the time of its first entry; and the
        // doubtful case is not to send.
        // SEND-SAFETY: nor what was entered so shortly before it that the clocks may be wrong about the order. Of a STOP that was
        // heard the note is later than the STOP itself, so above a START soon after it is to count; one that the clocks put before
        // the note does not, and whoever said it has to say it again.
        let until = at.saturating_sub(clock_skew.as_millis() as Millis);
        if let Err(error) = store.lift_opt_outs(None, &wish.changes, until).await {
            metrics::store_error("lift_opt_outs", &error);
        }
    }
    note(store, &key, HEEDED).await?;
    metrics::wish_heard(if wish.out { "opt_out" } else { "opt_in" });
    Ok(())
}

async fn note(store: &SharedStore, key: &str, how_far: &[u8]) -> Result<(), StoreError> {
    store.doc_put(DocKind::Progress, key, Expect::Anything, Some(how_far), Some(REMEMBERED)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{Clock, sqlite::SqliteOptions};
    use ringfleet_testkit::RedisServer;
    use serde_json::json;

    use super::*;
    use crate::tests::rig::{mend, redis, spoil, sqlite};

    const CUSTOMER: &str = "+15550200001";
    const SKEW: Duration = Duration::from_secs(120);

    fn record(change: serde_json::Value) -> MessageRecord {
        let mut raw = json!({"id": 1, "type": "SMS", "direction": "Inbound", "subject": "Stop",
            "creationTime": Timestamp::now().to_string(),
            "from": {"phoneNumber": "15550200001"}, "to": [{"phoneNumber": "+15550100001"}]});
        for (key, value) in change.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        serde_json::from_value(raw).unwrap_or_else(|error| panic!("{error}"))
    }

    fn heard(change: serde_json::Value) -> Vec<(String, String, bool)> {
        let told = |change: OptOut| (change.from.expose().to_owned(), change.to.expose().to_owned(), change.out);
        wish(&record(change)).into_iter().flat_map(|wish| wish.changes).map(told).collect()
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
        for kind in ["Text", "a kind that nobody knows yet"] {
            assert_eq!(heard(json!({"type": kind})), pair(true), "{kind}");
        }
        for other in ["Please stop", "STOPPED", "", "Yes", "stop it"] {
            assert!(heard(json!({"subject": other})).is_empty(), "{other}");
        }
        for other in [
            json!({"direction": "Outbound"}),
            json!({"type": "VoiceMail"}),
            json!({"subject": "START", "creationTime": null}),
            json!({"from": null}),
            json!({"from": {"phoneNumber": "83675"}}),
            json!({"subject": null}),
        ] {
            assert!(heard(other.clone()).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_stop_of_ten_digits_counts_for_both_numbers_that_they_can_mean_and_a_start_for_the_likelier() {
        let pair = |to: &str, out| ("+15550100001".to_owned(), to.to_owned(), out);
        let from = |word: &str, number: &str| heard(json!({"subject": word, "from": {"phoneNumber": number}}));
        assert_eq!(from("STOP", "4722334455"), [pair("+14722334455", true), pair("+4722334455", true)]);
        assert_eq!(from("STOP", "+4722334455"), [pair("+4722334455", true)]);
        assert_eq!(from("START", "4722334455"), [pair("+14722334455", false)]);
        assert_eq!(from("START", "+4722334455"), [pair("+4722334455", false)]);
        let own = heard(json!({"to": [{"phoneNumber": "4722334455"}]}));
        assert_eq!(own.iter().map(|pair| pair.0.as_str()).collect::<Vec<_>>(), ["+14722334455", "+4722334455"]);
    }

    struct Fleet {
        store: SharedStore,
        extension: ExtensionId,
        _folder: Option<tempfile::TempDir>,
    }

    impl Fleet {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let fleet = Self::on(sqlite(folder.path(), SqliteOptions::default()).await);
            Self { _folder: Some(folder), ..fleet }
        }

        fn on(store: SharedStore) -> Self {
            Self { store, extension: ExtensionId::try_new("400100001").expect("an id"), _folder: None }
        }

        async fn hears(&self, records: &[MessageRecord]) {
            self.tries_to_hear(records).await.expect("heeded");
        }

        async fn tries_to_hear(&self, records: &[MessageRecord]) -> Result<(), StoreError> {
            let heard = records.iter().filter_map(wish).collect();
            heed(&self.store, "main", &self.extension, heard, SKEW).await
        }

        async fn is_out(&self, own: &str) -> bool {
            let (own, customer) = (Private::new(own), Private::new(CUSTOMER));
            self.store.opted_out(self.extension.as_str(), &own, &customer).await.expect("an answer")
        }

        async fn operator_lets(&self, own: &str, out: bool) {
            let change = OptOut { from: Private::new(own), to: Private::new(CUSTOMER), out };
            self.store.set_opt_outs(Some(self.extension.as_str()), &[change]).await.expect("set");
        }
    }

    #[tokio::test]
    async fn a_text_to_several_of_our_numbers_counts_for_each_of_them_and_once() {
        let (fleet, own) = (Fleet::new().await, ["+15550100001", "+15550100002"]);
        let stop = record(json!({"to": [{"phoneNumber": own[0]}, {"phoneNumber": own[1]}]}));
        fleet.hears(std::slice::from_ref(&stop)).await;
        assert!(fleet.is_out(own[0]).await && fleet.is_out(own[1]).await);
        fleet.operator_lets(own[1], false).await;
        fleet.hears(&[stop]).await;
        assert!(fleet.is_out(own[0]).await && !fleet.is_out(own[1]).await);
    }

    /// As after a time in which the store could note some and not others.
    #[tokio::test]
    async fn an_old_start_that_was_not_noted_lifts_no_later_stop() {
        let (fleet, own) = (Fleet::new().await, "+15550100001");
        let now = Timestamp::now().as_second();
        let at = |id: u64, text: &str| {
            // The last one is said after what the test notes.
            let created = Timestamp::from_second(now - 120 + 60 * id as i64).expect("a time").to_string();
            record(json!({"id": id, "subject": text, "creationTime": created}))
        };
        fleet.hears(&[at(2, "STOP")]).await;
        fleet.hears(&[at(1, "START"), at(2, "STOP")]).await;
        assert!(fleet.is_out(own).await);
        fleet.hears(&[at(1, "START"), at(2, "STOP"), at(3, "START")]).await;
        assert!(!fleet.is_out(own).await);
        fleet.operator_lets(own, true).await;
        fleet.hears(&[at(1, "START"), at(2, "STOP"), at(3, "START")]).await;
        assert!(fleet.is_out(own).await);
    }

    #[tokio::test]
    async fn a_start_lifts_nothing_that_was_entered_after_it_was_said() {
        const NOW: Millis = 1_767_323_045_000;
        let own = "+15550100001";
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteOptions { clock: Clock::by_hand(NOW).0, ..SqliteOptions::default() };
        let fleet = Fleet::on(sqlite(folder.path(), options).await);
        let opt_out = [OptOut { from: Private::new(own), to: Private::new(CUSTOMER), out: true }];
        let skew = SKEW.as_millis() as Millis;
        let mut id = 0;
        // By a person or a backend, whose time is the store's alone; and as it is noted of a STOP, or imported.
        for (extension, lifted_by) in [(None, NOW + skew), (Some(fleet.extension.as_str()), NOW)] {
            fleet.store.set_opt_outs(extension, &opt_out).await.expect("entered");
            for (said, out) in [(NOW - 300_000, true), (lifted_by - 1, true), (lifted_by, false)] {
                id += 1;
                let created = Timestamp::from_millisecond(said).expect("a time").to_string();
                fleet.hears(&[record(json!({"id": id, "subject": "START", "creationTime": created}))]).await;
                assert_eq!(fleet.is_out(own).await, out, "{extension:?}, said {} ms later", said - NOW);
            }
        }
    }

    #[tokio::test]
    async fn a_stop_that_does_not_say_when_is_the_last_word() {
        let (fleet, own) = (Fleet::new().await, "+15550100001");
        let start = record(json!({"id": 2, "subject": "START"}));
        fleet.hears(&[record(json!({"creationTime": null})), start]).await;
        assert!(fleet.is_out(own).await);
    }

    #[tokio::test]
    async fn a_stop_that_can_not_be_heeded_now_is_heeded_with_the_next_reading() {
        let (server, own) = (RedisServer::start(), "+15550100001");
        let fleet = Fleet::on(redis(&server).await);
        let stop = record(json!({}));
        // As of a sync, and of the list after it.
        let twice = [stop.clone(), stop];
        // Opt-outs can't be written for a while; that a wish was heeded could be.
        spoil(&server, "out");
        assert!(fleet.tries_to_hear(&twice).await.is_err());
        mend(&server, "out");
        fleet.hears(&twice).await;
        assert!(fleet.is_out(own).await);
    }

    #[tokio::test]
    async fn after_an_absence_of_weeks_an_old_stop_counts_and_an_old_start_does_not() {
        let (fleet, own) = (Fleet::new().await, "+15550100001");
        let old = |id: u64, text: &str| {
            record(json!({"id": id, "subject": text, "creationTime": "2026-01-02T03:04:05.000Z"}))
        };
        fleet.hears(&[old(1, "STOP")]).await;
        assert!(fleet.is_out(own).await);
        fleet.hears(&[old(2, "START")]).await;
        assert!(fleet.is_out(own).await);
    }
}
