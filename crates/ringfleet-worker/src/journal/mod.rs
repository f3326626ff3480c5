//! What this worker has sent last, for a store that loses its last moments: a Redis after a power cut or a failover. In
//! memory for the case that the store alone dies; in a ring file for the case that both do.
//!
//! A send is in it before its intent is asked for, and its outcome as soon as it is known, whether the store can be reached
//! or not.

mod entry;
mod ring;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use ringfleet_store::{Intent, LaneId, LeaseRef, Outcome, Reassertion, Settled, SharedStore, StoreError};

pub(crate) use self::entry::Entry;
pub use self::ring::JournalError;
use self::ring::{Locked, Ring};

/// The last entries that are remembered, however old they are: 4,096 sends, each with its beginning and its end.
const FEWEST: usize = 2 * 4_096;
/// Besides, all of so long before the last: a Redis that writes its file once a second loses two at most.
const LATELY: Duration = Duration::from_secs(10);
/// But no more than this: four seconds at 8,000 sends a second. A ring file has room for as many, 16 MiB.
const MOST: usize = 65_536;
/// Told to the store in one call.
const BATCH: usize = 200;

pub(crate) struct Journal {
    recent: Mutex<VecDeque<Entry>>,
    ring: Option<Arc<Ring>>,
    /// Where the files lie, and the store that they tell of.
    place: Option<(PathBuf, String)>,
    adopted: Mutex<Adopted>,
    /// Whose texts went out twice, as has been said.
    twice: Mutex<HashSet<LeaseRef>>,
}

/// Whose sends are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// Of workers that have died. This one's own are in order: the store knows those that are under way.
    Dead,
    /// This one's too: the store may have lost some.
    All,
}

/// What dead workers of this machine have left.
#[derive(Default)]
struct Adopted {
    entries: VecDeque<Entry>,
    /// Locked until they are told; then they are removed.
    files: Vec<Locked>,
}

impl Journal {
    pub(crate) fn in_memory() -> Self {
        Self::new(VecDeque::new(), None, None)
    }

    /// Opens a ring file of `dir` that no living worker uses, with what is left in those of dead ones. Refused when they
    /// speak of another store than the one with this `epoch`.
    pub(crate) async fn open(dir: &Path, epoch: &str) -> Result<Self, JournalError> {
        let (dir, epoch) = (dir.to_owned(), epoch.to_owned());
        let place = Some((dir.clone(), epoch.clone()));
        let opened = tokio::task::spawn_blocking(move || Ring::open(&dir, &epoch)).await;
        let (ring, left) = opened.map_err(|_| JournalError::Broken)??;
        let mut left = VecDeque::from(left);
        trim(&mut left);
        Ok(Self::new(left, Some(Arc::new(ring)), place))
    }

    fn new(left: VecDeque<Entry>, ring: Option<Arc<Ring>>, place: Option<(PathBuf, String)>) -> Self {
        let adopted = Mutex::new(Adopted { entries: left, files: Vec::new() });
        Self { recent: Mutex::default(), ring, place, adopted, twice: Mutex::default() }
    }

    /// Takes over the files of workers on this machine that have died. `true` as long as they are not told.
    pub(crate) async fn adopt(&self) -> bool {
        let Some((dir, epoch)) = self.place.clone() else { return false };
        let found = tokio::task::spawn_blocking(move || Ring::adopt(&dir, &epoch)).await;
        let mut adopted = self.adopted();
        if let Ok(Ok(found)) = found {
            // SEND-SAFETY: each keeps what it would tell itself; nobody else knows of these sends.
            for (file, entries) in found {
                let mut entries = VecDeque::from(entries);
                trim(&mut entries);
                adopted.entries.extend(entries);
                adopted.files.push(file);
            }
        }
        !adopted.files.is_empty()
    }

    /// Remembers sends that are about to begin. Written, not forced to the disk: only a worker and a store that lose their
    /// power in the same moment forget it.
    pub(crate) fn begin(&self, sends: &[(Intent, LaneId)]) {
        let entries: Vec<Entry> = sends.iter().map(|(intent, lane)| Entry::begun(intent.lease, lane)).collect();
        self.remember(&entries);
        if let Some(ring) = &self.ring
            && ring.write(&entries).is_err()
        {
            failed();
        }
    }

    /// The store refused the intent.
    pub(crate) fn never_began(&self, lease: LeaseRef, lane: &LaneId) {
        let entry = Entry::ended(lease, lane, &Outcome::Released, Instant::now());
        self.remember(std::slice::from_ref(&entry));
        if let Some(ring) = &self.ring
            && ring.write(&[entry]).is_err()
        {
            failed();
        }
    }

    /// Remembers outcomes; they are on the disk when this returns.
    pub(crate) async fn record(&self, entries: Vec<Entry>) {
        self.remember(&entries);
        let Some(ring) = self.ring.clone() else { return };
        let written = tokio::task::spawn_blocking(move || ring.write(&entries).and_then(|()| ring.sync())).await;
        if !matches!(written, Ok(Ok(()))) {
            failed();
        }
    }

    fn remember(&self, entries: &[Entry]) {
        let mut recent = self.lock();
        recent.extend(entries.iter().cloned());
        trim(&mut recent);
    }

    /// Tells the store what was sent, as far as it is not older than `retention`, after which the store itself forgets. Returns
    /// how many sends that were. After an error nothing is forgotten, and all is to be told again.
    pub(crate) async fn reassert(
        &self,
        store: &SharedStore,
        retention: Duration,
        whose: Whose,
    ) -> Result<usize, StoreError> {
        let oldest = SystemTime::now().checked_sub(retention);
        let dead = Vec::from(self.adopted().entries.clone());
        let own = if whose == Whose::All { Vec::from(self.lock().clone()) } else { Vec::new() };
        let ended: HashSet<LeaseRef> = dead.iter().chain(&own).filter(|e| !e.is_begin()).map(|e| e.lease).collect();
        let told = |entry: &&Entry| {
            oldest.is_none_or(|oldest| entry.at > oldest) && !(entry.is_begin() && ended.contains(&entry.lease))
        };
        let mut sends = 0;
        for (entries, alive) in [(&dead, false), (&own, true)] {
            let entries: Vec<&Entry> = entries.iter().filter(told).collect();
            for some in entries.chunks(BATCH) {
                // SEND-SAFETY: a send that has begun and has no outcome yet may be on its way: its fate is unknown to a store
                // that has lost it. Its own report decides it later, or has by now.
                let over = if alive { self.ended_among(some) } else { HashSet::new() };
                let some = some.iter().filter(|entry| !over.contains(&entry.lease));
                let some: Vec<Reassertion> = some.filter_map(|entry| entry.reassertion(alive)).collect();
                if some.is_empty() {
                    continue;
                }
                // SEND-SAFETY: a message that the store believes unsent would be sent again.
                let answers = store.reassert(&some).await?;
                for (entry, answer) in some.iter().zip(answers) {
                    self.answered(entry.settlement.lease, &entry.settlement.outcome, answer);
                }
                sends += some.len();
            }
        }
        let mut adopted = self.adopted();
        for (path, _locked) in adopted.files.drain(..) {
            // What it told is in this process' memory from now on; a file that stays is told once more, which does no harm.
            let _ = std::fs::remove_file(path);
        }
        adopted.entries.make_contiguous().sort_by_key(|entry| entry.at);
        trim(&mut adopted.entries);
        Ok(sends)
    }

    /// Of these beginnings of this worker's own: those whose end is known by now.
    fn ended_among(&self, entries: &[&Entry]) -> HashSet<LeaseRef> {
        let begun: HashSet<LeaseRef> = entries.iter().filter(|e| e.is_begin()).map(|e| e.lease).collect();
        if begun.is_empty() {
            return begun;
        }
        self.lock().iter().filter(|e| !e.is_begin() && begun.contains(&e.lease)).map(|e| e.lease).collect()
    }

    /// Counts what the store made of an end, and says it when a text went out twice. The store answers that as often as it is
    /// told of the lease, at every restart; people are told once.
    pub(crate) fn answered(&self, lease: LeaseRef, outcome: &Outcome, answer: Settled) {
        if answer == Settled::SentTwice {
            let mut twice = self.twice.lock().unwrap_or_else(PoisonError::into_inner);
            if twice.len() >= MOST {
                // Better said again than without a bound.
                twice.clear();
            }
            if !twice.insert(lease) {
                return;
            }
            tracing::error!(message.id = %lease.id, "a text went out twice: under this lease and another");
        }
        crate::metrics::settled(outcome, answer);
    }

    fn adopted(&self) -> MutexGuard<'_, Adopted> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        // Whole at every step, so a panic elsewhere did not break it.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the oldest.
fn trim(entries: &mut VecDeque<Entry>) {
    let Some(last) = entries.back().map(|entry| entry.at) else { return };
    let is_old = |entry: &Entry| last.duration_since(entry.at).is_ok_and(|age| age > LATELY);
    while entries.len() > MOST || (entries.len() > FEWEST && entries.front().is_some_and(is_old)) {
        entries.pop_front();
    }
}

fn failed() {
    // The send goes on all the same: the file is the second net, not the first.
    metrics::counter!("ringfleet_journal_errors_total").increment(1);
    tracing::warn!("the journal can't be written; is the disk full?");
}
