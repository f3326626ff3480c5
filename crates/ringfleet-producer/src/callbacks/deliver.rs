//! Who tells what when.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ringfleet_store::{ChangeCursor, Changes, Expect, Millis, SETTLED_MS, SharedStore, Store, StoreError, WorkerId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, same_again},
    endpoint::{Answer, Endpoint, POST_DEADLINE},
    record::{self, Failure, Record},
};

/// Changes of one POST at most.
pub(super) const BATCH: u32 = 100;
/// After so many tries of the same that may have failed by its own fault, half of it is tried.
const HALVED_AFTER: u32 = 3;
/// And after so many that told of load, by a 503 with a time to come back: some say so whatever it is that fails.
const HALVED_AFTER_LOAD: u32 = 10;
/// After so many tries a process leaves the next one to the others, and goes on itself if for so long none has come: it may be the
/// only one that can't reach the endpoint. The others look within a second of `again_at`.
const LEFT_AFTER: u32 = 3;
const LEFT_FOR_MS: Millis = 2_000;
/// A turn ends by itself after this time: so long nobody tells the changes of a shard whose process was killed.
const TURN_MS: Millis = 15_000;
/// So much of a turn must be left for a POST and what is noted after it: looked at again when it begins, as the store may have been
/// slow, or the process have stood still.
const POST_NEEDS_MS: Millis = POST_DEADLINE.as_millis() as Millis + 2_000;
// For so long after a write of the turn a POST goes without another, and what it tells is older than that. So a store whose last
// seconds are lost, and with them what was told, has lost this revision of the turn too: the compare-and-set behind the POST is
// refused, and no cursor stands behind what is yet to come.
const _: () = assert!(TURN_MS - POST_NEEDS_MS <= SETTLED_MS);
/// Between two looks of the process that had the last turn, and of the others.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_OF_OTHERS: Duration = Duration::from_secs(5);
/// After a failure: doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Of an endpoint's own `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// After the store did not answer, which has taken some seconds already.
const STORE_AGAIN: Duration = Duration::from_secs(2);
/// For giving a turn back at the end.
const RELEASE_DEADLINE: Duration = Duration::from_secs(2);

/// Tells an endpoint what has become of the messages of a store.
pub struct Callbacks {
    pub(super) store: SharedStore,
    endpoint: Endpoint,
    /// This process, as the documents name it.
    name: String,
    /// Of each shard that this process tells: the age of its oldest change that is not taken yet.
    pub(super) behind: Mutex<Vec<Duration>>,
    /// Of each shard, until when nobody else can have taken this process' turn.
    turns: Mutex<Vec<Instant>>,
    /// Of each shard, whether its store was too slow when a POST was due last.
    is_slow: Vec<AtomicBool>,
    /// Of each shard, whether this process' last POST has failed.
    has_failed: Vec<AtomicBool>,
}

impl Callbacks {
    pub fn new(store: SharedStore, endpoint: Endpoint) -> Self {
        let behind = Mutex::new(vec![Duration::ZERO; store.shards()]);
        let turns = Mutex::new(vec![Instant::now(); store.shards()]);
        let (is_slow, has_failed) = (no_shard(&*store), no_shard(&*store));
        let name = WorkerId::incarnation("callbacks").as_str().to_owned();
        Self { store, endpoint, name, behind, turns, is_slow, has_failed }
    }

    /// Until `stop`: then the POSTs under way are finished, which takes ten seconds at most, and the turns given back. Dropping
    /// it loses nothing: what was not noted as taken is told again when the turn is over.
    pub async fn run(self, stop: CancellationToken) {
        tracing::info!(url = %self.endpoint.url(), "callbacks are on");
        self.show_behind(0, Duration::ZERO);
        let (callbacks, mut shards) = (std::sync::Arc::new(self), JoinSet::new());
        for shard in 0..callbacks.store.shards() {
            let (callbacks, stop) = (callbacks.clone(), stop.clone());
            shards.spawn(async move { callbacks.tell_shard(shard, &stop).await });
        }
        while let Some(ended) = shards.join_next().await {
            // A panic is this task's too, so that the process does not go on in silence.
            ended.expect("the telling of a shard ends with the process");
        }
    }

    /// A shard that does not answer is no other one's trouble.
    async fn tell_shard(&self, shard: usize, stop: &CancellationToken) {
        let key = record::key_of(&*self.store, shard);
        let mut is_away = false;
        while !stop.is_cancelled() {
            let pause = match self.step(shard, &key).await {
                Ok(pause) => {
                    is_away = false;
                    pause
                }
                Err(error) => {
                    self.hide_behind_of_others(shard);
                    if !std::mem::replace(&mut is_away, true) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(shard, error, "callbacks of this shard wait for the store");
                    }
                    STORE_AGAIN
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        let release = self.release(&key);
        if !matches!(tokio::time::timeout(RELEASE_DEADLINE, release).await, Ok(Ok(()))) {
            tracing::debug!(shard, "the turn was not given back; it ends by itself");
        }
    }

    /// One look, and one POST if there is something to tell and it is this process' turn. Returns when to look again.
    pub(super) async fn step(&self, shard: usize, key: &str) -> Result<Duration, StoreError> {
        let store = &*self.store;
        let Some((rev, record)) = record::read(store, key).await? else { return self.begin(shard, key).await };
        let (mine, most) = (record.holder == self.name, record.most.unwrap_or(BATCH));
        // Whoever only looks needs no more than the oldest.
        let limit = if mine && record.failing.is_none() { most } else { 1 };
        let mut asked = Instant::now();
        let mut read = store.changes(shard, Some(&record.cursor), limit).await?;
        let now = read.now;
        if mine {
            self.note_turn(shard, between(now, record.until));
        } else {
            self.show_behind(shard, Duration::ZERO);
        }
        if !mine && record.until > now {
            return Ok(spread(LOOK_OF_OTHERS.min(between(now, record.until))));
        }
        let oldest = read.changes.first().map_or(now, |change| change.cursor.at());
        let behind = between(oldest, now);
        if mine {
            self.show_behind(shard, behind);
        }
        if let Some(failing) = &record.failing {
            let left_for = if mine && failing.tries >= LEFT_AFTER { LEFT_FOR_MS } else { 0 };
            let again_at = failing.again_at + left_for;
            if again_at > now {
                return Ok(LOOK_OF_OTHERS.min(between(now, again_at)));
            }
        }
        if read.next == record.cursor {
            return Ok(spread(if mine { LOOK } else { LOOK_OF_OTHERS }));
        }
        // Who could do it has done so by then. The document forgets who has failed as soon as one has not.
        if !mine
            && self.has_failed[shard].load(Ordering::Relaxed)
            && let Some(oldest) = read.changes.first()
            && let begins_at = oldest.cursor.at() + SETTLED_MS + LEFT_FOR_MS
            && begins_at > now
        {
            return Ok(LOOK_OF_OTHERS.min(between(now, begins_at)));
        }
        let mut turn = Turn { rev, record };
        // Before the turn is written, so that none of it is spent on reading.
        if limit < most {
            asked = Instant::now();
            read = store.changes(shard, Some(&turn.record.cursor), most).await?;
        }
        if !(mine && turn.record.until >= latest(read.now, asked) + POST_NEEDS_MS) {
            turn.record.holder.clone_from(&self.name);
            turn.record.until = latest(read.now, asked) + TURN_MS;
            if !turn.write(store, key).await? {
                return Ok(spread(LOOK));
            }
            self.note_turn(shard, between(latest(read.now, asked), turn.record.until));
            self.show_behind(shard, behind);
        }
        self.tell(shard, key, turn, read, asked).await
    }

    /// Begins with now, not with what was before.
    async fn begin(&self, shard: usize, key: &str) -> Result<Duration, StoreError> {
        let begun = self.store.changes(shard, None, 1).await?;
        let record = Record { holder: self.name.clone(), ..Record::begin(begun.next) };
        if record::write(&*self.store, key, Expect::Absent, &record).await?.is_some() {
            tracing::info!(shard, "callbacks begin with what happens from now on");
        }
        Ok(Duration::ZERO)
    }

    /// `asked`: when `read` was asked for.
    pub(super) async fn tell(
        &self,
        shard: usize,
        key: &str,
        mut turn: Turn,
        read: Changes,
        asked: Instant,
    ) -> Result<Duration, StoreError> {
        let read_at = read.now;
        let (changes, to, more) = same_again(&turn.record, read);
        let places: Vec<ChangeCursor> = changes.iter().map(|change| change.cursor).collect();
        let answer = if changes.is_empty() {
            None
        } else {
            let batch = Batch::of(&self.store.epoch(), shard, &turn.record, &to, changes);
            // Else another process may begin its turn while this one's old states are still on their way.
            if turn.record.until < latest(read_at, asked) + POST_NEEDS_MS {
                if !self.is_slow[shard].swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        shard,
                        "the store has taken seconds to note a turn, or this process has stood still: callbacks of this shard \
                         wait until it is noted in time"
                    );
                }
                return Ok(LOOK);
            }
            self.is_slow[shard].store(false, Ordering::Relaxed);
            let answer = self.endpoint.post(&batch.id, batch.body).await;
            metrics::counter!("ringfleet_callbacks_total", "result" => answer.as_str()).increment(1);
            Some(answer)
        };
        let now = latest(read_at, asked);
        let failing = turn.record.failing.take();
        let pause = match &answer {
            None | Some(Answer::Taken(_)) => {
                if answer.is_none() {
                    // Records that can't be read, or have changed again, are passed over; whether the endpoint is back is not known.
                    turn.record.failing = failing.map(|failing| Failure { to: None, ..failing });
                } else {
                    self.has_failed[shard].store(false, Ordering::Relaxed);
                    if failing.is_some() {
                        tracing::info!(shard, "callbacks are taken again");
                    }
                    turn.record.most = turn.record.most.map(|most| most + 1).filter(|most| *most < BATCH);
                }
                (turn.record.cursor, turn.record.until) = (to, now + TURN_MS);
                if more {
                    Duration::ZERO
                } else {
                    self.show_behind(shard, Duration::ZERO);
                    LOOK
                }
            }
            Some(failed) => {
                self.has_failed[shard].store(true, Ordering::Relaxed);
                if failing.is_none() {
                    tracing::warn!(shard, url = %self.endpoint.url(), why = %failed, "callbacks are not taken; they are tried until they are");
                }
                let tries = failing.as_ref().map_or(1, |failing| failing.tries.saturating_add(1));
                let backoff = backoff(tries, failed);
                let again_at = now + backoff.as_millis() as Millis;
                let same = failing.as_ref().filter(|failing| failing.to == Some(to));
                let (of_this, of_load) = same.map_or((0, 0), |same| (same.of_this, same.of_load));
                let of_this = of_this + u32::from(failed.may_be_of_the_batch());
                let of_load = of_load + u32::from(failed.tells_of_load());
                let is_cut = of_this >= HALVED_AFTER || of_load >= HALVED_AFTER_LOAD;
                let since = failing.map_or(now, |failing| failing.since);
                let (to, of_this, of_load) = match half(&places).filter(|_| is_cut) {
                    Some((messages, half)) => {
                        tracing::warn!(shard, messages, "callbacks of this shard are tried with fewer messages");
                        turn.record.most = Some(messages);
                        (half, 0, 0)
                    }
                    None => (to, of_this, of_load),
                };
                let failure =
                    Failure { since, why: failed.to_string(), tries, again_at, to: Some(to), of_this, of_load };
                // Until then nobody else has anything to do either.
                let kept_for = if tries < LEFT_AFTER { LOOK.as_millis() as Millis } else { 0 };
                (turn.record.failing, turn.record.until) = (Some(failure), again_at + kept_for);
                LOOK_OF_OTHERS.min(backoff)
            }
        };
        if !turn.write(&*self.store, key).await? {
            tracing::debug!(shard, "the turn was taken over, or an operator has gone back");
        }
        Ok(pause)
    }

    /// So that another process need not wait until the turn is over.
    pub(super) async fn release(&self, key: &str) -> Result<(), StoreError> {
        let Some((rev, mut record)) = record::read(&*self.store, key).await? else { return Ok(()) };
        if record.holder == self.name {
            record.until = 0;
            record::write(&*self.store, key, Expect::Rev(rev), &record).await?;
        }
        Ok(())
    }

    fn note_turn(&self, shard: usize, left: Duration) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)[shard] = Instant::now() + left;
    }

    /// The store has not answered: if the turn may be another's by now, that one shows how far behind the shard is.
    pub(super) fn hide_behind_of_others(&self, shard: usize) {
        if self.turns.lock().unwrap_or_else(PoisonError::into_inner)[shard] <= Instant::now() {
            self.show_behind(shard, Duration::ZERO);
        }
    }

    fn show_behind(&self, shard: usize, behind: Duration) {
        let mut all = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        all[shard] = behind;
        let most = all.iter().max().copied().unwrap_or_default();
        metrics::gauge!("ringfleet_callbacks_behind_seconds").set(most.as_secs_f64());
    }
}

/// A shard's document in this process' hand.
pub(super) struct Turn {
    pub(super) rev: u64,
    pub(super) record: Record,
}

impl Turn {
    /// `false`: somebody else has changed it.
    async fn write(&mut self, store: &dyn Store, key: &str) -> Result<bool, StoreError> {
        let written = record::write(store, key, Expect::Rev(self.rev), &self.record).await?;
        if let Some(rev) = written {
            self.rev = rev;
        }
        Ok(written.is_some())
    }
}

/// How many the first half of these are, and the end of it. `None`: there is no half of one.
fn half(places: &[ChangeCursor]) -> Option<(u32, ChangeCursor)> {
    let messages = places.len() / 2;
    Some((messages as u32, *places.get(messages.checked_sub(1)?)?))
}

/// A flag for each shard.
fn no_shard(store: &dyn Store) -> Vec<AtomicBool> {
    std::iter::repeat_with(AtomicBool::default).take(store.shards()).collect()
}

/// With some jitter downwards, so that many shards don't come at once.
fn backoff(tries: u32, failed: &Answer) -> Duration {
    if let Answer::Refused { retry_after: Some(asked), .. } = failed {
        return (*asked).clamp(FIRST_BACKOFF, LONGEST_RETRY_AFTER);
    }
    let doubled = FIRST_BACKOFF.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST_BACKOFF);
    doubled.mul_f64(rand::random_range(0.75..=1.0))
}

fn spread(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.8..=1.2))
}

/// A shard's time now, at the latest: it told `read_at` after it was `asked`.
fn latest(read_at: Millis, asked: Instant) -> Millis {
    read_at + asked.elapsed().as_millis() as Millis
}

fn between(from: Millis, to: Millis) -> Duration {
    Duration::from_millis((to - from).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_ever_more_seldom_or_when_the_endpoint_says() {
        let refused = |retry_after: Option<u64>| Answer::Refused {
            status: 503,
            retry_after: retry_after.map(Duration::from_secs),
        };
        for (tries, seconds) in [(1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (u32::MAX, 60.0)] {
            for failed in [refused(None), Answer::NotReached { why: String::new(), connected: true }] {
                let backoff = backoff(tries, &failed).as_secs_f64();
                assert!((0.75 * seconds..=seconds).contains(&backoff), "{tries}: {backoff}");
            }
        }
        for (asked, honoured) in [(0, 1), (30, 30), (86_400, 300)] {
            assert_eq!(backoff(9, &refused(Some(asked))), Duration::from_secs(honoured));
        }
    }
}
