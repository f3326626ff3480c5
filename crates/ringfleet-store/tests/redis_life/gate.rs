//! The gate of a fleet whose lanes are spread over several shards.

use ringfleet_store::Gate;
use ringfleet_testkit::RedisServer;

use super::*;

async fn two_shards(server: &RedisServer) -> RedisStore {
    RedisStore::connect(RedisOptions { shards: 2, ..options(server.url()) }).await.expect("the server answers")
}

fn gate_of(shard: u8) -> String {
    format!("{{{PREFIX}:{shard}}}:gate")
}

#[tokio::test]
async fn a_stop_that_one_shard_does_not_take_reaches_the_others_and_is_not_told_as_whole() {
    let server = RedisServer::start();
    let (url, store) = (server.url(), two_shards(&server).await);
    let stop = Gate::Stopped { reason: "lunch".into() };
    for (spoilt, good) in [(0, 1), (1, 0)] {
        ask::<()>(&url, &["SET", &gate_of(spoilt), "no hash"]);
        assert!(store.set_gate(&stop).await.is_err(), "a stop in part is told as done");
        assert_eq!(ask::<Option<String>>(&url, &["HGET", &gate_of(good), "stop"]).as_deref(), Some("1"));
        ask::<()>(&url, &["DEL", &gate_of(spoilt)]);

        let Gate::Stopped { reason } = store.gate().await.unwrap() else { panic!("it hides that some stand still") };
        assert!(reason.contains("only 1 of 2 shards") && reason.contains("lunch"), "{reason}");
        store.set_gate(&stop).await.unwrap();
        assert_eq!(store.gate().await.unwrap(), stop);
        store.set_gate(&Gate::Open).await.unwrap();
        assert_eq!(store.gate().await.unwrap(), Gate::Open);
    }
}

#[tokio::test]
async fn of_two_penalties_the_later_one_is_told() {
    let server = RedisServer::start();
    let store = two_shards(&server).await;
    let until = store.now().await.unwrap() + 60_000;
    store.set_gate(&Gate::Until { until, reason: "429".into() }).await.unwrap();
    ask::<()>(&server.url(), &["HSET", &gate_of(1), "until", &(until + 5).to_string()]);
    assert_eq!(store.gate().await.unwrap(), Gate::Until { until: until + 5, reason: "429".into() });
}
