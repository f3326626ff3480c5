//! Ringfleet's own tasks; `cargo xtask help` tells them. They stand on the standard library and a few tools that `test`
//! finds or installs, so that one command works on a fresh machine.

#![allow(clippy::print_stdout, reason = "the results of a task are its output")]

mod alerts;
mod api;
mod autoscale;
mod bench;
mod board;
mod cargo;
mod child;
mod compose;
mod contract;
mod demo;
mod deploy;
mod dockerfile;
mod docs;
mod faults;
mod files;
mod kubernetes;
mod matrix;
mod metrics;
mod python;
mod redis;
mod step;
mod tally;
mod tools;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::step::Step;

const HELP: &str = "\
Where to begin:
  cargo xtask check               before each commit: formatting, lints, documentation
  cargo xtask test                before each push, and on the build server (.ci/run)
  cargo xtask test --only unit    one step again; two with a comma: --only contract,demo
  cargo xtask test --skip deploy  all but one

More random cases: PROPTEST_CASES=5000 (property tests) and RINGFLEET_HISTORIES=2000 (histories of the store).
Another redis-server than the one on PATH: RINGFLEET_REDIS_SERVER=/path/to/redis-server.
What the steps keep (node packages, Python environments, the demo's Redis) lies under the target directory.";

/// Tests and checks of Ringfleet, the same here as on the build server.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every step, up to the first that fails; ends with the line "N passed, M failed"
    Test(TestOptions),
    /// Formatting, lints and documentation only
    Check,
    /// Lets everything go wrong at random, and fails on a broken promise with the seed that repeats it
    Faults(faults::FaultOptions),
    /// Writes the rules for Prometheus anew from the tables of docs/metrics.md
    Alerts,
    /// Measures Ringfleet beside other queues and limiters, and writes docs/benchmarks.md
    Bench(bench::BenchOptions),
}

#[derive(Args)]
struct TestOptions {
    /// Only these steps, in the usual order
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// All steps but these
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<Step>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Test(options) => {
            let wanted =
                |step: &Step| (options.only.is_empty() || options.only.contains(step)) && !options.skip.contains(step);
            let steps: Vec<_> = Step::ALL.into_iter().filter(wanted).collect();
            if steps.is_empty() {
                eprintln!("--skip leaves no step of those in --only");
                return ExitCode::from(2);
            }
            step::run(&steps)
        }
        Command::Faults(options) => ended(faults::run(&options)),
        Command::Bench(options) => ended(bench::run(&options)),
        Command::Alerts => ended(alerts::write()),
        Command::Check => step::run(&[Step::Fmt, Step::Clippy, Step::Docs]),
    }
}

fn ended(task: anyhow::Result<()>) -> ExitCode {
    match task {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
