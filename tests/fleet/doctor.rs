//! `ringfleet doctor` names the cause and the next step of what goes wrong when a fleet is set up: one test a code, each
//! brought about at the simulator as a person would bring it about.

mod logins;

use std::time::{Duration, Instant};

use ringcentral::explain;
use ringfleet_testkit::RedisServer;
use serde_json::{Value, json};

use crate::{
    credential_commands::{Keyed, told},
    rig::{Ends, RigOptions, http},
};

/// Where employees come back to.
const CALLBACK: &str = "http://127.0.0.1:8481/connect/callback";

/// A set-up of two extensions over SQLite, everything in order.
struct Clinic {
    fleet: Keyed,
    /// Beside the rig's settings.
    settings: Vec<(&'static str, String)>,
    arguments: Vec<&'static str>,
}

impl Clinic {
    async fn start() -> Self {
        let mut options = RigOptions::new(2, Duration::from_secs(2)).on_sqlite();
        options.simulator.app.redirect_uris = vec![CALLBACK.to_owned()];
        let fleet = Keyed::start(options).await;
        Self { fleet, settings: Vec::new(), arguments: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn with(mut self, arguments: &[&'static str]) -> Self {
        self.arguments.extend(arguments);
        self
    }

    fn extension(&self, n: usize) -> &str {
        &self.fleet.rig.accounts[n].extension_id
    }

    /// Something is changed at the provider.
    async fn provider(&self, path: &str, body: Value) {
        let url = format!("{}/simulator/{path}", self.fleet.rig.simulator.base_url());
        let request = if path == "app" { http().patch(url) } else { http().post(url) };
        let answer = request.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    /// What the doctor says, as a person reads it, with its exit code.
    fn screen(&self, arguments: &[&str]) -> (String, i32) {
        let keys = self.fleet.rig.path("keys").display().to_string();
        let mut environment = vec![("RINGFLEET__IDENTITY__KEY_FILE", keys.as_str())];
        environment.extend(self.settings.iter().map(|(name, value)| (*name, value.as_str())));
        let output = self.fleet.rig.run_with(&[&["doctor"], &self.arguments[..], arguments].concat(), &environment);
        let text = told(&output);
        for private in self.fleet.rig.accounts.iter().flat_map(|account| account.numbers.iter().chain([&account.jwt])) {
            assert!(!text.contains(private.as_str()), "the doctor printed something private:\n{text}");
        }
        (text, output.status.code().unwrap())
    }

    async fn end(self) {
        self.fleet.rig.finish(Ends::all()).await;
    }

    /// The doctor names the code, its cause and its next step, and something of `about`.
    fn finds(&self, code: &str, about: &str) {
        let (text, status) = self.screen(&[]);
        assert_eq!(status, 1, "{text}");
        // Wrapping must not matter.
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = explain(code);
        assert!(told.is_known());
        for part in [code, told.means, told.next_step, about] {
            assert!(flat.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_in_order_has_no_fault_and_the_run_costs_the_fleet_nothing() {
    let clinic = Clinic::start().await.with(&["--redirect-uri", CALLBACK]);
    let (text, status) = clinic.screen(&[]);
    assert_eq!(status, 0, "{text}");
    for part in
        ["a server on this machine", "taken by the server", "permission: SMS", "has a session", "can text", "0 faults"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let (json, status) = clinic.screen(&["--json", "--extension", clinic.extension(1)]);
    assert_eq!(status, 0, "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let titles: Vec<_> = json["sections"].as_array().unwrap().iter().map(|s| s["title"].as_str().unwrap()).collect();
    assert!(titles.iter().any(|title| title.contains(clinic.extension(1))), "{titles:?}");
    assert!(!titles.iter().any(|title| title.contains(clinic.extension(0))), "{titles:?}");
    let report = clinic.fleet.rig.simulator.report();
    assert_eq!((report.over_plan, report.in_penalty, report.http_429, report.auth_429), (0, 0, 0, 0), "{report:?}");
    // The fleet's one, and the one that was opened to see what the app may do.
    assert!(report.sessions_max <= 2, "{report:?}");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_123_no_client_secret_is_set() {
    let clinic = Clinic::start().await.set("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", "");
    clinic.finds("OAU-123", "ringcentral.client_secret is empty");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_155_no_client_id_is_set() {
    let clinic = Clinic::start().await.set("RINGFLEET__RINGCENTRAL__CLIENT_ID", "");
    clinic.finds("OAU-155", "ringcentral.client_id is empty");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_146_the_client_secret_is_another_apps() {
    let clinic = Clinic::start().await.set("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", "of-another-app");
    clinic.finds("OAU-146", "client id and secret");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_125_the_app_may_not_refresh_and_a_connection_needs_it() {
    let clinic = Clinic::start().await.set("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "");
    let simulator = &clinic.fleet.rig.simulator;
    let jwt = &clinic.fleet.rig.accounts[0].jwt;
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", jwt.as_str())];
    let login = http().post(format!("{}/restapi/oauth/token", simulator.base_url()));
    let login = login.basic_auth(simulator.client_id(), Some(simulator.client_secret())).form(&form);
    let session: Value = login.send().await.unwrap().json().await.unwrap();
    let refresh = session["refresh_token"].as_str().unwrap();
    clinic.fleet.done(&["add", clinic.extension(0), "--method", "code"], refresh);
    clinic.provider("app", json!({"grants": ["jwt", "authorization_code"]})).await;
    clinic.finds("OAU-125", clinic.extension(0));
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_112_the_app_may_not_use_the_login_page() {
    let clinic = Clinic::start().await.with(&["--redirect-uri", CALLBACK]);
    clinic.provider("app", json!({"grants": ["jwt", "refresh_token"]})).await;
    clinic.finds("OAU-112", "login page");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_113_the_app_has_no_redirect_uri() {
    // The connect page's, which the settings name.
    let clinic = Clinic::start().await.set("RINGFLEET__CONNECT__LISTEN", "127.0.0.1:8481");
    let clinic = clinic.set("RINGFLEET__CONNECT__PUBLIC_URL", "http://127.0.0.1:8481");
    clinic.provider("app", json!({"redirect_uris": []})).await;
    clinic.finds("OAU-113", CALLBACK);
    clinic.end().await;
}

/// This program always asks for a code, so only a server that is at fault brings it about.
#[tokio::test(flavor = "multi_thread")]
async fn oau_152_the_server_takes_no_code() {
    let clinic = Clinic::start().await;
    let rule =
        json!({"match": {"endpoint": "token"}, "fault": {"kind": "error_before", "status": 400, "code": "OAU-152"}});
    clinic.fleet.rig.simulator.add_fault(serde_json::from_value(rule).unwrap());
    clinic.finds("OAU-152", "client id and secret");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_210_the_jwt_has_expired() {
    let clinic = Clinic::start().await;
    clinic.provider(&format!("extensions/{}/expire-jwt", clinic.extension(0)), Value::Null).await;
    clinic.finds("OAU-210", clinic.extension(0));
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_211_the_jwt_was_revoked() {
    let clinic = Clinic::start().await;
    clinic.provider(&format!("extensions/{}/revoke-jwt", clinic.extension(0)), Value::Null).await;
    clinic.finds("OAU-211", clinic.extension(0));
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_213_the_connection_is_no_longer_known() {
    let clinic = Clinic::start().await.set("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "");
    clinic.fleet.done(&["add", clinic.extension(0), "--method", "code"], "a-token-of-long-ago");
    clinic.finds("OAU-213", "connect the extension again");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_251_the_app_may_not_use_jwts() {
    let clinic = Clinic::start().await;
    clinic.provider("app", json!({"grants": ["authorization_code", "refresh_token"]})).await;
    clinic.finds("OAU-251", clinic.extension(1));
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_331_the_jwt_was_cut_when_it_was_copied() {
    let clinic = Clinic::start().await.set("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "");
    clinic.fleet.done(&["add", clinic.extension(0), "--method", "jwt"], "eyJhbGciOi");
    clinic.finds("OAU-331", clinic.extension(0));
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oau_473_the_jwt_was_made_for_another_app() {
    let clinic = Clinic::start().await;
    let restrict = format!("extensions/{}/restrict-jwt", clinic.extension(1));
    clinic.provider(&restrict, json!({"client_ids": ["another-app"]})).await;
    clinic.finds("OAU-473", clinic.extension(1));
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cmn_401_the_app_lacks_a_permission() {
    let clinic = Clinic::start().await;
    clinic.provider("app", json!({"permissions": ["SMS", "ReadAccounts"]})).await;
    clinic.finds("CMN-401", "permission: ReadMessages");
    clinic.finds("CMN-401", "message store");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cmn_408_the_user_lacks_a_permission() {
    let clinic = Clinic::start().await;
    let take_away = format!("extensions/{}/permissions", clinic.extension(0));
    clinic.provider(&take_away, json!({"missing": ["OutboundSMS"]})).await;
    clinic.finds("CMN-408", "the user has no OutboundSMS");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msg_304_the_number_belongs_to_a_colleague() {
    let mut clinic = Clinic::start().await;
    let [anna, bob] = [0, 1].map(|n| clinic.fleet.rig.accounts[n].clone());
    let swapped = json!([
        {"extension_id": anna.extension_id, "numbers": bob.numbers, "jwt": anna.jwt},
        {"extension_id": bob.extension_id, "numbers": [], "jwt": bob.jwt},
    ]);
    std::fs::write(clinic.fleet.rig.path("swapped.json"), swapped.to_string()).unwrap();
    clinic = clinic.set("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "swapped.json");
    clinic.finds("MSG-304", "is none of its own");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msg_367_the_number_can_not_text() {
    let clinic = Clinic::start().await;
    clinic.provider(&format!("extensions/{}/features", clinic.extension(0)), json!({"features": ["CallerId"]})).await;
    clinic.finds("MSG-367", "has no SmsSender");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_server_store_and_keys_is_told_too_and_nothing_stops_at_the_first_fault() {
    let clinic = Clinic::start().await;
    let clinic = clinic.set("RINGFLEET__RINGCENTRAL__SERVER", "http://127.0.0.1:9");
    let (text, status) = clinic.screen(&[]);
    assert_eq!(status, 1, "{text}");
    for part in ["connection refused", "is the server up", "fit for a queue", "the server has to answer first"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }

    clinic.end().await;
    let clinic = Clinic::start().await;
    clinic.fleet.done(&["add", clinic.extension(0), "--method", "jwt"], "sealed.with.another");
    let other = clinic.fleet.done(&["new-key"], "");
    std::fs::write(clinic.fleet.rig.path("keys"), other).unwrap();
    let (text, status) = clinic.screen(&[]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("not among this process's keys") && text.contains("has a session"), "{text}");

    clinic.end().await;
    let clinic = Clinic::start().await.set("RINGFLEET__WORKER__LEASE", "soon").set("RINGFLEET__API__LISTEN", "nowhere");
    let (text, status) = clinic.screen(&[]);
    assert_eq!(status, 64, "{text}");
    assert!(text.contains("worker.lease") && text.contains("api.listen"), "{text}");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_text_goes_through_the_fleet_or_is_taken_back() {
    let mut clinic = Clinic::start().await;
    clinic.fleet.rig.start_workers(1);
    let id = clinic.extension(0).to_owned();
    let (text, status) = clinic.screen(&["--extension", &id, "--send-test-to", "+15552000001"]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("sent by the fleet"), "{text}");
    assert_eq!(clinic.fleet.rig.simulator.report().accepted, 1);
    clinic.fleet.rig.handed_in_elsewhere(1);
    let (text, status) = clinic.screen(&["--send-test-to", "+15552000001"]);
    assert_eq!(status, 2, "{text}");
    assert!(!text.contains("5552000001"), "{text}");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stopped_fleet_it_says_at_once_that_nothing_is_read_and_blames_no_usage_plan() {
    let clinic = Clinic::start().await;
    let stop = clinic.fleet.rig.run(&["fleet", "stop", "--reason", "a wrong template"]);
    assert!(stop.status.success(), "{}", told(&stop));
    let began = Instant::now();
    let (text, status) = clinic.screen(&["--json"]);
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    assert_eq!(status, 1, "{text}");
    assert!(!text.contains("usage plan") && !text.contains("moves"), "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    for n in 0..2 {
        let of = |section: &&Value| section["title"].as_str().unwrap().contains(clinic.extension(n));
        let section = json["sections"].as_array().unwrap().iter().find(of).unwrap();
        let found =
            |check: &str| section["findings"].as_array().unwrap().iter().find(|one| one["check"] == check).unwrap();
        assert_eq!(found("login")["level"], "ok", "{section}");
        for check in ["reads", "lane"] {
            assert_eq!(found(check)["level"], "skip", "{section}");
            assert!(found(check)["seen"].as_str().unwrap().contains("the fleet is stopped"), "{section}");
        }
        assert!(found("reads")["seen"].as_str().unwrap().contains("`ringfleet fleet resume`"), "{section}");
    }

    let began = Instant::now();
    let (text, status) = clinic.screen(&["--extension", clinic.extension(0), "--send-test-to", "+15552000001"]);
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    assert!(status == 1 && text.contains("none is handed in"), "{text}");
    assert_eq!(clinic.fleet.rig.stats().await.total(), 0);
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_all_logins_tells_which_are_refused_and_leaves_no_session_behind() {
    let clinic = Clinic::start().await;
    clinic.provider(&format!("extensions/{}/revoke-jwt", clinic.extension(1)), Value::Null).await;
    let output = clinic.fleet.rig.run(&["credentials", "check", "--all"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in ["logs in; ", "refused: OAU-211", explain("OAU-211").next_step] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let report = clinic.fleet.rig.simulator.report();
    assert_eq!((report.sessions_max, report.auth_429), (1, 0), "{report:?}");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_redis_it_says_what_a_power_cut_would_take_or_that_it_is_not_shown() {
    let server = RedisServer::builder().append_only().start();
    let mut clinic = Clinic::start().await.set("RINGFLEET__STORE__URL", &server.url()).with(&["--json"]);
    for (command, user, level, part) in [
        ("CONFIG SET appendfsync always", "", "ok", "is on the disk"),
        ("CONFIG SET appendfsync everysec", "", "warn", "everysec: a power cut takes what was accepted"),
        ("CONFIG SET appendfsync no", "", "warn", "no: a power cut takes all that"),
        ("ACL SETUSER lean on nopass ~* &* +@all -config", "lean:any-password@", "skip", "must be always"),
    ] {
        let answer = server.ask(&command.split(' ').collect::<Vec<_>>());
        assert!(answer.as_deref().is_some_and(|answer| answer.starts_with("+OK")), "{command}: {answer:?}");
        clinic = clinic.set("RINGFLEET__STORE__URL", &format!("redis://{user}{}/0", server.address()));
        let (text, status) = clinic.screen(&[]);
        assert_eq!(status, 0, "{text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        let findings = json["sections"].as_array().unwrap().iter().find(|section| section["title"] == "Store").unwrap();
        let found = findings["findings"].as_array().unwrap().iter().find(|one| one["check"] == "appendfsync").unwrap();
        assert_eq!(found["level"], level, "{found}");
        assert!(found["seen"].as_str().unwrap().contains(part), "{found}");
    }
    clinic.end().await;
}
