//! The server's clock is corrected while the fleet works.

use ringfleet_store::{Begin, Cancelled, ChangeCursor, Clock, LeaseToken, State};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;

const HOUR: i64 = 3_600;

/// Its window has one place, which frees 300 ms after an answer.
fn narrow() -> LaneId {
    LaneId::try_new("app", "1", Group::Heavy).unwrap()
}

/// Sends the lane's next message as soon as there is a place.
async fn send_next(store: &RedisStore, worker: &WorkerId) -> LeaseToken {
    let mut given = Vec::new();
    eventually(PATIENCE, async || {
        given = claim_refs(store, worker, 5).await;
        !given.is_empty()
    })
    .await;
    assert_eq!(given.len(), 1);
    assert_eq!(store.begin_send(&[given[0].into()], LEASE).await.unwrap(), [Begin::Go]);
    assert_eq!(settle(store, given[0]).await, Settled::Done(State::Sent));
    given[0].token
}

#[tokio::test]
async fn a_step_back_of_an_hour_stalls_no_lane() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &narrow(), &["1", "2", "3"]).await;
    let first = send_next(&store, &worker).await;
    let before = store.now().await.unwrap();
    assert_eq!(watch(&store, &worker).await.clock_steps, 0);

    server.step_clock(-HOUR);
    let second = send_next(&store, &worker).await;
    let third = send_next(&store, &worker).await;
    assert!(first < second && second < third);
    let after = store.now().await.unwrap();
    assert!(after > before && after < before + 600_000, "the fleet's time went on: {before}, {after}");
    assert_eq!(watch(&store, &worker).await.clock_steps, 1);
    assert_eq!(store.stats().await.unwrap().count(State::Sent), 3);

    // A second time is counted too, and a step forward is none.
    server.step_clock(-2 * HOUR);
    put(&store, &narrow(), &["4"]).await;
    send_next(&store, &worker).await;
    assert_eq!(watch(&store, &worker).await.clock_steps, 2);
    server.step_clock(-HOUR);
    store.reap(10, LEASE).await.unwrap();
    assert!(store.now().await.unwrap() >= after);
    assert_eq!(watch(&store, &worker).await.clock_steps, 2);
}

#[tokio::test]
async fn a_clock_that_is_put_right_leaves_the_fleet_nowhere_in_the_future() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &narrow(), &["1", "2", "3", "4"]).await;
    send_next(&store, &worker).await;
    let before = store.now().await.unwrap();
    for dip in [-45, -HOUR, -5 * 365 * 24 * HOUR] {
        server.step_clock(dip);
        send_next(&store, &worker).await;
        // Half of the way first.
        server.step_clock(dip / 2);
        store.reap(10, LEASE).await.unwrap();
        server.step_clock(0);
        store.reap(10, LEASE).await.unwrap();
        let after = store.now().await.unwrap();
        assert!((before..before + 20_000).contains(&after), "{dip}: {before}, {after}");
    }
    assert_eq!(watch(&store, &worker).await.clock_steps, 3);
}

/// A fleet that stayed ahead of the provider would look for its sends in the future.
#[tokio::test]
async fn what_the_fleet_is_ahead_after_a_step_back_is_given_back_little_by_little() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    watch(&store, &worker).await;
    server.step_clock(-20);
    watch(&store, &worker).await;
    let clock = format!("{{{PREFIX}:0}}:clock");
    let ahead = || ask::<i64>(&server.url(), &["HGET", &clock, "off"]);
    assert!(ahead() > 15_000, "{}", ahead());
    // A tenth of the time that passes. Never so much passes at once that it looks like a clock that was put right.
    let mut passed = 0;
    while ahead() > 0 {
        assert!(passed < 300, "{} ms are left", ahead());
        passed += 3;
        server.step_clock(passed - 20);
        watch(&store, &worker).await;
    }
}

#[tokio::test]
async fn a_gate_that_opens_by_itself_opens_though_the_clock_went_back_and_only_claims_come() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1"]).await;
    let until = store.now().await.unwrap() + 1_500;
    store.set_gate(&ringfleet_store::Gate::Until { until, reason: "429".into() }).await.unwrap();
    assert_eq!(claim(&store, &worker, 1).await.unwrap().leases, []);
    server.step_clock(-HOUR);
    eventually(PATIENCE, async || !claim_refs(&store, &worker, 1).await.is_empty()).await;
}

#[tokio::test]
async fn a_small_step_back_is_waited_out() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    server.step_clock(2);
    // A call that writes lets the store remember where its time stands.
    put(&store, &lane(), &["1"]).await;
    server.step_clock(1);
    put(&store, &lane(), &["2"]).await;
    assert_eq!(watch(&store, &worker).await.clock_steps, 0);
}

#[tokio::test]
async fn a_worker_that_was_not_seen_for_a_day_is_forgotten_within_its_next_hundred_questions() {
    let server = RedisServer::start();
    let (clock, hand) = Clock::by_hand(1_700_000_000_001);
    let store = RedisStore::connect(RedisOptions { clock, ..options(server.url()) }).await.unwrap();
    let (here, workers) = (WorkerId::incarnation("w"), format!("{{{PREFIX}:0}}:workers"));
    ask::<()>(&server.url(), &["HSET", &workers, "gone", "1600000000000 0"]);
    for _ in 0..100 {
        watch(&store, &here).await;
        hand.fetch_add(500, std::sync::atomic::Ordering::SeqCst);
    }
    assert_eq!(ask::<Vec<String>>(&server.url(), &["HKEYS", &workers]), [here.as_str()]);
}

/// An older version let a lane's slots outlive their last use by an hour only.
#[tokio::test]
async fn a_busy_lane_puts_off_the_short_deadline_that_an_older_version_gave_its_slots() {
    let server = RedisServer::start();
    let (clock, hand) = Clock::by_hand(1_700_000_000_001);
    let store = RedisStore::connect(RedisOptions { clock, ..options(server.url()) }).await.unwrap();
    let worker = WorkerId::incarnation("w");
    put(&store, &lane(), &["1", "2"]).await;
    assert_eq!(claim_refs(&store, &worker, 1).await.len(), 1);
    let slots = format!("{{{PREFIX}:0}}:s:{}", lane());
    ask::<()>(&server.url(), &["EXPIRE", &slots, "3000"]);
    hand.fetch_add(30 * 60_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(claim_refs(&store, &worker, 1).await.len(), 1);
    assert!(ask::<i64>(&server.url(), &["TTL", &slots]) > 20 * HOUR);
}

/// Nothing but the reading has noted what time it is: no worker asks all the time.
#[tokio::test]
async fn what_happens_after_changes_were_read_stands_behind_them_though_the_clock_went_back() {
    let server = RedisServer::builder().clock_file().start();
    let store = connect(server.url()).await;
    let mut cursor = ChangeCursor::before(0);
    for (text, ends, read) in [("1", 0, 20), ("2", -1, 60)] {
        server.step_clock(ends);
        let id = put(&store, &lane(), &[text]).await[0];
        assert_eq!(store.cancel(&id).await.unwrap(), Cancelled::Done);
        server.step_clock(read);
        let read = store.changes(0, Some(&cursor), 5).await.unwrap();
        assert_eq!(read.changes.iter().map(|change| change.message.id).collect::<Vec<_>>(), [id], "message {text}");
        cursor = read.next;
    }
}
