//! What is typed. `cargo xtask bench` builds everything and passes it on.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures Ringfleet beside its peers; `cargo xtask bench` builds what it needs and calls it.
#[derive(Parser)]
pub(crate) struct Options {
    /// Smaller sizes, one round: under five minutes; the report goes beside the figures, not into docs/
    #[arg(long)]
    pub quick: bool,
    /// Only these benches; the report goes beside the figures, too
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<Bench>,
    /// Rounds; medians are told. 3, or 1 with --quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub repeats: Option<u32>,
    /// Every figure with its unit, peer and settings
    #[arg(long, value_name = "FILE")]
    pub json: PathBuf,
    /// The release binary of ringfleet
    #[arg(long, value_name = "FILE")]
    pub ringfleet: PathBuf,
    /// A JSON object: peer -> the words that start it
    #[arg(long, value_name = "FILE")]
    pub peers: PathBuf,
    /// The repository, for docs/
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Debug)]
pub(crate) enum Bench {
    Queue,
    Peers,
    Limiter,
    Sends,
    Latency,
    Growth,
}

impl Bench {
    pub(crate) const ALL: [Bench; 6] =
        [Bench::Queue, Bench::Peers, Bench::Limiter, Bench::Sends, Bench::Latency, Bench::Growth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Bench::Queue => "queue",
            Bench::Peers => "peers",
            Bench::Limiter => "limiter",
            Bench::Sends => "sends",
            Bench::Latency => "latency",
            Bench::Growth => "growth",
        }
    }

    /// Arithmetic on the others' figures is done once, when all of them are there.
    pub(crate) fn repeats(self) -> bool {
        self != Bench::Growth
    }

    /// What one round of it may take before it is ended and the next one begins.
    pub(crate) fn deadline(self, quick: bool) -> Duration {
        let minutes = match self {
            Bench::Queue | Bench::Peers => 10,
            Bench::Limiter => 30,
            Bench::Sends | Bench::Latency => 6,
            Bench::Growth => 2,
        };
        Duration::from_secs(60 * if quick { minutes / 2 } else { minutes })
    }
}

impl Options {
    pub(crate) fn wants(&self, bench: Bench) -> bool {
        self.only.is_empty() || self.only.contains(&bench)
    }

    /// Where the figures go, and the report of a part.
    pub(crate) fn json_folder(&self) -> PathBuf {
        match self.json.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    pub(crate) fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 1 } else { 3 })
    }
}
