//! What each alert is for: a fleet that works, and what goes wrong in it, as series for Prometheus' own test runner.

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

/// What changes does so at the 120th minute. `_x120 1+0x60` is a counter that appears with its first event.
pub(super) const CASES: [Case; 41] = [
    case("a fleet that works", "", &[]),
    case(
        "the only Redis does not answer",
        r#"
ringfleet_store_up{instance="a"} 1+0x120 0+0x60
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
ringfleet_store_shards_silent{instance="a"} 0+0x120 1+0x60
ringfleet_store_shards_silent{instance="b"} 0+0x120 1+0x60
ringfleet_enqueued_total{instance="c",result="not-taken"} 7+0x120 500+500x60
ringfleet_store_errors_total{instance="a",call="claim",kind="unavailable"} 3+0x120 30+5x60
"#,
        &["RingfleetStoreDoesNotAnswer"],
    ),
    case(
        "the only Redis does not answer workers that tell no number of shards yet",
        r#"
ringfleet_store_shards{instance="a"
ringfleet_store_shards{instance="b"
ringfleet_store_up{instance="a"} 1+0x120 0+0x60
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
ringfleet_store_shards_silent{instance="a"} 0+0x120 1+0x60
ringfleet_store_shards_silent{instance="b"} 0+0x120 1+0x60
"#,
        &["RingfleetStoreDoesNotAnswer"],
    ),
    case(
        "the file of SQLite does not answer",
        r#"
ringfleet_store_up{instance="a"} 1+0x120 0+0x60
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
"#,
        &["RingfleetStoreDoesNotAnswer"],
    ),
    case(
        "one of 16 shards does not answer",
        r#"
ringfleet_store_shards{instance="a"} 16+0x180
ringfleet_store_shards{instance="b"} 16+0x180
ringfleet_store_shards_silent{instance="b"} 0+0x120 1+0x60
ringfleet_store_up{instance="a"} 1+0x120 0+0x60
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
"#,
        &["RingfleetShardDoesNotAnswer"],
    ),
    case(
        "a worker alone does not reach the only Redis",
        r#"
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_shards_silent{instance="b"} 0+0x120 1+0x60
"#,
        &["RingfleetShardDoesNotAnswer"],
    ),
    case(
        "one of five shards does not answer, and a worker reaches none",
        r#"
ringfleet_store_shards{instance="a"} 5+0x180
ringfleet_store_shards{instance="b"} 5+0x180
ringfleet_store_shards_silent{instance="a"} 0+0x120 1+0x60
ringfleet_store_shards_silent{instance="b"} 0+0x120 5+0x60
ringfleet_store_up{instance="a"} 1+0x120 0+0x60
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
"#,
        &["RingfleetShardDoesNotAnswer"],
    ),
    case(
        "none of five shards answers",
        r#"
ringfleet_store_shards{instance="a"} 5+0x180
ringfleet_store_shards{instance="b"} 5+0x180
ringfleet_store_shards_silent{instance="a"} 0+0x120 5+0x60
ringfleet_store_shards_silent{instance="b"} 0+0x120 5+0x60
ringfleet_store_up{instance="a"} 1+0x120 0+0x60
ringfleet_store_up{instance="b"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
"#,
        &["RingfleetStoreDoesNotAnswer"],
    ),
    case(
        "nobody works, and the store does not answer the API",
        r#"
ringfleet_store_up{instance="a"
ringfleet_store_up{instance="b"
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
ringfleet_store_shards{instance="a"
ringfleet_store_shards{instance="b"
ringfleet_store_shards_silent{instance="a"
ringfleet_store_shards_silent{instance="b"
ringfleet_leases_in_hand{instance="a"
ringfleet_leases_in_hand{instance="b"
"#,
        &["RingfleetStoreDoesNotAnswer", "RingfleetNoWorker"],
    ),
    case(
        "the store was flushed, the workers have ended with 65, and the API goes on and refuses everything",
        r#"
ringfleet_store_replaced{instance="c"} 0+0x120 1+0x60
ringfleet_store_up{instance="a"
ringfleet_store_up{instance="b"
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
ringfleet_store_shards{instance="a"
ringfleet_store_shards{instance="b"
ringfleet_store_shards_silent{instance="a"
ringfleet_store_shards_silent{instance="b"
ringfleet_leases_in_hand{instance="a"
ringfleet_leases_in_hand{instance="b"
"#,
        &["RingfleetStoreFlushedOrExchanged", "RingfleetNoWorker"],
    ),
    case(
        "the only API does not answer",
        r#"
up{job="ringfleet-api",instance="c"} 1+0x120 0+0x60
ringfleet_store_up{instance="c"} 1+0x120 _x60
ringfleet_process_start_time_seconds{instance="c"} 0+0x120 _x60
"#,
        &["RingfleetAPIDown"],
    ),
    case(
        "one of two APIs does not answer",
        r#"
up{job="ringfleet-api",instance="c"} 1+0x120 0+0x60
up{job="ringfleet-api",instance="d"} 1+0x180
"#,
        &[],
    ),
    case(
        "a message is held",
        r#"ringfleet_messages{instance="a",state="held"} 0+0x120 1+0x60"#,
        &["RingfleetMessagesHeld"],
    ),
    case(
        "the first text that went out twice",
        r#"ringfleet_settled_total{instance="b",outcome="sent",answer="sent_twice"} _x120 1+0x60"#,
        &["RingfleetSentTwice"],
    ),
    case(
        "one more text that went out twice",
        r#"ringfleet_settled_total{instance="b",outcome="sent",answer="sent_twice"} 5+0x120 6+0x60"#,
        &["RingfleetSentTwice"],
    ),
    case(
        "a worker that has just begun tells of a text that went out twice",
        r#"
ringfleet_process_start_time_seconds{instance="d"} _x120 7200+0x60
ringfleet_settled_total{instance="d",outcome="sent",answer="sent_twice"} _x120 1+0x60
"#,
        &["RingfleetSentTwice"],
    ),
    case(
        "Prometheus was away, and sees old counts again",
        r#"
ringfleet_process_start_time_seconds{instance="a"} 0+0x30 _x90 0+0x60
ringfleet_process_start_time_seconds{instance="b"} 0+0x30 _x90 0+0x60
ringfleet_process_start_time_seconds{instance="c"} 0+0x30 _x90 0+0x60
ringfleet_settled_total{instance="a",outcome="sent",answer="late"} 1+0x30 _x90 1+0x60
ringfleet_settled_total{instance="b",outcome="sent",answer="sent_twice"} 5+0x30 _x90 5+0x60
ringfleet_reaped_total{instance="a",what="requeued"} 5+0x30 _x90 5+0x60
ringfleet_http_429_total{instance="a",group="medium",scope="lane"} 1+0x30 _x90 1+0x60
ringfleet_store_restarts_total{instance="a"} 1+0x30 _x90 1+0x60
ringfleet_guard_refused_total{instance="a"} 1+0x30 _x90 1+0x60
ringfleet_journal_errors_total{instance="a"} 1+0x30 _x90 1+0x60
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} 5000+0x30 _x90 5000+0x60
ringfleet_store_errors_total{instance="a",call="settle",kind="full"} 1+0x30 _x90 1+0x60
ringfleet_enqueued_total{instance="c",result="full"} 1+0x30 _x90 1+0x60
ringfleet_token_renewals_total{instance="a",result="dead"} 1+0x30 _x90 1+0x60
"#,
        &[],
    ),
    case(
        "the first restart of the store that a worker sees",
        r#"ringfleet_store_restarts_total{instance="b"} _x120 1+0x60"#,
        &["RingfleetStoreRestarted"],
    ),
    case(
        "one more restart of the store",
        r#"ringfleet_store_restarts_total{instance="a"} 1+0x120 2+0x60"#,
        &["RingfleetStoreRestarted"],
    ),
    case(
        "the workers restart together with the store, and count no restart",
        r#"
ringfleet_process_start_time_seconds{instance="a"} 0+0x119 7200+0x60
ringfleet_process_start_time_seconds{instance="b"} 0+0x119 7200+0x60
ringfleet_store_restarts_total{instance="a"} 1+0x119 _x60
ringfleet_gate_closed{instance="c",why="restart"} 0+0x119 1 0+0x60
"#,
        &["RingfleetStoreRestarted"],
    ),
    case("a penalty of the whole account", r#"ringfleet_gate_closed{instance="a",why="penalty"} 0+0x120 1+0x60"#, &[]),
    case(
        "the last credential of an extension is refused",
        r#"
ringfleet_sessions{instance="a",state="refused"} 0+0x120 1+0x60
ringfleet_token_renewals_total{instance="a",result="dead"} _x120 1+0x60
ringfleet_lanes{instance="a",kind="parked"} 0+0x120 1+0x60
"#,
        &["RingfleetCredentialRefused", "RingfleetCredentialWasRefused", "RingfleetLanesStandStill"],
    ),
    case("the app is refused", r#"ringfleet_app_refused{instance="a"} 0+0x120 1+0x60"#, &["RingfleetAppIsRefused"]),
    case(
        "the guard stopped a send for the first time",
        r#"ringfleet_guard_refused_total{instance="a"} _x120 1+0x60"#,
        &["RingfleetGuardStoppedSend"],
    ),
    case(
        "a worker meets a full store for the first time",
        r#"ringfleet_store_errors_total{instance="a",call="settle",kind="full"} _x120 1+0x60"#,
        &["RingfleetStoreIsFull"],
    ),
    case(
        "a producer meets a full store for the first time",
        r#"ringfleet_enqueued_total{instance="c",result="full"} _x120 1+0x60"#,
        &["RingfleetStoreIsFull"],
    ),
    case(
        "the first 429 that is wider than a lane",
        r#"ringfleet_http_429_total{instance="b",group="light",scope="wider"} _x120 1+0x60"#,
        &[r#"RingfleetThrottled{group="light",scope="wider"}"#],
    ),
    case(
        "lanes that may send lack a hand",
        r#"
ringfleet_quota_used_total{instance="a",group="medium"} 0+2000x180
ringfleet_oldest_due_age_seconds{instance="a"} 60+60x180
"#,
        &["RingfleetTooFewWorkers"],
    ),
    case(
        "the fleet has been stopped for a while",
        r#"
ringfleet_gate_closed{instance="a",why="stop"} 0+0x100 1+0x80
ringfleet_lanes{instance="a",kind="eligible"} 3+0x100 0+0x80
ringfleet_quota_offered_per_second{instance="a",group="medium"} 67+0x100 0+0x80
ringfleet_quota_used_total{instance="a",group="medium"} 0+4000x100 400000+0x80
ringfleet_oldest_due_age_seconds{instance="a"} 60+0x100 60+60x80
"#,
        &["RingfleetFleetIsStopped"],
    ),
    case(
        "only the plans hold a backlog back, and some lanes may send whenever somebody looks",
        r#"ringfleet_oldest_due_age_seconds{instance="a"} 60+60x180"#,
        &["RingfleetBacklogThatIsOnlyQuota"],
    ),
    case(
        "lanes that stand hold a backlog back",
        r#"
ringfleet_lanes{instance="a",kind="eligible"} 0+0x180
ringfleet_lanes{instance="a",kind="parked"} 3+0x180
ringfleet_quota_offered_per_second{instance="a",group="medium"} 0+0x180
ringfleet_oldest_due_age_seconds{instance="a"} 60+60x180
"#,
        &["RingfleetLanesStandStill"],
    ),
    case(
        "Redis has been more than four fifths full for a while",
        r#"ringfleet_store_memory_bytes{instance="a"} 100000000+0x100 450000000+0x80"#,
        &["RingfleetStoreFillsUp"],
    ),
    case(
        "a connection has ended",
        r#"ringfleet_connections{instance="a",state="ended"} 0+0x120 1+0x60"#,
        &["RingfleetConnectionsHaveEnded"],
    ),
    case(
        "a worker died in the middle of a send",
        r#"ringfleet_reaped_total{instance="b",what="unknown"} _x120 1+0x60"#,
        &[r#"RingfleetWorkersDie{what="unknown"}"#],
    ),
    case(
        "a lease was lost",
        r#"ringfleet_settled_total{instance="b",outcome="sent",answer="stale"} _x120 1+0x60"#,
        &["RingfleetLeasesTooShort"],
    ),
    case(
        "every tenth send has no answer",
        r#"ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} 2+0x120 400+400x60"#,
        &["RingfleetProviderInTrouble"],
    ),
    case(
        "one send in ninety has no answer, in a counter's first event",
        r#"ringfleet_settled_total{instance="b",outcome="unknown",answer="done"} _x120 666+0x60"#,
        &["RingfleetProviderInTrouble"],
    ),
    case(
        "one send in two hundred has no answer",
        r#"ringfleet_settled_total{instance="b",outcome="unknown",answer="done"} _x120 300+0x60"#,
        &[],
    ),
    case(
        "four sends of a small fleet have no answer, in a worker that has just begun",
        r#"
ringfleet_process_start_time_seconds{instance="d"} _x120 7200+0x60
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+1x180
ringfleet_settled_total{instance="d",outcome="unknown",answer="done"} _x120 4+0x60
"#,
        &[],
    ),
    case(
        "a worker can't write its journal for the first time",
        r#"ringfleet_journal_errors_total{instance="a"} _x120 1+0x60"#,
        &["RingfleetJournalNotWritten"],
    ),
    case(
        "a connection has waited for two hours to be refreshed",
        r#"ringfleet_connections{instance="a",state="due"} 1+0x180"#,
        &["RingfleetConnectionsRunOut"],
    ),
];
