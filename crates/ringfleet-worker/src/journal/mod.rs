//! What this worker has sent last, for a store that loses its last moments: a Redis after a power cut or a failover. In
//! memory for the case that the store alone dies; in a ring file for the case that both do.
//!
//! A send is in it before its intent is asked for, and its outcome as soon as it is known, whether the store can be reached
//! or not. While the disk is full or hangs, that is true of the memory only.

mod entry;
mod recent;
mod ring;
mod telling;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ringfleet_identity::EachMinute;
use ringfleet_store::{Intent, LaneId, LeaseRef, Outcome, Reassertion, Settled, SharedStore, StoreError};
use tokio::task::AbortHandle;

pub use self::ring::JournalError;
pub(crate) use self::{entry::Entry, telling::tell};
use self::{
    entry::Story,
    recent::{MOST, Recent},
    ring::{FileId, Ring, Written},
    telling::is_refusal,
};

/// Told to the store in one call.
const BATCH: usize = 200;
/// How long the disk is waited for where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(2);
/// Writes that a disk which hangs is given all the same.
const MOST_LATE: usize = 64;

pub(crate) struct Journal {
    recent: Mutex<Recent>,
    /// Of the store.
    shards: usize,
    ring: Option<Arc<Ring>>,
    /// How long a write is waited for.
    patience: Duration,
    /// Writes that are waited for no more, and are not at their end, with when each was begun.
    late: Mutex<Vec<(Instant, AbortHandle)>>,
    /// Where the files lie, and the store that they tell of.
    place: Option<(PathBuf, String)>,
    adopted: Mutex<Adopted>,
    /// The shards that have this worker's own sends, while others do not answer.
    told: Mutex<HashSet<usize>>,
    /// Whose texts went out twice, as has been said.
    twice: Mutex<HashSet<LeaseRef>>,
    /// Writes that failed.
    failures: EachMinute,
}

/// Whose sends are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// Of workers that have died. This one's own are in order: the store knows those that are under way.
    Dead,
    /// This one's too: the store may have lost some.
    All,
}

/// Refuses a store with which no worker would begin in this folder, for those who hand messages in, or only want to know. Changes
/// nothing there. A folder that is not there, or empty, tells nothing.
pub async fn check_journals(dir: &Path, epoch: &str) -> Result<(), JournalError> {
    let (dir, epoch) = (dir.to_owned(), epoch.to_owned());
    tokio::task::spawn_blocking(move || ring::check(&dir, &epoch)).await.map_err(|_| JournalError::Broken)?
}

/// What dead workers of this machine have left.
struct Adopted {
    /// By the one whose file this worker goes on with.
    before: Vec<Entry>,
    /// By the others. Kept in memory too: a file's next worker may not be known to the store yet when that is restarted.
    files: HashMap<FileId, Left>,
}

struct Left {
    written: Written,
    entries: Vec<Entry>,
    told: bool,
}

impl Journal {
    pub(crate) fn in_memory(shards: usize) -> Self {
        Self::new(Vec::new(), None, None, shards)
    }

    /// Opens a ring file of `dir` that no living worker uses, with what is left in those of dead ones. Refused when they
    /// speak of another store than the one with this `epoch`.
    pub(crate) async fn open(dir: &Path, epoch: &str, shards: usize) -> Result<Self, JournalError> {
        let (dir, epoch) = (dir.to_owned(), epoch.to_owned());
        let place = Some((dir.clone(), epoch.clone()));
        let opened = tokio::task::spawn_blocking(move || Ring::open(&dir, &epoch)).await;
        let (ring, left) = opened.map_err(|_| JournalError::Broken)??;
        Ok(Self::new(left, Some(Arc::new(ring)), place, shards))
    }

    fn new(left: Vec<Entry>, ring: Option<Arc<Ring>>, place: Option<(PathBuf, String)>, shards: usize) -> Self {
        let twice = Mutex::new(said_twice(&left).collect());
        let adopted = Mutex::new(Adopted { before: last_of(left, shards), files: HashMap::new() });
        Self {
            recent: Mutex::new(Recent::new(shards)),
            shards,
            ring,
            patience: PATIENCE,
            late: Mutex::default(),
            place,
            adopted,
            told: Mutex::default(),
            twice,
            failures: EachMinute::default(),
        }
    }

    /// With another patience for the disk.
    pub(crate) fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Looks what workers on this machine that have died have left. Every living worker does so: the files stay where they are,
    /// and each may be the next to die.
    pub(crate) async fn adopt(&self) {
        let Some((dir, epoch)) = self.place.clone() else { return };
        let known = self.adopted().files.iter().map(|(id, left)| (*id, left.written)).collect();
        let found = tokio::task::spawn_blocking(move || Ring::adopt(&dir, &epoch, &known)).await;
        let Ok(Ok(found)) = found else { return };
        let mut adopted = self.adopted();
        // SEND-SAFETY: each file gives what its worker would tell itself, however many there are.
        for (id, written, entries) in found {
            self.twice().extend(said_twice(&entries));
            let entries = last_of(entries, self.shards);
            adopted.files.insert(id, Left { written, told: entries.is_empty(), entries });
        }
    }

    /// Whether some of that is not told.
    pub(crate) fn has_inherited(&self) -> bool {
        self.adopted().files.values().any(|left| !left.told)
    }

    /// Remembers sends that are about to begin. Written, not forced to the disk: only a worker and a store that lose their
    /// power in the same moment forget it.
    pub(crate) async fn begin(&self, sends: &[(Intent, LaneId)]) {
        let entries = sends.iter().map(|(intent, lane)| Entry::begun(intent.lease, lane)).collect();
        self.write(entries, Ring::write).await;
    }

    /// The store refused the intent.
    pub(crate) async fn never_began(&self, lease: LeaseRef, lane: &LaneId) {
        self.write(vec![Entry::ended(lease, lane, &Outcome::Released, false, Instant::now())], Ring::write).await;
    }

    /// Remembers outcomes; unless the disk fails, they are on it when this returns.
    pub(crate) async fn record(&self, entries: Vec<Entry>) {
        self.write(entries, |ring, entries| ring.write(entries).and_then(|()| ring.sync())).await;
    }

    /// SEND-SAFETY: a disk that hangs is waited for no longer than one that is full: leases would be kept and nothing reported,
    /// for all lanes. What is remembered is in memory first, and the file is the second net. A write that is late goes on by
    /// itself; while it does, those behind it are handed over without waiting, up to a number.
    async fn write(&self, entries: Vec<Entry>, how: fn(&Ring, &[Entry]) -> io::Result<()>) {
        self.remember(&entries);
        let Some(ring) = self.ring.clone() else { return };
        let began = Instant::now();
        let patience = {
            let late = self.late();
            // SEND-SAFETY: only one that has taken too long says that the disk hangs. Those handed over behind it are young: taken
            // for late too, a steady stream would always find one, and no send be in the file before its intent ever again.
            let oldest = late.iter().map(|(began, _)| *began).min().unwrap_or(began);
            let patience = self.patience.saturating_sub(began.saturating_duration_since(oldest));
            if patience.is_zero() && late.len() >= MOST_LATE {
                return self.failed();
            }
            patience
        };
        let mut writing = tokio::task::spawn_blocking(move || how(&ring, &entries));
        match tokio::time::timeout(patience, &mut writing).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => self.failed(),
            Err(_) => {
                self.late().push((began, writing.abort_handle()));
                self.failed();
            }
        }
    }

    fn failed(&self) {
        // The send goes on all the same: the file is the second net, not the first.
        metrics::counter!("ringfleet_journal_errors_total").increment(1);
        if let Some(writes) = self.failures.happened() {
            tracing::warn!(writes, "the journal can't be written, or not in time; is the disk full, or does it hang?");
        }
    }

    fn late(&self) -> MutexGuard<'_, Vec<(Instant, AbortHandle)>> {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.retain(|(_, write)| !write.is_finished());
        late
    }

    fn remember(&self, entries: &[Entry]) {
        self.lock().extend(entries.iter().cloned());
    }

    /// The store has lost a moment once more: all of its shards are told of this worker's own sends.
    pub(crate) fn tell_anew(&self) {
        self.told().clear();
    }

    /// Tells the store what was sent. Returns how many sends that were. After an error nothing is forgotten, and all is to be told
    /// again. But this worker's own sends are told to each shard once, until [`Journal::tell_anew`]: told of one that is under way,
    /// the store takes it out of this worker's hand.
    ///
    /// SEND-SAFETY: however old they are. A store that was away for longer than `retention`, or was brought back from an older copy,
    /// believes what waits in it unsent. It tells by its own time what it may have forgotten in its turn.
    pub(crate) async fn reassert(
        &self,
        store: &SharedStore,
        retention: Duration,
        whose: Whose,
    ) -> Result<usize, StoreError> {
        let (dead, telling) = self.adopted().of_dead(whose);
        let own = if whose == Whose::All { self.lock().iter().cloned().collect() } else { Vec::new() };
        let ended: HashSet<LeaseRef> = dead.iter().chain(&own).filter(|e| e.is_end()).map(|e| e.lease).collect();
        let told = |entry: &&Entry| !(entry.is_begin() && ended.contains(&entry.lease));
        let mut sends = 0;
        let mut failed = None;
        // Its own first: a store that was restarted waits for the living, and not for long.
        for (entries, alive) in [(&own, true), (&dead, false)] {
            // One that does not answer keeps the others from nothing.
            for shard in 0..self.shards {
                // SEND-SAFETY: it has lost nothing since it was told: that would be another incarnation, and `tell_anew`.
                if alive && self.told().contains(&shard) {
                    continue;
                }
                let ours = |entry: &&Entry| entry.lease.token.shard(self.shards) == shard;
                let entries: Vec<&Entry> = entries.iter().filter(ours).filter(told).collect();
                match self.tell(store, &entries, retention, alive).await {
                    Ok(told) => {
                        sends += told;
                        if whose == Whose::All && alive {
                            self.told().insert(shard);
                        }
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // One that has come meanwhile, or anew, was not told.
        let mut adopted = self.adopted();
        for (id, left) in &mut adopted.files {
            left.told |= telling.contains(&(*id, left.written));
        }
        Ok(sends)
    }

    async fn tell(
        &self,
        store: &SharedStore,
        entries: &[&Entry],
        retention: Duration,
        alive: bool,
    ) -> Result<usize, StoreError> {
        let (mut sends, mut refused) = (0, None);
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
            let told = match tell(store, &some, retention).await {
                Ok(told) => told,
                Err(error) if is_refusal(&error) => {
                    refused = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            // SEND-SAFETY: this worker's own are told again until the store has them; it waits for no worker for long. A dead one's
            // would keep every worker from beginning, for as long as its file tells it.
            if alive {
                refused = told.refused.or(refused);
            }
            for (entry, answer) in some.iter().zip(told.answers) {
                let Some(answer) = answer else { continue };
                // Each worker that begins tells what the dead ones left; what it changes is counted, once.
                if !alive && matches!(answer, Settled::Again(_) | Settled::Stale) {
                    continue;
                }
                self.answered(entry.settlement.lease, &entry.lane, &entry.settlement.outcome, answer).await;
            }
            sends += some.len();
        }
        refused.map_or(Ok(sends), Err)
    }

    /// Of these beginnings of this worker's own: those whose end is known by now.
    fn ended_among(&self, entries: &[&Entry]) -> HashSet<LeaseRef> {
        let begun: HashSet<LeaseRef> = entries.iter().filter(|e| e.is_begin()).map(|e| e.lease).collect();
        if begun.is_empty() {
            return begun;
        }
        self.lock().iter().filter(|e| e.is_end() && begun.contains(&e.lease)).map(|e| e.lease).collect()
    }

    /// Counts what the store made of an end, and says it when a text went out twice. The store answers that as often as it is
    /// told of the lease, at every restart; people are told once: that they were stands in the file, for those that read it.
    pub(crate) async fn answered(&self, lease: LeaseRef, lane: &LaneId, outcome: &Outcome, answer: Settled) {
        if answer == Settled::SentTwice {
            if !self.is_news(lease) {
                return;
            }
            tracing::error!(message.id = %lease.id, "a text went out twice: under this lease and another");
        }
        crate::metrics::settled(outcome, answer);
        if answer == Settled::SentTwice {
            self.write(vec![Entry::said_twice(lease, lane)], Ring::write).await;
        }
    }

    /// How many entries.
    #[cfg(test)]
    pub(crate) fn remembers(&self) -> usize {
        self.lock().iter().count()
    }

    fn is_news(&self, lease: LeaseRef) -> bool {
        let mut twice = self.twice();
        if twice.len() >= MOST {
            // Better said again than without a bound.
            twice.clear();
        }
        twice.insert(lease)
    }

    fn twice(&self) -> MutexGuard<'_, HashSet<LeaseRef>> {
        self.twice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, HashSet<usize>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn adopted(&self) -> MutexGuard<'_, Adopted> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        // Whole at every step, so a panic elsewhere did not break it.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Adopted {
    /// All of it for a store that may have lost some; else what is not told.
    fn of_dead(&self, whose: Whose) -> (Vec<Entry>, HashSet<(FileId, Written)>) {
        let all = whose == Whose::All;
        let files = || self.files.iter().filter(|(_, left)| all || !left.told);
        let entries = files().flat_map(|(_, left)| &left.entries);
        let entries = self.before.iter().filter(|_| all).chain(entries).cloned().collect();
        (entries, files().map(|(id, left)| (*id, left.written)).collect())
    }
}

/// Of a dead worker's sends, in their order, those that it would remember.
fn last_of(entries: Vec<Entry>, shards: usize) -> Vec<Entry> {
    let mut recent = Recent::new(shards);
    recent.extend(entries);
    recent.iter().cloned().collect()
}

/// Whose texts went out twice, as their workers have said.
fn said_twice(entries: &[Entry]) -> impl Iterator<Item = LeaseRef> {
    entries.iter().filter(|entry| entry.story == Story::SaidTwice).map(|entry| entry.lease)
}
