//! A simulator, a store, pages of two processes, and browsers.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client as Http, Method as Verb, StatusCode, header};
use ringcentral::{Client, ClientConfig, ClientId, ClientSecret, ExtensionId, GuardMode};
use ringfleet_connect::{Connect, OperatorKeys, PublicUrl, router};
use ringfleet_identity::{
    Credential, KeyRing, Method, Vault,
    directory::{Claims, Directory, Follower, Register},
    new_key,
};
use ringfleet_simulator::{Account, AppSettings, Limits, Simulator, SimulatorConfig};
use ringfleet_store::{
    LaneRules, Private, SharedStore,
    sqlite::{SqliteOptions, SqliteStore},
};
use secrecy::SecretString;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "operator-key-0123456789";

/// What the tests change.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) no_refresh_tokens: bool,
    pub(crate) not_registered: bool,
    /// Of the app; those that it needs without a word.
    pub(crate) permissions: Option<Vec<String>>,
    pub(crate) account: Option<String>,
    /// Of each user; 100 without a word.
    pub(crate) logins_a_minute: Option<u32>,
    pub(crate) keys: Option<Vec<&'static str>>,
    pub(crate) fixed: Vec<Credential>,
    pub(crate) address_header: bool,
    /// Another one than an SQLite file.
    pub(crate) store: Option<SharedStore>,
    /// What journals tell of another store.
    pub(crate) store_replaced: Option<String>,
    /// What the directory knows: id, extension number, name.
    pub(crate) known: Vec<(&'static str, &'static str, &'static str)>,
}

impl Options {
    async fn know(&self, vault: &Vault) {
        let register = Register::new(vault);
        for (id, short, name) in &self.known {
            let id = id.parse().unwrap();
            let told = register.change_extension(&id, |facts| {
                facts.short = short.parse().ok();
                facts.name = Private::new(*name);
                facts.read_at = 1;
                true
            });
            told.await.unwrap();
        }
    }
}

pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) accounts: Vec<Account>,
    pub(crate) store: SharedStore,
    pub(crate) vault: Vault,
    directory: Directory,
    /// Two processes of one fleet.
    pub(crate) base: [String; 2],
    pub(crate) http: Http,
    options: Options,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn start(options: Options) -> Self {
        ringcentral::install_crypto();
        let listeners = [listen().await, listen().await];
        let base = listeners.each_ref().map(|listener| format!("http://{}", listener.local_addr().unwrap()));
        let redirect_uris =
            if options.not_registered { Vec::new() } else { vec![format!("{}/connect/callback", base[0])] };
        let mut app =
            AppSettings { refresh_tokens: !options.no_refresh_tokens, redirect_uris, ..AppSettings::default() };
        app.permissions = options.permissions.clone().unwrap_or(app.permissions);
        let config = SimulatorConfig {
            app,
            extensions: 5,
            limits: Limits { auth: options.logins_a_minute.unwrap_or(100), ..Limits::default() },
            ..SimulatorConfig::default()
        };
        let simulator = Simulator::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = match &options.store {
            Some(store) => store.clone(),
            None => {
                let sqlite = SqliteOptions { rules: rules(), ..SqliteOptions::default() };
                Arc::new(SqliteStore::open(&folder.path().join("fleet.db"), sqlite).await.unwrap())
            }
        };
        let keys = Arc::new(KeyRing::from_text(&new_key()).unwrap());
        let vault = Vault::new(store.clone(), keys, "main");
        let accounts = simulator.accounts();
        options.know(&vault).await;
        let (directory, _) = Follower::start(&vault, Claims::default()).await.unwrap();
        let http = Http::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let rig = Self { simulator, accounts, store, vault, directory, base, http, options, _folder: folder };
        for listener in listeners {
            rig.serve(listener);
        }
        rig
    }

    fn serve(&self, listener: tokio::net::TcpListener) {
        let app = router(self.connect()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    }

    /// Both processes are reached under the first one's address, as behind one name.
    fn connect(&self) -> Connect {
        let id = ClientId::try_new(self.simulator.client_id()).unwrap();
        let secret = ClientSecret::try_new(self.simulator.client_secret()).unwrap();
        let mut config = ClientConfig::new(self.simulator.base_url().parse().unwrap(), id, secret);
        config.guard_mode = GuardMode::Backstop;
        config.total_timeout = Duration::from_secs(2);
        let keys = self.options.keys.clone().unwrap_or_else(|| vec![KEY]);
        Connect {
            client: Client::new(config).unwrap(),
            vault: self.vault.clone(),
            directory: self.directory.clone(),
            public_url: PublicUrl::try_new(&self.base[0]).unwrap(),
            account: self.options.account.as_deref().map(|id| id.parse().unwrap()),
            operator_keys: OperatorKeys::new(keys.into_iter().map(SecretString::from)),
            address_header: self.options.address_header.then(|| "x-forwarded-for".parse().unwrap()),
            fixed: self.options.fixed.clone(),
            quiet_hours: None,
            store_replaced: self.options.store_replaced.clone(),
        }
    }

    /// Another process with other keys for operators.
    pub(crate) async fn process_with_keys(&mut self, keys: Vec<&'static str>) -> String {
        self.options.keys = Some(keys);
        let listener = listen().await;
        let base = format!("http://{}", listener.local_addr().unwrap());
        self.serve(listener);
        base
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { rig: self, process: 0, cookies: Mutex::default(), forwarded: None }
    }

    pub(crate) fn id(&self, extension: usize) -> ExtensionId {
        ExtensionId::try_new(&self.accounts[extension].extension_id).unwrap()
    }

    pub(crate) async fn credential(&self, extension: usize) -> Option<Credential> {
        self.vault.get(&self.id(extension), Method::Code).await.unwrap()
    }

    /// The token endpoint refuses once.
    pub(crate) fn refuse(&self, status: u16, code: &str) {
        self.fault("token", json!({"kind": "error_before", "status": status, "code": code}));
    }

    pub(crate) fn fault(&self, endpoint: &str, fault: Value) {
        let rule = json!({"match": {"endpoint": endpoint}, "fault": fault, "times": 1});
        self.simulator.add_fault(serde_json::from_value(rule).unwrap());
    }

    /// A call of the simulator's administration.
    pub(crate) async fn admin(&self, verb: Verb, path: &str, body: &Value) {
        let url = format!("{}/simulator/{path}", self.simulator.base_url());
        let answer = self.http.request(verb, url).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}");
    }

    /// What the provider says to a refresh token.
    pub(crate) async fn refresh(&self, token: &str) -> StatusCode {
        let url = format!("{}/restapi/oauth/token", self.simulator.base_url());
        let app = (self.simulator.client_id(), Some(self.simulator.client_secret()));
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.http.post(url).basic_auth(app.0, app.1).form(&form).send().await.unwrap().status()
    }
}

pub(crate) fn rules() -> LaneRules {
    LaneRules::with_window(Duration::from_secs(60))
}

async fn listen() -> tokio::net::TcpListener {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Keeps cookies as a browser does, and fills in forms.
pub(crate) struct Browser<'a> {
    pub(crate) rig: &'a Rig,
    /// Which of the two processes it comes to next.
    pub(crate) process: usize,
    pub(crate) cookies: Mutex<BTreeMap<String, String>>,
    pub(crate) forwarded: Option<String>,
}

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

impl Browser<'_> {
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.request(Verb::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        self.send(self.request(Verb::POST, path).form(form)).await
    }

    pub(crate) fn request(&self, verb: Verb, path: &str) -> reqwest::RequestBuilder {
        let base = &self.rig.base[self.process];
        let path = path.strip_prefix(self.rig.base[0].as_str()).unwrap_or(path);
        let cookies: Vec<String> = self.cookies.lock().unwrap().iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = self.rig.http.request(verb, format!("{base}{path}")).header(header::COOKIE, cookies.join("; "));
        match &self.forwarded {
            Some(address) => request.header("x-forwarded-for", address),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        for set in headers.get_all(header::SET_COOKIE) {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
        }
        Page { status, headers, text: answer.text().await.unwrap() }
    }

    /// Opens the page at `path` and presses its button; where it leads.
    pub(crate) async fn begin(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let invite = page.field("invite").unwrap_or_default();
        let leaving = self.post("/connect/start", &[("form", &page.form()), ("invite", &invite)]).await;
        assert_eq!(leaving.status, StatusCode::OK, "{}", leaving.text);
        leaving.link()
    }

    /// What a person does on the provider's page; the address that it sends the browser back to.
    pub(crate) async fn decide(&self, authorize: &str, extension: usize, decision: &str) -> String {
        let password = self.rig.simulator.password(&self.rig.accounts[extension].extension_id).unwrap();
        let login = &self.rig.accounts[extension].extension_number;
        let (page, query) = authorize.split_once('?').unwrap();
        let body = format!("{query}&login={login}&password={password}&decision={decision}");
        let kind = "application/x-www-form-urlencoded";
        let request = self.rig.http.post(page).header(header::CONTENT_TYPE, kind).body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND, "{:?}", answer.text().await);
        answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }

    /// The whole way; the page at its end.
    pub(crate) async fn connect(&self, extension: usize) -> Page {
        let authorize = self.begin("/connect").await;
        let back = self.decide(&authorize, extension, "allow").await;
        self.get(&back).await
    }

    /// Shows the operator's key.
    pub(crate) async fn sign_in(&self) {
        let page = self.get("/connect/operator").await;
        let answer = self.post("/connect/operator", &[("form", &page.form()), ("key", KEY)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    }
}

impl Page {
    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    }

    pub(crate) fn form(&self) -> String {
        self.field("form").unwrap_or_else(|| panic!("no form in {}", self.text))
    }

    /// Where the page goes on to.
    pub(crate) fn link(&self) -> String {
        let (_, rest) = self.text.split_once("content=\"0;url=").unwrap();
        rest.split('"').next().unwrap().replace("&amp;", "&")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn shows(&self, status: u16, parts: &[&str]) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is missing in {}", self.text);
        }
    }
}
