//! `ringfleet rc`: what is read is complete, in the plans, and survives a kill.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Output,
    time::{Duration, Instant},
};

use ringfleet_testkit::wait_until;
use serde_json::{Value, json};

use crate::{
    credential_commands::told,
    rig::{Ends, Rig, RigOptions, blocking, http},
};

fn options(extensions: u32, calls: u32) -> RigOptions {
    let mut options = RigOptions::new(extensions, Duration::from_secs(3)).on_sqlite();
    options.simulator.calls_per_extension = calls;
    options
}

/// The records of a file of JSON lines, by extension and in their order.
fn records(rig: &Rig, name: &str) -> BTreeMap<String, Vec<Value>> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in rig.log(name).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        all.entry(line["extension"].as_str().unwrap().to_owned()).or_default().push(line["record"].clone());
    }
    all
}

/// Pages that a run has noted.
fn noted(rig: &Rig, name: &str) -> usize {
    rig.log(&format!("{name}.progress")).lines().count().saturating_sub(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn call_logs_of_fifty_extensions_are_complete_although_the_reader_is_killed_twice() {
    const READ: [&str; 6] = ["rc", "call-log", "--per-page", "10", "--output", "calls.jsonl"];
    let rig = Rig::start(options(50, 30)).await;
    let slow = json!({"match": {"endpoint": "call-log"}, "fault": {"kind": "delay", "ms": 200}});
    rig.simulator.add_fault(serde_json::from_value(slow).unwrap());
    for pages in [40, 100] {
        let mut reader = rig.spawn(&READ, &[]);
        let come_to = || noted(&rig, "calls.jsonl") >= pages || reader.child.try_wait().unwrap().is_some();
        assert!(blocking(|| wait_until(Duration::from_secs(60), come_to)), "{}", rig.log(reader.log()));
        assert!(reader.child.try_wait().unwrap().is_none(), "it ended by itself: {}", rig.log(reader.log()));
        reader.child.kill().unwrap();
        reader.child.wait().unwrap();
        assert!(noted(&rig, "calls.jsonl") < 150, "it was killed too late to prove anything");
    }
    let output = rig.run(&READ);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!rig.path("calls.jsonl.progress").exists());

    let all = records(&rig, "calls.jsonl");
    assert_eq!(all.len(), 50);
    for (extension, calls) in &all {
        let ids: BTreeSet<&str> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
        assert_eq!((calls.len(), ids.len()), (30, 30), "a page of {extension} is missing or there twice");
        let starts: Vec<&str> = calls.iter().map(|call| call["startTime"].as_str().unwrap()).collect();
        assert!(starts.is_sorted_by(|newer, older| newer >= older), "pages of {extension} are out of order");
        assert!(calls.iter().all(|call| call["extension"]["id"].to_string().trim_matches('"') == extension.as_str()));
    }
    // A file that is complete is left alone.
    let again = rig.run(&READ);
    assert!(!again.status.success() && told(&again).contains("is there already"), "{}", told(&again));
    let finished = rig.finish(Ends::all()).await;
    assert_eq!((finished.report.http_429, finished.report.auth_429), (0, 0), "{:?}", finished.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_log_waits_for_its_lane_and_has_all_its_legs() {
    let rig = Rig::start(options(1, 30)).await;
    let began = Instant::now();
    let read = ["rc", "call-log", "--view", "detailed", "--per-page", "2", "--output", "calls.jsonl"];
    let output = rig.run(&read);
    assert!(output.status.success(), "{}", told(&output));
    // Fifteen pages, ten in three seconds.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    let calls = records(&rig, "calls.jsonl").into_values().next().unwrap();
    assert_eq!(calls.len(), 30);
    assert!(calls.iter().all(|call| !call["legs"].as_array().unwrap().is_empty()));
    assert_eq!(rig.finish(Ends::all()).await.report.http_429, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_see_is_shortened_and_what_they_take_with_them_is_whole() {
    let mut rig = Rig::start(options(2, 5)).await;
    rig.start_workers(1);
    rig.enqueue_to(0, "+15552000001", "canary text").await;
    rig.until_ended(1, Duration::from_secs(20)).await;
    let id = rig.accounts[0].extension_id.clone();
    let (number, of_number) = (rig.accounts[0].numbers[0].clone(), rig.accounts[1].extension_id.clone());

    // Nothing private in any table: rig.finish looks.
    for (command, part) in [
        (&["rc", "account"][..], "status"),
        (&["rc", "extensions"], of_number.as_str()),
        (&["rc", "phone-numbers"], "SmsSender"),
        (&["rc", "phone-numbers", "--account"], "DirectNumber"),
        (&["rc", "messages", "--extension", &id], "[11 characters]"),
        (&["rc", "call-log", "--extension", &id], "Voice"),
        (&["rc", "call-log", "--account", "--all", "--per-page", "3"], of_number.as_str()),
        (&["rc", "call-log", "--per-page", "2"], "--all reads every page"),
    ] {
        let output = rig.run(command);
        let text = told(&output);
        assert!(output.status.success() && text.contains(part), "{command:?}: {text}");
        let told_of_more = text.contains("there is more");
        assert_eq!(told_of_more, command.contains(&"--per-page") && !command.contains(&"--all"), "{command:?}: {text}");
    }
    for (command, part) in [
        (&["rc", "messages", "--type", "sms", "--direction", "outbound", "--output", "out"][..], "\"canary text\""),
        (&["rc", "phone-numbers", "--csv", "--output", "out"], number.as_str()),
    ] {
        let output = rig.run(command);
        assert!(output.status.success() && rig.log("out").contains(part), "{command:?}: {}", told(&output));
        std::fs::remove_file(rig.path("out")).unwrap();
    }
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_may_not_be_read_is_named_with_the_remedy_and_the_others_are_read() {
    const READ: [&str; 4] = ["rc", "call-log", "--output", "calls.jsonl"];
    let rig = Rig::start(options(3, 5)).await;
    let id = rig.accounts[1].extension_id.clone();
    let permissions = async |missing: Value| {
        let url = format!("{}/simulator/extensions/{id}/permissions", rig.simulator.base_url());
        let answer = http().post(url).json(&json!({"missing": missing})).send().await.unwrap();
        assert!(answer.status().is_success());
    };
    permissions(json!(["ReadCallLog"])).await;
    let output = rig.run(&READ);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in [id.as_str(), "the user needs ReadCallLog", "CMN-408", "next step"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(records(&rig, "calls.jsonl").len(), 2);
    permissions(json!([])).await;
    let output = rig.run(&READ);
    assert!(output.status.success(), "{}", told(&output));
    let all = records(&rig, "calls.jsonl");
    assert!(all.len() == 3 && all.values().all(|calls| calls.len() == 5), "{}", told(&output));

    let output = rig.run(&["rc", "messages", "--extension", "nobody", "--extension", "12"]);
    let text = told(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--extension nobody") && text.contains("--extension 12"), "{text}");
    let output = rig.run(&["rc", "messages", "--from", "yesterday"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_read_beside_a_backlog_of_texts_costs_no_text_and_no_429() {
    let mut rig = Rig::start(options(6, 100)).await;
    for extension in 0..6 {
        rig.enqueue(extension, 120, None).await;
    }
    rig.start_workers(1);
    // Twenty pages of Heavy each, ten of which have a place at once.
    let mut calls = rig.spawn(&["rc", "call-log", "--per-page", "5", "--from", "2020-01-01", "--output", "calls"], &[]);
    rig.until_ended(720, Duration::from_secs(60)).await;
    let messages = rig.run(&["rc", "messages", "--per-page", "5", "--output", "messages"]);
    assert!(messages.status.success(), "{}", told(&messages));
    assert!(blocking(|| wait_until(Duration::from_secs(60), || calls.child.try_wait().unwrap().is_some())));
    assert!(calls.child.wait().unwrap().success(), "{}", rig.log(calls.log()));
    assert_eq!(records(&rig, "calls").values().map(Vec::len).collect::<Vec<_>>(), [100; 6]);
    assert_eq!(records(&rig, "messages").values().map(Vec::len).collect::<Vec<_>>(), [120; 6]);
    let report = rig.finish(Ends::all()).await.report;
    eprintln!("quota use beside the reads: mean {:?}, worst {:?}", report.quota_use_mean, report.quota_use_worst);
    assert_eq!((report.http_429, report.auth_429, report.accepted), (0, 0, 720), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_names_the_stop_of_the_fleet_at_once_and_goes_on_after_it() {
    const READ: [&str; 6] = ["rc", "call-log", "--per-page", "2", "--output", "calls.jsonl"];
    let rig = Rig::start(options(2, 30)).await;
    let names_the_stop = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in ["the fleet is stopped: a wrong template", "`ringfleet fleet resume`"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("another program"), "{text}");
    };
    let gate = |arguments: &[&str]| {
        let output = rig.run(&[&["fleet"], arguments].concat());
        assert!(output.status.success(), "{}", told(&output));
    };
    const STOP: [&str; 3] = ["stop", "--reason", "a wrong template"];
    gate(&STOP);
    let began = Instant::now();
    names_the_stop(&rig.run(&["rc", "account"]));
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());

    // Fifteen pages of each extension, every one of them slow.
    gate(&["resume"]);
    let slow = json!({"match": {"endpoint": "call-log"}, "fault": {"kind": "delay", "ms": 1_000}});
    rig.simulator.add_fault(serde_json::from_value(slow).unwrap());
    let mut reader = rig.spawn(&READ, &[]);
    assert!(blocking(|| wait_until(Duration::from_secs(30), || noted(&rig, "calls.jsonl") >= 2)));
    gate(&STOP);
    assert!(blocking(|| wait_until(Duration::from_secs(20), || reader.child.try_wait().unwrap().is_some())));
    assert_eq!(reader.child.wait().unwrap().code(), Some(1), "{}", rig.log(reader.log()));
    let text = rig.log(reader.log());
    assert!(text.contains("the fleet is stopped") && text.contains("the same command reads what is missing"), "{text}");

    gate(&["resume"]);
    rig.simulator.clear_faults();
    let output = rig.run(&READ);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(records(&rig, "calls.jsonl").values().map(Vec::len).collect::<Vec<_>>(), [30, 30]);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_reader_has_gone_ends_at_once() {
    let rig = Rig::start(options(1, 100)).await;
    let began = Instant::now();
    // Fifty pages, of which ten have a place in three seconds.
    let read = ["rc", "call-log", "--all", "--json", "--per-page", "2", "--from", "2020-01-01"];
    let (status, text) = rig.run_without_reader(&read);
    assert!(status.success() && text.is_empty(), "{status}: {text}");
    assert!(began.elapsed() < Duration::from_secs(8), "it went on for {:?}", began.elapsed());
    rig.finish(Ends::all()).await;
}
