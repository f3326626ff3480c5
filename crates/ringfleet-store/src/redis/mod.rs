//! The Redis store: every transition is one Lua script (`lua/`), atomic, bounded, judged by Redis `TIME`.
//!
//! Keys are spread over `shards` hash tags by extension, and one script never leaves its tag, so that the same code runs
//! on one server and on a Cluster.

mod blob;
mod calls;
mod connect;
mod scripts;
mod views;
mod wake;

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use redis::ScriptInvocation;
use tokio::sync::Notify;

pub use self::connect::RedisOptions;
use self::scripts::{Connection, Scripts};
use crate::{
    calls::{
        Acquired, Begin, Cancelled, Claim, ClaimRequest, Enqueued, Gate, LaneView, Reaped, Release, Settled,
        Settlement, Stats, TokenLease,
    },
    clock::Clock,
    ids::{Group, LaneId, LeaseToken, MessageId, WorkerId},
    message::{LeaseRef, MessageView, Millis, NewMessage, State},
    plan::{LaneRules, PlanSeen},
    store::{Store, StoreError, TokenAsk},
};

/// Messages and lanes in Redis (6.2 or newer; one server or a Cluster).
pub struct RedisStore {
    link: Connection,
    scripts: Scripts,
    /// Hash tags, one a shard.
    tags: Vec<String>,
    clock: Clock,
    rules: String,
    /// Where the next claim begins, so that no shard is always first.
    turn: AtomicUsize,
    heard: Arc<Notify>,
    listener: tokio::task::JoinHandle<()>,
}

impl RedisStore {
    /// Connects, checks that the server may be trusted with a queue, and starts to listen for wake-ups.
    pub async fn connect(options: RedisOptions) -> Result<Self, StoreError> {
        options.check()?;
        let link = connect::connect(&options).await?;
        connect::check_servers(&options, &link).await?;
        let heard = Arc::new(Notify::new());
        let store = Self {
            link,
            scripts: Scripts::load(),
            tags: (0..options.shards).map(|shard| format!("{{{}:{shard}}}", options.prefix)).collect(),
            clock: options.clock.clone(),
            rules: rules_argument(&options.rules),
            turn: AtomicUsize::new(0),
            listener: wake::listen(&options, heard.clone()),
            heard,
        };
        store.agree_on_shards(options.shards).await?;
        Ok(store)
    }

    /// The number of shards decides where a lane lives; a second opinion would send every message twice.
    async fn agree_on_shards(&self, shards: u16) -> Result<(), StoreError> {
        let key = format!("{}:shards", self.tags[0]);
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(shards).arg("NX");
        let _: redis::Value = self.link.query("SET", &set).await?;
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let known: Option<u16> = self.link.query("GET", &get).await?;
        match known {
            Some(known) if known != shards => Err(StoreError::Unfit {
                reason: format!("this data was made with {known} shards, the configuration says {shards}: use {known}"),
            }),
            _ => Ok(()),
        }
    }

    /// Removes every key of this prefix: for demos and tests on one server, which clean up after themselves.
    pub async fn erase(&self) -> Result<(), StoreError> {
        // `{` opens the hash tag, so a prefix that begins like ours does not match.
        let pattern = format!("{}*", self.tags[0].trim_end_matches(|c: char| c != ':'));
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(10_000);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.link.query("SCAN", &scan).await?;
            for some in keys.chunks(500) {
                let mut unlink = redis::cmd("UNLINK");
                some.iter().for_each(|key| {
                    unlink.arg(key.as_slice());
                });
                self.link.query::<i64>("UNLINK", &unlink).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn tag_of_lane(&self, lane: &LaneId) -> &str {
        self.tag_of(lane.extension())
    }

    /// All lanes of one extension live together.
    fn tag_of(&self, extension: &str) -> &str {
        &self.tags[stable_hash(extension.as_bytes()) as usize % self.tags.len()]
    }

    fn tag_of_id(&self, id: &MessageId) -> &str {
        &self.tags[stable_hash(id.as_bytes()) as usize % self.tags.len()]
    }

    fn prepare<'a>(&self, script: &'a redis::Script, tag: &str) -> ScriptInvocation<'a> {
        let mut invocation = script.key(tag);
        invocation.arg(self.clock.set_time().unwrap_or(0)).arg(self.rules.as_str());
        invocation
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
fn stable_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn rules_argument(rules: &LaneRules) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let plan = rules.plan(group);
        text.push_str(&format!("{},{},", plan.limit, plan.window_ms));
    }
    text + &rules.in_flight_cap.max(1).to_string()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[async_trait]
impl Store for RedisStore {
    async fn enqueue(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError> {
        self.enqueue_all(batch).await
    }
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.claim_from_shards(request).await
    }
    async fn begin_send(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<Begin>, StoreError> {
        self.begin_all(leases, lease).await
    }
    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        self.settle_all(batch).await
    }
    async fn extend(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<bool>, StoreError> {
        self.extend_all(leases, lease).await
    }
    async fn reap(&self, limit: u32, retention: Duration) -> Result<Reaped, StoreError> {
        self.reap_all(limit, retention).await
    }
    async fn acquire(&self, lane: &LaneId, hold: Duration) -> Result<Acquired, StoreError> {
        self.acquire_slot(lane, hold).await
    }
    async fn release(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Result<(), StoreError> {
        self.release_slot(lane, slot, how, age, seen).await
    }
    async fn set_paused(&self, lane: &LaneId, paused: bool) -> Result<(), StoreError> {
        self.control_lane("pause", lane, if paused { "1" } else { "0" }).await
    }
    async fn set_parked(&self, lane: &LaneId, reason: Option<&str>) -> Result<(), StoreError> {
        self.control_lane("park", lane, &reason.map(calls::short).unwrap_or_default()).await
    }
    async fn set_gate(&self, gate: &Gate) -> Result<(), StoreError> {
        self.set_gate_everywhere(gate).await
    }
    async fn gate(&self) -> Result<Gate, StoreError> {
        self.read_gate().await
    }
    async fn cancel(&self, id: &MessageId) -> Result<Cancelled, StoreError> {
        self.cancel_message(id).await
    }
    async fn get(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        self.read_message(id).await
    }
    async fn list(&self, state: State, limit: u32) -> Result<Vec<MessageView>, StoreError> {
        self.list_messages(state, limit).await
    }
    async fn lane(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        self.read_lane(lane).await
    }
    async fn lanes(&self, limit: u32) -> Result<Vec<LaneView>, StoreError> {
        self.list_lanes(limit).await
    }
    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read_stats().await
    }
    async fn token_lease(
        &self,
        extension: &str,
        worker: &WorkerId,
        ask: TokenAsk<'_>,
    ) -> Result<TokenLease, StoreError> {
        self.lease_token(extension, worker, ask).await
    }
    async fn token_store(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        sealed: &[u8],
        expires_in: Duration,
    ) -> Result<bool, StoreError> {
        self.store_token(extension, worker, generation, sealed, expires_in).await
    }
    async fn token_failed(
        &self,
        extension: &str,
        worker: &WorkerId,
        credential: &str,
        dead: Option<&str>,
    ) -> Result<(), StoreError> {
        self.fail_token(extension, worker, credential, dead).await
    }

    fn work_hint(&self) -> BoxFuture<'static, ()> {
        // Registered here and now: publications that arrive before the first poll count.
        Box::pin(self.heard.clone().notified_owned())
    }

    async fn now(&self) -> Result<Millis, StoreError> {
        if let Some(now) = self.clock.set_time() {
            return Ok(now);
        }
        let (seconds, micros): (i64, i64) = self.link.query("TIME", &redis::cmd("TIME")).await?;
        Ok(seconds * 1_000 + micros / 1_000)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.link.query::<redis::Value>("PING", &redis::cmd("PING")).await.map(drop)
    }

    fn kind(&self) -> &'static str {
        "redis"
    }
}
