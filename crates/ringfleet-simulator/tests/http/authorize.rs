//! The login page, and what becomes of its codes.

use std::time::Duration;

use reqwest::{Client, Response, redirect};
use ringfleet_simulator::{AppSettings, GrantKind, Limits, SimulatorConfig};
use serde_json::{Value, json};

use crate::support::{Rig, outcome, outcome_of, quick, start};

const CALLBACK: &str = "http://127.0.0.1:9/back?from=rc";
const PAGE: &str = "/restapi/oauth/authorize";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn app() -> AppSettings {
    let redirect_uris = vec![CALLBACK.to_owned(), "http://127.0.0.1:9/other".to_owned()];
    AppSettings { refresh_tokens: true, redirect_uris, ..AppSettings::default() }
}

fn config() -> SimulatorConfig {
    SimulatorConfig { app: app(), limits: Limits { auth: 1000, ..Limits::default() }, ..quick() }
}

/// A browser that stops at the redirect.
async fn browser(config: SimulatorConfig) -> Rig {
    let mut rig = start(config).await;
    rig.http = Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(redirect::Policy::none())
        .build()
        .expect("a client");
    rig
}

fn request<'a>(rig: &'a Rig, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [
        ("response_type", "code"),
        ("client_id", rig.simulator.client_id()),
        ("redirect_uri", CALLBACK),
        ("state", "s&t a=te"),
    ];
    let replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
    usual.into_iter().filter(|(name, _)| !replaced(name)).chain(more.iter().copied()).collect()
}

async fn page(rig: &Rig, more: &[(&str, &str)]) -> (u16, String) {
    let answer = rig.http.get(rig.url(PAGE)).query(&request(rig, more)).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("HTML"))
}

async fn decide(rig: &Rig, more: &[(&str, &str)]) -> Response {
    rig.http.post(rig.url(PAGE)).form(&request(rig, more)).send().await.expect("an answer")
}

fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), 302);
    answer.headers()["location"].to_str().expect("text").to_owned()
}

/// Signs in as the first extension and returns the code.
async fn code(rig: &Rig, more: &[(&str, &str)]) -> String {
    let password = rig.simulator.password(&rig.accounts[0].extension_id).expect("a password");
    let signed = [&[("login", "101"), ("password", &password), ("decision", "allow")], more].concat();
    let location = location(&decide(rig, &signed).await);
    let code = location.split("code=").nth(1).expect("a code");
    code.split('&').next().expect("a value").to_owned()
}

async fn redeem(rig: &Rig, code: &str, more: &[(&str, &str)]) -> Response {
    let usual = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    let replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
    let form: Vec<_> = usual.into_iter().filter(|(name, _)| !replaced(name)).chain(more.iter().copied()).collect();
    rig.oauth(&form).await
}

#[tokio::test]
async fn a_person_signs_in_and_the_app_gets_a_token() {
    let rig = browser(config()).await;
    let (status, html) = page(&rig, &[("state", "\"><script>")]).await;
    assert_eq!(status, 200);
    assert!(html.contains("name=\"login\"") && html.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{html}");
    let password = rig.simulator.password(&rig.accounts[1].extension_id).expect("a password");
    let number = rig.accounts[1].numbers[0].as_str();
    let answer = decide(&rig, &[("login", number), ("password", &password), ("decision", "allow")]).await;
    let location = location(&answer);
    let rest = location.strip_prefix(&format!("{CALLBACK}&code=")).expect("the registered URI, then the code");
    let code = rest.strip_suffix("&expires_in=60&state=s%26t%20a%3Dte").expect("lifetime and state");
    let token: Value = redeem(&rig, code, &[]).await.json().await.expect("JSON");
    assert_eq!(token["owner_id"], rig.accounts[1].extension_id);
    let refresh = token["refresh_token"].as_str().expect("a refresh token");
    assert_eq!(rig.refresh(refresh).await.status(), 200);
    assert_eq!(outcome_of(redeem(&rig, code, &[]).await).await, (403, "OAU-106".into()));
}

#[tokio::test]
async fn denial_goes_to_the_app_and_a_wrong_password_to_the_person() {
    let rig = browser(config()).await;
    let denied = location(&decide(&rig, &[("decision", "deny")]).await);
    assert!(denied.starts_with(&format!("{CALLBACK}&error=access_denied&")), "{denied}");
    assert!(denied.ends_with("&state=s%26t%20a%3Dte"), "{denied}");
    for login in ["101", "nobody"] {
        let wrong = decide(&rig, &[("login", login), ("password", "x"), ("decision", "allow")]).await;
        assert_eq!(wrong.status(), 401);
        let html = wrong.text().await.expect("HTML");
        assert!(html.contains("OAU-140") && html.contains("name=\"password\""), "{html}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_request_stays_on_the_page() {
    let rig = browser(config()).await;
    for (parameter, expected) in [
        (("redirect_uri", "http://127.0.0.1:9/evil"), (403, "OAU-109")),
        (("redirect_uri", ""), (403, "OAU-109")),
        (("client_id", "other"), (400, "OAU-153")),
        (("client_id", ""), (400, "OAU-155")),
        (("response_type", "token"), (400, "OAU-152")),
        (("code_challenge_method", "S512"), (403, "OAU-116")),
    ] {
        let (status, html) = page(&rig, &[parameter, ("code_challenge", "x")]).await;
        assert_eq!(status, expected.0, "{parameter:?}");
        assert!(html.contains(expected.1) && !html.contains("<form"), "{html}");
        let answer = decide(&rig, &[parameter, ("code_challenge", "x"), ("decision", "deny")]).await;
        assert_eq!(answer.status(), expected.0, "no redirect for {parameter:?}");
    }
    for (change, expected) in [
        (json!({"grants": ["jwt"]}), (403, "OAU-112")),
        (json!({"redirect_uris": [], "grants": ["authorization_code"]}), (403, "OAU-113")),
        (json!({"other_environment": true}), (401, "OAU-165")),
    ] {
        rig.settings(&change).await;
        let (status, html) = page(&rig, &[]).await;
        assert_eq!((status, html.contains(expected.1)), (expected.0, true), "{html}");
    }
}

#[tokio::test]
async fn a_code_is_bound_to_client_redirect_uri_and_verifier() {
    let rig = browser(config()).await;
    let refused = async |code: &str, more: &[(&str, &str)]| outcome_of(redeem(&rig, code, more).await).await;
    let bound = code(&rig, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]).await;
    let good = [("code_verifier", VERIFIER)];
    let other_uri = [("redirect_uri", "http://127.0.0.1:9/other"), good[0]];
    assert_eq!(refused(&bound, &other_uri).await, (403, "OAU-109".into()));
    assert_eq!(refused(&bound, &[]).await, (403, "OAU-106".into()));
    assert_eq!(refused(&bound, &[("code_verifier", CHALLENGE)]).await, (403, "OAU-106".into()));
    assert_eq!(redeem(&rig, &bound, &good).await.status(), 200);
    let plain = code(&rig, &[("code_challenge", "abc")]).await;
    assert_eq!(redeem(&rig, &plain, &[("code_verifier", "abc")]).await.status(), 200);
    assert_eq!(refused("nonsense", &[]).await, (403, "OAU-106".into()));

    let stray = code(&rig, &[]).await;
    let session: Value = redeem(&rig, &code(&rig, &[]).await, &[]).await.json().await.expect("JSON");
    rig.settings(&json!({"client_id": "renamed"})).await;
    let as_renamed = async |form: &[(&str, &str)]| {
        let secret = rig.simulator.client_secret();
        let request = rig.http.post(rig.url("/restapi/oauth/token")).basic_auth("renamed", Some(secret)).form(form);
        outcome(request).await
    };
    let form = [("grant_type", "authorization_code"), ("code", &stray), ("redirect_uri", CALLBACK)];
    assert_eq!(as_renamed(&form).await, (403, "OAU-110".into()));
    let refresh = session["refresh_token"].as_str().expect("a refresh token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(as_renamed(&form).await, (401, "OAU-121".into()));
}

#[tokio::test]
async fn a_code_lives_only_so_long() {
    let rig = browser(SimulatorConfig { code_ttl: Duration::from_millis(150), ..config() }).await;
    let code = code(&rig, &[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(outcome_of(redeem(&rig, &code, &[]).await).await, (403, "OAU-108".into()));
}

#[tokio::test]
async fn a_public_client_logs_in_with_its_id_alone() {
    let public = AppSettings { public_client: true, ..app() };
    let rig = browser(SimulatorConfig { app: public, ..config() }).await;
    let code = code(&rig, &[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", rig.simulator.client_id()),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let url = rig.url("/restapi/oauth/token");
    assert_eq!(outcome(rig.http.post(&url).form(&form)).await.0, 200);
    rig.settings(&json!({"public_client": false})).await;
    assert_eq!(outcome(rig.http.post(&url).form(&form)).await, (401, "OAU-123".into()));
}

#[tokio::test]
async fn five_wrong_passwords_lock_the_user_out_everywhere() {
    let mut app = app();
    app.grants.push(GrantKind::Password);
    let rig = browser(SimulatorConfig { app, ..config() }).await;
    let extension = &rig.accounts[0].extension_id;
    let right = rig.simulator.password(extension).expect("a password");
    let name = rig.accounts[0].numbers[0].as_str();
    let log_in = async |password: &str| {
        let form = [("grant_type", "password"), ("username", name), ("password", password)];
        outcome_of(rig.oauth(&form).await).await
    };
    assert_eq!(log_in(&right).await.0, 200);
    for _ in 0..5 {
        assert_eq!(log_in("wrong").await, (401, "OAU-140".into()));
    }
    assert_eq!(log_in(&right).await, (400, "OAU-147".into()));
    let page = decide(&rig, &[("login", "101"), ("password", &right), ("decision", "allow")]).await;
    assert!(page.text().await.expect("HTML").contains("OAU-147"));
    rig.admin(0, "password", &json!({"password": "fresh"})).await;
    assert_eq!(log_in(&right).await, (401, "OAU-140".into()));
    assert_eq!(log_in("fresh").await.0, 200);
    let main = [("grant_type", "password"), ("username", "+15550099999"), ("extension", "101"), ("password", "fresh")];
    assert_eq!(outcome_of(rig.oauth(&main).await).await.0, 200);
}
