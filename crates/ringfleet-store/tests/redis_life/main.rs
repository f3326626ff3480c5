//! What happens to a Redis server in its life: it is flushed, killed, started again, its answers get lost, its clock is
//! corrected, and a newer program has written its data. On real servers, and on their own clocks.
//!
//! - [`bounded`]: what is remembered of the past is let go although nothing ever comes to rest
//! - [`flushed`]: data that are gone, or not ours, are never gone on with
//! - [`gate`]: a stop holds for all shards, or says that it does not
//! - [`keys`]: with several shards a key is remembered as long as its record, and no longer
//! - [`moved`]: a Cluster moves a shard's slot, or gives it to a replica: nothing is taken meanwhile, nothing begins anew
//! - [`nodes`]: one of several is gone, stands still or forgets, and only its shards feel it; a login is refused for a while
//! - [`shards`]: one of several does not answer, and stops nothing but itself
//! - [`reach`]: a stop, an opt-out and news of documents while one does not answer: the others hear and tell them
//! - [`restarted`]: a moment may be lost; nothing is given out before the workers have told what they sent
//! - [`told`]: for whom it is waited then, and what does not pass for told
//! - [`unheard`]: a call whose answer was lost is repeated, and happens once
//! - [`documents`]: those of a full server, and what copies of them are worth after a restart
//! - [`spoilt`]: a key that somebody has overwritten stops its lane, and no other
//! - [`mended`]: and nothing is lost of what waited for it
//! - [`clock`]: the fleet's time goes on whatever the server's clock does

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bounded;
mod clock;
mod documents;
mod flushed;
mod gate;
mod keys;
mod mended;
mod moved;
mod nodes;
mod packed;
mod reach;
mod restarted;
mod shards;
mod spoilt;
mod told;
mod unheard;

use std::time::Duration;

use ringfleet_store::{
    Claim, ClaimRequest, Enqueued, Group, IdempotencyKey, Incarnation, LaneId, LaneRules, LeaseRef, MessageId,
    NewMessage, OnUnknown, Outcome, Plan, PlanSeen, Private, RedisStore, Settled, Settlement, Store, StoreError,
    WorkerId, redis::RedisOptions,
};

const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);
const PREFIX: &str = "life";
/// How long a server that is back waits for those who may know of a lost moment.
const GRACE: Duration = Duration::from_secs(3);

fn options(url: String) -> RedisOptions {
    let mut rules = LaneRules::documented();
    rules.set_plan(Group::Heavy, Plan { limit: 1, window_ms: 300 });
    rules.set_plan(Group::Medium, Plan { limit: 1_000, window_ms: 1_000 });
    let prefix = PREFIX.to_owned();
    RedisOptions { prefix, rules, allow_volatile: true, restart_patience: GRACE, ..RedisOptions::new(url) }
}

async fn connect(url: String) -> RedisStore {
    RedisStore::connect(options(url)).await.expect("the server answers")
}

/// A lane whose plan does not bite.
fn lane() -> LaneId {
    LaneId::try_new("app", "1", Group::Medium).unwrap()
}

fn message(lane: &LaneId, text: &str) -> NewMessage {
    NewMessage {
        lane: lane.clone(),
        key: Some(IdempotencyKey::try_new(format!("key {text}")).unwrap()),
        from: Private::new("+16505550100"),
        to: Private::new(format!("to {text}")),
        text: Private::new(text),
        priority: Default::default(),
        on_unknown: OnUnknown::Reconcile,
        send_at: None,
        send_by: None,
    }
}

async fn put(store: &RedisStore, lane: &LaneId, texts: &[&str]) -> Vec<MessageId> {
    let batch: Vec<_> = texts.iter().map(|text| message(lane, text)).collect();
    let accepted = store.enqueue(&batch).await.unwrap().into_iter().map(|answer| match answer {
        Enqueued::Accepted(id) => id,
        other => panic!("not accepted: {other:?}"),
    });
    accepted.collect()
}

async fn claim(store: &RedisStore, worker: &WorkerId, free_slots: u32) -> Result<Claim, StoreError> {
    store.claim(ClaimRequest { worker, free_slots, lease: LEASE }).await
}

async fn claim_refs(store: &RedisStore, worker: &WorkerId, free_slots: u32) -> Vec<LeaseRef> {
    claim(store, worker, free_slots).await.unwrap().leases.iter().map(|lease| lease.reference()).collect()
}

fn report(lease: LeaseRef) -> Settlement {
    let outcome = Outcome::Sent { provider_id: format!("p{}", lease.token.0) };
    Settlement { lease, outcome, age: Duration::ZERO, seen: PlanSeen::default() }
}

async fn settle(store: &RedisStore, lease: LeaseRef) -> Settled {
    store.settle(&[report(lease)]).await.unwrap()[0]
}

/// What a worker learns that has nothing to tell.
async fn watch(store: &RedisStore, worker: &WorkerId) -> Incarnation {
    store.watch(worker, Incarnation::default()).await.unwrap()
}

/// One command past the store.
fn ask<T: redis::FromRedisValue>(url: &str, command: &[&str]) -> T {
    tried(url, command).expect("the server answers")
}

fn tried<T: redis::FromRedisValue>(url: &str, command: &[&str]) -> redis::RedisResult<T> {
    let mut link = redis::Client::open(url)?.get_connection()?;
    let mut cmd = redis::Cmd::new();
    command.iter().for_each(|part| {
        cmd.arg(*part);
    });
    cmd.query(&mut link)
}
