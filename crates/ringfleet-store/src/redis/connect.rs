//! Reaching Redis: one server or a Cluster, with deadlines on everything, and checks that it can be trusted with a queue.

use std::time::Duration;

use redis::{
    aio::{ConnectionManager, ConnectionManagerConfig},
    cluster::ClusterClient,
};

use super::scripts::{Connection, store_error};
use crate::{clock::Clock, plan::LaneRules, store::StoreError};

/// Where Redis is and how the fleet uses it.
#[derive(Clone)]
pub struct RedisOptions {
    /// One URL (`redis://`, `rediss://`), or some nodes of a Cluster.
    pub urls: Vec<String>,
    pub cluster: bool,
    /// First part of every key, so that several fleets can share a server: 1 to 32 of `a-z 0-9 - _`.
    pub prefix: String,
    /// How many hash tags the keys are spread over, 1 to 64. Fixed for the life of the data: 1 is right for one server.
    pub shards: u16,
    pub rules: LaneRules,
    pub clock: Clock,
    pub connect_timeout: Duration,
    /// Longer than the client library's 500 ms, which ends a call that only met a busy server.
    pub response_timeout: Duration,
    /// Accept `redis://` to a host that is not this machine. Texts and tokens would cross the network in the clear.
    pub allow_plaintext: bool,
}

impl RedisOptions {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            cluster: false,
            prefix: "rf".to_owned(),
            shards: 1,
            rules: LaneRules::documented(),
            clock: Clock::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
            allow_plaintext: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if self.prefix.is_empty() || self.prefix.len() > 32 || !self.prefix.chars().all(plain) {
            return Err(unfit(format!("prefix {:?} must be 1 to 32 of a-z 0-9 - _", self.prefix)));
        }
        if !(1..=64).contains(&self.shards) {
            return Err(unfit(format!("shards is {}, must be 1 to 64", self.shards)));
        }
        if self.urls.is_empty() {
            return Err(unfit("no Redis URL is given".to_owned()));
        }
        for url in &self.urls {
            let info = redis::IntoConnectionInfo::into_connection_info(url.trim()).map_err(|_| {
                unfit("the Redis URL can't be read: write redis://HOST:PORT/DB or rediss://…".to_owned())
            })?;
            if let redis::ConnectionAddr::Tcp(host, _) = info.addr()
                && !self.allow_plaintext
                && !is_loopback(host)
            {
                return Err(unfit(format!(
                    "Redis at {host} would be used without TLS: write rediss://, or allow plaintext on a private network"
                )));
            }
        }
        Ok(())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn unfit(reason: String) -> StoreError {
    StoreError::Unfit { reason }
}

pub(super) async fn connect(options: &RedisOptions) -> Result<Connection, StoreError> {
    let refused = |error| store_error("connect", error);
    if options.cluster {
        let client = ClusterClient::builder(options.urls.iter().map(|url| url.trim()))
            .connection_timeout(options.connect_timeout)
            .response_timeout(options.response_timeout)
            .build()
            .map_err(refused)?;
        let link = client.get_async_connection().await.map_err(refused)?;
        return Ok(Connection::Cluster(link));
    }
    let client = redis::Client::open(options.urls[0].trim()).map_err(refused)?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.response_timeout))
        .set_max_delay(Duration::from_secs(2));
    // The manager would try for a long time at first; a wrong address should be told at once.
    let first = tokio::time::timeout(options.connect_timeout * 2, ConnectionManager::new_with_config(client, config));
    let link = first
        .await
        .map_err(|_| StoreError::Unavailable { call: "connect", source: "no answer in time".into() })?
        .map_err(refused)?;
    Ok(Connection::One(link))
}

/// Refuses a server that would lose or drop what it is trusted with; in a Cluster each node that was named is asked.
pub(super) async fn check_servers(options: &RedisOptions, link: &Connection) -> Result<(), StoreError> {
    if let Connection::One(_) = link {
        return check_server(link).await;
    }
    for url in &options.urls {
        let node = RedisOptions { urls: vec![url.clone()], cluster: false, ..options.clone() };
        check_server(&connect(&node).await?).await?;
    }
    Ok(())
}

async fn check_server(link: &Connection) -> Result<(), StoreError> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let text: String = link.query("INFO", &info).await?;
    let version = text.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("0").trim();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) < (6, 2) {
        return Err(unfit(format!("Redis {version} is too old: 6.2 or newer is needed")));
    }
    if let Some(policy) = setting(link, "maxmemory-policy").await
        && policy != "noeviction"
    {
        return Err(unfit(format!(
            "Redis evicts keys when it is full (maxmemory-policy {policy}), so messages would vanish: set noeviction"
        )));
    }
    if let Some(append_only) = setting(link, "appendonly").await
        && append_only != "yes"
    {
        // SEND-SAFETY: a server that comes back with an old snapshot has forgotten what was sent since.
        tracing::warn!(
            "Redis keeps no append-only file (appendonly {append_only}): after its restart messages may be lost, and texts \
             that went out may go out again; set appendonly yes"
        );
    }
    Ok(())
}

/// `None` for a user without the right to CONFIG: what can't be asked can't be refused.
async fn setting(link: &Connection, name: &str) -> Option<String> {
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg(name);
    link.query::<Vec<String>>("CONFIG GET", &get).await.ok()?.into_iter().nth(1)
}
