//! A send that does not begin, and what is told of it.

use ringfleet_store::{OnUnknown, State, sqlite::SqliteOptions};
use ringfleet_testkit::RedisServer;

use super::rig::{EXTENSION, LEASE, Worker, claimed, provider, redis, spoil, sqlite, state, takes_texts, text};
use crate::journal::Whose;

#[tokio::test]
async fn a_text_whose_lease_is_lost_is_not_posted_and_the_store_is_told_that_it_never_left() {
    let folder = tempfile::tempdir().unwrap();
    let (store, (routes, taken)) = (sqlite(folder.path(), SqliteOptions::default()).await, takes_texts());
    let (worker, settling) = Worker::new(&store, provider(routes).await);
    tokio::spawn(settling);
    let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Hold)).await;
    // A store that was restarted just now is told of it as of one under way, and then refuses the intent.
    worker.journal.begin(&[(lease.reference().into(), lease.lane.clone())]).await;
    worker.journal.reassert(&store, LEASE, Whose::All).await.unwrap();
    let id = lease.id;
    assert_eq!(state(&store, &id).await, Some(State::Held));

    worker.sender.process(worker.takes(lease)).await;
    assert!(taken.lock().unwrap().is_empty());
    assert_eq!(state(&store, &id).await, Some(State::Ready), "it never left");
}

#[tokio::test]
async fn a_send_that_the_store_has_put_back_is_not_told_as_one_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let (store, (routes, taken)) = (sqlite(folder.path(), SqliteOptions::default()).await, takes_texts());
    let (worker, settling) = Worker::new(&store, provider(routes).await);
    tokio::spawn(settling);
    let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Reconcile)).await;
    store.set_paused(&lease.lane, true).await.unwrap();
    let id = lease.id;
    worker.sender.process(worker.takes(lease)).await;
    assert!(taken.lock().unwrap().is_empty());
    assert_eq!(state(&store, &id).await, Some(State::Ready));

    // As when the store was restarted.
    worker.journal.reassert(&store, LEASE, Whose::All).await.unwrap();
    assert_eq!(state(&store, &id).await, Some(State::Ready), "it never left");
}

#[tokio::test]
async fn a_text_whose_intent_the_store_does_not_take_is_not_posted_and_waits_again() {
    let server = RedisServer::start();
    let (store, (routes, taken)) = (redis(&server).await, takes_texts());
    let (worker, settling) = Worker::new(&store, provider(routes).await);
    tokio::spawn(settling);
    let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Hold)).await;
    let id = lease.id;
    // The list of opt-outs, which an intent looks into.
    spoil(&server, "out");
    worker.sender.process(worker.takes(lease)).await;
    assert!(taken.lock().unwrap().is_empty());
    assert_eq!(state(&store, &id).await, Some(State::Ready));
}
