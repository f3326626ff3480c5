use std::time::Duration;

use ringfleet_simulator::{Limits, SimulatorConfig};

use crate::support::{Rig, outcome, quick, start};

const EXTENSION: &str = "/restapi/v1.0/account/~/extension/~";

async fn status(rig: &Rig, token: &str) -> u16 {
    outcome(rig.get(token, EXTENSION)).await.0
}

#[tokio::test]
async fn each_group_admits_exactly_its_plan() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    for (path, limit, group) in [
        ("/restapi/v1.0/account/~/phone-number", 10, "heavy"),
        ("/restapi/v1.0/account/~/extension", 40, "medium"),
        (EXTENSION, 50, "light"),
    ] {
        for left in (0..limit).rev() {
            let answer = rig.get(&token, path).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{group}");
            let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
            assert_eq!(header("x-rate-limit-group"), group);
            assert_eq!(header("x-rate-limit-limit"), limit.to_string());
            assert_eq!(header("x-rate-limit-remaining"), left.to_string());
            assert_eq!(header("x-rate-limit-window"), "60");
            assert!(answer.headers().contains_key("rcrequestid"));
        }
        let refused = rig.get(&token, path).send().await.expect("an answer");
        assert_eq!(refused.headers()["retry-after"], "60");
        assert_eq!(refused.headers()["x-rate-limit-remaining"], "0");
        assert_eq!(outcome(rig.get(&token, path)).await, (429, "CMN-301".into()));
        // Other users are not touched.
        assert_eq!(outcome(rig.get(&rig.token(1), path)).await.0, 200);
    }
    let report = rig.simulator.report();
    assert_eq!((report.http_429, report.in_penalty, report.over_plan), (6, 3, 2));
    assert_eq!(report.sms_429, 0);
}

#[tokio::test]
async fn a_request_inside_the_penalty_restarts_it() {
    let rig = start(SimulatorConfig {
        window: Duration::from_secs(1),
        penalty: Some(Duration::from_secs(4)),
        limits: Limits { light: 2, ..Limits::default() },
        ..quick()
    })
    .await;
    let token = rig.token(0);
    assert_eq!(status(&rig, &token).await, 200);
    assert_eq!(status(&rig, &token).await, 200);
    assert_eq!(status(&rig, &token).await, 429);
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(status(&rig, &token).await, 429);
    // The first penalty is over by now, the restarted one is not.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(status(&rig, &token).await, 429);
    tokio::time::sleep(Duration::from_millis(4100)).await;
    assert_eq!(status(&rig, &token).await, 200);
    assert_eq!(rig.simulator.report().in_penalty, 2);
}

#[tokio::test]
async fn errors_cost_quota_and_unknown_paths_are_medium() {
    let rig = start(SimulatorConfig { limits: Limits { medium: 2, ..Limits::default() }, ..quick() }).await;
    let token = rig.token(0);
    assert_eq!(outcome(rig.get(&token, "/restapi/v1.0/nothing")).await, (404, "CMN-120".into()));
    let wrong = rig.text(1, "+15550200000", "not mine");
    assert_eq!(outcome(rig.send(&token, &wrong)).await, (403, "MSG-304".into()));
    let right = rig.text(0, "+15550200000", "mine");
    assert_eq!(outcome(rig.send(&token, &right)).await, (429, "CMN-301".into()));
}

#[tokio::test]
async fn discovery_is_free() {
    let rig = start(quick()).await;
    for path in ["/restapi", "/restapi/v1.0"] {
        let answer = rig.http.get(rig.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("x-rate-limit-group"));
    }
}
