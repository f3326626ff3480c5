//! What proves that a text was never sent.

use ringfleet_store::{Decided, LeaseRef, Settled, State};

use crate::talk::*;

pub(crate) async fn absence_is_proven_by_two_readings_the_last_after_the_settle_time(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    s.step(SETTLE_MS);
    assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet, "one reading is never enough");
    assert_eq!(s.get(lease.id).await.reads, 1);
    assert_eq!(s.found(lease, &[], 1).await, Decided::NotYet, "it began a moment too early");
    let view = s.get(lease.id).await;
    assert_eq!((view.state, view.reads, view.reason.as_str()), (State::Unknown, 2, "timeout"));
    let behind = s.put(message(&wide(1), "behind")).await;
    assert_eq!(s.found(lease, &[], 0).await, Decided::Again);
    let view = s.get(lease.id).await;
    assert_eq!((view.state, view.reason.as_str(), view.attempt), (State::Ready, "not-sent", 1));
    assert_eq!((view.finished_at, view.reads), (None, 0));
    assert_eq!(texts(&s.claim(5).await), ["x", "behind"]);
    s.adds_up(&wide(1), &[lease.id, behind]).await;
}

pub(crate) async fn two_early_readings_prove_nothing(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    for reads in 1..=5 {
        assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
        assert_eq!(s.get(lease.id).await.reads, reads);
        s.step(SETTLE_MS / 5 - 1);
    }
    s.step(5);
    assert_eq!(s.found(lease, &["p"], 0).await, Decided::Sent, "it arrived late");
    assert_eq!(s.get(lease.id).await.reads, 5);
}

/// A slow POST may arrive at its very end, and the first intent lies before all attempts.
pub(crate) async fn the_settle_time_begins_when_the_fate_becomes_unknown(s: &Subject) {
    s.put(asked(&wide(1), "x")).await;
    let slow = s.claim_and_begin().await;
    assert_eq!(s.store.extend(&[slow], ms(10 * SETTLE_MS)).await.unwrap(), [true]);
    s.step(2 * SETTLE_MS);
    is_absent_a_settle_time_from_now(s, slow).await;
    let again = s.claim_and_begin().await;
    is_absent_a_settle_time_from_now(s, again).await;
}

async fn is_absent_a_settle_time_from_now(s: &Subject, lease: LeaseRef) {
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Unknown));
    for wait in [0, SETTLE_MS - 1] {
        s.step(wait);
        assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
        assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
    }
    s.step(1);
    assert_eq!(s.found(lease, &[], 0).await, Decided::Again);
}

pub(crate) async fn what_never_arrives_is_dead_after_its_last_attempt(s: &Subject) {
    let id = s.put(asked(&wide(1), "x")).await;
    for attempt in 1..=3 {
        let lease = s.claim_and_begin().await;
        s.settle(lease, unknown()).await;
        assert_eq!(s.found_at_most(lease, &[], 0, 3).await, Decided::NotYet);
        s.step(SETTLE_MS);
        let decided = s.found_at_most(lease, &[], 0, 3).await;
        assert_eq!(decided, if attempt < 3 { Decided::Again } else { Decided::Dead });
        assert_eq!(s.get(id).await.attempt, attempt);
    }
    let view = s.get(id).await;
    assert_eq!((view.state, view.reason.as_str(), view.text.expose()), (State::Dead, "never-arrived", "x"));
    assert!(s.claim(5).await.is_empty());
    s.adds_up(&wide(1), &[id]).await;
}
