//! Every way to log in, kept in the store: each sends, a refused one gives way to the next, and a change takes effect at once.

use std::time::Duration;

use ringcentral::{ExtensionId, Jwt, RefreshToken};
use ringfleet_identity::{Credential, Facts, KeyRing, Login, Method, Source, Vault};
use ringfleet_simulator::GrantKind;
use ringfleet_store::State;
use ringfleet_testkit::eventually;
use serde_json::json;

use crate::{
    credential_commands::{Keyed, told},
    rig::{Ends, RigOptions, Waiting, http},
};

const CALLBACK: &str = "http://127.0.0.1:9/back";

/// A fleet without an accounts file, and a hand on its credentials.
pub(crate) struct Fleet {
    pub(crate) keyed: Keyed,
    pub(crate) vault: Vault,
}

impl Fleet {
    pub(crate) async fn start(mut options: RigOptions) -> Self {
        let app = &mut options.simulator.app;
        app.redirect_uris = vec![CALLBACK.to_owned()];
        app.grants.push(GrantKind::Password);
        let keyed = Keyed::start(options).await;
        let keys = KeyRing::from_file(keyed.rig.path("keys")).unwrap();
        let vault = Vault::new(keyed.rig.store.clone(), keys.into(), "main");
        Self { keyed, vault }
    }

    pub(crate) fn start_worker(&mut self, failpoint: Option<&str>) {
        let environment = self.keyed.environment();
        let mut environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        environment.extend(failpoint.map(|place| ("RINGFLEET_FAILPOINT", place)));
        self.keyed.rig.start_worker_with(&environment);
    }

    pub(crate) fn id(&self, extension: usize) -> ExtensionId {
        ExtensionId::try_new(&self.keyed.rig.accounts[extension].extension_id).unwrap()
    }

    fn password(&self, extension: usize) -> String {
        self.keyed.rig.simulator.password(&self.keyed.rig.accounts[extension].extension_id).unwrap()
    }

    pub(crate) fn by_jwt(&self, extension: usize) -> Login {
        Login::Jwt(Jwt::try_new(&self.keyed.rig.accounts[extension].jwt).unwrap())
    }

    fn by_password(&self, extension: usize) -> Login {
        let username = self.keyed.rig.accounts[extension].numbers[0].clone();
        Login::Password { username, extension: None, password: self.password(extension).into() }
    }

    /// As an employee connects an extension: the login page, and the first exchange of its code.
    pub(crate) async fn by_code(&self, extension: usize) -> Login {
        let rig = &self.keyed.rig;
        let login = rig.accounts[extension].extension_number.clone();
        let page = format!("{}/restapi/oauth/authorize", rig.simulator.base_url());
        ringcentral::install_crypto();
        let browser =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let password = self.password(extension);
        let form = [
            ("response_type", "code"),
            ("client_id", rig.simulator.client_id()),
            ("redirect_uri", CALLBACK),
            ("state", "x"),
            ("login", &login),
            ("password", &password),
            ("decision", "allow"),
        ];
        let answer = browser.post(page).form(&form).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap();
        let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        let token = self.token(&form).await;
        let refresh = RefreshToken::try_new(token["refresh_token"].as_str().unwrap()).unwrap();
        Login::Code { connection: format!("connection-{extension}"), refresh }
    }

    async fn token(&self, form: &[(&str, &str)]) -> serde_json::Value {
        let simulator = &self.keyed.rig.simulator;
        let request = http().post(format!("{}/restapi/oauth/token", simulator.base_url()));
        let request = request.basic_auth(simulator.client_id(), Some(simulator.client_secret())).form(form);
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn put(&self, extension: usize, login: Login, prefer: u8) {
        let credential = Credential {
            extension: self.id(extension),
            login,
            prefer,
            enabled: true,
            source: Source::File,
            facts: Facts::default(),
        };
        self.vault.put(&credential).await.unwrap();
    }

    /// What an administrator does to an extension.
    async fn admin(&self, extension: usize, what: &str, body: serde_json::Value) {
        let id = &self.keyed.rig.accounts[extension].extension_id;
        let url = format!("{}/simulator/extensions/{id}/{what}", self.keyed.rig.simulator.base_url());
        assert!(http().post(url).json(&body).send().await.unwrap().status().is_success());
    }

    pub(crate) async fn until_parked(&self, extension: usize) -> String {
        let lane = self.keyed.rig.lane(extension);
        let parked = async || self.keyed.rig.store.lane(&lane).await.unwrap().parked;
        eventually(Duration::from_secs(20), async || parked().await.is_some()).await;
        parked().await.unwrap()
    }

    /// Whether the connection in the store is one that RingCentral still takes.
    pub(crate) async fn connection_is_alive(&self, extension: usize) -> bool {
        let credential = self.vault.get(&self.id(extension), Method::Code).await.unwrap().unwrap();
        let Login::Code { refresh, .. } = &credential.login else { panic!("no connection") };
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        self.token(&form).await["access_token"].is_string()
    }
}

fn options(extensions: u32) -> RigOptions {
    RigOptions::new(extensions, Duration::from_secs(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_a_password_and_a_connection_each_send_a_text() {
    let mut fleet = Fleet::start(options(3)).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.put(1, fleet.by_password(1), 30).await;
    fleet.put(2, fleet.by_code(2).await, 20).await;
    for extension in 0..3 {
        fleet.keyed.rig.enqueue(extension, 1, None).await;
    }
    fleet.start_worker(None);
    fleet.keyed.rig.until_ended(3, Duration::from_secs(30)).await;
    assert_eq!(fleet.keyed.rig.stats().await.count(State::Sent), 3);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.sessions_max, report.logins, report.refreshes), (1, 3, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_the_answer_to_a_refresh_and_its_write_costs_no_connection() {
    let mut options = options(1).quick();
    options.simulator.access_token_ttl = Duration::from_secs(3);
    let mut fleet = Fleet::start(options).await;
    fleet.put(0, fleet.by_code(0).await, 20).await;
    fleet.keyed.rig.enqueue(0, 150, None).await;
    // It gets a start, so that it is it who refreshes first.
    fleet.start_worker(Some("refresh.after_response=kill@1"));
    eventually(Duration::from_secs(20), async || fleet.keyed.rig.simulator.report().refreshes > 0).await;
    fleet.start_worker(None);
    fleet.keyed.rig.until_ended(150, Duration::from_secs(60)).await;
    assert!(fleet.keyed.rig.worker_has_ended(0), "the worker never came to the place");
    assert!(fleet.connection_is_alive(0).await);
    assert_eq!(fleet.keyed.rig.stats().await.count(State::Sent), 150);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.sessions_max, report.logins, report.auth_refused), (1, 1, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_credentials_under_load_loses_nothing_and_keeps_the_connection() {
    let mut fleet = Fleet::start(options(1)).await;
    fleet.put(0, fleet.by_code(0).await, 20).await;
    // 40 in two seconds: it lasts longer than both switches may take, for an extension without work makes no new login.
    fleet.keyed.rig.enqueue(0, 600, None).await;
    for _ in 0..2 {
        fleet.start_worker(None);
    }
    fleet.keyed.rig.until_ended(40, Duration::from_secs(30)).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    let logins = || fleet.keyed.rig.simulator.report().logins;
    eventually(Duration::from_secs(10), async || logins() == 2).await;
    fleet.put(0, fleet.by_password(0), 1).await;
    eventually(Duration::from_secs(10), async || logins() == 3).await;
    fleet.vault.remove(&fleet.id(0), Method::Password).await.unwrap();
    fleet.keyed.rig.until_ended(600, Duration::from_secs(90)).await;
    assert!(fleet.connection_is_alive(0).await);
    assert_eq!(fleet.keyed.rig.stats().await.count(State::Sent), 600);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.unauthorized, report.auth_refused), (0, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_gives_way_to_the_next_one() {
    let mut fleet = Fleet::start(options(1)).await;
    fleet.admin(0, "revoke-jwt", json!({})).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.put(0, fleet.by_password(0), 30).await;
    fleet.keyed.rig.enqueue(0, 60, None).await;
    for _ in 0..3 {
        fleet.start_worker(None);
    }
    fleet.keyed.rig.until_ended(60, Duration::from_secs(30)).await;
    let jwt = fleet.vault.get(&fleet.id(0), Method::Jwt).await.unwrap().unwrap();
    assert_eq!(jwt.facts.refused.map(|refused| refused.code).as_deref(), Some("OAU-211"));
    let alerts = fleet.keyed.rig.logs().matches("credential refused").count();
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.auth_refused, report.logins, alerts), (1, 1, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_the_accounts_file_that_is_good_again_is_passed_over_no_more_after_a_check() {
    let mut fleet = Fleet::start(options(1)).await;
    let [_, (name, keys)] = fleet.keyed.environment();
    let beside_the_file = [(name, keys.as_str())];
    fleet.admin(0, "revoke-jwt", json!({})).await;
    fleet.put(0, fleet.by_password(0), 30).await;
    fleet.keyed.rig.enqueue(0, 20, None).await;
    fleet.keyed.rig.start_worker_with(&beside_the_file);
    fleet.keyed.rig.until_ended(20, Duration::from_secs(30)).await;
    let id = fleet.id(0);
    let names = [id.as_str().to_owned()];
    let refused = async || fleet.keyed.rig.store.sessions(&names).await.unwrap()[0].refused.len();
    assert_eq!(refused().await, 1, "the JWT of the file comes first");
    fleet.admin(0, "restore-jwt", json!({})).await;
    let check = fleet.keyed.rig.run_with(&["credentials", "check", id.as_str()], &beside_the_file);
    assert!(check.status.success(), "{}", told(&check));
    assert_eq!(refused().await, 0);
    fleet.keyed.rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_lane_goes_on_within_seconds_of_a_new_credential() {
    let mut fleet = Fleet::start(options(1)).await;
    fleet.admin(0, "revoke-jwt", json!({})).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.keyed.rig.enqueue(0, 20, None).await;
    for _ in 0..3 {
        fleet.start_worker(None);
    }
    let reason = fleet.until_parked(0).await;
    assert!(reason.starts_with("credential OAU-211"), "{reason}");
    fleet.put(0, fleet.by_code(0).await, 20).await;
    fleet.keyed.rig.until_ended(20, Duration::from_secs(15)).await;
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.auth_refused), (20, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_extension_parks_its_lane_with_one_alert_and_no_login_loop() {
    let mut fleet = Fleet::start(options(2)).await;
    for extension in 0..2 {
        fleet.put(extension, fleet.by_jwt(extension), 10).await;
        fleet.keyed.rig.enqueue(extension, 120, None).await;
    }
    for _ in 0..3 {
        fleet.start_worker(None);
    }
    fleet.keyed.rig.until_ended(60, Duration::from_secs(30)).await;
    fleet.admin(0, "status", json!({"status": "Disabled"})).await;
    let reason = fleet.until_parked(0).await;
    assert!(reason.starts_with("credential OAU-236"), "{reason}");
    let ended = fleet.keyed.rig.stats().await;
    assert_eq!(ended.count(State::Rejected) + ended.count(State::Dead), 0);
    let refused = fleet.keyed.rig.simulator.report().auth_refused;
    assert!(refused <= 2, "{refused} logins were refused: a refresh and a login are enough");
    assert_eq!(fleet.keyed.rig.logs().matches("credential refused").count(), 1);
    // It is enabled again, and the operator says so.
    fleet.admin(0, "status", json!({"status": "Enabled"})).await;
    let id = fleet.id(0);
    assert!(fleet.keyed.rig.run(&["lane", "resume", id.as_str()]).status.success());
    fleet.keyed.rig.until_ended(240, Duration::from_secs(60)).await;
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!(report.accepted, 240, "{report:?}");
}

/// A worker has learnt of the refusal, and stands still before it tells; when it goes on, a person has resumed the lane, and
/// nobody has logged in since, which would let it go on too. (A process that is stopped may hold SQLite's lock.)
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_told_after_the_lane_was_resumed_does_not_park_it_again() {
    let mut fleet = Fleet::start(options(1)).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.admin(0, "status", json!({"status": "Disabled"})).await;
    fleet.keyed.rig.enqueue(0, 1, None).await;
    fleet.start_worker(Some("park.before=stop@1"));
    fleet.keyed.rig.until_met(0).await;
    fleet.keyed.rig.enqueue(0, 59, None).await;
    fleet.start_worker(None);
    fleet.until_parked(0).await;
    fleet.keyed.rig.signal_worker(1, "TERM");
    eventually(Duration::from_secs(10), async || fleet.keyed.rig.worker_has_ended(1)).await;
    fleet.admin(0, "status", json!({"status": "Enabled"})).await;
    let id = fleet.id(0);
    assert!(fleet.keyed.rig.run(&["lane", "resume", id.as_str()]).status.success());
    fleet.keyed.rig.signal_worker(0, "CONT");
    fleet.keyed.rig.until_ended(60, Duration::from_secs(30)).await;
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.auth_refused), (60, 1), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_others_have_pushed_out_is_replaced_once() {
    let mut fleet = Fleet::start(options(1)).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.keyed.rig.enqueue(0, 120, None).await;
    for _ in 0..3 {
        fleet.start_worker(None);
    }
    fleet.keyed.rig.until_ended(40, Duration::from_secs(30)).await;
    // Five sessions live at a time; each of these is one more.
    for _ in 0..5 {
        let url = format!("{}/simulator/accounts?tokens=true", fleet.keyed.rig.simulator.base_url());
        assert!(http().get(url).send().await.unwrap().status().is_success());
    }
    fleet.keyed.rig.until_ended(120, Duration::from_secs(60)).await;
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert!(report.unauthorized > 0 && report.logins == 2, "{report:?}");
    assert_eq!(report.accepted, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_whose_only_credential_is_taken_away_waits() {
    let mut fleet = Fleet::start(options(1)).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.keyed.rig.enqueue(0, 400, None).await;
    // One that has the session in its hands: another would ask for it, and notice for that reason.
    fleet.start_worker(None);
    fleet.keyed.rig.until_ended(40, Duration::from_secs(30)).await;
    fleet.vault.remove(&fleet.id(0), Method::Jwt).await.unwrap();
    let reason = fleet.until_parked(0).await;
    assert_eq!(reason, "credential no-credential");
    let because = "the credential was taken away";
    fleet.keyed.rig.finish(Ends::waiting(Waiting::Rest, because)).await;
}
