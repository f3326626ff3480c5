//! What each alert is for: a fleet that works, and what goes wrong in it, as series for Prometheus' own test runner.

mod sending;
mod store;

/// Two workers, a and b, and an API, c: a series and its values, one a minute for three hours. Counters have counted before.
/// The Redis that b asks has no limit.
const WORKS: &str = r#"
up{job="ringfleet-api",instance="c"} 1+0x180
ringfleet_process_start_time_seconds{instance="a"} 0+0x180
ringfleet_process_start_time_seconds{instance="b"} 0+0x180
ringfleet_process_start_time_seconds{instance="c"} 0+0x180
ringfleet_store_replaced{instance="c"} 0+0x180
ringfleet_store_up{instance="a"} 1+0x180
ringfleet_store_up{instance="b"} 1+0x180
ringfleet_store_up{instance="c"} 1+0x180
ringfleet_store_shards{instance="a"} 1+0x180
ringfleet_store_shards{instance="b"} 1+0x180
ringfleet_store_shards_silent{instance="a"} 0+0x180
ringfleet_store_shards_silent{instance="b"} 0+0x180
ringfleet_leases_in_hand{instance="a"} 40+0x180
ringfleet_leases_in_hand{instance="b"} 40+0x180
ringfleet_gate_closed{instance="a",why="stop"} 0+0x180
ringfleet_gate_closed{instance="a",why="penalty"} 0+0x180
ringfleet_gate_closed{instance="c",why="restart"} 0+0x180
ringfleet_messages{instance="a",state="held"} 0+0x180
ringfleet_messages{instance="a",state="dead"} 3+0x180
ringfleet_messages{instance="a",state="expired"} 50+0x180
ringfleet_store_memory_bytes{instance="a"} 100000000+0x180
ringfleet_store_memory_bytes{instance="b"} 900000000+0x180
ringfleet_store_memory_limit_bytes{instance="a"} 536870912+0x180
ringfleet_store_memory_limit_bytes{instance="b"} 0+0x180
ringfleet_oldest_due_age_seconds{instance="a"} 60+0x180
ringfleet_lanes{instance="a",kind="eligible"} 3+0x180
ringfleet_lanes{instance="a",kind="parked"} 0+0x180
ringfleet_quota_used_total{instance="a",group="medium"} 0+4000x180
ringfleet_quota_offered_per_second{instance="a",group="medium"} 67+0x180
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+4000x180
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} 2+0x180
ringfleet_settled_total{instance="a",outcome="sent",answer="late"} 1+0x180
ringfleet_reaped_total{instance="a",what="requeued"} 5+0x180
ringfleet_reaped_total{instance="a",what="pruned"} 0+400x180
ringfleet_http_429_total{instance="a",group="medium",scope="lane"} 1+0x180
ringfleet_store_restarts_total{instance="a"} 1+0x180
ringfleet_store_errors_total{instance="a",call="claim",kind="unavailable"} 3+0x180
ringfleet_enqueued_total{instance="c",result="accepted"} 0+4000x180
ringfleet_enqueued_total{instance="c",result="not-taken"} 7+0x180
ringfleet_callbacks_behind_seconds{instance="c"} 3+0x180
ringfleet_sessions{instance="a",state="refused"} 0+0x180
ringfleet_connections{instance="a",state="due"} 0+0x180
ringfleet_connections{instance="a",state="ended"} 0+0x180
ringfleet_app_refused{instance="a"} 0+0x180
ringfleet_token_renewals_total{instance="a",result="granted"} 0+2x180
"#;

pub(super) struct Case {
    pub(super) name: &'static str,
    /// Series in place of, or beside, those of the fleet that works; without values the series is not there.
    pub(super) changes: &'static str,
    /// That fire at the 124th minute, and no others; with labels that their rules leave standing.
    pub(super) alerts: &'static [&'static str],
}

const fn case(name: &'static str, changes: &'static str, alerts: &'static [&'static str]) -> Case {
    Case { name, changes, alerts }
}

impl Case {
    pub(super) fn series(&self) -> Vec<(&'static str, &'static str)> {
        let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty());
        let split = |line: &'static str| line.split_once("} ").unwrap_or((line, ""));
        let changes: Vec<_> = lines(self.changes).map(split).collect();
        let kept = lines(WORKS).map(split).filter(|(series, _)| changes.iter().all(|(changed, _)| changed != series));
        let all = kept.chain(changes.iter().copied());
        all.filter(|(_, values)| !values.is_empty()).collect()
    }
}

/// Of a case, what changes does so about the 120th minute. `_x120 1+0x60` is a counter that appears with its first event.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    store::CASES.iter().chain(sending::CASES)
}
