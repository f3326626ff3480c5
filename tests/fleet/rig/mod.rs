//! A fleet for one test: simulator, store, worker processes, all ended with it.
//!
//! A rig must be finished ([`Rig::finish`]): that looks whether every promise was kept, whatever the test was about. One that is
//! dropped without fails its test.
//!
//! - `options`: what a test starts from
//! - `handed`: what was handed in, the producer's side of the books
//! - `processes`: commands and workers, and all that they print
//! - `finish`: what a test says of its end, and the look at everything; the parts of that look in `checker`

mod checker;
mod finish;
mod handed;
mod options;
mod processes;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_producer::{Producer, Sender, SenderDirectory};
use ringfleet_simulator::{Account, FaultRule, Report, Simulator};
use ringfleet_store::{
    Group, LaneId, LaneRules, Plan, RedisStore, SharedStore, State, Stats,
    redis::RedisOptions,
    sqlite::{SqliteOptions, SqliteStore},
};
use ringfleet_testkit::{FaultProxy, RedisCluster, RedisServer};

pub(crate) use self::options::RigOptions;
#[allow(unused_imports, reason = "the fault loop has no use for some")]
pub(crate) use self::{
    finish::{Ends, Except, Waiting},
    processes::Running,
};
use self::{
    handed::Handed,
    processes::{Said, Worker},
};

pub(crate) struct Rig {
    pub simulator: Simulator,
    pub accounts: Vec<Account>,
    pub store: SharedStore,
    producer: Producer,
    pub rules: LaneRules,
    pub folder: tempfile::TempDir,
    pub options: RigOptions,
    redis: Option<RedisServer>,
    cluster: Option<RedisCluster>,
    proxy: Option<FaultProxy>,
    api: Option<FaultProxy>,
    /// What workers reach the store by.
    store_url: String,
    /// What they reach the simulator by.
    api_url: String,
    pub workers: Vec<Worker>,
    /// The simulator's first moment.
    began: Instant,
    handed: Mutex<Vec<Handed>>,
    elsewhere: Mutex<u64>,
    secrets: Mutex<Vec<String>>,
    said: Said,
    /// When faults were made or mended, in ns of the simulator's clock.
    faults: Mutex<Vec<u64>>,
    /// From when until when the kill switch was on.
    stops: Mutex<Vec<(u64, Option<u64>)>>,
    finished: bool,
}

impl Rig {
    pub(crate) async fn start(options: RigOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(options.simulator.clone()).await.unwrap();
        let began = Instant::now() - Duration::from_nanos(simulator.report().now_ns);
        let accounts = simulator.accounts();
        std::fs::write(folder.path().join("accounts.json"), serde_json::to_vec(&accounts).unwrap()).unwrap();
        let mut rules = LaneRules::with_window(options.window);
        rules.set_plan(Group::Medium, Plan { limit: options.medium, ..rules.plan(Group::Medium) });
        let server = RedisServer::builder().append_only();
        let server = if options.clock_file { server.clock_file() } else { server };
        let redis = options.redis.then(|| blocking(|| server.start()));
        let cluster = options.shards.map(|_| blocking(RedisCluster::start));
        let proxy = match (&redis, options.proxy) {
            (Some(server), true) => Some(FaultProxy::start(format!("127.0.0.1:{}", server.port()))),
            _ => None,
        };
        let api = options.api_proxy.then(|| FaultProxy::start(address_of(&simulator)));
        let api_url = api.as_ref().map_or_else(|| simulator.base_url(), |api| format!("http://{}", api.address()));
        let restart_patience = 3 * options.lease;
        let (store_url, store): (String, SharedStore) = match (&redis, &cluster) {
            (Some(server), _) => {
                let options = RedisOptions { rules, restart_patience, ..RedisOptions::new(server.url()) };
                (server.url(), Arc::new(RedisStore::connect(options).await.unwrap()))
            }
            (None, Some(cluster)) => {
                let options = RedisOptions {
                    urls: cluster.urls(),
                    cluster: true,
                    shards: options.shards.unwrap_or(1),
                    allow_volatile: true,
                    rules,
                    restart_patience,
                    ..RedisOptions::new("")
                };
                (cluster.urls().join(","), Arc::new(RedisStore::connect(options).await.unwrap()))
            }
            (None, None) => {
                let path = folder.path().join("fleet.db");
                let store =
                    SqliteStore::open(&path, SqliteOptions { rules, ..SqliteOptions::default() }).await.unwrap();
                (format!("sqlite:{}", path.display()), Arc::new(store))
            }
        };
        let senders = accounts.iter().map(|account| Sender {
            app: "main".to_owned(),
            extension: ExtensionId::try_new(&account.extension_id).unwrap(),
            numbers: account.numbers.iter().map(|number| PhoneNumber::try_new(number).unwrap()).collect(),
        });
        let directory = Arc::new(SenderDirectory::try_new(senders).unwrap());
        let producer = Producer::new(store.clone(), directory);
        let producer = producer.with_on_unknown(options.on_unknown);
        let store_url = proxy.as_ref().map_or(store_url, |proxy| proxy.url("redis"));
        Self {
            simulator,
            accounts,
            store,
            producer,
            rules,
            folder,
            options,
            redis,
            cluster,
            proxy,
            api,
            store_url,
            api_url,
            workers: Vec::new(),
            began,
            handed: Mutex::default(),
            elsewhere: Mutex::default(),
            secrets: Mutex::default(),
            said: Said::default(),
            faults: Mutex::default(),
            stops: Mutex::default(),
            finished: false,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn lane(&self, extension: usize) -> LaneId {
        LaneId::try_new("main", &self.accounts[extension].extension_id, Group::Medium).unwrap()
    }

    /// The simulator's clock, in ns.
    pub(crate) fn simulator_now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// A fault begins or ends now: when the last one is over, the fleet must be back soon.
    pub(crate) fn fault(&self) {
        lock(&self.faults).push(self.simulator_now());
    }

    pub(crate) fn add_fault(&self, rule: serde_json::Value) {
        self.fault();
        let rule: FaultRule = serde_json::from_value(rule).unwrap();
        self.simulator.add_fault(rule);
    }

    pub(crate) fn clear_faults(&self) {
        self.simulator.clear_faults();
        self.fault();
    }

    pub(crate) fn redis(&self) -> &RedisServer {
        self.redis.as_ref().unwrap()
    }

    pub(crate) fn is_on_redis(&self) -> bool {
        self.redis.is_some()
    }

    /// To do something to it.
    pub(crate) fn cluster(&self) -> &RedisCluster {
        self.fault();
        self.cluster.as_ref().unwrap()
    }

    /// The shards of a store on Redis: where each is, and the tag that its keys begin with.
    pub(crate) fn shards(&self) -> Vec<(String, String)> {
        let tags = (0..self.options.shards.unwrap_or(1)).map(|shard| format!("{{rf:{shard}}}"));
        let place = |tag: String| match (&self.redis, &self.cluster) {
            (Some(server), _) => Some((server.url(), tag)),
            (None, Some(cluster)) => Some((blocking(|| cluster.url_of(&tag)), tag)),
            (None, None) => None,
        };
        tags.filter_map(place).collect()
    }

    /// To do something to it.
    pub(crate) fn redis_mut(&mut self) -> &mut RedisServer {
        self.fault();
        self.redis.as_mut().unwrap()
    }

    /// Another server takes its place.
    pub(crate) fn replace_redis(&mut self, server: RedisServer) -> RedisServer {
        self.fault();
        self.redis.replace(server).unwrap()
    }

    pub(crate) fn proxy(&self) -> &FaultProxy {
        self.fault();
        self.proxy.as_ref().unwrap()
    }

    pub(crate) fn api(&self) -> &FaultProxy {
        self.fault();
        self.api.as_ref().unwrap()
    }

    pub(crate) fn take_api(&mut self) -> FaultProxy {
        self.fault();
        self.api.take().unwrap()
    }

    pub(crate) fn put_api(&mut self, api: FaultProxy) {
        self.fault();
        self.api = Some(api);
    }

    /// Asks again while the store is away, as it is on purpose in some tests.
    pub(crate) async fn stats(&self) -> Stats {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.store.stats().await {
                Ok(stats) => return stats,
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("the store can't be asked: {error:?}"),
            }
        }
    }

    /// Messages that need nothing more from the fleet: final, or held for a person.
    pub(crate) async fn ended(&self) -> u64 {
        let stats = self.stats().await;
        State::ALL.iter().filter(|s| s.is_final() || **s == State::Held).map(|s| stats.count(*s)).sum()
    }

    /// Waits until `count` messages have ended, and says how long it took.
    pub(crate) async fn until_ended(&self, count: u64, deadline: Duration) -> Duration {
        let start = Instant::now();
        loop {
            let ended = self.ended().await;
            if ended >= count {
                return start.elapsed();
            }
            if start.elapsed() > deadline {
                let stats = self.stats().await;
                let lanes = self.store.lanes(8).await;
                let report = self.simulator.report();
                panic!("{ended} of {count} ended within {deadline:?}: {stats:?}\n{lanes:?}\n{report:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a counter says, of all processes with a page of metrics together. `series`: its name, with its labels.
    pub(crate) async fn counted(&mut self, series: &str) -> u64 {
        let pages = self.pages().await;
        let counts = pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.strip_prefix(series));
        counts.filter_map(|count| count.trim().parse::<u64>().ok()).sum()
    }

    /// The pages of metrics of all processes that have one.
    pub(crate) async fn pages(&mut self) -> Vec<String> {
        checker::canary::metrics_pages(self).await.into_iter().map(|(_, page)| page).collect()
    }

    /// A look on the way; [`Rig::finish`] looks at everything.
    pub(crate) async fn so_far(&self, enqueued: u64) -> Report {
        let (stats, report) = (self.stats().await, self.simulator.report());
        assert_eq!(stats.total(), enqueued, "a message was lost or made up: {stats:?}");
        assert_eq!(report.duplicates, 0, "a customer got a text twice: {report:?}");
        assert_eq!((report.over_plan, report.in_penalty), (0, 0), "a plan was exceeded: {report:?}");
        report
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
        if std::thread::panicking() {
            let logs = self.logs();
            let tail = logs.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!("the workers' last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        } else if !self.finished {
            panic!("this rig was dropped without rig.finish(…): nobody has looked whether the promises were kept");
        }
    }
}

/// What waits for another process must not keep the simulators and proxies of this one from working: with a thread for each of
/// two cores, two such waits stop them all, and nobody answers the processes that are waited for.
pub(crate) fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(wait)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `host:port`, for a proxy.
pub(crate) fn address_of(simulator: &Simulator) -> String {
    simulator.base_url().trim_start_matches("http://").to_owned()
}

/// An HTTP client for a test's own questions.
pub(crate) fn http() -> reqwest::Client {
    ringcentral::install_crypto();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn terminate(child: &Child) {
    signal_process(child, "TERM");
}

fn signal_process(child: &Child, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

fn ms(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// The most memory that a process ever had, in KiB; `None` once it is gone.
pub(crate) fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
