//! Answers that get lost: the store has done what it was asked, and nobody knows.

use ringfleet_store::{Begin, Lease, State};
use ringfleet_testkit::{FaultProxy, RedisServer, eventually};

use super::*;

struct Wire {
    _server: RedisServer,
    proxy: FaultProxy,
    store: RedisStore,
    /// Past the proxy.
    direct: RedisStore,
    worker: WorkerId,
}

impl Wire {
    async fn new() -> Self {
        let server = RedisServer::start();
        let proxy = FaultProxy::start(server.address());
        let store = connect(proxy.url("redis")).await;
        let direct = connect(server.url()).await;
        let worker = WorkerId::incarnation("w");
        // The server knows the scripts from here on, so that one call is one request.
        assert_eq!(claim(&store, &worker, 1).await.unwrap().leases, []);
        Self { _server: server, proxy, store, direct, worker }
    }

    /// A claim that is carried out, and whose answer nobody hears.
    async fn claim_unheard(&self, free_slots: u32) {
        self.back().await;
        let dropped = self.proxy.dropped();
        self.proxy.drop_next_reply_of(self.worker.as_str().as_bytes());
        let answer = claim(&self.store, &self.worker, free_slots).await;
        assert!(answer.as_ref().is_err_and(StoreError::is_transient), "{answer:?}");
        assert_eq!(self.proxy.dropped(), dropped + 1);
    }

    async fn back(&self) {
        eventually(PATIENCE, async || self.store.ping().await.is_ok()).await;
    }

    async fn claim(&self, free_slots: u32) -> Vec<Lease> {
        self.back().await;
        claim(&self.store, &self.worker, free_slots).await.unwrap().leases
    }

    async fn claimed(&self) -> u64 {
        self.direct.stats().await.unwrap().count(State::Claimed)
    }
}

fn sorted(ids: impl IntoIterator<Item = MessageId>) -> Vec<MessageId> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn the_leases_of_a_claim_whose_answer_was_lost_come_with_the_next_one_and_once() {
    let wire = Wire::new().await;
    let ids = put(&wire.direct, &lane(), &["1", "2", "3", "4", "5"]).await;
    wire.claim_unheard(3).await;
    assert_eq!(wire.claimed().await, 3);

    let leases = wire.claim(3).await;
    assert_eq!(sorted(leases.iter().map(|lease| lease.id)), sorted(ids[..3].to_vec()));
    assert!(leases.iter().all(|lease| (lease.attempt, lease.recoveries) == (0, 0)));
    assert_eq!(wire.claimed().await, 3, "nothing was claimed anew");

    let others = wire.claim(3).await;
    assert_eq!(sorted(others.iter().map(|lease| lease.id)), sorted(ids[3..].to_vec()));
    assert_eq!(wire.claim(3).await, []);
    for lease in leases.iter().chain(&others).map(Lease::reference) {
        assert_eq!(wire.store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
        assert_eq!(settle(&wire.store, lease).await, Settled::Done(State::Sent));
    }
    assert_eq!(wire.direct.stats().await.unwrap().count(State::Sent), 5);
}

#[tokio::test]
async fn a_claim_may_get_lost_again_and_again() {
    let wire = Wire::new().await;
    let ids = put(&wire.direct, &lane(), &["1", "2", "3", "4"]).await;
    for _ in 0..3 {
        wire.claim_unheard(2).await;
        assert_eq!(wire.claimed().await, 2);
    }
    let leases = wire.claim(2).await;
    assert_eq!(sorted(leases.iter().map(|lease| lease.id)), sorted(ids[..2].to_vec()));
    assert_eq!(wire.claim(4).await.len(), 2);
    assert_eq!(wire.claimed().await, 4);
}

#[tokio::test]
async fn only_the_worker_that_asked_gets_what_was_lost() {
    let wire = Wire::new().await;
    put(&wire.direct, &lane(), &["1", "2"]).await;
    wire.claim_unheard(1).await;
    wire.back().await;
    let other = WorkerId::incarnation("other");
    let others = claim_refs(&wire.store, &other, 5).await;
    assert_eq!(others.len(), 1);
    let ours = wire.claim(5).await;
    assert_eq!(ours.len(), 1);
    assert_ne!(ours[0].id, others[0].id);
}

#[tokio::test]
async fn what_was_settled_meanwhile_is_not_given_again() {
    let wire = Wire::new().await;
    put(&wire.direct, &lane(), &["1", "2"]).await;
    // Heard and done with; then one that gives nothing is lost.
    let lease = wire.claim(1).await[0].reference();
    wire.store.begin_send(&[lease.into()], LEASE).await.unwrap();
    settle(&wire.store, lease).await;
    let second = wire.claim(1).await[0].reference();
    wire.claim_unheard(5).await;
    assert_eq!(wire.claim(5).await, []);
    assert_eq!(wire.store.begin_send(&[second.into()], LEASE).await.unwrap(), [Begin::Go]);
}

#[tokio::test]
async fn an_intent_and_a_report_whose_answers_were_lost_are_repeated_and_happen_once() {
    let wire = Wire::new().await;
    put(&wire.direct, &lane(), &["1"]).await;
    let lease = wire.claim(1).await[0].reference();
    // Each script was sent once before.
    let nobody = LeaseRef { id: MessageId::random(), ..lease };
    wire.store.begin_send(&[nobody.into()], LEASE).await.unwrap();
    settle(&wire.store, nobody).await;

    wire.proxy.drop_next_reply();
    assert!(wire.store.begin_send(&[lease.into()], LEASE).await.unwrap_err().is_transient());
    wire.back().await;
    assert_eq!(wire.direct.get(&lease.id).await.unwrap().unwrap().state, State::Sending);
    assert_eq!(wire.store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);

    wire.proxy.drop_next_reply();
    assert!(wire.store.settle(&[report(lease)]).await.unwrap_err().is_transient());
    wire.back().await;
    assert_eq!(settle(&wire.store, lease).await, Settled::Again(State::Sent));
    assert_eq!(wire.direct.stats().await.unwrap().count(State::Sent), 1);
}

#[tokio::test]
async fn a_sleeper_is_woken_again_after_the_connection_that_tells_it_has_lost_its_other_end_without_a_word() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let quiet = Duration::from_secs(1);
    let store = RedisStore::connect(RedisOptions { quiet, ..options(proxy.url("redis")) }).await.unwrap();
    let direct = connect(server.url()).await;
    let mut texts = 0;
    let mut wakes = async || {
        let hint = store.work_hint();
        texts += 1;
        put(&direct, &lane(), &[&texts.to_string()]).await;
        tokio::time::timeout(Duration::from_millis(500), hint).await.is_ok()
    };
    eventually(PATIENCE, &mut wakes).await;
    proxy.half_open();
    eventually(PATIENCE, &mut wakes).await;
}

/// As when the network lets go of a claim that nobody waits for any more.
#[tokio::test]
async fn a_claim_that_comes_after_a_later_one_is_given_nothing() {
    let server = RedisServer::start();
    let (late, later) = (connect(server.url()).await, connect(server.url()).await);
    let worker = WorkerId::incarnation("w");
    for text in ["1", "2", "3"] {
        late.enqueue(&[message(&lane(), text)]).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(claim(&later, &worker, 1).await.unwrap().leases.len(), 1);
    }
    assert_eq!(claim(&late, &worker, 1).await.unwrap().leases, [], "its number is lower");
    assert_eq!(claim(&later, &worker, 1).await.unwrap().leases.len(), 1);
}

#[tokio::test]
async fn a_claim_that_comes_after_one_which_asked_for_its_leases_and_found_none_is_given_nothing() {
    let wire = Wire::new().await;
    wire.claim_unheard(1).await;
    assert_eq!(wire.claim(1).await, []);
    put(&wire.direct, &lane(), &["1"]).await;
    assert_eq!(claim(&wire.direct, &wire.worker, 1).await.unwrap().leases, [], "its number is lower");
    assert_eq!(wire.claim(1).await.len(), 1);
}

#[tokio::test]
async fn a_claim_that_comes_after_one_which_got_the_leases_of_an_earlier_one_is_given_nothing() {
    let wire = Wire::new().await;
    for _ in 0..2 {
        assert_eq!(claim(&wire.direct, &wire.worker, 1).await.unwrap().leases, []);
    }
    put(&wire.direct, &lane(), &["1"]).await;
    wire.claim_unheard(1).await;
    wire.claim_unheard(1).await;
    let lease = wire.claim(1).await.remove(0).reference();
    assert_eq!(wire.store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
    put(&wire.direct, &lane(), &["2"]).await;
    // As the second of the unheard, had it been held up.
    assert_eq!(claim(&wire.direct, &wire.worker, 1).await.unwrap().leases, [], "its number is lower");
    assert_eq!(wire.claim(1).await.len(), 1);
}
