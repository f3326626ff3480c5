//! One of several shards does not answer: its node refuses all, because its slot is about to be moved.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use ringfleet_store::{Clock, Gate, Intent, OptOut, opt_out::ANY_NUMBER, redis::RedisOptions};
use ringfleet_testkit::{RedisCluster, RedisServer};

use super::*;

const START: i64 = 1_700_000_000_000;
/// So many that each shard has some.
const EXTENSIONS: u32 = 48;

struct Fleet {
    options: RedisOptions,
    store: RedisStore,
    worker: WorkerId,
    time: Arc<AtomicI64>,
    /// Which shard a lane lives on.
    homes: std::collections::HashMap<LaneId, usize>,
}

impl Fleet {
    /// With sends that wait for reports, sends of unknown fate and ended leases on every shard, and a message waiting in each lane.
    async fn new(options: RedisOptions) -> Self {
        let (clock, time) = Clock::by_hand(START);
        let shards = usize::from(options.shards);
        let options = RedisOptions { clock, ..options };
        let store = RedisStore::connect(options.clone()).await.unwrap();
        let mut this = Self { options, store, worker: WorkerId::incarnation("w"), time, homes: Default::default() };
        watch(&this.store, &this.worker).await;
        let lanes = (0..EXTENSIONS).map(|n| LaneId::try_new("app", &n.to_string(), Group::Medium).unwrap());
        for lane in lanes {
            put(&this.store, &lane, &[&format!("1 of {lane}")]).await;
            let lease = claim(&this.store, &this.worker, 1).await.unwrap().leases.remove(0);
            this.homes.insert(lane.clone(), lease.token.shard(shards));
            let nth = this.homes.values().filter(|home| **home == lease.token.shard(shards)).count();
            let outcome = match nth % 3 {
                0 => None,
                1 => Some(report(lease.reference()).outcome),
                _ => Some(Outcome::Unknown { reason: "time-out".to_owned() }),
            };
            if let Some(outcome) = outcome {
                let intent = Intent { lease: lease.reference(), session: 0 };
                this.store.begin_send(&[intent], LEASE).await.unwrap();
                let settlement = Settlement { outcome, ..report(lease.reference()) };
                this.store.settle(&[settlement]).await.unwrap();
            }
        }
        for lane in this.homes.keys() {
            put(&this.store, lane, &[&format!("2 of {lane}")]).await;
        }
        this.step(2 * LEASE);
        this
    }

    fn step(&self, by: Duration) {
        self.time.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }

    fn of<'a>(&self, lanes: impl IntoIterator<Item = &'a LaneId>) -> BTreeSet<usize> {
        lanes.into_iter().map(|lane| self.homes[lane]).collect()
    }

    /// Whose lanes `claim`, `reconcile_take` and `delivery_take` give out.
    async fn given(&self) -> [BTreeSet<usize>; 3] {
        let claim = claim(&self.store, &self.worker, 2 * EXTENSIONS).await.unwrap();
        let unknown = self.store.reconcile_take(2 * EXTENSIONS, LEASE).await.unwrap();
        let sent = self.store.delivery_take(2 * EXTENSIONS, LEASE).await.unwrap();
        [
            self.of(claim.leases.iter().map(|lease| &lease.lane)),
            self.of(unknown.iter().map(|unknown| &unknown.lane)),
            self.of(sent.iter().map(|sent| &sent.lane)),
        ]
    }
}

pub(super) fn on(cluster: &RedisCluster, prefix: String) -> RedisOptions {
    let urls = cluster.urls();
    RedisOptions { cluster: true, shards: 3, prefix, urls: urls.clone(), ..options(urls[0].clone()) }
}

#[tokio::test]
async fn what_the_other_shards_have_is_given_out_and_looked_after_while_one_does_not_answer() {
    let cluster = RedisCluster::start();
    for dumb in 0..3 {
        let fleet = Fleet::new(on(&cluster, format!("life{dumb}"))).await;
        let tag = format!("{{life{dumb}:{dumb}}}");
        cluster.begin_to_move(&tag);
        let others: BTreeSet<usize> = (0..3).filter(|shard| *shard != dumb).collect();
        assert_eq!(fleet.given().await, [others.clone(), others.clone(), others], "without shard {dumb}");
        let reaped = fleet.store.reap(100, LEASE).await.unwrap().requeued;
        assert!(reaped > 0);
        watch(&fleet.store, &fleet.worker).await;
        assert_eq!(fleet.store.silent_shards(), 1);

        cluster.leave_in_place(&tag);
        watch(&fleet.store, &fleet.worker).await;
        assert_eq!(fleet.store.silent_shards(), 0);
        let [claimed, unknown, sent] = fleet.given().await;
        assert!([claimed, unknown, sent].iter().all(|given| given.contains(&dumb)), "shard {dumb} is back");
        let all = fleet.store.reap(100, LEASE).await.unwrap().requeued + reaped;
        assert_eq!(
            all as usize,
            (0..3).map(|shard| fleet.homes.values().filter(|home| **home == shard).count() / 3).sum()
        );
    }
}

#[tokio::test]
async fn a_shard_that_was_restarted_while_it_did_not_answer_is_not_taken_for_one_that_was_told() {
    let cluster = RedisCluster::start();
    let options = || RedisOptions { restart_patience: LEASE, ..on(&cluster, PREFIX.to_owned()) };
    let fleet = Fleet::new(options()).await;
    let newcomer = RedisStore::connect(options()).await.unwrap();
    let (store, worker, tag) = (&fleet.store, &fleet.worker, format!("{{{PREFIX}:1}}"));
    let told = watch(store, worker).await;
    cluster.begin_to_move(&tag);
    let inc = format!("{tag}:inc");
    let other_server = |url: &String| tried::<()>(url, &["HSET", &inc, "id", "another"]).is_ok();
    assert!(cluster.urls().iter().any(other_server));
    assert_eq!(store.watch(worker, told).await.unwrap(), told);
    let unheard = newcomer.watch(&WorkerId::incarnation("new"), Incarnation::default()).await;
    assert!(unheard.as_ref().is_err_and(StoreError::is_transient), "it begins although a shard does not know it");

    cluster.leave_in_place(&tag);
    let seen = store.watch(worker, told).await.unwrap();
    assert!(seen.restarts > told.restarts);
    // Long enough for a worker to be heard.
    fleet.step(Duration::from_secs(5));
    assert_eq!(store.watch(worker, told).await.unwrap(), seen);
    let claimed = async || fleet.of(claim(store, worker, 2 * EXTENSIONS).await.unwrap().leases.iter().map(|l| &l.lane));
    assert!(!claimed().await.contains(&1), "its gate is open although it was told nothing");
    store.watch(worker, seen).await.unwrap();
    assert!(claimed().await.contains(&1));
}

/// More than one call to a shard that does not answer takes, and less than two.
const ONE_DEADLINE: Duration = Duration::from_secs(8);

/// Lets every node know the scripts that are called here.
async fn load_scripts(cluster: &RedisCluster) {
    let store = RedisStore::connect(RedisOptions { shards: 1, ..on(cluster, "warm".to_owned()) }).await.unwrap();
    claim(&store, &WorkerId::incarnation("w"), 1).await.unwrap();
    store.reconcile_take(1, LEASE).await.unwrap();
    store.delivery_take(1, LEASE).await.unwrap();
    store.reap(1, LEASE).await.unwrap();
    store.set_gate(&Gate::Open).await.unwrap();
    store.set_opt_outs(None, &[nobody()]).await.unwrap();
    store.now().await.unwrap();
}

fn nobody() -> OptOut {
    OptOut { from: Private::new(ANY_NUMBER), to: Private::new("+16505550199"), out: true }
}

async fn in_time<T>(what: &str, call: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = call.await;
    assert!(began.elapsed() < ONE_DEADLINE, "{what} took {:?}", began.elapsed());
    answer
}

#[tokio::test]
async fn several_shards_that_fall_silent_together_hold_nothing_up_for_longer_than_one() {
    const SHARDS: u16 = 6;
    let mut cluster = RedisCluster::start_with(&[("--cluster-require-full-coverage", "no")]);
    let fleet = Fleet::new(RedisOptions { shards: SHARDS, ..on(&cluster, PREFIX.to_owned()) }).await;
    load_scripts(&cluster).await;
    // Each with an own memory of who is silent.
    let handle = async || RedisStore::connect(fleet.options.clone()).await.unwrap();
    let [reaps, looks, reports, tells, opts] =
        [handle().await, handle().await, handle().await, handle().await, handle().await];
    let homes: Vec<String> = (0..SHARDS).map(|shard| cluster.url_of(&format!("{{{PREFIX}:{shard}}}"))).collect();
    let on_node = |url: &String| homes.iter().filter(|home| *home == url).count();
    let frozen = homes.iter().max_by_key(|url| on_node(url)).unwrap();
    let others: BTreeSet<usize> = (0..homes.len()).filter(|shard| homes[*shard] != *frozen).collect();
    assert!(on_node(frozen) > 1 && !others.is_empty(), "{homes:?}");
    cluster.nodes().iter_mut().find(|node| node.url() == *frozen).unwrap().freeze();

    let calls = async {
        let mut claimed = BTreeSet::new();
        while claimed != others {
            let claim = in_time("claim", claim(&fleet.store, &fleet.worker, 2 * EXTENSIONS)).await;
            claimed.extend(claim.iter().flat_map(|claim| fleet.of(claim.leases.iter().map(|lease| &lease.lane))));
        }
    };
    let takes = async {
        let (mut unknown, mut sent) = (BTreeSet::new(), BTreeSet::new());
        while unknown != others || sent != others {
            let taken = in_time("reconcile_take", looks.reconcile_take(2 * EXTENSIONS, LEASE)).await;
            unknown.extend(taken.iter().flat_map(|taken| fleet.of(taken.iter().map(|unknown| &unknown.lane))));
            let taken = in_time("delivery_take", reports.delivery_take(2 * EXTENSIONS, LEASE)).await;
            sent.extend(taken.iter().flat_map(|taken| fleet.of(taken.iter().map(|sent| &sent.lane))));
        }
    };
    let reap = async {
        let reaped = in_time("reap", reaps.reap(100, LEASE)).await.unwrap();
        assert_eq!(
            reaped.requeued as usize,
            others.iter().map(|shard| fleet.homes.values().filter(|home| *home == shard).count() / 3).sum::<usize>()
        );
        assert!(reaped.requeued > 0);
    };
    let tell = async {
        // Under the kill switch nothing would be claimed.
        let told = in_time("set_gate", tells.set_gate(&Gate::Open)).await;
        assert!(told.is_err_and(|error| error.is_transient()));
        assert!(in_time("set_opt_outs", opts.set_opt_outs(None, &[nobody()])).await.is_err());
        assert!(in_time("now", opts.now()).await.is_ok());
    };
    tokio::time::timeout(4 * PATIENCE, async { tokio::join!(calls, takes, reap, tell) }).await.expect("all is done");

    let stopper = RedisStore::connect_to_stop(fleet.options.clone()).await.unwrap();
    assert!(stopper.set_gate(&Gate::Stopped { reason: "wrong text".into() }).await.is_err());
    for shard in others {
        let gate = format!("{{{PREFIX}:{shard}}}:gate");
        assert_eq!(ask::<Option<String>>(&homes[shard], &["HGET", &gate, "stop"]).as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn every_shard_has_its_turn_when_few_lanes_are_taken_at_once() {
    let server = RedisServer::start();
    let fleet = Fleet::new(RedisOptions { shards: 2, ..options(server.url()) }).await;
    let both = BTreeSet::from([0, 1]);
    let (mut unknown, mut sent) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        unknown.extend(fleet.store.reconcile_take(1, LEASE).await.unwrap());
        sent.extend(fleet.store.delivery_take(1, LEASE).await.unwrap());
    }
    assert_eq!(fleet.of(unknown.iter().map(|unknown| &unknown.lane)), both);
    assert_eq!(fleet.of(sent.iter().map(|sent| &sent.lane)), both);
}
