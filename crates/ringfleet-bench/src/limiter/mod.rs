//! What a limiter makes of the plans: 200 extensions with a backlog, and the simulator with RingCentral's penalty rule as the
//! judge. Quota use, and requests that were answered with 429.
//!
//! Ringfleet is measured as 1, 2, 4 and 8 worker processes. Beside it stand what other systems limit with: a token bucket with
//! burst (GCRA), windows by the clock, and BullMQ's limiter. All of them obey `Retry-After`.

mod bullmq;
mod fleet;
mod rivals;

use std::time::Duration;

use crate::{
    figure::Case,
    simulator::Report,
    sitting::Sitting,
    size::{LIMIT, LIMITER_EXTENSIONS},
};

pub(crate) const QUOTA: &str = "quota used, mean of the lanes";
pub(crate) const REFUSED: &str = "answers of 429";
pub(crate) const GCRA: &str = "GCRA with burst (governor)";
pub(crate) const WINDOWS: &str = "fixed windows";
pub(crate) const BULLMQ: &str = "bullmq limiter";
pub(crate) const WORKERS: [u32; 4] = [1, 2, 4, 8];

pub(crate) async fn run(sitting: &Sitting) -> anyhow::Result<()> {
    for workers in WORKERS {
        sitting.attempt(&format!("{workers} worker processes"), fleet::measure(sitting, workers)).await;
    }
    for rival in [rivals::Rival::Gcra, rivals::Rival::FixedWindows] {
        sitting.attempt(rival.name(), rivals::measure(sitting, rival)).await;
    }
    sitting.attempt(BULLMQ, bullmq::measure(sitting)).await;
    Ok(())
}

fn settings(window: Duration, windows: u32) -> String {
    format!(
        "{LIMITER_EXTENSIONS} extensions, plan {LIMIT} in {} s, penalty {} s, backlog for {windows} windows",
        window.as_secs_f64(),
        window.as_secs_f64()
    )
}

/// The judge's figures of a run that took `took` from the first request's permit to the last text.
fn note(case: &Case<'_>, report: &Report, took: Duration) {
    if let Some(mean) = report.quota_use_mean {
        case.note(QUOTA, "of the plan", mean);
    }
    if let Some(worst) = report.quota_use_worst {
        case.note("quota used, worst lane", "of the plan", worst);
    }
    case.note(REFUSED, "requests", report.http_429 as f64);
    case.note("requests inside a penalty", "requests", report.in_penalty as f64);
    case.note("requests over the plan in the fullest window", "requests", report.over_plan as f64);
    case.note("texts accepted twice", "texts", report.duplicates as f64);
    case.note("texts accepted", "texts/s", report.accepted as f64 / took.as_secs_f64());
}
