//! What is taken back of workers that do not answer, and when.

use std::{sync::Arc, time::Duration};

use ringfleet_store::{
    Begin, ClaimRequest, OnUnknown, Outcome, PlanSeen, RedisStore, Settled, Settlement, SharedStore, State, WorkerId,
    redis::RedisOptions,
};
use ringfleet_testkit::{FaultProxy, RedisServer, eventually};
use tokio_util::sync::CancellationToken;

use super::rig::{EXTENSION, PATIENCE, state, text};
use crate::reaper::reap;

#[tokio::test]
async fn what_was_sent_while_the_store_was_away_is_reported_before_its_lease_is_taken_back() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let options = RedisOptions { allow_volatile: true, ..RedisOptions::new(proxy.url("redis")) };
    let store: SharedStore = Arc::new(RedisStore::connect(options).await.unwrap());
    store.enqueue(&[text(EXTENSION, 1, OnUnknown::Resend)]).await.unwrap();
    let (worker, term) = (WorkerId::incarnation("w"), Duration::from_secs(2));
    let request = ClaimRequest { worker: &worker, free_slots: 1, lease: term };
    let lease = store.claim(request).await.unwrap().leases.remove(0);
    assert_eq!(store.begin_send(&[lease.reference().into()], term).await.unwrap(), [Begin::Go]);
    let stop = CancellationToken::new();
    let reaping = tokio::spawn(reap(store.clone(), Duration::from_millis(20), PATIENCE, stop.clone()));
    proxy.refuse(true);
    proxy.reset_all();
    // A call of the reaper has failed by then, and the lease is over.
    assert!(store.reap(1, PATIENCE).await.is_err());
    tokio::time::sleep(term).await;
    proxy.heal();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;

    // Many rounds of the reaper, and less than a report may pause between two tries.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let outcome = Outcome::Sent { provider_id: "1".to_owned() };
    let report = Settlement { lease: lease.reference(), outcome, age: Duration::ZERO, seen: PlanSeen::default() };
    assert_eq!(store.settle(&[report]).await.unwrap(), [Settled::Done(State::Sent)]);
    assert_eq!(state(&store, &lease.id).await, Some(State::Sent));
    stop.cancel();
    reaping.await.unwrap();
}
