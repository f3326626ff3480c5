//! The fleet's totals, read from the store for a scrape.

use std::time::{Duration, Instant};

use metrics::gauge;
use ringfleet_store::{Gate, Group, LaneView, SharedStore, State, Stats, StoreError};

/// Several scrapers must not add up to load on the store.
const FRESH: Duration = Duration::from_secs(1);
/// Lanes read for the gauges of quota. A fleet with more waiting lanes is scaled up from each second one, or each third: not
/// from the first, among which are all that stand, as they wait longest.
const LANES: u64 = 500;
/// What closes the fleet's gate, as the label `why` says it.
const CLOSED_BY: [&str; 3] = ["stop", "penalty", "restart"];

#[derive(Default)]
pub(crate) struct FleetGauges {
    read_at: Option<Instant>,
}

impl FleetGauges {
    /// `None`: the store is not opened yet.
    pub(crate) async fn refresh(&mut self, store: Option<&SharedStore>, patience: Duration) {
        if self.read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let answer = match store {
            Some(store) => tokio::time::timeout(patience, read(store)).await.ok(),
            None => None,
        };
        show_answer(answer.as_ref());
        if matches!(answer, Some(Ok(()))) {
            self.read_at = Some(Instant::now());
        }
    }
}

/// `None`: the store was not asked, or did not answer in time.
fn show_answer(answer: Option<&Result<(), StoreError>>) {
    gauge!("ringfleet_store_up").set(if matches!(answer, Some(Ok(()))) { 1.0 } else { 0.0 });
    match answer {
        Some(Ok(())) => gauge!("ringfleet_store_replaced").set(0.0),
        Some(Err(StoreError::Replaced { .. })) => gauge!("ringfleet_store_replaced").set(1.0),
        // A store that is away says nothing of what it holds: what was heard last stands.
        _ => {}
    }
}

async fn read(store: &SharedStore) -> Result<(), StoreError> {
    let stats = store.stats().await?;
    let every = stats.lanes_waiting.div_ceil(LANES);
    let lanes = store.lanes_spread(u32::try_from(every).unwrap_or(u32::MAX)).await?;
    let closed_by = closed_by(&store.gate().await?);
    // Messages go on whether or not it can be told.
    let memory = store.memory().await.ok().flatten();
    show_totals(&stats);
    for why in CLOSED_BY {
        gauge!("ringfleet_gate_closed", "why" => why).set(if closed_by == Some(why) { 1.0 } else { 0.0 });
    }
    show_quota(&lanes, stats.lanes_waiting, closed_by.is_some());
    if let Some(memory) = memory {
        gauge!("ringfleet_store_memory_bytes").set(memory.used as f64);
        gauge!("ringfleet_store_memory_limit_bytes").set(memory.limit as f64);
    }
    Ok(())
}

/// One of [`CLOSED_BY`]. The reason of a stop is a person's own words, so no label.
fn closed_by(gate: &Gate) -> Option<&'static str> {
    match gate {
        Gate::Open => None,
        Gate::Stopped { .. } => Some("stop"),
        Gate::Until { reason, .. } if reason == "store-restarted" => Some("restart"),
        Gate::Until { .. } => Some("penalty"),
    }
}

fn show_totals(stats: &Stats) {
    for state in State::ALL {
        gauge!("ringfleet_messages", "state" => state.as_str()).set(stats.count(state) as f64);
    }
    gauge!("ringfleet_oldest_due_age_seconds").set(stats.oldest_due_age.unwrap_or_default().as_secs_f64());
    gauge!("ringfleet_lanes", "kind" => "eligible").set(stats.lanes_eligible as f64);
    gauge!("ringfleet_lanes", "kind" => "waiting").set(stats.lanes_waiting as f64);
}

/// What the plans of lanes with a backlog would let the fleet send, against the lanes that may not send at all.
fn show_quota(lanes: &[LaneView], waiting: u64, closed: bool) {
    let scale = if lanes.is_empty() { 0.0 } else { waiting as f64 / lanes.len() as f64 };
    let medium = || lanes.iter().filter(|view| view.lane.as_ref().is_some_and(|lane| lane.group() == Group::Medium));
    let stopped = |view: &&LaneView| view.paused || view.parked.is_some();
    let offered: f64 = medium()
        .filter(|view| !closed && !stopped(view))
        .filter_map(|view| view.plan)
        .map(|plan| f64::from(plan.limit) / (f64::from(plan.window_ms) / 1_000.0))
        .sum();
    // An empty sum is -0.
    gauge!("ringfleet_quota_offered_per_second", "group" => "medium").set(offered * scale + 0.0);
    gauge!("ringfleet_lanes", "kind" => "parked").set(medium().filter(stopped).count() as f64 * scale);
    let in_penalty = medium().filter(|view| view.penalty_until.is_some()).count();
    gauge!("ringfleet_lanes", "kind" => "in_penalty").set(in_penalty as f64 * scale);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
    use ringfleet_store::{
        LaneId, LaneRules, NewMessage, OnUnknown, Private,
        sqlite::{SqliteOptions, SqliteStore},
    };

    use super::*;

    fn lane(extension: u32) -> LaneId {
        LaneId::try_new("main", &extension.to_string(), Group::Medium).unwrap()
    }

    fn message(extension: u32) -> NewMessage {
        NewMessage {
            lane: lane(extension),
            key: None,
            from: Private::new(format!("+1555{extension:07}")),
            to: Private::new("+15552000001"),
            text: Private::new("x"),
            priority: Default::default(),
            on_unknown: OnUnknown::Hold,
            send_at: None,
            send_by: None,
        }
    }

    /// A fleet of 1,500 lanes, of which the 150 that wait longest are paused.
    async fn fleet(file: &std::path::Path) -> SharedStore {
        let store: SharedStore = Arc::new(SqliteStore::open(file, SqliteOptions::default()).await.unwrap());
        for first in [0, 150, 600, 1_050] {
            let next = if first == 0 { 150 } else { first + 450 };
            store.enqueue(&(first..next).map(message).collect::<Vec<_>>()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for extension in 0..150 {
            store.set_paused(&lane(extension), true).await.unwrap();
        }
        store
    }

    fn shows(recorder: &PrometheusRecorder, expected: &[(&str, f64)]) {
        let page = recorder.handle().render();
        for (series, value) in expected {
            let told = page.lines().find_map(|line| line.strip_prefix(&format!("ringfleet_{series} ")));
            let told: Option<f64> = told.map(|told| told.parse().unwrap());
            // A sum is off by its rounding.
            assert!(told.is_some_and(|told| (told - value).abs() < 1e-6), "{series} is not {value} in {page}");
        }
    }

    #[test]
    fn a_store_that_was_exchanged_is_told_until_the_one_of_before_answers_again() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let replaced = || Some(Err(StoreError::Replaced { call: "stats" }));
        let away = || Some(Err(StoreError::Unavailable { call: "stats", source: "no route".into() }));
        let answers = [
            (Some(Ok(())), 1.0, 0.0),
            (away(), 0.0, 0.0),
            (replaced(), 0.0, 1.0),
            (away(), 0.0, 1.0),
            (None, 0.0, 1.0),
            (Some(Ok(())), 1.0, 0.0),
        ];
        for (answer, up, exchanged) in answers {
            metrics::with_local_recorder(&recorder, || show_answer(answer.as_ref()));
            shows(&recorder, &[("store_up", up), ("store_replaced", exchanged)]);
        }
    }

    #[test]
    fn a_gate_that_a_restarted_store_has_closed_is_told_apart_from_penalties_and_stops() {
        let until = |reason: &str| Gate::Until { until: 1, reason: reason.into() };
        assert_eq!(closed_by(&Gate::Open), None);
        assert_eq!(closed_by(&Gate::Stopped { reason: "store-restarted".into() }), Some("stop"));
        assert_eq!(closed_by(&until("store-restarted")), Some("restart"));
        assert_eq!(closed_by(&until("429 of the account")), Some("penalty"));
    }

    #[tokio::test]
    async fn lanes_that_stand_and_a_closed_gate_are_told_as_they_are_also_in_a_large_fleet() {
        let dir = tempfile::tempdir().unwrap();
        let store = fleet(&dir.path().join("queue.db")).await;
        let recorder = PrometheusBuilder::new().build_recorder();
        let _metrics = metrics::set_default_local_recorder(&recorder);
        read(&store).await.unwrap();
        let plan = LaneRules::documented().plan(Group::Medium);
        let offered = 1_350.0 * f64::from(plan.limit) / (f64::from(plan.window_ms) / 1_000.0);
        let open = [
            ("lanes{kind=\"waiting\"}", 1_500.0),
            ("lanes{kind=\"parked\"}", 150.0),
            ("lanes{kind=\"eligible\"}", 1_350.0),
            ("quota_offered_per_second{group=\"medium\"}", offered),
            ("gate_closed{why=\"stop\"}", 0.0),
            ("gate_closed{why=\"restart\"}", 0.0),
        ];
        shows(&recorder, &open);
        store.set_gate(&Gate::Stopped { reason: "wrong text".into() }).await.unwrap();
        read(&store).await.unwrap();
        let stopped = [
            ("lanes{kind=\"parked\"}", 150.0),
            ("lanes{kind=\"eligible\"}", 0.0),
            ("quota_offered_per_second{group=\"medium\"}", 0.0),
            ("gate_closed{why=\"stop\"}", 1.0),
            ("gate_closed{why=\"restart\"}", 0.0),
        ];
        shows(&recorder, &stopped);
    }
}
