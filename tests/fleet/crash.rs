//! P3 and P4 when a worker dies.

use std::time::{Duration, Instant};

use ringfleet_store::State;
use ringfleet_testkit::eventually;

use crate::rig::{Ends, Rig, RigOptions};

#[tokio::test(flavor = "multi_thread")]
async fn of_four_workers_on_200_extensions_one_is_killed_half_way_and_its_messages_go_on_within_15_s() {
    const TOTAL: u64 = 200 * 60;
    let mut rig = Rig::start(RigOptions::new(200, Duration::from_secs(2))).await;
    for extension in 0..200 {
        rig.enqueue(extension, 60, None).await;
    }
    rig.start_workers(4);
    let half = Instant::now() + Duration::from_secs(120);
    while rig.ended().await < TOTAL / 2 {
        assert!(Instant::now() < half, "the fleet does not get half way: {:?}", rig.stats().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rig.kill_worker(0);
    let killed = Instant::now();
    // What it held and had not begun is claimed again by others; what it had begun is held. Everything has ended when the
    // last of them has, and without its messages the others would be done long before the lease is over.
    rig.until_ended(TOTAL, Duration::from_secs(60)).await;
    let taken_over = killed.elapsed();
    assert!(taken_over <= Duration::from_secs(15), "the dead worker's messages took {taken_over:?}");
    let end = rig.finish(Ends::all()).await;
    let held = end.stats.count(State::Held);
    assert!(held <= 64, "no more can be unknown than one worker had in hand: {held}");
    assert_eq!(end.stats.count(State::Sent) + held, TOTAL);
    eprintln!("taken over in {taken_over:?}, held {held}, quota use {:?}", end.report.quota_use_mean);
}

/// One worker at the beginning of 640 texts, two windows of its plans.
async fn with_twenty_sends_under_way() -> Rig {
    let mut options = RigOptions::new(8, Duration::from_secs(2));
    options.simulator.sms_latency = ringfleet_simulator::Latency::Fixed(Duration::from_millis(400));
    let mut rig = Rig::start(options).await;
    for extension in 0..8 {
        rig.enqueue(extension, 80, None).await;
    }
    rig.start_workers(1);
    let busy = async || rig.stats().await.count(State::Sending) >= 20;
    eventually(Duration::from_secs(20), busy).await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_end_finishes_what_it_began_and_gives_the_rest_back() {
    let mut rig = with_twenty_sends_under_way().await;
    rig.drain_workers(Duration::from_secs(20));
    let stats = rig.stats().await;
    let cut_off = [State::Claimed, State::Sending, State::Unknown, State::Held].map(|state| stats.count(state));
    assert_eq!(cut_off, [0; 4], "{stats:?}");
    assert!(stats.count(State::Ready) > 0, "the test ended too late to show anything: {stats:?}");
    rig.start_workers(1);
    rig.until_ended(640, Duration::from_secs(60)).await;
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 640);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_terminal_is_gone_finishes_what_it_began_however_often_it_is_told() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    if ignored.is_some_and(|mask| mask.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f'])) {
        eprintln!("hangups are ignored here, as by nohup, and by the worker too: nothing is seen");
        return;
    }
    let mut rig = with_twenty_sends_under_way().await;
    let hung_up = async || {
        let has_ended = rig.worker_has_ended(0);
        if !has_ended {
            rig.signal_worker(0, "HUP");
        }
        has_ended
    };
    eventually(Duration::from_secs(20), hung_up).await;
    assert!(rig.workers[0].child.wait().unwrap().success(), "{}", rig.logs());
    let stats = rig.stats().await;
    let cut_off = [State::Claimed, State::Sending, State::Unknown, State::Held].map(|state| stats.count(state));
    assert_eq!(cut_off, [0; 4], "{stats:?}");
    assert!(stats.count(State::Ready) > 0, "the test ended too late to show anything: {stats:?}");
    rig.start_workers(1);
    rig.until_ended(640, Duration::from_secs(60)).await;
    rig.finish(Ends::all()).await;
}
