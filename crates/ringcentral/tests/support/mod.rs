//! A stand-in server over real sockets that does, request by request, what a test tells it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringcentral::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the stub does with one request, after it has read all of it.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes these bytes, then closes.
    Write(Vec<u8>),
    /// Writes these bytes, then keeps the connection open in silence.
    WriteThenHang(Vec<u8>),
    /// Closes with a TCP reset.
    Reset,
}

/// A request as it stood on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Request line and headers; the names in lower case, as hyper writes them.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Stub {
    /// Listens on a free port; the n-th request meets the n-th act, and the last act from there on.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acts.clone(), Arc::clone(&log)));
            }
        });
        Self { url, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// A client of this stub.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).expect("a client")
    }

    /// One with a short deadline, for a stub that hangs.
    pub(crate) fn impatient_client(&self) -> Client {
        let config = ClientConfig { total_timeout: Duration::from_millis(500), ..self.config() };
        Client::new(config).expect("a client")
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let secret = ClientSecret::try_new("canary-secret").expect("valid");
        let id = ClientId::try_new("app").expect("valid");
        let mut config = ClientConfig::new(self.url.parse().expect("valid"), id, secret);
        config.guard_mode = GuardMode::Backstop;
        config.total_timeout = Duration::from_secs(20);
        config
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, acts: Vec<Act>, seen: Arc<Mutex<Vec<Seen>>>) {
    let Some(request) = read_request(&mut socket).await else { return };
    let act = {
        let mut seen = seen.lock().expect("not poisoned");
        seen.push(request);
        acts[(seen.len() - 1).min(acts.len() - 1)].clone()
    };
    match act {
        Act::Write(bytes) => {
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
        }
        Act::WriteThenHang(bytes) => {
            let _ = socket.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Act::Reset => {
            let _ = socket.set_zero_linger();
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < head_end + length.unwrap_or(0) {
        socket.read_buf(&mut bytes).await.ok()?;
    }
    let body = String::from_utf8(bytes[head_end..].to_vec()).ok()?;
    Some(Seen { head, body })
}

/// A whole answer; `headers` are lines without their ends.
pub(crate) fn answer(status: u16, headers: &[&str], body: &str) -> Act {
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    Act::Write(format!("{text}\r\n{body}").into_bytes())
}

pub(crate) fn extension() -> ExtensionId {
    ExtensionId::try_new("101").expect("valid")
}

pub(crate) fn token() -> AccessToken {
    AccessToken::try_new("canary-token").expect("valid")
}

pub(crate) fn sms() -> SmsRequest {
    SmsRequest {
        from: "+15550100001".parse().expect("valid"),
        to: "+15550100002".parse().expect("valid"),
        text: MessageText::try_new("canary text 😀").expect("valid"),
        country: None,
    }
}

pub(crate) async fn send(client: &Client) -> Result<Answer<SmsSent>, CallError> {
    client.send_sms(Caller { extension: &extension(), token: &token() }, &sms()).await
}
