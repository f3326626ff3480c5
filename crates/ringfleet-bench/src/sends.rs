//! Real sends: worker processes against the simulator process, over so many extensions that no quota binds. What each of the
//! processes uses of the machine, and what a worker holds in memory.

use std::time::Duration;

use anyhow::Context;
use ringfleet_store::Gate;

use crate::{
    figure::shown, fleet::Fleet, options::Bench, queue::OURS, simulator::Provider, sitting::Sitting, size::LIMIT,
};

pub(crate) const RATE: &str = "HTTP sends of one worker process";
pub(crate) const WORKER_CPU: &str = "CPU of the worker";
pub(crate) const STORE_CPU: &str = "CPU of Redis";
pub(crate) const SIMULATOR_CPU: &str = "CPU of the simulator";
pub(crate) const COMMANDS: &str = "Redis commands";
pub(crate) const RESIDENT: &str = "memory of a worker";
/// Of two worker processes, which the growth model is held against too.
pub(crate) const RATE_OF_TWO: &str = "HTTP sends of two worker processes";
pub(crate) const RATE_OF_SLOW: &str = "HTTP sends of one worker process to a slow provider";

/// RingCentral's own.
const WINDOW: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(90);
/// What a provider far away may need for an answer. Not RingCentral's: nobody has told what that is.
pub(crate) const SLOW: Duration = Duration::from_millis(250);

pub(crate) async fn run(sitting: &Sitting) -> anyhow::Result<()> {
    sitting.attempt("sends of one worker process", rate(sitting, Run::of(1, RATE))).await;
    sitting.attempt("sends of two worker processes", rate(sitting, Run::of(2, RATE_OF_TWO))).await;
    let slow = Run { answers_in: SLOW, texts: sitting.size.slow_sends, ..Run::of(1, RATE_OF_SLOW) };
    sitting.attempt("sends to a slow provider", rate(sitting, slow)).await;
    sitting.attempt("memory of a worker", memory(sitting)).await;
    Ok(())
}

struct Run {
    name: &'static str,
    workers: u32,
    answers_in: Duration,
    /// 0: as many as the size says.
    texts: u64,
}

impl Run {
    fn of(workers: u32, name: &'static str) -> Self {
        Self { name, workers, answers_in: Duration::ZERO, texts: 0 }
    }
}

async fn rate(sitting: &Sitting, run: Run) -> anyhow::Result<()> {
    let extensions = sitting.size.send_extensions;
    let texts = if run.texts > 0 { run.texts } else { sitting.size.sends };
    // One is sent beforehand, and the plan must hold them all.
    let each = (texts / u64::from(extensions)).clamp(1, u64::from(LIMIT) - 1);
    let provider = Provider { answers_in: run.answers_in, ..Provider::at_once(extensions, WINDOW) };
    let mut fleet = Fleet::start(sitting, provider).await?;
    let logged_in = fleet.backlog(0, 1).await?;
    fleet.start_workers(sitting, run.workers)?;
    fleet.until_sent(logged_in, DEADLINE).await?;

    // Everybody is logged in. The backlog is handed in behind a closed gate, so that what is measured is sending alone.
    fleet.store.set_gate(&Gate::Stopped { reason: "filling up".to_owned() }).await?;
    let texts = fleet.backlog(logged_in, each).await?;
    let (worker_cpu, simulator_cpu) = (fleet.workers_cpu_s()?, fleet.simulator.process.cpu_s()?);
    let redis = fleet.redis.info().await?;
    fleet.store.set_gate(&Gate::Open).await?;
    fleet.until_sent(logged_in + texts, DEADLINE).await?;
    let worker_cpu = fleet.workers_cpu_s()? - worker_cpu;
    let simulator_cpu = fleet.simulator.process.cpu_s()? - simulator_cpu;
    let redis = fleet.redis.info().await?.since(redis);

    // The judge's clock says how long it took.
    let mut times: Vec<u64> = fleet.simulator.arrivals().await?.iter().map(|arrival| arrival.at_ns).collect();
    times.sort_unstable();
    let ours = times.get(logged_in as usize..).context("texts are missing in the ledger")?;
    let (first, last) = ours.first().zip(ours.last()).context("nothing arrived")?;
    let seconds = (last - first) as f64 / 1e9;
    let case = sitting.case(Bench::Sends, OURS).with(format!(
        "{} texts over {} extensions, plan {LIMIT} in 60 s, default settings, the simulator answers {}, Redis with an \
         append-only file (fsync before each answer), all on this machine",
        shown(texts as f64),
        shown(extensions.into()),
        if run.answers_in.is_zero() {
            "at once".to_owned()
        } else {
            format!("after {} ms", run.answers_in.as_millis())
        }
    ));
    case.note(run.name, "sends/s", texts as f64 / seconds);
    if run.name == RATE_OF_SLOW {
        return Ok(());
    }
    let case = if run.workers == 1 { case } else { case.when(format!("worker processes: {}", run.workers)) };
    let each = |seconds: f64| seconds * 1e6 / texts as f64;
    case.note(WORKER_CPU, "µs/send", each(worker_cpu));
    case.note(STORE_CPU, "µs/send", redis.cpu_us / texts as f64);
    case.note(SIMULATOR_CPU, "µs/send", each(simulator_cpu));
    case.note(COMMANDS, "commands/send", redis.commands / texts as f64);
    case.note("round trips", "scripts/send", redis.round_trips / texts as f64);
    Ok(())
}

async fn memory(sitting: &Sitting) -> anyhow::Result<()> {
    let extensions = sitting.size.many_extensions;
    let mut fleet = Fleet::start(sitting, Provider::at_once(extensions, WINDOW)).await?;
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
