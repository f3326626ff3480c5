//! Other job queues at plain queueing, each on a fresh Redis. The programs lie in `bench/peers`, whose README tells what each of
//! them promises and how it is set up.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

use crate::{
    messages,
    options::Bench,
    process::Process,
    redis::{Keep, Redis},
    sitting::Sitting,
};

pub(crate) const PROCESS: &str = "process no-op jobs";
pub(crate) const BULK: &str = "enqueue in bulk";
pub(crate) const CPU: &str = "Redis CPU";
pub(crate) const CONCURRENCY: u32 = 64;

/// The profile of a peer whose one process may be what everything waits for.
const TWO: &str = "two-processes";

/// Peer, profile, and whether it gets slower with its backlog.
const RUNS: [(&str, &str, Pace); 6] = [
    ("apalis", "default", Pace::SlowsDown),
    ("apalis", "tuned", Pace::Steady),
    ("sidekiq", "default", Pace::Steady),
    ("bullmq", "default", Pace::Steady),
    ("bullmq", TWO, Pace::Steady),
    ("dramatiq", "default", Pace::Steady),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    Steady,
    /// It is measured with fewer jobs, to its advantage.
    SlowsDown,
}

pub(crate) async fn run(sitting: &Sitting) -> anyhow::Result<()> {
    for (peer, profile, pace) in RUNS {
        let name = shown(peer, profile);
        sitting.attempt(&name, measure(sitting, peer, profile, pace)).await;
    }
    Ok(())
}

/// As the report names it.
pub(crate) fn shown(peer: &str, profile: &str) -> String {
    match (peer, profile) {
        ("apalis", profile) => format!("apalis-redis ({profile})"),
        ("sidekiq", _) => "rusty-sidekiq".to_owned(),
        (peer, _) => peer.to_owned(),
    }
}

async fn measure(sitting: &Sitting, peer: &str, profile: &str, pace: Pace) -> anyhow::Result<()> {
    let size = &sitting.size;
    let messages = if pace == Pace::SlowsDown { size.slow_peer } else { size.peer };
    let seconds = if sitting.options.quick { 60 } else { 150 };
    let redis = Redis::start(Keep::Memory).await?;
    let mut command = command(sitting, peer)?;
    command.args(["queue", "--redis", &redis.url(), "--messages", &messages.to_string()]);
    command.args(["--bytes", &messages::BYTES.to_string(), "--concurrency", &CONCURRENCY.to_string()]);
    command.args(["--profile", profile, "--seconds", &seconds.to_string()]);
    let told = last_line(command, Duration::from_secs(seconds + 30)).await?;
    let version = told["version"].as_str().unwrap_or("?");
    let settings = told["settings"].as_str().unwrap_or_default();
    let case =
        sitting.case(Bench::Peers, &shown(peer, profile)).when(if profile == TWO { "two processes" } else { "" });
    let case = case.with(format!("version {version}; {messages} jobs; {settings}; Redis without persistence"));
    for (field, name, unit) in [
        ("process_per_s", PROCESS, "jobs/s"),
        ("enqueue_one_per_s", "enqueue one at a time", "jobs/s"),
        ("enqueue_bulk_per_s", BULK, "jobs/s"),
        ("redis_commands_per_job", "Redis commands", "commands/job"),
        ("redis_cpu_us_per_job", CPU, "µs/job"),
        ("redis_bytes_per_queued_job", "Redis memory of a queued job", "bytes"),
    ] {
        // What a peer does not have, it does not tell.
        if let Some(value) = told[field].as_f64() {
            case.note(name, unit, value);
        }
    }
    Ok(())
}

/// The words that start a peer's program.
pub(crate) fn command(sitting: &Sitting, peer: &str) -> anyhow::Result<Command> {
    let words = sitting.peers.get(peer).with_context(|| format!("{peer} is not installed"))?;
    let (program, arguments) = words.split_first().context("no words start it")?;
    let mut command = Command::new(program);
    // Python's compiled files would land in the source tree.
    command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// Runs a peer's program to its end, and reads the object that its last line of output is.
pub(crate) async fn last_line(mut command: Command, deadline: Duration) -> anyhow::Result<Value> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(&mut command)?;
    let stdout = process.child().stdout.take().context("its standard output is a pipe")?;
    let mut stderr = process.child().stderr.take().context("its standard error is a pipe")?;
    let run = async {
        let mut complaints = String::new();
        let mut last = String::new();
        let read = async {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                last = line;
            }
            std::io::Result::Ok(())
        };
        let (read, complained) = tokio::join!(read, stderr.read_to_string(&mut complaints));
        read?;
        complained?;
        let status = process.child().wait().await?;
        let end = complaints.lines().last().unwrap_or("it says nothing");
        ensure!(status.success(), "it ended with {status}: {end}");
        serde_json::from_str(&last).context("its last line is not JSON")
    };
    tokio::time::timeout(deadline, run).await.with_context(|| format!("was not over in {} s", deadline.as_secs()))?
}
