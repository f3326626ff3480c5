//! P6: one session an extension; a dead credential parks its own lane and nothing else.

use std::time::Duration;

use ringfleet_store::{Group, LaneId, State};
use ringfleet_testkit::eventually;

use crate::rig::{Rig, RigOptions, http};

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
    let lane = LaneId::try_new("main", &revoked, Group::Medium).unwrap();
    eventually(Duration::from_secs(20), async || rig.store.lane(&lane).await.unwrap().parked.is_some()).await;
    let view = rig.store.lane(&lane).await.unwrap();
    assert!(view.parked.as_deref().unwrap().starts_with("credential OAU-211"), "{view:?}");
    assert_eq!((view.waiting, view.in_flight), (30, 0));
    let report = rig.check_promises(150).await;
    // One login for each good extension, and no login loop for the bad one.
    assert!(report.auth_requests <= 4 + 3, "{report:?}");
    assert_eq!((report.accepted, report.auth_429), (120, 0));

    // The operator mends it, and says so.
    assert!(admin.post(restore).send().await.unwrap().status().is_success());
    let resumed = rig.run(&["lane", "resume", &revoked]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    rig.until_ended(150, Duration::from_secs(30)).await;
    assert_eq!(rig.check_promises(150).await.accepted, 150);
    assert_eq!(rig.stats().await.count(State::Sent), 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_starting_at_once_log_in_once_for_each_extension() {
    let mut rig = Rig::start(RigOptions::new(20, Duration::from_secs(2))).await;
    for extension in 0..20 {
        rig.enqueue(extension, 20, None).await;
    }
    rig.start_workers(8);
    rig.until_ended(400, Duration::from_secs(60)).await;
    let report = rig.check_promises(400).await;
    assert_eq!((report.auth_requests, report.sessions_max, report.auth_429), (20, 1, 0), "{report:?}");
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
    let report = rig.check_promises(100).await;
    assert_eq!((report.accepted, rig.stats().await.count(State::Sent)), (100, 100));
    assert!(report.auth_requests <= 4, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_refused_although_fresh_park_the_lane_instead_of_logging_in_for_ever() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let id = rig.accounts[0].extension_id.clone();
    let rule = serde_json::json!({
        "match": {"extension": id}, "fault": {"kind": "error_before", "status": 401, "code": "OAU-213"}
    });
    rig.simulator.add_fault(serde_json::from_value(rule).unwrap());
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    rig.start_workers(1);
    let lane = LaneId::try_new("main", &id, Group::Medium).unwrap();
    eventually(Duration::from_secs(30), async || rig.store.lane(&lane).await.unwrap().parked.is_some()).await;
    let view = rig.store.lane(&lane).await.unwrap();
    assert!(view.parked.as_deref().unwrap().starts_with("credential refused-when-fresh"), "{view:?}");
    rig.until_ended(20, Duration::from_secs(30)).await;
    let report = rig.check_promises(40).await;
    assert!(report.auth_requests <= 1 + 4, "{report:?}");
    eventually(Duration::from_secs(20), async || rig.store.lane(&lane).await.unwrap().in_flight == 0).await;
    assert_eq!(rig.store.lane(&lane).await.unwrap().waiting, 20);
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
    let (stats, report) = (rig.stats().await, rig.simulator.report());
    assert_eq!((stats.count(State::Sent), report.accepted, report.duplicates), (60, 60, 0), "{report:?}");
    // Those that were under way when the first came back, and no more.
    assert!(report.auth_429 <= 12 - 5, "{report:?}");
    eprintln!("logins {}, refused {}", report.auth_requests, report.auth_429);
}
