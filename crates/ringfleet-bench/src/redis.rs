//! A redis-server of a bench's own, and what it tells of its work.

use std::time::Duration;

use anyhow::Context;
use redis::{
    AsyncConnectionConfig, Pipeline,
    aio::{Monitor, MultiplexedConnection},
};
use ringfleet_testkit::RedisServer;

/// Emptying a full server takes its time.
const RESPONSE_DEADLINE: Duration = Duration::from_secs(60);

/// Fresh, empty, ended with its guard.
pub(crate) struct Redis {
    server: RedisServer,
    link: MultiplexedConnection,
}

/// How Redis keeps its data while it is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keep {
    /// Nothing on the disk, as usual in comparisons of queues.
    Memory,
    /// An append-only file that is on the disk before Redis answers: what deploy/redis.conf says.
    Aof,
}

/// Redis' own counters. Commands that a script calls count there too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Info {
    pub commands: f64,
    pub round_trips: f64,
    pub cpu_us: f64,
    pub memory_bytes: f64,
}

async fn connect(server: &RedisServer) -> anyhow::Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE_DEADLINE));
    let client = redis::Client::open(server.url())?;
    client.get_multiplexed_async_connection_with_config(&config).await.context("the bench's Redis can't be reached")
}

impl Redis {
    pub(crate) async fn start(keep: Keep) -> anyhow::Result<Self> {
        let builder = match keep {
            Keep::Memory => RedisServer::builder(),
            Keep::Aof => RedisServer::builder().append_only().arg("--appendfsync", "always"),
        };
        let server = tokio::task::block_in_place(|| builder.start());
        let link = connect(&server).await?;
        Ok(Self { server, link })
    }

    /// A connection of its own, as each worker process has one.
    pub(crate) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        connect(&self.server).await
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) async fn info(&self) -> anyhow::Result<Info> {
        let mut link = self.link.clone();
        let text: String = redis::cmd("INFO").arg("everything").query_async(&mut link).await?;
        let field = |name: &str| -> anyhow::Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let line = line.with_context(|| format!("INFO of Redis has no {name}"))?;
            line.trim().parse().with_context(|| format!("{name} of Redis is {line:?}"))
        };
        let calls = text.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        let calls = calls.and_then(|rest| rest.split(',').next()?.parse().ok());
        Ok(Info {
            commands: field("total_commands_processed")?,
            round_trips: calls.unwrap_or(0.0),
            cpu_us: (field("used_cpu_user")? + field("used_cpu_sys")?) * 1e6,
            memory_bytes: field("used_memory")?,
        })
    }

    /// Shows each command from now on, those that scripts call too.
    pub(crate) async fn monitor(&self) -> anyhow::Result<Monitor> {
        Ok(redis::Client::open(self.url())?.get_async_monitor().await?)
    }

    pub(crate) async fn echo(&self, words: &str) -> anyhow::Result<()> {
        Ok(redis::cmd("ECHO").arg(words).query_async(&mut self.link.clone()).await?)
    }

    pub(crate) async fn send(&self, pipeline: Pipeline) -> anyhow::Result<()> {
        Ok(pipeline.query_async(&mut self.link.clone()).await?)
    }

    pub(crate) async fn empty(&self) -> anyhow::Result<()> {
        let mut link = self.link.clone();
        redis::cmd("FLUSHALL").query_async::<()>(&mut link).await.context("the bench's Redis can't be emptied")
    }
}

impl Info {
    pub(crate) fn since(self, before: Info) -> Info {
        Info {
            commands: self.commands - before.commands,
            round_trips: self.round_trips - before.round_trips,
            cpu_us: self.cpu_us - before.cpu_us,
            memory_bytes: self.memory_bytes - before.memory_bytes,
        }
    }

    pub(crate) fn plus(self, more: Info) -> Info {
        Info {
            commands: self.commands + more.commands,
            round_trips: self.round_trips + more.round_trips,
            cpu_us: self.cpu_us + more.cpu_us,
            memory_bytes: self.memory_bytes + more.memory_bytes,
        }
    }
}
