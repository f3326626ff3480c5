//! The store, and who reaches it.

use super::{Case, case};

pub(super) const CASES: &[Case] = &[
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
        "the API alone does not reach the store",
        r#"ringfleet_store_up{instance="c"} 1+0x120 0+0x60"#,
        &["RingfleetAPIDoesNotReachStore"],
    ),
    case(
        "one of two APIs does not reach the store",
        r#"
up{job="ringfleet-api",instance="d"} 1+0x180
ringfleet_store_up{instance="d"} 1+0x120 0+0x60
"#,
        &[],
    ),
    case(
        "the store was flushed, and a worker that began afterwards takes the new one for its own",
        r#"
ringfleet_store_replaced{instance="c"} 0+0x120 1+0x60
ringfleet_store_up{instance="c"} 1+0x120 0+0x60
"#,
        &["RingfleetStoreFlushedOrExchanged"],
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
        "Redis has been more than four fifths full for a while",
        r#"ringfleet_store_memory_bytes{instance="a"} 100000000+0x100 450000000+0x80"#,
        &["RingfleetStoreFillsUp"],
    ),
];
