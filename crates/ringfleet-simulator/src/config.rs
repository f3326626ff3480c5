//! What a simulated account looks like and how it behaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::app::AppSettings;

/// Requests allowed per window for each usage-plan group. The defaults are documented by RingCentral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub heavy: u32,
    pub medium: u32,
    pub light: u32,
    pub auth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { heavy: 10, medium: 40, light: 50, auth: 5 }
    }
}

/// How long an answer to a send is held back after the message was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    #[default]
    None,
    Fixed(Duration),
    /// Evenly spread between both ends.
    Uniform(Duration, Duration),
}

/// All switches of a simulator. `SimulatorConfig::default()` behaves like a fresh app on RingCentral's default plan with ten
/// extensions, on a free loopback port.
///
/// No `Debug`: it holds the client secret.
#[derive(Clone)]
pub struct SimulatorConfig {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    pub extensions: u32,
    /// Phone numbers of each extension, all with the `SmsSender` feature.
    pub numbers_per_extension: u32,
    /// The window of every group. 60 s is documented; whole seconds are best, because the headers carry whole seconds (rounded up).
    pub window: Duration,
    /// `None`: as long as the window, which is the documented default.
    pub penalty: Option<Duration>,
    pub limits: Limits,
    /// A window of its own for the Auth group, instead of `window`.
    pub auth_window: Option<Duration>,
    /// Count the Auth group per app (a platform announcement, unsure) instead of per user (documented).
    pub auth_per_app: bool,
    /// Lifetime of an access token when the client names none, and the longest it can ask for. 3600 s is documented.
    pub access_token_ttl: Duration,
    /// The same for refresh tokens. 604,800 s is documented.
    pub refresh_token_ttl: Duration,
    pub app: AppSettings,
    /// An authorization code can be redeemed this long. 60 s, seen in the documentation's sample.
    pub code_ttl: Duration,
    /// After five wrong passwords in a row a user can't log in with a password for this long (lock-out is documented, its length is not).
    pub lock_out: Duration,
    /// A used refresh token can be replayed this long while the new access token is still unused. 60 min is documented.
    pub replay_while_unused: Duration,
    /// A used refresh token can be replayed this long after the first use of the new access token. 10 s, seen in SDK tests.
    pub replay_after_use: Duration,
    /// A replaced access token answers OAU-129 this long, then OAU-213. 10 s, seen in a public experiment.
    pub corrupted_for: Duration,
    pub sms_latency: Latency,
    /// From `Queued` to `Sent`, and again from `Sent` to `Delivered`.
    pub status_delay: Duration,
    /// A new message can be read from the message store only after this long.
    pub store_lag: Duration,
    /// The message store answers numbers without the leading `+` (documented as "usually").
    pub store_numbers_without_plus: bool,
    /// Calls in the history of each extension, one in every 20 minutes before the start.
    pub calls_per_extension: u32,
    /// Call logs tell how many records and pages there are (both may be missing, documented).
    pub call_log_totals: bool,
    /// A webhook has to answer this fast. 3 s is documented.
    pub webhook_timeout: Duration,
    /// Failed deliveries in a row after which a subscription is blacklisted (documented, the number is not).
    pub webhook_failures: u32,
    /// How often changes are gathered into notifications.
    pub notify_every: Duration,
    /// Put before every text, as RingCentral does for developer accounts (seen by users, unsure).
    pub text_prefix: Option<String>,
    /// Names, credentials, ids and chance all follow from it.
    pub seed: u64,
    /// The ledger as NDJSON, written while running.
    pub ledger_file: Option<PathBuf>,
    /// Put full texts into the ledger file, not only their hash.
    pub ledger_text: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            extensions: 10,
            numbers_per_extension: 1,
            window: Duration::from_secs(60),
            penalty: None,
            limits: Limits::default(),
            auth_window: None,
            auth_per_app: false,
            access_token_ttl: Duration::from_secs(3600),
            refresh_token_ttl: Duration::from_secs(604_800),
            app: AppSettings::default(),
            code_ttl: Duration::from_secs(60),
            lock_out: Duration::from_secs(300),
            replay_while_unused: Duration::from_secs(3600),
            replay_after_use: Duration::from_secs(10),
            corrupted_for: Duration::from_secs(10),
            sms_latency: Latency::None,
            status_delay: Duration::from_secs(1),
            store_lag: Duration::ZERO,
            store_numbers_without_plus: false,
            calls_per_extension: 100,
            call_log_totals: true,
            webhook_timeout: Duration::from_secs(3),
            webhook_failures: 5,
            notify_every: Duration::from_millis(100),
            text_prefix: None,
            seed: 1,
            ledger_file: None,
            ledger_text: false,
        }
    }
}
