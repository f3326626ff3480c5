//! What is left of the files when nobody has them open any more.

use super::*;

/// Waits until the database is one file, and gives a copy of it that was taken elsewhere.
async fn copied(file: &File) -> (File, SqliteStore) {
    let beside = [file.path().with_extension("db-wal"), file.path().with_extension("db-shm")];
    let one_file = async || beside.iter().all(|path| !path.exists());
    ringfleet_testkit::eventually(Duration::from_secs(10), one_file).await;
    let copy = File::new();
    std::fs::create_dir_all(copy.path().parent().expect("a folder")).expect("made");
    std::fs::copy(file.path(), copy.path()).expect("copied");
    let store = copy.open().await;
    (copy, store)
}

#[tokio::test]
async fn a_store_that_was_dropped_leaves_one_file_with_all_its_messages() {
    let file = File::new();
    let store = file.open().await;
    store.enqueue(&[message("1", "a")]).await.expect("accepted");
    drop(store);
    let (_folder, copy) = copied(&file).await;
    let known = copy.enqueue(&[message("1", "a")]).await.expect("answers");
    assert!(matches!(known[..], [Enqueued::Duplicate(_)]), "{known:?}");
}

#[tokio::test]
async fn a_store_that_somebody_still_holds_when_its_process_ends_is_closed_after_the_calls_that_wait() {
    let file = File::new();
    let store = file.open().await;
    let batch = [message("1", "a")];
    let (before, _) = tokio::join!(store.enqueue(&batch), store.commands.send(Command::End));
    assert!(matches!(before.expect("accepted")[..], [Enqueued::Accepted(_)]));
    let (_folder, copy) = copied(&file).await;
    assert_eq!(copy.stats().await.expect("stats").count(State::Ready), 1);
    assert!(store.ping().await.is_err(), "it goes on");
}

#[tokio::test]
async fn a_store_that_is_dropped_beside_another_handle_leaves_that_one_alone() {
    let file = File::new();
    let (one, two) = (file.open().await, file.open().await);
    one.enqueue(&[message("1", "a")]).await.expect("accepted");
    drop(one);
    two.enqueue(&[message("1", "b")]).await.expect("accepted");
    drop(two);
    let (_folder, copy) = copied(&file).await;
    assert_eq!(copy.stats().await.expect("stats").count(State::Ready), 2);
}
