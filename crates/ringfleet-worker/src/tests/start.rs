//! How a worker begins.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ringfleet_identity::{
    KeyRing, Roster, Vault,
    directory::{Claims, Directory},
    new_key,
};
use ringfleet_store::{DocKind, OnUnknown, Outcome, PlanSeen, Settlement, State, sqlite::SqliteOptions};
use ringfleet_testkit::eventually;
use tokio_util::sync::CancellationToken;

use super::rig::{
    EXTENSION, NOBODY, PATIENCE, claimed, client, credential, number, provider, sqlite, takes_texts, text, vault,
};
use crate::{
    journal::{Entry, Journal},
    options::{InboundOptions, WorkerOptions},
    run::{WorkerError, run},
};

#[tokio::test]
async fn a_worker_of_another_app_does_not_begin_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path(), SqliteOptions::default()).await;
    let stop = CancellationToken::new();
    let begins = async |app: &str| {
        let vault = Vault::new(store.clone(), Arc::new(KeyRing::from_text(&new_key()).unwrap()), app);
        let (roster, directory) = (Roster::fixed([]), Directory::fixed(Claims::default()));
        run(vault, roster, directory, client(NOBODY), WorkerOptions::default(), stop.clone()).await
    };
    let others = async {
        let said = async || store.doc_get(DocKind::Progress, "app").await.unwrap().is_some();
        eventually(PATIENCE, said).await;
        let refused = begins("wrong").await;
        stop.cancel();
        refused
    };
    let (ended, refused) = tokio::join!(begins("main"), others);
    ended.unwrap();
    assert!(matches!(refused, Err(WorkerError::OtherApp { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_worker_tells_what_every_dead_one_has_left_before_it_claims() {
    let folder = tempfile::tempdir().unwrap();
    let (store, dir) = (sqlite(folder.path(), SqliteOptions::default()).await, folder.path().join("journal"));
    // Of the two that die the second one has sent something: a worker that begins goes on with the first one's file.
    let first = Journal::open(&dir, &store.epoch(), 1).await.unwrap();
    let second = Journal::open(&dir, &store.epoch(), 1).await.unwrap();
    let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Reconcile)).await;
    let sent = Outcome::Sent { provider_id: "1".to_owned() };
    second.record(vec![Entry::ended(lease.reference(), &lease.lane, &sent, true, Instant::now())]).await;
    drop((first, second));
    // To the store it waits, as in a backup that was brought back.
    let (outcome, age, seen) = (Outcome::Released, Default::default(), PlanSeen::default());
    store.settle(&[Settlement { lease: lease.reference(), outcome, age, seen }]).await.unwrap();
    store.enqueue(&[text(EXTENSION, 2, OnUnknown::Reconcile)]).await.unwrap();
    assert_eq!(store.stats().await.unwrap().count(State::Ready), 2);

    let (routes, taken) = takes_texts();
    let (client, stop) = (provider(routes).await, CancellationToken::new());
    let (roster, directory) = (Roster::fixed([credential(EXTENSION)]), Directory::fixed(Claims::default()));
    let options = WorkerOptions { journal_dir: Some(dir), ..WorkerOptions::default() };
    let all_are_sent = async {
        eventually(PATIENCE, async || store.stats().await.unwrap().count(State::Sent) == 2).await;
        stop.cancel();
    };
    let running = run(vault(store.clone()), roster, directory, client, options, stop.clone());
    let (ended, ()) = tokio::join!(running, all_are_sent);
    ended.unwrap();
    assert_eq!(*taken.lock().unwrap(), [number(2)]);
}

/// The time of some extension's first poll is beyond all that a clock shows, which is a panic.
#[tokio::test]
async fn a_worker_one_of_whose_loops_has_panicked_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path(), SqliteOptions::default()).await;
    let many = (101..=200).map(|extension| credential(&extension.to_string()));
    let (roster, directory) = (Roster::fixed(many), Directory::fixed(Claims::default()));
    let inbound = InboundOptions { poll: Some(Duration::MAX), ..InboundOptions::default() };
    let options = WorkerOptions { inbound, ..WorkerOptions::default() };
    let running = run(vault(store), roster, directory, client(NOBODY), options, CancellationToken::new());
    let ended = tokio::time::timeout(PATIENCE, running).await.unwrap();
    assert!(matches!(&ended, Err(WorkerError::Ended { reason }) if reason.contains("polling")), "{ended:?}");
}
