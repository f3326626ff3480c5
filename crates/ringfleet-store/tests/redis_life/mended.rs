//! A key that somebody has overwritten is mended: what waited for it has lost nothing.

use ringfleet_store::{Begin, Decided, Delivery, Evidence, Found};
use ringfleet_testkit::RedisServer;

use super::*;

/// The next message is sent, and this is told of it.
async fn end_next(store: &RedisStore, worker: &WorkerId, outcome: Outcome) -> LeaseRef {
    let lease = claim_refs(store, worker, 1).await[0];
    assert_eq!(store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
    store.settle(&[Settlement { outcome, ..report(lease) }]).await.unwrap();
    lease
}

/// The provider's records show these texts now.
async fn found(store: &RedisStore, lease: LeaseRef, ids: &[&str]) -> Decided {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let found = Found::Candidates { ids, read_at: store.now().await.unwrap() };
    store.decide(&[Evidence { lease, found }], Duration::ZERO, 5).await.unwrap()[0]
}

/// It comes to its queue a minute after that is mended, and the lane goes on before.
#[tokio::test]
async fn a_credit_is_remembered_while_a_message_that_is_sent_again_waits_for_its_queue_to_be_mended() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let hear = async |provider_id: &str| {
        let told = Delivery { provider_id: provider_id.into(), delivered: true, code: String::new(), opted_out: false };
        store.record_delivery(&lane(), &[told]).await.unwrap();
    };
    let unknown = || Outcome::Unknown { reason: "time-out".to_owned() };
    put(&store, &lane(), &["again"]).await;
    let again = end_next(&store, &worker, unknown()).await;
    assert_eq!(found(&store, again, &[]).await, Decided::NotYet);
    assert_eq!(found(&store, again, &[]).await, Decided::Again);
    let lease = claim_refs(&store, &worker, 1).await[0];
    let outcome = Outcome::Later { delay: Duration::from_secs(600) };
    store.settle(&[Settlement { outcome, ..report(lease) }]).await.unwrap();
    for text in ["p-1", "p-2"] {
        put(&store, &lane(), &[text]).await;
        end_next(&store, &worker, Outcome::Sent { provider_id: text.to_owned() }).await;
    }
    hear("p-1").await;

    let queue = format!("{{{PREFIX}:0}}:q:{}:1", lane().as_str());
    ask::<redis::Value>(&server.url(), &["SET", &queue, "junk"]);
    server.step_clock(2_000);
    assert_eq!(claim_refs(&store, &worker, 1).await, []);
    assert_eq!(store.lane(&lane()).await.unwrap().parked.as_deref(), Some("unreadable-queue"));
    ask::<redis::Value>(&server.url(), &["DEL", &queue]);
    store.set_parked(&lane(), None).await.unwrap();
    hear("p-2").await;
    server.step_clock(2_061);
    let lease = end_next(&store, &worker, unknown()).await;
    assert_eq!(lease.id, again.id);
    assert_eq!(found(&store, lease, &["p-1"]).await, Decided::NotYet);
}
