//! Rows 1 to 8 and 20: the store fails, or the way to it.

use std::time::Duration;

use ringfleet_store::State;

use crate::{
    credential_commands::told,
    rig::{Ends, Except, Rig, RigOptions},
    rows_store::refused,
};

pub(crate) async fn loaded(options: RigOptions, each: usize) -> Rig {
    let extensions = options.simulator.extensions as usize;
    let rig = Rig::start(options).await;
    for extension in 0..extensions {
        rig.enqueue(extension, each, None).await;
    }
    rig
}

pub(crate) fn quick() -> RigOptions {
    let mut options = RigOptions::new(6, Duration::from_secs(2)).quick();
    options.simulator.sms_latency = ringfleet_simulator::Latency::Fixed(Duration::from_millis(50));
    options
}

/// So many texts were sent, and some of each extension: a login that a fault strikes takes longer than a send, and none of the
/// tests here is about that.
pub(crate) async fn until_sent(rig: &Rig, count: u64) {
    let extensions = u64::from(rig.options.simulator.extensions);
    let sent = async || {
        let report = rig.simulator.report();
        report.accepted >= count && report.lanes == extensions
    };
    ringfleet_testkit::eventually(Duration::from_secs(30), sent).await;
}

pub(crate) async fn all_sent_once(rig: &Rig, total: u64) {
    rig.until_ended(total, Duration::from_secs(60)).await;
    let (stats, report) = (rig.stats().await, rig.simulator.report());
    assert_eq!((stats.count(State::Sent), report.accepted), (total, total), "{stats:?} {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_01_redis_killed_and_restarted_loses_nothing() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(2);
    for count in [20, 150] {
        until_sent(&rig, count).await;
        rig.redis_mut().restart();
    }
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_power_cut_that_takes_the_last_commands_sends_nothing_twice() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    rig.redis_mut().forget_last_commands(12);
    rig.redis_mut().restart();
    all_sent_once(&rig, 360).await;
    assert!(rig.logs().contains("the store was restarted"), "nobody noticed");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_worker_that_is_told_to_end_while_redis_is_away_tells_what_it_has_sent_before_it_goes() {
    let mut rig = loaded(quick(), 10).await;
    rig.start_workers(1);
    all_sent_once(&rig, 60).await;
    rig.redis_mut().forget_last_commands(12);
    rig.signal_worker(0, "TERM");
    let waits = async || rig.logs().contains("can't be told that this worker goes");
    ringfleet_testkit::eventually(Duration::from_secs(20), waits).await;
    rig.redis_mut().restart();
    rig.drain_workers(Duration::from_secs(20));
    assert!(rig.logs().contains("it has been told what this worker sent last"), "{}", rig.logs());
    all_sent_once(&rig, 60).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_when_worker_and_store_die_together_the_journal_tells_what_was_sent() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(1);
    until_sent(&rig, 60).await;
    // The store first, so that the worker's last reports are lost with it.
    rig.redis_mut().forget_last_commands(12);
    rig.kill_worker(0);
    rig.redis_mut().restart();
    rig.start_workers(1);
    all_sent_once(&rig, 360).await;
    assert!(rig.logs().contains("what dead workers sent last"), "the journal was not read");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_what_was_sent_in_the_lost_moment_keeps_its_place_in_the_window() {
    // A window that outlasts the time for which the gate is closed: else it would be empty again when that opens.
    let mut options = RigOptions::new(1, Duration::from_secs(12)).quick();
    options.simulator.sms_latency = ringfleet_simulator::Latency::Fixed(Duration::from_millis(50));
    let mut rig = Rig::start(options).await;
    rig.start_workers(1);
    rig.enqueue_named(0, 1, None, "known").await;
    rig.until_ended(1, Duration::from_secs(20)).await;
    let remembered = rig.redis().append_only_bytes();
    rig.enqueue_named(0, 30, None, "forgotten").await;
    rig.until_ended(31, Duration::from_secs(20)).await;
    let redis = rig.redis_mut();
    redis.kill();
    redis.truncate_tail(redis.append_only_bytes() - remembered);
    redis.restart();
    // As many again: with those that the store knows nothing of, more than the plan's forty.
    rig.enqueue_named(0, 30, None, "next").await;
    all_sent_once(&rig, 61).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_04_a_slow_store_slows_the_fleet_down_and_nothing_else() {
    // The fault goes on to the end, and logins go one after the other until somebody knows whose their budget is: the last of six
    // begins after some fifty answers of that store.
    let options = RigOptions { back: Duration::from_secs(30), ..quick().behind_proxy() };
    let mut rig = loaded(options, 20).await;
    rig.proxy().latency(Duration::from_millis(150), Duration::from_millis(100));
    rig.start_workers(2);
    all_sent_once(&rig, 120).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_replies_lost_after_the_script_ran_neither_strand_nor_double_a_message() {
    let mut rig = loaded(quick().behind_proxy(), 60).await;
    rig.start_workers(2);
    for count in (10..300).step_by(20) {
        until_sent(&rig, count).await;
        rig.proxy().drop_next_reply();
    }
    all_sent_once(&rig, 360).await;
    assert!(rig.proxy().dropped() >= 5, "no reply was lost");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_text_of_which_the_store_does_not_say_whether_it_has_it_is_handed_in_as_one_message() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).behind_proxy()).await;
    // Redis knows the script by then: else what is lost would be the word that it does not.
    rig.enqueue(1, 1, None).await;
    // More often than it is tried.
    (0..99).for_each(|_| rig.proxy().drop_next_reply_of(b"15552000001"));
    let from = rig.accounts[0].extension_id.clone();
    let doctor = told(&rig.run(&["doctor", "--json", "--extension", &from, "--send-test-to", "+15552000001"]));
    assert!(doctor.contains("did not say whether it took"), "{doctor}");
    rig.proxy().heal();
    assert_eq!(rig.stats().await.total(), 2, "{doctor}");
    rig.handed_in_elsewhere(1);
    rig.start_workers(1);
    all_sent_once(&rig, 2).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20_a_partition_from_the_store_ends_with_everything_sent_once() {
    let mut rig = loaded(quick().behind_proxy(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    rig.proxy().blackhole(true);
    tokio::time::sleep(Duration::from_secs(6)).await;
    rig.proxy().heal();
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_22_half_open_connections_to_the_store_are_noticed() {
    let mut rig = loaded(quick().behind_proxy(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    rig.proxy().half_open();
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

fn flush(rig: &Rig) {
    let port = rig.redis().port().to_string();
    let flushed = std::process::Command::new("redis-cli").args(["-p", &port, "flushall"]).status();
    assert!(flushed.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_34_a_flushed_store_stops_the_fleet_which_says_so() {
    let mut rig = loaded(quick(), 60).await;
    let journals = [rig.path("journal/worker-0.journal"), rig.path("journal/worker-1.journal")];
    for journal in &journals {
        rig.start_workers(1);
        ringfleet_testkit::eventually(Duration::from_secs(30), async || journal.exists()).await;
    }
    until_sent(&rig, 60).await;
    // Its place in the folder is free, and the first one.
    rig.signal_worker(0, "TERM");
    ringfleet_testkit::eventually(Duration::from_secs(30), async || rig.worker_has_ended(0)).await;
    std::fs::remove_file(&journals[0]).unwrap();
    flush(&rig);
    ringfleet_testkit::eventually(Duration::from_secs(30), async || rig.worker_has_ended(0) && rig.worker_has_ended(1))
        .await;
    let sent = rig.simulator.report().accepted;
    assert!(rig.logs().contains("flushed or exchanged"), "{}", rig.logs());
    // A new process finds the journal of the old store, and refuses the new one.
    rig.start_workers(1);
    ringfleet_testkit::eventually(Duration::from_secs(30), async || rig.worker_has_ended(2)).await;
    for worker in &mut rig.workers[1..] {
        assert_eq!(worker.child.wait().unwrap().code(), Some(65));
    }
    assert!(rig.log("worker-3.log").contains("another store"), "{}", rig.logs());
    assert_eq!(rig.simulator.report().accepted, sent, "something was sent without a store");
    rig.finish(Ends::all().except(Except::StoreGone, "it was flushed: nobody knows any more what was in it")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_34_a_process_that_starts_beside_the_journals_of_a_flushed_store_takes_nothing_in_and_says_why() {
    let mut rig = loaded(quick(), 10).await;
    rig.start_workers(1);
    all_sent_once(&rig, 60).await;
    // Nobody is there who would notice.
    rig.drain_workers(Duration::from_secs(20));
    flush(&rig);
    let (from, file) = (&rig.accounts[0].numbers[0], rig.path("again.csv"));
    std::fs::write(&file, format!("from,to,text,key\n{from},+15552009999,a canary for the second time,canary-visit\n"))
        .unwrap();
    rig.keep_secret(["+15552009999", "a canary for the second time", "canary-visit"]);
    let import = ["import", file.to_str().unwrap()];
    for arguments in [&import[..], &["api"], &["up"], &["worker"]] {
        let (code, told) = refused(&rig, arguments, &rig.redis().url());
        assert_eq!(code, Some(65), "{arguments:?}: {told}");
        for part in ["tells of another store", "nothing is handed in again", "remove the journal folder"] {
            assert!(told.contains(part), "{part} is missing: {arguments:?}: {told}");
        }
        assert!(!told.contains("api listens"), "{told}");
    }
    let status = told(&rig.run(&["status"]));
    assert!(status.contains("WARNING journal") && !status.contains("brings some in"), "{status}");
    let json = |arguments: &[&str]| -> (Option<i32>, serde_json::Value) {
        let output = rig.run(arguments);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let (code, status) = json(&["status", "--json"]);
    assert!(status["store_replaced"].is_string(), "{status}");
    assert_eq!((code, status["total"].as_u64()), (Some(0), Some(0)), "something was taken in: {status}");
    // The new store knows nothing of the window.
    tokio::time::sleep(rig.options.window).await;
    let (code, doctor) = json(&["doctor", "--json", "--extension", &rig.accounts[0].extension_id]);
    let mut findings = doctor["sections"].as_array().unwrap().iter().flat_map(|s| s["findings"].as_array().unwrap());
    let data = findings.find(|finding| finding["check"] == "data").unwrap();
    assert!(data["seen"].as_str().unwrap().contains("another store"), "{data}");
    assert_eq!((code, data["level"].as_str()), (Some(1), Some("fail")), "{data}");

    // Somebody has looked.
    std::fs::remove_dir_all(rig.path("journal")).unwrap();
    let import = rig.run(&import);
    assert!(import.status.success(), "{}", told(&import));
    assert_eq!(json(&["status", "--json"]).1["total"], 1);
    rig.finish(Ends::all().except(Except::StoreGone, "it was flushed: nobody knows any more what was in it")).await;
}
