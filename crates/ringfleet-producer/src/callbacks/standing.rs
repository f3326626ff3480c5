//! How callbacks stand, and telling once more: for operators.

use std::time::Duration;

use ringfleet_store::{ChangeCursor, Expect, MAX_BATCH, MessageId, Millis, Store, StoreError};

use super::{
    deliver::BATCH,
    record::{self, Record},
};

/// Changes that a replay counts in a shard at most.
const COUNT_UP_TO: usize = 50_000;
/// So often a document that a deliverer changes at the same time is read anew.
const TRIES: usize = 20;

/// How far the changes of a shard were told. Times are the shard's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStanding {
    /// All that happened until then was told; `None`: callbacks have never begun.
    pub told_to: Option<Millis>,
    /// The age of the oldest change that is not taken yet.
    pub behind: Duration,
    pub failing: Option<Failing>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    pub since: Millis,
    pub why: String,
    pub tries: u32,
    pub again_at: Millis,
    /// Messages that are tried at once at most: fewer than 100 where more were not taken.
    pub messages: u32,
}

/// What was done to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Where it is told from now on.
    pub from: Millis,
    /// So many changes that were told before are told again at most; one that changes meanwhile is told once.
    pub again: usize,
    /// There are more than were counted.
    pub more: bool,
}

/// How a shard stands.
pub async fn standing(store: &dyn Store, shard: usize) -> Result<ShardStanding, StoreError> {
    let Some((_, record)) = record::read(store, &record::key_of(store, shard)).await? else {
        return Ok(ShardStanding { told_to: None, behind: Duration::ZERO, failing: None });
    };
    let Record { cursor, failing, most, .. } = record;
    let read = store.changes(shard, Some(&cursor), 1).await?;
    let oldest = read.changes.first().map(|change| change.cursor.at());
    // Up to where it was read there is nothing else.
    let told_to = oldest.unwrap_or(read.settled_to().max(cursor.at()));
    let behind = Duration::from_millis(oldest.map_or(0, |at| (read.now - at).max(0).unsigned_abs()));
    let failing = failing.map(|failing| Failing {
        since: failing.since,
        why: failing.why,
        tries: failing.tries,
        again_at: failing.again_at,
        messages: most.unwrap_or(BATCH),
    });
    Ok(ShardStanding { told_to: Some(told_to), behind, failing })
}

/// Has a shard told again from `since` on, by the shard's time: what has ended or is held since then, as far as it is kept. `None`:
/// it is not told so far yet, and nothing was done. One whose callbacks have never begun begins there.
///
/// # Errors
/// [`StoreError::Refused`] too, if a deliverer changes the document again and again; nothing was done then.
pub async fn replay(store: &dyn Store, shard: usize, since: Since) -> Result<Option<Replayed>, StoreError> {
    let key = record::key_of(store, shard);
    let now = store.changes(shard, None, 1).await?.now;
    let since = match since {
        Since::At(at) => at,
        Since::Ago(ago) => now.saturating_sub(Millis::try_from(ago.as_millis()).unwrap_or(Millis::MAX)),
    };
    let since = since.clamp(0, now);
    let to = ChangeCursor::before(since);
    for _ in 0..TRIES {
        let known = record::read(store, &key).await?;
        let (expect, before, mut record) = match known {
            None => (Expect::Absent, None, Record::begin(to)),
            Some((_, record)) if record.cursor <= to => return Ok(None),
            Some((rev, record)) => (Expect::Rev(rev), Some(record.cursor), record),
        };
        record.cursor = to;
        record.replays = record.replays.wrapping_add(1);
        if let Some(failing) = &mut record.failing {
            failing.to = None;
        }
        if record::write(store, &key, expect, &record).await?.is_some() {
            let (again, more) = count(store, shard, to, before).await?;
            return Ok(Some(Replayed { from: since, again, more }));
        }
    }
    Err(changes_again())
}

fn changes_again() -> StoreError {
    let reason = "the document changes again and again; try once more".to_owned();
    StoreError::Refused { call: "callbacks", reason }
}

/// Passes over what a shard's endpoint does not take at present, for good: those messages are told when their state changes again,
/// or by a replay. Returns which they are, as far as they stand there still; `None`: no try has failed, and nothing was done.
///
/// # Errors
/// As those of [`replay`].
pub async fn skip(store: &dyn Store, shard: usize) -> Result<Option<Vec<MessageId>>, StoreError> {
    let key = record::key_of(store, shard);
    for _ in 0..TRIES {
        let Some((rev, mut record)) = record::read(store, &key).await? else { return Ok(None) };
        let tried = record.failing.as_ref().and_then(|failing| failing.to);
        let Some(to) = tried.filter(|to| *to > record.cursor) else { return Ok(None) };
        let read = store.changes(shard, Some(&record.cursor), BATCH).await?;
        // What is tried now is no longer tried, and the next thing at once.
        (record.cursor, record.failing) = (to, None);
        if record::write(store, &key, Expect::Rev(rev), &record).await?.is_some() {
            let passed = read.changes.iter().filter(|change| change.cursor <= to);
            return Ok(Some(passed.map(|change| change.message.id).collect()));
        }
    }
    Err(changes_again())
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Ago(Duration),
    At(Millis),
}

/// The changes from one cursor to another, or to the end.
async fn count(
    store: &dyn Store,
    shard: usize,
    mut after: ChangeCursor,
    before: Option<ChangeCursor>,
) -> Result<(usize, bool), StoreError> {
    let mut again = 0;
    while again < COUNT_UP_TO {
        let read = store.changes(shard, Some(&after), MAX_BATCH as u32).await?;
        again += read.changes.iter().filter(|change| before.is_none_or(|before| change.cursor <= before)).count();
        if !read.more || before.is_some_and(|before| read.next >= before) {
            return Ok((again, false));
        }
        after = read.next;
    }
    Ok((again, true))
}
