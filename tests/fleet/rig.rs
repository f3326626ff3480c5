//! A fleet for one test: simulator, store, worker processes, all ended with it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_producer::{Draft, Producer, Sender, SenderDirectory};
use ringfleet_simulator::{Account, AppSettings, Report, Simulator, SimulatorConfig};
use ringfleet_store::{
    Group, LaneId, LaneRules, OnUnknown, RedisStore, SharedStore, State, Stats,
    redis::RedisOptions,
    sqlite::{SqliteOptions, SqliteStore},
};
use ringfleet_testkit::{FaultProxy, RedisServer};

/// What a test starts from.
pub(crate) struct RigOptions {
    pub window: Duration,
    pub redis: bool,
    pub simulator: SimulatorConfig,
    pub lease: Duration,
    pub request_timeout: Duration,
    pub settle_time: Duration,
    pub on_unknown: OnUnknown,
    /// A proxy between the workers and Redis, which can be told to fail.
    pub proxy: bool,
    /// The same between the workers and the simulator.
    pub api_proxy: bool,
    /// Redis has a clock of its own, which the test can step.
    pub clock_file: bool,
}

impl RigOptions {
    pub(crate) fn new(extensions: u32, window: Duration) -> Self {
        let simulator = SimulatorConfig {
            extensions,
            window,
            app: AppSettings { refresh_tokens: true, ..AppSettings::default() },
            ..SimulatorConfig::default()
        };
        Self {
            window,
            redis: true,
            simulator,
            lease: Duration::from_secs(10),
            request_timeout: Duration::from_secs(3),
            settle_time: Duration::from_secs(2),
            on_unknown: OnUnknown::Reconcile,
            proxy: false,
            api_proxy: false,
            clock_file: false,
        }
    }

    /// Times so short that a fault and its mending fit into a few seconds.
    pub(crate) fn quick(mut self) -> Self {
        self.lease = Duration::from_secs(2);
        self.request_timeout = Duration::from_secs(1);
        self.settle_time = Duration::from_secs(1);
        self
    }

    pub(crate) fn behind_proxy(mut self) -> Self {
        self.proxy = true;
        self
    }

    pub(crate) fn behind_api_proxy(mut self) -> Self {
        self.api_proxy = true;
        self
    }

    pub(crate) fn on_sqlite(mut self) -> Self {
        self.redis = false;
        self
    }
}

pub(crate) struct Rig {
    pub simulator: Simulator,
    pub accounts: Vec<Account>,
    pub store: SharedStore,
    pub producer: Producer,
    pub rules: LaneRules,
    pub folder: tempfile::TempDir,
    pub options: RigOptions,
    pub redis: Option<RedisServer>,
    pub proxy: Option<FaultProxy>,
    pub api: Option<FaultProxy>,
    /// What workers reach the store by.
    store_url: String,
    /// What they reach the simulator by.
    api_url: String,
    pub workers: Vec<Child>,
    logs: usize,
}

impl Rig {
    pub(crate) async fn start(options: RigOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(options.simulator.clone()).await.unwrap();
        let accounts = simulator.accounts();
        std::fs::write(folder.path().join("accounts.json"), serde_json::to_vec(&accounts).unwrap()).unwrap();
        let rules = LaneRules::with_window(options.window);
        let server = RedisServer::builder().append_only();
        let server = if options.clock_file { server.clock_file() } else { server };
        let redis = options.redis.then(|| server.start());
        let proxy = match (&redis, options.proxy) {
            (Some(server), true) => Some(FaultProxy::start(format!("127.0.0.1:{}", server.port()))),
            _ => None,
        };
        let api = options.api_proxy.then(|| FaultProxy::start(address_of(&simulator)));
        let api_url = api.as_ref().map_or_else(|| simulator.base_url(), |api| format!("http://{}", api.address()));
        let (store_url, store): (String, SharedStore) = match &redis {
            Some(server) => {
                let restart_patience = 3 * options.lease;
                let options = RedisOptions { rules, restart_patience, ..RedisOptions::new(server.url()) };
                (server.url(), Arc::new(RedisStore::connect(options).await.unwrap()))
            }
            None => {
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
            proxy,
            api,
            store_url,
            api_url,
            workers: Vec::new(),
            logs: 0,
        }
    }

    /// The program with this rig's settings in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfleet"));
        command
            .args(arguments)
            .env("RINGFLEET__STORE__URL", &self.store_url)
            .env("RINGFLEET__RINGCENTRAL__SERVER", format!("  {}/ ", self.api_url))
            .env("RINGFLEET__RINGCENTRAL__CLIENT_ID", self.simulator.client_id())
            .env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", self.simulator.client_secret())
            .env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", self.path("accounts.json"))
            .env("RINGFLEET__RINGCENTRAL__REQUEST_TIMEOUT", ms(self.options.request_timeout))
            .env("RINGFLEET__PLANS__WINDOW", ms(self.options.window))
            .env("RINGFLEET__WORKER__LEASE", ms(self.options.lease))
            .env("RINGFLEET__WORKER__REAP_EVERY", ms(self.options.lease / 5))
            .env("RINGFLEET__RECONCILE__SETTLE_TIME", ms(self.options.settle_time))
            .env("RINGFLEET__RECONCILE__EVERY", "100ms")
            .env("RINGFLEET__STORE__RESTART_PATIENCE", ms(3 * self.options.lease))
            .env("RINGFLEET__STORE__DATA_DIR", self.folder.path())
            .env("RINGFLEET__METRICS__LISTEN", "")
            .env("RINGFLEET__LOG__LEVEL", "warn")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start_workers(&mut self, count: usize) {
        for _ in 0..count {
            self.start_worker(None);
        }
    }

    /// A worker that ends, stops or drains itself at a place of its code: `Some("intent.after=kill@3")`.
    pub(crate) fn start_worker(&mut self, failpoint: Option<&str>) {
        match failpoint {
            Some(failpoint) => self.start_worker_with(&[("RINGFLEET_FAILPOINT", failpoint)]),
            None => self.start_worker_with(&[]),
        }
    }

    /// A worker with more in its environment.
    pub(crate) fn start_worker_with(&mut self, environment: &[(&str, &str)]) {
        self.logs += 1;
        let log = std::fs::File::create(self.path(&format!("worker-{}.log", self.logs))).unwrap();
        let mut command = self.command(&["worker"]);
        command.envs(environment.iter().copied());
        let log_level = "warn,ringfleet_worker=debug,ringcentral=debug,ringfleet_store=debug";
        command.env("RINGFLEET__LOG__LEVEL", log_level).stdout(log.try_clone().unwrap()).stderr(log);
        self.workers.push(command.spawn().unwrap());
    }

    /// All that the workers have printed.
    pub(crate) fn logs(&self) -> String {
        let read = |n| std::fs::read_to_string(self.path(&format!("worker-{n}.log"))).unwrap_or_default();
        (1..=self.logs).map(read).collect()
    }

    /// SIGSTOP or SIGCONT to the `n`-th worker.
    pub(crate) fn signal_worker(&self, n: usize, signal: &str) {
        signal_process(&self.workers[n], signal);
    }

    pub(crate) fn worker_has_ended(&mut self, n: usize) -> bool {
        self.workers[n].try_wait().unwrap().is_some()
    }

    /// I8: when everything has ended, no index of the store names anything any more, and no lane thinks it is busy.
    pub(crate) async fn check_store_is_tidy(&self) {
        let stats = self.stats().await;
        let open = [State::Scheduled, State::Ready, State::Claimed, State::Sending, State::Unknown];
        assert!(open.iter().all(|state| stats.count(*state) == 0), "{stats:?}");
        for account in &self.accounts {
            let lane = LaneId::try_new("main", &account.extension_id, Group::Medium).unwrap();
            let view = self.store.lane(&lane).await.unwrap();
            assert_eq!((view.in_flight, view.waiting), (0, 0), "{view:?}");
        }
        let Some(redis) = &self.redis else { return };
        let client = redis::Client::open(redis.url()).unwrap();
        let mut link = client.get_multiplexed_async_connection().await.unwrap();
        for (command, key) in [
            ("HLEN", "f"),
            ("ZCARD", "lease"),
            ("ZCARD", "sched"),
            ("HLEN", "pair"),
            ("ZCARD", "unk"),
            ("ZCARD", "ready"),
            ("ZCARD", "in:11"),
        ] {
            let left: i64 = redis::cmd(command).arg(format!("{{rf:0}}:{key}")).query_async(&mut link).await.unwrap();
            assert_eq!(left, 0, "{key} still names something");
        }
    }

    /// SIGKILL: the process gets no chance to give anything back.
    pub(crate) fn kill_worker(&mut self, n: usize) {
        let mut child = self.workers.remove(n);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM to all; every one must end by itself with code 0 inside `budget`.
    pub(crate) fn drain_workers(&mut self, budget: Duration) {
        for child in &self.workers {
            terminate(child);
        }
        let deadline = Instant::now() + budget;
        for mut child in self.workers.drain(..) {
            let ended = ringfleet_testkit::wait_until(deadline.saturating_duration_since(Instant::now()), || {
                child.try_wait().unwrap().is_some()
            });
            if !ended {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("a worker did not drain within {budget:?}");
            }
            let status = child.wait().unwrap();
            assert!(status.success(), "a drained worker ended with {status}");
        }
    }

    /// `count` different texts from the `extension`-th extension, acknowledged by the store.
    pub(crate) async fn enqueue(&self, extension: usize, count: usize, send_at: Option<String>) {
        self.enqueue_named(extension, count, send_at, "reminder").await;
    }

    pub(crate) async fn enqueue_named(&self, extension: usize, count: usize, send_at: Option<String>, name: &str) {
        let from = &self.accounts[extension].numbers[0];
        let draft = |n: usize| Draft {
            from: from.clone(),
            to: format!("+1555200{:04}", n % 10_000),
            text: format!("{name} {n} of extension {extension}"),
            send_at: send_at.clone(),
            ..Draft::default()
        };
        for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
            let drafts = chunk.iter().map(|n| draft(*n)).collect();
            for result in self.producer.enqueue_many(drafts).await.unwrap() {
                result.unwrap();
            }
        }
    }

    /// One text, to a number of the test's choice.
    pub(crate) async fn enqueue_to(&self, extension: usize, to: &str, text: &str) {
        let from = self.accounts[extension].numbers[0].clone();
        let draft = Draft { from, to: to.to_owned(), text: text.to_owned(), ..Draft::default() };
        self.producer.enqueue(draft).await.unwrap();
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
                panic!("{ended} of {count} ended within {deadline:?}: {stats:?}\n{:?}", self.simulator.report());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What holds after every run, whatever happened in it.
    pub(crate) async fn check_promises(&self, enqueued: u64) -> Report {
        let (stats, report) = (self.stats().await, self.simulator.report());
        assert_eq!(stats.total(), enqueued, "a message was lost or made up: {stats:?}");
        assert_eq!(report.duplicates, 0, "a customer got a text twice: {report:?}");
        assert_eq!((report.over_plan, report.in_penalty), (0, 0), "a plan was exceeded: {report:?}");
        self.check_books(&stats, &report);
        report
    }

    /// P3, P4 and P8, which hold whatever the provider's plan met: the ledgers agree, and nothing private was printed.
    pub(crate) fn check_books(&self, stats: &Stats, report: &Report) {
        assert_eq!(report.duplicates, 0, "a customer got a text twice: {report:?}");
        // What the store calls sent did arrive; what arrived beyond that is held, because nobody could know.
        let sent = stats.count(State::Sent);
        assert!(report.distinct >= sent, "{sent} called sent, {} arrived", report.distinct);
        let open = stats.count(State::Held) + stats.count(State::Unknown);
        assert!(report.distinct <= sent + open, "arrived, but neither sent nor held: {stats:?} {report:?}");
        let logs = self.logs();
        let leak = logs.lines().find(|line| ["of extension", "+1555200"].iter().any(|canary| line.contains(canary)));
        assert_eq!(leak, None, "a text or a number was printed");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for child in &mut self.workers {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let logs = self.logs();
            let tail = logs.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!("the workers' last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
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

/// A process that is ended with the test.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most memory that a process ever had, in KiB; `None` once it is gone.
pub(crate) fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
