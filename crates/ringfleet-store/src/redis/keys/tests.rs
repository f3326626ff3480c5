//! What was asked so long ago that the answer may be another one by now is not acted upon.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use ringfleet_testkit::RedisServer;

use super::*;
use crate::{
    calls::Enqueued,
    clock::Clock,
    ids::{Group, IdempotencyKey},
    message::{OnUnknown, Private},
    redis::RedisOptions,
    store::Store,
};

async fn two_shards(server: &RedisServer) -> (RedisStore, Arc<AtomicI64>) {
    let (clock, hand) = Clock::by_hand(1_700_000_000_000);
    let options = RedisOptions { shards: 2, clock, allow_volatile: true, ..RedisOptions::new(server.url()) };
    (RedisStore::connect(options).await.expect("the server answers"), hand)
}

/// All have the same key.
fn message(extension: &str) -> NewMessage {
    NewMessage {
        lane: LaneId::try_new("app", extension, Group::Medium).expect("a lane"),
        key: Some(IdempotencyKey::try_new("k").expect("a key")),
        from: Private::new("+16505550100"),
        to: Private::new("+16505550101"),
        text: Private::new("x"),
        priority: Default::default(),
        on_unknown: OnUnknown::Reconcile,
        send_at: None,
        send_by: None,
    }
}

#[tokio::test]
async fn a_message_does_not_go_to_its_lane_when_its_key_was_asked_for_too_long_ago() {
    let server = RedisServer::start();
    let (store, _) = two_shards(&server).await;
    let ids = [MessageId::random()];
    let hand_in = async |reserved| store.hand_in(&[message("1")], &ids, &[false], reserved).await;
    let late = hand_in(Instant::now() - RESERVED).await;
    assert!(late.as_ref().is_err_and(StoreError::is_transient), "{late:?}");
    assert_eq!(store.get(&ids[0]).await.expect("an answer"), None);
    assert_eq!(hand_in(Instant::now()).await.expect("taken"), [Enqueued::Accepted(ids[0])]);
}

#[tokio::test]
async fn no_key_is_forgotten_when_its_record_was_looked_for_too_long_ago() {
    let server = RedisServer::start();
    let (store, hand) = two_shards(&server).await;
    let (used, elsewhere) = (message("1"), message("2"));
    let taken = store.enqueue(std::slice::from_ref(&used)).await.expect("taken");
    let [Enqueued::Accepted(id)] = taken[..] else { panic!("{taken:?}") };
    // Nobody has asked for it lately.
    hand.fetch_add(2 * millis(RESERVED), Ordering::SeqCst);
    let gone = [[&id.as_bytes()[..], used.lane.as_str().as_bytes()].concat()];
    let forgotten = async |looked| {
        store.forget_keys(0, &gone, looked, &mut Round::new(&store.silent)).await;
        let foreign = store.reserve_keys(std::slice::from_ref(&elsewhere), &[id]).await.expect("an answer");
        foreign == [false]
    };
    assert!(!forgotten(Instant::now() - RESERVED).await);
    assert!(forgotten(Instant::now()).await);
}
