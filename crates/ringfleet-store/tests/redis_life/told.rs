//! After a restart: for whom the gate is kept closed, and what does not pass for told.

use ringfleet_store::{Decided, Evidence, Found};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;
use crate::restarted::Fleet;

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
