//! Messages for later.

use std::collections::BTreeMap;

use ringfleet_store::{Begin, NewMessage, Settled, Settlement, State};

use crate::talk::*;

fn later(s: &Subject, extension: u32, text: &str, after: i64) -> NewMessage {
    NewMessage { send_at: Some(s.now() + after), ..message(&wide(extension), text) }
}

pub(crate) async fn a_message_is_not_given_out_before_its_time(s: &Subject) {
    let id = s.put(later(s, 1, "later", 5_000)).await;
    assert_eq!(s.state(id).await, State::Scheduled);
    s.at(4_999);
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.state(id).await, State::Scheduled);
    s.at(5_000);
    let lease = s.claim_one().await;
    assert_eq!((lease.id, lease.due_at, lease.created_at), (id, s.now(), s.now() - 5_000));
}

pub(crate) async fn scheduled_messages_come_in_the_order_of_their_times(s: &Subject) {
    for after in [300, 100, 200] {
        s.put(later(s, 1, &after.to_string(), after)).await;
    }
    s.at(1_000);
    assert_eq!(texts(&s.claim(5).await), ["100", "200", "300"]);
}

pub(crate) async fn an_idle_worker_is_told_the_exact_time_of_the_next_message(s: &Subject) {
    assert_eq!(s.claim_as("w", 5, LEASE).await.next_due, None);
    s.put(later(s, 1, "b", 7_000)).await;
    s.put(later(s, 2, "a", 6_000)).await;
    assert_eq!(s.claim_as("w", 5, LEASE).await.next_due, Some(ms(6_000)));
    s.at(5_999);
    assert_eq!(s.claim_as("w", 5, LEASE).await.next_due, Some(ms(1)));
    s.at(6_000);
    let claim = s.claim_as("w", 5, LEASE).await;
    assert_eq!((texts(&claim.leases), claim.next_due), (vec!["a"], Some(ms(1_000))));
}

pub(crate) async fn a_scheduled_message_waits_behind_those_already_ready(s: &Subject) {
    s.put(later(s, 1, "second", 10)).await;
    s.step(20);
    s.put(message(&wide(1), "first")).await;
    assert_eq!(texts(&s.claim(5).await), ["first", "second"]);
}

pub(crate) async fn lanes_that_are_due_soon_are_told_with_their_first_time(s: &Subject) {
    let start = s.now();
    for (extension, after) in [(1, 20_000), (2, 10_000), (1, 15_000), (3, 31_000)] {
        s.put(later(s, extension, &after.to_string(), after)).await;
    }
    s.fill(&wide(4), 1).await;
    let soon = s.store.due_soon(ms(30_000), 0).await.unwrap();
    assert_eq!((soon.lanes, soon.more), (vec![(wide(2), start + 10_000), (wide(1), start + 15_000)], false));
    s.at(10_000);
    let soon = s.store.due_soon(ms(30_000), 0).await.unwrap();
    assert_eq!(soon.lanes, [(wide(1), start + 15_000), (wide(3), start + 31_000)], "what is due is not due soon");
    let many: Vec<_> = (0..4_000).map(|n| later(s, 10 + n % 40, &format!("of many {n}"), 1_000)).collect();
    for batch in many.chunks(400) {
        s.store.enqueue(batch).await.unwrap();
    }
    let (mut lanes, mut skip) = (BTreeMap::new(), 0);
    loop {
        let soon = s.store.due_soon(ms(30_000), skip).await.unwrap();
        lanes.extend(soon.lanes);
        if !soon.more {
            break;
        }
        skip += 500;
    }
    assert!(skip > 0 && lanes.len() == 42, "{skip}, {lanes:?}");
}

/// More than any one step may move, so no step may try to move them all.
pub(crate) async fn ten_thousand_messages_due_at_one_instant_all_go_out_in_order(s: &Subject) {
    const MESSAGES: u32 = 10_000;
    const LANES: u32 = 40;
    let all: Vec<_> = (0..MESSAGES).map(|n| later(s, n % LANES, &n.to_string(), 60_000)).collect();
    for batch in all.chunks(500) {
        s.store.enqueue(batch).await.unwrap();
    }
    s.at(60_000);
    let mut last = BTreeMap::new();
    let mut total = 0;
    while total < MESSAGES {
        let leases = s.claim(128).await;
        assert!(!leases.is_empty(), "stalled after {total} messages");
        for lease in &leases {
            // Messages of one time go in the order of their ids.
            let before = last.insert(lease.lane.clone(), lease.id);
            assert!(before.is_none_or(|before| before < lease.id), "out of order in {}", lease.lane);
        }
        let refs: Vec<_> = leases.iter().map(|lease| lease.reference()).collect();
        assert!(s.store.begin_send(&intents(&refs), LEASE).await.unwrap().iter().all(|begin| *begin == Begin::Go));
        let settlement = |lease| Settlement { lease, outcome: sent(), age: ms(0), seen: Default::default() };
        let settled = s.store.settle(&refs.iter().copied().map(settlement).collect::<Vec<_>>()).await.unwrap();
        assert!(settled.iter().all(|settled| *settled == Settled::Done(State::Sent)));
        total += leases.len() as u32;
    }
    assert_eq!(s.store.stats().await.unwrap().count(State::Sent), u64::from(MESSAGES));
}

pub(crate) async fn a_time_in_the_past_means_now(s: &Subject) {
    let id = s.put(later(s, 1, "now", -5_000)).await;
    assert_eq!(s.state(id).await, State::Ready);
    let lease = s.claim_one().await;
    assert_eq!(lease.due_at, s.now(), "it was not due before it was here");
}
