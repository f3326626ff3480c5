//! Real sends: one worker process against the simulator process, over so many extensions that no quota binds. What each of
//! the processes uses of the machine, and what a worker holds in memory.

use std::time::Duration;

use anyhow::Context;
use ringfleet_store::Gate;

use crate::{figure::shown, fleet::Fleet, options::Bench, queue::OURS, sitting::Sitting, size::LIMIT};

pub(crate) const RATE: &str = "HTTP sends of one worker process";
pub(crate) const WORKER_CPU: &str = "CPU of the worker";
pub(crate) const STORE_CPU: &str = "CPU of Redis";
pub(crate) const SIMULATOR_CPU: &str = "CPU of the simulator";
pub(crate) const COMMANDS: &str = "Redis commands";
pub(crate) const RESIDENT: &str = "memory of a worker";

/// RingCentral's own.
const WINDOW: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(90);

pub(crate) async fn run(sitting: &Sitting) -> anyhow::Result<()> {
    sitting.attempt("sends of one worker process", rate(sitting)).await;
    sitting.attempt("memory of a worker", memory(sitting)).await;
    Ok(())
}

async fn rate(sitting: &Sitting) -> anyhow::Result<()> {
    let (extensions, texts) = (sitting.size.send_extensions, sitting.size.sends);
    // One is sent beforehand, and the plan must hold them all.
    let each = (texts / u64::from(extensions)).min(u64::from(LIMIT) - 1);
    let mut fleet = Fleet::start(sitting, extensions, WINDOW).await?;
    let logged_in = fleet.backlog(0, 1).await?;
    fleet.start_workers(sitting, 1)?;
    fleet.until_sent(logged_in, DEADLINE).await?;

    // Everybody is logged in. The backlog is handed in behind a closed gate, so that what is measured is sending alone.
    fleet.store.set_gate(&Gate::Stopped { reason: "filling up".to_owned() }).await?;
    let texts = fleet.backlog(logged_in, each).await?;
    let worker = fleet.workers.first().context("a worker was started")?;
    let (worker_cpu, simulator_cpu) = (worker.cpu_s()?, fleet.simulator.process.cpu_s()?);
    let redis = fleet.redis.info().await?;
    fleet.store.set_gate(&Gate::Open).await?;
    fleet.until_sent(logged_in + texts, DEADLINE).await?;
    let worker_cpu = worker.cpu_s()? - worker_cpu;
    let simulator_cpu = fleet.simulator.process.cpu_s()? - simulator_cpu;
    let redis = fleet.redis.info().await?.since(redis);

    // The judge's clock says how long it took.
    let mut times: Vec<u64> = fleet.simulator.arrivals().await?.iter().map(|arrival| arrival.at_ns).collect();
    times.sort_unstable();
    let ours = times.get(logged_in as usize..).context("texts are missing in the ledger")?;
    let (first, last) = ours.first().zip(ours.last()).context("nothing arrived")?;
    let seconds = (last - first) as f64 / 1e9;
    let case = sitting.case(Bench::Sends, OURS).with(format!(
        "{} texts over {} extensions, plan {LIMIT} in 60 s, one worker process with default settings, Redis with an \
         append-only file (fsync before each answer), all on this machine",
        shown(texts as f64),
        shown(extensions.into())
    ));
    let each = |seconds: f64| seconds * 1e6 / texts as f64;
    case.note(RATE, "sends/s", texts as f64 / seconds);
    case.note(WORKER_CPU, "µs/send", each(worker_cpu));
    case.note(STORE_CPU, "µs/send", redis.cpu_us / texts as f64);
    case.note(SIMULATOR_CPU, "µs/send", each(simulator_cpu));
    case.note(COMMANDS, "commands/send", redis.commands / texts as f64);
    case.note("round trips", "scripts/send", redis.round_trips / texts as f64);
    Ok(())
}

async fn memory(sitting: &Sitting) -> anyhow::Result<()> {
    let extensions = sitting.size.many_extensions;
    let mut fleet = Fleet::start(sitting, extensions, WINDOW).await?;
    fleet.start_workers(sitting, 1)?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = fleet.workers.first().context("a worker was started")?.resident_bytes()?;
    let texts = fleet.backlog(0, 1).await?;
    fleet.until_sent(texts, DEADLINE).await?;
    let busy = fleet.workers.first().context("a worker was started")?.resident_bytes()?;
    let case = sitting.case(Bench::Sends, OURS);
    let case = |when: &str| case.clone().when(when).with(format!("{} extensions", shown(extensions.into())));
    case("before the first text").note(RESIDENT, "MiB", idle / 1024.0 / 1024.0);
    case("after a login and a text of each").note(RESIDENT, "MiB", busy / 1024.0 / 1024.0);
    Ok(())
}
