//! How a server is started.

use std::{fs, iter, path::Path, process::Command};

use tempfile::TempDir;

use super::{RedisServer, certificate, clock};
use crate::{binary, port::Port, wait::wait_until};

/// The Cluster's bus listens so far above the port of the clients.
const BUS: u16 = 10_000;

/// How a server is started; see [`RedisServer::builder`].
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    append_only: bool,
    max_memory_bytes: Option<u64>,
    pub(super) password: Option<String>,
    replica: bool,
    pub(super) tls: bool,
    pub(super) own_clock: bool,
    /// The configuration of one that is no store but a sentinel.
    sentinel: Option<String>,
    args: Vec<String>,
}

impl RedisServerBuilder {
    /// Every write is fsynced into an append-only file, so that a killed server comes back with all it acknowledged.
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    pub fn max_memory_bytes(mut self, bytes: u64) -> Self {
        self.max_memory_bytes = Some(bytes);
        self
    }

    /// Only who knows it gets in; the server's URL contains it.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Follows `primary`. [`start`](Self::start) returns when it has all that the primary has.
    pub fn replica_of(mut self, primary: &RedisServer) -> Self {
        assert!(!primary.options.tls, "replicas of a server that speaks TLS are not provided for");
        self.replica = true;
        self.args.extend(["--replicaof", "127.0.0.1", &primary.port().to_string()].map(str::to_owned));
        if let Some(password) = &primary.options.password {
            self.args.extend(["--masterauth".to_owned(), password.clone()]);
        }
        self
    }

    /// Speaks TLS only, with a certificate for the loopback that [`RedisServer::ca_file`] vouches for.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Goes by a clock of its own, which [`RedisServer::step_clock`] sets. It needs libfaketime.
    pub fn clock_file(mut self) -> Self {
        self.own_clock = true;
        self
    }

    pub(crate) fn sentinel(mut self, configuration: String) -> Self {
        self.sentinel = Some(configuration);
        self
    }

    /// One setting as on the command line of redis-server: `arg("--maxmemory-policy", "allkeys-lru")`.
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.args.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// # Panics
    /// When no redis-server is installed or it does not answer; the message ends with its log.
    pub fn start(self) -> RedisServer {
        let dir = TempDir::with_prefix("ringfleet-redis-").expect("the temp directory is writable");
        if self.tls {
            certificate::make(dir.path());
        }
        if self.own_clock {
            clock::set(dir.path(), 0);
        }
        if let Some(configuration) = &self.sentinel {
            fs::write(dir.path().join("sentinel.conf"), configuration).expect("own directory is writable");
        }
        let replica = self.replica;
        let mut server = RedisServer { options: self, dir: Some(dir), ports: ports(), running: None };
        assert!(server.try_start(), "redis-server does not start:\n{}", server.log());
        let follows =
            || server.ask(&["INFO", "replication"]).is_some_and(|info| info.contains("master_link_status:up"));
        let complete = !replica || wait_until(super::START_DEADLINE, follows);
        assert!(complete, "the replica does not get what its primary has:\n{}", server.log());
        server
    }

    pub(super) fn command(&self, dir: &Path, port: u16) -> Command {
        let mut command = Command::new(binary::redis_server());
        if self.sentinel.is_some() {
            command.args(["sentinel.conf", "--sentinel"]);
        }
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
        command.arg("--dir").arg(dir).current_dir(dir);
        if self.sentinel.is_none() {
            let append_only = if self.append_only { "yes" } else { "no" };
            command.args(["--save", "", "--appendonly", append_only, "--appendfsync", "always"]);
            // A replica needs not wait for others that might come.
            command.args(["--repl-diskless-sync-delay", "0"]);
        }
        if let Some(bytes) = self.max_memory_bytes {
            command.args(["--maxmemory", &bytes.to_string()]);
        }
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        if self.tls {
            command.arg("--unixsocket").arg(dir.join(super::SOCKET)).args(certificate::settings(dir, port));
        }
        if self.own_clock {
            clock::give(&mut command, dir);
        }
        command.args(&self.args);
        command
    }
}

/// For the clients and for the bus of a Cluster.
fn ports() -> [Port; 2] {
    let with_bus = || {
        let port = Port::hold();
        let bus = port.number().checked_add(BUS)?;
        Some([port, Port::try_hold(bus).ok()?])
    };
    iter::repeat_with(with_bus).flatten().next().expect("never ends")
}
