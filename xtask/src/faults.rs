//! `faults`: everything goes wrong, at random but repeatably, and the document that tells what came of it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{
    cargo::{self, Workspace},
    child, matrix,
    tally::{Runner, Tally},
};

#[derive(Args)]
pub(crate) struct FaultOptions {
    /// Runs; each meets one fault or two
    #[arg(long, default_value_t = 650)]
    runs: u64,
    /// The first run's seed: a broken promise is told with the seed that repeats it (--runs 1 --seed N)
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum, default_value_t = Store::Both)]
    store: Store,
    /// Runs at the same time
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Only this fault, by its name in the table
    #[arg(long)]
    fault: Option<String>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write docs/fault-matrix.md from this run
    #[arg(long)]
    write_docs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Redis,
    Sqlite,
    Both,
}

/// The loop by itself, as long as one likes.
pub(crate) fn run(options: &FaultOptions) -> Result<()> {
    let workspace = Workspace::find()?;
    let json = options.json.clone().unwrap_or_else(|| workspace.target.join("faults.json"));
    let store = options.store.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut command = cargo::faults();
    command.args(["--runs", &options.runs.to_string(), "--seed", &options.seed.to_string(), "--store", &store]);
    command.args(["--jobs", &options.jobs.to_string()]).arg("--json").arg(&json);
    command.args(options.fault.iter().flat_map(|fault| ["--fault", fault]));
    let ended = child::run(&mut command);
    if options.write_docs {
        let text = fs::read_to_string(&json).with_context(|| format!("{} can't be read", json.display()))?;
        let figures: Value = serde_json::from_str(&text)?;
        fs::write(workspace.root.join(matrix::FILE), matrix::document(&workspace.root, Some(&figures))?)?;
    }
    ended
}

/// A few runs, in the test command. The seed is fixed: what fails here fails again.
pub(crate) fn short(tally: &mut Tally) -> Result<()> {
    child::counted(cargo::faults().args(["--runs", "30", "--seed", "1"]), Runner::Libtest, tally)
}
