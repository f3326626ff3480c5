//! The Redis store: every transition is one Lua script (`lua/`), atomic, bounded, judged by Redis `TIME`.
//!
//! Keys are spread over `shards` hash tags by extension, and one script never leaves its tag, so that the same code runs
//! on one server and on a Cluster.

mod away;
mod blob;
mod calls;
mod changes;
mod cluster;
mod connect;
mod delivery;
mod docs;
mod explain;
mod keys;
mod lean;
mod link;
mod opt_out;
mod reconcile;
mod scripts;
mod shards;
mod slots;
mod store;
mod tokens;
mod views;
mod wake;
mod words;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use tokio::sync::Notify;

pub use self::connect::RedisOptions;
use self::{
    link::{Call, Connection},
    reconcile::Seen,
    scripts::Scripts,
    shards::{Silent, Turn},
};
use crate::{
    clock::Clock,
    ids::{Group, LaneId, MessageId},
    store::StoreError,
    words::millis,
};

/// The format of the data; part of the epoch, so that a program which knows another one is refused by every script.
const FORMAT: u32 = 7;

/// Messages and lanes in Redis (6.2 or newer; one server or a Cluster).
pub struct RedisStore {
    link: Connection,
    scripts: Scripts,
    /// Hash tags, one a shard.
    tags: Vec<String>,
    clock: Clock,
    epoch: String,
    /// The rules, then the epoch of the data: what every script is told.
    rules: Vec<u8>,
    /// Numbers this handle's claims, and remembers those whose answer was lost, by worker and shard.
    claims: AtomicU64,
    unanswered: Mutex<HashMap<(String, usize), u64>>,
    seen: Mutex<Seen>,
    silent: Silent,
    /// The shard that has told the time last.
    timekeeper: AtomicUsize,
    claim_turn: Turn,
    unknown_turn: Turn,
    delivery_turn: Turn,
    heard: Arc<Notify>,
    listener: tokio::task::JoinHandle<()>,
}

impl RedisStore {
    /// Connects, checks that the server may be trusted with a queue, and starts to listen for wake-ups.
    pub async fn connect(options: RedisOptions) -> Result<Self, StoreError> {
        options.check()?;
        let tags = options.tags();
        let link = connect::connect(&options, &tags).await?;
        connect::check_servers(&options, &link).await?;
        let mut store = Self::over(link, tags, &options);
        store.epoch = store.open().await?;
        store.rules = rules_argument(&options, &store.epoch);
        store.agree_on_shards(options.shards).await?;
        Ok(store)
    }

    /// For a stop, which must not wait for a shard that does not answer: the epoch of one that does is enough.
    pub async fn connect_to_stop(options: RedisOptions) -> Result<Self, StoreError> {
        options.check()?;
        let tags = options.tags();
        let mut store = Self::over(connect::connect(&options, &tags).await?, tags, &options);
        store.epoch = store.known_epoch().await?;
        store.rules = rules_argument(&options, &store.epoch);
        match store.agree_on_shards(options.shards).await {
            // Whether there are others can't be known; the first, which knows, will be missed by the stop too.
            Err(error) if error.is_transient() => {}
            agreed => agreed?,
        }
        Ok(store)
    }

    fn over(link: Connection, tags: Vec<String>, options: &RedisOptions) -> Self {
        let heard = Arc::new(Notify::new());
        Self {
            link,
            scripts: Scripts::load(),
            tags,
            clock: options.clock.clone(),
            epoch: String::new(),
            rules: Vec::new(),
            claims: AtomicU64::new(0),
            unanswered: Mutex::default(),
            seen: Mutex::new(Seen::new(options.shards)),
            silent: Silent::new(options.shards),
            timekeeper: AtomicUsize::new(0),
            claim_turn: Turn::default(),
            unknown_turn: Turn::default(),
            delivery_turn: Turn::default(),
            listener: wake::listen(options, heard.clone()),
            heard,
        }
    }

    /// The epoch of the data: its format and a name. New data get one here; from then on every script asks for it.
    async fn open(&self) -> Result<String, StoreError> {
        let new = format!("{FORMAT}:{}", ulid::Ulid::generate());
        let was_here = self.epoch_of(&self.tags[0], "").await?.is_some();
        let epoch = known_format(self.epoch_of(&self.tags[0], &new).await?.unwrap_or_default())?;
        for tag in &self.tags[1..] {
            let mut tries = 0;
            loop {
                // SEND-SAFETY: a flushed shard has forgotten what it sent, so it is not taken for a new one.
                // Whoever makes the first shard's epoch makes the others' a moment later; a shard that stays without one in
                // data that have it elsewhere was flushed.
                match self.epoch_of(tag, if was_here && tries < 20 { "" } else { &epoch }).await? {
                    Some(known) if known == epoch && tries < 20 => break,
                    None if tries < 20 => {
                        tries += 1;
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    _ => return Err(StoreError::Replaced { call: "open" }),
                }
            }
        }
        Ok(epoch)
    }

    /// The epoch of whichever shard answers first. It begins new data only where all say that there are none.
    async fn known_epoch(&self) -> Result<String, StoreError> {
        match self.first_known(self.tags.iter().map(|tag| self.epoch_of(tag, ""))).await? {
            Some(epoch) => known_format(epoch),
            None => self.open().await,
        }
    }

    /// A shard's epoch; one that has none gets the `new` one, unless that is empty.
    async fn epoch_of(&self, tag: &str, new: &str) -> Result<Option<String>, StoreError> {
        let mut call = Call::new(&self.scripts.open, tag);
        call.arg(new);
        self.link.run("open", &call).await
    }

    /// SEND-SAFETY: the number of shards decides where a lane lives; with a second opinion a message would be there twice.
    async fn agree_on_shards(&self, shards: u16) -> Result<(), StoreError> {
        let tag = self.tags[0].as_str();
        let key = format!("{tag}:shards");
        let mut get = redis::cmd("GET");
        get.arg(&key);
        let mut known: Option<u16> = self.link.query("GET", tag, &get).await?;
        if known.is_none() {
            // Written only where it is not yet: a full Redis refuses it, and its fleet must be able to start.
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(shards).arg("NX");
            let _: redis::Value = self.link.query("SET", tag, &set).await?;
            known = self.link.query("GET", tag, &get).await?;
        }
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
            let (next, keys): (u64, Vec<Vec<u8>>) = self.link.query("SCAN", &self.tags[0], &scan).await?;
            for some in keys.chunks(500) {
                let mut unlink = redis::cmd("UNLINK");
                some.iter().for_each(|key| {
                    unlink.arg(key.as_slice());
                });
                self.link.query::<i64>("UNLINK", &self.tags[0], &unlink).await?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        // This handle goes on with what it has emptied itself.
        for tag in &self.tags {
            self.epoch_of(tag, &self.epoch).await?;
        }
        self.agree_on_shards(self.tags.len() as u16).await
    }

    pub(super) fn tag_of_lane(&self, lane: &LaneId) -> &str {
        self.tag_of(lane.extension())
    }

    /// All lanes of one extension live together.
    fn tag_of(&self, extension: &str) -> &str {
        &self.tags[self.shard_of(extension)]
    }

    fn shard_of(&self, name: &str) -> usize {
        stable_hash(name.as_bytes()) as usize % self.tags.len()
    }

    fn tag_of_id(&self, id: &MessageId) -> &str {
        &self.tags[self.home_of_id(id)]
    }

    fn home_of_id(&self, id: &MessageId) -> usize {
        stable_hash(id.as_bytes()) as usize % self.tags.len()
    }

    fn prepare<'a>(&self, script: &'a redis::Script, tag: &'a str) -> Call<'a> {
        let mut call = Call::new(script, tag);
        call.arg(self.clock.set_time().unwrap_or(0)).arg(&self.rules);
        call
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
///
/// SEND-SAFETY: with another hash every lane would live elsewhere, and its messages be known there no more.
fn stable_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Refuses the epoch of data whose format is another than this program's.
fn known_format(epoch: String) -> Result<String, StoreError> {
    let format = epoch.split(':').next().and_then(|format| format.parse::<u32>().ok()).unwrap_or(0);
    if format == FORMAT {
        return Ok(epoch);
    }
    let advice = if format > FORMAT { "update this program" } else { "drain it with the older program" };
    Err(StoreError::Unfit { reason: format!("its data have format {format}, this program knows {FORMAT}: {advice}") })
}

/// Layout: `lua/lib/begin.lua`.
fn rules_argument(options: &RedisOptions, epoch: &str) -> Vec<u8> {
    let rules = &options.rules;
    let plans = Group::ALL.map(|group| rules.plan(group));
    let plans = plans.iter().flat_map(|plan| [i64::from(plan.limit), i64::from(plan.window_ms)]);
    let cap = i64::from(rules.in_flight_cap.max(1));
    let waits = [cap, millis(options.restart_patience), millis(rules.delivery_wait)];
    plans.chain(waits).flat_map(i64::to_be_bytes).chain(epoch.bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As FNV-1a's authors published them.
    #[test]
    fn lanes_and_keys_live_where_data_of_before_have_them() {
        for (name, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(stable_hash(name.as_bytes()), hash, "{name:?}");
        }
    }
}
