//! P4: a send whose fate is unknown is never repeated blindly.

use std::time::Duration;

use ringfleet_store::State;

use crate::rig::{Rig, RigOptions};

async fn held_after(fault: serde_json::Value, arrived: u64) {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let rule = serde_json::json!({"match": {"extension": rig.accounts[0].extension_id}, "fault": fault, "times": 5});
    rig.simulator.add_fault(serde_json::from_value(rule).unwrap());
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    rig.start_workers(2);
    rig.until_ended(40, Duration::from_secs(60)).await;
    let report = rig.check_promises(40).await;
    let stats = rig.stats().await;
    assert_eq!((stats.count(State::Held), stats.count(State::Sent)), (5, 35), "{stats:?}");
    assert_eq!(report.accepted, 35 + arrived, "{report:?}");
    for view in rig.store.list(State::Held, 10).await.unwrap() {
        assert!(!view.reason.is_empty() && !view.text.expose().is_empty(), "a person has nothing to look at: {view:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_but_never_answered_is_held_and_not_sent_again() {
    held_after(serde_json::json!({"kind": "accept_then_hang"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_the_request_is_held_and_not_sent_again() {
    held_after(serde_json::json!({"kind": "accept_then_reset"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_held_whether_or_not_the_text_went_out() {
    held_after(serde_json::json!({"kind": "error_after_accept", "status": 502}), 5).await;
    held_after(serde_json::json!({"kind": "error_before", "status": 500}), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_is_held() {
    held_after(serde_json::json!({"kind": "garbage"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_parks_the_lane_for_its_time_and_costs_no_attempt() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let rule = serde_json::json!({
        "match": {"extension": rig.accounts[0].extension_id},
        "fault": {"kind": "throttle", "retry_after": 3, "headers": true}, "times": 1
    });
    rig.simulator.add_fault(serde_json::from_value(rule).unwrap());
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    rig.start_workers(1);
    rig.until_ended(40, Duration::from_secs(60)).await;
    let (stats, report) = (rig.stats().await, rig.simulator.report());
    assert_eq!((stats.count(State::Sent), report.accepted, report.duplicates), (40, 40, 0), "{report:?}");
    // Those that were on the way when the penalty began can't be called back; nothing may follow them.
    assert!(report.http_429 + report.faulted <= 8 + 1, "requests went on inside the penalty: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_provider_does_not_move_the_backlog_to_held() {
    let mut rig = Rig::start(RigOptions::new(10, Duration::from_secs(2))).await;
    let rule = serde_json::json!({"match": {}, "fault": {"kind": "error_before", "status": 502}});
    for extension in 0..10 {
        rig.enqueue(extension, 60, None).await;
    }
    rig.simulator.add_fault(serde_json::from_value(rule).unwrap());
    rig.start_workers(1);
    // As long as a breaker needs for its first canaries.
    tokio::time::sleep(Duration::from_secs(6)).await;
    rig.simulator.clear_faults();
    let over = std::time::Instant::now();
    ringfleet_testkit::eventually(Duration::from_secs(20), async || rig.simulator.report().accepted > 0).await;
    assert!(over.elapsed() < Duration::from_secs(5), "the first send came {:?} after the outage", over.elapsed());
    rig.until_ended(600, Duration::from_secs(60)).await;
    let held = rig.stats().await.count(State::Held);
    // Those in hand when it began, and a few canaries.
    assert!((5..=64 + 8).contains(&held), "{held} of 600 are held");
    rig.check_promises(600).await;
}
