//! P6: one session an extension, renewed ahead of time, and no send that its renewal costs.

use std::time::Duration;

use ringfleet_store::State;

use crate::rig::{Ends, Except, Rig, RigOptions};

/// The long form of a test, for whoever has the time: `RINGFLEET_LONG=1`.
fn load_seconds() -> u64 {
    if std::env::var_os("RINGFLEET_LONG").is_some() { 120 } else { 40 }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_twelve_seconds_cost_no_send_and_are_renewed_once_a_lifetime() {
    const EXTENSIONS: usize = 4;
    let seconds = load_seconds();
    let mut options = RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2));
    options.simulator.access_token_ttl = Duration::from_secs(12);
    options.simulator.sms_latency =
        ringfleet_simulator::Latency::Uniform(Duration::from_millis(5), Duration::from_millis(80));
    let mut rig = Rig::start(options).await;
    // 40 in two seconds, so the backlog lasts as long as the test.
    let each = 20 * seconds as usize;
    for extension in 0..EXTENSIONS {
        rig.enqueue(extension, each, None).await;
    }
    rig.start_workers(4);
    let all = (EXTENSIONS * each) as u64;
    let took = rig.until_ended(all, Duration::from_secs(3 * seconds)).await;
    assert_eq!(rig.stats().await.count(State::Sent), all);
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.unauthorized, report.auth_429, report.auth_refused), (0, 0, 0), "{report:?}");
    // One that was under way when its session was renewed is made again; none is made over and over.
    assert!(report.unauthorized_reads <= report.refreshes, "{report:?}");
    assert_eq!((report.sessions_max, report.logins), (1, EXTENSIONS as u64), "{report:?}");
    // The shortest time between two renewals is 75 % of a lifetime.
    let most = (took.as_secs_f64() / 9.0).ceil() as u64 + 1;
    assert!(report.refreshes <= EXTENSIONS as u64 * most, "{report:?}");
    // The longest: a whole one, and the window of 2 s that may pass before a send needs the next.
    let least = (took.as_secs_f64() / 14.0).floor() as u64;
    assert!(report.refreshes >= EXTENSIONS as u64 * least, "{report:?}");
    eprintln!("{all} texts in {took:?}, {} refreshes, quota use {:?}", report.refreshes, report.quota_use_mean);
}

/// Starts eight workers at once on a cold fleet, and says what the logins came to.
async fn cold_start(extensions: u32, window: Duration, auth_per_app: bool, deadline: Duration) -> (Rig, Duration) {
    let mut options = RigOptions::new(extensions, window);
    options.simulator.auth_per_app = auth_per_app;
    let mut rig = Rig::start(options).await;
    for extension in 0..extensions as usize {
        rig.enqueue(extension, 2, None).await;
    }
    rig.start_workers(8);
    let took = rig.until_ended(2 * u64::from(extensions), deadline).await;
    (rig, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_on_three_hundred_cold_extensions_log_in_once_for_each() {
    let (rig, took) = cold_start(300, Duration::from_secs(2), false, Duration::from_secs(120)).await;
    let report = rig.finish(Ends::all()).await.report;
    eprintln!("{} logins in {took:?}", report.logins);
    assert_eq!((report.logins, report.auth_requests, report.sessions_max), (300, 300, 1), "{report:?}");
    assert_eq!((report.auth_429, report.accepted), (0, 600), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_are_counted_per_app_cost_one_refusal_and_then_use_all_of_the_budget() {
    const WINDOW: Duration = Duration::from_secs(4);
    // Five in four seconds: 300 extensions take four minutes, which is the long form.
    let extensions = if std::env::var_os("RINGFLEET_LONG").is_some() { 300 } else { 30 };
    let least = WINDOW * extensions / 5;
    let (rig, took) = cold_start(extensions, WINDOW, true, 2 * least + Duration::from_secs(30)).await;
    let one = Except::LoginsThrottled { at_most: 1 };
    assert!(rig.logs().contains("logins wait for their budget"), "the operator is not told");
    let ends = Ends::all().except(one, "nobody knows before whose the budget is");
    let ends = ends.except(Except::OverPlan { at_most: 1 }, "and it is this login that is one too many");
    let report = rig.finish(ends).await.report;
    eprintln!("{} logins in {took:?}, at least {least:?}; {} refused", report.logins, report.auth_429);
    assert_eq!((report.logins, report.sessions_max), (u64::from(extensions), 1), "{report:?}");
    assert!(report.auth_429 <= 1, "{report:?}");
    assert!(took < least + least / 4 + Duration::from_secs(5), "the budget was not used: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_under_way_in_a_drain_is_finished_and_kept_for_the_next_worker() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    rig.add_fault(serde_json::json!({
        "match": {"endpoint": "token"}, "fault": {"kind": "delay", "ms": 1_500}, "times": 1
    }));
    rig.enqueue(0, 3, None).await;
    rig.start_workers(1);
    let came = async || rig.simulator.report().auth_requests == 1;
    ringfleet_testkit::eventually(Duration::from_secs(30), came).await;
    rig.drain_workers(Duration::from_secs(10));
    rig.start_workers(1);
    rig.until_ended(3, Duration::from_secs(30)).await;
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.logins, report.auth_requests, report.sessions_max), (1, 1, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_a_poll_that_is_under_way_in_a_drain_is_finished_and_kept_for_the_next_worker() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    rig.add_fault(serde_json::json!({
        "match": {"endpoint": "token"}, "fault": {"kind": "delay", "ms": 1_500}, "times": 1
    }));
    rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "1s")]);
    let came = async || rig.simulator.report().auth_requests == 1;
    ringfleet_testkit::eventually(Duration::from_secs(30), came).await;
    rig.drain_workers(Duration::from_secs(10));
    rig.enqueue(0, 3, None).await;
    rig.start_workers(1);
    rig.until_ended(3, Duration::from_secs(30)).await;
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.logins, report.auth_requests, report.sessions_max), (1, 1, 1), "{report:?}");
}
