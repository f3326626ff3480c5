//! Messages on their way through: workers that claim, begin and settle, and send nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use ringfleet_store::{
    Begin, ClaimRequest, Intent, Lease, Outcome, PlanSeen, Settled, Settlement, SharedStore, State, WorkerId,
};
use tokio::task::JoinSet;

use super::{connect, enqueue};
use crate::redis::{Info, Redis};

const LEASE: Duration = Duration::from_secs(30);
/// What is drained until then is enough for a figure.
const DRAIN_TIME: Duration = Duration::from_secs(15);

/// Workers, each with a connection of its own, and how many messages each has in hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    workers: u32,
    hands: u32,
}

impl Fleet {
    /// 64 in hand, as many as the peers have handlers; some of those fetch more than they handle.
    pub(super) const PEERS: Fleet = Fleet { workers: 2, hands: 32 };
    /// Four workers with a worker's default of 64 hands.
    pub(super) const FOUR: Fleet = Fleet { workers: 4, hands: 64 };

    pub(super) fn workers(self) -> usize {
        self.workers as usize
    }

    pub(super) fn hands(self) -> usize {
        self.hands as usize
    }

    pub(super) fn words(self) -> String {
        format!("{} workers with {} in hand", self.workers, self.hands)
    }

    /// Takes `count` messages through, or as many as it can in [`DRAIN_TIME`], and tells how many and how long it took.
    pub(super) async fn drain(self, stores: &[SharedStore], count: u64) -> anyhow::Result<(u64, Duration)> {
        let left = Arc::new(AtomicI64::new(i64::try_from(count)?));
        let begun = Instant::now();
        let mut workers = JoinSet::new();
        for store in stores {
            workers.spawn(worker(store.clone(), self.hands, left.clone(), begun + DRAIN_TIME));
        }
        let mut done = 0;
        while let Some(ended) = workers.join_next().await {
            done += ended??;
        }
        Ok((done, begun.elapsed()))
    }
}

/// One worker: claims what its hands can hold until `left` is used up or the time is. Tells how many it took through.
async fn worker(store: SharedStore, hands: u32, left: Arc<AtomicI64>, end: Instant) -> anyhow::Result<u64> {
    let worker = WorkerId::incarnation("bench");
    let mut done = 0;
    loop {
        let mine = i64::from(hands).min(left.fetch_sub(hands.into(), Ordering::Relaxed));
        if mine <= 0 || Instant::now() > end {
            return Ok(done);
        }
        let mut wanted = u32::try_from(mine)?;
        while wanted > 0 {
            let claim = store.claim(ClaimRequest { worker: &worker, free_slots: wanted, lease: LEASE }).await?;
            if claim.leases.is_empty() {
                ensure!(claim.next_due.is_some(), "nothing is left to claim");
                tokio::time::sleep(claim.next_due.unwrap_or_default().max(Duration::from_millis(1))).await;
                continue;
            }
            wanted -= u32::try_from(claim.leases.len())?;
            carry(&store, &claim.leases).await?;
            done += claim.leases.len() as u64;
        }
    }
}

/// From the lease to the end, with no POST between.
async fn carry(store: &SharedStore, leases: &[Lease]) -> anyhow::Result<()> {
    // Ids of the provider differ, as the store remembers whom each was counted for.
    static NEXT: AtomicU64 = AtomicU64::new(2_500_000_000_000);
    let intents: Vec<Intent> = leases.iter().map(|lease| lease.reference().into()).collect();
    let begun = store.begin_send(&intents, LEASE).await?;
    ensure!(begun.iter().all(|answer| *answer == Begin::Go), "an intent was refused: {begun:?}");
    let settlements: Vec<Settlement> = leases
        .iter()
        .map(|lease| Settlement {
            lease: lease.reference(),
            outcome: Outcome::Sent { provider_id: NEXT.fetch_add(1, Ordering::Relaxed).to_string() },
            age: Duration::ZERO,
            seen: PlanSeen::default(),
        })
        .collect();
    let settled = store.settle(&settlements).await?;
    ensure!(settled.iter().all(|answer| *answer == Settled::Done(State::Sent)), "a report was refused: {settled:?}");
    Ok(())
}

/// What a drain has shown.
pub(super) struct Level {
    done: u64,
    time: Duration,
    spent: Info,
}

impl Level {
    pub(super) fn per_s(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }

    /// Of Redis' work, by message.
    pub(super) fn each(&self, total: impl Fn(&Info) -> f64) -> f64 {
        total(&self.spent) / self.done as f64
    }
}

/// A server with a backlog, and a fleet that drains some of it, piece by piece.
pub(super) struct Stage<'a> {
    redis: &'a Redis,
    fleet: Fleet,
    backlog: u64,
    lanes: u64,
    store: SharedStore,
    stores: Vec<SharedStore>,
    level: Level,
}

impl<'a> Stage<'a> {
    /// Empties the server and queues `backlog` messages in `lanes` lanes.
    pub(super) async fn set(
        redis: &'a Redis,
        fleet: Fleet,
        shards: u16,
        (backlog, lanes): (u64, u64),
    ) -> anyhow::Result<Self> {
        redis.empty().await?;
        let store = connect(redis, shards).await?;
        enqueue::fill(&store, 0, backlog, lanes).await?;
        let mut stores = Vec::new();
        for _ in 0..fleet.workers {
            stores.push(connect(redis, shards).await?);
        }
        let level = Level { done: 0, time: Duration::ZERO, spent: Info::default() };
        Ok(Self { redis, fleet, backlog, lanes, store, stores, level })
    }

    /// Drains the whole backlog.
    pub(super) async fn drain_whole(&mut self) -> anyhow::Result<()> {
        self.take(self.backlog).await.map(drop)
    }

    /// Drains `count` messages beside the rest. A small backlog is filled up again and again: only the draining is timed, and
    /// never more than half of it is taken away.
    pub(super) async fn drain(&mut self, count: u64) -> anyhow::Result<()> {
        let piece = (self.backlog / 2).min(count);
        let end = self.level.done + count;
        while self.level.done < end && self.level.time < DRAIN_TIME {
            if self.level.done > 0 {
                enqueue::fill(&self.store, self.backlog + self.level.done - piece, piece, self.lanes).await?;
            }
            if self.take(piece).await? < piece {
                break;
            }
        }
        Ok(())
    }

    /// Tells how many of them it took through in time.
    async fn take(&mut self, count: u64) -> anyhow::Result<u64> {
        let before = self.redis.info().await?;
        let (done, time) = self.fleet.drain(&self.stores, count).await?;
        self.level.spent = self.level.spent.plus(self.redis.info().await?.since(before));
        self.level.time += time;
        self.level.done += done;
        Ok(done)
    }

    pub(super) fn level(self) -> Level {
        self.level
    }
}
