//! `ringfleet simulator` as a process of its own, and its verdict.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{latency::epoch_ms, process::Process, sitting::Sitting};

const START_DEADLINE: Duration = Duration::from_secs(60);
const ASK_DEADLINE: Duration = Duration::from_secs(60);

/// What a simulator is started as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provider {
    pub extensions: u32,
    pub window: Duration,
    /// What an answer to a send takes.
    pub answers_in: Duration,
}

impl Provider {
    /// Nothing is waited for but the work itself.
    pub(crate) fn at_once(extensions: u32, window: Duration) -> Self {
        Self { extensions, window, answers_in: Duration::ZERO }
    }
}

pub(crate) struct Simulator {
    pub process: Process,
    pub base_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub accounts: Vec<Account>,
    http: reqwest::Client,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Account {
    pub extension_id: String,
    pub numbers: Vec<String>,
    pub jwt: String,
}

/// What the judge says, as far as it is told here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    now_ns: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub http_429: u64,
    pub in_penalty: u64,
    pub over_plan: u64,
    /// Times for which a lane stood still, which its quota use leaves out.
    pub pauses: u64,
    pub quota_use_mean: Option<f64>,
    pub quota_use_worst: Option<f64>,
}

impl Simulator {
    pub(crate) async fn start(sitting: &Sitting, provider: Provider) -> anyhow::Result<Self> {
        let mut command = Command::new(&sitting.options.ringfleet);
        command.args(["simulator", "--listen", "127.0.0.1:0", "--calls", "0"]);
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        command.args(["--extensions", &provider.extensions.to_string(), "--window", &ms(provider.window)]);
        command.args(["--latency", &ms(provider.answers_in)]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process.child().stdout.take().context("its standard output is a pipe")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let told = stdout.read_line(&mut line);
        tokio::time::timeout(START_DEADLINE, told).await.context("the simulator says nothing")??;
        ensure!(!line.is_empty(), "the simulator ended at once");
        let told: Value = serde_json::from_str(&line).context("the simulator's first line is not JSON")?;
        let field = |name: &str| told[name].as_str().map(str::to_owned).with_context(|| format!("it tells no {name}"));
        let http = client()?;
        let accounts = http.get(field("accounts_url")?).timeout(ASK_DEADLINE).send().await?.json().await?;
        Ok(Self {
            process,
            base_url: field("base_url")?,
            client_id: field("client_id")?,
            client_secret: field("client_secret")?,
            accounts,
            http,
        })
    }

    pub(crate) async fn report(&self) -> anyhow::Result<Report> {
        let url = format!("{}/simulator/report", self.base_url);
        let answer = self.http.get(url).timeout(ASK_DEADLINE).send().await?.error_for_status()?;
        answer.json().await.context("the simulator's report can't be read")
    }

    /// When its clock began, in ms since 1970: of several looks the quickest one counts.
    pub(crate) async fn began_ms(&self) -> anyhow::Result<f64> {
        let mut best = (f64::INFINITY, 0.0);
        for _ in 0..10 {
            let before = epoch_ms()?;
            let at = self.report().await?.now_ns as f64 / 1e6;
            let took = epoch_ms()? - before;
            if took < best.0 {
                best = (took, before + took / 2.0 - at);
            }
        }
        Ok(best.1)
    }

    /// Arrivals of texts, in ns of the simulator's clock, with its recipient.
    pub(crate) async fn arrivals(&self) -> anyhow::Result<Vec<Arrival>> {
        let url = format!("{}/simulator/ledger", self.base_url);
        let text = self.http.get(url).timeout(ASK_DEADLINE).send().await?.error_for_status()?.text().await?;
        let sms = text.lines().filter(|line| line.contains("\"kind\":\"sms\""));
        sms.map(|line| serde_json::from_str(line).context("a line of the ledger can't be read")).collect()
    }
}

/// One text as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Arrival {
    pub at_ns: u64,
    pub to: String,
}

/// Plain HTTP on the loopback, past any proxy.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
