//! Random histories: whatever producers, workers, operators and the clock do, every store answers as the model says, and a
//! bystander never sees a plan exceeded or a message sent twice.
//!
//! - [`model`]: what is promised, as simple as it can be told
//! - [`ops`]: what may happen, and [`draw`], how often
//! - [`run`]: does it to a store and to the model; [`claims`] judges what a claim gives, [`upkeep`] what the reaper did, [`doubts`] is about unknown
//!   fates, [`agree`] compares the rest
//! - [`reports`]: tells what became of texts
//! - [`shared`]: documents and opt-outs
//! - [`witness`]: the provider's side, which knows nothing of the model
//!
//! `RINGFLEET_HISTORIES` says how many (1,000), `RINGFLEET_SEED` which. A failure prints its seed and the shortest history.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod agree;
mod claims;
mod doubts;
mod draw;
#[path = "../harness/mod.rs"]
mod harness;
mod model;
mod ops;
mod reports;
mod requests;
mod run;
mod shared;
mod upkeep;
mod witness;

use std::{env, thread};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::harness::Backend;

const HISTORIES: u32 = 1_000;
/// Played at once, each from a seed of its own: a store and who waits for its answer leave each other idle.
const HALVES: u32 = 2;

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")))
}

fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn play_histories(backend: Backend) {
    let histories = number("RINGFLEET_HISTORIES").unwrap_or(HISTORIES);
    if let Some(seed) = number("RINGFLEET_SEED") {
        return play_from(seed, backend, histories);
    }
    thread::scope(|scope| {
        for half in 0..HALVES {
            scope.spawn(move || play_from(fresh_seed(), backend, (histories + half) / HALVES));
        }
    });
}

fn play_from(seed: u64, backend: Backend, cases: u32) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runner
        .run(&draw::histories(), |history| runtime.block_on(run::play(backend, &history)).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, shortest)) => {
            panic!("{reason}\nRINGFLEET_SEED={seed} finds it again. The shortest history:\n{shortest}")
        }
        Err(TestError::Abort(reason)) => panic!("RINGFLEET_SEED={seed}: {reason}"),
    }
}

#[test]
fn sqlite_keeps_its_promises_in_every_history() {
    play_histories(Backend::Sqlite);
}

#[test]
fn redis_keeps_its_promises_in_every_history() {
    play_histories(Backend::Redis);
}
