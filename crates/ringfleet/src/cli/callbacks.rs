//! What is typed about callbacks.

use clap::Subcommand;
use jiff::Timestamp;
use ringfleet_producer::callbacks::Since;

use crate::config::parse_duration;

#[derive(Subcommand)]
pub(crate) enum CallbacksCommand {
    /// Tells of each shard up to when it was told, how far that is behind, and since when and why it fails
    Status {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Has all be told once more that has ended, or was held, since a time
    ///
    /// Only the state that a message is in now is told, in the order in which they came into it; what is older than
    /// worker.retention is gone. The endpoint gets it as fast as it takes it.
    Replay {
        /// From when on: so long ago, e.g. 24h, or a time such as 2026-01-31T09:00:00Z
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Since,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Passes over what the endpoint does not take at present, and tells which messages those are
    ///
    /// They are not told any more, unless their state changes again or `replay` goes back to them. What is refused is cut in halves by
    /// itself, so wait until `status` tells that one message at most is tried.
    Skip {
        /// Which shard; `status` lists them
        #[arg(long, value_name = "N")]
        shard: usize,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// POSTs one signed {"type":"test"} to the endpoint and tells what it answers
    Test,
}

fn since(text: &str) -> Result<Since, String> {
    let at = || text.parse::<Timestamp>().ok().map(|at| Since::At(at.as_millisecond()));
    let since = parse_duration(text).map(Since::Ago).or_else(at);
    since.ok_or_else(|| "write a time such as 24h, or 2026-01-31T09:00:00Z".to_owned())
}
