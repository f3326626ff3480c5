//! Shards that do not answer for a while, and stop nothing but themselves.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::store::StoreError;

/// For so long nothing is asked of a shard that has not answered, unless `watch` hears it before. Longer than a round of `watch`
/// that waits for its deadline, so that where there is one nothing else waits.
const REST: Duration = Duration::from_secs(15);
/// A shard that refuses is heard at once; one that has kept a round for longer does not answer, and others may not either.
const QUICK: Duration = Duration::from_secs(1);

/// Those that did not answer when they were last asked.
pub(super) struct Silent(Mutex<Vec<Option<Instant>>>);

impl Silent {
    pub(super) fn new(shards: u16) -> Self {
        Self(Mutex::new(vec![None; shards.into()]))
    }

    /// Whether it need not be asked now. Not all of them rest, so that it is known when one answers.
    pub(super) fn rests(&self, shard: usize) -> bool {
        let rests = |last: &Option<Instant>| last.is_some_and(|last| last.elapsed() < REST);
        let all = self.lock();
        rests(&all[shard]) && !all.iter().all(rests)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().iter().flatten().count()
    }

    fn note(&self, shard: usize, failed: Option<&StoreError>) {
        let failed = failed.filter(|error| error.is_transient());
        let mut all = self.lock();
        let before = std::mem::replace(&mut all[shard], failed.map(|_| Instant::now()));
        if all.len() == 1 {
            return;
        }
        match (before, failed) {
            (None, Some(error)) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(shard, error, "a shard of the store does not answer; its lanes wait, the others go on");
            }
            (Some(_), None) => tracing::info!(shard, "the shard of the store answers again"),
            _ => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that asks every shard, whatever the others answer.
pub(super) struct Round<'a> {
    silent: &'a Silent,
    began: Instant,
    answered: bool,
    missed: Vec<usize>,
    failed: Option<StoreError>,
}

/// What only some have answered.
#[derive(Debug, thiserror::Error)]
#[error("the others did, but not shard {shards} of {of}")]
struct InPart {
    shards: String,
    of: usize,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl<'a> Round<'a> {
    pub(super) fn new(silent: &'a Silent) -> Self {
        Self { silent, began: Instant::now(), answered: false, missed: Vec::new(), failed: None }
    }

    pub(super) fn heard<T>(&mut self, shard: usize, answer: Result<T, StoreError>) -> Option<T> {
        self.silent.note(shard, answer.as_ref().err());
        self.answered |= answer.is_ok();
        let error = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        self.missed.push(shard);
        // One that does not pass by itself is told first of all.
        if self.failed.as_ref().is_none_or(StoreError::is_transient) {
            self.failed = Some(error);
        }
        None
    }

    /// Whether it has waited for one already: those that are left are asked in the next round, what this one has goes on.
    pub(super) fn has_waited(&self) -> bool {
        self.failed.is_some() && self.began.elapsed() > QUICK
    }

    /// An error unless some have answered and the others may do later.
    pub(super) fn end(self) -> Result<(), StoreError> {
        if self.answered && self.failed.as_ref().is_some_and(StoreError::is_transient) { Ok(()) } else { self.whole() }
    }

    /// An error unless all have answered; where some have, it names the others.
    pub(super) fn whole(self) -> Result<(), StoreError> {
        let Some(failed) = self.failed else { return Ok(()) };
        Err(match failed {
            StoreError::Unavailable { call, source } if self.answered => {
                let shards = self.missed.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
                let of = self.silent.lock().len();
                StoreError::Unavailable { call, source: Box::new(InPart { shards, of, source }) }
            }
            failed => failed,
        })
    }
}

/// Where the next call begins, so that no shard is always first.
#[derive(Default)]
pub(super) struct Turn(AtomicUsize);

impl Turn {
    pub(super) fn of(&self, shards: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.0.fetch_add(1, Ordering::Relaxed);
        (0..shards).map(move |step| first.wrapping_add(step) % shards)
    }
}
