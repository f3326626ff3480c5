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
pub(crate) const PAUSES: &str = "times a lane stood still";
/// Redis CPU of a text from claim to settle, and what the workers ask besides.
pub(crate) const CPU: &str = "CPU of Redis";
/// The case of answers that take their time.
pub(crate) const SLOWLY: &str = "worker processes: 2, windows of 60 s, slow answers";
pub(crate) const GCRA: &str = "GCRA with burst (governor)";
pub(crate) const WINDOWS: &str = "fixed windows";
pub(crate) const BULLMQ: &str = "bullmq limiter";
pub(crate) const WORKERS: [u32; 4] = [1, 2, 4, 8];

/// `last`: of the sitting's rounds, see [`margin`].
pub(crate) async fn run(sitting: &Sitting, last: bool) -> anyhow::Result<()> {
    for workers in WORKERS {
        sitting.attempt(&format!("{workers} worker processes"), fleet::measure(sitting, workers)).await;
    }
    for rival in [rivals::Rival::Gcra, rivals::Rival::FixedWindows] {
        sitting.attempt(rival.name(), rivals::measure(sitting, rival, Duration::ZERO)).await;
    }
    sitting.attempt(BULLMQ, bullmq::measure(sitting, Duration::ZERO)).await;
    if last {
        // Three windows of a minute: too long for a quick look.
        if !sitting.options.quick {
            sitting.attempt("answers that take their time", fleet::slow(sitting)).await;
        }
        let margin = margin(sitting.size.limiter_window);
        let fixed = rivals::measure(sitting, rivals::Rival::FixedWindows, margin);
        sitting.attempt("fixed windows with a margin", fixed).await;
        sitting.attempt("bullmq limiter with a margin", bullmq::measure(sitting, margin)).await;
    }
    Ok(())
}

/// What windows by the clock are made longer by, once a sitting: 0.5 s at 15 s, about what a user might give away. It need not be
/// enough, as all lanes' windows begin together and their requests come at once. In each round these two would make a sitting ten
/// minutes longer.
fn margin(window: Duration) -> Duration {
    window / 30
}

/// The case of a limiter whose windows are longer than the plan's by `margin`.
fn margin_case(margin: Duration) -> String {
    if margin.is_zero() { "without a margin".to_owned() } else { format!("with a margin of {} ms", margin.as_millis()) }
}

/// What its settings add.
fn margin_settings(window: Duration, margin: Duration) -> String {
    let counted = format!("it counts in windows of {} ms", (window + margin).as_millis());
    if margin.is_zero() { counted } else { format!("{counted}, measured in the last round only") }
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
    // The mean leaves out gaps of more than three windows, as it can't know that there was a backlog: here there was one.
    case.note(PAUSES, "gaps", report.pauses as f64);
    case.note("texts accepted twice", "texts", report.duplicates as f64);
    case.note("texts accepted", "texts/s", report.accepted as f64 / took.as_secs_f64());
}
