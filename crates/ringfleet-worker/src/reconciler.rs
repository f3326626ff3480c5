//! Finds out what became of sends whose fate is unknown: reads the extension's outbound texts from the provider's message
//! store, over the Light lane, so that it costs nothing of what messages are sent with. One reading serves all unknown
//! sends of an extension. What the records mean is decided by the store, in one step; see [`Store::decide`].
//!
//! [`Store::decide`]: ringfleet_store::Store::decide

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use ringcentral::{Availability, ExtensionId, MessageQuery, MessageRecord, Read};
use ringfleet_identity::{Reader, Unread, jittered};
use ringfleet_store::{Decided, Evidence, Found, Millis, SharedStore, UnknownSend, UnknownSends};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    failing,
    mailbox::{self, instant},
    matching, metrics,
    options::ReconcileOptions,
};

/// Lanes read at the same time by one worker.
const LANES: u32 = 8;
/// A reading longer than this is not of this world: 1,000 records a page. Fewer than the documented plan has turns in a window (50),
/// so that one which is too long ends with this, and not with its patience for a turn.
const MOST_PAGES: usize = 40;
/// What was sent longer ago than this may be what makes a reading too long.
const LONG_AGO: Millis = 86_400_000;

/// Why a person must look: the times of store and provider can't be compared.
const CLOCKS_APART: &str = "clocks-apart";
/// The same: more was sent since than is read through.
const TOO_LONG_AGO: &str = "too-long-ago";

enum Reading {
    /// `read_at`: when it began.
    Whole {
        read_at: Millis,
    },
    /// It did not come to its end.
    TooLong {
        read_at: Millis,
    },
    ClocksApart {
        seconds: Millis,
    },
}

pub(crate) struct Reconciler {
    pub(crate) store: SharedStore,
    pub(crate) reader: Reader,
    pub(crate) options: ReconcileOptions,
    pub(crate) max_attempts: u32,
    /// Nobody else reads a lane for so long: as for a message, a dead worker's work goes on after it. A reading that takes
    /// longer is done twice, which does no harm.
    pub(crate) lock: Duration,
    /// Also tells what became of the texts that it reads; see [`mailbox`].
    pub(crate) tells: bool,
    pub(crate) stop: CancellationToken,
}

impl Reconciler {
    pub(crate) async fn run(self) {
        let this = Arc::new(self);
        let readings = TaskTracker::new();
        loop {
            tokio::select! {
                () = this.stop.cancelled() => break,
                // Jitter spreads the fleet's reconcilers.
                () = tokio::time::sleep(jittered(this.options.every)) => {}
            }
            let free = LANES.saturating_sub(readings.len() as u32);
            if free == 0 {
                continue;
            }
            match this.store.reconcile_take(free, this.lock).await {
                Ok(lanes) => {
                    for lane in lanes.into_iter().filter(|lane| lane.lane.app() == this.reader.sessions().app()) {
                        let this = this.clone();
                        readings.spawn(async move { this.look_up(lane).await });
                    }
                }
                Err(error) => metrics::store_error("reconcile_take", &error),
            }
        }
    }

    async fn look_up(&self, unknown: UnknownSends) {
        let mut records = Vec::new();
        let evidence = match self.read(&unknown, &mut records).await {
            Ok(Reading::Whole { read_at }) => {
                if let Err(error) = failing::is_over(&self.store, &unknown.lane).await {
                    metrics::store_error("doc_put", &error);
                }
                self.judge(&unknown.sends, &records, read_at)
            }
            // SEND-SAFETY: not looked up later: by then the clocks may agree, and an intent that was noted while the store's was
            // ahead would have the search begin behind the text.
            Ok(Reading::ClocksApart { seconds }) => {
                tracing::error!(
                    lane = %unknown.lane, seconds,
                    "the store's clock is ahead of the provider's by so much (negative: behind), and no send of unknown fate can \
                     be looked up: a person must. Set the clock of the store's machine"
                );
                held(unknown.sends.iter(), CLOCKS_APART)
            }
            // SEND-SAFETY: without its end it proves nothing of any of them. It begins with the oldest: one of long ago, which a
            // journal has told a restored backup of, say, would keep all others of its lane from being looked up.
            Ok(Reading::TooLong { read_at }) => {
                let old = unknown.sends.iter().filter(|send| send.intent_at < read_at - LONG_AGO);
                let old = held(old, TOO_LONG_AGO);
                if old.is_empty() { self.give_up(&unknown).await } else { old }
            }
            Err(Unread::Store(error)) => return metrics::store_error("reconcile", &error),
            Err(Unread::Refused { code }) => held(unknown.sends.iter(), &format!("unreadable {code}")),
            Err(Unread::Later) => self.give_up(&unknown).await,
        };
        if evidence.is_empty() {
            return;
        }
        match self.store.decide(&evidence, self.options.settle_time, self.max_attempts).await {
            Ok(decided) => {
                for (one, decided) in evidence.iter().zip(decided) {
                    metrics::reconciled(decided);
                    if matches!(decided, Decided::Held | Decided::Dead) {
                        tracing::warn!(message.id = %one.lease.id, ?decided, "a send could not be cleared up; a person must look");
                    }
                }
            }
            Err(error) => return metrics::store_error("decide", &error),
        }
        // A text that was unknown until now may have been delivered long ago, and no reading of changes tells that once more.
        if self.tells
            && let Err(error) = mailbox::tell(&self.store, &unknown.lane, &records).await
        {
            metrics::store_error("record_delivery", &error);
        }
    }

    fn judge(&self, sends: &[UnknownSend], records: &[MessageRecord], read_at: Millis) -> Vec<Evidence> {
        let skew = self.options.clock_skew;
        let found = |send: &UnknownSend| {
            let earliest = send.intent_at.saturating_sub(skew.as_millis() as Millis);
            // SEND-SAFETY: noted by a clock that was ahead and has been put right since.
            if earliest > read_at {
                return Found::Undecidable { reason: CLOCKS_APART.to_owned() };
            }
            matching::found(send, earliest, records, read_at)
        };
        sends.iter().map(|send| Evidence { lease: send.lease, found: found(send) }).collect()
    }

    /// Nothing is decided by what could not be read, until a person is asked.
    async fn give_up(&self, unknown: &UnknownSends) -> Vec<Evidence> {
        let Ok(now) = self.store.time_of(&unknown.lane).await else { return Vec::new() };
        // A look at a lane comes once in `lock`, to any worker of the fleet.
        let most = (self.lock * 12).min(self.options.give_up / 3);
        let limits = (most, (self.options.give_up / 2).max(self.lock * 12));
        // Their age alone tells nothing: nobody looks while the fleet is stopped, and when it goes on, all lanes want the few
        // logins there are at once.
        match failing::once_more(&self.store, &unknown.lane, limits, now).await {
            Ok(failed) if failed >= self.options.give_up => {}
            Ok(_) => return Vec::new(),
            Err(error) => {
                metrics::store_error("doc_put", &error);
                return Vec::new();
            }
        }
        let too_old = now - self.options.give_up.as_millis() as Millis;
        held(unknown.sends.iter().filter(|send| send.since < too_old), "unreadable for too long")
    }

    /// Gathers all outbound texts of the extension since the first of these sends, to the last page, and says when the reading
    /// began.
    async fn read(&self, unknown: &UnknownSends, records: &mut Vec<MessageRecord>) -> Result<Reading, Unread> {
        let extension = ExtensionId::try_new(unknown.lane.extension())
            .map_err(|_| Unread::Refused { code: "no extension".to_owned() })?;
        let first = unknown.sends.iter().map(|send| send.intent_at).min().unwrap_or_default();
        let skew = self.options.clock_skew.as_millis() as Millis;
        // SEND-SAFETY: both ends explicit, and beyond what the two clocks can differ by: without dates the provider shows the
        // last 24 hours only, and what it does not show would count as never sent. By the clock of the lane's shard, which has
        // noted when the sends became unknown, taken before the first request: however long this process is held up, an early
        // reading stays an early one.
        let asked = Instant::now();
        let now = self.store.time_of(&unknown.lane).await?;
        let texts = MessageQuery::outbound_sms(instant(first - skew), instant(now + skew));
        // SEND-SAFETY: a text that somebody has deleted since was sent all the same, and is shown to those alone who ask for it.
        let availabilities = vec![Availability::Alive, Availability::Deleted, Availability::Purged];
        let texts = Read::messages(&MessageQuery { availabilities, ..texts });
        let patience = self.lock / 2;
        let answer = self.reader.read_page(&extension, &texts, patience).await?;
        if let Some(seconds) = answer.date.and_then(|date| apart(now, asked.elapsed(), date, skew)) {
            return Ok(Reading::ClocksApart { seconds });
        }
        let mut page = answer.value;
        for _ in 1..MOST_PAGES {
            records.append(&mut page.records);
            let Some(next) = page.next else { return Ok(Reading::Whole { read_at: now }) };
            page = self.reader.next_page(&extension, &next, patience).await?.value;
        }
        records.append(&mut page.records);
        Ok(if page.next.is_none() { Reading::Whole { read_at: now } } else { Reading::TooLong { read_at: now } })
    }
}

/// By how many seconds the store's clock was ahead of the provider's, when that is more than they may differ by. `date` is of
/// some moment between the store's `now` and `waited` later.
fn apart(now: Millis, waited: Duration, date: Timestamp, skew: Millis) -> Option<Millis> {
    let date = date.as_millisecond();
    let (least, most) = (now - skew, now + waited.as_millis() as Millis + skew);
    // It is told in whole seconds.
    (date + 999 < least || date > most).then(|| (now - date) / 1_000)
}

/// For a person to decide of.
fn held<'a>(sends: impl Iterator<Item = &'a UnknownSend>, reason: &str) -> Vec<Evidence> {
    let found = || Found::Undecidable { reason: reason.to_owned() };
    sends.map(|send| Evidence { lease: send.lease, found: found() }).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::atomic::Ordering};

    use axum::{
        Json, Router,
        extract::Query,
        routing::{MethodRouter, get},
    };
    use ringfleet_store::{
        Clock, LeaseRef, LeaseToken, MessageId, OnUnknown, Outcome, PlanSeen, Private, Settlement, State,
        sqlite::SqliteOptions,
    };
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::tests::rig::{
        EXTENSION, LEASE, begun, credential, lane, number, provider, sessions, sqlite, state, text, vault,
    };

    /// The provider's clock, which tells its date with each answer.
    fn today() -> Millis {
        Timestamp::now().as_millisecond()
    }

    /// Of a store whose clock is moved by hand, and a provider that answers `list`.
    async fn reconciler(folder: &Path, clock: Clock, list: MethodRouter) -> Reconciler {
        let store = sqlite(folder, SqliteOptions { clock, ..SqliteOptions::default() }).await;
        let client = provider(Router::new().route("/restapi/v1.0/account/~/extension/~/message-store", list)).await;
        Reconciler {
            reader: Reader::new(sessions(vault(store.clone()), client, credential(EXTENSION))),
            store,
            options: ReconcileOptions::default(),
            max_attempts: 5,
            lock: LEASE,
            tells: false,
            stop: CancellationToken::new(),
        }
    }

    /// A send that became unknown at `now`.
    fn unknown(now: Millis) -> UnknownSends {
        let send = UnknownSend {
            lease: LeaseRef { id: MessageId::random(), token: LeaseToken(1) },
            from: Private::new(number(0)),
            to: Private::new(number(1)),
            text: Private::new("x"),
            intent_at: now,
            since: now,
        };
        UnknownSends { lane: lane(EXTENSION), sends: vec![send] }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Dates {
        date_from: Timestamp,
        date_to: Timestamp,
    }

    #[tokio::test]
    async fn a_text_is_in_the_list_by_a_clock_of_the_providers_that_is_behind_or_ahead() {
        let skew = ReconcileOptions::default().clock_skew.as_millis() as Millis;
        let now = today();
        for created in [now - skew, now + skew] {
            let list = get(move |Query(Dates { date_from, date_to }): Query<Dates>| async move {
                let shown = (date_from..=date_to).contains(&instant(created));
                let records: Vec<_> = shown.then(|| json!({"id": 1})).into_iter().collect();
                Json(json!({"records": records}))
            });
            let folder = tempfile::tempdir().unwrap();
            let reconciler = reconciler(folder.path(), Clock::by_hand(now).0, list).await;
            let mut records = Vec::new();
            reconciler.read(&unknown(now), &mut records).await.unwrap();
            assert_eq!(records.len(), 1, "{created}");
        }
    }

    #[tokio::test]
    async fn a_reading_is_as_old_as_its_beginning_however_long_it_takes() {
        let now = today();
        let (folder, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::by_hand(now));
        let list = get(move || {
            hand.fetch_add(3_600_000, Ordering::SeqCst);
            async { Json(json!({"records": []})) }
        });
        let reconciler = reconciler(folder.path(), clock, list).await;
        let reading = reconciler.read(&unknown(now), &mut Vec::new()).await.unwrap();
        assert!(matches!(reading, Reading::Whole { read_at } if read_at == now), "it shows what was so then");
        assert!(reconciler.store.now().await.unwrap() > now);
    }

    #[tokio::test]
    async fn nothing_is_looked_up_by_a_clock_that_is_not_the_providers() {
        for wrong in [-3_600_000, 3_600_000] {
            let list = get(|| async { Json(json!({"records": []})) });
            let (folder, now) = (tempfile::tempdir().unwrap(), today() + wrong);
            let reconciler = reconciler(folder.path(), Clock::by_hand(now).0, list).await;
            let reading = reconciler.read(&unknown(now), &mut Vec::new()).await.unwrap();
            let Reading::ClocksApart { seconds } = reading else { panic!("{wrong} ms are not noticed") };
            assert!((seconds - wrong / 1_000).abs() < 30, "{seconds}");
        }
    }

    #[tokio::test]
    async fn an_intent_of_a_clock_that_was_ahead_is_a_persons_to_judge() {
        let (folder, now) = (tempfile::tempdir().unwrap(), today());
        let reconciler = reconciler(folder.path(), Clock::by_hand(now).0, get(|| async {})).await;
        for (ahead, is_held) in [(0, false), (60_000, false), (3_600_000, true)] {
            let evidence = reconciler.judge(&unknown(now + ahead).sends, &[], now).remove(0);
            let reason = match evidence.found {
                Found::Undecidable { reason } => Some(reason),
                Found::Candidates { .. } => None,
            };
            assert_eq!(reason.as_deref(), is_held.then_some(CLOCKS_APART));
        }
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part {
        date_from: Option<Timestamp>,
        page: Option<u32>,
    }

    /// The list has no end from before yesterday on.
    #[tokio::test]
    async fn a_send_of_long_ago_keeps_no_later_one_of_its_lane_from_being_looked_up() {
        let today = today();
        let list = get(move |Query(Part { date_from, page }): Query<Part>| async move {
            let is_short = date_from.is_some_and(|from| from > instant(today - LONG_AGO));
            let next = format!("?page={}", page.unwrap_or(1) + 1);
            let navigation = if is_short { json!({}) } else { json!({"nextPage": {"uri": next}}) };
            Json(json!({"records": [], "navigation": navigation}))
        });
        let (folder, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::by_hand(today - 2 * LONG_AGO));
        let mut reconciler = reconciler(folder.path(), clock, list).await;
        reconciler.options.settle_time = Duration::ZERO;
        let store = &reconciler.store;
        let mut ids = Vec::new();
        for (to, at) in [(1, today - 2 * LONG_AGO), (2, today)] {
            hand.store(at, Ordering::SeqCst);
            let lease = begun(store, text(EXTENSION, to, OnUnknown::Reconcile)).await;
            let (outcome, seen) = (Outcome::Unknown { reason: "timeout".to_owned() }, PlanSeen::default());
            let settlement = Settlement { lease: lease.reference(), outcome, age: Duration::ZERO, seen };
            store.settle(&[settlement]).await.unwrap();
            ids.push(lease.id);
        }
        let look = async || {
            hand.fetch_add(2_000, Ordering::SeqCst);
            for lane in store.reconcile_take(LANES, LEASE).await.unwrap() {
                reconciler.look_up(lane).await;
            }
            [state(store, &ids[0]).await, state(store, &ids[1]).await]
        };
        assert_eq!(look().await, [Some(State::Held), Some(State::Unknown)]);
        assert_eq!(look().await, [Some(State::Held), Some(State::Unknown)], "it takes two");
        assert_eq!(look().await, [Some(State::Held), Some(State::Ready)]);
    }
}
