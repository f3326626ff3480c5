//! Row 32: what can't be read, in Redis, stops nothing but itself.

use std::time::{Duration, Instant};

use ringfleet_producer::Draft;
use ringfleet_store::State;

use crate::{
    rig::{Ends, Except, Rig, Waiting},
    rows_store::{link, wait},
    store_faults::{loaded, quick},
};

/// Ten messages of each of six extensions, one more at the head of the first three, and each of those spoilt.
async fn with_spoilt_records(spoil: impl Fn(&[u8]) -> Vec<u8>) {
    let mut rig = Rig::start(quick()).await;
    let mut link = link(rig.redis()).await;
    for extension in 0..3 {
        let from = rig.accounts[extension].numbers[0].clone();
        let draft = Draft { from, to: "+15552007777".into(), text: "to be spoilt".into(), ..Draft::default() };
        let id = rig.hand_in(draft).await.unwrap().id;
        let record: Vec<u8> =
            redis::cmd("HGET").arg("{rf:0}:m").arg(id.as_bytes()).query_async(&mut link).await.unwrap();
        let mut put = redis::cmd("HSET");
        put.arg("{rf:0}:m").arg(id.as_bytes()).arg(spoil(&record));
        let _: i64 = put.query_async(&mut link).await.unwrap();
    }
    for extension in 0..6 {
        rig.enqueue(extension, 10, None).await;
    }
    rig.start_workers(2);
    others_go_out(&mut rig, 60).await;
    // A record that only the worker can't read is dead after three recoveries.
    rig.until_ended(63, Duration::from_secs(30)).await;
    let junk = Except::Junk { at_most: 3 };
    rig.finish(Ends::all().except(junk, "the test has spoilt three records; they are put aside")).await;
}

/// `count` sound messages are sent, and that something is not sound is told.
async fn others_go_out(rig: &mut Rig, count: u64) {
    let began = Instant::now();
    while rig.simulator.report().accepted < count {
        let (stats, report) = (rig.stats().await, rig.simulator.report());
        assert!(began.elapsed() < Duration::from_secs(30), "the fleet stands still: {stats:?} {report:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = async || {
        let dead = rig.stats().await.count(State::Dead);
        dead > 0 || rig.logs().lines().any(|line| line.contains("ERROR"))
    };
    if !wait(Duration::from_secs(30), told).await {
        let logs = rig.logs();
        let said: Vec<_> = logs.lines().filter(|line| !line.contains("DEBUG")).collect();
        let (stats, lanes) = (rig.stats().await, in_flight(rig).await);
        panic!("neither dead nor in the log as an error: {stats:?} in flight {lanes:?}\n{}", said.join("\n"));
    }
    let report = rig.simulator.report();
    assert_eq!((report.accepted, report.duplicates), (count, 0), "{report:?}");
    assert!(!rig.logs().contains("panicked"), "{}", rig.logs());
    assert!(!rig.worker_has_ended(0) && !rig.worker_has_ended(1), "a worker ended");
    let settled = async || {
        let stats = rig.stats().await;
        let busy: u64 = [State::Claimed, State::Sending, State::Unknown].iter().map(|state| stats.count(*state)).sum();
        (stats.count(State::Sent), busy) == (count, 0) && in_flight(rig).await == [0; 6]
    };
    if !wait(Duration::from_secs(30), settled).await {
        panic!("the store's books do not agree with what was sent: {:?}", rig.stats().await);
    }
}

/// What the lanes believe to be in workers' hands.
async fn in_flight(rig: &Rig) -> Vec<u32> {
    let mut lanes = Vec::new();
    for at in 0..rig.accounts.len() {
        lanes.push(rig.store.lane(&rig.lane(at)).await.unwrap().in_flight);
    }
    lanes
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_records_of_a_wrong_shape_stop_nothing_but_themselves() {
    with_spoilt_records(|_| b"{\"json\": true}".to_vec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_records_that_were_cut_off_stop_nothing_but_themselves() {
    with_spoilt_records(|record| record[..50].to_vec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_records_of_an_older_shape_stop_nothing_but_themselves() {
    // Without the byte that says what to do when the fate of a send is unknown.
    with_spoilt_records(|record| [&record[..4], &record[5..]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_records_whose_words_are_no_text_stop_nothing_but_themselves() {
    with_spoilt_records(|record| [record, b"\xff\xfe"].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_32_a_queue_that_is_no_list_stops_nothing_but_its_lane() {
    let mut rig = loaded(quick(), 10).await;
    let lane = format!("main/{}/medium", rig.accounts[0].extension_id);
    let queue = format!("{{rf:0}}:q:{lane}:1");
    let mut link = link(rig.redis()).await;
    let there: i64 = redis::cmd("LLEN").arg(&queue).query_async(&mut link).await.unwrap();
    assert_eq!(there, 10, "the queue has another name");
    let _: redis::Value = redis::cmd("SET").arg(&queue).arg("junk").query_async(&mut link).await.unwrap();
    rig.start_workers(2);
    others_go_out(&mut rig, 50).await;
    let unreachable = Ends::waiting(Waiting::Exactly(10), "their queue was overwritten by the test");
    rig.finish(unreachable.except(Except::Junk { at_most: 1 }, "the test has put something else in a queue's place"))
        .await;
}
