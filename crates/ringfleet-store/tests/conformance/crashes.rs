//! Leases that end: what a dead, a slow or a frozen worker can do no more.

use std::time::Duration;

use ringfleet_store::{Begin, LeaseRef, LeaseToken, MAX_RECOVERIES, Reaped, Settled, State};

use crate::talk::*;

const LEASE_MS: i64 = 10_000;

pub(crate) async fn a_lease_that_ends_before_the_intent_puts_the_message_back(s: &Subject) {
    s.fill(&wide(1), 2).await;
    let lease = s.claim_one().await;
    s.at(LEASE_MS - 1);
    assert_eq!(s.reap().await, Reaped::default());
    s.at(LEASE_MS);
    assert_eq!(s.reap().await, Reaped { requeued: 1, ..Reaped::default() });
    let view = s.view(&wide(1)).await;
    assert_eq!((view.in_flight, view.slots_in_use), (0, 0), "no intent, so no request");
    let again = s.claim_one().await;
    assert_eq!((again.id, again.attempt, again.recoveries), (lease.id, 0, 1));
}

pub(crate) async fn a_message_that_killed_three_workers_dies_with_the_fourth(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    for recoveries in 0..=MAX_RECOVERIES {
        assert_eq!(s.claim_one().await.recoveries, recoveries);
        s.step(LEASE_MS);
        let reaped = s.reap().await;
        assert_eq!((reaped.requeued, reaped.poisoned), if recoveries < 3 { (1, 0) } else { (0, 1) });
    }
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason.as_str()), (State::Dead, "poison"));
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_lease_that_ends_after_the_intent_holds_the_message(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    s.claim_and_begin().await;
    s.at(LEASE_MS - 1);
    assert_eq!(s.reap().await, Reaped::default());
    s.at(LEASE_MS);
    assert_eq!(s.reap().await, Reaped { unknown: 1, ..Reaped::default() });
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason.as_str(), view.recoveries), (State::Held, "worker-lost", 0));
}

pub(crate) async fn a_held_message_is_never_claimed_again(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    s.claim_and_begin().await;
    s.at(LEASE_MS);
    s.reap().await;
    for _ in 0..5 {
        s.step(3_600_000);
        assert_eq!(s.reap().await, Reaped::default());
        assert!(s.claim(5).await.is_empty());
    }
    assert_eq!(s.state(id).await, State::Held);
}

pub(crate) async fn an_ended_lease_permits_nothing_even_before_the_reaper_came(s: &Subject) {
    s.fill(&wide(1), 3).await;
    let (a, b) = (s.claim_one().await.reference(), s.claim_one().await.reference());
    s.at(LEASE_MS - 1);
    assert_eq!(s.begin(a).await, Begin::Go);
    s.at(LEASE_MS);
    assert_eq!(s.begin(b).await, Begin::LeaseLost);
    assert_eq!(s.state(b.id).await, State::Claimed, "only the reaper moves it");
    // The same of one that was begun: a worker that slept must not post on an old word.
    s.at(LEASE_MS - 1 + LEASE_MS);
    assert_eq!(s.begin(a).await, Begin::LeaseLost);
}

pub(crate) async fn begin_send_asked_twice_says_go_twice(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.begin(lease).await, Begin::Go);
    assert_eq!(s.store.stats().await.unwrap().count(State::Sending), 1);
    assert_eq!(s.settle(lease, sent()).await, Settled::Done(State::Sent));
    assert_eq!(s.begin(lease).await, Begin::LeaseLost);
}

pub(crate) async fn the_lease_of_another_worker_permits_nothing(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let old = s.claim_one().await.reference();
    s.at(LEASE_MS);
    s.reap().await;
    let new = s.claim_one().await.reference();
    assert_eq!(old.id, new.id);
    assert!(new.token > old.token);
    assert_eq!(s.begin(old).await, Begin::LeaseLost);
    assert_eq!(s.store.extend(&[old], LEASE).await.unwrap(), [false]);
    // Numbers that nobody was given: one more, and one of more bits than the store counts with.
    let forged = [new.token.0 + 64, new.token.0 | 1 << 63].map(|token| LeaseRef { token: LeaseToken(token), ..new });
    assert_eq!(s.store.begin_send(&intents(&forged), LEASE).await.unwrap(), [Begin::LeaseLost; 2]);
    assert_eq!(s.begin(new).await, Begin::Go);
}

pub(crate) async fn an_extended_lease_is_kept(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_one().await.reference();
    s.at(LEASE_MS - 1);
    assert_eq!(s.store.extend(&[lease], LEASE).await.unwrap(), [true]);
    s.at(2 * LEASE_MS - 2);
    assert_eq!(s.reap().await, Reaped::default());
    assert_eq!(s.begin(lease).await, Begin::Go);
}

pub(crate) async fn an_ended_lease_is_not_revived(s: &Subject) {
    s.fill(&wide(1), 2).await;
    let (a, b) = (s.claim_one().await.reference(), s.claim_and_begin().await);
    s.at(LEASE_MS);
    assert_eq!(s.store.extend(&[a, b], LEASE).await.unwrap(), [false, false]);
    assert_eq!(s.reap().await, Reaped { requeued: 1, unknown: 1, ..Reaped::default() });
}

pub(crate) async fn beginning_renews_the_lease(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_one().await.reference();
    s.at(LEASE_MS - 1);
    assert_eq!(s.store.begin_send(&[lease.into()], Duration::from_millis(500)).await.unwrap(), [Begin::Go]);
    s.step(499);
    assert_eq!(s.reap().await, Reaped::default());
    s.step(1);
    assert_eq!(s.reap().await.unknown, 1);
}

pub(crate) async fn a_report_counts_though_the_lease_ended_if_nobody_reaped(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_and_begin().await;
    s.at(10 * LEASE_MS);
    assert_eq!(s.settle(lease, sent()).await, Settled::Done(State::Sent));
    assert_eq!(s.reap().await, Reaped::default());
}

pub(crate) async fn the_reaper_takes_no_more_than_it_is_told(s: &Subject) {
    s.fill(&wide(1), 5).await;
    assert_eq!(s.claim(5).await.len(), 5);
    s.at(LEASE_MS);
    for left in [2, 2, 1, 0] {
        assert_eq!(s.store.reap(2, DAY).await.unwrap().requeued, left);
    }
}
