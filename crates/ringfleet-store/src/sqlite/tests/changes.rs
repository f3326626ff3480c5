//! The feed of changes and the machine's clock.

use std::time::Instant;

use super::{super::*, File, message};
use crate::{
    calls::{Cancelled, Enqueued},
    changes::ChangeCursor,
    store::Store,
};

#[tokio::test]
async fn a_record_that_is_no_message_is_passed_over_and_the_others_are_told() {
    let file = File::new();
    let (store, hand) = file.open_by_hand().await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        let Enqueued::Accepted(id) = store.enqueue(&[message("101", key)]).await.expect("the file answers")[0] else {
            panic!("not accepted")
        };
        assert_eq!(store.cancel(&id).await.expect("the file answers"), Cancelled::Done);
        hand.fetch_add(1, Ordering::SeqCst);
        ids.push(id);
    }
    let last = store.changes(0, Some(&ChangeCursor::before(0)), 5).await.expect("the file answers");
    assert!(last.changes.is_empty(), "too young");
    hand.fetch_add(5_000, Ordering::SeqCst);
    for (spoilt, what) in [("priority = 9", 1), ("lane = 77", 0)] {
        let sql = format!("UPDATE messages SET {spoilt} WHERE id = ?1");
        file.raw().execute(&sql, [ids[what].as_bytes()]).expect("spoilt");
    }
    let (mut after, mut told) = (ChangeCursor::before(0), Vec::new());
    for _ in 0..4 {
        let read = store.changes(0, Some(&after), 1).await.expect("the file answers");
        told.extend(read.changes.iter().map(|change| change.message.id));
        after = read.next;
    }
    assert_eq!(told, ids[2..]);
}

#[tokio::test]
async fn whoever_begins_to_follow_moves_the_mark_too() {
    let file = File::new();
    let store = file.open().await;
    store.enqueue(&[message("101", "a")]).await.expect("the file answers");
    ringfleet_testkit::eventually(Duration::from_secs(10), async || {
        // Later than what the enqueueing has noted.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let begun = store.changes(0, None, 1).await.expect("the file answers");
        let mark: i64 = file.raw().query_row("SELECT high FROM file", [], |row| row.get(0)).expect("a mark");
        mark >= begun.now
    })
    .await;
}

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
