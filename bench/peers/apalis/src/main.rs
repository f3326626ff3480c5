//! apalis with apalis-redis, as a new user writes it (`default`) and with the best settings its source allows (`tuned`).

#[path = "../../common.rs"]
mod common;
mod profile;

use std::process::ExitCode;

use common::{Options, Result};
use redis::aio::MultiplexedConnection;

const QUEUE: &str = "sms";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer apalis: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::parse(&["default", "tuned"])?;
    let work = async {
        match options.profile.as_str() {
            "tuned" => profile::tuned(&options).await,
            _ => profile::default(&options).await,
        }
    };
    tokio::time::timeout(options.deadline, work).await.map_err(|_| "the run was not over before its deadline")?
}

/// Redis scripts refuse to unpack more than this; apalis-redis moves all due jobs with one `unpack`.
const UNPACK_LIMIT: usize = 7_000;

/// apalis-redis pushes every job into its set of scheduled jobs, and each fetch moves all that are due to the active
/// list with one `unpack`. From 8,000 on that call fails and the worker ends. So a larger backlog is moved for it,
/// in slices and before the clock starts; without that there would be no figure at all.
async fn promote(connection: &mut MultiplexedConnection, jobs: usize) -> Result<bool> {
    if jobs <= UNPACK_LIMIT {
        return Ok(false);
    }
    let script = redis::Script::new(
        "local ids = redis.call('zrange', KEYS[1], 0, 999)
         if #ids > 0 then redis.call('rpush', KEYS[2], unpack(ids)); redis.call('zrem', KEYS[1], unpack(ids)) end
         return #ids",
    );
    let (scheduled, active) = (format!("{QUEUE}:scheduled"), format!("{QUEUE}:active"));
    while script.key(&scheduled).key(&active).invoke_async::<usize>(connection).await? > 0 {}
    Ok(true)
}

/// A job is acknowledged when apalis-redis has put it among the done ones.
async fn check_all_done(connection: &mut MultiplexedConnection, jobs: usize) -> Result<()> {
    let done: usize = redis::cmd("SCARD").arg(format!("{QUEUE}:done")).query_async(connection).await?;
    if done == jobs {
        Ok(())
    } else {
        Err(format!("{done} of {jobs} jobs are acknowledged after the worker's end").into())
    }
}
