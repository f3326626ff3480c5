//! Data that are gone, or that a newer program has made.

use ringfleet_store::{
    Delivery, DocCursor, DocKind, Evidence, Expect, Found, Gate, LeaseToken, ListFrom, NewSession, OptOut,
    OptOutCursor, Reassertion, RefusedCredential, Release, Resolution, State, Store, StoreError, TokenAsk, WorkerId,
};
use ringfleet_testkit::RedisServer;

use super::*;

/// Every call that touches data, each with the name that it goes by.
pub(crate) async fn every_call(store: &RedisStore, lease: LeaseRef) -> Vec<(&'static str, Result<(), StoreError>)> {
    let (worker, lane, second) = (WorkerId::incarnation("w"), lane(), Duration::from_secs(1));
    let settlement = report(lease);
    let found = Found::Candidates { ids: vec!["p".into()], read_at: 1 };
    let journal = [Reassertion { settlement: settlement.clone(), lane: lane.clone() }];
    let credentials = ["c".to_owned()];
    let ask = TokenAsk { known_bad: None, credentials: &credentials, lock: second, renew: false, sends: &lane };
    let session = NewSession { sealed: b"x", lives: second, renew_in: second };
    let refused = RefusedCredential { print: "c".into(), reason: "x".into() };
    let gate = Gate::Stopped { reason: "x".into() };
    let (kind, number) = (DocKind::Setting, Private::new("+16505550100"));
    let delivery = Delivery { provider_id: "p".into(), delivered: true, code: String::new(), opted_out: false };
    let out = OptOut { from: number.clone(), to: Private::new("*"), out: true };
    vec![
        ("enqueue", store.enqueue(&[message(&lane, "after")]).await.map(drop)),
        ("claim", claim(store, &worker, 5).await.map(drop)),
        ("begin_send", store.begin_send(&[lease.into()], LEASE).await.map(drop)),
        ("settle", store.settle(&[settlement]).await.map(drop)),
        ("extend", store.extend(&[lease], LEASE).await.map(drop)),
        ("reap", store.reap(10, second).await.map(drop)),
        ("reconcile_take", store.reconcile_take(1, second).await.map(drop)),
        ("decide", store.decide(&[Evidence { lease, found }], second, 5).await.map(drop)),
        ("resolve", store.resolve(&lease.id, Resolution::Resend).await.map(drop)),
        ("watch", store.watch(&worker, Incarnation::default()).await.map(drop)),
        ("leave", store.leave(&worker, Incarnation::default()).await.map(drop)),
        ("reassert", store.reassert(&journal, second).await.map(drop)),
        ("acquire", store.acquire(&lane, second).await.map(drop)),
        ("release", store.release(&lane, LeaseToken(1), Release::Used, second, PlanSeen::default()).await),
        ("set_paused", store.set_paused(&lane, true).await),
        ("set_parked", store.set_parked(&lane, Some("x")).await),
        ("set_gate", store.set_gate(&gate).await),
        ("gate", store.gate().await.map(drop)),
        ("cancel", store.cancel(&lease.id).await.map(drop)),
        ("get", store.get(&lease.id).await.map(drop)),
        ("list", store.list(&ListFrom::newest(State::Held), 5).await.map(drop)),
        ("lane", store.lane(&lane).await.map(drop)),
        ("lanes", store.lanes(5).await.map(drop)),
        ("lanes_spread", store.lanes_spread(5).await.map(drop)),
        ("stats", store.stats().await.map(drop)),
        ("token_lease", store.token_lease("1", &worker, ask).await.map(drop)),
        ("token_store", store.token_store("1", &worker, 0, session).await.map(drop)),
        ("token_release", store.token_release("1", &worker, second).await),
        ("token_refuse", store.token_refuse("1", &worker, 0, &refused, second).await.map(drop)),
        ("doc_get", store.doc_get(kind, "k").await.map(drop)),
        ("doc_put", store.doc_put(kind, "k", Expect::Anything, Some(b"x"), None).await.map(drop)),
        ("docs_since", store.docs_since(kind, &DocCursor::default(), 5).await.map(drop)),
        ("set_opt_outs", store.set_opt_outs(None, &[out]).await),
        ("opted_out", store.opted_out("1", &number, &number).await.map(drop)),
        ("opt_outs", store.opt_outs(&OptOutCursor::default(), 5).await.map(drop)),
        ("delivery_take", store.delivery_take(1, second).await.map(drop)),
        ("record_delivery", store.record_delivery(&lane, &[delivery]).await.map(drop)),
        ("now", store.now().await.map(drop)),
    ]
}

async fn nothing_goes_on(store: &RedisStore, lease: LeaseRef) {
    for (call, answer) in every_call(store, lease).await {
        assert!(matches!(answer, Err(StoreError::Replaced { .. })), "{call}: {answer:?}");
        assert!(!answer.unwrap_err().is_transient());
    }
}

#[tokio::test]
async fn a_flushed_server_is_noticed_by_every_call() {
    let server = RedisServer::start();
    let store = connect(server.url()).await;
    put(&store, &lane(), &["1", "2"]).await;
    let lease = claim_refs(&store, &WorkerId::incarnation("w"), 1).await[0];
    assert!(every_call(&connect(server.url()).await, lease).await.iter().all(|(_, answer)| answer.is_ok()));

    ask::<()>(&server.url(), &["FLUSHALL"]);
    nothing_goes_on(&store, lease).await;
    assert_eq!(ask::<u64>(&server.url(), &["DBSIZE"]), 0, "and nothing is written");
}

#[tokio::test]
async fn whoever_comes_after_the_flush_begins_anew_and_the_others_still_do_not_go_on() {
    let server = RedisServer::start();
    let old = connect(server.url()).await;
    put(&old, &lane(), &["1"]).await;
    let lease = claim_refs(&old, &WorkerId::incarnation("w"), 1).await[0];
    ask::<()>(&server.url(), &["FLUSHALL"]);

    let new = connect(server.url()).await;
    put(&new, &lane(), &["2"]).await;
    nothing_goes_on(&old, lease).await;
    let leases = claim_refs(&new, &WorkerId::incarnation("w"), 5).await;
    assert_eq!(leases.len(), 1);
    assert!(leases[0].token > lease.token, "no token is given out twice");
    assert_eq!(new.begin_send(&[leases[0].into()], LEASE).await.unwrap(), [ringfleet_store::Begin::Go]);
    assert_eq!(watch(&new, &WorkerId::incarnation("w")).await.restarts, 0);
}

#[tokio::test]
async fn one_shard_that_was_flushed_alone_is_noticed() {
    let server = RedisServer::start();
    let sharded = || RedisOptions { shards: 3, ..options(server.url()) };
    let store = RedisStore::connect(sharded()).await.unwrap();
    store.ping().await.unwrap();
    drop(RedisStore::connect(sharded()).await.expect("the same data again"));
    ask::<()>(&server.url(), &["DEL", &format!("{{{PREFIX}:2}}:epoch")]);
    assert!(matches!(store.stats().await, Err(StoreError::Replaced { .. })));
    assert!(matches!(store.ping().await, Err(StoreError::Replaced { .. })), "it is ready with a part of its data");
    assert!(matches!(RedisStore::connect(sharded()).await, Err(StoreError::Replaced { .. })));
}

#[tokio::test]
async fn data_of_another_format_are_refused_by_those_who_come_and_by_those_who_are_there() {
    let server = RedisServer::start();
    let store = connect(server.url()).await;
    put(&store, &lane(), &["1"]).await;
    let lease = claim_refs(&store, &WorkerId::incarnation("w"), 1).await[0];
    for (epoch, advice) in [("99:x", "update this program"), ("1:x", "older program"), ("nonsense", "older program")] {
        ask::<()>(&server.url(), &["SET", &format!("{{{PREFIX}:0}}:epoch"), epoch]);
        let refused = RedisStore::connect(options(server.url())).await.err();
        let Some(StoreError::Unfit { reason }) = refused else { panic!("{epoch}: {refused:?}") };
        assert!(reason.contains("format") && reason.contains(advice), "{reason}");
        nothing_goes_on(&store, lease).await;
    }
}
