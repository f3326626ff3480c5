//! One real redis-server, owned by a test.

mod aof;
mod ask;
mod builder;
mod certificate;
mod clock;
mod process;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use tempfile::TempDir;

pub use self::builder::RedisServerBuilder;
use self::{ask::Door, process::Process};
use crate::{port::Port, wait::wait_until};

const START_DEADLINE: Duration = Duration::from_secs(15);
const SOCKET: &str = "redis.sock";

/// A redis-server in its own directory, on a free port of the loopback. Dropping it ends it and removes the directory,
/// unless the test is failing: then the directory with the log is kept and named.
pub struct RedisServer {
    options: RedisServerBuilder,
    /// `None` only while dropping.
    dir: Option<TempDir>,
    /// Nobody else's also while the server is down.
    ports: [Port; 2],
    running: Option<Process>,
}

impl RedisServer {
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// An empty server that keeps nothing on disk.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// With the password, if it has one.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let password = self.options.password.as_ref().map(|password| format!(":{}@", percent_encoded(password)));
        format!("{scheme}://{}{}/", password.unwrap_or_default(), self.address())
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.ports[0].address()
    }

    pub fn port(&self) -> u16 {
        self.ports[0].number()
    }

    pub fn dir(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// The authority that vouches for a server made with [`tls`](RedisServerBuilder::tls), in PEM.
    pub fn ca_file(&self) -> PathBuf {
        assert!(self.options.tls, "this server speaks no TLS");
        certificate::ca_file(self.dir())
    }

    /// Puts the clock of a server made with [`clock_file`](RedisServerBuilder::clock_file) this far before the machine's,
    /// or behind; 0 is the right time again. A restart leaves it as it is.
    pub fn step_clock(&self, seconds: i64) {
        assert!(self.options.own_clock, "this server goes by the machine's clock");
        clock::set(self.dir(), seconds);
    }

    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(Process::is_alive)
    }

    /// What it has logged since it was made, over all restarts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Stops its clockwork: connections stay and open, but nothing is answered until [`thaw`](Self::thaw).
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&mut self) {
        self.process().freeze();
    }

    /// # Panics
    /// When it does not run.
    pub fn thaw(&mut self) {
        self.process().thaw();
    }

    /// SIGKILL: the process is gone without a word, as after a crash.
    pub fn kill(&mut self) {
        if let Some(process) = self.running.take() {
            process.kill();
        }
    }

    /// An orderly end: what has to be saved is saved.
    ///
    /// # Panics
    /// When it is still there after a while.
    pub fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        if running.frozen && running.is_alive() {
            running.thaw();
        }
        // The reply is the end of the connection.
        let _ = self.ask(&["SHUTDOWN"]);
        let ended = wait_until(START_DEADLINE, || !running.is_alive());
        if !ended {
            running.kill();
            panic!("redis-server does not stop:\n{}", self.log());
        }
    }

    /// Starts it again on the same directory and port; ends it first if it still runs.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "redis-server does not come back:\n{}", self.log());
    }

    /// Kills it and cuts off the end of its append-only file, be it amid a command, as a machine does that loses its
    /// power. It stays ended until [`restart`](Self::restart).
    ///
    /// # Panics
    /// When it has no such file.
    pub fn truncate_tail(&mut self, bytes: u64) {
        self.kill();
        aof::cut_bytes(self.dir(), bytes);
    }

    /// The same for the last `number` commands that wrote. All that one script or transaction wrote counts as one.
    ///
    /// # Panics
    /// When it has no such file, or never got so many since the file was last rewritten.
    pub fn forget_last_commands(&mut self, number: usize) {
        self.kill();
        aof::cut_commands(self.dir(), number);
    }

    /// How long its append-only file is, so that all that follows can be cut off later.
    ///
    /// # Panics
    /// When it has no such file.
    pub fn append_only_bytes(&self) -> u64 {
        aof::bytes(self.dir())
    }

    /// One command, and the beginning of its reply as it stands on the wire.
    pub fn ask(&self, command: &[&str]) -> Option<String> {
        let door = if self.options.tls { Door::Socket(self.dir().join(SOCKET)) } else { Door::Port(self.port()) };
        door.ask(self.options.password.as_deref(), command)
    }

    fn log_path(&self) -> PathBuf {
        self.dir().join("redis.log")
    }

    /// `false` when the process ended by itself.
    fn try_start(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("own directory is writable");
        let mut command = self.options.command(self.dir(), self.port());
        let mut process = Process::spawn(command.stdout(log).stderr(Stdio::null()), self.dir());
        let pid = format!("process_id:{}\r\n", process.id());
        let answers = wait_until(START_DEADLINE, || {
            // Its own number, so that another server on the same port is not taken for it. One that wants a password
            // which we do not know, or is in protected mode, says so instead.
            !process.is_alive()
                || self.ask(&["INFO", "server"]).is_some_and(|info| info.contains(&pid) || info.starts_with("-NOAUTH"))
        });
        let alive = answers && process.is_alive();
        let loaded = alive
            && wait_until(START_DEADLINE, || self.ask(&["PING"]).is_some_and(|pong| !pong.starts_with("-LOADING")));
        self.running = Some(process);
        if !loaded {
            self.kill();
        }
        loaded
    }

    fn process(&mut self) -> &mut Process {
        assert!(self.is_running(), "redis-server does not run:\n{}", self.log());
        self.running.as_mut().expect("what runs is a process")
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

fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
