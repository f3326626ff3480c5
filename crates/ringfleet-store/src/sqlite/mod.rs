//! The embedded store: one SQLite file in WAL mode, for one machine; several processes may open it.
//!
//! Every transition is one function on a transaction (`Tx`), written beside its Lua twin in `lua/`; what they have in
//! common stands in [`lanes`], [`messages`] and [`slots`]. They differ in one thing: a cancelled or expired message leaves
//! its queue at once here, where Redis leaves a shadow entry until its turn comes.
//!
//! - [`mod@file`]: makes, checks and opens the database, `schema.sql`
//! - [`writer`]: the thread that owns the connection; group commit; who wakes whom
//!
//! **Invariant:** no answer leaves before its transaction is committed; with [`Synchronous::Full`] that is on the disk.

mod begin_send;
mod claim;
mod control;
mod enqueue;
mod fault;
mod file;
mod lanes;
mod messages;
mod reap;
mod reconcile;
mod settle;
mod slot;
mod slots;
mod tokens;
mod tx;
mod view;
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

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    fault::{Step, unavailable},
    tokens::Ask,
    tx::Tx,
    writer::{Call, Command, Seen, Writer},
};
use crate::{
    calls::{
        Acquired, Begin, Cancelled, Claim, ClaimRequest, Decided, Enqueued, Evidence, Gate, Incarnation, LaneView,
        Reaped, Reassertion, Release, Resolution, Settled, Settlement, Stats, TokenLease, UnknownSends,
    },
    clock::Clock,
    ids::{LaneId, LeaseToken, MessageId, WorkerId},
    message::{LeaseRef, MessageView, Millis, NewMessage, State},
    plan::{LaneRules, PlanSeen},
    store::{MAX_BATCH, Store, StoreError, TokenAsk},
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
            Ok(conn) => {
                let mut writer = Writer {
                    conn,
                    rules: options.rules,
                    clock: options.clock,
                    patience: options.busy_timeout,
                    woken: waker,
                    looking: shared,
                    seen: Seen::default(),
                };
                let looked = writer.look_first();
                let fine = looked.is_ok();
                if opened.send(looked).is_ok() && fine {
                    writer.run(waiting);
                }
            }
        };
        thread::Builder::new()
            .name("ringfleet-sqlite".to_owned())
            .spawn(work)
            .map_err(|error| StoreError::Unavailable { call: "open", source: error.into() })?;
        is_open.await.map_err(|_| unavailable("open", "the store's thread has ended"))??;
        Ok(Self { commands, woken, looking })
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

fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// SEND-SAFETY: a number that was never given out must not become one that was: −1 fits no lease.
fn raw_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

fn raw_token(token: LeaseToken) -> i64 {
    raw_number(token.0)
}

/// Reasons and codes, as short as the Redis store keeps them.
fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control() && *c != '|').take(120).collect()
}

#[async_trait]
impl Store for SqliteStore {
    async fn enqueue(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError> {
        self.call_in_batches("enqueue", batch, |tx, batch| tx.enqueue(batch)).await
    }

    async fn claim(&self, request: ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let ClaimRequest { worker, free_slots, lease } = request;
        let worker = worker.clone();
        self.call("claim", move |tx| tx.claim(&worker, free_slots, lease)).await
    }

    async fn begin_send(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<Begin>, StoreError> {
        self.call_in_batches("begin_send", leases, move |tx, leases| tx.begin_send(leases, lease)).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        self.call_in_batches("settle", batch, |tx, batch| tx.settle(batch)).await
    }

    async fn extend(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<bool>, StoreError> {
        self.call_in_batches("extend", leases, move |tx, leases| tx.extend(leases, lease)).await
    }

    async fn reap(&self, limit: u32, retention: Duration) -> Result<Reaped, StoreError> {
        self.call("reap", move |tx| tx.reap(limit, retention)).await
    }

    async fn reconcile_take(&self, lanes: u32, lock: Duration) -> Result<Vec<UnknownSends>, StoreError> {
        self.call("reconcile_take", move |tx| tx.reconcile_take(lanes, lock)).await
    }

    async fn decide(
        &self,
        evidence: &[Evidence],
        settle_time: Duration,
        max_attempts: u32,
    ) -> Result<Vec<Decided>, StoreError> {
        let decide = move |tx: &mut Tx<'_>, evidence: &[Evidence]| tx.decide(evidence, settle_time, max_attempts);
        self.call_in_batches("decide", evidence, decide).await
    }

    async fn resolve(&self, id: &MessageId, how: Resolution) -> Result<Cancelled, StoreError> {
        let id = *id;
        self.call("resolve", move |tx| tx.resolve(&id, how)).await
    }

    async fn watch(&self, _: &WorkerId, _: Incarnation) -> Result<Incarnation, StoreError> {
        // A file has no moments to lose: what was answered is on the disk (see [`Synchronous::Full`]).
        Ok(Incarnation::default())
    }

    async fn leave(&self, _: &WorkerId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reassert(&self, journal: &[Reassertion]) -> Result<Vec<Settled>, StoreError> {
        self.call_in_batches("reassert", journal, |tx, journal| tx.reassert(journal)).await
    }

    async fn acquire(&self, lane: &LaneId, hold: Duration) -> Result<Acquired, StoreError> {
        let lane = lane.clone();
        self.call("acquire", move |tx| tx.acquire(&lane, hold)).await
    }

    async fn release(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.call("release", move |tx| tx.release(&lane, slot, how, age, seen)).await
    }

    async fn set_paused(&self, lane: &LaneId, paused: bool) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.call("set_paused", move |tx| tx.set_paused(&lane, paused)).await
    }

    async fn set_parked(&self, lane: &LaneId, reason: Option<&str>) -> Result<(), StoreError> {
        let (lane, reason) = (lane.clone(), reason.map(str::to_owned));
        self.call("set_parked", move |tx| tx.set_parked(&lane, reason.as_deref())).await
    }

    async fn set_gate(&self, gate: &Gate) -> Result<(), StoreError> {
        let gate = gate.clone();
        self.call("set_gate", move |tx| tx.set_gate(&gate)).await
    }

    async fn gate(&self) -> Result<Gate, StoreError> {
        self.call("gate", |tx| tx.gate()).await
    }

    async fn cancel(&self, id: &MessageId) -> Result<Cancelled, StoreError> {
        let id = *id;
        self.call("cancel", move |tx| tx.cancel(&id)).await
    }

    async fn get(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        let id = *id;
        self.call("get", move |tx| tx.get(&id)).await
    }

    async fn list(&self, state: State, limit: u32) -> Result<Vec<MessageView>, StoreError> {
        self.call("list", move |tx| tx.list(state, limit)).await
    }

    async fn lane(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        let lane = lane.clone();
        self.call("lane", move |tx| tx.lane(&lane)).await
    }

    async fn lanes(&self, limit: u32) -> Result<Vec<LaneView>, StoreError> {
        self.call("lanes", move |tx| tx.lanes(limit)).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.call("stats", |tx| tx.stats()).await
    }

    async fn token_lease(
        &self,
        extension: &str,
        worker: &WorkerId,
        ask: TokenAsk<'_>,
    ) -> Result<TokenLease, StoreError> {
        let TokenAsk { needed, known_bad, credential, lock } = ask;
        let ask = Ask { needed, known_bad, credential: credential.to_owned(), lock };
        let (extension, worker) = (extension.to_owned(), worker.clone());
        self.call("token_lease", move |tx| tx.token_lease(&extension, &worker, &ask)).await
    }

    async fn token_store(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        sealed: &[u8],
        expires_in: Duration,
    ) -> Result<bool, StoreError> {
        let (extension, worker, sealed) = (extension.to_owned(), worker.clone(), sealed.to_vec());
        let store = move |tx: &mut Tx<'_>| tx.token_store(&extension, &worker, generation, &sealed, expires_in);
        self.call("token_store", store).await
    }

    async fn token_failed(
        &self,
        extension: &str,
        worker: &WorkerId,
        credential: &str,
        dead: Option<&str>,
    ) -> Result<(), StoreError> {
        let (extension, worker, credential) = (extension.to_owned(), worker.clone(), credential.to_owned());
        let dead = dead.map(str::to_owned);
        let fail = move |tx: &mut Tx<'_>| tx.token_failed(&extension, &worker, &credential, dead.as_deref());
        self.call("token_failed", fail).await
    }

    fn work_hint(&self) -> BoxFuture<'static, ()> {
        let mut woken = self.woken.clone();
        woken.mark_unchanged();
        // A hint that is still awaited must not keep the thread alive.
        let (commands, looking) = (self.commands.downgrade(), self.looking.clone());
        Box::pin(async move {
            loop {
                match tokio::time::timeout(LOOK_EVERY, woken.changed()).await {
                    Ok(Ok(())) => return,
                    Ok(Err(_)) => return std::future::pending().await,
                    Err(_) => look(&commands, &looking),
                }
            }
        })
    }

    async fn now(&self) -> Result<Millis, StoreError> {
        self.call("now", |tx| Ok(tx.now)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call("ping", |tx| tx.gate().map(drop)).await
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn epoch(&self) -> String {
        "sqlite".to_owned()
    }
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
