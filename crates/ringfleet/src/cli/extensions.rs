//! What is typed about the sender directory.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::parse_duration;

#[derive(Subcommand)]
pub(crate) enum ExtensionsCommand {
    /// Lists who may text from which number, who is connected, since when that is known, and what is wrong
    List {
        /// Only those with something wrong: parked and paused ones too
        #[arg(long)]
        wrong: bool,
        #[command(flatten)]
        how: ShowOptions,
    },
    /// Shows all that is known of an extension, what waits for it, and what to do
    Show {
        /// An extension number, an extension id, or a number in E.164
        #[arg(value_name = "EXTENSION | NUMBER")]
        which: String,
        #[command(flatten)]
        how: ShowOptions,
    },
    /// Has the fleet read extensions again, and waits until it has; without a name all of them, and the account's list
    Refresh {
        /// Extension numbers or ids
        #[arg(value_name = "EXTENSION")]
        which: Vec<String>,
        /// How long to wait for a worker to read them; 0s only asks
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
        wait: Duration,
    },
}

#[derive(Args)]
pub(crate) struct ShowOptions {
    /// Show the numbers in full
    #[arg(long)]
    pub show_private: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a time such as 30s".to_owned())
}
