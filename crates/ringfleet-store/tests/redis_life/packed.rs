//! How Redis keeps what grows with the messages in flight.

use ringfleet_testkit::RedisServer;

use super::*;

#[tokio::test]
async fn what_holds_something_of_each_message_in_flight_is_no_list_that_is_searched_from_its_start() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1"]).await;
    let lease = claim_refs(&store, &worker, 1).await[0];
    store.begin_send(&[lease.into()], LEASE).await.unwrap();
    for (name, kind) in [("pair", "hashtable"), ("posts", "hashtable"), ("lease", "skiplist")] {
        let key = format!("{{{PREFIX}:0}}:{name}");
        assert_eq!(ask::<String>(&server.url(), &["OBJECT", "ENCODING", &key]), kind, "{name}");
    }
}
