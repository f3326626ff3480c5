//! The board over a real fleet: a Prometheus scrapes `ringfleet up`, which sends a backlog to the simulator, and every panel's
//! expression is asked of it.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{BOARD, panel};
use crate::{
    alerts,
    cargo::Workspace,
    child::{self, Running},
    contract, files,
    redis::Redis,
};

/// For Prometheus to answer, and then, from the first look at all panels on, for the fleet and two scrapes of each counter.
const DEADLINE: Duration = Duration::from_secs(120);
/// In the place of Grafana's rate interval: some scrapes.
const WINDOW: &str = "10s";
/// More than go out until the deadline, at the 40 texts a second that five extensions have.
const MESSAGES: usize = 6_000;

/// None of the panels errs, and those that do not say how they look without data have some.
pub(crate) fn check(workspace: &Workspace, binary: &Path) -> Result<()> {
    let panels = panel::read(&files::read(&workspace.root.join(BOARD))?).context(BOARD)?;
    let dir = workspace.target.join("board");
    fs::create_dir_all(&dir)?;
    let redis = Redis::start(&dir.join("redis"))?;
    let scraped = format!("127.0.0.1:{}", free_port()?);
    let _fleet = start_fleet(binary, &dir, &redis.url(), &scraped)?;
    let (mut prometheus, url) = start_prometheus(workspace, &dir, &scraped)?;

    let end = Instant::now() + DEADLINE;
    let mut rest = Vec::new();
    for panel in &panels {
        for expression in &panel.expressions {
            rest.push((panel, panel::without_variables(expression, WINDOW)?));
        }
    }
    // It answers before it has scraped anything.
    while !child::works(child::command("promtool").args(["query", "instant", &url, "vector(1)"])) {
        ensure!(matches!(prometheus.child().try_wait(), Ok(None)), "Prometheus ended; its last words are above");
        ensure!(Instant::now() < end, "Prometheus does not answer");
        thread::sleep(Duration::from_millis(100));
    }
    // One look asks a program for each expression, which may take long by itself.
    let mut end = None;
    loop {
        let mut without = Vec::new();
        for (panel, expression) in rest {
            let answered = has_data(&url, &expression).with_context(|| format!("panel {:?}", panel.title))?;
            if !answered && !panel.may_be_empty {
                without.push((panel, expression));
            }
        }
        if without.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = without.iter().map(|(panel, asked)| format!("{:?}: {asked}", panel.title)).collect();
        let end = *end.get_or_insert_with(|| Instant::now() + DEADLINE);
        ensure!(Instant::now() < end, "a fleet at work shows nothing in these panels:\n  {}", named.join("\n  "));
        rest = without;
        thread::sleep(Duration::from_millis(200));
    }
}

/// Any value that is a number.
fn has_data(url: &str, expression: &str) -> Result<bool> {
    let mut query = child::command("promtool");
    let told = child::output(query.args(["query", "instant", "--format", "json", url, expression]))?;
    let told: Value = serde_json::from_str(&told)?;
    let samples = told.as_array().with_context(|| format!("{expression}: no vector"))?;
    Ok(samples.iter().any(|sample| sample["value"][1].as_str().is_some_and(|value| value != "NaN")))
}

/// The simulator and an `up` with a backlog.
fn start_fleet(binary: &Path, dir: &Path, redis: &str, scraped: &str) -> Result<[Running; 2]> {
    let options = ["--extensions", "5", "--window", "5", "--latency", "20ms"];
    let (simulator, announced) = contract::start_simulator(binary, &options)?;
    let announced: Value = serde_json::from_str(&announced)?;
    let told = |key: &str| announced[key].as_str().with_context(|| format!("the simulator tells no {key}"));
    let accounts = get(told("accounts_url")?)?;
    fs::write(dir.join("accounts.json"), &accounts)?;
    fs::write(dir.join("reminders.csv"), reminders(&accounts)?)?;
    let ringfleet = |command: &[&str]| -> Result<_> {
        let mut ringfleet = child::command(binary);
        ringfleet.args(command).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).env_clear();
        ringfleet.env("RINGFLEET__STORE__URL", redis);
        ringfleet.env("RINGFLEET__WORKER__JOURNAL_DIR", "off");
        ringfleet.env("RINGFLEET__RINGCENTRAL__SERVER", told("base_url")?);
        ringfleet.env("RINGFLEET__RINGCENTRAL__CLIENT_ID", told("client_id")?);
        ringfleet.env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", told("client_secret")?);
        ringfleet.env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", "accounts.json");
        ringfleet.env("RINGFLEET__PLANS__WINDOW", "5s");
        ringfleet.env("RINGFLEET__METRICS__LISTEN", scraped);
        ringfleet.env("RINGFLEET__API__LISTEN", "127.0.0.1:0").env("RINGFLEET__LOG__LEVEL", "error");
        Ok(ringfleet)
    };
    child::run(&mut ringfleet(&["import", "reminders.csv"])?)?;
    Ok([simulator, Running::spawn(&mut ringfleet(&["up"])?)?])
}

fn reminders(accounts: &str) -> Result<String> {
    let accounts: Value = serde_json::from_str(accounts)?;
    let numbers: Vec<_> =
        accounts.as_array().into_iter().flatten().filter_map(|one| one["numbers"][0].as_str()).collect();
    ensure!(!numbers.is_empty(), "the simulator's accounts have no numbers");
    let mut csv = String::from("from,to,text\n");
    for (number, from) in numbers.iter().cycle().take(MESSAGES).enumerate() {
        writeln!(csv, "{from},+1555020{number:04},hello")?;
    }
    Ok(csv)
}

fn start_prometheus(workspace: &Workspace, dir: &Path, scraped: &str) -> Result<(Running, String)> {
    let rules = workspace.root.join(alerts::RULES);
    // The job's name is the one that the alerts and the board look for.
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n  \
         - job_name: ringfleet-api\n    static_configs: [{{targets: ['{scraped}']}}]\n",
        rules.display()
    );
    fs::write(dir.join("prometheus.yml"), config)?;
    let data = dir.join("prometheus");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let listen = format!("127.0.0.1:{}", free_port()?);
    let mut command = child::command("prometheus");
    command.current_dir(dir).args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=prometheus",
        "--log.level=error",
    ]);
    command.arg(format!("--web.listen-address={listen}")).stdin(Stdio::null());
    let running = Running::spawn(&mut command)
        .context("Prometheus is needed: cargo xtask test --only tools installs it on Debian")?;
    Ok((running, format!("http://{listen}")))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A small answer of a server on this machine. HTTP/1.0, so it ends with the connection, and comes in one piece.
fn get(url: &str) -> Result<String> {
    let (host, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("no http:// address")?;
    let mut link = TcpStream::connect(host)?;
    link.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(link, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    link.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer of HTTP")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{url} answers {}", head.lines().next().unwrap_or_default());
    Ok(body.to_owned())
}
