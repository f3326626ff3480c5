//! The feed of changes and the machine's clock.

use std::time::Instant;

use super::{super::*, File, message};
use crate::{
    calls::{Cancelled, Enqueued},
    changes::ChangeCursor,
    store::Store,
};

/// Another process goes by the mark in the file, which is moved every five seconds only.
#[tokio::test]
async fn a_reading_of_changes_moves_the_mark_of_the_files_time_to_its_own() {
    let file = File::new();
    let store = file.open().await;
    let Enqueued::Accepted(id) = store.enqueue(&[message("101", "a")]).await.expect("the file answers")[0] else {
        panic!("not accepted")
    };
    assert_eq!(store.cancel(&id).await.expect("the file answers"), Cancelled::Done);
    let begun = Instant::now();
    let read = loop {
        let read = store.changes(0, Some(&ChangeCursor::before(0)), 5).await.expect("the file answers");
        if !read.changes.is_empty() {
            break read;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mark: i64 = file.raw().query_row("SELECT high FROM file", [], |row| row.get(0)).expect("a mark");
    assert!(mark >= read.now, "{mark} is before {}", read.now);
}

/// SEND-SAFETY: a fleet that stays ahead of the provider writes intents before which a text is not looked for.
#[tokio::test]
async fn a_reading_that_finds_the_clock_put_right_leaves_time_as_it_was_put_right() {
    let file = File::new();
    let store = file.open().await;
    let Enqueued::Accepted(id) = store.enqueue(&[message("101", "a")]).await.expect("the file answers")[0] else {
        panic!("not accepted")
    };
    assert_eq!(store.cancel(&id).await.expect("the file answers"), Cancelled::Done);
    let clock = store.now().await.expect("a time");
    // As if the clock had been an hour behind until this moment.
    file.raw().execute("UPDATE file SET high = ?1, off = 3600000, steps = 1", [clock]).expect("set");
    let read = store.changes(0, Some(&ChangeCursor::before(0)), 5).await.expect("the file answers");
    assert_eq!(read.changes.len(), 1);
    let mark = file.raw().query_row("SELECT off, steps FROM file", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (off, steps): (i64, i64) = mark.expect("a mark");
    assert!((1..=5_000).contains(&off) && steps == 1, "{off} {steps}");
}
