//! A fresh store of each kind for one test, with a clock that the test moves.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use ringfleet_store::{
    Clock, Intent, LaneRules, LeaseRef, Millis, SharedStore,
    redis::{RedisOptions, RedisStore},
    sqlite::{SqliteOptions, SqliteStore, Synchronous},
};
use ringfleet_testkit::{RedisCluster, RedisServer};
use tempfile::TempDir;

/// The clock's first time; any real one will do.
pub(crate) const START: Millis = 1_700_000_000_000;
/// To be sent with whatever session there is.
pub(crate) fn intents(leases: &[LeaseRef]) -> Vec<Intent> {
    leases.iter().copied().map(Intent::from).collect()
}

/// More than one, so that lanes lie apart.
const CLUSTER_SHARDS: u16 = 5;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backend {
    Sqlite,
    Redis,
    Cluster,
}

/// Where one test's data lie.
#[derive(Clone)]
enum Place {
    File(Arc<TempDir>),
    Prefix { urls: Vec<String>, shards: u16, prefix: String },
}

/// The store under test. Every subject has data of its own; [`Subject::again`] opens the same data once more.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) store: SharedStore,
    pub(crate) backend: Backend,
    place: Place,
    clock: Clock,
    hand: Arc<AtomicI64>,
}

impl Subject {
    /// A store without data whose clock stands still.
    pub(crate) async fn fresh(backend: Backend, rules: LaneRules) -> Self {
        let (clock, hand) = Clock::by_hand(START);
        Self::open(backend, place_of(backend), rules, clock, hand).await
    }

    /// A store without data of the same kind, on the machine's or the server's own clock.
    #[allow(dead_code, reason = "histories have no use for it")]
    pub(crate) async fn fresh_on_real_clock(&self, rules: LaneRules) -> Self {
        Self::open(self.backend, place_of(self.backend), rules, Clock::default(), Arc::default()).await
    }

    /// The same data through another handle, as another process has it.
    #[allow(dead_code, reason = "histories have no use for it")]
    pub(crate) async fn again(&self, rules: LaneRules) -> Self {
        Self::open(self.backend, self.place.clone(), rules, self.clock.clone(), self.hand.clone()).await
    }

    #[allow(dead_code, reason = "histories have a model that knows")]
    pub(crate) fn now(&self) -> Millis {
        self.hand.load(Ordering::SeqCst)
    }

    pub(crate) fn step(&self, ms: i64) {
        self.hand.fetch_add(ms, Ordering::SeqCst);
    }

    #[allow(dead_code, reason = "histories only step")]
    pub(crate) fn set_time(&self, at: Millis) {
        self.hand.store(at, Ordering::SeqCst);
    }

    /// The store forgets which token it gave out last, as when the last moments before a crash were not on the disk.
    #[allow(dead_code, reason = "histories have no use for it")]
    pub(crate) fn lose_token_counter(&self) {
        match &self.place {
            Place::File(dir) => {
                let file = rusqlite::Connection::open(dir.path().join("store.db")).expect("the file can be opened");
                file.busy_timeout(Duration::from_secs(5)).expect("a number");
                file.execute("UPDATE store SET token = 0", []).expect("the counter can be written");
            }
            Place::Prefix { urls, shards, prefix } => {
                for (url, shard) in urls.iter().flat_map(|url| (0..*shards).map(move |shard| (url, shard))) {
                    let mut link = redis::Client::open(url.as_str()).and_then(|client| client.get_connection());
                    let link = link.as_mut().expect("the server answers");
                    // In a Cluster only one of the nodes has it; the others say so.
                    let _ = redis::cmd("DEL").arg(format!("{{{prefix}:{shard}}}:seq")).exec(link);
                }
            }
        }
    }

    async fn open(backend: Backend, place: Place, rules: LaneRules, clock: Clock, hand: Arc<AtomicI64>) -> Self {
        let store: SharedStore = match &place {
            Place::File(dir) => {
                let synchronous = Synchronous::Normal;
                let options = SqliteOptions { rules, clock: clock.clone(), synchronous, ..SqliteOptions::default() };
                let file = dir.path().join("store.db");
                Arc::new(SqliteStore::open(&file, options).await.expect("the file can be opened"))
            }
            Place::Prefix { urls, shards, prefix } => {
                let options = RedisOptions {
                    urls: urls.clone(),
                    cluster: backend == Backend::Cluster,
                    prefix: prefix.clone(),
                    shards: *shards,
                    rules,
                    clock: clock.clone(),
                    response_timeout: Duration::from_secs(20),
                    allow_volatile: true,
                    ..RedisOptions::new(urls[0].clone())
                };
                Arc::new(RedisStore::connect(options).await.expect("the server answers"))
            }
        };
        Self { store, backend, place, clock, hand }
    }
}

/// Somewhere nothing lies yet. Servers are shared by all tests of a binary and end with it; prefixes keep tests apart.
fn place_of(backend: Backend) -> Place {
    static SERVER: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
    static CLUSTER: LazyLock<RedisCluster> = LazyLock::new(RedisCluster::start);
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let prefix = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    match backend {
        Backend::Sqlite => Place::File(Arc::new(fast_directory())),
        Backend::Redis => Place::Prefix { urls: vec![SERVER.url()], shards: 1, prefix },
        Backend::Cluster => Place::Prefix { urls: CLUSTER.urls(), shards: CLUSTER_SHARDS, prefix },
    }
}

/// In memory where the system has such a place: these tests are about transitions, not about disks.
fn fast_directory() -> TempDir {
    let named = |dir: &str| TempDir::with_prefix_in("ringfleet-store-", dir);
    named("/dev/shm").or_else(|_| TempDir::with_prefix("ringfleet-store-")).expect("the temp directory is writable")
}
