//! What a store that may not be used for a while does to a report.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use ringfleet_store::{
    Begin, ClaimRequest, Group, Intent, NewMessage, OnUnknown, Private, RedisStore, State, WorkerId,
    redis::RedisOptions,
};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;

const LEASE: Duration = Duration::from_secs(60);
/// More than enough on a busy machine for the pauses between the tries.
const PATIENCE: Duration = Duration::from_secs(60);

/// One text whose intent is written.
async fn begun(store: &SharedStore) -> Lease {
    let text = NewMessage {
        lane: LaneId::try_new("main", "101", Group::Medium).unwrap(),
        key: None,
        from: Private::new("+16505550101"),
        to: Private::new("+16505550102"),
        text: Private::new("x"),
        priority: Default::default(),
        on_unknown: OnUnknown::Resend,
        send_at: None,
        send_by: None,
    };
    store.enqueue(&[text]).await.unwrap();
    let worker = WorkerId::incarnation("w");
    let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease: LEASE }).await.unwrap();
    let lease = claim.leases.into_iter().next().unwrap();
    assert_eq!(store.begin_send(&[Intent::from(lease.reference())], LEASE).await.unwrap(), [Begin::Go]);
    lease
}

/// How often the server has said that somebody lacks a right.
fn refusals(server: &RedisServer) -> u32 {
    let told = server.ask(&["INFO", "errorstats"]).unwrap_or_default();
    let count = told.lines().find_map(|line| line.strip_prefix("errorstat_NOPERM:count="));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

#[tokio::test]
async fn a_report_waits_for_as_long_as_the_stores_user_lacks_a_right() {
    let server = RedisServer::start();
    let options = RedisOptions { allow_volatile: true, ..RedisOptions::new(server.url()) };
    let store: SharedStore = Arc::new(RedisStore::connect(options).await.unwrap());
    let lease = begun(&store).await;
    let (settler, serve) = settler(store.clone(), Arc::new(Journal::in_memory(1)), Arc::new(Notify::new()));
    tokio::spawn(serve);
    let rights = |change| assert_eq!(server.ask(&["ACL", "SETUSER", "default", change]).as_deref(), Some("+OK\r\n"));
    rights("-evalsha");
    let (outcome, reference) = (Outcome::Sent { provider_id: "1".to_owned() }, lease.reference());
    let report =
        tokio::spawn(async move { settler.report(&lease, outcome, Instant::now(), PlanSeen::default()).await });
    // More often than a report is tried that the store will never take.
    eventually(PATIENCE, async || refusals(&server) > MOST_REFUSALS + 1).await;
    assert!(!report.is_finished());

    rights("+evalsha");
    tokio::time::timeout(PATIENCE, report).await.expect("the report is made").unwrap();
    assert_eq!(store.get(&reference.id).await.unwrap().unwrap().state, State::Sent);
}
