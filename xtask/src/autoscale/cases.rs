//! What an autoscaler must get right, as series for Prometheus' own test runner.

/// A fleet of two workers with a backlog: 3,000 lanes wait, the plans let out 2,000 texts a second, and sends take 0.1 to 0.25 s.
/// The store is told about by an API, c, too.
const BACKLOG: &str = r#"
ringfleet_leases_in_hand{instance="a"} 40+0x60
ringfleet_leases_in_hand{instance="b"} 40+0x60
ringfleet_store_replaced{instance="a"} 0+0x60
ringfleet_store_replaced{instance="c"} 0+0x60
ringfleet_quota_offered_per_second{instance="a",group="medium"} 2000+0x60
ringfleet_quota_offered_per_second{instance="c",group="medium"} 2000+0x60
ringfleet_lanes{instance="a",kind="waiting"} 3000+0x60
ringfleet_lanes{instance="a",kind="in_penalty"} 0+0x60
ringfleet_send_duration_seconds_bucket{instance="a",le="0.1"} 0+0x60
ringfleet_send_duration_seconds_bucket{instance="a",le="0.25"} 0+9000x60
ringfleet_send_duration_seconds_bucket{instance="a",le="5"} 0+9000x60
ringfleet_send_duration_seconds_bucket{instance="a",le="15"} 0+9000x60
ringfleet_send_duration_seconds_bucket{instance="a",le="+Inf"} 0+9000x60
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+9000x60
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} 2+0x60
"#;

/// Nothing has been sent: neither a duration nor an end was ever counted.
const NOTHING_SENT: &str = r#"
ringfleet_send_duration_seconds_bucket{instance="a",le="0.1"}
ringfleet_send_duration_seconds_bucket{instance="a",le="0.25"}
ringfleet_send_duration_seconds_bucket{instance="a",le="5"}
ringfleet_send_duration_seconds_bucket{instance="a",le="15"}
ringfleet_send_duration_seconds_bucket{instance="a",le="+Inf"}
ringfleet_settled_total{instance="a",outcome="sent",answer="done"}
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"}
"#;

/// The last send was in minute 30.
const QUIET: &str = r#"
ringfleet_send_duration_seconds_bucket{instance="a",le="0.25"} 0+9000x30 270000+0x30
ringfleet_send_duration_seconds_bucket{instance="a",le="5"} 0+9000x30 270000+0x30
ringfleet_send_duration_seconds_bucket{instance="a",le="15"} 0+9000x30 270000+0x30
ringfleet_send_duration_seconds_bucket{instance="a",le="+Inf"} 0+9000x30 270000+0x30
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+9000x30 270000+0x30
"#;

/// From minute 30 on the two workers' 128 hands wait 15 s for each time-out, and nothing else comes back.
const OUTAGE: &str = r#"
ringfleet_send_duration_seconds_bucket{instance="a",le="0.25"} 0+9000x30 270000+0x30
ringfleet_send_duration_seconds_bucket{instance="a",le="5"} 0+9000x30 270000+0x30
ringfleet_send_duration_seconds_bucket{instance="a",le="15"} 0+9000x30 270512+512x30
ringfleet_send_duration_seconds_bucket{instance="a",le="+Inf"} 0+9000x30 270512+512x30
ringfleet_settled_total{instance="a",outcome="sent",answer="done"} 0+9000x30 270000+0x30
ringfleet_settled_total{instance="a",outcome="unknown",answer="done"} 2+0x30 514+512x30
"#;

pub(super) struct Case {
    pub(super) name: &'static str,
    /// Series in place of those of the backlog; without values the series is not there. Of several lists the first counts.
    changes: &'static [&'static str],
    pub(super) at: &'static str,
    /// `None`: no value, so that the autoscaler leaves the number as it is.
    pub(super) workers: Option<u32>,
}

impl Case {
    pub(super) fn series(&self) -> Vec<(&'static str, &'static str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for line in self.changes.iter().copied().chain([BACKLOG]).flat_map(str::lines).filter(|line| !line.is_empty()) {
            let (series, values) = line.split_once("} ").unwrap_or((line.trim_end_matches('}'), ""));
            if all.iter().all(|(known, _)| *known != series) {
                all.push((series, values));
            }
        }
        all.retain(|(_, values)| !values.is_empty());
        all
    }
}

const fn case(name: &'static str, changes: &'static [&'static str], at: &'static str, workers: Option<u32>) -> Case {
    Case { name, changes, at, workers }
}

const NOTHING_WAITS: &str = r#"
ringfleet_quota_offered_per_second{instance="a",group="medium"} 0+0x60
ringfleet_quota_offered_per_second{instance="c",group="medium"} 0+0x60
ringfleet_lanes{instance="a",kind="waiting"} 0+0x60
"#;

pub(super) const CASES: &[Case] = &[
    // A third quartile of 0.2125 s.
    case("a backlog", &[], "50m", Some(10)),
    case("nothing waits, and something was sent a moment ago", &[NOTHING_WAITS], "50m", Some(0)),
    case("nothing waits, and nothing was ever sent", &[NOTHING_WAITS, NOTHING_SENT], "50m", Some(0)),
    case("nothing has been sent for a while, so the quartile is NaN, and a backlog comes", &[QUIET], "50m", Some(23)),
    case("nothing waits, and nothing has been sent for a while", &[NOTHING_WAITS, QUIET], "50m", Some(0)),
    case(
        "the fleet is stopped with a backlog",
        &[r#"
ringfleet_quota_offered_per_second{instance="a",group="medium"} 2000+0x30 0+0x30
ringfleet_quota_offered_per_second{instance="c",group="medium"} 2000+0x30 0+0x30
"#],
        "50m",
        Some(0),
    ),
    case("a cold start: a backlog, and half a second is taken for a send", &[NOTHING_SENT], "50m", Some(23)),
    case(
        "a cold start in which all lanes but ten wait for a login",
        &[NOTHING_SENT, r#"ringfleet_lanes{instance="a",kind="in_penalty"} 2990+0x60"#],
        "50m",
        Some(1),
    ),
    case(
        "two scrapes that do not fit together: more lanes in penalty than wait",
        &[r#"ringfleet_lanes{instance="a",kind="in_penalty"} 6000+0x60"#],
        "50m",
        Some(0),
    ),
    case(
        "RingCentral does not answer: its first minutes, of the window still a few in a hundred",
        &[OUTAGE],
        "33m",
        Some(10),
    ),
    case("RingCentral does not answer: most of the window", &[OUTAGE], "37m", Some(23)),
    case("RingCentral does not answer, for long", &[OUTAGE], "55m", Some(23)),
    case(
        "RingCentral answers slowly, but each send: between 0.25 and 5 s",
        &[r#"ringfleet_send_duration_seconds_bucket{instance="a",le="0.25"} 0+0x60"#],
        "50m",
        Some(171),
    ),
    case(
        "all sends are answered behind the end of the last bucket: no infinity",
        &[r#"
ringfleet_send_duration_seconds_bucket{instance="a",le="0.25"} 0+0x60
ringfleet_send_duration_seconds_bucket{instance="a",le="5"} 0+0x60
ringfleet_send_duration_seconds_bucket{instance="a",le="15"} 0+0x60
"#],
        "50m",
        Some(670),
    ),
    case(
        "no worker is there any more, and an API tells of a backlog",
        &[r#"
ringfleet_leases_in_hand{instance="a"} 40+0x40 _x20
ringfleet_leases_in_hand{instance="b"} 40+0x40 _x20
"#],
        "50m",
        None,
    ),
    case("the store was exchanged", &[r#"ringfleet_store_replaced{instance="c"} 0+0x40 1+0x20"#], "50m", None),
    case(
        "nothing is known of the fleet",
        &[r#"
ringfleet_quota_offered_per_second{instance="a",group="medium"}
ringfleet_quota_offered_per_second{instance="c",group="medium"}
"#],
        "50m",
        None,
    ),
];
