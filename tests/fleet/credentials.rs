//! P6: one session an extension; a dead credential parks its own lane and nothing else.

use std::time::Duration;

use ringfleet_store::{Group, LaneId, State};
use ringfleet_testkit::eventually;

use crate::rig::{Ends, Except, Rig, RigOptions, Waiting, http};

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_revoked_jwt_parks_that_extension_only_and_loses_no_message() {
    let mut rig = Rig::start(RigOptions::new(5, Duration::from_secs(2))).await;
    let admin = http();
    let revoked = rig.accounts[2].extension_id.clone();
    let switch = |what: &str| format!("{}/simulator/extensions/{revoked}/{what}", rig.simulator.base_url());
    let (revoke, restore) = (switch("revoke-jwt"), switch("restore-jwt"));
    assert!(admin.post(revoke).send().await.unwrap().status().is_success());
    for extension in 0..5 {
        rig.enqueue(extension, 30, None).await;
    }
    rig.start_workers(3);
    rig.until_ended(120, Duration::from_secs(60)).await;
    let lane = rig.lane(2);
    eventually(Duration::from_secs(20), async || rig.store.lane(&lane).await.unwrap().parked.is_some()).await;
    let view = rig.store.lane(&lane).await.unwrap();
    assert!(view.parked.as_deref().unwrap().starts_with("credential OAU-211"), "{view:?}");
    assert_eq!((view.waiting, view.in_flight), (30, 0));
    let report = rig.so_far(150).await;
    // One login for each good extension, and no login loop for the bad one.
    assert!(report.auth_requests <= 4 + 3, "{report:?}");
    assert_eq!((report.accepted, report.auth_429), (120, 0));

    // The operator mends it, and says so.
    assert!(admin.post(restore).send().await.unwrap().status().is_success());
    let resumed = rig.run(&["lane", "resume", &revoked]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    rig.until_ended(150, Duration::from_secs(30)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.report.accepted, end.stats.count(State::Sent)), (150, 150));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_starting_at_once_log_in_once_for_each_extension() {
    let mut rig = Rig::start(RigOptions::new(20, Duration::from_secs(2))).await;
    for extension in 0..20 {
        rig.enqueue(extension, 20, None).await;
    }
    rig.start_workers(8);
    rig.until_ended(400, Duration::from_secs(60)).await;
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.auth_requests, report.sessions_max), (20, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_revoked_under_way_is_replaced_and_every_text_goes_out_once() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    rig.enqueue(0, 100, None).await;
    rig.start_workers(2);
    rig.until_ended(20, Duration::from_secs(30)).await;
    let id = &rig.accounts[0].extension_id;
    let revoke = format!("{}/simulator/extensions/{id}/revoke-session", rig.simulator.base_url());
    assert!(http().post(revoke).send().await.unwrap().status().is_success());
    rig.until_ended(100, Duration::from_secs(60)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.report.accepted, end.stats.count(State::Sent)), (100, 100));
    assert!(end.report.auth_requests <= 4, "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_refused_although_fresh_park_the_lane_instead_of_logging_in_for_ever() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let id = rig.accounts[0].extension_id.clone();
    rig.add_fault(serde_json::json!({
        "match": {"extension": id}, "fault": {"kind": "error_before", "status": 401, "code": "OAU-213"}
    }));
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    rig.start_workers(1);
    let lane = rig.lane(0);
    eventually(Duration::from_secs(30), async || rig.store.lane(&lane).await.unwrap().parked.is_some()).await;
    let view = rig.store.lane(&lane).await.unwrap();
    assert!(view.parked.as_deref().unwrap().starts_with("credential refused-when-fresh"), "{view:?}");
    rig.until_ended(20, Duration::from_secs(30)).await;
    let report = rig.so_far(40).await;
    assert!(report.auth_requests <= 1 + 4, "{report:?}");
    eventually(Duration::from_secs(20), async || rig.store.lane(&lane).await.unwrap().in_flight == 0).await;
    rig.finish(Ends::waiting(Waiting::Exactly(20), "its sessions are refused, so its lane is parked")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_are_counted_per_app_share_one_budget_after_the_first_429() {
    let mut options = RigOptions::new(12, Duration::from_secs(2));
    options.simulator.auth_per_app = true;
    let mut rig = Rig::start(options).await;
    for extension in 0..12 {
        rig.enqueue(extension, 5, None).await;
    }
    rig.start_workers(2);
    rig.until_ended(60, Duration::from_secs(120)).await;
    let ends = Ends::all()
        .except(Except::LoginsThrottled { at_most: 1 }, "that logins are counted per app is learnt from the first 429")
        .except(Except::OverPlan { at_most: 1 }, "and it is this login that is one too many");
    let end = rig.finish(ends).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (60, 60), "{end:?}");
    eprintln!("logins {}, refused {}", end.report.auth_requests, end.report.auth_429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_in_trouble_that_asks_for_a_pause_does_not_make_the_budget_the_apps() {
    let mut rig = Rig::start(RigOptions::new(12, Duration::from_secs(2))).await;
    let shared = LaneId::try_new("main", "*", Group::Auth).unwrap();
    let trouble = serde_json::json!({
        "match": {"endpoint": "token"}, "fault": {"kind": "error_before", "status": 503, "retry_after": 1}, "times": 1
    });
    rig.start_workers(2);
    // Before anybody knows whose the budget is, and after logins beyond the app's have shown it.
    for half in [0..8, 8..12] {
        rig.add_fault(trouble.clone());
        for extension in half.clone() {
            rig.enqueue(extension, 5, None).await;
        }
        rig.until_ended(5 * half.end as u64, Duration::from_secs(60)).await;
        let whose = rig.store.lane(&shared).await.unwrap().parked;
        assert_ne!(whose.as_deref(), Some("logins share one budget"), "{half:?}");
        rig.clear_faults();
    }
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.logins, report.auth_requests), (60, 12, 14), "{report:?}");
}
