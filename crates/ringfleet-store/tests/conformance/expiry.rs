//! Messages that are of no use after a certain time.

use ringfleet_store::{Begin, MessageId, NewMessage, Outcome, Reaped, Settled, State};

use crate::talk::*;

async fn until(s: &Subject, text: &str, last: i64) -> MessageId {
    s.put(NewMessage { send_by: Some(s.now() + last), ..message(&wide(1), text) }).await
}

async fn assert_expired(s: &Subject, id: MessageId) {
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason.as_str()), (State::Expired, "send-by-passed"));
    assert_eq!(view.finished_at, Some(s.now()));
}

pub(crate) async fn a_message_past_its_time_is_not_claimed(s: &Subject) {
    let id = until(s, "old", 1_000).await;
    s.put(message(&wide(1), "next")).await;
    s.at(1_001);
    assert_eq!(texts(&s.claim(5).await), ["next"]);
    assert_expired(s, id).await;
    assert_eq!(s.store.stats().await.unwrap().total(), 2);
}

pub(crate) async fn a_message_at_the_very_end_of_its_time_still_goes(s: &Subject) {
    until(s, "just", 1_000).await;
    s.at(1_000);
    assert_eq!(s.reap().await.expired, 0);
    let lease = s.claim_one().await;
    assert_eq!(s.begin(lease.reference()).await, Begin::Go);
}

pub(crate) async fn a_message_past_its_time_is_not_begun(s: &Subject) {
    let id = until(s, "old", 1_000).await;
    let lease = s.claim_one().await.reference();
    s.at(1_001);
    assert_eq!(s.begin(lease).await, Begin::Expired);
    assert_expired(s, id).await;
    let view = s.view(&wide(1)).await;
    assert_eq!((view.in_flight, view.slots_in_use), (0, 0));
    assert_eq!(s.begin(lease).await, Begin::LeaseLost);
    assert_eq!(s.settle(lease, Outcome::Released).await, Settled::Again(State::Expired));
}

pub(crate) async fn the_reaper_closes_messages_past_their_time(s: &Subject) {
    let id = until(s, "old", 1_000).await;
    s.store.set_paused(&wide(1), true).await.unwrap();
    s.at(1_000);
    assert_eq!(s.reap().await, Reaped::default());
    s.at(1_001);
    assert_eq!(s.reap().await, Reaped { expired: 1, ..Reaped::default() });
    assert_expired(s, id).await;
    s.store.set_paused(&wide(1), false).await.unwrap();
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_scheduled_message_can_pass_its_time(s: &Subject) {
    let never = NewMessage { send_at: Some(s.now() + 5_000), send_by: Some(s.now() + 1_000), ..message(&wide(1), "x") };
    let id = s.put(never).await;
    s.at(1_001);
    assert_eq!(s.reap().await.expired, 1);
    assert_expired(s, id).await;
    s.at(10_000);
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.store.stats().await.unwrap().count(State::Scheduled), 0);
}

/// What is over does not count as waiting for as long as its lane stands, which may be for ever.
pub(crate) async fn a_lane_that_stands_shows_nothing_of_what_has_ended(s: &Subject) {
    let cancelled = s.put(message(&wide(1), "cancelled")).await;
    for text in ["a", "b", "c"] {
        until(s, text, 50).await;
    }
    let last = until(s, "last", 500).await;
    s.store.set_paused(&wide(1), true).await.unwrap();
    s.store.cancel(&cancelled).await.unwrap();
    s.step(100);
    s.reap().await;
    let view = s.view(&wide(1)).await;
    assert_eq!((view.waiting, view.oldest_due), (1, Some(s.now() - 100)));
    s.step(500);
    s.reap().await;
    assert_eq!(s.state(last).await, State::Expired);
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.oldest_due_age, stats.lanes_waiting, s.view(&wide(1)).await.waiting), (None, 0, 0));
    s.store.set_paused(&wide(1), false).await.unwrap();
    s.put(message(&wide(1), "after")).await;
    assert_eq!(texts(&s.claim(5).await), ["after"]);
}

/// More than one script takes away, of several lanes, and in another order than they stand in.
pub(crate) async fn however_many_have_ended_a_lane_that_stands_shows_none_of_them_for_long(s: &Subject) {
    for lane in 1..=2 {
        for first in (0..700).step_by(100) {
            let last = |n: i64| Some(s.now() + 10 + (n * 7) % 13);
            let batch: Vec<_> = (first..first + 100)
                .map(|n| NewMessage { send_by: last(n), ..message(&wide(lane), &n.to_string()) })
                .collect();
            s.store.enqueue(&batch).await.unwrap();
        }
        s.store.set_paused(&wide(lane), true).await.unwrap();
    }
    s.step(1_000);
    for _ in 0..20 {
        s.reap().await;
    }
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.count(State::Expired), stats.oldest_due_age, stats.lanes_waiting), (1_400, None, 0));
    assert_eq!((s.view(&wide(1)).await.waiting, s.view(&wide(2)).await.waiting), (0, 0));
}

pub(crate) async fn a_message_in_hand_is_not_expired_by_the_reaper(s: &Subject) {
    let id = until(s, "x", 1_000).await;
    let lease = s.claim_and_begin().await;
    s.at(1_001);
    assert_eq!(s.reap().await, Reaped::default());
    assert_eq!(s.state(id).await, State::Sending);
    assert_eq!(s.settle(lease, sent()).await, Settled::Done(State::Sent));
    s.at(100_000);
    assert_eq!(s.reap().await, Reaped::default());
    assert_eq!(s.state(id).await, State::Sent);
}

pub(crate) async fn a_requeued_message_past_its_time_expires(s: &Subject) {
    let id = until(s, "x", 1_000).await;
    let lease = s.claim_and_begin().await;
    s.at(1_001);
    s.reap().await;
    assert_eq!(s.settle(lease, throttled(60_000)).await, Settled::Done(State::Ready));
    s.at(2_002);
    assert_eq!(s.reap().await.expired, 1);
    assert_expired(s, id).await;
}
