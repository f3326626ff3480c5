//! What can be typed.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::config::parse_duration;

/// Sends bulk SMS through RingCentral from each employee's own number: at the full speed of the usage plans, never over
/// them, without losing a message and without texting anybody twice.
///
/// Try `ringfleet demo`: it needs neither an account nor a server.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Settings file; default is ringfleet.toml, if there is one. `ringfleet config show` lists all settings.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed, or a promise was broken · 2 wrong arguments · 3 some rows or messages were refused ·
64 the configuration is at fault · 69 the store can't be reached";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows the whole thing at work: a simulated RingCentral, a fleet of workers, 1,500 reminders, and the judge's table
    Demo(DemoOptions),
    /// Runs a stand-in for the RingCentral API, with its limits, its faults and a ledger of all it was asked
    Simulator(SimulatorOptions),
    /// Runs a worker: claims messages and sends them, until SIGTERM
    Worker,
    /// Runs the HTTP API that takes messages in
    Api,
    /// Runs API and worker in one process, over one store: the smallest complete set-up
    Up,
    /// Enqueues the rows of a CSV file: from,to,text[,send_at,send_by,priority,key]
    Import(ImportOptions),
    /// Tells what waits, what was sent, and which lanes stand still and why
    Status(StatusOptions),
    /// Shows or checks the settings
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Stops one extension, or lets it go on
    Lane {
        #[command(subcommand)]
        what: LaneCommand,
    },
    /// Stops the whole fleet (kill switch), or lets it go on
    Fleet {
        #[command(subcommand)]
        what: FleetCommand,
    },
    /// Looks at one message, or takes it back
    Message {
        #[command(subcommand)]
        what: MessageCommand,
    },
}

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
    /// Lifetime of an access token
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub token_ttl: Duration,
    /// Issue refresh tokens, as an app can be set to
    #[arg(long)]
    pub refresh_tokens: bool,
    /// Count logins per app instead of per extension
    #[arg(long)]
    pub auth_per_app: bool,
    /// Names, numbers, credentials and chances follow from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the ledger to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ImportOptions {
    /// The CSV file, or "-" for standard input
    pub file: PathBuf,
    /// Messages of another scope are never duplicates of this file's: use one for each campaign
    #[arg(long, default_value = "")]
    pub scope: String,
    /// Only check the rows; enqueue nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub(crate) struct StatusOptions {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// How many lanes to list, the longest waiting first
    #[arg(long, default_value_t = 20)]
    pub lanes: u32,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints the settings as they are after all layers; secrets as [set] or [unset]
    Show,
    /// Checks the settings and reports all faults at once
    Check,
    /// Prints the defaults with their explanations: the reference, and a start for a ringfleet.toml
    Reference,
}

#[derive(Subcommand)]
pub(crate) enum LaneCommand {
    /// Holds an extension's messages back until `resume`
    Pause { extension: String },
    /// Lets a paused or parked extension go on
    Resume { extension: String },
}

#[derive(Subcommand)]
pub(crate) enum FleetCommand {
    /// The kill switch: nothing is claimed or begun any more, by any worker, until `resume`
    Stop {
        /// Shown to everybody who asks why nothing moves
        #[arg(long, default_value = "stopped by operator")]
        reason: String,
    },
    /// Opens the kill switch. A penalty that the provider imposed goes on to its end
    Resume,
}

#[derive(Subcommand)]
pub(crate) enum MessageCommand {
    /// Shows a message; numbers are shortened and the text is left out
    Show { id: String },
    /// Takes a message back, if no worker has it in hand yet
    Cancel { id: String },
    /// Lists messages that a person must look at
    Held {
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Lists messages that were given up
    Dead {
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 500ms, 10s or 5m".to_owned())
}

fn seconds_or_duration(text: &str) -> Result<Duration, String> {
    let seconds =
        text.parse::<f64>().ok().filter(|s| s.is_finite() && *s > 0.0 && *s < 1e6).map(Duration::from_secs_f64);
    seconds.map_or_else(|| duration(text), Ok)
}
