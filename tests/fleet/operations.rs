//! The three who use it: a backend over HTTP, an orchestrator, an operator.

use std::{process::Stdio, time::Duration};

use ringfleet_testkit::{eventually, free_port};
use serde_json::{Value, json};

use crate::rig::{Rig, RigOptions, Running, http, terminate};

const KEY: &str = "canary-key-0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn a_text_posted_to_up_is_sent_and_can_be_watched() {
    let rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).on_sqlite()).await;
    let (api, metrics) = (free_port(), free_port());
    let up = rig
        .command(&["up"])
        .env("RINGFLEET__API__LISTEN", format!("127.0.0.1:{api}"))
        .env("RINGFLEET__API__KEYS", KEY)
        .env("RINGFLEET__METRICS__LISTEN", format!("127.0.0.1:{metrics}"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = Running(up);
    let client = http();
    let ready = format!("http://127.0.0.1:{metrics}/readyz");
    eventually(Duration::from_secs(20), async || client.get(&ready).send().await.is_ok_and(|r| r.status() == 200))
        .await;
    let messages = format!("http://127.0.0.1:{api}/v1/messages");

    let draft = json!({"from": rig.accounts[0].numbers[0], "to": "+15552000001", "text": "canary text"});
    assert_eq!(client.post(&messages).json(&draft).send().await.unwrap().status(), 401);
    let post =
        |body: Value| client.post(&messages).bearer_auth(KEY).header("Idempotency-Key", "visit-1").json(&body).send();
    let first: Value = post(draft.clone()).await.unwrap().json().await.unwrap();
    let second: Value = post(draft.clone()).await.unwrap().json().await.unwrap();
    assert_eq!((first["status"].as_str(), second["status"].as_str()), (Some("accepted"), Some("duplicate")));
    assert_eq!(first["id"], second["id"]);
    let other = json!({"from": rig.accounts[0].numbers[0], "to": "+15552000001", "text": "other"});
    assert_eq!(post(other).await.unwrap().status(), 409);

    let bulk = json!({"messages": [
        {"from": rig.accounts[1].numbers[0], "to": "+15552000002", "text": "canary two"},
        {"from": "+15559999999", "to": "nobody", "text": ""},
    ]});
    let answer: Value = client.post(&messages).bearer_auth(KEY).json(&bulk).send().await.unwrap().json().await.unwrap();
    assert_eq!((answer["accepted"].as_u64(), answer["refused"].as_u64()), (Some(1), Some(1)), "{answer}");
    assert_eq!(answer["results"][1]["errors"].as_array().map(Vec::len), Some(3), "{answer}");

    let one = format!("{messages}/{}", first["id"].as_str().unwrap());
    eventually(Duration::from_secs(20), async || {
        let view: Value = client.get(&one).bearer_auth(KEY).send().await.unwrap().json().await.unwrap();
        view["status"] == "sent"
    })
    .await;
    rig.until_ended(2, Duration::from_secs(20)).await;
    assert_eq!(rig.check_promises(2).await.accepted, 2);

    let page = client.get(format!("http://127.0.0.1:{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    for name in [
        "ringfleet_messages{state=\"sent\"} 2",
        "ringfleet_oldest_due_age_seconds",
        "ringfleet_quota_offered_per_second",
        "ringfleet_quota_used_total",
        "ringfleet_send_duration_seconds_bucket",
        "ringfleet_token_renewals_total",
        "ringfleet_store_up 1",
    ] {
        assert!(page.contains(name), "{name} is missing in\n{page}");
    }
    let health = client.get(format!("http://127.0.0.1:{metrics}/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let status = rig.run(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["messages"]["sent"], 2);

    terminate(&up.0);
    assert!(up.0.wait().unwrap().success());
    let mut log = String::new();
    std::io::Read::read_to_string(&mut up.0.stderr.take().unwrap(), &mut log).unwrap();
    for private in ["canary", "5552000001", &rig.accounts[0].numbers[0], rig.simulator.client_secret()] {
        assert!(!log.contains(private) && !page.contains(private), "{private} leaked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_and_a_paused_lane_hold_everything_back_until_they_are_opened() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).on_sqlite()).await;
    assert!(rig.run(&["fleet", "stop", "--reason", "test"]).status.success());
    let paused = rig.accounts[0].extension_id.clone();
    assert!(rig.run(&["lane", "pause", &paused]).status.success());
    rig.enqueue(0, 5, None).await;
    rig.enqueue(1, 5, None).await;
    rig.start_workers(1);
    let told = String::from_utf8(rig.run(&["status"]).stdout).unwrap();
    assert!(told.contains("STOPPED: test") && told.contains("paused by an operator"), "{told}");
    // Nothing can be awaited here; a worker that looks every second had its chance.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.simulator.report().requests, 0);
    assert!(rig.run(&["fleet", "resume"]).status.success());
    rig.until_ended(5, Duration::from_secs(20)).await;
    assert!(rig.run(&["lane", "resume", &paused]).status.success());
    rig.until_ended(10, Duration::from_secs(20)).await;
    assert_eq!(rig.check_promises(10).await.accepted, 10);
}
