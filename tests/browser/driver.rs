//! A browser, driven by chromedriver through W3C WebDriver. Seven commands are all that is needed; a client library would
//! bring more crates than lines are here.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::PATIENCE;

pub(crate) enum Size {
    Desk,
    Phone,
}

/// What works without a display, as root, and asks nothing of the network.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// What must hold on every page of ours, read by the browser itself.
const SOUND: &str = "
    const faults = [];
    const say = (bad, what) => { if (bad) faults.push(what); };
    say(document.documentElement.lang !== 'en', 'no language');
    say(document.querySelectorAll('h1').length !== 1, 'not one heading');
    say(document.querySelectorAll('main').length !== 1, 'no main part');
    say(document.scripts.length > 0, 'a script');
    say(document.documentElement.scrollWidth > window.innerWidth, 'wider than the screen');
    say(getComputedStyle(document.querySelector('main')).paddingLeft === '0px', 'no style');
    for (const field of document.querySelectorAll('input:not([type=hidden])')) say(!field.labels.length, 'no label: ' + field.name);
    for (const press of document.querySelectorAll('button, .button')) {
        const box = press.getBoundingClientRect();
        say(box.height < 40, 'too small to touch: ' + press.textContent);
        say(!press.textContent.trim(), 'a button without a name');
    }
    return faults;";

pub(crate) struct Browser {
    driver: Child,
    port: u16,
    http: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn start(size: Size) -> Self {
        ringcentral::install_crypto();
        let mut command = Command::new("chromedriver");
        let driver = command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = driver.expect("chromedriver on PATH: install the packages chromium and chromium-driver");
        let port = port_of(&mut driver);
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([folder.as_str(), "--window-size=1100,900"]).collect();
        let mut options = json!({"args": arguments});
        if matches!(size, Size::Phone) {
            options["mobileEmulation"] =
                json!({"deviceMetrics": {"width": 360, "height": 740, "pixelRatio": 2, "touch": true}});
        }
        // A click returns before the next page is there: an element is waited for.
        let timeouts = json!({"implicit": PATIENCE.as_millis() as u64 / 2});
        let logs = json!({"browser": "ALL"});
        let wanted = json!({"goog:chromeOptions": options, "goog:loggingPrefs": logs, "timeouts": timeouts});
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut browser = Self { driver, port, http, session: String::new(), _profile: profile };
        let answer = browser.command(Method::POST, "", json!({"capabilities": {"alwaysMatch": wanted}})).await;
        browser.session = format!("/{}", answer["sessionId"].as_str().unwrap());
        browser
    }

    async fn command(&self, verb: Method, path: &str, body: Value) -> Value {
        self.try_command(verb, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_command(&self, verb: Method, path: &str, body: Value) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}/session{}{path}", self.port, self.session);
        let request = self.http.request(verb.clone(), url);
        let request = if verb == Method::POST { request.json(&body) } else { request };
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.command(Method::POST, "/url", json!({"url": url})).await;
    }

    pub(crate) async fn reload(&self) {
        self.command(Method::POST, "/refresh", json!({})).await;
    }

    pub(crate) async fn address(&self) -> String {
        self.command(Method::GET, "/url", Value::Null).await.as_str().unwrap().to_owned()
    }

    async fn element(&self, css: &str) -> String {
        let found = self.command(Method::POST, "/element", json!({"using": "css selector", "value": css})).await;
        format!("/element/{}", found.as_object().unwrap().values().next().unwrap().as_str().unwrap())
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.command(Method::POST, &format!("{element}/click"), json!({})).await;
    }

    pub(crate) async fn write(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.command(Method::POST, &format!("{element}/value"), json!({"text": text})).await;
    }

    /// What a person reads there.
    pub(crate) async fn text_of(&self, css: &str) -> String {
        let element = self.element(css).await;
        self.command(Method::GET, &format!("{element}/text"), Value::Null).await.as_str().unwrap().to_owned()
    }

    async fn run(&self, script: &str) -> Result<Value, String> {
        self.try_command(Method::POST, "/execute/sync", json!({"script": script, "args": []})).await
    }

    /// A page that is just being left has no text.
    pub(crate) async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await.unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn until_text(&self, part: &str) {
        self.until(part, async || self.text().await.contains(part)).await;
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Anybody can use the page, and the browser has nothing to complain of, such as something that the policy forbids.
    pub(crate) async fn is_sound(&self) {
        let faults = self.run(SOUND).await.unwrap();
        assert_eq!(faults, json!([]), "{}\n{}", self.address().await, self.text().await);
        let log = self.command(Method::POST, "/se/log", json!({"type": "browser"})).await;
        let loud = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        // A page that says what went wrong has a status that says so too, which the browser notes.
        let loud = loud.filter(|entry| entry["source"] != "network");
        assert_eq!(loud.collect::<Vec<_>>(), [&Value::Null; 0]);
    }

    pub(crate) async fn quit(self) {
        self.command(Method::DELETE, "", Value::Null).await;
    }
}

impl Drop for Browser {
    /// Also when a test fails: the driver alone knows its browser's processes.
    fn drop(&mut self) {
        if let Ok(mut link) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = link.set_read_timeout(Some(Duration::from_secs(5)));
            let request = format!("DELETE /session{} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.session);
            let _ = link.write_all(request.as_bytes());
            let _ = BufReader::new(link).read_line(&mut String::new());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// "ChromeDriver was started successfully on port 34567."
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let told = lines.find_map(|line| Some(line.unwrap().split_once("successfully on port ")?.1.to_owned()));
    // The rest is read so that the driver never waits for a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    told.unwrap().trim_end_matches('.').parse().unwrap()
}
