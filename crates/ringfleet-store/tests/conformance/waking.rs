//! Wake-ups between processes. These run on the real clock.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::talk::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// Two handles on the same data, once their ears are open: a hint may be lost before.
async fn two_processes(s: &Subject) -> (Subject, Subject) {
    let here = s.fresh_on_real_clock(rules()).await;
    let there = here.again(rules()).await;
    let end = Instant::now() + PATIENCE;
    loop {
        let hint = here.store.work_hint();
        there.put(message(&wide(1), "x")).await;
        if timeout(Duration::from_millis(500), hint).await.is_ok() {
            return (here, there);
        }
        assert!(Instant::now() < end, "no wake-up arrives");
    }
}

pub(crate) async fn work_from_another_handle_wakes_a_sleeper(s: &Subject) {
    let (here, there) = two_processes(s).await;
    for extension in 1..10 {
        let sleeper = tokio::spawn(here.store.work_hint());
        there.put(message(&wide(extension), "x")).await;
        timeout(PATIENCE, sleeper).await.expect("it wakes").unwrap();
    }
    assert!(here.claim(20).await.len() >= 9);
}

pub(crate) async fn a_hint_taken_before_the_work_came_is_not_lost(s: &Subject) {
    let (here, there) = two_processes(s).await;
    let hint = here.store.work_hint();
    assert!(!here.claim(20).await.is_empty());
    there.put(message(&wide(7), "between")).await;
    timeout(PATIENCE, hint).await.expect("what came in between counts");
}

pub(crate) async fn opening_a_lane_wakes_a_sleeper(s: &Subject) {
    let (here, there) = two_processes(s).await;
    there.store.set_paused(&wide(1), true).await.unwrap();
    let hint = here.store.work_hint();
    there.store.set_paused(&wide(1), false).await.unwrap();
    timeout(PATIENCE, hint).await.expect("it wakes");
}

pub(crate) async fn the_store_answers_and_says_what_it_is(s: &Subject) {
    s.store.ping().await.unwrap();
    let kind = if s.backend == crate::harness::Backend::Sqlite { "sqlite" } else { "redis" };
    assert_eq!(s.store.kind(), kind);
}
