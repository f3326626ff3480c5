//! The two profiles. Both run the same steps; they differ in job type, codec, configuration and number of workers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::common::{Bodies, Handled, Measured, Options, Result, info, report};
use crate::{QUEUE, check_all_done, promote};

#[derive(Debug, Serialize, Deserialize)]
struct Sms {
    text: String,
}

/// The body as it is: nothing to write as JSON, nothing to read.
#[derive(Clone, Debug)]
struct Raw;

impl Codec<Vec<u8>> for Raw {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, body: &Vec<u8>) -> std::result::Result<Vec<u8>, Infallible> {
        Ok(body.clone())
    }

    fn decode(&self, body: &Vec<u8>) -> std::result::Result<Vec<u8>, Infallible> {
        Ok(body.clone())
    }
}

/// Runs one profile; a macro, as the two kinds of storage share no trait that is short to write down.
macro_rules! measure {
    ($options:expr, $storage:expr, $job:expr, $type:ty, workers $workers:expr, producers $producers:expr, chunk $chunk:expr) => {{
        let options: &Options = $options;
        let client = redis::Client::open(options.redis.as_str())?;
        let mut observer = client.get_multiplexed_async_connection().await?;
        let bodies = Bodies::new(options.bytes);
        let jobs = options.messages;

        redis::cmd("FLUSHALL").query_async::<()>(&mut observer).await?;
        let mut storage = $storage.await?;
        let begun = Instant::now();
        for number in 0..options.singles() {
            storage.push($job(bodies.get(number))).await?;
        }
        let one = begun.elapsed();

        redis::cmd("FLUSHALL").query_async::<()>(&mut observer).await?;
        let mut producers = Vec::new();
        for _ in 0..$producers {
            producers.push($storage.await?);
        }
        let empty = info(&mut observer).await?;
        let begun = Instant::now();
        let (stride, bodies) = (producers.len(), &bodies);
        try_join_all(producers.into_iter().enumerate().map(|(first, mut storage)| async move {
            let numbers: Vec<usize> = (first..jobs).step_by(stride).collect();
            for chunk in numbers.chunks($chunk) {
                storage.push_bulk(chunk.iter().map(|number| $job(bodies.get(*number))).collect()).await?;
            }
            Result::Ok(())
        }))
        .await?;
        let bulk = begun.elapsed();
        let queued = info(&mut observer).await?;
        let promoted = promote(&mut observer, jobs).await?;

        let handled = Arc::new(Handled::new(jobs));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut storages = Vec::new();
        for _ in 0..$workers {
            storages.push($storage.await?);
        }
        let start = info(&mut observer).await?;
        let begun = Instant::now();
        let workers: Vec<_> = storages
            .into_iter()
            .enumerate()
            .map(|(number, storage)| {
                let handled = handled.clone();
                let worker = WorkerBuilder::new(format!("peer-{number}"))
                    .backend(storage)
                    .concurrency(options.concurrency.div_ceil($workers))
                    .build(move |_job: $type| {
                        handled.count();
                        async { Ok::<(), BoxDynError>(()) }
                    });
                let mut stopped = stopped.clone();
                tokio::spawn(worker.run_until(async move {
                    stopped.wait_for(|stop| *stop).await.map(drop).map_err(std::io::Error::other)
                }))
            })
            .collect();
        let mut ended = Box::pin(try_join_all(workers));
        let last = tokio::select! {
            last = handled.wait() => last,
            outcome = &mut ended => {
                return Err(format!("the workers ended before all jobs were handled: {outcome:?}").into());
            }
        };
        stop.send(true)?;
        for outcome in ended.await? {
            outcome?;
        }
        let end = info(&mut observer).await?;
        check_all_done(&mut observer, jobs).await?;
        (Measured { one, bulk, process: last - begun, empty, queued, start, end }, promoted)
    }};
}

fn helped(promoted: bool) -> &'static str {
    if promoted { "; backlog moved to the active list by hand" } else { "" }
}

pub async fn default(options: &Options) -> Result<()> {
    let (measured, promoted) = measure!(
        options,
        async {
            let connection = apalis_redis::connect(options.redis.as_str()).await?;
            Result::Ok(RedisStorage::<Sms>::new(connection).with_config(Config::default().queue(QUEUE)))
        },
        |text| Sms { text },
        Sms,
        workers 1,
        producers 1,
        chunk 500
    );
    let settings = format!("1 worker, batch 10, JSON, locks and events on; push_bulk of 500{}", helped(promoted));
    report("apalis", "1.0.0", options, &measured, settings);
    Ok(())
}

/// README.md tells what each of these is, and what else was tried.
const WORKERS: usize = 4;
const BATCH: usize = 200;

pub async fn tuned(options: &Options) -> Result<()> {
    let (measured, promoted) = measure!(
        options,
        async {
            let connection = apalis_redis::connect(options.redis.as_str()).await?;
            let config = Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false).emit_events(false);
            Result::Ok(RedisStorage::<Vec<u8>>::new(connection).with_config(config).with_codec(Raw))
        },
        String::into_bytes,
        Vec<u8>,
        workers WORKERS,
        producers 2,
        chunk 500
    );
    let settings = format!(
        "{WORKERS} workers and connections, batch {BATCH}, raw codec, no locks, no events; push_bulk of 500 on 2 connections{}",
        helped(promoted)
    );
    report("apalis", "1.0.0", options, &measured, settings);
    Ok(())
}
