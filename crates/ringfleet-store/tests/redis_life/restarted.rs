//! A server that was killed and is back: its last moments may be lost.

use std::time::Instant;

use ringfleet_store::{Acquired, Begin, DocCursor, DocKind, Gate, Reassertion, State};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;

/// The connection comes back by itself; until then a call fails in a way that another try mends.
async fn answered(store: &RedisStore, worker: &WorkerId, free_slots: u32) -> Claim {
    let end = Instant::now() + PATIENCE;
    loop {
        match claim(store, worker, free_slots).await {
            Ok(claim) => return claim,
            Err(error) => assert!(error.is_transient() && Instant::now() < end, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn after_a_restart_nothing_is_given_out_for_a_while_and_then_all_goes_on() {
    let mut server = RedisServer::builder().append_only().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let ids = put(&store, &lane(), &["1", "2", "3", "4", "5", "6"]).await;
    let leases = claim_refs(&store, &worker, 3).await;
    let (sent, begun, claimed) = (leases[0], leases[1], leases[2]);
    assert_eq!(store.begin_send(&[sent.into(), begun.into()], LEASE).await.unwrap(), [Begin::Go; 2]);
    assert_eq!(settle(&store, sent).await, Settled::Done(State::Sent));
    assert_eq!(watch(&store, &worker).await.restarts, 0);
    let before = store.now().await.unwrap();

    server.kill();
    assert!(claim(&store, &worker, 5).await.unwrap_err().is_transient());
    server.restart();

    let first = answered(&store, &worker, 5).await;
    assert_eq!(first.leases, []);
    let until_open = first.next_due.unwrap();
    assert!(until_open <= GRACE && until_open > GRACE / 2, "{until_open:?}");
    let Gate::Until { until, reason } = store.gate().await.unwrap() else { panic!("the gate is open") };
    assert_eq!(reason, "store-restarted");
    let grace = GRACE.as_millis() as i64;
    assert!(until > before + grace && until <= store.now().await.unwrap() + grace);
    let lost = watch(&store, &worker).await.restarts;
    assert_ne!(lost, 0);
    // What was begun may be told; nothing new begins.
    assert_eq!(store.begin_send(&[claimed.into()], LEASE).await.unwrap(), [Begin::PutBack]);
    assert_eq!(settle(&store, begun).await, Settled::Done(State::Sent));
    assert_eq!(store.stats().await.unwrap().count(State::Ready), 4);

    let mut given = Vec::new();
    eventually(PATIENCE, async || {
        let leases = claim_refs(&store, &worker, 8).await;
        let opened = store.now().await.unwrap() >= until;
        assert!(leases.is_empty() || opened, "given out before the gate opened");
        given.extend(leases);
        given.len() == 4
    })
    .await;
    assert_eq!(given[0].id, claimed.id, "what was put back is still at the head");
    for lease in given {
        assert!(lease.token > claimed.token);
        assert_eq!(store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
        assert_eq!(settle(&store, lease).await, Settled::Done(State::Sent));
    }
    for id in ids {
        assert_eq!(store.get(&id).await.unwrap().unwrap().state, State::Sent);
    }
    assert_eq!(store.gate().await.unwrap(), Gate::Open);
    assert_eq!(watch(&store, &worker).await.restarts, lost, "told once");
}

/// The lane's penalty may lie in the moment that was lost, or others' requests.
#[tokio::test]
async fn nothing_begins_after_a_restart_that_nobody_has_noticed_yet() {
    let mut server = RedisServer::builder().append_only().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1"]).await;
    let lease = claim_refs(&store, &worker, 1).await[0];
    let reads = LaneId::try_new("app", "1", Group::Light).unwrap();
    server.restart();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    assert_eq!(store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::PutBack]);
    eventually(PATIENCE, async || matches!(store.acquire(&reads, LEASE).await.unwrap(), Acquired::Granted(_))).await;
    server.restart();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    assert!(matches!(store.acquire(&reads, LEASE).await.unwrap(), Acquired::Wait(_)));
}

#[tokio::test]
async fn whoever_asks_first_closes_the_gate() {
    let mut server = RedisServer::builder().append_only().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    assert_eq!(watch(&store, &worker).await.restarts, 0);
    let mut last = 0;
    for _ in 0..2 {
        server.restart();
        eventually(PATIENCE, async || store.ping().await.is_ok()).await;
        let restarts = watch(&store, &worker).await.restarts;
        assert!(restarts > last, "{restarts}, {last}");
        last = restarts;
        assert!(matches!(store.gate().await.unwrap(), Gate::Until { reason, .. } if reason == "store-restarted"));
        // A handle that is opened later is told the same.
        assert_eq!(watch(&connect(server.url()).await, &worker).await.restarts, restarts);
    }
}

#[tokio::test]
async fn a_restart_shortens_no_penalty_and_opens_no_kill_switch() {
    let mut server = RedisServer::builder().append_only().start();
    let store = connect(server.url()).await;
    let worker = WorkerId::incarnation("w");
    put(&store, &lane(), &["1"]).await;
    watch(&store, &worker).await;
    let penalty = Gate::Until { until: store.now().await.unwrap() + 60_000, reason: "429".into() };
    let stop = Gate::Stopped { reason: "stop".into() };
    store.set_gate(&penalty).await.unwrap();
    store.set_gate(&stop).await.unwrap();
    server.restart();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    assert_eq!(answered(&store, &worker, 5).await.leases, []);
    assert_eq!(store.gate().await.unwrap(), stop);
    store.set_gate(&Gate::Open).await.unwrap();
    assert_eq!(store.gate().await.unwrap(), penalty);
    assert_ne!(watch(&store, &worker).await.restarts, 0);
}

/// The end of the file was not on the disk: the store has forgotten the message and all that was done with it.
#[tokio::test]
async fn what_a_worker_tells_after_a_restart_keeps_a_lost_message_from_being_sent_twice() {
    let mut server = RedisServer::builder().append_only().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["early"]).await;
    let early = claim_refs(&store, &worker, 1).await[0];
    store.begin_send(&[early.into()], LEASE).await.unwrap();
    settle(&store, early).await;
    // Three scripts that wrote: enqueue, claim, begin.
    put(&store, &lane(), &["late"]).await;
    let late = claim_refs(&store, &worker, 1).await[0];
    assert_eq!(store.begin_send(&[late.into()], LEASE).await.unwrap(), [Begin::Go]);
    server.forget_last_commands(3);
    server.restart();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    assert_eq!(answered(&store, &worker, 5).await.leases, []);
    assert_eq!(store.get(&late.id).await.unwrap(), None, "it is lost");

    let journal = [early, late].map(|lease| Reassertion { settlement: report(lease), lane: lane() });
    assert_eq!(store.reassert(&journal, Duration::MAX).await.unwrap(), [Settled::Again(State::Sent), Settled::Missing]);
    assert_eq!(store.enqueue(&[message(&lane(), "late")]).await.unwrap(), [Enqueued::Duplicate(late.id)]);
    put(&store, &lane(), &["next"]).await;
    let mut given = Vec::new();
    eventually(PATIENCE, async || {
        given.extend(claim_refs(&store, &worker, 8).await);
        !given.is_empty()
    })
    .await;
    assert_eq!(given.len(), 1);
    assert_ne!(given[0].id, late.id);
    assert!(given[0].token > late.token, "though the store has forgotten that token");
}

/// The intent was lost, the claim was not: the worker's report takes effect, or the message would go once more.
#[tokio::test]
async fn a_sending_whose_intent_was_lost_is_settled_all_the_same() {
    let mut server = RedisServer::builder().append_only().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1"]).await;
    let lease = claim_refs(&store, &worker, 1).await[0];
    assert_eq!(store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
    server.forget_last_commands(1);
    server.restart();
    eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    assert_eq!(store.get(&lease.id).await.unwrap().unwrap().state, State::Claimed);
    assert_eq!(settle(&store, lease).await, Settled::Done(State::Sent));
    assert_eq!(settle(&store, lease).await, Settled::Again(State::Sent));
}

/// So long that it does not end by itself in a test.
const LONG_GRACE: Duration = Duration::from_secs(600);
/// Before this time not even those who have told all open the gate: others may not have been heard yet.
const HEARD_MS: i64 = 4_000;

async fn patient_handle(server: &RedisServer) -> RedisStore {
    RedisStore::connect(RedisOptions { restart_patience: LONG_GRACE, ..options(server.url()) }).await.unwrap()
}

/// A fleet of two that lives on through restarts.
pub(crate) struct Fleet {
    pub(crate) server: RedisServer,
    store: RedisStore,
    /// Each with the handle that is its own.
    workers: [(RedisStore, WorkerId); 2],
    pub(crate) now: Incarnation,
    /// When the gate closed.
    pub(crate) closed_at: i64,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let server = RedisServer::builder().append_only().start();
        let handle = async || patient_handle(&server).await;
        let workers = [(handle().await, WorkerId::incarnation("a")), (handle().await, WorkerId::incarnation("b"))];
        let store = handle().await;
        for (own, worker) in &workers {
            watch(own, worker).await;
        }
        put(&store, &lane(), &["1"]).await;
        Self { server, store, workers, now: Incarnation::default(), closed_at: 0 }
    }

    async fn after_a_restart() -> Self {
        let mut fleet = Self::new().await;
        fleet.restart(2).await;
        fleet
    }

    /// So many of the workers are heard after it.
    pub(crate) async fn restart(&mut self, heard: usize) {
        self.server.restart();
        for worker in 0..heard {
            self.now = self.looks(worker).await;
            assert_ne!(self.now.restarts, 0);
        }
        eventually(PATIENCE, async || self.store.ping().await.is_ok()).await;
        let Gate::Until { until, .. } = self.store.gate().await.unwrap() else { panic!("the gate is open") };
        self.closed_at = until - LONG_GRACE.as_millis() as i64;
        self.is_closed().await;
    }

    pub(crate) async fn looks(&self, worker: usize) -> Incarnation {
        let (own, worker) = &self.workers[worker];
        eventually(PATIENCE, async || own.ping().await.is_ok()).await;
        watch(own, worker).await
    }

    pub(crate) async fn tells(&self, worker: usize) {
        let (own, worker) = &self.workers[worker];
        assert_eq!(own.watch(worker, self.now).await.unwrap(), self.now);
    }

    async fn goes(&self, worker: usize, told: Incarnation) {
        let (own, worker) = &self.workers[worker];
        assert_eq!(own.leave(worker, told).await.unwrap(), self.now);
    }

    /// Until everybody must have been heard who lives.
    pub(crate) async fn all_are_heard(&self) {
        eventually(PATIENCE, async || self.store.now().await.unwrap() > self.closed_at + HEARD_MS).await;
    }

    pub(crate) async fn is_closed(&self) {
        assert!(matches!(self.store.gate().await.unwrap(), Gate::Until { reason, .. } if reason == "store-restarted"));
        assert_eq!(claim(&self.store, &self.workers[0].1, 5).await.unwrap().leases, []);
    }

    pub(crate) async fn is_open(&self) {
        assert_eq!(self.store.gate().await.unwrap(), Gate::Open);
        assert_eq!(claim(&self.store, &self.workers[0].1, 5).await.unwrap().leases.len(), 1);
    }
}

#[tokio::test]
async fn the_gate_opens_when_all_who_were_there_have_told() {
    let fleet = Fleet::after_a_restart().await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.is_closed().await;
    // To look is not to tell.
    fleet.looks(1).await;
    fleet.is_closed().await;
    fleet.tells(1).await;
    fleet.is_open().await;
}

#[tokio::test]
async fn the_gate_stays_closed_until_everybody_must_have_been_heard() {
    let fleet = Fleet::after_a_restart().await;
    fleet.tells(0).await;
    fleet.tells(1).await;
    if fleet.store.now().await.unwrap() < fleet.closed_at + HEARD_MS / 2 {
        fleet.is_closed().await;
    }
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.is_open().await;
}

#[tokio::test]
async fn the_gate_does_not_wait_for_one_that_went() {
    let fleet = Fleet::after_a_restart().await;
    fleet.all_are_heard().await;
    fleet.goes(1, fleet.now).await;
    fleet.is_closed().await;
    fleet.tells(0).await;
    fleet.is_open().await;
}

#[tokio::test]
async fn the_gate_waits_for_one_that_would_go_and_has_not_told() {
    let fleet = Fleet::after_a_restart().await;
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    // It has not noticed the restart, and is told of it.
    fleet.goes(1, Incarnation::default()).await;
    fleet.is_closed().await;
    fleet.goes(1, fleet.now).await;
    fleet.tells(0).await;
    fleet.is_open().await;
}

#[tokio::test]
async fn a_gate_that_is_closed_for_another_reason_is_not_opened_by_those_who_tell() {
    let fleet = Fleet::after_a_restart().await;
    let stop = Gate::Stopped { reason: "stop".into() };
    fleet.store.set_gate(&stop).await.unwrap();
    fleet.all_are_heard().await;
    fleet.tells(0).await;
    fleet.tells(1).await;
    assert_eq!(fleet.store.gate().await.unwrap(), stop);
    fleet.store.set_gate(&Gate::Open).await.unwrap();
    fleet.is_open().await;
}

#[tokio::test]
async fn a_penalty_goes_on_after_all_have_told_whenever_it_began() {
    for before in [true, false] {
        let mut server = RedisServer::builder().append_only().start();
        let (store, worker) = (patient_handle(&server).await, WorkerId::incarnation("w"));
        watch(&store, &worker).await;
        let penalty = Gate::Until { until: store.now().await.unwrap() + 300_000, reason: "429".into() };
        if before {
            store.set_gate(&penalty).await.unwrap();
        }
        server.restart();
        eventually(PATIENCE, async || store.ping().await.is_ok()).await;
        let now = watch(&store, &worker).await;
        assert!(matches!(store.gate().await.unwrap(), Gate::Until { reason, .. } if reason == "store-restarted"));
        if !before {
            store.set_gate(&penalty).await.unwrap();
        }
        // Shorter than the gate of the restart, but not over.
        eventually(PATIENCE, async || {
            assert_eq!(store.watch(&worker, now).await.unwrap(), now);
            store.gate().await.unwrap() == penalty
        })
        .await;
    }
}

/// A server that was restarted, which a process with a second's patience noticed first, as an API or a command line does.
async fn noticed_by_a_hasty_one() -> (RedisServer, RedisStore, RedisStore, WorkerId) {
    let mut server = RedisServer::builder().append_only().start();
    let hasty = RedisOptions { restart_patience: Duration::from_secs(1), ..options(server.url()) };
    let hasty = RedisStore::connect(hasty).await.unwrap();
    let (store, worker) = (patient_handle(&server).await, WorkerId::incarnation("w"));
    watch(&store, &worker).await;
    put(&store, &lane(), &["1"]).await;
    server.restart();
    for store in [&hasty, &store] {
        eventually(PATIENCE, async || store.ping().await.is_ok()).await;
    }
    hasty.docs_since(DocKind::Credential, &DocCursor::default(), 1).await.unwrap();
    (server, hasty, store, worker)
}

async fn after_two_seconds(store: &RedisStore) {
    let end = store.now().await.unwrap() + 2_000;
    eventually(PATIENCE, async || store.now().await.unwrap() > end).await;
}

async fn is_closed_to(store: &RedisStore) -> bool {
    matches!(store.gate().await.unwrap(), Gate::Until { reason, .. } if reason == "store-restarted")
        && answered(store, &WorkerId::incarnation("another"), 5).await.leases.is_empty()
}

#[tokio::test]
async fn the_gate_waits_as_long_as_a_worker_says_whoever_noticed_the_restart_first() {
    let (_server, hasty, store, worker) = noticed_by_a_hasty_one().await;
    let now = watch(&store, &worker).await;
    after_two_seconds(&store).await;
    assert!(is_closed_to(&hasty).await && is_closed_to(&store).await);
    eventually(PATIENCE, async || {
        store.watch(&worker, now).await.unwrap();
        store.gate().await.unwrap() == Gate::Open
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_comes_after_the_patience_of_whoever_noticed_first_is_given_nothing_before_it_has_told() {
    let (_server, hasty, store, worker) = noticed_by_a_hasty_one().await;
    after_two_seconds(&store).await;
    // It may ask for work before it asks what was lost.
    assert!(is_closed_to(&store).await);
    watch(&store, &worker).await;
    assert!(is_closed_to(&hasty).await && is_closed_to(&store).await);
}
