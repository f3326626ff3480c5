//! A server that can't be reached: which one, why, and what to do about it.
//!
//! Of a URL host and port alone are told, because the user and the password stand in it too; of an error only what kind it is.

use std::{error::Error, fmt, io, sync::Arc};

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, RedisError};

use super::scripts::{code_of, store_error};
use crate::store::StoreError;

/// None of these nodes could be reached; `error` is what one of them met.
pub(super) fn unreached(nodes: &[ConnectionInfo], error: RedisError) -> StoreError {
    // One that answers was reached, and its answer says the rest.
    let away = code_of(&error).is_none().then(|| Away::of(nodes, &error));
    match (store_error("connect", error), away) {
        (StoreError::Unavailable { call, .. }, Some(away)) => StoreError::Unavailable { call, source: Box::new(away) },
        (told, _) => told,
    }
}

/// Nothing was heard of it in all the time that it was given.
pub(super) fn unheard(node: &ConnectionInfo) -> StoreError {
    unreached(std::slice::from_ref(node), io::Error::from(io::ErrorKind::TimedOut).into())
}

/// Why there was no answer. Of what the network met the kind alone is told, which quotes nothing either.
pub(super) fn cause(error: &RedisError) -> String {
    match io_error(error) {
        Some(io) if is_of_a_name(io) => "its host name is not found".to_owned(),
        Some(io) => io.kind().to_string(),
        None => error.category().to_owned(),
    }
}

/// What the network met; the library keeps it inside an [`Arc`].
fn io_error(error: &RedisError) -> Option<&io::Error> {
    error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?.downcast_ref()
}

/// Looking a name up has no kind of its own.
fn is_of_a_name(error: &io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

#[derive(Debug)]
struct Away {
    nodes: Vec<String>,
    cause: String,
    next: &'static str,
}

impl Away {
    fn of(nodes: &[ConnectionInfo], error: &RedisError) -> Self {
        let tls = nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
        let fault = Fault::of(error, tls);
        Self {
            nodes: nodes.iter().map(|node| address(node.addr())).collect(),
            cause: if fault == Fault::Tls { "no TLS with it".to_owned() } else { cause(error) },
            next: fault.next(tls),
        }
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {}: {}; {}", self.nodes.join(", "), self.cause, self.next)
    }
}

impl Error for Away {}

fn address(addr: &ConnectionAddr) -> String {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } if host.contains(':') => {
            format!("[{host}]:{port}")
        }
        other => other.to_string(),
    }
}

/// What keeps a server out of reach, as far as the next step depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Name,
    Refused,
    Unheard,
    Tls,
    Login,
    NotRedis,
    Other,
}

impl Fault {
    fn of(error: &RedisError, tls: bool) -> Self {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, InvalidData, NetworkUnreachable, TimedOut};
        let io = io_error(error);
        match (error.kind(), io.map(io::Error::kind)) {
            (ErrorKind::AuthenticationFailed, _) => Self::Login,
            (ErrorKind::Parse, _) => Self::NotRedis,
            _ if io.is_some_and(is_of_a_name) => Self::Name,
            (_, Some(ConnectionRefused)) => Self::Refused,
            (_, Some(TimedOut | HostUnreachable | NetworkUnreachable)) => Self::Unheard,
            (_, Some(InvalidData)) if tls => Self::Tls,
            // A host name that no certificate can have, or no certificates on this machine: the library tells that without an
            // I/O error inside.
            (ErrorKind::Io, None) if tls && error.source().is_some() => Self::Tls,
            _ => Self::Other,
        }
    }

    fn next(self, tls: bool) -> &'static str {
        match (self, tls) {
            (Self::Name, _) => "is the host in store.url written right, and can this machine look names up?",
            (Self::Login, _) => "are user and password in store.url right?",
            (Self::Tls, _) => {
                "is its certificate for that host name, and trusted on this machine? without TLS store.url begins with redis://"
            }
            (Self::Unheard, true) => {
                "is Redis running there, with TLS, and is there a firewall between? store.url says where"
            }
            (Self::Unheard, false) => "is Redis running there, and is there a firewall between? store.url says where",
            (Self::Refused, _) | (Self::Other, true) => "is Redis running there? store.url says where",
            (Self::NotRedis | Self::Other, _) => {
                "is Redis running there? store.url says where; with TLS the URL begins with rediss://"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    fn words(url: &str, error: RedisError) -> String {
        let error = unreached(&[url.into_connection_info().expect("a URL")], error);
        assert!(error.is_transient(), "{error:?}");
        format!("{error}: {}", error.source().expect("a cause"))
    }

    fn of_io(kind: io::ErrorKind) -> RedisError {
        io::Error::new(kind, "canary-detail").into()
    }

    #[test]
    fn a_server_that_is_away_is_told_with_host_port_cause_and_next_step_and_nothing_private() {
        let lookup = io::Error::other("failed to lookup address information: canary-detail");
        for (url, error, parts) in [
            (
                "redis://canary-user:canary-password@127.0.0.1:26399/3",
                of_io(io::ErrorKind::ConnectionRefused),
                ["at 127.0.0.1:26399: connection refused", "is Redis running there?"],
            ),
            ("redis://:canary@[::1]", of_io(io::ErrorKind::TimedOut), ["at [::1]:6379: timed out", "firewall"]),
            ("redis://nowhere", lookup.into(), ["at nowhere:6379: its host name is not found", "written right"]),
            ("rediss://safe:1", of_io(io::ErrorKind::InvalidData), ["at safe:1: no TLS with it", "certificate"]),
            ("rediss://safe:1", of_io(io::ErrorKind::ConnectionReset), ["connection reset", "store.url says where"]),
            ("redis://safe:1", of_io(io::ErrorKind::ConnectionReset), ["connection reset", "rediss://"]),
            (
                "redis://canary:canary@h",
                (ErrorKind::AuthenticationFailed, "canary", "canary".to_owned()).into(),
                ["at h:6379: authentication failed", "password in store.url"],
            ),
        ] {
            let told = words(url, error);
            assert!(!told.contains("canary"), "{told}");
            for part in parts {
                assert!(told.contains(part), "{part:?} is missing in {told}");
            }
        }
    }

    #[test]
    fn an_answer_of_the_server_keeps_its_code() {
        let busy = redis::parse_redis_value(b"-LOADING Redis is loading the dataset in memory\r\n");
        let busy = busy.and_then(redis::Value::extract_error).expect_err("a refusal");
        let told = words("redis://h", busy);
        assert!(told.contains("LOADING, it is loading its data"), "{told}");
    }

    #[test]
    fn all_nodes_of_a_cluster_that_were_asked_are_named() {
        let nodes = ["redis://a:1", "redis://u:canary@b:2"].map(|url| url.into_connection_info().expect("a URL"));
        let error = unreached(&nodes, of_io(io::ErrorKind::ConnectionRefused));
        let told = error.source().expect("a cause").to_string();
        assert!(told.starts_with("Redis at a:1, b:2: connection refused"), "{told}");
    }
}
