//! The checked settings, and how each is read.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ringcentral::{ClientId, ClientSecret, ServerUrl};
use ringfleet_store::{Group, LaneRules, OnUnknown, Plan, redis::RedisOptions};
use ringfleet_worker::WorkerOptions;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    callbacks::{CallbackSettings, read_callbacks},
    callers_keys::{read_keys, refuse_reading_ones},
    connect::{ConnectSettings, needs_a_key, read_connect},
    identity::{IdentitySettings, read_directory, read_identity},
    inbound::read_inbound,
    quiet_hours::read_quiet_hours,
    reader::{Reader, is_redis, parse_duration},
    reconcile::{journal_dir, read_policy, read_reconcile},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub store: StoreSettings,
    pub provider: ProviderSettings,
    pub identity: IdentitySettings,
    pub rules: LaneRules,
    pub worker: WorkerOptions,
    /// Of messages that do not say themselves.
    pub on_unknown: OnUnknown,
    pub api: ApiSettings,
    /// Where it is told what became of messages.
    pub callbacks: Option<CallbackSettings>,
    pub connect: Option<ConnectSettings>,
    /// Where a worker hears the provider's webhooks.
    pub inbound_listen: Option<SocketAddr>,
    pub metrics_listen: Option<SocketAddr>,
    pub log_level: String,
    pub log_format: LogFormat,
}

#[derive(Clone)]
pub(crate) struct StoreSettings {
    pub url: String,
    pub data_dir: PathBuf,
    pub cluster: bool,
    pub prefix: String,
    pub shards: u16,
    pub allow_plaintext: bool,
    pub allow_volatile: bool,
    pub restart_patience: Duration,
    pub sqlite_full: bool,
}

impl StoreSettings {
    pub(crate) fn is_redis(&self) -> bool {
        self.url.starts_with("redis")
    }
}

impl std::fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a client of the provider needs. The credentials may be missing: only a worker must have them.
#[derive(Debug, Clone)]
pub(crate) struct ProviderSettings {
    pub server: ServerUrl,
    pub app: String,
    pub client_id: Option<ClientId>,
    pub client_secret: Option<ClientSecret>,
    pub accounts_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
}

#[derive(Clone)]
pub(crate) struct ApiSettings {
    pub listen: SocketAddr,
    /// Those that may do everything.
    pub keys: Vec<String>,
    /// Those that may only look.
    pub read_keys: Vec<String>,
}

impl std::fmt::Debug for ApiSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (keys, read_keys) = (self.keys.len(), self.read_keys.len());
        f.debug_struct("ApiSettings")
            .field("listen", &self.listen)
            .field("keys", &keys)
            .field("read_keys", &read_keys)
            .finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Settings {
    /// Every section is read even if one before it is at fault, so that all faults are found in one go.
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let store = read_store(r);
        let provider = read_provider(r);
        let identity = read_identity(r);
        let rules = read_rules(r);
        let worker = read_worker(r);
        let journal = r.text("worker.journal_dir");
        let on_unknown = read_policy(r);
        let reconcile = read_reconcile(r);
        let directory = read_directory(r);
        let inbound = read_inbound(r);
        let quiet_hours = read_quiet_hours(r, worker.as_ref().map(|worker| worker.lease));
        let api = read_api(r);
        let callbacks = read_callbacks(r, worker.as_ref().map(|worker| worker.retention));
        let connect = read_connect(r, api.as_ref());
        let metrics = r.text("metrics.listen").filter(|text| !text.is_empty());
        let metrics_listen = metrics.and_then(|_| r.address("metrics.listen"));
        let log_level = r.parsed("log.level", log_filter);
        let log_format = r.parsed("log.format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("is {other:?}, must be \"text\" or \"json\"")),
        });
        let mut worker = worker?;
        let provider = provider?;
        let store = store?;
        worker.reconcile = reconcile?;
        worker.directory_refresh = directory?;
        worker.quiet_hours = quiet_hours?;
        let (inbound, inbound_listen) = inbound?;
        worker.inbound = inbound;
        worker.journal_dir = journal_dir(&journal?, &store);
        // The POST's deadline must end before the process gives up on it, or every drain leaves unknown sends behind.
        if worker.drain < provider.request_timeout {
            r.fault(
                "worker.drain",
                format!(
                    "is {:?}, must not be shorter than ringcentral.request_timeout ({:?})",
                    worker.drain, provider.request_timeout
                ),
            );
        }
        // SEND-SAFETY: a request that is still under way when both readings are over is not in the message store yet, and would be
        // sent a second time.
        if worker.reconcile.settle_time <= provider.request_timeout {
            r.fault(
                "reconcile.settle_time",
                format!(
                    "is {:?}, must be longer than ringcentral.request_timeout ({:?})",
                    worker.reconcile.settle_time, provider.request_timeout
                ),
            );
        }
        let identity = identity?.beside(&store);
        let connect = connect?;
        needs_a_key(r, connect.as_ref(), &identity);
        Some(Self {
            identity,
            store,
            provider,
            rules: rules?,
            worker,
            on_unknown: on_unknown?,
            api: api?,
            callbacks: callbacks?,
            connect,
            inbound_listen,
            metrics_listen,
            log_level: log_level?,
            log_format: log_format?,
        })
    }
}

pub(super) fn read_store(r: &mut Reader<'_>) -> Option<StoreSettings> {
    let url = r.parsed("store.url", |url| {
        // The value may hold a password, so it is not repeated.
        if url.is_empty() || url.starts_with("sqlite:") || url.split(',').all(is_redis) {
            Ok(url.to_owned())
        } else if is_redis(url) {
            Err("one address of the list does not begin with redis:// or rediss://; write a comma inside a password as %2C")
        } else {
            Err("must be empty, or begin with sqlite:, redis:// or rediss://")
        }
    });
    let data_dir = r.text("store.data_dir").map(PathBuf::from);
    let cluster = r.flag("store.cluster");
    let prefix = r.text("store.prefix");
    let shards = r.number("store.shards", 1, 64);
    let allow_plaintext = r.flag("store.allow_plaintext");
    let allow_volatile = r.flag("store.allow_volatile");
    if let Some(url) = url.as_deref().filter(|url| is_redis(url)) {
        check_redis(r, url, prefix.as_deref(), allow_plaintext);
    }
    let restart_patience = r.duration("store.restart_patience", SECOND, 3_600 * SECOND);
    let sqlite_full = r.parsed("store.sqlite_synchronous", |text| match text {
        "full" => Ok(true),
        "normal" => Ok(false),
        other => Err(format!("is {other:?}, must be \"full\" or \"normal\"")),
    });
    Some(StoreSettings {
        url: url?,
        data_dir: data_dir?,
        cluster: cluster?,
        prefix: prefix?,
        shards: shards? as u16,
        allow_plaintext: allow_plaintext?,
        allow_volatile: allow_volatile?,
        restart_patience: restart_patience?,
        sqlite_full: sqlite_full?,
    })
}

/// What the store would find before it connects; here it is told together with everything else.
fn check_redis(r: &mut Reader<'_>, urls: &str, prefix: Option<&str>, allow_plaintext: Option<bool>) {
    for problem in RedisOptions::check_urls(urls.split(','), allow_plaintext.unwrap_or(true)) {
        r.fault("store.url", problem);
    }
    if let Some(Err(problem)) = prefix.map(RedisOptions::check_prefix) {
        r.fault("store.prefix", problem);
    }
}

fn read_provider(r: &mut Reader<'_>) -> Option<ProviderSettings> {
    let server = r.parsed("ringcentral.server", ServerUrl::try_new);
    let app = r.parsed("ringcentral.app", |app| {
        ringfleet_store::LaneId::try_new(app, "x", Group::Medium)
            .map(|_| app.to_owned())
            .map_err(|error| error.to_string())
    });
    let client_id = optional(r, "ringcentral.client_id", ClientId::try_new);
    let client_secret = read_secret(r);
    let accounts_file = read_accounts_file(r);
    let connect_timeout = r.duration("ringcentral.connect_timeout", 100 * MS, 60 * SECOND);
    let request_timeout = r.duration("ringcentral.request_timeout", 100 * MS, 300 * SECOND);
    Some(ProviderSettings {
        server: server?,
        app: app?,
        client_id: client_id?,
        client_secret: client_secret?,
        accounts_file,
        connect_timeout: connect_timeout?,
        request_timeout: request_timeout?,
    })
}

/// `Some(None)` is a setting left empty; `None` is one at fault.
pub(super) fn optional<T, E: std::fmt::Display>(
    r: &mut Reader<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<Option<T>> {
    let text = r.text(key)?;
    if text.is_empty() { Some(None) } else { r.parsed(key, parse).map(Some) }
}

pub(super) fn read_accounts_file(r: &mut Reader<'_>) -> Option<PathBuf> {
    r.text("ringcentral.accounts_file").filter(|path| !path.is_empty()).map(PathBuf::from)
}

pub(super) fn read_secret(r: &mut Reader<'_>) -> Option<Option<ClientSecret>> {
    let file = r.text("ringcentral.client_secret_file")?;
    if file.is_empty() {
        return optional(r, "ringcentral.client_secret", ClientSecret::try_new);
    }
    // Which of them counts nobody could tell: layers are merged by then.
    if !r.text("ringcentral.client_secret")?.is_empty() {
        r.fault("ringcentral.client_secret", "is set, and ringcentral.client_secret_file too; leave one of them empty");
        return None;
    }
    r.parsed("ringcentral.client_secret_file", |path| {
        ClientSecret::try_new(read_private(path)?.trim()).map_err(|error| format!("what stands in the file: {error}"))
    })
    .map(Some)
}

/// A bare word is the level of all, and where it is none the filter would take it for the name of a module: then that one would
/// tell everything, and all others nothing, errors included.
fn log_filter(text: &str) -> Result<String, String> {
    let text = if text.is_empty() { "info" } else { text };
    let word = |part: &str| part.contains(['=', '[']) || part.trim().parse::<LevelFilter>().is_ok();
    if text.split(',').all(word) && text.parse::<EnvFilter>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!(
        "is {text:?}, must be off, error, warn, info, debug, trace, or a filter like \"info,ringfleet_worker=debug\""
    ))
}

pub(super) fn read_private(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}

/// Of a file that holds a secret. The path is not told: whoever mistook the setting wrote the secret itself there.
pub(crate) fn unreadable(error: &std::io::Error) -> String {
    format!("what it names can't be read: {error}; write the path of a file, never the secret itself")
}

fn read_rules(r: &mut Reader<'_>) -> Option<LaneRules> {
    let window = r.duration("plans.window", 100 * MS, DAY);
    let mut limits = Vec::new();
    for group in Group::ALL {
        limits.push((group, r.number(&format!("plans.{}", group.as_str()), 1, 1_000)));
    }
    let in_flight_cap = r.number("worker.lane_in_flight", 1, 255);
    let delivery_wait = r.duration("worker.delivery_wait", Duration::ZERO, 30 * DAY);
    let mut rules = LaneRules::with_window(window?);
    for (group, limit) in limits {
        rules.set_plan(group, Plan { limit: limit? as u32, window_ms: rules.plan(group).window_ms });
    }
    rules.in_flight_cap = in_flight_cap? as u32;
    rules.delivery_wait = delivery_wait?;
    Some(rules)
}

fn read_worker(r: &mut Reader<'_>) -> Option<WorkerOptions> {
    let name = r.text("worker.name");
    let concurrency = r.number("worker.concurrency", 1, 4_096);
    let lease = r.duration("worker.lease", SECOND, 3_600 * SECOND);
    let reap_every = r.duration("worker.reap_every", 50 * MS, 600 * SECOND);
    let retention = r.duration("worker.retention", SECOND, 366 * DAY);
    let drain = r.duration("worker.drain", Duration::ZERO, 3_600 * SECOND);
    let max_attempts = r.number("worker.max_attempts", 1, 100);
    let poll = r.duration("worker.poll", 5 * MS, 60 * SECOND);
    let delivery_every = duration_or_off(r, "worker.delivery_every", 10 * MS, 3_600 * SECOND);
    let name = name?;
    Some(WorkerOptions {
        name: if name.is_empty() { host_name() } else { name },
        concurrency: concurrency? as u32,
        lease: lease?,
        reap_every: reap_every?,
        retention: retention?,
        drain: drain?,
        max_attempts: max_attempts? as u32,
        poll: poll?,
        delivery_every: delivery_every?,
        ..WorkerOptions::default()
    })
}

/// `Some(None)` is a duration that is "off".
pub(super) fn duration_or_off(
    r: &mut Reader<'_>,
    key: &str,
    least: Duration,
    most: Duration,
) -> Option<Option<Duration>> {
    r.parsed(key, |text| {
        let time = parse_duration(text).filter(|time| (least..=most).contains(time));
        match time {
            Some(_) => Ok(time),
            None if text == "off" => Ok(None),
            None => Err(format!(
                "is {text:?}, must be \"off\" or a duration from {least:?} to {most:?}, written like \"5s\", \"10m\""
            )),
        }
    })
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname").map_or_else(|_| "worker".to_owned(), |name| name.trim().to_owned())
}

fn read_api(r: &mut Reader<'_>) -> Option<ApiSettings> {
    let listen = r.address("api.listen");
    let keys = read_keys(r, "api.keys", "api.keys_file");
    let reading = read_keys(r, "api.read_keys", "api.read_keys_file");
    let (listen, keys, read_keys) = (listen?, keys?, reading?);
    refuse_reading_ones(r, "api.keys", &keys, &read_keys);
    if keys.is_empty() && read_keys.is_empty() && !listen.ip().is_loopback() {
        r.fault(
            "api.listen",
            format!("is {listen}, and there is no api.keys: anybody there could send texts; set a key"),
        );
    }
    Some(ApiSettings { listen, keys, read_keys })
}
