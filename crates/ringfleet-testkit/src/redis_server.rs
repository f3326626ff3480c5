//! One real redis-server, owned by a test.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    binary,
    wait::{free_port, wait_until},
    watchdog::Watchdog,
};

const START_DEADLINE: Duration = Duration::from_secs(15);
const PORT_TRIES: u32 = 5;
/// Ports up to here leave room for the Cluster bus, which listens 10,000 above.
const LAST_PORT: u16 = 55_000;

/// How a server is started; see [`RedisServer::builder`].
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    append_only: bool,
    max_memory_bytes: Option<u64>,
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

    /// One setting as on the command line of redis-server: `arg("--maxmemory-policy", "allkeys-lru")`.
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.args.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// # Panics
    /// When no redis-server is installed or it does not answer; the message ends with its log.
    pub fn start(self) -> RedisServer {
        let dir = TempDir::with_prefix("ringfleet-redis-").expect("the temp directory is writable");
        let mut server = RedisServer { options: self, dir: Some(dir), port: 0, running: None };
        for _ in 0..PORT_TRIES {
            server.port = std::iter::repeat_with(free_port).find(|port| *port <= LAST_PORT).expect("never ends");
            if server.try_start() {
                return server;
            }
        }
        panic!("redis-server does not start:\n{}", server.log());
    }
}

/// A redis-server in its own directory, on a free port of the loopback. Dropping it ends it and removes the directory,
/// unless the test is failing: then the directory with the log is kept and named.
pub struct RedisServer {
    options: RedisServerBuilder,
    /// `None` only while dropping.
    dir: Option<TempDir>,
    port: u16,
    running: Option<Running>,
}

struct Running {
    child: Child,
    _watchdog: Watchdog,
}

impl RedisServer {
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// An empty server that keeps nothing on disk.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn dir(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// What it has logged since it was made, over all restarts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// SIGKILL: the process is gone without a word, as after a crash.
    pub fn kill(&mut self) {
        if let Some(Running { mut child, _watchdog }) = self.running.take() {
            drop(_watchdog);
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// An orderly end: what has to be saved is saved.
    ///
    /// # Panics
    /// When it is still there after a while.
    pub fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // The reply is the end of the connection.
        let _ = self.ask("SHUTDOWN\r\n");
        let ended = wait_until(START_DEADLINE, || matches!(running.child.try_wait(), Ok(Some(_))));
        if !ended {
            let _ = running.child.kill();
            let _ = running.child.wait();
            panic!("redis-server does not stop:\n{}", self.log());
        }
    }

    /// Starts it again on the same directory and port; ends it first if it still runs.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&mut self) {
        self.kill();
        // Somebody else may sit on the port for a moment.
        let back = (0..PORT_TRIES).any(|_| self.try_start());
        assert!(back, "redis-server does not come back:\n{}", self.log());
    }

    fn log_path(&self) -> PathBuf {
        self.dir().join("redis.log")
    }

    /// `false` when the process ended by itself, e.g. because the port was taken meanwhile.
    fn try_start(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("own directory is writable");
        let mut command = Command::new(binary::redis_server());
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no", "--save", ""]);
        command.arg("--dir").arg(self.dir());
        let append_only = if self.options.append_only { "yes" } else { "no" };
        command.args(["--appendonly", append_only, "--appendfsync", "always"]);
        if let Some(bytes) = self.options.max_memory_bytes {
            command.args(["--maxmemory", &bytes.to_string()]);
        }
        command.args(&self.options.args);
        command.current_dir(self.dir()).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let mut child = command.spawn().expect("redis-server can be executed");
        let watchdog = Watchdog::over(child.id(), self.dir()).expect("a shell can be executed");
        let pid = format!("process_id:{}\r\n", child.id());
        let answers = wait_until(START_DEADLINE, || {
            let ended = !matches!(child.try_wait(), Ok(None));
            // Its own number, so that another server on the same port is not taken for it. One that wants a password
            // or is in protected mode says so instead.
            ended || self.ask("INFO server\r\n").is_some_and(|info| info.contains(&pid) || info.starts_with("-NOAUTH"))
        });
        let alive = answers && matches!(child.try_wait(), Ok(None));
        let loaded = alive
            && wait_until(START_DEADLINE, || self.ask("PING\r\n").is_some_and(|pong| !pong.starts_with("-LOADING")));
        self.running = Some(Running { child, _watchdog: watchdog });
        if !loaded {
            self.kill();
        }
        loaded
    }

    /// One inline command, one reply; enough to see that it is there.
    fn ask(&self, command: &str) -> Option<String> {
        let patience = Some(Duration::from_secs(1));
        let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        link.set_read_timeout(patience).ok()?;
        link.set_write_timeout(patience).ok()?;
        link.write_all(command.as_bytes()).ok()?;
        let mut reply = vec![0; 16 * 1024];
        let length = link.read(&mut reply).ok()?;
        String::from_utf8(reply[..length].to_vec()).ok()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            let kept = dir.keep();
            let _ = writeln!(std::io::stderr(), "redis-server's log is kept in {}", kept.display());
        }
    }
}
