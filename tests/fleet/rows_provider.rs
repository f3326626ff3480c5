//! Rows 21, 24 and 28: the way to the provider, its throttling, and sessions that live shortly.

use std::time::{Duration, Instant, SystemTime};

use ringfleet_producer::Draft;
use ringfleet_store::State;
use ringfleet_testkit::{FaultProxy, eventually};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    rig::{Ends, Rig, RigOptions, Waiting, address_of},
    store_faults::{all_sent_once, loaded, quick, until_sent},
};

#[tokio::test(flavor = "multi_thread")]
async fn row_21_a_provider_that_refuses_connections_costs_time_and_no_attempt() {
    let mut options = quick().behind_api_proxy();
    options.simulator.extensions = 3;
    let mut rig = loaded(options, 2).await;
    rig.start_workers(2);
    // Sessions are open, so that what is refused below are sends.
    rig.until_ended(6, Duration::from_secs(30)).await;
    let api = rig.take_api();
    let (port, address) = (api.port(), api.address());
    drop(api);
    eventually(Duration::from_secs(20), async || TcpStream::connect(&address).await.is_err()).await;
    let mut ids = Vec::new();
    for n in 0..30 {
        let from = rig.accounts[n % 3].numbers[0].clone();
        let to = format!("+15552001{n:03}");
        let draft = Draft { from, to, text: format!("refused at first, {n}"), ..Draft::default() };
        ids.push(rig.hand_in(draft).await.unwrap().id);
    }
    eventually(Duration::from_secs(30), async || rig.logs().matches("send failed").count() >= 12).await;
    let stats = rig.stats().await;
    assert_eq!((rig.simulator.report().requests, stats.count(State::Unknown)), (6, 0), "{stats:?}");

    rig.put_api(FaultProxy::start_at(port, address_of(&rig.simulator)));
    rig.until_ended(36, Duration::from_secs(20)).await;
    for id in &ids {
        let view = rig.store.get(id).await.unwrap().unwrap();
        assert_eq!((view.state, view.attempt, view.recoveries), (State::Sent, 0, 0), "{view:?}");
    }
    let used = rig.counted("ringfleet_quota_used_total{group=\"medium\"}").await;
    assert_eq!(used, 36, "what never left does not use the plan up");
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.requests, report.accepted), (36, 36), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_21_a_provider_behind_a_blackhole_gets_every_text_once_when_the_way_is_free_again() {
    let mut rig = loaded(quick().behind_api_proxy(), 80).await;
    rig.start_workers(2);
    // Two windows are to come.
    until_sent(&rig, 40).await;
    rig.api().blackhole(true);
    // Every send of this time runs into its time-out, and so does every look at the provider's message store.
    eventually(Duration::from_secs(30), async || rig.stats().await.count(State::Unknown) > 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.api().heal();
    all_sent_once(&rig, 480).await;
    rig.finish(Ends::all()).await;
}

fn http_date(from_now: i64) -> String {
    let at = jiff::Timestamp::try_from(SystemTime::now()).unwrap() + jiff::SignedDuration::from_secs(from_now);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_24_any_retry_after_is_waited_for_within_reason_by_its_own_lane() {
    let mut rig = Rig::start(RigOptions::new(6, Duration::from_secs(2)).quick()).await;
    // Seconds that the lane rests: at least, at most. What can't be meant counts as missing, hence as half a minute.
    let cases: [(Value, i64, i64); 5] = [
        (json!("1"), 0, 1),
        (json!(http_date(8)), 0, 8),
        (json!("99999999999999999999"), 3_500, 3_600),
        (json!(http_date(-3_600)), 10, 30),
        (Value::Null, 10, 30),
    ];
    for (n, (retry_after, ..)) in cases.iter().enumerate() {
        rig.add_fault(json!({
            "match": {"extension": rig.accounts[n].extension_id}, "times": 1,
            "fault": {"kind": "throttle", "retry_after": retry_after, "headers": true}
        }));
    }
    // One each, so that no other send of the lane is on its way when it is throttled.
    for extension in 0..6 {
        rig.enqueue(extension, 1, None).await;
    }
    rig.start_workers(1);
    let faulted = async || rig.simulator.report().faulted == 5;
    eventually(Duration::from_secs(30), faulted).await;
    let lane = |n: usize| rig.lane(n);
    // The 429s are settled a moment after they were given.
    let resting = async || {
        let views = rig.store.lanes(6).await.unwrap();
        views.iter().all(|view| view.in_flight == 0) && rig.store.lane(&lane(4)).await.unwrap().penalty_until.is_some()
    };
    eventually(Duration::from_secs(5), resting).await;
    for extension in 0..6 {
        rig.enqueue(extension, 19, None).await;
    }
    // The two that rest shortly, and the one that is not throttled, end.
    for n in [0, 1, 5] {
        let ended = async || {
            let view = rig.store.lane(&lane(n)).await.unwrap();
            (view.waiting, view.in_flight) == (0, 0)
        };
        eventually(Duration::from_secs(20), ended).await;
    }
    let now = rig.store.now().await.unwrap();
    for (n, (retry_after, least, most)) in cases.iter().enumerate() {
        let view = rig.store.lane(&lane(n)).await.unwrap();
        let rests = view.penalty_until.map_or(0, |until| (until - now) / 1_000);
        assert!((*least..=*most).contains(&rests), "{retry_after}: rests {rests} s: {view:?}");
        assert_eq!(n >= 2, view.waiting > 0, "{retry_after}: {view:?}");
    }
    assert!(rig.logs().matches("panicked").count() == 0);
    let rest = Ends::waiting(Waiting::Rest, "three lanes rest for half a minute, or an hour");
    let report = rig.finish(rest).await.report;
    assert_eq!((report.sms_429, report.faulted), (0, 5), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_sessions_of_three_seconds_carry_ten_seconds_of_load() {
    let mut options = quick();
    options.simulator.extensions = 3;
    options.simulator.access_token_ttl = Duration::from_secs(3);
    let mut rig = loaded(options, 170).await;
    rig.start_workers(2);
    let began = Instant::now();
    while rig.ended().await < 510 {
        let lanes = rig.store.lanes(3).await.unwrap();
        let parked = lanes.iter().find(|lane| lane.parked.is_some());
        assert!(parked.is_none(), "a good credential's lane is parked: {parked:?} {:?}", rig.simulator.report());
        assert!(began.elapsed() < Duration::from_secs(25), "{lanes:?} {:?}", rig.simulator.report());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed();
    let end = rig.finish(Ends::all()).await;
    let report = end.report;
    assert_eq!((end.stats.count(State::Sent), report.accepted), (510, 510), "{report:?}");
    let logins = report.auth_requests / 3;
    eprintln!("{logins} logins an extension in {took:?}, {} sends refused for their token", report.unauthorized);
    assert!(logins >= 2, "no session ended: {report:?}");
}
