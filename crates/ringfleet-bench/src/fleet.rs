//! Worker processes of the release binary on a bench's Redis, and what is handed to them.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use ringfleet_store::{
    Enqueued, Group, IdempotencyKey, LaneId, LaneRules, MAX_BATCH, Millis, NewMessage, OnUnknown, Priority, Private,
    RedisStore, SharedStore, State, redis::RedisOptions,
};
use tempfile::TempDir;
use tokio::{process::Command, time::Instant};

use crate::{
    messages,
    process::Process,
    redis::{Keep, Redis},
    simulator::{Account, Provider, Simulator},
    sitting::Sitting,
};

/// Redis, simulator and workers, each a process; all end with it.
pub(crate) struct Fleet {
    pub workers: Vec<Process>,
    pub simulator: Simulator,
    pub redis: Redis,
    pub store: SharedStore,
    folder: TempDir,
    window: Duration,
}

impl Fleet {
    /// Without workers yet. Redis keeps its data as a fleet's does.
    pub(crate) async fn start(sitting: &Sitting, provider: Provider) -> anyhow::Result<Self> {
        let redis = Redis::start(Keep::Aof).await?;
        let simulator = Simulator::start(sitting, provider).await?;
        let folder = tempfile::tempdir()?;
        let accounts: Vec<_> = simulator.accounts.iter().map(account).collect();
        fs::write(folder.path().join("accounts.json"), serde_json::to_vec(&accounts)?)?;
        let window = provider.window;
        let rules = LaneRules::with_window(window);
        let store = RedisStore::connect(RedisOptions { rules, ..RedisOptions::new(redis.url()) }).await?;
        Ok(Self { workers: Vec::new(), simulator, redis, store: Arc::new(store), folder, window })
    }

    /// Starts workers with the settings that they have by default. The directory is not read, because its requests would
    /// take places in the lanes that are measured.
    pub(crate) fn start_workers(&mut self, sitting: &Sitting, count: u32) -> anyhow::Result<()> {
        for n in 1..=count {
            let log = fs::File::create(self.folder.path().join(format!("worker-{n}.log")))?;
            let mut command = Command::new(&sitting.options.ringfleet);
            command
                .arg("worker")
                .env("RINGFLEET__STORE__URL", self.redis.url())
                .env("RINGFLEET__STORE__DATA_DIR", self.folder.path())
                .env("RINGFLEET__RINGCENTRAL__SERVER", &self.simulator.base_url)
                .env("RINGFLEET__RINGCENTRAL__CLIENT_ID", &self.simulator.client_id)
                .env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", &self.simulator.client_secret)
                .env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", self.folder.path().join("accounts.json"))
                .env("RINGFLEET__PLANS__WINDOW", format!("{}ms", self.window.as_millis()))
                .env("RINGFLEET__DIRECTORY__REFRESH", "off")
                .env("RINGFLEET__WORKER__NAME", format!("bench-{n}"))
                .env("RINGFLEET__METRICS__LISTEN", "")
                .env("RINGFLEET__LOG__LEVEL", "warn")
                .current_dir(self.folder.path())
                .stdout(log.try_clone()?)
                .stderr(log);
            self.workers.push(Process::spawn(&mut command)?);
        }
        Ok(())
    }

    /// A text of the `n`-th extension; `number` tells it from others, also in the ledger: see [`recipient`].
    pub(crate) fn text(&self, n: usize, number: u64, send_at: Option<Millis>) -> anyhow::Result<NewMessage> {
        let account = self.simulator.accounts.get(n).context("no such extension")?;
        Ok(NewMessage {
            lane: LaneId::try_new("main", &account.extension_id, Group::Medium)?,
            key: Some(IdempotencyKey::try_new(format!("bench-{number}"))?),
            from: Private::new(account.numbers.first().context("it has no number")?.as_str()),
            to: Private::new(recipient(number)),
            text: Private::new(messages::text(number)),
            priority: Priority::Normal,
            on_unknown: OnUnknown::Reconcile,
            send_at,
            send_by: None,
        })
    }

    pub(crate) async fn enqueue(&self, texts: &[NewMessage]) -> anyhow::Result<()> {
        for batch in texts.chunks(MAX_BATCH) {
            let answers = self.store.enqueue(batch).await?;
            let all = answers.iter().all(|answer| matches!(answer, Enqueued::Accepted(_)));
            ensure!(all, "a new message is taken for an old one");
        }
        Ok(())
    }

    /// Enqueues `each` texts for every extension, taking turns, numbered from `first` on.
    pub(crate) async fn backlog(&self, first: u64, each: u64) -> anyhow::Result<u64> {
        let extensions = self.simulator.accounts.len() as u64;
        let mut batch = Vec::with_capacity(MAX_BATCH);
        for number in 0..extensions * each {
            batch.push(self.text((number % extensions) as usize, first + number, None)?);
            if batch.len() == MAX_BATCH {
                self.enqueue(&batch).await?;
                batch.clear();
            }
        }
        self.enqueue(&batch).await?;
        Ok(extensions * each)
    }

    /// Those whose delivery is told by now too.
    pub(crate) async fn sent(&self) -> anyhow::Result<u64> {
        let stats = self.store.stats().await?;
        Ok([State::Sent, State::Delivered, State::DeliveryFailed].iter().map(|state| stats.count(*state)).sum())
    }

    /// Waits until `count` messages are sent.
    pub(crate) async fn until_sent(&self, count: u64, deadline: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + deadline;
        loop {
            let sent = self.sent().await?;
            if sent >= count {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("{sent} of {count} texts were sent in {deadline:?}; the workers say: {}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Seconds of a processor's time that the workers have used so far.
    pub(crate) fn workers_cpu_s(&self) -> anyhow::Result<f64> {
        self.workers.iter().map(Process::cpu_s).sum()
    }

    /// Drains the workers, so that their books are closed.
    pub(crate) async fn end_workers(&mut self) {
        for worker in std::mem::take(&mut self.workers) {
            worker.end().await;
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("worker-1.log")).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(3).collect();
        if last.is_empty() { "nothing".to_owned() } else { last.join(" | ") }
    }
}

/// Whom text `number` goes to. None of the simulator's numbers that bring faults about is among them.
pub(crate) fn recipient(number: u64) -> String {
    format!("+1666{:07}", number % 10_000_000)
}

fn account(account: &Account) -> serde_json::Value {
    serde_json::json!({"extension_id": account.extension_id, "numbers": account.numbers, "jwt": account.jwt})
}
