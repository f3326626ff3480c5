//! Rows 17, 18 and 36: a message that kills its workers, clocks that disagree, and many processes that begin at once.

use std::time::{Duration, SystemTime};

use ringfleet_producer::Draft;
use ringfleet_store::{ListFrom, State};
use ringfleet_testkit::{eventually, libfaketime};
use serde_json::Value;

use crate::rig::{Ends, Except, Rig, RigOptions, http};

#[tokio::test(flavor = "multi_thread")]
async fn row_17_a_message_that_kills_every_worker_is_dead_after_three_recoveries_and_the_rest_goes_on() {
    let mut rig = Rig::start(RigOptions::new(3, Duration::from_secs(2)).quick()).await;
    let from = rig.accounts[0].numbers[0].clone();
    let draft =
        Draft { from, to: "+15552007777".into(), text: "a text that kills its worker".into(), ..Draft::default() };
    let id = rig.hand_in(draft).await.unwrap().id;
    for n in 0..4 {
        rig.start_worker(Some("intent.before=kill@1"));
        eventually(Duration::from_secs(30), async || rig.worker_has_ended(n)).await;
    }
    // Its lease lives on for a while, so the next one finds it in nobody's hand and takes the others first.
    for extension in 0..3 {
        rig.enqueue(extension, 10, None).await;
    }
    rig.start_worker(None);
    rig.until_ended(31, Duration::from_secs(30)).await;
    let view = rig.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason.as_str(), view.attempt), (State::Dead, "poison", 0), "{view:?}");
    assert_eq!(view.recoveries, 4, "three recoveries, and the one that ended it: {view:?}");
    let dead = rig.store.list(&ListFrom::newest(State::Dead), 10).await.unwrap().messages;
    assert!(matches!(dead.as_slice(), [only] if only.id == id && !only.text.expose().is_empty()), "{dead:?}");
    assert!(!rig.worker_has_ended(4), "it killed once more");
    let dead = Except::NotSent { at_most: 1 };
    let end = rig.finish(Ends::all().except(dead, "it kills whoever takes it")).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (30, 30), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_workers_whose_clocks_are_ten_minutes_apart_keep_the_plan_and_every_time() {
    let mut rig = Rig::start(RigOptions::new(4, Duration::from_secs(2)).quick()).await;
    let library = libfaketime().to_string_lossy().into_owned();
    for shift in ["+300s", "-300s"] {
        rig.start_worker_with(&[("LD_PRELOAD", &library), ("FAKETIME", shift), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    }
    let due = SystemTime::now() + Duration::from_secs(4);
    rig.enqueue(3, 20, Some(jiff::Timestamp::try_from(due).unwrap().to_string())).await;
    for extension in 0..3 {
        rig.enqueue(extension, 120, None).await;
    }
    rig.until_ended(380, Duration::from_secs(60)).await;
    let early = due.duration_since(first_send_of(&rig, 3).await).unwrap_or_default();
    assert!(early < Duration::from_millis(20), "sent {early:?} before its time");
    // Both took part, and each by its own clock.
    let stamps: Vec<_> = (1..=2).map(|n| stamp(&rig, n)).collect();
    let apart = (stamps[0] - stamps[1]).get_seconds();
    assert!((500..700).contains(&apart), "the clocks were {apart} s apart");
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (380, 380), "{end:?}");
}

/// When the first of the extension's texts arrived.
async fn first_send_of(rig: &Rig, extension: usize) -> SystemTime {
    let ledger = format!("{}/simulator/ledger", rig.simulator.base_url());
    let ledger = http().get(ledger).send().await.unwrap().text().await.unwrap();
    let began = SystemTime::now() - Duration::from_nanos(rig.simulator.report().now_ns);
    let sends = ledger.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = sends.filter(|send| send["kind"] == "sms" && send["extension"] == rig.accounts[extension].extension_id);
    began + Duration::from_nanos(ours.map(|send| send["at_ns"].as_u64().unwrap()).min().unwrap())
}

/// The time of a worker's last line about an answer.
fn stamp(rig: &Rig, worker: usize) -> jiff::Timestamp {
    let log = std::fs::read_to_string(rig.path(&format!("worker-{worker}.log"))).unwrap();
    let line = log.lines().rev().find(|line| line.contains("call answered"));
    let line = line.unwrap_or_else(|| panic!("worker {worker} sent nothing:\n{log}"));
    let word = line.split_whitespace().map(|word| word.parse());
    word.flatten().next().unwrap_or_else(|| panic!("no time in {line}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_36_twenty_processes_that_begin_at_once_on_forty_extensions_log_in_once_each() {
    let mut rig = Rig::start(RigOptions::new(40, Duration::from_secs(2))).await;
    for extension in 0..40 {
        rig.enqueue(extension, 10, None).await;
    }
    rig.start_workers(20);
    rig.until_ended(400, Duration::from_secs(20)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (400, 400), "{end:?}");
    assert_eq!((end.report.auth_requests, end.report.sessions_max), (40, 1), "{end:?}");
}
