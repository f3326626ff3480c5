//! Messages on their way in: one at a time, in parallel, in bulk; and what a queued one costs Redis.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use ringfleet_store::{Enqueued, MAX_BATCH, SharedStore};

use super::{BULK, BULK_COMMANDS, BULK_CPU, OURS, QUEUED_BYTES, connect};
use crate::{figure::Case, messages, options::Bench, redis::Redis, sitting::Sitting};

pub(super) const SINGLY: &str = "enqueue one at a time";
pub(super) const IN_PARALLEL: &str = "enqueue in parallel";

/// Tasks of the parallel enqueue, each with one message under way.
pub(super) const PARALLEL: usize = 64;
/// Batches under way of the bulk enqueue.
const BATCHES: usize = 4;
const LANES: u64 = 1_000;
/// A machine that takes longer to fill a queue can't hold it in reasonable time.
const FILL_DEADLINE: Duration = Duration::from_secs(90);

pub(super) async fn measure(sitting: &Sitting, redis: &Redis) -> anyhow::Result<()> {
    let size = &sitting.size;
    let case = |settings: String| sitting.case(Bench::Queue, OURS).with(settings);
    redis.empty().await?;
    let store = connect(redis, 1).await?;
    let per_s = one_by_one(&store, 0, size.singles).await?;
    case("1,000 lanes, each awaited before the next".to_owned()).note(SINGLY, "messages/s", per_s);
    let per_s = in_parallel(&store, size.singles, size.parallel).await?;
    let settings = format!("1,000 lanes, {PARALLEL} under way over one connection");
    case(settings).note(IN_PARALLEL, "messages/s", per_s);

    in_bulk(&sitting.case(Bench::Queue, OURS), redis, size.bulk).await
}

pub(super) async fn in_bulk(case: &Case<'_>, redis: &Redis, count: u64) -> anyhow::Result<()> {
    redis.empty().await?;
    let store = connect(redis, 1).await?;
    // Lanes that are there already, so that what is counted are messages.
    fill(&store, 0, LANES, LANES).await?;
    let before = redis.info().await?;
    let begun = Instant::now();
    fill(&store, LANES, count, LANES).await?;
    let per_s = count as f64 / begun.elapsed().as_secs_f64();
    let grown = redis.info().await?.since(before);
    let words = format!("1,000 lanes, {BATCHES} batches of {MAX_BATCH} under way over one connection");
    let case = case.clone().with(words);
    case.note(BULK, "messages/s", per_s);
    case.note(BULK_CPU, "µs/message", grown.cpu_us / count as f64);
    case.note(BULK_COMMANDS, "commands/message", grown.commands / count as f64);
    case.note(QUEUED_BYTES, "bytes", grown.memory_bytes / count as f64);
    Ok(())
}

/// Enqueues `count` messages from number `first` on, each awaited before the next. Tells how many in a second.
pub(super) async fn one_by_one(store: &SharedStore, first: u64, count: u64) -> anyhow::Result<f64> {
    let begun = Instant::now();
    for n in first..first + count {
        enqueue(store, n, 1, LANES).await?;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// The same with [`PARALLEL`] of them under way.
pub(super) async fn in_parallel(store: &SharedStore, first: u64, count: u64) -> anyhow::Result<f64> {
    let begun = Instant::now();
    stream::iter(first..first + count)
        .map(|n| enqueue(store, n, 1, LANES))
        .buffer_unordered(PARALLEL)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Enqueues `count` messages from number `first` on, the quickest way.
pub(super) async fn fill(store: &SharedStore, first: u64, count: u64, lanes: u64) -> anyhow::Result<()> {
    let batches = stream::iter((0..count).step_by(MAX_BATCH));
    let fill = batches
        .map(|at| enqueue(store, first + at, (count - at).min(MAX_BATCH as u64), lanes))
        .buffer_unordered(BATCHES)
        .try_for_each(|()| std::future::ready(Ok(())));
    let filled = tokio::time::timeout(FILL_DEADLINE, fill).await;
    filled.with_context(|| format!("{count} messages were not queued in {} s", FILL_DEADLINE.as_secs()))?
}

async fn enqueue(store: &SharedStore, first: u64, count: u64, lanes: u64) -> anyhow::Result<()> {
    let answers = store.enqueue(&messages::batch(first, count, lanes)?).await?;
    ensure!(
        answers.iter().all(|answer| matches!(answer, Enqueued::Accepted(_))),
        "a new message is taken for an old one"
    );
    Ok(())
}
