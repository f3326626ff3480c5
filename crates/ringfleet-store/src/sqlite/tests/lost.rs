//! A file that is taken away, or exchanged, or that has lost a part of itself.

use std::fs;

use super::*;

/// Until the file's next look at its place is over.
async fn is_refused_for_good(store: &SqliteStore) {
    let refused = async || matches!(store.ping().await, Err(StoreError::Replaced { call: "ping" }));
    ringfleet_testkit::eventually(Duration::from_secs(10), refused).await;
    let answer = store.enqueue(&[message("1", "late")]).await;
    assert!(matches!(answer, Err(StoreError::Replaced { call: "enqueue" })), "{answer:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_removed_exchanged_or_emptied_in_use_is_noticed() {
    for change in ["removed", "exchanged", "emptied"] {
        let (file, other) = (File::new(), File::new());
        let store = file.open().await;
        store.enqueue(&[message("1", "a")]).await.expect("accepted");
        match change {
            "removed" => fs::remove_file(file.path()).expect("removed"),
            "exchanged" => {
                drop(other.open().await);
                fs::rename(other.path(), file.path()).expect("exchanged");
            }
            _ => drop(fs::File::create(file.path()).expect("emptied")),
        }
        is_refused_for_good(&store).await;
    }
}

#[tokio::test]
async fn a_file_that_was_away_is_not_gone_on_with_when_it_is_back() {
    let file = File::new();
    let store = file.open().await;
    store.ping().await.expect("it answers");
    let away = file.path().with_extension("away");
    fs::rename(file.path(), &away).expect("away");
    is_refused_for_good(&store).await;
    fs::rename(&away, file.path()).expect("back");
    // Longer than between two looks: a fresh one finds the same file in its place.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    is_refused_for_good(&store).await;
}

#[tokio::test]
async fn a_file_that_has_lost_its_log_or_all_but_its_log_is_no_new_store() {
    let file = File::new();
    let store = file.open().await;
    store.enqueue(&[message("1", "a")]).await.expect("accepted");
    let copy = File::new();
    let log = |of: &File| of.path().with_extension("db-wal");
    fs::create_dir_all(copy.path().parent().expect("a folder")).expect("made");
    fs::copy(file.path(), copy.path()).expect("copied");
    let open = async || {
        let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
        SqliteStore::open(&copy.path(), options).await
    };
    let error = open().await.expect_err("its log is missing");
    assert!(matches!(&error, StoreError::Unfit { reason } if reason.contains("-wal")), "{error:?}");
    fs::copy(log(&file), log(&copy)).expect("copied");
    let whole = fs::read(copy.path()).expect("read");
    fs::write(copy.path(), b"").expect("emptied");
    let error = open().await.expect_err("only its log is there");
    assert!(matches!(&error, StoreError::Unfit { reason } if reason.contains("emptied")), "{error:?}");
    #[cfg(unix)]
    {
        let (link, elsewhere) = (File::new(), SqliteOptions::default());
        fs::create_dir_all(link.path().parent().expect("a folder")).expect("made");
        std::os::unix::fs::symlink(copy.path(), link.path()).expect("linked");
        let error = SqliteStore::open(&link.path(), elsewhere).await.expect_err("through a link it is the same");
        assert!(matches!(&error, StoreError::Unfit { reason } if reason.contains("emptied")), "{error:?}");
    }
    fs::write(copy.path(), whole).expect("brought back");
    assert_eq!(open().await.expect("it is whole").stats().await.expect("stats").total(), 1);
}

#[tokio::test]
async fn a_new_file_is_made_once_by_those_who_open_it_at_the_same_time() {
    let file = File::new();
    let opened = futures::future::join_all((0..4).map(|_| file.open())).await;
    let names: Vec<_> = opened.iter().map(|store| store.epoch()).collect();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}
