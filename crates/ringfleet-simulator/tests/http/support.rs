//! A simulator and a client that knows its accounts.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use ringfleet_simulator::{Account, AppSettings, Fault, FaultMatch, FaultRule, Simulator, SimulatorConfig};
use serde_json::{Value, json};

pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) accounts: Vec<Account>,
    pub(crate) http: Client,
}

pub(crate) fn quick() -> SimulatorConfig {
    SimulatorConfig {
        extensions: 3,
        app: AppSettings { refresh_tokens: true, ..AppSettings::default() },
        ..SimulatorConfig::default()
    }
}

pub(crate) async fn start(config: SimulatorConfig) -> Rig {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(config).await.expect("a free port");
    let accounts = simulator.accounts();
    let http = Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
    Rig { simulator, accounts, http }
}

impl Rig {
    pub(crate) fn token(&self, account: usize) -> String {
        let id = &self.accounts[account].extension_id;
        self.simulator.access_token(id).expect("a known extension")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> RequestBuilder {
        self.http.get(self.url(path)).bearer_auth(token)
    }

    pub(crate) fn send(&self, token: &str, body: &Value) -> RequestBuilder {
        let path = "/restapi/v1.0/account/~/extension/~/sms";
        self.http.post(self.url(path)).bearer_auth(token).json(body)
    }

    /// A text from the first number of an account.
    pub(crate) fn text(&self, account: usize, to: &str, text: &str) -> Value {
        sms(&self.accounts[account].numbers[0], to, text)
    }

    pub(crate) async fn login(&self, account: usize) -> Response {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        self.oauth(&[("grant_type", grant), ("assertion", &self.accounts[account].jwt)]).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Response {
        self.oauth(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub(crate) async fn oauth(&self, form: &[(&str, &str)]) -> Response {
        self.http
            .post(self.url("/restapi/oauth/token"))
            .basic_auth(self.simulator.client_id(), Some(self.simulator.client_secret()))
            .form(form)
            .send()
            .await
            .expect("an answer")
    }

    pub(crate) fn fault(&self, fault: Fault) {
        let rule = FaultRule { id: String::new(), matching: FaultMatch::default(), fault, times: Some(1) };
        self.simulator.add_fault(rule);
    }

    pub(crate) async fn admin(&self, account: usize, call: &str, body: &Value) -> Value {
        let id = &self.accounts[account].extension_id;
        let url = self.url(&format!("/simulator/extensions/{id}/{call}"));
        let answer = self.http.post(url).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success());
        answer.json().await.expect("JSON")
    }

    /// Changes the app's settings.
    pub(crate) async fn settings(&self, changes: &Value) {
        let answer = self.http.patch(self.url("/simulator/app")).json(changes).send().await.expect("an answer");
        assert!(answer.status().is_success());
    }
}

pub(crate) fn sms(from: &str, to: &str, text: &str) -> Value {
    json!({"from": {"phoneNumber": from}, "to": [{"phoneNumber": to}], "text": text})
}

/// Status and `errors[0].errorCode` of an answer.
pub(crate) async fn outcome(request: RequestBuilder) -> (u16, String) {
    outcome_of(request.send().await.expect("an answer")).await
}

pub(crate) async fn outcome_of(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    let code = body["errors"][0]["errorCode"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

pub(crate) async fn body(request: RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}
