//! Ringfleet's worker processes on one Redis.

use std::time::{Duration, Instant};

use super::{CPU, SLOWLY, note, settings};
use crate::{
    figure::Case,
    fleet::Fleet,
    options::Bench,
    queue::OURS,
    sends::SLOW,
    simulator::Provider,
    sitting::Sitting,
    size::{LIMIT, LIMITER_EXTENSIONS},
};

pub(super) async fn measure(sitting: &Sitting, workers: u32) -> anyhow::Result<()> {
    let (window, windows) = (sitting.size.limiter_window, sitting.size.limiter_windows);
    let provider = Provider::at_once(LIMITER_EXTENSIONS, window);
    let case = sitting.case(Bench::Limiter, OURS).when(format!("worker processes: {workers}")).at(workers.into());
    run(sitting, workers, provider, windows, &case.with(settings(window, windows))).await
}

/// RingCentral's own window, and answers that take their time: each of a lane's places is free one window after its *answer*.
pub(super) async fn slow(sitting: &Sitting) -> anyhow::Result<()> {
    const WINDOWS: u32 = 3;
    let provider = Provider { answers_in: SLOW, ..Provider::at_once(LIMITER_EXTENSIONS, Duration::from_secs(60)) };
    let words = format!(
        "{}, each answer takes {} ms, measured in the last round only",
        settings(provider.window, WINDOWS),
        SLOW.as_millis()
    );
    run(sitting, 2, provider, WINDOWS, &sitting.case(Bench::Limiter, OURS).when(SLOWLY).with(words)).await
}

async fn run(sitting: &Sitting, workers: u32, provider: Provider, windows: u32, case: &Case<'_>) -> anyhow::Result<()> {
    let mut fleet = Fleet::start(sitting, provider).await?;
    let texts = fleet.backlog(0, u64::from(LIMIT * windows)).await?;
    let redis = fleet.redis.info().await?;
    let begun = Instant::now();
    fleet.start_workers(sitting, workers)?;
    fleet.until_sent(texts, provider.window * windows * 2 + Duration::from_secs(30)).await?;
    let took = begun.elapsed();
    // What a fleet costs whose workers have little to do, so that texts come to the store nearly one by one.
    let redis = fleet.redis.info().await?.since(redis);
    fleet.end_workers().await;
    note(case, &fleet.simulator.report().await?, took);
    case.note(CPU, "µs/text", redis.cpu_us / texts as f64);
    case.note("scripts of Redis", "scripts/text", redis.round_trips / texts as f64);
    Ok(())
}
