//! rusty-sidekiq: one process, as many of its workers as the wanted concurrency.

#[path = "../../common.rs"]
mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::{Bodies, Handled, Measured, Options, Result, info, report};
use futures::future::try_join_all;
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker};

struct Sms(Arc<Handled>);

#[async_trait]
impl Worker<String> for Sms {
    async fn perform(&self, _text: String) -> sidekiq::Result<()> {
        self.0.count();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer sidekiq: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::parse(&["default"])?;
    tokio::time::timeout(options.deadline, measure(&options))
        .await
        .map_err(|_| "the run was not over before its deadline")?
}

async fn measure(options: &Options) -> Result<()> {
    let client = redis::Client::open(options.redis.as_str())?;
    let mut observer = client.get_multiplexed_async_connection().await?;
    let bodies = Bodies::new(options.bytes);
    let jobs = options.messages;

    redis::cmd("FLUSHALL").query_async::<()>(&mut observer).await?;
    let pool = pool(options).await?;
    let begun = Instant::now();
    for number in 0..options.singles() {
        Sms::perform_async(&pool, bodies.get(number)).await?;
    }
    let one = begun.elapsed();

    redis::cmd("FLUSHALL").query_async::<()>(&mut observer).await?;
    let empty = info(&mut observer).await?;
    let begun = Instant::now();
    // It has no bulk enqueue; many tasks over the pool are the quickest way that it offers.
    let (stride, pool_ref, bodies) = (options.concurrency, &pool, Arc::new(bodies));
    try_join_all((0..stride).map(|first| {
        let (pool, bodies) = (pool_ref.clone(), bodies.clone());
        async move {
            tokio::spawn(async move {
                for number in (first..jobs).step_by(stride) {
                    Sms::perform_async(&pool, bodies.get(number)).await?;
                }
                Result::Ok(())
            })
            .await?
        }
    }))
    .await?;
    let bulk = begun.elapsed();
    let queued = info(&mut observer).await?;

    let handled = Arc::new(Handled::new(jobs));
    let start = info(&mut observer).await?;
    let begun = Instant::now();
    let mut processor = Processor::new(pool, vec!["default".into()])
        .with_config(ProcessorConfig::default().num_workers(options.concurrency));
    processor.register(Sms(handled.clone()));
    let cancel = processor.get_cancellation_token();
    let running = tokio::spawn(processor.run());
    let last = handled.wait().await;
    // Nothing is left to be acknowledged: BRPOP took each job out when it was fetched.
    let end = info(&mut observer).await?;
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(30), running).await.map_err(|_| "the workers did not end in 30 s")??;

    let left: usize = redis::cmd("LLEN").arg("queue:default").query_async(&mut observer).await?;
    let retried: usize = redis::cmd("ZCARD").arg("retry").query_async(&mut observer).await?;
    if left + retried > 0 {
        return Err(format!("{left} jobs are left and {retried} wait for a retry").into());
    }
    let measured = Measured { one, bulk, process: last - begun, empty, queued, start, end };
    let settings = format!(
        "{0} workers, pool of {0} connections without PING at each use; {0} tasks enqueue",
        options.concurrency
    );
    report("sidekiq", "0.15.2", options, &measured, settings);
    Ok(())
}

/// Each worker holds a connection while it waits in BRPOP, so the pool is as large as the concurrency, and open from the
/// start. bb8 by default sends PING each time that a connection is taken, which would double the commands of a job.
async fn pool(options: &Options) -> Result<RedisPool> {
    let size = u32::try_from(options.concurrency)?;
    Ok(bb8::Pool::builder()
        .max_size(size)
        .min_idle(size)
        .test_on_check_out(false)
        .connection_timeout(Duration::from_secs(30))
        .build(RedisConnectionManager::new(options.redis.as_str())?)
        .await?)
}
