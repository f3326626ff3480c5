//! What is remembered of the past stays bounded though nothing ever comes to rest.

use ringfleet_store::{Delivery, State};
use ringfleet_testkit::RedisServer;

use super::*;

#[tokio::test]
async fn credits_older_than_a_day_are_let_go_of_a_lane_that_always_has_a_send_under_way() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let begin = async |text: String| {
        put(&store, &lane(), &[&text]).await;
        let lease = claim_refs(&store, &worker, 1).await[0];
        store.begin_send(&[lease.into()], LEASE).await.unwrap();
        lease
    };
    let send = async |text: String| {
        let lease = begin(text).await;
        assert_eq!(settle(&store, lease).await, Settled::Done(State::Sent));
        let provider_id = format!("p{}", lease.token.0);
        let told =
            Delivery { provider_id: provider_id.clone(), delivered: true, code: String::new(), opted_out: false };
        store.record_delivery(&lane(), &[told]).await.unwrap();
        provider_id
    };
    let remembered = |provider_id: &str| {
        let [key] = ask::<Vec<String>>(&server.url(), &["KEYS", "*:k:*"]).try_into().unwrap();
        ask::<Option<f64>>(&server.url(), &["ZSCORE", &key, provider_id]).is_some()
    };

    begin("under way".to_owned()).await;
    let (old, hour) = (send("old".to_owned()).await, 3_600);
    server.step_clock(2 * hour);
    let younger = send("younger".to_owned()).await;
    server.step_clock(25 * hour);
    for n in 0..20 {
        send(n.to_string()).await;
    }
    assert!(!remembered(&old));
    assert!(remembered(&younger), "it may be asked for when the fate of what is under way is judged");
}
