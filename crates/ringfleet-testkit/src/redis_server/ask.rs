//! One command, one reply: enough to see how a server is, without a client that takes care of everything.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

/// The way in: a server that speaks TLS to the world has a socket without for us.
pub(super) enum Door {
    Port(u16),
    Socket(PathBuf),
}

impl Door {
    /// `None` when it does not answer.
    pub(super) fn ask(&self, password: Option<&str>, command: &[&str]) -> Option<String> {
        match self {
            Self::Port(port) => {
                let link = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).ok()?;
                link.set_read_timeout(PATIENCE).ok()?;
                link.set_write_timeout(PATIENCE).ok()?;
                talk(link, password, command)
            }
            Self::Socket(path) => {
                let link = UnixStream::connect(path).ok()?;
                link.set_read_timeout(PATIENCE).ok()?;
                link.set_write_timeout(PATIENCE).ok()?;
                talk(link, password, command)
            }
        }
    }
}

fn talk(mut link: impl Read + Write, password: Option<&str>, command: &[&str]) -> Option<String> {
    if let Some(password) = password {
        link.write_all(&encode(&["AUTH", password])).ok()?;
        let mut reply = [0; 5];
        link.read_exact(&mut reply).ok()?;
        if reply != *b"+OK\r\n" {
            return None;
        }
    }
    link.write_all(&encode(command)).ok()?;
    let mut reply = vec![0; 16 * 1024];
    let length = link.read(&mut reply).ok()?;
    String::from_utf8(reply[..length].to_vec()).ok()
}

fn encode(command: &[&str]) -> Vec<u8> {
    let parts: String = command.iter().map(|part| format!("${}\r\n{part}\r\n", part.len())).collect();
    format!("*{}\r\n{parts}", command.len()).into_bytes()
}
