//! `cargo xtask bench`: what Ringfleet does in a second, what it costs, and what its limiter makes of a plan, beside peers on
//! the same machine in the same hour.
//!
//! A development program; nothing here is part of the product. Benchmarks are no tests: nothing fails on a slow machine.
//!
//! - `options`: what is typed; `size`: how much is measured; `sitting`: what all benches share
//! - `figure`: figures with their repeats, written down as they come
//! - `redis`, `process`, `simulator`, `fleet`, `messages`: what the benches stand on, all of it real
//! - `queue`, `peers`, `limiter`, `sends`, `latency`, `growth`: the benches
//! - `report`: `docs/benchmarks.md` and its plots
//!
//! **Invariant:** every process that was started ends with the program, also after Ctrl-C, and only those do.

mod figure;
mod fleet;
mod growth;
mod latency;
mod limiter;
mod machine;
mod messages;
mod options;
mod peers;
mod process;
mod queue;
mod redis;
mod report;
mod sends;
mod simulator;
mod sitting;
mod size;

use std::{process::ExitCode, sync::Arc, time::Instant};

use clap::Parser;

use crate::{
    options::{Bench, Options},
    sitting::{Ended, Sitting},
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<ExitCode> {
    // The HTTP client asks for one, although everything here is plain HTTP on the loopback.
    ringcentral::install_crypto();
    let repeats = options.repeats();
    let sitting = Arc::new(Sitting::begin(options)?);
    let mut interrupted = false;
    // Round after round rather than bench after bench, so that a slow minute of the machine meets all of them.
    'sitting: for round in 1..=repeats {
        for bench in Bench::ALL {
            // What reckons with the others' figures waits for the last of them, so that it has medians.
            if !sitting.options.wants(bench) || (round < repeats && !bench.repeats()) {
                continue;
            }
            sitting.headline(&format!("{} ({round} of {repeats})", bench.name()));
            let begun = Instant::now();
            let ended = sitting.clone().run(bench, round == repeats).await;
            sitting.took(bench, begun.elapsed());
            sitting.save()?;
            if ended == Ended::Interrupted {
                interrupted = true;
                break 'sitting;
            }
        }
    }
    report::write(&sitting, interrupted)?;
    Ok(if interrupted { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
