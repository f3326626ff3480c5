//! Reaching Redis: one server or a Cluster, with deadlines on everything, and checks that it can be trusted with a queue.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::{
    away::{unheard, unreached},
    cluster::Cluster,
    link::{Connection, Single},
    scripts::store_error,
};
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
    /// Accept a server that keeps no append-only file: for demos and tests, which lose nothing that matters.
    pub allow_volatile: bool,
    /// After a restart or failover the fleet waits for every worker that was there to tell what it has sent, but no longer
    /// than this for one that stays away.
    pub restart_patience: Duration,
    /// When a sleeper's connection has told nothing for so long, it listens on another one.
    pub quiet: Duration,
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
            allow_volatile: false,
            restart_patience: Duration::from_secs(30),
            quiet: Duration::from_secs(60),
        }
    }

    /// The hash tag of each shard.
    pub(super) fn tags(&self) -> Vec<String> {
        (0..self.shards).map(|shard| format!("{{{}:{shard}}}", self.prefix)).collect()
    }

    /// All that is wrong with them before anything is connected to.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let mut faults: Vec<String> = Vec::new();
        faults.extend(Self::check_prefix(&self.prefix).err().map(|problem| format!("prefix {problem}")));
        if !(1..=64).contains(&self.shards) {
            faults.push(format!("shards is {}, must be 1 to 64", self.shards));
        }
        if self.urls.is_empty() {
            faults.push("no Redis URL is given".to_owned());
        }
        faults.extend(Self::check_urls(self.urls.iter().map(String::as_str), self.allow_plaintext));
        if faults.is_empty() { Ok(()) } else { Err(unfit(faults.join("; "))) }
    }

    /// Whether keys can begin with it.
    ///
    /// # Errors
    /// What is wrong, to be told after the setting's name.
    pub fn check_prefix(prefix: &str) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if prefix.is_empty() || prefix.len() > 32 || !prefix.chars().all(plain) {
            return Err(format!("is {prefix:?}, must be 1 to 32 of a-z 0-9 - _"));
        }
        Ok(())
    }

    /// What is wrong with them: whether each names a server, and what is sent there stays private on the way. Of a URL the host
    /// alone is told.
    pub fn check_urls<'a>(urls: impl IntoIterator<Item = &'a str>, allow_plaintext: bool) -> Vec<String> {
        let (mut faults, mut with_tls) = (Vec::new(), [false; 2]);
        for url in urls {
            match Self::check_url(url, allow_plaintext) {
                Ok(tls) => with_tls[usize::from(tls)] = true,
                Err(fault) => faults.push(fault),
            }
        }
        if with_tls == [true; 2] {
            // All nodes of a Cluster are reached as the first one is, which only some of these would have.
            faults.push(
                "some nodes of the Cluster have TLS and some have none: write rediss:// for all of them".to_owned(),
            );
        }
        faults
    }

    /// Whether it has TLS.
    fn check_url(url: &str, allow_plaintext: bool) -> Result<bool, String> {
        // The address would end inside the password: what is taken for a host, and told as one, would be the user.
        let address = url.trim().split_once("://").map_or("", |(_, rest)| rest);
        let end = address.find(['/', '?', '#']).unwrap_or(address.len());
        if end > 0 && address[end..].contains('@') {
            return Err(
                "the Redis URL has an @ behind its address: inside a password write / as %2F, ? as %3F and # as %23"
                    .to_owned(),
            );
        }
        let info = redis::IntoConnectionInfo::into_connection_info(url.trim())
            .map_err(|_| "the Redis URL can't be read: write redis://HOST:PORT/DB or rediss://…".to_owned())?;
        if let Some(host) = bare(info.addr()).filter(|_| !allow_plaintext) {
            return Err(format!(
                "Redis at {host} would be used without TLS: write rediss://, or set store.allow_plaintext on a private network"
            ));
        }
        Ok(matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }))
    }
}

/// The host of another machine that is reached without TLS: passwords and texts would cross the network in the clear.
pub(super) fn bare(addr: &redis::ConnectionAddr) -> Option<&str> {
    match addr {
        redis::ConnectionAddr::Tcp(host, _) => Some(host.as_str()).filter(|host| !is_loopback(host)),
        _ => None,
    }
}

/// How long a server that has just been started may take to read its data.
const LOADING_PATIENCE: Duration = Duration::from_secs(60);

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn unfit(reason: String) -> StoreError {
    StoreError::Unfit { reason }
}

pub(super) async fn connect(options: &RedisOptions, tags: &[String]) -> Result<Connection, StoreError> {
    if options.cluster {
        return Cluster::connect(options, tags).await.map(Connection::Cluster);
    }
    connect_to(&options.urls[0], options).await.map(Connection::One)
}

/// Reconnects by itself, with growing pauses and jitter.
pub(super) fn manager_config(options: &RedisOptions) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.response_timeout))
        .set_max_delay(Duration::from_secs(2))
}

async fn connect_to(url: &str, options: &RedisOptions) -> Result<Single, StoreError> {
    let client = redis::Client::open(url.trim()).map_err(|error| store_error("connect", error))?;
    let node = client.get_connection_info().clone();
    let config = manager_config(options);
    // The manager would try for a long time at first; a wrong address should be told at once.
    let manager = ConnectionManager::new_with_config(client.clone(), config.clone());
    let link = match tokio::time::timeout(options.connect_timeout * 2, manager).await {
        Ok(link) => link.map_err(|error| unreached(&[node], error))?,
        Err(_) => return Err(unheard(&node)),
    };
    Ok(Single::new(client, config, link))
}

/// Refuses a server that would lose or drop what it is trusted with; in a Cluster each node that was named and answers is asked.
pub(super) async fn check_servers(options: &RedisOptions, link: &Connection) -> Result<(), StoreError> {
    if let Connection::One(server) = link {
        return check_server(server, options).await;
    }
    let asked = options.urls.iter().map(async |url| check_server(&connect_to(url, options).await?, options).await);
    let told = futures::future::join_all(asked).await;
    let some_fit = told.iter().any(Result::is_ok);
    for (node, answer) in (1..).zip(told) {
        match answer {
            // After a failover the old primary is still named. That each shard has a node is seen when the store is opened.
            Err(error) if some_fit && error.is_transient() => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    node,
                    error,
                    "a node of the Cluster that store.url names does not answer; it is not checked"
                );
            }
            answer => answer?,
        }
    }
    Ok(())
}

async fn check_server(link: &Single, options: &RedisOptions) -> Result<(), StoreError> {
    let mut info = Info::ask(link).await?;
    let patience = tokio::time::Instant::now() + LOADING_PATIENCE;
    while info.get("loading") == "1" {
        if tokio::time::Instant::now() >= patience {
            return Err(StoreError::Unavailable { call: "connect", source: "Redis is still loading its data".into() });
        }
        tracing::info!("Redis is loading its data; waiting");
        tokio::time::sleep(Duration::from_millis(500)).await;
        info = Info::ask(link).await?;
    }
    info.judge(options.cluster, options.allow_volatile).map_err(unfit)
}

/// What a server says of itself. INFO needs no special right, unlike CONFIG, which managed servers refuse.
struct Info(String);

impl Info {
    async fn ask(link: &Single) -> Result<Self, StoreError> {
        link.query(&redis::cmd("INFO")).await.map(Self).map_err(|error| store_error("INFO", error))
    }

    fn get(&self, name: &str) -> &str {
        let named = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        let line = self.0.lines().find(|line| named(line)).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value.trim())
    }

    /// All that is wrong with it for a queue, at once.
    fn judge(&self, cluster: bool, allow_volatile: bool) -> Result<(), String> {
        let mut faults = Vec::new();
        let version = self.get("redis_version");
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (6, 2) {
            faults.push(format!("version {version} is too old: 6.2 or newer is needed"));
        }
        // In a Cluster that changes, and no call goes to a replica.
        if !cluster && !matches!(self.get("role"), "master" | "") {
            faults.push("it is a replica, which takes no writes: name the primary".to_owned());
        }
        let policy = self.get("maxmemory_policy");
        if !matches!(policy, "noeviction" | "") {
            faults.push(format!(
                "it evicts keys when it is full, so messages would vanish: set maxmemory-policy noeviction, not {policy}"
            ));
        }
        // SEND-SAFETY: a server that comes back with an old snapshot, or with nothing, has forgotten what was sent since.
        if self.get("aof_enabled") == "0" {
            if allow_volatile {
                tracing::warn!("Redis keeps no append-only file, which is allowed here: what it holds ends with it");
            } else {
                faults.push(
                    "it keeps no append-only file, so a restart loses messages and sends texts again: set appendonly yes, \
                     or store.allow_volatile for a trial"
                        .to_owned(),
                );
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(format!("Redis can't be trusted with a queue: {}", faults.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(info: &str, allow_volatile: bool) -> Result<(), String> {
        Info(info.replace(' ', "\r\n")).judge(false, allow_volatile)
    }

    #[test]
    fn all_faults_of_the_options_are_told_at_once_and_nothing_private() {
        let options = RedisOptions {
            urls: vec!["redis://canary:canary@10.0.0.1".to_owned(), "redis://canary:6379#canary@h".to_owned()],
            prefix: "Main".to_owned(),
            shards: 65,
            ..RedisOptions::new("")
        };
        let told = options.check().expect_err("four faults").to_string();
        for part in ["prefix is \"Main\"", "shards is 65", "Redis at 10.0.0.1 would be used without TLS", "an @ behind"]
        {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert!(!told.contains("canary"), "{told}");
    }

    #[test]
    fn a_password_that_ends_the_address_is_not_taken_for_one() {
        for url in ["redis://u:6379/x@h", "redis://u:6379?x@h", "rediss://u:6379#x@h", "redis://u:x/y@h:1/0"] {
            let told = RedisOptions::check_urls([url], true);
            assert!(told.len() == 1 && told[0].contains("%23"), "{url}: {told:?}");
        }
        for url in ["redis://u:a%2Fb@h/1", "redis://u:a@b@h:1", "rediss://:x@h/#insecure", "redis://[::1]:1/2"] {
            assert!(RedisOptions::check_urls([url], true).is_empty(), "{url}");
        }
    }

    #[test]
    fn nodes_with_tls_and_nodes_without_are_refused_in_one_list() {
        let told = RedisOptions::check_urls(["rediss://10.0.0.1", " redis://127.0.0.1"], true);
        assert!(told.len() == 1 && told[0].contains("write rediss:// for all"), "{told:?}");
        for urls in [["rediss://10.0.0.1", "rediss://127.0.0.1"], ["redis://127.0.0.1", "redis://[::1]"]] {
            assert!(RedisOptions::check_urls(urls, false).is_empty(), "{urls:?}");
        }
    }

    #[test]
    fn a_server_is_refused_with_all_its_faults_at_once() {
        assert_eq!(judged("redis_version:7.0.15 role:master maxmemory_policy:noeviction aof_enabled:1", false), Ok(()));
        let faults = judged("redis_version:6.0.9 role:slave maxmemory_policy:allkeys-lru aof_enabled:0", false);
        let faults = faults.expect_err("four faults");
        for word in ["6.0.9", "replica", "allkeys-lru", "appendonly yes"] {
            assert!(faults.contains(word), "{faults}");
        }
    }

    #[test]
    fn a_volatile_server_is_taken_only_where_that_is_allowed() {
        let volatile = "redis_version:7.0.15 role:master maxmemory_policy:noeviction aof_enabled:0";
        assert!(judged(volatile, false).is_err());
        assert_eq!(judged(volatile, true), Ok(()));
    }
}
