//! What an operator types: a look at the fleet, and a hand on lanes and messages.

use std::{str::FromStr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use ringfleet_store::{IdError, MAX_BATCH, MessageId, State};

use super::extensions::duration;

#[derive(Args)]
pub(crate) struct StatusOptions {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// How many lanes to list, the longest waiting first
    #[arg(long, default_value_t = 20)]
    pub lanes: u32,
    /// Look again and again, until Ctrl-C: every 2 s, or as often as said, such as 500ms or 10s
    #[arg(long, value_name = "EVERY", num_args = 0..=1, default_missing_value = "2s", value_parser = pause, conflicts_with = "json")]
    pub watch: Option<Duration>,
}

/// Between two looks: not so short that looking becomes a load.
fn pause(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    let fits = (Duration::from_millis(200)..=Duration::from_secs(3600)).contains(&every);
    fits.then_some(every).ok_or_else(|| "must be 200ms to 1h".to_owned())
}

#[derive(Args)]
pub(crate) struct ExplainOptions {
    /// A message's id (`msg_…`), or an extension's id, its extension number, or a phone number of it
    #[arg(value_name = "MESSAGE_ID | EXTENSION", required_unless_present = "key", conflicts_with = "key")]
    pub what: Option<What>,
    /// The message that was handed in with this key
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone)]
pub(crate) enum What {
    Message(MessageId),
    Extension(String),
}

impl FromStr for What {
    type Err = IdError;

    fn from_str(word: &str) -> Result<Self, IdError> {
        if word.starts_with("msg_") { word.parse().map(Self::Message) } else { Ok(Self::Extension(word.to_owned())) }
    }
}

#[derive(Subcommand)]
pub(crate) enum LaneCommand {
    /// Holds an extension's messages back until `resume`
    Pause {
        /// Its id, its extension number, or a phone number of it
        extension: String,
    },
    /// Lets a paused or parked extension go on
    Resume {
        /// Its id, its extension number, or a phone number of it
        extension: String,
    },
    /// Takes back all that waits for an extension: of somebody who has left, or what is no longer of use after an outage
    ///
    /// What a worker has in hand goes out, so pause the extension first where that matters. `ringfleet message waiting` shows what
    /// is meant.
    Cancel {
        /// Its id, its extension number, or a phone number of it
        extension: String,
        /// Only what is due before this time, such as 2030-12-01T18:00:00-05:00
        #[arg(long, value_name = "TIME")]
        due_before: Option<Timestamp>,
        /// Don't ask before
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum FleetCommand {
    /// The kill switch: nothing is claimed or begun any more, by any worker of this store, and nothing is read, until `resume`.
    /// Connections are still renewed
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
    Show {
        #[arg(value_name = "ID", required_unless_present = "key", conflicts_with = "key")]
        id: Option<MessageId>,
        /// The one that was handed in with this key
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Takes messages back, each if no worker has it in hand yet
    Cancel {
        #[arg(value_name = "ID", required_unless_present = "keys", conflicts_with = "keys")]
        ids: Vec<MessageId>,
        /// The one that was handed in with this key; may be given several times
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Lists messages that have ended in one way, or of which somebody has to tell, the last first; numbers are shortened
    List {
        /// rejected, delivery_failed, expired, suppressed, cancelled, dead, held, unknown, sent or delivered
        #[arg(long, value_name = "STATE", value_parser = listed)]
        state: State,
        /// Only those that have been so for no longer than this time, e.g. 24h
        #[arg(long, value_name = "TIME", value_parser = duration)]
        since: Option<Duration>,
        /// How many to list
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists what waits for an extension and is in nobody's hand, in the order in which it goes
    Waiting {
        /// Its id, its extension number, or a phone number of it
        extension: String,
        /// How many to list
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists messages that were given up; `held resend` sends one again
    Dead {
        /// How many to list, the last first; 500 at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=MAX_BATCH as i64))]
        limit: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum HeldCommand {
    /// Lists held messages, the last first
    List {
        /// How many to list; 500 at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=MAX_BATCH as i64))]
        limit: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows all that is known of a message, and what to look for at the provider
    Show {
        id: MessageId,
        /// Show the numbers in full, and the text
        #[arg(long)]
        show_private: bool,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Sends held messages again, counted as an attempt: for those that were not sent. Also revives dead ones
    ///
    /// Look at the extension's sent messages first: whoever got one already gets it twice.
    Resend {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<MessageId>,
        /// Don't ask before
        #[arg(long)]
        yes: bool,
    },
    /// Closes held messages: nothing is sent
    Close {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<MessageId>,
        /// What became of them
        #[arg(long = "as", value_enum, value_name = "END")]
        end: CloseAs,
    },
}

fn listed(word: &str) -> Result<State, String> {
    let known = State::ALL.into_iter().find(|state| state.is_listed() && state.as_str() == word);
    known.ok_or_else(|| "write one of those that `ringfleet message list --help` names".to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloseAs {
    /// It was sent: the provider's message store, or the recipient, says so
    Sent,
    /// It shall not be sent, whether it was or not
    Cancelled,
}
