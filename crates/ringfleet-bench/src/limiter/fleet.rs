//! Ringfleet's worker processes on one Redis.

use std::time::{Duration, Instant};

use super::{note, settings};
use crate::{
    fleet::Fleet,
    options::Bench,
    queue::OURS,
    sitting::Sitting,
    size::{LIMIT, LIMITER_EXTENSIONS},
};

pub(super) async fn measure(sitting: &Sitting, workers: u32) -> anyhow::Result<()> {
    let (window, windows) = (sitting.size.limiter_window, sitting.size.limiter_windows);
    let mut fleet = Fleet::start(sitting, LIMITER_EXTENSIONS, window).await?;
    let texts = fleet.backlog(0, u64::from(LIMIT * windows)).await?;
    let begun = Instant::now();
    fleet.start_workers(sitting, workers)?;
    fleet.until_sent(texts, window * windows * 2 + Duration::from_secs(30)).await?;
    let took = begun.elapsed();
    fleet.end_workers().await;
    let case = sitting.case(Bench::Limiter, OURS).when(format!("worker processes: {workers}")).at(workers.into());
    note(&case.with(settings(window, windows)), &fleet.simulator.report().await?, took);
    Ok(())
}
