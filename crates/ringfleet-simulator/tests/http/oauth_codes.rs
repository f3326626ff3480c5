//! How each refusal of the token endpoint comes about.

use ringfleet_simulator::{Limits, SimulatorConfig};
use serde_json::{Value, json};

use crate::support::{Rig, outcome, outcome_of, quick, start};

const ME: &str = "/restapi/v1.0/account/~/extension/~";

async fn rig() -> Rig {
    start(SimulatorConfig { limits: Limits { auth: 1000, ..Limits::default() }, ..quick() }).await
}

async fn login(rig: &Rig) -> (u16, String) {
    outcome_of(rig.login(0).await).await
}

#[tokio::test]
async fn a_switched_off_user_or_account_has_no_session_and_gets_none() {
    let rig = rig().await;
    let token: Value = rig.login(0).await.json().await.expect("JSON");
    let access = token["access_token"].as_str().expect("a token");
    let refresh = token["refresh_token"].as_str().expect("a token");
    assert_eq!(outcome(rig.get(access, ME)).await.0, 200);
    for (status, code, http) in [
        ("Frozen", "OAU-236", 400),
        ("Disabled", "OAU-236", 400),
        ("NotActivated", "OAU-141", 401),
        ("Deleted", "OAU-232", 400),
    ] {
        rig.admin(0, "status", &json!({"status": status})).await;
        assert_eq!(login(&rig).await, (http, code.into()), "{status}");
    }
    assert_eq!(outcome(rig.get(access, ME)).await, (401, "OAU-213".into()));
    rig.admin(0, "status", &json!({"status": "Enabled"})).await;
    assert_eq!(outcome_of(rig.refresh(refresh).await).await, (400, "OAU-213".into()));
    assert_eq!(login(&rig).await.0, 200);
    let other = rig.token(1);
    for (status, code, http) in [("Disabled", "OAU-142", 401), ("Deleted", "OAU-222", 400)] {
        let body = json!({"status": status});
        assert_eq!(outcome(rig.http.post(rig.url("/simulator/account")).json(&body)).await.0, 200);
        assert_eq!(login(&rig).await, (http, code.into()), "{status}");
    }
    assert_eq!(outcome(rig.get(&other, ME)).await, (401, "OAU-213".into()));
}

#[tokio::test]
async fn a_jwt_can_be_revoked_expired_or_meant_for_another_app() {
    let rig = rig().await;
    let own = json!({"client_ids": [rig.simulator.client_id()]});
    for (call, body, expected) in [
        ("revoke-jwt", json!({}), (400, "OAU-211")),
        ("expire-jwt", json!({}), (400, "OAU-210")),
        ("restrict-jwt", json!({"client_ids": ["another"]}), (400, "OAU-473")),
        ("restrict-jwt", own, (200, "")),
        ("restore-jwt", json!({}), (200, "")),
    ] {
        rig.admin(0, call, &body).await;
        assert_eq!(login(&rig).await, (expected.0, expected.1.into()), "{call}");
    }
    let stranger = rig.accounts[0].jwt.replace('.', ".e30");
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", stranger.as_str())];
    assert_eq!(outcome_of(rig.oauth(&form).await).await, (400, "OAU-331".into()));
}

#[tokio::test]
async fn grants_and_credentials_of_the_app_change_while_it_runs() {
    let rig = rig().await;
    let token: Value = rig.login(0).await.json().await.expect("JSON");
    let refresh = token["refresh_token"].as_str().expect("a token");
    rig.settings(&json!({"grants": []})).await;
    assert_eq!(login(&rig).await, (400, "OAU-251".into()));
    assert_eq!(outcome_of(rig.refresh(refresh).await).await, (401, "OAU-125".into()));
    rig.settings(&json!({"grants": ["jwt"], "refresh_tokens": false})).await;
    let token: Value = rig.login(0).await.json().await.expect("JSON");
    assert!(token.get("refresh_token").is_none());
    rig.settings(&json!({"client_secret": "rotated"})).await;
    assert_eq!(login(&rig).await, (401, "OAU-146".into()));
    rig.settings(&json!({"client_secret": rig.simulator.client_secret(), "other_environment": true})).await;
    assert_eq!(login(&rig).await, (401, "OAU-165".into()));
    let typo = rig.http.patch(rig.url("/simulator/app")).json(&json!({"grant": ["jwt"]})).send().await;
    assert_eq!(typo.expect("an answer").status(), 400);
}

#[tokio::test]
async fn permissions_of_the_app_and_of_the_user_are_told_apart() {
    let rig = rig().await;
    let token = rig.token(0);
    let text = rig.text(0, "+15550200001", "x");
    rig.admin(0, "permissions", &json!({"missing": ["OutboundSMS"]})).await;
    assert_eq!(outcome(rig.send(&token, &text)).await, (403, "CMN-408".into()));
    assert_eq!(outcome(rig.get(&token, ME)).await.0, 200);
    rig.settings(&json!({"permissions": ["ReadAccounts"]})).await;
    assert_eq!(outcome(rig.send(&token, &text)).await, (403, "CMN-401".into()));
    let login: Value = rig.login(0).await.json().await.expect("JSON");
    assert_eq!(login["scope"], "ReadAccounts");
    rig.settings(&json!({"permissions": ["ReadAccounts", "SMS"]})).await;
    rig.admin(0, "permissions", &json!({"missing": []})).await;
    assert_eq!(outcome(rig.send(&token, &text)).await.0, 200);

    let jwt = rig.accounts[0].jwt.clone();
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let narrow = rig.oauth(&[("grant_type", grant), ("assertion", &jwt), ("scope", "ReadAccounts Nothing")]).await;
    let narrow: Value = narrow.json().await.expect("JSON");
    assert_eq!(narrow["scope"], "ReadAccounts");
    let narrow = narrow["access_token"].as_str().expect("a token");
    assert_eq!(outcome(rig.send(narrow, &text)).await, (403, "CMN-401".into()));
    assert_eq!(outcome(rig.get(narrow, ME)).await.0, 200);
}

#[tokio::test]
async fn a_fault_says_any_code_in_the_shape_of_the_token_endpoint() {
    let rig = rig().await;
    let url = rig.url("/simulator/faults");
    for (status, code, error) in
        [(401, "OAU-120", "invalid_client"), (403, "OAU-167", "access_denied"), (400, "OAU-270", "invalid_request")]
    {
        let fault = json!({"kind": "error_before", "status": status, "code": code});
        let rule = json!({"match": {"endpoint": "token"}, "fault": fault, "times": 1});
        rig.http.post(&url).json(&rule).send().await.expect("an answer");
        let answer = rig.login(0).await;
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!((&body["error"], &body["errors"][0]["errorCode"]), (&json!(error), &json!(code)));
        assert!(body.get("errorCode").is_none() && body["error_description"].is_string());
    }
    assert_eq!(login(&rig).await.0, 200);
}
