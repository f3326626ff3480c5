//! The same on the embedded store, with the durability that it is delivered with, at sizes that it can hold.

use std::{path::Path, sync::Arc, time::Instant};

use ringfleet_store::{
    SharedStore,
    sqlite::{SqliteOptions, SqliteStore},
};

use super::{BULK, DRAIN, OURS, drain::Fleet, enqueue};
use crate::{figure::shown, messages, options::Bench, sitting::Sitting};

pub(super) async fn measure(sitting: &Sitting) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bench.db");
    let options = SqliteOptions { rules: messages::rules(), ..SqliteOptions::default() };
    let store: SharedStore = Arc::new(SqliteStore::open(&path, options).await?);
    let count = sitting.size.sqlite;
    let case = sitting.case(Bench::Queue, OURS).when("SQLite");
    let case = case.with(format!("{} messages, 1,000 lanes, each commit on the disk", shown(count as f64)));

    // Lanes and their tables are there already, so that what is counted are messages.
    enqueue::fill(&store, 0, 1_000, 1_000).await?;
    let before = bytes_of(folder.path())?;
    let begun = Instant::now();
    enqueue::fill(&store, 1_000, count, 1_000).await?;
    case.note(BULK, "messages/s", count as f64 / begun.elapsed().as_secs_f64());
    let grown = bytes_of(folder.path())?.saturating_sub(before);
    case.note("file size of a queued message", "bytes", grown as f64 / count as f64);

    // One process: its workers share the thread that owns the file.
    let fleet = Fleet::FOUR;
    let (done, took) = fleet.drain(&vec![store; fleet.workers()], count).await?;
    case.note(DRAIN, "messages/s", done as f64 / took.as_secs_f64());
    Ok(())
}

/// The database and its log.
fn bytes_of(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
