//! What operators watch: Prometheus metrics and the two health questions of an orchestrator.
//!
//! Counters and histograms are kept by this process; totals of the fleet are read from the store when somebody asks, at
//! most once a second. No label ever names an extension, a number or a message.

mod fleet;
mod health;

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use ringfleet_store::SharedStore;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::fleet::FleetGauges;

/// Seconds; a send takes 0.05 to 15 s at the real provider and under a millisecond at the simulator.
const SEND_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Seconds from due to sent; a backlog makes it hours.
const WAIT_BUCKETS: [f64; 12] = [0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0];

/// A histogram keeps each single value until then, and it may be that nobody ever asks for the metrics.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// This process' metrics. One a process.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// Makes the `metrics` macros of all crates record from here on, and keeps what they record small for as long as the
    /// runtime lives.
    ///
    /// # Errors
    /// When another recorder is installed already.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn install() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full("ringfleet_send_duration_seconds".to_owned()), &SEND_BUCKETS)?
            .set_buckets_for_metric(Matcher::Full("ringfleet_due_to_send_seconds".to_owned()), &WAIT_BUCKETS)?;
        let recorder = Self(builder.install_recorder()?);
        introduce();
        tokio::spawn(recorder.clone().keep_small());
        Ok(recorder)
    }

    async fn keep_small(self) {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        loop {
            every.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// What this process is, and since when.
fn introduce() {
    gauge!("ringfleet_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    gauge!("ringfleet_process_start_time_seconds").set(now.as_secs_f64());
}

struct Console {
    recorder: Recorder,
    store: Arc<OnceLock<SharedStore>>,
    stop: CancellationToken,
    fleet: Mutex<FleetGauges>,
}

/// `/metrics`, `/healthz` and `/readyz`. Holds nothing private, yet it belongs on an internal address. `store` is empty until it is
/// opened; `stop` is cancelled when the process is told to end.
pub fn router(recorder: Recorder, store: Arc<OnceLock<SharedStore>>, stop: CancellationToken) -> Router {
    let console = Arc::new(Console { recorder, store, stop, fleet: Mutex::new(FleetGauges::default()) });
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(health::ready))
        .with_state(console)
}

async fn metrics_page(State(console): State<Arc<Console>>) -> impl IntoResponse {
    // A scrape must not hang with the store: its gauges then keep their last value and say so.
    console.fleet.lock().await.refresh(console.store.get(), Duration::from_secs(2)).await;
    console.recorder.0.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], console.recorder.0.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_version_and_since_when_it_is_there() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        metrics::with_local_recorder(&recorder, introduce);
        let page = recorder.handle().render();
        let told = |series: &str| page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
        let build = format!("ringfleet_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(told(&build), Some(1.0), "{page}");
        let since = told("ringfleet_process_start_time_seconds").unwrap();
        assert!((began..began + 60.0).contains(&since), "{since} for {began}");
    }

    #[tokio::test(start_paused = true)]
    async fn histograms_are_kept_small_where_nobody_asks_for_the_metrics() {
        let recorder = Recorder::install().unwrap();
        // Upkeep puts the values of a histogram together under its name; asking for the page would do so too.
        let is_small = |name: &str| format!("{:?}", recorder.0).contains(&format!("\"{name}\": {{"));
        metrics::histogram!("ringfleet_send_duration_seconds").record(0.1);
        assert!(!is_small("ringfleet_send_duration_seconds"));
        tokio::time::sleep(UPKEEP_EVERY).await;
        assert!(is_small("ringfleet_send_duration_seconds"));
        metrics::histogram!("ringfleet_due_to_send_seconds").record(0.1);
        assert!(!is_small("ringfleet_due_to_send_seconds"));
        tokio::time::sleep(UPKEEP_EVERY).await;
        assert!(is_small("ringfleet_due_to_send_seconds"));
    }
}
