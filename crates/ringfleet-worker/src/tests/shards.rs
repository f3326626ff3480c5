//! What a shard that does not answer means for the others.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ringfleet_store::{
    Begin, ClaimRequest, Intent, Lease, OnUnknown, Outcome, RedisStore, SharedStore, State, WorkerId,
    redis::RedisOptions,
};
use ringfleet_testkit::{RedisCluster, eventually};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rig::{PATIENCE, text};
use crate::{
    journal::{Journal, Whose},
    keeper::{InHand, keep},
    settler::{Settler, Told, settler},
};

const SHARDS: u16 = 3;
/// Begins to be moved. The first in the order in which shards are visited.
const DUMB: &str = "{shards:0}";

struct Fleet {
    cluster: RedisCluster,
    store: SharedStore,
    /// One of each shard, begun.
    leases: BTreeMap<usize, Lease>,
    /// How many recipients there are.
    recipients: u32,
}

impl Fleet {
    async fn with_a_lease_of_each_shard(term: Duration) -> Self {
        let cluster = RedisCluster::start();
        let options = RedisOptions {
            urls: cluster.urls(),
            cluster: true,
            shards: SHARDS,
            prefix: "shards".to_owned(),
            allow_volatile: true,
            ..RedisOptions::new("")
        };
        let store: SharedStore = Arc::new(RedisStore::connect(options).await.unwrap());
        let messages = (0..16).map(|extension: u32| text(&extension.to_string(), 1, OnUnknown::Reconcile));
        store.enqueue(&messages.collect::<Vec<_>>()).await.unwrap();
        let worker = WorkerId::incarnation("w");
        let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 16, lease: term }).await.unwrap();
        let of_its_shard = |lease: Lease| (lease.token.shard(SHARDS.into()), lease);
        let leases: BTreeMap<_, _> = claim.leases.into_iter().map(of_its_shard).collect();
        assert_eq!(leases.len(), usize::from(SHARDS));
        let this = Self { cluster, store, leases, recipients: 1 };
        for shard in 0..SHARDS.into() {
            assert_eq!(this.begin(shard, term).await, Begin::Go);
        }
        this
    }

    /// Of the lane of a shard of which nothing is in hand.
    async fn put_and_begin_another(&mut self, shard: usize, journal: &Journal, term: Duration) {
        let extension = self.leases[&shard].lane.extension();
        self.recipients += 1;
        self.store.enqueue(&[text(extension, self.recipients, OnUnknown::Reconcile)]).await.unwrap();
        let worker = WorkerId::incarnation("w");
        let claim = self.store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease: term }).await.unwrap();
        let next = claim.leases.into_iter().next().unwrap();
        journal.begin(&[(Intent { lease: next.reference(), session: 0 }, next.lane.clone())]).await;
        self.leases.insert(shard, next);
        assert_eq!(self.begin(shard, term).await, Begin::Go);
    }

    async fn begin(&self, shard: usize, term: Duration) -> Begin {
        let intent = Intent { lease: self.leases[&shard].reference(), session: 0 };
        self.store.begin_send(&[intent], term).await.unwrap()[0]
    }

    async fn state(&self, shard: usize) -> State {
        self.store.get(&self.leases[&shard].id).await.unwrap().unwrap().state
    }

    async fn in_flight(&self, shard: usize) -> u32 {
        self.store.lane(&self.leases[&shard].lane).await.unwrap().in_flight
    }

    fn report(&self, shard: usize, settler: &Settler) -> tokio::task::JoinHandle<()> {
        let (settler, lease) = (settler.clone(), self.leases[&shard].clone());
        let outcome = Outcome::Sent { provider_id: shard.to_string() };
        tokio::spawn(async move { settler.report(&lease, Told::answered(outcome)).await })
    }
}

#[tokio::test]
async fn reports_are_told_while_another_shard_does_not_answer_and_its_own_when_it_does_again() {
    let fleet = Fleet::with_a_lease_of_each_shard(Duration::from_secs(60)).await;
    let journal = Arc::new(Journal::in_memory(SHARDS.into()));
    let (settler, serve) = settler(fleet.store.clone(), journal, Arc::new(Notify::new()), Duration::MAX);
    tokio::spawn(serve);
    fleet.cluster.begin_to_move(DUMB);
    let reports: Vec<_> = (0..SHARDS.into()).map(|shard| fleet.report(shard, &settler)).collect();
    eventually(PATIENCE, async || reports[1].is_finished() && reports[2].is_finished()).await;
    assert!(!reports[0].is_finished());

    fleet.cluster.leave_in_place(DUMB);
    eventually(PATIENCE, async || reports[0].is_finished()).await;
    for shard in 0..SHARDS.into() {
        assert_eq!(fleet.state(shard).await, State::Sent);
    }
}

#[tokio::test]
async fn leases_are_kept_while_another_shard_does_not_answer() {
    let term = Duration::from_secs(6);
    let fleet = Fleet::with_a_lease_of_each_shard(term).await;
    fleet.cluster.begin_to_move(DUMB);
    let (in_hand, stop) = (InHand::default(), CancellationToken::new());
    let _holds: Vec<_> = fleet.leases.values().map(|lease| in_hand.hold(lease.reference())).collect();
    tokio::spawn(keep(fleet.store.clone(), in_hand, term, stop.clone()));
    let began = Instant::now();
    eventually(PATIENCE, async || began.elapsed() > 2 * term).await;
    stop.cancel();
    for shard in 1..SHARDS.into() {
        assert_eq!(fleet.begin(shard, term).await, Begin::Go, "shard {shard}");
    }
}

#[tokio::test]
async fn shards_that_have_been_told_of_a_workers_sends_are_not_told_again_while_another_does_not_answer() {
    let term = Duration::from_secs(60);
    let mut fleet = Fleet::with_a_lease_of_each_shard(term).await;
    let journal = Journal::in_memory(SHARDS.into());
    let begun = |lease: &Lease| (Intent { lease: lease.reference(), session: 0 }, lease.lane.clone());
    journal.begin(&fleet.leases.values().map(begun).collect::<Vec<_>>()).await;
    fleet.cluster.begin_to_move(DUMB);
    assert!(fleet.store.now().await.is_ok(), "another shard knows the time");
    assert!(journal.reassert(&fleet.store, term, Whose::All).await.is_err());
    assert_eq!(fleet.in_flight(1).await, 0, "its fate is unknown");
    let worker = WorkerId::incarnation("w");
    let claim = fleet.store.claim(ClaimRequest { worker: &worker, free_slots: 16, lease: term }).await.unwrap();
    assert!(claim.leases.is_empty(), "all were claimed");
    fleet.put_and_begin_another(1, &journal, term).await;
    assert!(journal.reassert(&fleet.store, term, Whose::All).await.is_err());
    assert_eq!(fleet.in_flight(1).await, 1, "it is left in this worker's hand");
    journal.tell_anew();
    assert!(journal.reassert(&fleet.store, term, Whose::All).await.is_err());
    assert_eq!(fleet.in_flight(1).await, 0, "the store has lost a moment once more");

    // Nor when all of them have been told, and something else has to be told again.
    fleet.cluster.leave_in_place(DUMB);
    eventually(PATIENCE, async || journal.reassert(&fleet.store, term, Whose::All).await.is_ok()).await;
    fleet.put_and_begin_another(1, &journal, term).await;
    journal.reassert(&fleet.store, term, Whose::All).await.unwrap();
    assert_eq!(fleet.in_flight(1).await, 1, "it is left in this worker's hand");
}
