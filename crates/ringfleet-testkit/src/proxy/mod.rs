//! A wire that can be made bad: a TCP proxy in front of one server.

mod faults;
mod link;

use std::{io::ErrorKind, net::TcpListener as StdListener, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use self::faults::Faults;
use crate::{port::Port, wait::wait_until};

const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// Carries bytes between its clients and one server until told otherwise. Every fault can be set and cleared while traffic
/// flows, and holds from the moment in which the call returns: not one byte slips through after it.
///
/// It runs on the runtime of the test. A test whose clients block needs `flavor = "multi_thread"`.
pub struct FaultProxy {
    port: Arc<Port>,
    faults: Arc<Faults>,
    accepting: AbortHandle,
}

impl FaultProxy {
    /// `upstream` is `host:port`. Nobody needs to listen there yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(upstream: impl Into<String>) -> Self {
        Self::start_at(Arc::new(Port::hold()), upstream)
    }

    /// The same at the [`port`](Self::port) of a proxy that was dropped, whose clients have met a port on which nobody listens.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_at(port: Arc<Port>, upstream: impl Into<String>) -> Self {
        let (upstream, mut listener) = (upstream.into(), Err(ErrorKind::AddrInUse.into()));
        // The one before ends with its task.
        wait_until(PORT_PATIENCE, || {
            listener = StdListener::bind(port.address());
            listener.is_ok()
        });
        let listener = listener.expect("nobody else has the port");
        listener.set_nonblocking(true).expect("a listener can be asked not to block");
        let listener = TcpListener::from_std(listener).expect("a tokio runtime with I/O is running");
        let faults = Arc::new(Faults::new(upstream));
        let accepting = tokio::spawn(accept(listener, faults.clone())).abort_handle();
        Self { port, faults, accepting }
    }

    /// Kept from others as long as somebody has it.
    pub fn port(&self) -> Arc<Port> {
        self.port.clone()
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// `SCHEME://127.0.0.1:PORT/`
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.address())
    }

    /// Replies come `delay` later, plus a part of `jitter` that differs from reply to reply; requests are not held up, so
    /// that a round trip grows by just that. The order is kept, and what is already on its way keeps its delay.
    pub fn latency(&self, delay: Duration, jitter: Duration) {
        self.faults.latency(delay, jitter);
    }

    /// A partition without a word: bytes are swallowed in both directions, ends of connections are not passed on, and new
    /// connections open but lead nowhere. When it heals, connections that lost something are reset, because a stream
    /// with a hole is useless; the others go on.
    pub fn blackhole(&self, on: bool) {
        self.faults.blackhole(on);
    }

    /// New connections are reset at once. Those that stand go on.
    pub fn refuse(&self, on: bool) {
        self.faults.refuse(on);
    }

    /// Resets every connection of this moment.
    pub fn reset_all(&self) {
        self.faults.reset_all();
    }

    /// Leads to another server from here on, as an address does after a failover: new connections go there, those of this
    /// moment are reset.
    pub fn retarget(&self, upstream: impl Into<String>) {
        self.faults.retarget(upstream.into());
    }

    /// The server's side of every connection of this moment is closed and forgotten; the client is told nothing. Its
    /// socket stays open and silent, up to [`heal`](Self::heal) or [`reset_all`](Self::reset_all).
    pub fn half_open(&self) {
        self.faults.half_open();
    }

    /// The next request is passed on. As soon as a reply comes on its connection, the reply is swallowed and the client's
    /// connection is reset: the request was carried out, and nobody knows.
    ///
    /// Requests that the same connection has under way share that fate. The server still gets all that was sent to it.
    pub fn drop_next_reply(&self) {
        self.drop_next_reply_of(b"");
    }

    /// The same for the next request that contains these bytes, e.g. a command's name or a script's digest. Called twice
    /// it is good for two requests.
    pub fn drop_next_reply_of(&self, matching: &[u8]) {
        self.faults.trap(matching);
    }

    /// Clears everything. Connections that lost bytes, and those that are half open, are reset.
    pub fn heal(&self) {
        self.faults.heal();
    }

    /// Clients' connections that stand, the silent ones among them.
    pub fn connections(&self) -> usize {
        self.faults.connections()
    }

    /// How many replies [`drop_next_reply`](Self::drop_next_reply) and its kind have swallowed.
    pub fn dropped(&self) -> u64 {
        self.faults.dropped()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Owns the connections, so that they end with it.
async fn accept(listener: TcpListener, faults: Arc<Faults>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that is gone before it is accepted is none.
                if let Ok((client, _)) = accepted {
                    links.spawn(link::serve(client, faults.clone()));
                }
            }
            Some(_) = links.join_next() => {}
        }
    }
}
