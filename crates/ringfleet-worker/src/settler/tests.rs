//! What a store that may not be used for a while, or has lost something, does to a report.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::sync::atomic::Ordering;

use ringfleet_store::{Clock, IdempotencyKey, NewMessage, OnUnknown, State, sqlite::SqliteOptions};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;
use crate::tests::rig::{EXTENSION, PATIENCE, begun, claimed, redis, spoil, sqlite, state, text};

/// So long are records kept here.
const KEPT: Duration = Duration::from_secs(3_600);

fn sent() -> Outcome {
    Outcome::Sent { provider_id: "1".to_owned() }
}

/// The report of this one, on its way to the store.
fn reported(store: &SharedStore, lease: Lease) -> tokio::task::JoinHandle<()> {
    let (settler, serve) = settler(store.clone(), Arc::new(Journal::in_memory(1)), Arc::new(Notify::new()), KEPT);
    tokio::spawn(serve);
    tokio::spawn(async move { settler.report(&lease, Told::answered(sent())).await })
}

async fn is_made(report: tokio::task::JoinHandle<()>) {
    tokio::time::timeout(PATIENCE, report).await.expect("the report is made").unwrap();
}

/// How often the server has said that somebody lacks a right.
fn refusals(server: &RedisServer) -> u32 {
    let told = server.ask(&["INFO", "errorstats"]).unwrap_or_default();
    let count = told.lines().find_map(|line| line.strip_prefix("errorstat_NOPERM:count="));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

#[tokio::test]
async fn a_report_waits_for_as_long_as_the_stores_user_lacks_a_right() {
    let server = RedisServer::start();
    let store = redis(&server).await;
    let lease = begun(&store, text(EXTENSION, 1, OnUnknown::Resend)).await;
    let id = lease.id;
    let rights = |change| assert_eq!(server.ask(&["ACL", "SETUSER", "default", change]).as_deref(), Some("+OK\r\n"));
    rights("-evalsha");
    let report = reported(&store, lease);
    // More often than a report is tried that the store will never take.
    eventually(PATIENCE, async || refusals(&server) > MOST_REFUSALS + 1).await;
    assert!(!report.is_finished());

    rights("+evalsha");
    is_made(report).await;
    assert_eq!(state(&store, &id).await, Some(State::Sent));
}

#[tokio::test]
async fn a_report_that_the_store_will_never_take_keeps_no_other_from_it() {
    let server = RedisServer::start();
    let store = redis(&server).await;
    let mut reports = Vec::new();
    for (to, extension) in (1..).zip([EXTENSION, "102"]) {
        let lease = begun(&store, text(extension, to, OnUnknown::Resend)).await;
        let (done, _) = oneshot::channel();
        let told = Told::answered(sent());
        reports.push(Report { lease: lease.reference(), lane: lease.lane.clone(), told, done });
    }
    let good = reports[1].lease.id;
    spoil(&server, &format!("wait:{}", reports[0].lane));
    assert!(store.settle(&[reports[0].settlement()]).await.is_err());
    let to = store.clone();
    tokio::spawn(async move { settle_until_taken(&to, &Journal::in_memory(1), &reports, KEPT).await });
    eventually(PATIENCE, async || state(&store, &good).await == Some(State::Sent)).await;
}

#[tokio::test]
async fn a_report_of_a_message_that_the_store_has_lost_gives_it_a_record_as_sent() {
    let mut server = RedisServer::builder().append_only().start();
    let store = redis(&server).await;
    let before = server.append_only_bytes();
    let lease = begun(&store, text(EXTENSION, 1, OnUnknown::Resend)).await;
    server.truncate_tail(server.append_only_bytes() - before);
    server.restart();
    let id = lease.id;
    is_made(reported(&store, lease)).await;
    assert_eq!(state(&store, &id).await, Some(State::Sent));
}

#[tokio::test]
async fn what_was_no_request_takes_no_place_in_a_window_whatever_the_store_has_lost() {
    let mut server = RedisServer::builder().append_only().start();
    let store = redis(&server).await;
    let before = server.append_only_bytes();
    let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Hold)).await;
    let lane = lease.lane.clone();
    server.truncate_tail(server.append_only_bytes() - before);
    server.restart();
    let (settler, serve) = settler(store.clone(), Arc::new(Journal::in_memory(1)), Arc::new(Notify::new()), KEPT);
    tokio::spawn(serve);
    settler.report(&lease, Told::not_sent()).await;
    assert_eq!(store.lane(&lane).await.unwrap().slots_in_use, 0);
    settler.report(&lease, Told::answered(Outcome::NotSent { delay: Duration::ZERO })).await;
    assert_eq!(store.lane(&lane).await.unwrap().slots_in_use, 1);
}

/// Its worker was cut off for so long; another one has found out that it was sent, and its record was forgotten in its turn.
#[tokio::test]
async fn a_report_of_long_ago_is_not_taken_for_one_of_another_message_with_its_key() {
    let (folder, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::by_hand(1_764_000_000_000));
    let store = sqlite(folder.path(), SqliteOptions { clock, ..SqliteOptions::default() }).await;
    let report = |lease: &Lease, age: Duration| {
        let told = Told { wall: SystemTime::now() - age, ..Told::answered(sent()) };
        Report { lease: lease.reference(), lane: lease.lane.clone(), told, done: oneshot::channel().0 }
    };
    let key = Some(IdempotencyKey::try_new("k").unwrap());
    let keyed = NewMessage { key, ..text(EXTENSION, 1, OnUnknown::Hold) };
    let before = begun(&store, keyed.clone()).await;
    let late = report(&before, KEPT);
    store.settle(&[late.settlement()]).await.unwrap();
    hand.fetch_add(KEPT.as_millis() as i64, Ordering::SeqCst);
    assert_eq!(store.reap(500, KEPT).await.unwrap().pruned, 1);

    let beside = begun(&store, text(EXTENSION, 2, OnUnknown::Hold)).await;
    store.enqueue(&[keyed]).await.unwrap();
    let reports = [late, report(&beside, Duration::ZERO)];
    settle_until_taken(&store, &Journal::in_memory(1), &reports, KEPT).await;
    assert_eq!(state(&store, &before.id).await, Some(State::Ready), "nobody has sent it");
    assert_eq!(state(&store, &beside.id).await, Some(State::Sent));
}
