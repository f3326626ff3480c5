//! Making, keeping and ending subscriptions.

use std::time::Duration;

use reqwest::RequestBuilder;
use ringfleet_simulator::{Limits, SimulatorConfig};
use serde_json::{Value, json};

use crate::receiver::{Manner, Receiver};
use crate::support::{Rig, body, outcome, quick, start};

pub(crate) const SUBSCRIPTION: &str = "/restapi/v1.0/subscription";
pub(crate) const TEXTS: &str = "/restapi/v1.0/account/~/extension/~/message-store?type=SMS";

pub(crate) fn config() -> SimulatorConfig {
    let limits = Limits { medium: 1000, light: 1000, ..Limits::default() };
    SimulatorConfig { limits, webhook_timeout: Duration::from_millis(500), ..quick() }
}

pub(crate) fn create(rig: &Rig, address: &str, filters: &[&str], expires_in: u64) -> RequestBuilder {
    let mode = json!({"transportType": "WebHook", "address": address, "verificationToken": "my secret"});
    let wanted = json!({"eventFilters": filters, "deliveryMode": mode, "expiresIn": expires_in});
    rig.http.post(rig.url(SUBSCRIPTION)).bearer_auth(rig.token(0)).json(&wanted)
}

#[tokio::test]
async fn a_subscription_is_made_listed_renewed_and_deleted() {
    let rig = start(config()).await;
    let hook = Receiver::start().await;
    let made = body(create(&rig, &hook.address, &[TEXTS], 100)).await;
    assert_eq!((&made["status"], &made["deliveryMode"]["address"]), (&json!("Active"), &json!(hook.address)));
    assert!(!made.to_string().contains("my secret"));
    let own =
        format!("/restapi/v1.0/account/400100000/extension/{}/message-store?type=SMS", rig.accounts[0].extension_id);
    assert_eq!(made["eventFilters"], json!([own]));
    let id = made["id"].as_str().expect("an id");
    assert_eq!(id.len(), 36);
    let one = format!("{SUBSCRIPTION}/{id}");
    let listed = body(rig.get(&rig.token(0), SUBSCRIPTION)).await;
    assert_eq!(listed["records"][0]["id"], id);
    let url = rig.url(&one);
    let changed =
        rig.http.put(&url).bearer_auth(rig.token(0)).json(&json!({"eventFilters": [TEXTS], "expiresIn": 500}));
    assert_eq!(body(changed).await["expiresIn"], 500);
    for request in [rig.http.put(&url), rig.http.post(format!("{url}/renew"))] {
        let renewed = body(request.bearer_auth(rig.token(0))).await;
        assert_eq!(renewed["expiresIn"], 500);
    }
    // It is nobody else's.
    assert_eq!(outcome(rig.get(&rig.token(1), &one)).await, (404, "CMN-102".into()));
    let gone = rig.http.delete(&url).bearer_auth(rig.token(0)).send().await.expect("an answer");
    assert_eq!(gone.status(), 204);
    assert_eq!(outcome(rig.get(&rig.token(0), &one)).await, (404, "CMN-102".into()));
}

#[tokio::test]
async fn a_webhook_has_to_shake_hands() {
    let rig = start(config()).await;
    let hook = Receiver::start().await;
    for (manner, code) in [
        (Manner::Forgetful, "SUB-520"),
        (Manner::Slow(Duration::from_secs(2)), "SUB-521"),
        (Manner::Status(500), "SUB-522"),
        (Manner::Status(302), "SUB-522"),
        (Manner::Talkative, "SUB-525"),
    ] {
        hook.behave(manner.clone());
        assert_eq!(outcome(create(&rig, &hook.address, &[TEXTS], 100)).await, (400, code.into()), "{manner:?}");
    }
    hook.behave(Manner::Good);
    for (address, code) in [
        ("http://127.0.0.1:9/closed", "SUB-521"),
        ("http://192.0.2.1/not-this-machine", "SUB-523"),
        ("ftp://127.0.0.1/x", "CMN-101"),
        ("nonsense", "CMN-101"),
    ] {
        assert_eq!(outcome(create(&rig, address, &[TEXTS], 100)).await, (400, code.into()), "{address}");
    }
    let plain = hook.address.replace("http:", "https:");
    assert_eq!(outcome(create(&rig, &plain, &[TEXTS], 100)).await.0, 400);
    let listed = body(rig.get(&rig.token(0), SUBSCRIPTION)).await;
    assert_eq!(listed["records"], json!([]));
}

#[tokio::test]
async fn filters_limits_and_permissions_have_their_codes() {
    let rig = start(config()).await;
    let hook = Receiver::start().await;
    let colleague = TEXTS.replace("extension/~", &format!("extension/{}", rig.accounts[1].extension_id));
    for (filters, expected) in [
        (vec!["/restapi/v1.0/nothing"], (400, "SUB-508")),
        (vec![TEXTS, "/restapi/v1.0/subscription/~?threshold=90&interval=15"], (400, "SUB-516")),
        (vec![colleague.as_str()], (403, "SUB-405")),
        (vec![], (400, "CMN-100")),
    ] {
        let answer = outcome(create(&rig, &hook.address, &filters, 100)).await;
        assert_eq!(answer, (expected.0, expected.1.into()), "{filters:?}");
    }
    for _ in 0..30 {
        assert_eq!(outcome(create(&rig, &hook.address, &[TEXTS], 100)).await.0, 200);
    }
    assert_eq!(outcome(create(&rig, &hook.address, &[TEXTS], 100)).await, (400, "SUB-505".into()));

    rig.settings(&json!({"permissions": ["ReadAccounts"]})).await;
    let id = body(rig.get(&rig.token(0), SUBSCRIPTION)).await["records"][0]["id"].clone();
    let url = rig.url(&format!("{SUBSCRIPTION}/{}", id.as_str().expect("an id")));
    let reminder = "/restapi/v1.0/subscription/~?threshold=40&interval=15";
    let wanted = json!({"eventFilters": [TEXTS, reminder], "expiresIn": 100});
    let changed = body(rig.http.put(&url).bearer_auth(rig.token(0)).json(&wanted)).await;
    assert_eq!(changed["eventFilters"].as_array().map(Vec::len), Some(1));
    assert!(changed["disabledFilters"][0]["filter"].as_str().expect("a filter").contains("message-store"));
    assert_eq!(outcome(create(&rig, &hook.address, &[TEXTS], 100)).await, (403, "CMN-401".into()));
}

#[tokio::test]
async fn an_expired_subscription_is_gone() {
    let rig = start(config()).await;
    let hook = Receiver::start().await;
    let made: Value = body(create(&rig, &hook.address, &[TEXTS], 1)).await;
    let one = format!("{SUBSCRIPTION}/{}", made["id"].as_str().expect("an id"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(outcome(rig.get(&rig.token(0), &one)).await, (404, "CMN-102".into()));
    assert_eq!(body(rig.get(&rig.token(0), SUBSCRIPTION)).await["records"], json!([]));
}
