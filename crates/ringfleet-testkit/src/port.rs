//! A port that stays the test's own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpSocket;

/// A port of the loopback that the system gives to nobody else while this lives. Nobody listens there, and connecting is
/// refused, until a server is told its number; that one may come and go. It must set `SO_REUSEADDR`, as redis-server and the
/// listeners of the standard library and of tokio do.
pub struct Port {
    number: u16,
    /// Bound and never listened on: what is bound is neither drawn for another listener nor for a client.
    _held: TcpSocket,
}

impl Port {
    /// A free one.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub fn hold() -> Self {
        Self::try_hold(0).expect("the loopback has a free port")
    }

    /// A certain one, if nobody has it; 0 is any.
    pub(crate) fn try_hold(number: u16) -> io::Result<Self> {
        let held = TcpSocket::new_v4()?;
        held.set_reuseaddr(true)?;
        held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, number)))?;
        Ok(Self { number: held.local_addr()?.port(), _held: held })
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
