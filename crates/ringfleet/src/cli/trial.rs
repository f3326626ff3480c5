//! What is typed to try the fleet without an account.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::config::parse_duration;

#[derive(Args, Clone)]
pub(crate) struct DemoOptions {
    /// Reminders to send
    #[arg(long, default_value_t = 1_500)]
    pub messages: u32,
    /// Extensions (employees) that send them
    #[arg(long, default_value_t = 25)]
    pub extensions: u32,
    /// Workers in the fleet
    #[arg(long, default_value_t = 3)]
    pub workers: u32,
    /// Run each worker as a process of its own
    #[arg(long)]
    pub processes: bool,
    /// Length of the plan's window. RingCentral's is 60s; shorter makes a shorter demo
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub window: Duration,
    /// Where messages are kept: "sqlite:FILE" or "redis://…"; a fresh SQLite file by default
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The simulated accounts, numbers and chances follow from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the result to this file ("-" is standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SimulatorOptions {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8377")]
    pub listen: SocketAddr,
    /// How many extensions the account has
    #[arg(long, default_value_t = 25)]
    pub extensions: u32,
    /// Window of all usage plans, in seconds ("2") or with a unit ("500ms")
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds_or_duration)]
    pub window: Duration,
    /// Penalty after too many requests; as long as the window by default
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_duration)]
    pub penalty: Option<Duration>,
    /// Every answer to a send takes this long
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub latency: Duration,
    /// Sent texts can be read back from the message store only after this time
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub store_lag: Duration,
    /// Calls in the history of each extension, one in every 20 minutes
    #[arg(long, default_value_t = 100)]
    pub calls: u32,
    /// Lifetime of an access token, and the longest that a client can ask for
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub access_ttl: Duration,
    /// Lifetime of a refresh token
    #[arg(long, default_value = "7d", value_parser = duration)]
    pub refresh_ttl: Duration,
    /// Issue refresh tokens, as an app can be set to
    #[arg(long)]
    pub refresh_tokens: bool,
    /// A redirect URI of the app, for logging in on its page; may be given several times
    #[arg(long, value_name = "URI")]
    pub redirect_uri: Vec<String>,
    /// The app needs no secret
    #[arg(long)]
    pub public_client: bool,
    /// Take the password grant, which RingCentral has removed
    #[arg(long)]
    pub password_grant: bool,
    /// Count logins per app instead of per extension
    #[arg(long)]
    pub auth_per_app: bool,
    /// Window of the logins' plan; that of all plans by default
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_duration)]
    pub auth_window: Option<Duration>,
    /// Names, numbers, credentials and chances follow from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the ledger to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 500ms, 10s or 5m".to_owned())
}

fn seconds_or_duration(text: &str) -> Result<Duration, String> {
    let seconds =
        text.parse::<f64>().ok().filter(|s| s.is_finite() && *s > 0.0 && *s < 1e6).map(Duration::from_secs_f64);
    seconds.map_or_else(|| duration(text), Ok)
}
