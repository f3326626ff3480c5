//! `demo`: a simulated RingCentral, a fleet, a backlog, and the judge's verdict.
//!
//! The figures come from the simulator's ledger, which shares no code with what it judges; only "lost" is counted from
//! the store, against what the producer was told.

mod fleet;
mod load;
mod verdict;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use ringfleet_simulator::{AppSettings, Simulator, SimulatorConfig};
use ringfleet_store::{Group, LaneRules, RedisStore, SharedStore, State, Stats};

use self::verdict::Verdict;
use crate::{
    cli::DemoOptions,
    config::{LogFormat, StoreSettings},
    exit,
    output::remark,
    progress, serve, store, telemetry,
};

/// Between two looks at the store for the progress bar.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn run(options: DemoOptions) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        options.messages > 0 && options.extensions > 0 && options.workers > 0,
        "all numbers must be above 0"
    );
    anyhow::ensure!(
        options.window >= Duration::from_millis(100) && options.window <= Duration::from_secs(3_600),
        "--window must be from 100ms to 1h"
    );
    let folder = tempfile::Builder::new().prefix("ringfleet-demo-").tempdir().context("can't make a folder")?;
    let settings = StoreSettings {
        url: options.store.clone().unwrap_or_default(),
        data_dir: folder.path().to_owned(),
        cluster: false,
        // A demo never touches another fleet's keys.
        prefix: format!("rf-demo-{}", std::process::id()),
        shards: 1,
        allow_plaintext: false,
        // Nothing of a demo is missed.
        allow_volatile: true,
        restart_patience: Duration::from_secs(30),
        sqlite_full: true,
    };
    // Its workers would take another fleet's messages out of a file that they share, and find no login for them.
    anyhow::ensure!(
        settings.is_redis() || !store::may_exist(&settings),
        "--store: {} is there already, and a demo shares no file; name one that is not there yet",
        store::describe(&settings)
    );
    telemetry::start("warn", LogFormat::Text)?;
    let stop = serve::stop_on_signals()?;
    let simulator = Simulator::start(SimulatorConfig {
        extensions: options.extensions,
        window: options.window,
        seed: options.seed,
        app: AppSettings { refresh_tokens: true, ..AppSettings::default() },
        ..SimulatorConfig::default()
    })
    .await?;
    let rules = LaneRules::with_window(options.window);
    let store = store::open(&settings, rules).await?;
    introduce(&options, &settings, &rules);

    let enqueued = load::enqueue(&store, &simulator, &options).await?;
    let fleet = fleet::Fleet::start(&options, &settings, &simulator, rules, folder.path()).await?;
    let started = Instant::now();
    let ended = watch(&store, &options, enqueued, &stop).await;
    let elapsed = started.elapsed();
    fleet.end().await;
    let stats = ended?;

    let verdict = Verdict::of(&stats, &simulator.report(), enqueued, elapsed, &options, store.kind());
    if settings.is_redis() {
        drop(store);
        RedisStore::connect(store::redis_options(&settings, rules)).await?.erase().await?;
    }
    simulator.stop().await;
    verdict.tell(&options)?;
    Ok(if verdict.kept() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

fn introduce(options: &DemoOptions, settings: &StoreSettings, rules: &LaneRules) {
    let plan = rules.plan(Group::Medium);
    let kind = if options.processes { "worker processes" } else { "workers" };
    remark!(
        "{} reminders from {} extensions, {} {kind}, store {}\n\
         Each extension may send {} texts in any {:?} (RingCentral's own window is 60s; --window changes it).\n",
        options.messages,
        options.extensions,
        options.workers,
        store::describe(settings),
        plan.limit,
        options.window,
    );
}

/// Follows the fleet until nothing waits any more, or nothing moves although it should.
async fn watch(
    store: &SharedStore,
    options: &DemoOptions,
    enqueued: u64,
    stop: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Stats> {
    let bar = progress::bar(enqueued, "fleet sends");
    // A lane's backlog takes whole windows; twice that and a minute is far beyond anything but a stall.
    let windows = options.messages.div_ceil(options.extensions).div_ceil(40);
    let deadline = Instant::now() + options.window * windows * 2 + Duration::from_secs(60);
    loop {
        let stats = store.stats().await?;
        let ended: u64 =
            State::ALL.iter().filter(|s| s.is_final() || **s == State::Held).map(|s| stats.count(*s)).sum();
        bar.set_position(ended);
        if ended >= enqueued {
            bar.finish();
            return Ok(stats);
        }
        anyhow::ensure!(!stop.is_cancelled(), "stopped with {ended} of {enqueued} sent");
        if Instant::now() > deadline {
            bar.abandon();
            return Ok(stats);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
