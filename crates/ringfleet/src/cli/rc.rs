//! What is typed to read from RingCentral.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

#[derive(Subcommand)]
#[command(after_help = READING)]
pub(crate) enum RcCommand {
    /// The account: its id, status and main number (Light)
    Account(ReadOptions),
    /// The account's extensions (Medium: each thousand costs a place that a text could have had)
    Extensions(ReadOptions),
    /// The numbers of extensions and what they may be used for (Light)
    PhoneNumbers {
        /// All numbers of the account and whose they are, read by one extension (Heavy); what they may be used for is not told
        #[arg(long)]
        account: bool,
        #[command(flatten)]
        read: ReadOptions,
    },
    /// The message store of extensions: texts, faxes, voicemail (Light)
    Messages {
        /// Only messages of this type
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<MessageWord>,
        #[command(flatten)]
        range: RangeOptions,
        #[command(flatten)]
        read: ReadOptions,
    },
    /// The call log of extensions (Heavy: ten pages a minute for each)
    #[command(after_help = CALL_LOG)]
    CallLog {
        /// How much of each call: detailed has every leg
        #[arg(long, default_value = "simple")]
        view: ViewWord,
        /// The whole account's calls, read by one extension whose user may read them
        #[arg(long)]
        account: bool,
        #[command(flatten)]
        range: RangeOptions,
        #[command(flatten)]
        read: ReadOptions,
    },
}

#[derive(Args)]
pub(crate) struct ReadOptions {
    /// Read as this extension (its number or id); may be given several times. Without it, all connected ones, or for what
    /// is the account's the first that is connected
    #[arg(long = "extension", value_name = "EXTENSION")]
    pub extensions: Vec<String>,
    /// All pages; without it the first one of each extension
    #[arg(long)]
    pub all: bool,
    /// JSON lines: {"extension": ID, "record": …} with each record as RingCentral wrote it
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// CSV with the columns of the table
    #[arg(long)]
    pub csv: bool,
    /// Write all pages into this new file, as CSV with --csv and as JSON lines without. A run that was interrupted goes on
    /// where it stopped when it is given again
    #[arg(long, value_name = "FILE", conflicts_with = "show_private")]
    pub output: Option<PathBuf>,
    /// Show numbers and texts in the table. JSON and CSV always hold them
    #[arg(long)]
    pub show_private: bool,
}

impl ReadOptions {
    pub(crate) fn reads_all(&self) -> bool {
        self.all || self.output.is_some()
    }
}

#[derive(Args)]
pub(crate) struct RangeOptions {
    /// From when on: a date (its first moment, UTC) or an instant such as 2026-11-01T08:00:00-05:00; default is 24 hours
    /// before --to
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub from: Option<Timestamp>,
    /// Until when; default is now
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub to: Option<Timestamp>,
    /// Only one direction
    #[arg(long)]
    pub direction: Option<DirectionWord>,
    /// Records of one page, 1 to 1000; default is the most that the server gives with --all or --output, else 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub per_page: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DirectionWord {
    Inbound,
    Outbound,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum MessageWord {
    Sms,
    Fax,
    Voicemail,
    Pager,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ViewWord {
    Simple,
    Detailed,
}

fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    // `parse` would take a date with a time and drop the time.
    let day = Date::strptime("%Y-%m-%d", text).ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let day = day.ok_or_else(|| "write a date such as 2026-11-01, or an instant with its offset".to_owned())?;
    Ok(day.timestamp())
}

const READING: &str = "\
Everything is read through the fleet: with its session of the extension, and in a place of the lane that the request counts for, \
so that it may be run beside a busy fleet and never meets a 429. Each page waits up to 15 minutes for its turn, and not for a fleet \
that is stopped; then its extension is named as not read.
Exit codes: 3, some extensions could not be read; 1, none could. Which and why is said at the end.";

const CALL_LOG: &str = "\
The calls of all connected extensions in November, into a file:

  ringfleet rc call-log --from 2026-11-01 --to 2026-12-01 --view detailed --output november.jsonl

Each extension is read in its own Heavy lane, many side by side. Killed, or stopped by a fault, it goes on with the page it had \
come to when the same line is given again; november.jsonl.progress tells how far it is, and is gone when all is read.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_means_its_first_moment_in_utc() {
        assert_eq!(when("2026-11-01"), when("2026-11-01T01:00:00+01:00"));
        assert!(when("2026-11-01T08:00:00").is_err() && when("yesterday").is_err());
    }
}
