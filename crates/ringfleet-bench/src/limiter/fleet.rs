//! Ringfleet's worker processes on one Redis.

use std::time::{Duration, Instant};

use super::{note, settings};
use crate::{
    figure::Case,
    fleet::Fleet,
    options::Bench,
    queue::OURS,
    sitting::Sitting,
    size::{LIMIT, LIMITER_EXTENSIONS},
};

const TRUE_WINDOW: Duration = Duration::from_secs(60);
/// Where the short windows show the most loss.
const TRUE_WORKERS: u32 = 8;

pub(super) async fn measure(sitting: &Sitting, workers: u32) -> anyhow::Result<()> {
    let (window, windows) = (sitting.size.limiter_window, sitting.size.limiter_windows);
    let case = sitting.case(Bench::Limiter, OURS).when(format!("worker processes: {workers}")).at(workers.into());
    run(sitting, case, workers, window, windows).await
}

/// In windows as long as RingCentral's.
pub(super) async fn measure_true(sitting: &Sitting, windows: u32) -> anyhow::Result<()> {
    let when = format!("window of 60 s, worker processes: {TRUE_WORKERS}");
    run(sitting, sitting.case(Bench::Limiter, OURS).when(when), TRUE_WORKERS, TRUE_WINDOW, windows).await
}

async fn run(sitting: &Sitting, case: Case<'_>, workers: u32, window: Duration, windows: u32) -> anyhow::Result<()> {
    let mut fleet = Fleet::start(sitting, LIMITER_EXTENSIONS, window).await?;
    let texts = fleet.backlog(0, u64::from(LIMIT * windows)).await?;
    let begun = Instant::now();
    fleet.start_workers(sitting, workers)?;
    fleet.until_sent(texts, window * windows * 2 + Duration::from_secs(30)).await?;
    let took = begun.elapsed();
    fleet.end_workers().await;
    note(&case.with(settings(window, windows)), &fleet.simulator.report().await?, took);
    Ok(())
}
