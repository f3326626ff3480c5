//! Something else stands where a key of one lane should be.

use ringfleet_store::LaneView;
use ringfleet_testkit::RedisServer;

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
