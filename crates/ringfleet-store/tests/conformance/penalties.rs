//! 429 and its like: the lane waits, the message keeps its place.

use ringfleet_store::{Begin, Settled, State};

use crate::talk::*;

pub(crate) async fn a_throttled_message_returns_to_the_head_untouched(s: &Subject) {
    let ids = s.fill(&wide(1), 3).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, throttled(5_000)).await, Settled::Done(State::Ready));
    let view = s.store.get(&ids[0]).await.unwrap().unwrap();
    assert_eq!((view.state, view.attempt, view.recoveries), (State::Ready, 0, 0));
    s.at(5_000);
    assert_eq!(texts(&s.claim(5).await), ["1"]);
}

pub(crate) async fn a_penalty_ends_by_its_deadline(s: &Subject) {
    s.fill(&wide(1), 3).await;
    let lease = s.claim_and_begin().await;
    s.at(100);
    s.settle(lease, throttled(5_000)).await;
    assert_eq!(s.view(&wide(1)).await.penalty_until, Some(s.now() + 5_000));
    let claim = s.claim_as("w", 5, LEASE).await;
    assert_eq!((claim.leases.len(), claim.next_due), (0, Some(ms(5_000))));
    s.at(5_099);
    assert!(s.claim(5).await.is_empty());
    s.at(5_100);
    assert_eq!(s.view(&wide(1)).await.penalty_until, None);
    assert_eq!(s.claim(5).await.len(), 1);
}

pub(crate) async fn after_a_penalty_one_probe_goes_then_all(s: &Subject) {
    s.fill(&wide(1), 20).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, throttled(1_000)).await;
    s.at(1_000);
    let probe = s.claim(20).await;
    assert_eq!(texts(&probe), ["1"]);
    assert!(s.claim(20).await.is_empty());
    s.send(&probe[0]).await;
    assert_eq!(s.claim(20).await.len() as u32, CAP);
}

pub(crate) async fn an_answer_from_before_the_penalty_does_not_end_the_probe(s: &Subject) {
    s.fill(&wide(1), 20).await;
    let (a, b) = (s.claim_and_begin().await, s.claim_and_begin().await);
    s.settle(a, throttled(1_000)).await;
    s.settle(b, sent()).await;
    s.at(1_000);
    assert_eq!(s.claim(20).await.len(), 1);
}

pub(crate) async fn a_penalty_is_never_shortened(s: &Subject) {
    s.fill(&wide(1), 3).await;
    let (a, b) = (s.claim_and_begin().await, s.claim_and_begin().await);
    s.settle(a, throttled(5_000)).await;
    s.settle(b, throttled(1_000)).await;
    assert_eq!(s.view(&wide(1)).await.penalty_until, Some(s.now() + 5_000));
}

pub(crate) async fn a_message_in_hand_goes_back_when_the_lane_is_in_a_penalty(s: &Subject) {
    s.fill(&wide(1), 3).await;
    let (a, b) = (s.claim_and_begin().await, s.claim_one().await);
    s.settle(a, throttled(1_000)).await;
    assert_eq!(s.begin(b.reference()).await, Begin::PutBack);
    assert_eq!(s.state(b.id).await, State::Ready);
    assert_eq!(s.begin(b.reference()).await, Begin::LeaseLost);
    let view = s.view(&wide(1)).await;
    assert_eq!((view.in_flight, view.slots_in_use, view.waiting), (0, 1, 3));
}

pub(crate) async fn a_not_sent_message_returns_to_the_head_and_its_lane_waits(s: &Subject) {
    let ids = s.fill(&wide(1), 3).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, not_sent(700)).await, Settled::Done(State::Ready));
    s.at(699);
    assert!(s.claim(5).await.is_empty());
    s.at(700);
    let again = s.claim_one().await;
    assert_eq!((again.id, again.attempt, again.recoveries), (ids[0], 0, 0));
}

pub(crate) async fn a_not_sent_message_without_delay_goes_again_at_once(s: &Subject) {
    let ids = s.fill(&wide(1), 3).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, not_sent(0)).await;
    let leases = s.claim(5).await;
    assert_eq!((leases.len(), leases[0].id), (3, ids[0]));
    assert!(leases[0].token > lease.token, "the fence grows");
}

pub(crate) async fn a_throttled_lane_leaves_its_neighbour_alone(s: &Subject) {
    s.fill(&wide(1), 3).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, throttled(60_000)).await;
    s.fill(&wide(2), 3).await;
    let leases = s.claim(5).await;
    assert!(leases.len() == 3 && leases.iter().all(|lease| lease.lane == wide(2)));
}
