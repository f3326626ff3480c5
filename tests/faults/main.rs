//! A seeded loop that lets everything go wrong: each run is a fleet of real processes with a small load, one fault or two,
//! and the question whether every message was sent exactly once in the end. `cargo xtask faults` runs it.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
#![allow(clippy::print_stdout, reason = "the table is the result")]

mod inject;
mod kinds;
#[path = "../fleet/rig/mod.rs"]
#[allow(dead_code, reason = "the fleet's tests use more of it")]
mod rig;
mod run;
mod table;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{kinds::Stores, run::Run, table::Table};

/// Mixes faults over small loads and fails on a broken promise, with the seed that repeats it.
#[derive(Parser)]
struct Options {
    /// Runs; each meets one fault or two
    #[arg(long, default_value_t = 40)]
    runs: u64,
    /// The first run's seed; run n has this + n. The same seed makes the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, value_enum, default_value_t = Stores::Both)]
    store: Stores,
    /// Runs at the same time: they wait most of their time
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Only this fault, by its name in the table
    #[arg(long)]
    fault: Option<String>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(name) = options.fault.as_deref().filter(|name| !kinds::is_known(name)) {
        eprintln!("there is no fault {name}; there are {}", kinds::names().join(", "));
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let table = runtime.block_on(all(&options));
    println!("{table}");
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&table.json(options.seed)).unwrap()).unwrap();
    }
    // For programs: the same line as every other test ends with.
    println!(
        "test result: {}. {} passed; {} failed",
        if table.is_clean() { "ok" } else { "FAILED" },
        table.good(),
        table.bad()
    );
    if table.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn all(options: &Options) -> Table {
    // A broken promise is a panic in its run; it is told in the table, with the seed.
    std::panic::set_hook(Box::new(|_| {}));
    let bar = ProgressBar::new(options.runs);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {msg}, {eta} left").unwrap());
    let mut table = Table::new(Instant::now());
    let seeds = options.seed..options.seed + options.runs;
    let mut runs = futures::stream::iter(seeds)
        .map(|seed| async move {
            let run = Run::plan(seed, options.store.of(seed), options.fault.as_deref());
            let (store, faults) = (run.store, run.faults.clone());
            // A task of its own, so that its panic is an answer.
            let judged = tokio::spawn(run.execute()).await.map_err(|error| panic_text(error.into_panic()));
            (seed, store, faults, judged)
        })
        .buffer_unordered(options.jobs.max(1));
    while let Some((seed, store, faults, judged)) = runs.next().await {
        if let Some(broken) = table.add(seed, store, &faults, judged) {
            // Where nobody watches, the bar swallows it.
            if bar.is_hidden() { println!("{broken}") } else { bar.println(broken) }
        }
        bar.set_message(format!("{} broken", table.bad()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    table.ended();
    table
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
