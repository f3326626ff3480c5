//! What is typed about what came in.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use ringfleet_worker::InboundKind;

use super::extensions::{ShowOptions, duration};

#[derive(Subcommand)]
pub(crate) enum InboundCommand {
    /// Lists texts, voicemails and missed calls that came in, the last first
    ///
    /// Workers look for them every inbound.poll, and keep them for inbound.retention. Missed calls are read with
    /// inbound.calls = true. Numbers are shortened and texts left out unless --show-private asks for them.
    List {
        /// Only of this extension: its id, its extension number, or a phone number of it
        #[arg(long, value_name = "EXTENSION")]
        extension: Option<String>,
        /// Only of this kind
        #[arg(long, value_enum)]
        kind: Option<KindWord>,
        /// Only what came in within this time, e.g. 24h
        #[arg(long, value_name = "TIME", value_parser = duration)]
        since: Option<Duration>,
        /// How many to list
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        how: ShowOptions,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindWord {
    Text,
    Voicemail,
    MissedCall,
}

impl From<KindWord> for InboundKind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Text => InboundKind::Text,
            KindWord::Voicemail => InboundKind::Voicemail,
            KindWord::MissedCall => InboundKind::MissedCall,
        }
    }
}
