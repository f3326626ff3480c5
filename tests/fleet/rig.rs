//! A fleet for one test: simulator, store, worker processes, all ended with it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_producer::{Draft, Producer, Sender, SenderDirectory};
use ringfleet_simulator::{Account, Report, Simulator, SimulatorConfig};
use ringfleet_store::{
    LaneRules, RedisStore, SharedStore, State, Stats,
    redis::RedisOptions,
    sqlite::{SqliteOptions, SqliteStore},
};
use ringfleet_testkit::RedisServer;

/// What a test starts from.
pub(crate) struct RigOptions {
    pub window: Duration,
    pub redis: bool,
    pub simulator: SimulatorConfig,
}

impl RigOptions {
    pub(crate) fn new(extensions: u32, window: Duration) -> Self {
        let simulator = SimulatorConfig { extensions, window, refresh_tokens: true, ..SimulatorConfig::default() };
        Self { window, redis: true, simulator }
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
    store_url: String,
    window: Duration,
    workers: Vec<Child>,
    _redis: Option<RedisServer>,
}

impl Rig {
    pub(crate) async fn start(options: RigOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(options.simulator.clone()).await.unwrap();
        let accounts = simulator.accounts();
        std::fs::write(folder.path().join("accounts.json"), serde_json::to_vec(&accounts).unwrap()).unwrap();
        let rules = LaneRules::with_window(options.window);
        let redis = options.redis.then(|| RedisServer::builder().append_only().start());
        let (store_url, store): (String, SharedStore) = match &redis {
            Some(server) => {
                let options = RedisOptions { rules, ..RedisOptions::new(server.url()) };
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
        let window = options.window;
        Self {
            simulator,
            accounts,
            store,
            producer,
            rules,
            folder,
            store_url,
            window,
            workers: Vec::new(),
            _redis: redis,
        }
    }

    /// The program with this rig's settings in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfleet"));
        command
            .args(arguments)
            .env("RINGFLEET__STORE__URL", &self.store_url)
            .env("RINGFLEET__RINGCENTRAL__SERVER", format!("  {}/ ", self.simulator.base_url()))
            .env("RINGFLEET__RINGCENTRAL__CLIENT_ID", self.simulator.client_id())
            .env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", self.simulator.client_secret())
            .env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", self.path("accounts.json"))
            .env("RINGFLEET__RINGCENTRAL__REQUEST_TIMEOUT", "3s")
            .env("RINGFLEET__PLANS__WINDOW", format!("{}ms", self.window.as_millis()))
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
            let child = self.command(&["worker"]).stdout(Stdio::null()).spawn().unwrap();
            self.workers.push(child);
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

    pub(crate) async fn stats(&self) -> Stats {
        self.store.stats().await.unwrap()
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
        // What the store calls sent did arrive; what arrived beyond that is held, because nobody could know.
        let sent = stats.count(State::Sent);
        assert!(report.distinct >= sent, "{sent} called sent, {} arrived", report.distinct);
        assert!(report.distinct <= sent + stats.count(State::Held), "arrived, but neither sent nor held: {stats:?}");
        report
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for child in &mut self.workers {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An HTTP client for a test's own questions.
pub(crate) fn http() -> reqwest::Client {
    ringcentral::install_crypto();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn terminate(child: &Child) {
    let status = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
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
