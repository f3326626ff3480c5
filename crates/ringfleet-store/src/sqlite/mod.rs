//! The embedded store: one SQLite file in WAL mode, for one machine; several processes may open it.
//!
//! Every transition is one function on a transaction (`Tx`), written beside its Lua twin in `lua/`; what they have in
//! common stands in [`lanes`], [`messages`] and [`slots`]. They differ in one thing: a cancelled or expired message leaves
//! its queue at once here, where Redis leaves a shadow entry until its turn comes.
//!
//! - [`mod@file`]: makes, checks and opens the database, `schema.sql`
//! - [`place`]: whether that file is still the one at its path
//! - [`writer`]: the thread that owns the connection; group commit; who wakes whom
//! - [`threads`]: all of a process, which waits for them when it ends
//!
//! **Invariant:** no answer leaves before its transaction is committed; with [`Synchronous::Full`] that is on the disk.

mod begin_send;
mod changes;
mod claim;
mod control;
mod delivery;
mod disk;
mod docs;
mod enqueue;
mod explain;
mod fault;
mod file;
mod lanes;
mod messages;
mod opt_out;
mod place;
mod reap;
mod reconcile;
mod settle;
mod slot;
mod slots;
mod store;
mod threads;
mod time;
mod tokens;
mod tx;
mod view;
mod workers;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

pub use self::threads::close_all;
use self::{
    fault::{Step, unavailable},
    time::Mark,
    tx::Tx,
    writer::{Call, Command, Seen, Writer},
};
use crate::{
    clock::Clock,
    ids::LeaseToken,
    plan::LaneRules,
    store::{MAX_BATCH, StoreError},
    words::{millis, short},
};

/// Calls that may wait for the thread before the next caller does.
const WAITING_CALLS: usize = 256;
/// How often one who waits for work asks whether another process has written.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a commit survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Synchronous {
    /// A power cut. The only setting under which an intent can't be lost.
    #[default]
    Full,
    /// The death of the process, not a power cut: the last commits may be undone, and a text whose intent was among
    /// them may be sent again.
    Normal,
}

#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub rules: LaneRules,
    pub clock: Clock,
    pub synchronous: Synchronous,
    /// How long a call waits for another process's transaction.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            rules: LaneRules::documented(),
            clock: Clock::default(),
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Messages and lanes in one file. Clones share the thread; it ends with the last of them.
#[derive(Clone)]
pub struct SqliteStore {
    commands: mpsc::Sender<Command>,
    woken: watch::Receiver<()>,
    looking: Arc<AtomicBool>,
    /// See [`Store::epoch`](crate::Store::epoch).
    name: String,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens the file, or makes it together with its folder. Refuses other programs' databases and newer schemas.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let (commands, waiting) = mpsc::channel(WAITING_CALLS);
        let (waker, woken) = watch::channel(());
        let looking = Arc::new(AtomicBool::new(false));
        let (opened, is_open) = oneshot::channel();
        let (path, shared) = (path.to_owned(), looking.clone());
        let work = move || match file::open(&path, options.synchronous, options.busy_timeout) {
            Err(error) => drop(opened.send(Err(error))),
            Ok((conn, place)) => {
                let mut writer = Writer {
                    conn,
                    place,
                    rules: options.rules,
                    clock: options.clock,
                    patience: options.busy_timeout,
                    woken: waker,
                    looking: shared,
                    seen: Seen::default(),
                    latest: 0,
                    mark: Mark::default(),
                    mark_is_ahead: false,
                };
                let looked = writer.look_first();
                let fine = looked.is_ok();
                if opened.send(looked).is_ok() && fine {
                    writer.run(waiting);
                }
            }
        };
        let thread = thread::Builder::new()
            .name("ringfleet-sqlite".to_owned())
            .spawn(work)
            .map_err(|error| StoreError::Unavailable { call: "open", source: error.into() })?;
        threads::remember(thread, &commands);
        let name = is_open.await.map_err(|_| unavailable("open", "the store's thread has ended"))??;
        Ok(Self { commands, woken, looking, name })
    }

    /// Cancel-safe: dropped early it does nothing, dropped late it happens all the same.
    async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Tx<'_>) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (call, answer) = Call::new(name, work);
        let gone = || unavailable(name, "the store's thread has ended");
        self.commands.send(Command::Run(Box::new(call))).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// One transition for each `MAX_BATCH` items.
    async fn call_in_batches<I: Clone + Send + 'static, T: Send + 'static>(
        &self,
        name: &'static str,
        items: &[I],
        work: impl Fn(&mut Tx<'_>, &[I]) -> Step<Vec<T>> + Copy + Send + 'static,
    ) -> Result<Vec<T>, StoreError> {
        let mut answers = Vec::with_capacity(items.len());
        for batch in items.chunks(MAX_BATCH) {
            let batch = batch.to_vec();
            answers.extend(self.call(name, move |tx| work(tx, &batch)).await?);
        }
        Ok(answers)
    }
}

/// SEND-SAFETY: a number that was never given out must not become one that was: −1 fits no lease.
fn raw_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

fn raw_token(token: LeaseToken) -> i64 {
    raw_number(token.0)
}

/// Asks the thread to look for other processes' work, unless somebody has just done so.
fn look(commands: &mpsc::WeakSender<Command>, looking: &AtomicBool) {
    if let Some(commands) = commands.upgrade()
        && !looking.swap(true, Ordering::AcqRel)
        && commands.try_send(Command::Look).is_err()
    {
        looking.store(false, Ordering::Release);
    }
}
