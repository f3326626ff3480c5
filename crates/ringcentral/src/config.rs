//! Settings of a client.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::guard::GuardMode;
use crate::plan::UsagePlans;
use crate::secret::{ClientId, ClientSecret};
use crate::server::ServerUrl;

/// Settings of a [`Client`](crate::Client): plain data, with defaults from [`new`](Self::new).
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub server: ServerUrl,
    pub client_id: ClientId,
    /// `None` for a public client, which has none to keep: its id travels in the body of token calls instead (documented).
    pub client_secret: Option<ClientSecret>,
    /// Name resolution, TCP and TLS together: 3 s.
    pub connect_timeout: Duration,
    /// One call from its start to the last byte of its answer: 15 s. Waiting for the guard is not in it.
    pub total_timeout: Duration,
    /// Largest answer of a send, a token call and a subscription, and largest refusal of any call: 64 KiB. A larger one counts as
    /// unreadable.
    pub answer_cap_bytes: usize,
    /// Largest answer of a read: 16 MiB (1000 messages, the documented most of a page, take about 1 MiB, as many calls with
    /// all their legs several).
    pub list_cap_bytes: usize,
    /// An idle connection is closed after this, before the server does: 20 s. A request written to a connection that the
    /// server just closed would be lost.
    pub pool_idle_timeout: Duration,
    pub user_agent: String,
    pub proxy: ProxyChoice,
    pub plans: UsagePlans,
    pub guard_mode: GuardMode,
    /// How long a call may wait for its turn in [`GuardMode::Limiter`]: 90 s, which outlasts a penalty.
    pub guard_patience: Duration,
}

impl ClientConfig {
    /// An app that keeps a secret.
    pub fn new(server: ServerUrl, client_id: ClientId, client_secret: ClientSecret) -> Self {
        Self { client_secret: Some(client_secret), ..Self::public(server, client_id) }
    }

    /// An app without a secret; its users sign in by authorization code with [`Pkce`](crate::Pkce).
    pub fn public(server: ServerUrl, client_id: ClientId) -> Self {
        Self {
            server,
            client_id,
            client_secret: None,
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(15),
            answer_cap_bytes: 64 * 1024,
            list_cap_bytes: 16 * 1024 * 1024,
            pool_idle_timeout: Duration::from_secs(20),
            user_agent: concat!("ringfleet/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: ProxyChoice::Direct,
            plans: UsagePlans::default(),
            guard_mode: GuardMode::default(),
            guard_patience: Duration::from_secs(90),
        }
    }
}

/// The way out. The environment's proxy variables count only if that is asked for: they are set by others, and every
/// token and text would pass that proxy's connection.
#[derive(Clone, Default)]
pub enum ProxyChoice {
    #[default]
    Direct,
    /// `HTTPS_PROXY` and the like.
    Environment,
    /// A proxy's URL, which may hold its password.
    Url(SecretString),
}

impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "Direct",
            Self::Environment => "Environment",
            Self::Url(_) => "Url([redacted])",
        })
    }
}
