//! An app that the provider refuses: one login finds it out, one alert tells it, and the lanes go on when it is mended.

use std::time::Duration;

use ringfleet_identity::Method;
use ringfleet_simulator::GrantKind;
use ringfleet_testkit::eventually;

use crate::{
    logins::Fleet,
    rig::{Ends, Rig, RigOptions},
};

const WRONG: [(&str, &str); 1] = [("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", "not-the-secret")];
const ALERT: &str = "the provider refuses the app";

fn status(rig: &Rig, environment: &[(&str, &str)]) -> serde_json::Value {
    let output = rig.run_with(&["status", "--json"], environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_costs_one_login_and_one_alert_and_the_right_one_lets_all_lanes_go_on() {
    // More than `status` lists lanes.
    const EXTENSIONS: usize = 24;
    let mut rig = Rig::start(RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2))).await;
    for extension in 0..EXTENSIONS {
        rig.enqueue(extension, 5, None).await;
    }
    for _ in 0..3 {
        rig.start_worker_with(&WRONG);
    }
    for extension in 0..EXTENSIONS {
        let lane = rig.lane(extension);
        eventually(Duration::from_secs(30), async || rig.store.lane(&lane).await.unwrap().parked.is_some()).await;
        let parked = rig.store.lane(&lane).await.unwrap().parked.unwrap();
        assert!(parked.starts_with("credential OAU-146 #app:"), "{parked}");
    }
    let report = rig.so_far(5 * EXTENSIONS as u64).await;
    assert_eq!((report.auth_requests, report.auth_refused), (1, 1), "{report:?}");
    assert_eq!((rig.logs().matches(ALERT).count(), rig.logs().matches("credential refused").count()), (1, 0));
    let told = status(&rig, &WRONG);
    assert_eq!(told["logins"]["app_refused"][0]["code"], "OAU-146", "{told}");
    assert_eq!(
        (&told["logins"]["sessions"]["none"], &told["logins"]["waiting_for_login"]),
        (&EXTENSIONS.into(), &EXTENSIONS.into()),
        "{told}"
    );
    let words = String::from_utf8(rig.run_with(&["status"], &WRONG).stdout).unwrap();
    assert!(words.contains("app     REFUSED since") && words.contains("one login tries again in"), "{words}");
    rig.drain_workers(Duration::from_secs(30));

    rig.start_workers(2);
    rig.until_ended(5 * EXTENSIONS as u64, Duration::from_secs(60)).await;
    let told = status(&rig, &[]);
    assert_eq!(told["logins"]["sessions"]["good"], EXTENSIONS, "{told}");
    assert_eq!(
        told["logins"]["app_refused"].as_array().unwrap().len(),
        0,
        "the right secret was never refused: {told}"
    );
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.logins, report.auth_refused), (EXTENSIONS as u64, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_the_app_lacks_gives_way_to_one_that_it_has() {
    const EXTENSIONS: usize = 3;
    let mut options = RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2));
    options.simulator.app.grants.retain(|grant| *grant != GrantKind::Jwt);
    let mut fleet = Fleet::start(options).await;
    for extension in 0..EXTENSIONS {
        fleet.put(extension, fleet.by_jwt(extension), 10).await;
        fleet.put(extension, fleet.by_code(extension).await, 20).await;
        fleet.keyed.rig.enqueue(extension, 5, None).await;
    }
    for _ in 0..2 {
        fleet.start_worker(None);
    }
    fleet.keyed.rig.until_ended(5 * EXTENSIONS as u64, Duration::from_secs(30)).await;
    assert_eq!(fleet.keyed.rig.logs().matches(ALERT).count(), 1);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.auth_refused), (5 * EXTENSIONS as u64, 1), "{report:?}");
}

/// As the remedy of the refusal says.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_parked_for_a_grant_that_the_app_lacks_go_on_when_their_employees_connect() {
    const EXTENSIONS: usize = 3;
    let mut options = RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2));
    options.simulator.app.grants.retain(|grant| *grant != GrantKind::Jwt);
    let mut fleet = Fleet::start(options).await;
    for extension in 0..EXTENSIONS {
        fleet.put(extension, fleet.by_jwt(extension), 10).await;
        fleet.keyed.rig.enqueue(extension, 5, None).await;
    }
    for _ in 0..2 {
        fleet.start_worker(None);
    }
    for extension in 0..EXTENSIONS {
        let reason = fleet.until_parked(extension).await;
        assert!(reason.starts_with("credential OAU-251 #app:"), "{reason}");
    }
    fleet.put(0, fleet.by_code(0).await, 20).await;
    // The one that can't be used is taken away before the other one comes, and after it.
    fleet.vault.remove(&fleet.id(1), Method::Jwt).await.unwrap();
    fleet.put(1, fleet.by_code(1).await, 20).await;
    fleet.put(2, fleet.by_code(2).await, 20).await;
    fleet.vault.remove(&fleet.id(2), Method::Jwt).await.unwrap();
    fleet.keyed.rig.until_ended(5 * EXTENSIONS as u64, Duration::from_secs(30)).await;
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.auth_refused), (5 * EXTENSIONS as u64, 1), "{report:?}");
}
