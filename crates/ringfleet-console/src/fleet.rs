//! The fleet's totals, read from the store for a scrape.

use std::time::{Duration, Instant};

use metrics::gauge;
use ringfleet_store::{Group, LaneView, SharedStore, State, Stats, StoreError};

/// Several scrapers must not add up to load on the store.
const FRESH: Duration = Duration::from_secs(1);
/// Lanes read for the gauges of quota; a fleet with more waiting lanes is scaled up from these.
const LANES: u32 = 500;

#[derive(Default)]
pub(crate) struct FleetGauges {
    read_at: Option<Instant>,
}

impl FleetGauges {
    pub(crate) async fn refresh(&mut self, store: &SharedStore, patience: Duration) {
        if self.read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let read = tokio::time::timeout(patience, read(store)).await;
        let up = matches!(read, Ok(Ok(())));
        gauge!("ringfleet_store_up").set(if up { 1.0 } else { 0.0 });
        if up {
            self.read_at = Some(Instant::now());
        }
    }
}

async fn read(store: &SharedStore) -> Result<(), StoreError> {
    let stats = store.stats().await?;
    let lanes = store.lanes(LANES).await?;
    show_totals(&stats);
    show_quota(&lanes, stats.lanes_waiting);
    Ok(())
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
fn show_quota(lanes: &[LaneView], waiting: u64) {
    let scale = if lanes.is_empty() { 0.0 } else { waiting as f64 / lanes.len() as f64 };
    let medium = || lanes.iter().filter(|view| view.lane.as_ref().is_some_and(|lane| lane.group() == Group::Medium));
    let stopped = |view: &&LaneView| view.paused || view.parked.is_some();
    let offered: f64 = medium()
        .filter(|view| !stopped(view))
        .filter_map(|view| view.plan)
        .map(|plan| f64::from(plan.limit) / (f64::from(plan.window_ms) / 1_000.0))
        .sum();
    // An empty sum is -0.
    gauge!("ringfleet_quota_offered_per_second", "group" => "medium").set(offered * scale + 0.0);
    gauge!("ringfleet_lanes", "kind" => "parked").set(medium().filter(stopped).count() as f64 * scale);
    let in_penalty = medium().filter(|view| view.penalty_until.is_some()).count();
    gauge!("ringfleet_lanes", "kind" => "in_penalty").set(in_penalty as f64 * scale);
}
