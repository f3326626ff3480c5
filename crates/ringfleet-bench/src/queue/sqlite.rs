//! The same on the embedded store, with the durability that it is delivered with, at sizes that it can hold.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use ringfleet_store::{
    SharedStore,
    sqlite::{SqliteOptions, SqliteStore},
};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{
    BULK, DRAIN, OURS,
    drain::Fleet,
    enqueue::{self, IN_PARALLEL, PARALLEL, SINGLY},
};
use crate::{
    figure::{Case, shown},
    messages,
    options::Bench,
    sitting::Sitting,
};

const LANES: u64 = 1_000;
const COMMITS: &str = "1,000 lanes, each commit on the disk";

pub(super) async fn measure(sitting: &Sitting) -> anyhow::Result<()> {
    let size = &sitting.size;
    let case = sitting.case(Bench::Queue, OURS).when("SQLite");
    bulk_and_drain(&case, size.sqlite).await?;
    singly(&case, size.sqlite_singles, size.sqlite).await?;
    for backlog in size.sqlite_backlogs {
        let case = sitting.case(Bench::Queue, OURS).when(format!("SQLite, {} queued", shown(backlog as f64)));
        at_backlog(&case, backlog, size.sqlite_drained).await?;
    }
    Ok(())
}

/// What messages take of time on their way in and out, and of the file while they wait and when they are sent.
async fn bulk_and_drain(case: &Case<'_>, count: u64) -> anyhow::Result<()> {
    let (file, store) = Database::open().await?;
    let case = case.clone().with(format!("{} messages, {COMMITS}", shown(count as f64)));
    let empty = file.bytes().await?;
    let begun = Instant::now();
    enqueue::fill(&store, LANES, count, LANES).await?;
    case.note(BULK, "messages/s", count as f64 / begun.elapsed().as_secs_f64());
    let queued = file.bytes().await?;
    // One process: its workers share the thread that owns the file. The lanes' first messages go too.
    let begun = Instant::now();
    let all = count + LANES;
    let (done, _) = Fleet::FOUR.drain(&vec![store; Fleet::FOUR.workers()], all).await?;
    ensure!(done == all, "only {done} of {all} messages could be finished");
    case.note(DRAIN, "messages/s", all as f64 / begun.elapsed().as_secs_f64());
    let each = |bytes: u64, messages: u64| bytes.saturating_sub(empty) as f64 / messages as f64;
    let case = case.with(format!(
        "{} messages, 1,000 lanes, pages in use after a checkpoint of the write-ahead log",
        shown(count as f64)
    ));
    case.note("file size of a queued message", "bytes", each(queued, count));
    case.note("file size of a finished message", "bytes", each(file.bytes().await?, count));
    Ok(())
}

async fn singly(case: &Case<'_>, one_by_one: u64, in_parallel: u64) -> anyhow::Result<()> {
    let (_file, store) = Database::open().await?;
    let with =
        |count: u64, how: String| case.clone().with(format!("{} messages, {COMMITS}, {how}", shown(count as f64)));
    let per_s = enqueue::one_by_one(&store, LANES, one_by_one).await?;
    with(one_by_one, "each awaited before the next".to_owned()).note(SINGLY, "messages/s", per_s);
    let per_s = enqueue::in_parallel(&store, LANES + one_by_one, in_parallel).await?;
    with(in_parallel, format!("{PARALLEL} under way")).note(IN_PARALLEL, "messages/s", per_s);
    Ok(())
}

/// Drains `count` of `backlog` messages.
async fn at_backlog(case: &Case<'_>, backlog: u64, count: u64) -> anyhow::Result<()> {
    let (_file, store) = Database::open().await?;
    enqueue::fill(&store, LANES, backlog - LANES, LANES).await?;
    let (done, took) = Fleet::FOUR.drain(&vec![store; Fleet::FOUR.workers()], count).await?;
    let case = case.clone().with(format!("{} of them drained, {COMMITS}", shown(count as f64)));
    case.note(DRAIN, "messages/s", done as f64 / took.as_secs_f64());
    Ok(())
}

/// A database of its own, with one message in each lane: lanes and their tables are there already, so that what is counted are
/// messages.
struct Database {
    path: PathBuf,
    _folder: TempDir,
}

impl Database {
    async fn open() -> anyhow::Result<(Self, SharedStore)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("bench.db");
        let options = SqliteOptions { rules: messages::rules(), ..SqliteOptions::default() };
        let store: SharedStore = Arc::new(SqliteStore::open(&path, options).await?);
        enqueue::fill(&store, 0, LANES, LANES).await?;
        Ok((Self { path, _folder: folder }, store))
    }

    /// Bytes of the file's pages that hold something, when all of the log is written into it.
    async fn bytes(&self) -> anyhow::Result<u64> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || pages_in_use(&path)).await?
    }
}

fn pages_in_use(path: &Path) -> anyhow::Result<u64> {
    let file = Connection::open(path)?;
    file.busy_timeout(Duration::from_secs(10))?;
    let busy: i64 = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    ensure!(busy == 0, "the log can't be written into the database");
    let number = |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(u64::try_from(pages * number("page_size")?)?)
}
