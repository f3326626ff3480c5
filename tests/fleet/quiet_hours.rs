//! Nothing is sent in the recipient's quiet hours, and nobody else waits for that.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZoneDatabase};
use ringfleet_store::{MessageId, State};
use ringfleet_testkit::eventually;
use serde_json::Value;

use crate::rig::{Ends, Rig, RigOptions};

const SOON: Duration = Duration::from_secs(30);
const SLEEPERS: u64 = 60;
const AWAKE: u64 = 10;
/// From the settings on, until the sleepers wake: the awake ones' texts have gone by then.
const NIGHT: Duration = Duration::from_secs(20);

/// What New York's clocks show.
fn in_new_york(at: Timestamp) -> String {
    let zone = TimeZoneDatabase::bundled().get("America/New_York").unwrap();
    zone.to_datetime(at).strftime("%H:%M:%S").to_string()
}

async fn enqueue(rig: &Rig, count: u64, to: &str) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(rig.enqueue_to(0, &format!("{to}{n:04}"), &format!("{n} to {to}")).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn sleepers_wait_for_their_morning_and_the_others_go() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    // Those behind them in the same lane are in Honolulu, five or six hours earlier in the day.
    let sleepers = enqueue(&rig, SLEEPERS, "+1212555").await;
    let awake = enqueue(&rig, AWAKE, "+1808555").await;
    let now = Timestamp::now();
    let from = in_new_york(now - SignedDuration::from_hours(1));
    let end = Timestamp::from_second((now + SignedDuration::try_from(NIGHT).unwrap()).as_second()).unwrap();
    let to = in_new_york(end);
    let wakes = rig.simulator_now() + end.duration_since(Timestamp::now()).as_nanos() as u64;
    let environment = [("RINGFLEET__QUIET_HOURS__FROM", from.as_str()), ("RINGFLEET__QUIET_HOURS__TO", to.as_str())];
    rig.start_worker_with(&environment);
    let put_off = async || rig.stats().await.count(State::Scheduled) == SLEEPERS;
    eventually(SOON, put_off).await;
    rig.until_ended(AWAKE, SOON).await;
    let stats = rig.stats().await;
    assert_eq!((stats.count(State::Scheduled), stats.sent(), stats.oldest_due_age), (SLEEPERS, AWAKE, None));
    let view = rig.store.get(&sleepers[0]).await.unwrap().unwrap();
    assert_eq!((view.reason.as_str(), view.attempt, view.recoveries), ("quiet-hours", 0, 0));

    let id = sleepers[0].to_string();
    let told = rig.run_with(&["explain", &id, "--json"], &environment);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&told["why"][0]["code"], &told["why"][0]["reason"]), (&"scheduled".into(), &"quiet-hours".into()));
    assert_eq!(told["quiet_hours"]["zones"][0], "America/New_York", "{told}");
    let text = String::from_utf8(rig.run_with(&["explain", &id], &environment).stdout).unwrap();
    for part in ["in America/New_York (by the number): quiet hours", "its recipient has quiet hours (to "] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(rig.simulator_now() < wakes, "the machine was too slow to see them sleep");

    rig.until_ended(SLEEPERS + AWAKE, NIGHT + SOON).await;
    let counted = rig.counted(r#"ringfleet_settled_total{outcome="later",answer="done"}"#).await;
    assert_eq!(counted, SLEEPERS, "each is put off once");
    let arrivals = rig.arrivals().await;
    let early: Vec<_> = sleepers.iter().filter(|id| arrivals[*id] < wakes).collect();
    assert!(early.is_empty(), "{} of them were woken", early.len());
    assert!(awake.iter().all(|id| arrivals[id] < wakes), "the others waited with them");
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.over_plan), (SLEEPERS + AWAKE, 0));
}
