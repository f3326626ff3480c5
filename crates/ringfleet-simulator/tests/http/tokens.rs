use std::time::Duration;

use ringfleet_simulator::{AppSettings, Limits, SimulatorConfig};
use serde_json::{Value, json};

use crate::support::{Rig, outcome, outcome_of, quick, start};

const ME: &str = "/restapi/v1.0/account/~/extension/~";

fn many_logins() -> SimulatorConfig {
    SimulatorConfig { limits: Limits { auth: 1000, ..Limits::default() }, ..quick() }
}

async fn pair(rig: &Rig) -> (String, String) {
    tokens(&rig.login(0).await.json().await.expect("JSON"))
}

fn tokens(body: &Value) -> (String, String) {
    let text = |name: &str| body[name].as_str().expect("a token").to_owned();
    (text("access_token"), text("refresh_token"))
}

#[tokio::test]
async fn login_answers_the_documented_fields() {
    let rig = start(quick()).await;
    let body: Value = rig.login(1).await.json().await.expect("JSON");
    assert_eq!(body["owner_id"], rig.accounts[1].extension_id);
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(body["refresh_token_expires_in"], 604_800);
    assert_eq!(body["token_type"], "bearer");
    assert!(body["endpoint_id"].is_string() && body["session_id"].is_string());
    let token = body["access_token"].as_str().expect("a token");
    let lower = rig.http.get(rig.url(ME)).header("authorization", format!("bearer {token}"));
    assert_eq!(outcome(lower).await.0, 200);
}

#[tokio::test]
async fn without_the_app_switch_there_is_no_refresh_token() {
    let rig = start(SimulatorConfig { app: AppSettings::default(), ..quick() }).await;
    let body: Value = rig.login(0).await.json().await.expect("JSON");
    assert!(body.get("refresh_token").is_none());
}

#[tokio::test]
async fn bad_credentials_have_their_codes() {
    let rig = start(SimulatorConfig { auth_per_app: true, ..many_logins() }).await;
    let jwt = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let good = rig.accounts[0].jwt.clone();
    let forged = format!("{good}x");
    for (form, expected) in [
        (vec![("grant_type", jwt), ("assertion", "nonsense")], (400, "OAU-331")),
        (vec![("grant_type", jwt), ("assertion", forged.as_str())], (400, "OAU-345")),
        (vec![("grant_type", "password"), ("username", "x")], (400, "OAU-250")),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "x")], (400, "OAU-213")),
        (vec![("grant_type", jwt), ("assertion", &good), ("client_id", "other")], (400, "OAU-153")),
    ] {
        assert_eq!(outcome_of(rig.oauth(&form).await).await, (expected.0, expected.1.into()));
    }
    let url = rig.url("/restapi/oauth/token");
    let form = [("grant_type", jwt), ("assertion", &good)];
    let wrong = rig.http.post(&url).basic_auth(rig.simulator.client_id(), Some("no")).form(&form);
    assert_eq!(outcome(wrong).await, (401, "OAU-146".into()));
    assert_eq!(outcome(rig.http.post(&url).form(&form)).await, (401, "OAU-123".into()));
    let bare = [("client_id", rig.simulator.client_id()), form[0], ("assertion", &good)];
    assert_eq!(outcome(rig.http.post(&url).form(&bare)).await, (401, "OAU-123".into()));
    rig.admin(0, "revoke-jwt", &json!({})).await;
    let revoked = rig.login(0).await.json::<Value>().await.expect("JSON");
    assert_eq!(revoked["error"], "invalid_grant");
}

#[tokio::test]
async fn refresh_rotates_and_the_old_access_token_dies_at_once() {
    let rig = start(SimulatorConfig {
        corrupted_for: Duration::from_millis(800),
        replay_after_use: Duration::from_millis(800),
        ..many_logins()
    })
    .await;
    let (old_access, old_refresh) = pair(&rig).await;
    assert_eq!(outcome(rig.get(&old_access, ME)).await.0, 200);
    let fresh = tokens(&rig.refresh(&old_refresh).await.json().await.expect("JSON"));
    assert_eq!(outcome(rig.get(&old_access, ME)).await, (401, "OAU-129".into()));
    // Unused: the replay gives the same pair.
    let replay = tokens(&rig.refresh(&old_refresh).await.json().await.expect("JSON"));
    assert_eq!(replay, fresh);
    // Used: only for a while longer.
    assert_eq!(outcome(rig.get(&fresh.0, ME)).await.0, 200);
    let replay = tokens(&rig.refresh(&old_refresh).await.json().await.expect("JSON"));
    assert_eq!(replay, fresh);
    tokio::time::sleep(Duration::from_millis(900)).await;
    let late = outcome_of(rig.refresh(&old_refresh).await).await;
    assert_eq!(late, (400, "OAU-213".into()));
    assert_eq!(outcome(rig.get(&old_access, ME)).await, (401, "OAU-213".into()));
    assert_eq!(outcome(rig.get(&fresh.0, ME)).await.0, 200);
}

#[tokio::test]
async fn expired_tokens_say_so() {
    let rig = start(SimulatorConfig {
        access_token_ttl: Duration::from_millis(100),
        refresh_token_ttl: Duration::from_millis(200),
        ..many_logins()
    })
    .await;
    let (access, refresh) = pair(&rig).await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(outcome(rig.get(&access, ME)).await, (401, "OAU-128".into()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(outcome_of(rig.refresh(&refresh).await).await, (400, "OAU-210".into()));
}

#[tokio::test]
async fn a_sixth_session_ends_the_first() {
    let rig = start(many_logins()).await;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(pair(&rig).await.0);
    }
    assert_eq!(outcome(rig.get(&sessions[0], ME)).await, (401, "OAU-213".into()));
    assert_eq!(outcome(rig.get(&sessions[1], ME)).await.0, 200);
    assert_eq!(rig.simulator.report().sessions_max, 5);
}

#[tokio::test]
async fn revoke_ends_the_whole_session() {
    let rig = start(many_logins()).await;
    let (access, refresh) = pair(&rig).await;
    let other = pair(&rig).await.0;
    let revoke = rig
        .http
        .post(rig.url("/restapi/oauth/revoke"))
        .basic_auth(rig.simulator.client_id(), Some(rig.simulator.client_secret()))
        .form(&[("token", &access)]);
    assert_eq!(outcome(revoke).await.0, 200);
    assert_eq!(outcome(rig.get(&access, ME)).await, (401, "OAU-213".into()));
    assert_eq!(outcome_of(rig.refresh(&refresh).await).await, (400, "OAU-213".into()));
    assert_eq!(outcome(rig.get(&other, ME)).await.0, 200);
}

#[tokio::test]
async fn lifetimes_are_clamped_not_refused() {
    let rig = start(many_logins()).await;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    for (asked, given) in [("-1", 3600), ("60", 600), ("1800", 1800), ("90000", 3600), ("x", 3600)] {
        let form = [("grant_type", grant), ("assertion", &rig.accounts[0].jwt), ("access_token_ttl", asked)];
        let body: Value = rig.oauth(&form).await.json().await.expect("JSON");
        assert_eq!(body["expires_in"], given, "{asked}");
    }
}

#[tokio::test]
async fn auth_is_counted_per_user_or_per_app() {
    let rig = start(quick()).await;
    for _ in 0..5 {
        assert_eq!(rig.login(0).await.status(), 200);
    }
    assert_eq!(rig.login(0).await.status(), 429);
    assert_eq!(rig.login(1).await.status(), 200);
    let report = rig.simulator.report();
    assert_eq!((report.auth_requests, report.auth_429, report.http_429), (7, 1, 0));

    let rig = start(SimulatorConfig { auth_per_app: true, ..quick() }).await;
    for account in [0, 1, 2, 0, 1] {
        assert_eq!(rig.login(account).await.status(), 200);
    }
    let refused = rig.login(2).await;
    assert_eq!(refused.headers()["x-rate-limit-group"], "auth");
    assert_eq!(outcome_of(refused).await, (429, "CMN-301".into()));
    assert_eq!(rig.simulator.report().over_plan, 1);
}

#[tokio::test]
async fn auth_can_have_a_window_of_its_own() {
    let auth_window = Some(Duration::from_millis(300));
    let rig = start(SimulatorConfig { auth_window, limits: Limits { auth: 1, ..Limits::default() }, ..quick() }).await;
    assert_eq!(rig.login(0).await.status(), 200);
    let refused = rig.login(0).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().expect("a value")));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(rig.login(0).await.status(), 200);
    assert_eq!(rig.simulator.report().over_plan, 1);
}

#[tokio::test]
async fn tokens_can_be_as_short_as_a_second() {
    let ttl = Duration::from_secs(1);
    let rig = start(SimulatorConfig { access_token_ttl: ttl, refresh_token_ttl: ttl, ..many_logins() }).await;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let form = [("grant_type", grant), ("assertion", &rig.accounts[0].jwt), ("access_token_ttl", "3600")];
    let body: Value = rig.oauth(&form).await.json().await.expect("JSON");
    assert_eq!((&body["expires_in"], &body["refresh_token_expires_in"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_changed_password_ends_all_sessions() {
    let rig = start(many_logins()).await;
    let (access, refresh) = pair(&rig).await;
    rig.admin(0, "password", &json!({"password": "another"})).await;
    assert_eq!(outcome(rig.get(&access, ME)).await, (401, "OAU-213".into()));
    assert_eq!(outcome_of(rig.refresh(&refresh).await).await, (400, "OAU-213".into()));
    assert_eq!(rig.login(0).await.status(), 200);
}

#[tokio::test]
async fn an_unused_token_can_be_asked_for_again_only_so_long() {
    let rig = start(SimulatorConfig { replay_while_unused: Duration::from_millis(200), ..many_logins() }).await;
    let (_, old) = pair(&rig).await;
    let fresh = tokens(&rig.refresh(&old).await.json().await.expect("JSON"));
    assert_eq!(tokens(&rig.refresh(&old).await.json().await.expect("JSON")), fresh);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(outcome_of(rig.refresh(&old).await).await, (400, "OAU-213".into()));
}
