//! What waits for an extension, listed by a person and taken back as a whole.

use std::time::Duration;

use ringfleet_store::State;
use ringfleet_testkit::eventually;
use serde_json::Value;

use crate::rig::{Ends, Except, Rig, RigOptions};

const DUE: usize = 620;
const LATER: usize = 510;
const SOON: Duration = Duration::from_secs(30);

async fn an_extensions_waiting_messages_are_listed_and_taken_back_and_no_others(options: RigOptions) {
    let mut rig = Rig::start(options).await;
    let id = rig.accounts[0].extension_id.clone();
    let in_a_day = |days: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        at.to_string()
    };
    rig.enqueue(0, DUE, None).await;
    rig.enqueue_named(0, LATER, Some(in_a_day(1)), "tomorrow").await;
    rig.enqueue_named(0, 1, Some(in_a_day(3)), "in three days").await;
    rig.enqueue(1, 2, None).await;

    let listed = |limit: &str| {
        let output = rig.run(&["message", "waiting", &id, "--limit", limit, "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let all = listed("2000");
    let messages = all["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &all["more"]), (DUE + LATER + 1, &Value::Bool(false)));
    assert_eq!((&messages[0]["status"], &messages[DUE]["status"]), (&"ready".into(), &"scheduled".into()));
    let few = listed("10");
    assert_eq!((few["messages"].as_array().unwrap().len(), &few["more"]), (10, &Value::Bool(true)));

    // Nobody can be asked here.
    let cancel = ["lane", "cancel", &id, "--due-before", &in_a_day(2)];
    let unasked = rig.run(&cancel);
    assert!(!unasked.status.success() && String::from_utf8_lossy(&unasked.stderr).contains("--yes"), "{unasked:?}");
    assert_eq!(rig.stats().await.count(State::Cancelled), 0);
    let done = rig.run(&[&cancel[..], &["--yes"]].concat());
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && told.contains(&format!("{} messages", DUE + LATER)), "{done:?}");
    assert_eq!(rig.stats().await.count(State::Cancelled), (DUE + LATER) as u64);
    assert_eq!(listed("10")["messages"].as_array().unwrap().len(), 1, "the one in three days");

    let rest = rig.run(&["lane", "cancel", &id, "--yes"]);
    assert!(rest.status.success(), "{rest:?}");
    rig.start_workers(1);
    rig.until_ended((DUE + LATER + 3) as u64, SOON).await;
    let taken_back = Except::NotSent { at_most: (DUE + LATER + 1) as u64 };
    let report = rig.finish(Ends::all().except(taken_back, "a person took them back")).await.report;
    assert_eq!(report.accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extensions_waiting_messages_are_listed_and_taken_back_and_no_others_on_redis() {
    let options = RigOptions::new(2, Duration::from_secs(2));
    an_extensions_waiting_messages_are_listed_and_taken_back_and_no_others(options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extensions_waiting_messages_are_listed_and_taken_back_and_no_others_on_sqlite() {
    let options = RigOptions::new(2, Duration::from_secs(2)).on_sqlite();
    an_extensions_waiting_messages_are_listed_and_taken_back_and_no_others(options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_was_paused_before_anything_of_it_is_due_is_told_by_status_and_explain() {
    let rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let id = rig.accounts[0].extension_id.clone();
    let tomorrow = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    rig.enqueue_named(0, 1, Some(tomorrow.clone()), "tomorrow").await;
    rig.enqueue_named(1, 1, Some(tomorrow), "tomorrow").await;
    let told = |command: &[&str]| {
        let output = rig.run(command);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!told(&["status"]).contains("lanes stand"));
    told(&["lane", "pause", &id]);
    let status = told(&["status"]);
    for part in ["1 lanes stand", &id, "paused by an operator"] {
        assert!(status.contains(part), "{part} is missing in:\n{status}");
    }
    let status: Value = serde_json::from_str(&told(&["status", "--json"])).unwrap();
    let stopped = status["lanes_stopped_before_due"].as_array().unwrap();
    assert!(stopped.len() == 1 && stopped[0]["lane"].as_str().unwrap().contains(&id), "{status}");
    let explained = told(&["explain", &id]);
    let list = format!("`ringfleet message waiting {id}`");
    for part in ["0 due and waiting", "not due yet is not counted", &list, "paused by an operator"] {
        assert!(explained.contains(part), "{part} is missing in:\n{explained}");
    }
    told(&["lane", "resume", &id]);
    assert!(!told(&["status"]).contains("lanes stand"));
    for account in &rig.accounts {
        told(&["lane", "cancel", &account.extension_id, "--yes"]);
    }
    rig.finish(Ends::all().except(Except::NotSent { at_most: 2 }, "a person took them back")).await;
}

/// As with a restored backup: what becomes due moves on while the fleet is stopped and all is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_due_while_it_is_taken_back_is_taken_back_too() {
    const ALL: u64 = 4_000;
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    let id = rig.accounts[0].extension_id.clone();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    rig.enqueue(0, ALL as usize, Some(soon.to_string())).await;
    assert!(rig.run(&["fleet", "stop"]).status.success());
    rig.start_workers(4);
    let moves = async || rig.stats().await.count(State::Ready) > 0;
    eventually(SOON, moves).await;
    assert!(rig.stats().await.count(State::Scheduled) > 0, "all had moved before, so this shows nothing");
    let done = rig.run(&["lane", "cancel", &id, "--yes"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(rig.stats().await.count(State::Cancelled), ALL);
    assert!(rig.run(&["fleet", "resume"]).status.success());
    let taken_back = Except::NotSent { at_most: ALL };
    let report = rig.finish(Ends::all().except(taken_back, "a person took them back")).await.report;
    assert_eq!(report.accepted, 0);
}
