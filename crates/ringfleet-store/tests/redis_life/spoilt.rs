//! Something else stands where a key of one lane should be.

use ringfleet_store::{Begin, LaneView, State};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;

fn other() -> LaneId {
    LaneId::try_new("app", "2", Group::Medium).unwrap()
}

async fn overwrite(server: &RedisServer, command: &[&str]) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut link = client.get_multiplexed_async_connection().await.unwrap();
    let mut call = redis::cmd(command[0]);
    command[1..].iter().for_each(|word| {
        call.arg(*word);
    });
    let _: redis::Value = call.query_async(&mut link).await.unwrap();
}

async fn claimed(store: &RedisStore, worker: &WorkerId) -> Vec<MessageId> {
    claim(store, worker, 10).await.unwrap().leases.iter().map(|lease| lease.id).collect()
}

async fn parked(store: &RedisStore) -> Option<String> {
    let LaneView { parked, .. } = store.lane(&lane()).await.unwrap();
    parked
}

#[tokio::test]
async fn what_comes_to_a_queue_that_is_no_list_waits_and_the_rest_of_its_batch_goes() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let queue = format!("{{{PREFIX}:0}}:q:{}:1", lane().as_str());
    overwrite(&server, &["SET", &queue, "junk"]).await;
    let both = store.enqueue(&[message(&lane(), "here"), message(&other(), "there")]).await.unwrap();
    let [Enqueued::Accepted(here), Enqueued::Accepted(there)] = both[..] else { panic!("{both:?}") };
    assert_eq!(claimed(&store, &worker).await, [there]);
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-queue"));

    overwrite(&server, &["DEL", &queue]).await;
    store.set_parked(&lane(), None).await.unwrap();
    assert_eq!(claimed(&store, &worker).await, [], "it comes again in a minute");
    server.step_clock(61);
    assert_eq!(claimed(&store, &worker).await, [here]);
}

#[tokio::test]
async fn a_lane_whose_record_can_not_be_read_waits_for_a_person_and_no_other_lane_does() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let here = put(&store, &lane(), &["here"]).await;
    let there = put(&store, &other(), &["there"]).await;
    overwrite(&server, &["HSET", &format!("{{{PREFIX}:0}}:lane"), lane().as_str(), "junk"]).await;
    assert_eq!(claimed(&store, &worker).await, there);
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-lane"));
    store.set_parked(&lane(), None).await.unwrap();
    assert_eq!(claimed(&store, &worker).await, here);
}

#[tokio::test]
async fn what_is_no_entry_of_a_queue_costs_no_message_its_place() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let first = put(&store, &lane(), &["1"]).await;
    let queue = format!("{{{PREFIX}:0}}:q:{}:1", lane().as_str());
    overwrite(&server, &["RPUSH", &queue, "junk"]).await;
    let behind = put(&store, &lane(), &["2"]).await;
    let there = put(&store, &other(), &["there"]).await;
    // One at a time, so that it is met at the head of the queue.
    let mut given = Vec::new();
    eventually(PATIENCE, async || {
        given.extend(claim(&store, &worker, 1).await.unwrap().leases.iter().map(|lease| lease.id));
        given.len() == 3
    })
    .await;
    assert!([first, behind, there].concat().iter().all(|id| given.contains(id)), "{given:?}");
    assert_eq!(store.lane(&other()).await.unwrap().in_flight, 1);
}

#[tokio::test]
async fn a_record_that_is_spoilt_or_gone_in_a_workers_hand_leaves_its_place_in_the_lane() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["spoilt", "gone", "flight", "good"]).await;
    let leases = claim(&store, &worker, 10).await.unwrap().leases;
    let begun = store.begin_send(&[leases[0].reference().into()], LEASE).await.unwrap();
    assert_eq!(begun, [Begin::Go]);
    let records = format!("{{{PREFIX}:0}}:m");
    let mut link = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let of = |n: usize| leases[n].id.as_bytes().to_vec();
    let _: () = redis::cmd("HSET").arg(&records).arg(of(0)).arg("junk").query_async(&mut link).await.unwrap();
    let _: () = redis::cmd("HDEL").arg(&records).arg(of(1)).query_async(&mut link).await.unwrap();
    let flights = format!("{{{PREFIX}:0}}:f");
    let _: () = redis::cmd("HSET").arg(&flights).arg(of(2)).arg("junk").query_async(&mut link).await.unwrap();
    server.step_clock(61);
    let reaped = store.reap(10, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(reaped.requeued, 1, "the good one: {reaped:?}");
    assert_eq!(store.lane(&lane()).await.unwrap().in_flight, 0);
    // Nobody knows whether the one whose flight can't be read was sent.
    let held = store.list(State::Held, 5).await.unwrap();
    assert_eq!(
        held.iter().map(|view| (view.id, &*view.reason)).collect::<Vec<_>>(),
        [(leases[2].id, "unreadable-flight")]
    );
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.count(State::Claimed), stats.count(State::Sending)), (0, 0));
    assert_eq!(claimed(&store, &worker).await, [leases[3].id]);
    assert_eq!(store.stats().await.unwrap().count(State::Dead), 1, "put aside");
    assert_eq!(store.list(State::Dead, 5).await.unwrap(), []);
}
