//! Who tells what when.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ringfleet_store::{Changes, Expect, Millis, SharedStore, Store, StoreError, WorkerId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    batch::Batch,
    endpoint::{Answer, Endpoint, POST_DEADLINE},
    record::{self, Failure, Record},
};

/// Changes of one POST at most.
const BATCH: u32 = 100;
/// A turn ends by itself after this time: so long nobody tells the changes of a shard whose process was killed.
const TURN_MS: Millis = 15_000;
/// So much of a turn must be left for a POST and what is noted after it.
const POST_NEEDS_MS: Millis = POST_DEADLINE.as_millis() as Millis + 2_000;
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
    behind: Mutex<Vec<Duration>>,
}

impl Callbacks {
    pub fn new(store: SharedStore, endpoint: Endpoint) -> Self {
        let behind = Mutex::new(vec![Duration::ZERO; store.shards()]);
        let name = WorkerId::incarnation("callbacks").as_str().to_owned();
        Self { store, endpoint, name, behind }
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
        let read = store.changes(shard, Some(&record.cursor), BATCH).await?;
        let (now, mine) = (read.now, record.holder == self.name);
        if !mine {
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
        if let Some(failing) = record.failing.as_ref().filter(|failing| failing.again_at > now) {
            return Ok(LOOK_OF_OTHERS.min(between(now, failing.again_at)));
        }
        if read.next == record.cursor {
            return Ok(spread(if mine { LOOK } else { LOOK_OF_OTHERS }));
        }
        let mut turn = Turn { rev, record };
        if !(mine && turn.record.until >= now + POST_NEEDS_MS) {
            turn.record.holder.clone_from(&self.name);
            turn.record.until = now + TURN_MS;
            if !turn.write(store, key).await? {
                return Ok(spread(LOOK));
            }
            self.show_behind(shard, behind);
        }
        self.tell(shard, key, turn, read).await
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

    async fn tell(&self, shard: usize, key: &str, mut turn: Turn, read: Changes) -> Result<Duration, StoreError> {
        let (began, now) = (Instant::now(), read.now);
        let (changes, to, more) = same_again(&turn.record, read);
        let answer = if changes.is_empty() {
            // Records that can't be read are passed over.
            Answer::Taken(0)
        } else {
            let batch = Batch::of(&self.store.epoch(), shard, &turn.record.cursor, &to, changes);
            let answer = self.endpoint.post(&batch.id, batch.body).await;
            metrics::counter!("ringfleet_callbacks_total", "result" => answer.as_str()).increment(1);
            answer
        };
        let now = now + began.elapsed().as_millis() as Millis;
        let failing = turn.record.failing.take();
        let pause = match &answer {
            Answer::Taken(_) => {
                if failing.is_some() {
                    tracing::info!(shard, "callbacks are taken again");
                }
                (turn.record.cursor, turn.record.until) = (to, now + TURN_MS);
                if more {
                    Duration::ZERO
                } else {
                    self.show_behind(shard, Duration::ZERO);
                    LOOK
                }
            }
            failed => {
                if failing.is_none() {
                    tracing::warn!(shard, url = %self.endpoint.url(), why = %failed, "callbacks are not taken; they are tried until they are");
                }
                let tries = failing.as_ref().map_or(1, |failing| failing.tries.saturating_add(1));
                let backoff = backoff(tries, failed);
                let again_at = now + backoff.as_millis() as Millis;
                let since = failing.map_or(now, |failing| failing.since);
                let failure = Failure { since, why: failed.to_string(), tries, again_at, to: Some(to) };
                // Until then nobody else has anything to do either.
                (turn.record.failing, turn.record.until) = (Some(failure), again_at + LOOK.as_millis() as Millis);
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

    fn show_behind(&self, shard: usize, behind: Duration) {
        let mut all = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        all[shard] = behind;
        let most = all.iter().max().copied().unwrap_or_default();
        metrics::gauge!("ringfleet_callbacks_behind_seconds").set(most.as_secs_f64());
    }
}

/// A shard's document in this process' hand.
struct Turn {
    rev: u64,
    record: Record,
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

/// Of what was read, what was tried before, if it was: it is told as the same once more. Returns its end, and whether there is more.
fn same_again(record: &Record, read: Changes) -> (Vec<ringfleet_store::Change>, ringfleet_store::ChangeCursor, bool) {
    let Changes { mut changes, next, more, .. } = read;
    let tried = record.failing.as_ref().and_then(|failing| failing.to).filter(|to| *to < next);
    let Some(to) = tried else { return (changes, next, more) };
    changes.retain(|change| change.cursor <= to);
    (changes, to, true)
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
            for failed in [refused(None), Answer::NotReached { why: String::new() }] {
                let backoff = backoff(tries, &failed).as_secs_f64();
                assert!((0.75 * seconds..=seconds).contains(&backoff), "{tries}: {backoff}");
            }
        }
        for (asked, honoured) in [(0, 1), (30, 30), (86_400, 300)] {
            assert_eq!(backoff(9, &refused(Some(asked))), Duration::from_secs(honoured));
        }
    }
}
