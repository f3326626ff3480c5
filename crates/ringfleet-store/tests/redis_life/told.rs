//! After a restart: for whom the gate is kept closed, and what does not pass for told.

use ringfleet_store::{Decided, Evidence, Found, Reassertion};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;
use crate::restarted::Fleet;

/// How long what a text proves is remembered at least, and more.
const OUTAGE_S: i64 = 20 * 60;

/// It may be cut off for a moment, and it may know of a send that the store has lost.
#[tokio::test]
async fn the_gate_waits_for_one_that_was_there_before_the_restart_and_was_not_heard_since() {
    let mut fleet = Fleet::new().await;
    fleet.restart(1).await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.is_closed().await;
    fleet.looks(1).await;
    fleet.tells(1).await;
    fleet.is_open().await;
}

#[tokio::test]
async fn who_has_told_of_one_restart_has_not_told_of_the_next() {
    let mut fleet = Fleet::new().await;
    fleet.restart(2).await;
    fleet.tells(0).await;
    fleet.tells(1).await;
    fleet.restart(2).await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.is_closed().await;
    fleet.tells(1).await;
    fleet.is_open().await;
}

/// The second one takes back all that was written since the first, its number too.
#[tokio::test]
async fn who_has_told_of_a_restart_that_the_store_has_forgotten_has_not_told_of_the_next() {
    let mut fleet = Fleet::new().await;
    let before = fleet.server.append_only_bytes();
    fleet.restart(2).await;
    fleet.tells(0).await;
    fleet.tells(1).await;
    let since = fleet.server.append_only_bytes() - before;
    fleet.server.truncate_tail(since);
    fleet.restart(2).await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.is_closed().await;
    fleet.tells(1).await;
    fleet.is_open().await;
}

/// It was replaced for a while, and takes over again.
#[tokio::test]
async fn a_server_that_serves_again_with_older_data_is_noticed_though_it_was_never_restarted() {
    let mut fleet = Fleet::new().await;
    fleet.restart(2).await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.tells(1).await;
    let _: i64 = ask(&fleet.server.url(), &["HSET", &format!("{{{PREFIX}:0}}:inc"), "n", "1"]);
    let before = fleet.now.restarts;
    fleet.now = fleet.looks(0).await;
    assert!(fleet.now.restarts > before);
    // The number is a time.
    fleet.closed_at = fleet.now.restarts as i64;
    fleet.is_closed().await;
    fleet.looks(1).await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.is_closed().await;
    fleet.tells(1).await;
    fleet.is_open().await;
}

/// What it has lost may be another sending that the text proves.
#[tokio::test]
async fn nobodys_fate_is_decided_by_a_store_that_was_restarted_whoever_asks_it_first() {
    let mut server = RedisServer::builder().append_only().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1"]).await;
    let lease = claim_refs(&store, &worker, 1).await[0];
    store.begin_send(&[lease.into()], LEASE).await.unwrap();
    let outcome = Outcome::Unknown { reason: "time-out".to_owned() };
    let (age, seen) = (Duration::ZERO, PlanSeen::default());
    store.settle(&[Settlement { lease, outcome, age, seen }]).await.unwrap();
    let read_at = store.now().await.unwrap();
    let evidence = Evidence { lease, found: Found::Candidates { ids: vec!["p".to_owned()], read_at } };
    server.restart();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    assert_eq!(store.decide(&[evidence], LEASE, 5).await.unwrap(), [Decided::NotYet]);
}

/// A worker may still tell that it was sent.
#[tokio::test]
async fn nothing_expires_in_a_store_that_was_restarted_before_it_has_been_told_what_was_sent() {
    let mut server = RedisServer::builder().append_only().start();
    let store = connect(server.url()).await;
    let send_by = Some(store.now().await.unwrap() + 300);
    store.enqueue(&[NewMessage { send_by, ..message(&lane(), "1") }]).await.unwrap();
    server.restart();
    eventually(PATIENCE, async || store.now().await.is_ok_and(|now| Some(now) > send_by)).await;
    assert_eq!(store.reap(10, LEASE).await.unwrap().expired, 0, "whoever asks it first");
    eventually(PATIENCE, async || store.reap(10, LEASE).await.unwrap().expired == 1).await;
}

/// Its lane looks idle until then.
#[tokio::test]
async fn what_was_counted_before_an_outage_proves_nothing_for_a_send_that_is_told_after_it() {
    let mut server = RedisServer::builder().append_only().clock_file().start();
    let mut options = options(server.url());
    options.rules.delivery_wait = Duration::ZERO;
    let store = RedisStore::connect(options).await.unwrap();
    let worker = WorkerId::incarnation("w");
    put(&store, &lane(), &["counted", "lost", "beside"]).await;
    let leases = claim_refs(&store, &worker, 3).await;
    store.begin_send(&[leases[0].into()], LEASE).await.unwrap();
    settle(&store, leases[0]).await;
    let counted = format!("p{}", leases[0].token.0);
    // As if both had never been given out.
    for lease in &leases[1..] {
        let outcome = Outcome::Released;
        store.settle(&[Settlement { outcome, ..report(*lease) }]).await.unwrap();
    }
    server.restart();
    server.step_clock(OUTAGE_S);
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    watch(&store, &worker).await;
    let tell =
        async |settlement| store.reassert(&[Reassertion { settlement, lane: lane() }], Duration::MAX).await.unwrap()[0];
    assert!(matches!(tell(report(leases[2])).await, Settled::LateEvidence(_)));
    let outcome = Outcome::Unknown { reason: "begun-and-not-reported".to_owned() };
    let age = Duration::from_secs(OUTAGE_S as u64);
    assert!(matches!(tell(Settlement { outcome, age, ..report(leases[1]) }).await, Settled::LateEvidence(_)));
    let mut taken = Vec::new();
    eventually(PATIENCE, async || {
        taken = store.reconcile_take(1, Duration::ZERO).await.unwrap();
        !taken.is_empty()
    })
    .await;
    let (lease, read_at) = (taken[0].sends[0].lease, store.now().await.unwrap());
    let evidence = Evidence { lease, found: Found::Candidates { ids: vec![counted], read_at } };
    assert_eq!(store.decide(&[evidence], LEASE, 5).await.unwrap(), [Decided::NotYet]);
}
