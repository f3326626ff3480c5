//! Plain queueing with no-op messages of 300 bytes: what goes in, what goes through (claim → begin → settle), what it costs
//! Redis, and the same on SQLite.
//!
//! What goes through is the worker's way through the store: a lease and a slot of the exact window, the intent, the outcome.
//! Only the POST is missing.

mod bare;
mod drain;
mod enqueue;
mod owned;
mod sqlite;

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use ringfleet_store::{RedisStore, SharedStore, redis::RedisOptions};

use self::drain::{Fleet, Level, Stage};
pub(crate) use self::{bare::BARE, owned::OWNED};
use crate::{
    figure::shown,
    messages,
    options::Bench,
    redis::{Keep, Redis},
    sitting::Sitting,
};

/// As many as a worker's reaper takes at once.
const REAPED_AT_ONCE: u32 = 200;

/// Us, among the peers.
pub(crate) const OURS: &str = "ringfleet";

/// The case of a Redis that keeps its data as a fleet's does.
pub(crate) const WITH_AOF: &str = "append-only file, fsync before each answer";

pub(crate) const DRAIN: &str = "claim, begin, settle";
pub(crate) const BY_BACKLOG: &str = "claim, begin, settle by backlog";
pub(crate) const BY_LANES: &str = "claim, begin, settle by lanes";
pub(crate) const CPU_BY_BACKLOG: &str = "Redis CPU by backlog";
pub(crate) const CPU_BY_LANES: &str = "Redis CPU by lanes";
pub(crate) const COMMANDS_BY_BACKLOG: &str = "Redis commands by backlog";
pub(crate) const COMMANDS_BY_LANES: &str = "Redis commands by lanes";
pub(crate) const BULK: &str = "enqueue in bulk";
pub(crate) const BULK_CPU: &str = "Redis CPU of a bulk enqueue";
pub(crate) const BULK_COMMANDS: &str = "Redis commands of a bulk enqueue";
pub(crate) const QUEUED_BYTES: &str = "Redis memory of a queued message";
pub(crate) const PRUNED_BYTES: &str = "Redis memory of a message whose retention is over";
pub(crate) const PRUNING_CPU: &str = "Redis CPU of removing a finished message";
pub(crate) const FINISHED_BYTES: &str = "Redis memory of a finished message";
pub(crate) const CPU: &str = "Redis CPU";
pub(crate) const COMMANDS: &str = "Redis commands";
pub(crate) const ROUND_TRIPS: &str = "round trips";

pub(crate) async fn run(sitting: &Sitting) -> anyhow::Result<()> {
    let redis = Redis::start(Keep::Memory).await?;
    sitting.attempt("enqueueing", enqueue::measure(sitting, &redis)).await;
    sitting.attempt("draining as the peers are drained", beside_peers(sitting, &redis)).await;
    sitting.attempt("the same commands without scripts", bare::measure(sitting, &redis)).await;
    sitting.attempt("a sketch of lanes that a worker owns", owned::measure(sitting, &redis)).await;
    sitting.attempt("draining beside growing backlogs", by_backlog(sitting)).await;
    sitting.attempt("draining growing numbers of lanes", by_lanes(sitting)).await;
    sitting.attempt("memory of finished messages", finished(sitting, &redis)).await;
    sitting.attempt("draining 16 hash tags", sharded(sitting, &redis)).await;
    drop(redis);
    sitting.attempt("draining with an append-only file", with_aof(sitting)).await;
    sitting.attempt("SQLite", sqlite::measure(sitting)).await;
    Ok(())
}

/// The cases of the drains beside the peers: with 64 in hand, and as a fleet.
pub(crate) fn beside_peers_cases() -> [String; 2] {
    [Fleet::PEERS, Fleet::FOUR].map(Fleet::words)
}

/// A store on the bench's Redis over a connection of its own, as each worker process has one.
async fn connect(redis: &Redis, shards: u16) -> anyhow::Result<SharedStore> {
    let rules = messages::rules();
    let options = RedisOptions { rules, shards, allow_volatile: true, ..RedisOptions::new(redis.url()) };
    Ok(Arc::new(RedisStore::connect(options).await?))
}

/// The same number of messages as the peers, drained whole, at two settings: with 64 in hand, where the peers have 64
/// handlers, and as a fleet.
async fn beside_peers(sitting: &Sitting, redis: &Redis) -> anyhow::Result<()> {
    for fleet in [Fleet::PEERS, Fleet::FOUR] {
        let count = sitting.size.peer;
        let level = drain_whole(redis, fleet, 1, count).await?;
        let case = sitting.case(Bench::Queue, OURS).when(fleet.words()).with(format!(
            "{} messages queued, 1,000 lanes, {} bytes, Redis without persistence",
            shown(count as f64),
            messages::BYTES
        ));
        case.note(DRAIN, "messages/s", level.per_s());
        case.note(CPU, "µs/message", level.each(|redis| redis.cpu_us));
        case.note(COMMANDS, "commands/message", level.each(|redis| redis.commands));
        case.note(ROUND_TRIPS, "scripts/message", level.each(|redis| redis.round_trips));
    }
    Ok(())
}

/// `count` messages in 1,000 lanes, all of them.
async fn drain_whole(redis: &Redis, fleet: Fleet, shards: u16, count: u64) -> anyhow::Result<Level> {
    let mut stage = Stage::set(redis, fleet, shards, (count, 1_000)).await?;
    stage.drain_whole().await?;
    Ok(stage.level())
}

async fn by_backlog(sitting: &Sitting) -> anyhow::Result<()> {
    let (size, lanes) = (&sitting.size, sitting.size.lanes_of_backlogs);
    let levels = in_turns(|_| size.drained, size.backlogs.iter().map(|backlog| (*backlog, lanes))).await?;
    for (backlog, level) in size.backlogs.iter().map(|backlog| *backlog as f64).zip(levels) {
        let case = sitting.case(Bench::Queue, OURS).when(format!("{} queued", shown(backlog))).at(backlog);
        let case = case.with(format!("{} lanes, {}, {IN_TURNS}", shown(lanes as f64), Fleet::FOUR.words()));
        case.note(BY_BACKLOG, "messages/s", level.per_s());
        case.note(CPU_BY_BACKLOG, "µs/message", level.each(|redis| redis.cpu_us));
        case.note(COMMANDS_BY_BACKLOG, "commands/message", level.each(|redis| redis.commands));
    }
    Ok(())
}

async fn by_lanes(sitting: &Sitting) -> anyhow::Result<()> {
    let (size, backlog) = (&sitting.size, sitting.size.backlog_of_lanes);
    // So that a lane is met again when it has a history: three times in the mean, in the turns of the largest number too.
    let drained = |lanes: u64| size.drained.max(3 * lanes).min(backlog);
    let levels = in_turns(drained, size.lanes.iter().map(|lanes| (backlog, *lanes))).await?;
    for (lanes, level) in size.lanes.iter().map(|lanes| *lanes as f64).zip(levels) {
        let case = sitting.case(Bench::Queue, OURS).when(format!("{} lanes", shown(lanes))).at(lanes);
        let case = case.with(format!("{} queued, {}, {IN_TURNS}", shown(backlog as f64), Fleet::FOUR.words()));
        case.note(BY_LANES, "messages/s", level.per_s());
        case.note(CPU_BY_LANES, "µs/message", level.each(|redis| redis.cpu_us));
        case.note(COMMANDS_BY_LANES, "commands/message", level.each(|redis| redis.commands));
    }
    Ok(())
}

const TURNS: u64 = 6;
const IN_TURNS: &str = "a server of its own, drained in turns with the others";

/// The levels of a comparison, each (backlog, lanes) on a server of its own. They are drained in turns, there and back, so that
/// an hour in which the machine is slow is slow for all of them.
async fn in_turns(
    drained: impl Fn(u64) -> u64,
    levels: impl Iterator<Item = (u64, u64)>,
) -> anyhow::Result<Vec<Level>> {
    let levels: Vec<_> = levels.collect();
    let mut servers = Vec::new();
    for _ in &levels {
        servers.push(Redis::start(Keep::Memory).await?);
    }
    let mut stages = Vec::new();
    for (redis, level) in servers.iter().zip(levels) {
        stages.push((Stage::set(redis, Fleet::FOUR, 1, level).await?, drained(level.1) / TURNS));
    }
    for turn in 0..TURNS {
        for n in 0..stages.len() {
            let at = if turn % 2 == 0 { n } else { stages.len() - 1 - n };
            let (stage, count) = &mut stages[at];
            stage.drain(*count).await?;
        }
    }
    Ok(stages.into_iter().map(|(stage, _)| stage.level()).collect())
}

/// One server with the hash tags of a small Cluster: what asking each of them costs.
async fn sharded(sitting: &Sitting, redis: &Redis) -> anyhow::Result<()> {
    const SHARDS: u16 = 16;
    note(sitting, redis, SHARDS, &format!("{SHARDS} hash tags on one server")).await
}

/// What a fleet is run with.
async fn with_aof(sitting: &Sitting) -> anyhow::Result<()> {
    let redis = Redis::start(Keep::Aof).await?;
    note(sitting, &redis, 1, WITH_AOF).await?;
    enqueue::in_bulk(&sitting.case(Bench::Queue, OURS).when(WITH_AOF), &redis, sitting.size.bulk).await
}

async fn note(sitting: &Sitting, redis: &Redis, shards: u16, when: &str) -> anyhow::Result<()> {
    let count = sitting.size.drained;
    let level = drain_whole(redis, Fleet::FOUR, shards, count).await?;
    let case = sitting.case(Bench::Queue, OURS).when(when);
    let case = case.with(format!("{} queued, 1,000 lanes, {}", shown(count as f64), Fleet::FOUR.words()));
    case.note(DRAIN, "messages/s", level.per_s());
    case.note(CPU, "µs/message", level.each(|redis| redis.cpu_us));
    case.note(ROUND_TRIPS, "scripts/message", level.each(|redis| redis.round_trips));
    Ok(())
}

/// What is left of messages when they are sent: their records, for as long as `worker.retention` keeps them, and for a quarter
/// of an hour the provider's ids.
async fn finished(sitting: &Sitting, redis: &Redis) -> anyhow::Result<()> {
    redis.empty().await?;
    let store = connect(redis, 1).await?;
    let before = redis.info().await?;
    let count = sitting.size.drained;
    enqueue::fill(&store, 0, count, 1_000).await?;
    let (done, _) = Fleet::FOUR.drain(&vec![store.clone(); Fleet::FOUR.workers()], count).await?;
    ensure!(done == count, "only {done} of {count} messages could be finished");
    let full = redis.info().await?;
    let case = sitting.case(Bench::Queue, OURS).with(format!("{} sent, 1,000 lanes", shown(count as f64)));
    case.note(FINISHED_BYTES, "bytes", full.since(before).memory_bytes / count as f64);

    // Their retention is over: what a worker's reaper does then.
    let mut pruned = 0;
    while pruned < count {
        let reaped = store.reap(REAPED_AT_ONCE, Duration::ZERO).await?;
        ensure!(reaped.pruned > 0, "{pruned} of {count} finished messages were removed, and no more");
        pruned += u64::from(reaped.pruned);
    }
    let after = redis.info().await?;
    case.note(PRUNING_CPU, "µs/message", after.since(full).cpu_us / count as f64);
    case.note(PRUNED_BYTES, "bytes", after.since(before).memory_bytes / count as f64);
    Ok(())
}
