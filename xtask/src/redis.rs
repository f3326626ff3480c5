//! One redis-server for the demo. The tests have their own guard, in ringfleet-testkit; taking that one would make xtask
//! wait for half of the workspace to build.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    child::{self, Running},
    tools,
};

const START_DEADLINE: Duration = Duration::from_secs(15);
/// Between asking for a free port and the server's start, somebody else may take it.
const PORT_TRIES: u32 = 5;

pub(crate) struct Redis {
    _running: Running,
    port: u16,
}

impl Redis {
    /// An empty server with an append-only file in `dir`.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        for _ in 0..PORT_TRIES {
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
            fs::create_dir_all(dir)?;
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let mut command = child::command(tools::redis_server()?);
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"]);
            command.args(["--logfile", "redis.log", "--dir"]).arg(dir).current_dir(dir).stdin(Stdio::null());
            let mut running = Running::spawn(&mut command)?;
            if answers(&mut running, port) {
                return Ok(Self { _running: running, port });
            }
        }
        let log = fs::read_to_string(dir.join("redis.log")).unwrap_or_default();
        bail!("redis-server does not start:\n{log}")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// `false` when it ended, or did not answer in time.
fn answers(running: &mut Running, port: u16) -> bool {
    let pid = format!("process_id:{}\r\n", running.child().id());
    let end = Instant::now() + START_DEADLINE;
    while Instant::now() < end && matches!(running.child().try_wait(), Ok(None)) {
        // Its own number, so that another server on the same port is not taken for it.
        if info(port).is_ok_and(|info| info.contains(&pid)) {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn info(port: u16) -> std::io::Result<String> {
    let mut link = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    link.set_read_timeout(Some(Duration::from_secs(1)))?;
    link.write_all(b"INFO server\r\nQUIT\r\n")?;
    let mut reply = String::new();
    link.read_to_string(&mut reply)?;
    Ok(reply)
}
