//! The connect page, a worker when it is wanted, and the simulator, for one test.

use std::{
    cell::RefCell,
    process::{Child, Command, Stdio},
    time::Instant,
};

use ringfleet_simulator::{Account, AppSettings, Simulator, SimulatorConfig};
use ringfleet_testkit::Port;
use serde_json::json;

use crate::{PATIENCE, secrets::Secrets};

pub(crate) const KEY: &str = "operator-key-0123456789";
const RECIPIENT: &str = "+15552000001";

pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    /// The employee's.
    pub(crate) account: Account,
    pub(crate) password: String,
    base: String,
    folder: tempfile::TempDir,
    texts: RefCell<Vec<String>>,
    _page: Process,
    _port: Port,
}

/// Ended with its guard.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let port = Port::hold();
        let base = format!("http://{}", port.address());
        let redirect_uris = vec![format!("{base}/connect/callback")];
        let app = AppSettings { refresh_tokens: true, redirect_uris, ..AppSettings::default() };
        let simulator = Simulator::start(SimulatorConfig { app, ..SimulatorConfig::default() }).await.unwrap();
        let account = simulator.accounts()[2].clone();
        let password = simulator.password(&account.extension_id).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // No JWT: the page is the only way in.
        let accounts = json!([{"extension_id": account.extension_id, "numbers": account.numbers}]);
        std::fs::write(folder.path().join("accounts.json"), accounts.to_string()).unwrap();
        let page = start(folder.path(), &simulator, &base, "connect");
        let rig =
            Self { simulator, account, password, base, folder, texts: RefCell::default(), _page: page, _port: port };
        let address = rig.base.trim_start_matches("http://").to_owned();
        rig.until("the page listens", || std::net::TcpStream::connect(&address).is_ok()).await;
        rig
    }

    /// The whole address of a path.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn process(&self, role: &str) -> Process {
        start(self.folder.path(), &self.simulator, &self.base, role)
    }

    /// One text from the employee's number.
    pub(crate) async fn enqueue(&self, text: &str) {
        self.texts.borrow_mut().push(text.to_owned());
        let file = self.folder.path().join("texts.csv");
        std::fs::write(&file, format!("from,to,text\n{},{RECIPIENT},{text}\n", self.account.numbers[0])).unwrap();
        let mut import = command(self.folder.path(), &self.simulator, &self.base);
        let output = import.args(["import", "texts.csv"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// All that the processes have printed.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            let log = self.log();
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{log}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Nothing private stands in what was printed.
impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let words = [KEY, RECIPIENT].map(str::to_owned).into_iter().chain(self.texts.take());
        let secrets = Secrets::new(self.simulator.secrets(), words.chain(self.account.numbers.clone()));
        let log = self.log();
        assert!(log.contains("connect listens"), "the log is not where it is looked for: {log}");
        assert_eq!((secrets.first_in(&log), secrets.too_short()), (None, &[][..]));
    }
}

fn start(folder: &std::path::Path, simulator: &Simulator, base: &str, role: &str) -> Process {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = command(folder, simulator, base);
    Process(command.arg(role).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}

fn command(folder: &std::path::Path, simulator: &Simulator, base: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfleet"));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("RINGFLEET__STORE__DATA_DIR", folder.join("data"))
        .env("RINGFLEET__RINGCENTRAL__SERVER", simulator.base_url())
        .env("RINGFLEET__RINGCENTRAL__CLIENT_ID", simulator.client_id())
        .env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", simulator.client_secret())
        .env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "accounts.json")
        .env("RINGFLEET__IDENTITY__POLL", "100ms")
        .env("RINGFLEET__CONNECT__LISTEN", base.trim_start_matches("http://"))
        .env("RINGFLEET__CONNECT__OPERATOR_KEYS", KEY)
        .env("RINGFLEET__METRICS__LISTEN", "")
        .env("RINGFLEET__LOG__LEVEL", "info,ringfleet=debug,ringcentral=debug");
    command
}
