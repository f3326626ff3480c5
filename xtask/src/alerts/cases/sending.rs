//! Messages and lanes, RingCentral, logins, workers.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("a fleet that works", "", &[]),
    case(
        "a message is held",
        r#"ringfleet_messages{instance="a",state="held"} 0+0x120 1+0x60"#,
        &["RingfleetMessagesHeld"],
    ),
    case(
        "an endpoint takes no callbacks",
        r#"ringfleet_callbacks_behind_seconds{instance="c"} 3+0x100 60+60x80"#,
        &["RingfleetCallbacksAreNotTaken"],
    ),
    case(
        "an endpoint that was down for five minutes takes callbacks again",
        r#"ringfleet_callbacks_behind_seconds{instance="c"} 3+0x115 60+60x5 3+0x60"#,
        &[],
    ),
    case(
        "a message has died beside three old ones",
        r#"ringfleet_messages{instance="a",state="dead"} 3+0x120 4+0x60"#,
        &["RingfleetMessagesHaveDied"],
    ),
    case(
        "a dead message is sent again, or forgotten",
        r#"ringfleet_messages{instance="a",state="dead"} 3+0x120 2+0x60"#,
        &[],
    ),
    case(
        "messages expire in a wave",
        r#"ringfleet_messages{instance="a",state="expired"} 50+0x120 5000+0x60"#,
        &["RingfleetMessagesExpire"],
    ),
    case(
        "messages expire in a fleet that has sent nothing yet",
        r#"
ringfleet_messages{instance="a",state="expired"} 50+0x120 5000+0x60
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} _x180
ringfleet_settled_total{instance="a",outcome="sent",answer="late"} _x180
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} _x180
"#,
        &["RingfleetMessagesExpire"],
    ),
    case(
        "messages expire while attempt after attempt fails",
        r#"
ringfleet_messages{instance="a",state="expired"} 50+0x120 100+0x60
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+4x180
ringfleet_settled_total{instance="a",outcome="throttled",answer="done"} 0+4000x180
"#,
        &["RingfleetMessagesExpire"],
    ),
    case(
        "one message for three hundred sends expires",
        r#"ringfleet_messages{instance="a",state="expired"} 50+0x120 850+0x60"#,
        &[],
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
        "most of what is due at night is put off for quiet hours",
        r#"
ringfleet_quota_used_total{instance="a",group="medium"} 0+2000x180
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+2000x180
ringfleet_settled_total{instance="a",outcome="later",answer="done"} 0+4000x180
"#,
        &[],
    ),
    case(
        "RingCentral has not been reached for a while, and lanes may send between two tries",
        r#"
ringfleet_lanes{instance="a",kind="in_penalty"} 0+0x100 3+0x80
ringfleet_settled_total{instance="a",outcome="not_sent",answer="done"} _x100 1+90x80
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+4000x100 400000+0x80
ringfleet_quota_used_total{instance="a",group="medium"} 0+4000x100 400000+0x80
ringfleet_oldest_due_age_seconds{instance="a"} 60+0x100 60+60x80
"#,
        &["RingfleetRingCentralIsNotReached"],
    ),
    case(
        "RingCentral was away for some minutes, and a small fleet has sent what was due, but for a lane that stands",
        r#"
ringfleet_lanes{instance="a",kind="parked"} 1+0x180
ringfleet_oldest_due_age_seconds{instance="a"} 9000+60x180
ringfleet_quota_used_total{instance="a",group="medium"} 0+0x180
ringfleet_lanes{instance="a",kind="eligible"} 0+0x180
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} _x120 1+0x60
ringfleet_settled_total{instance="a",outcome="not_sent",answer="done"} _x114 1+30x6 181+0x60
"#,
        &["RingfleetLanesStandStill"],
    ),
    case(
        "the only lane that waits is in a long penalty of its own",
        r#"
ringfleet_lanes{instance="a",kind="eligible"} 3+0x100 0+0x80
ringfleet_lanes{instance="a",kind="in_penalty"} 0+0x100 1+0x80
ringfleet_settled_total{instance="a",outcome="throttled",answer="done"} _x100 1+0x80
ringfleet_http_429_total{instance="a",group="medium",scope="lane"} 1+0x100 2+0x80
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+4000x100 400000+0x80
ringfleet_quota_used_total{instance="a",group="medium"} 0+4000x100 400000+0x80
ringfleet_oldest_due_age_seconds{instance="a"} 60+0x100 60+60x80
"#,
        &[r#"RingfleetThrottled{group="medium",scope="lane"}"#],
    ),
    case(
        "RingCentral was not reached, and somebody has stopped the fleet",
        r#"
ringfleet_gate_closed{instance="a",why="stop"} 0+0x110 1+0x70
ringfleet_lanes{instance="a",kind="eligible"} 3+0x110 0+0x70
ringfleet_settled_total{instance="a",outcome="not_sent",answer="done"} _x100 1+90x9 811+0x70
ringfleet_quota_offered_per_second{instance="a",group="medium"} 67+0x110 0+0x70
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+4000x100 400000+0x80
ringfleet_quota_used_total{instance="a",group="medium"} 0+4000x100 400000+0x80
ringfleet_oldest_due_age_seconds{instance="a"} 60+0x100 60+60x80
"#,
        &["RingfleetFleetIsStopped"],
    ),
    case(
        "RingCentral answers no send, and lanes may send while the workers wait for it",
        r#"
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} 2+0x100 12+10x80
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+4000x100 400000+0x80
ringfleet_quota_used_total{instance="a",group="medium"} 0+4000x100 400010+10x80
ringfleet_oldest_due_age_seconds{instance="a"} 60+0x100 60+60x80
"#,
        &["RingfleetProviderInTrouble"],
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
        "one send in ninety has no answer, while as many again are put off for quiet hours",
        r#"
ringfleet_settled_total{instance="b",outcome="unknown",answer="done"} _x120 666+0x60
ringfleet_settled_total{instance="a",outcome="later",answer="done"} 0+4000x180
"#,
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
    case("a connection was late for an hour", r#"ringfleet_connections{instance="a",state="due"} 0+0x60 1+0x120"#, &[]),
];
