//! Taking a message back, and using its key again.

use ringfleet_store::{Cancelled, Enqueued, MessageId, NewMessage, Settled, State};

use crate::talk::*;

pub(crate) async fn a_waiting_message_can_be_cancelled(s: &Subject) {
    let ids = s.fill(&wide(1), 3).await;
    assert_eq!(s.store.cancel(&ids[1]).await.unwrap(), Cancelled::Done);
    let view = s.store.get(&ids[1]).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason.as_str(), view.finished_at), (State::Cancelled, "cancelled", Some(s.now())));
    assert_eq!(texts(&s.claim(5).await), ["1", "3"]);
    assert_eq!(s.store.stats().await.unwrap().total(), 3);
}

pub(crate) async fn a_scheduled_message_can_be_cancelled(s: &Subject) {
    let id = s.put(NewMessage { send_at: Some(s.now() + 1_000), ..message(&wide(1), "x") }).await;
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::Done);
    s.at(1_000);
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.claim_as("w", 5, LEASE).await.next_due, None);
}

pub(crate) async fn a_message_in_hand_is_too_late_to_cancel(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_one().await.reference();
    assert_eq!(s.store.cancel(&lease.id).await.unwrap(), Cancelled::TooLate(State::Claimed));
    s.begin(lease).await;
    assert_eq!(s.store.cancel(&lease.id).await.unwrap(), Cancelled::TooLate(State::Sending));
    assert_eq!(s.settle(lease, sent()).await, Settled::Done(State::Sent));
}

pub(crate) async fn a_final_message_is_too_late_to_cancel(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::TooLate(State::Held));
    s.settle(lease, sent()).await;
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::TooLate(State::Sent));
}

pub(crate) async fn an_unknown_message_is_missing(s: &Subject) {
    let id = MessageId::random();
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::Missing);
    assert_eq!(s.store.get(&id).await.unwrap(), None);
}

fn keyed(text: &str) -> NewMessage {
    NewMessage { key: key("k"), ..message(&wide(1), text) }
}

pub(crate) async fn a_cancelled_key_is_still_a_duplicate(s: &Subject) {
    let id = s.put(keyed("x")).await;
    s.store.cancel(&id).await.unwrap();
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::TooLate(State::Cancelled));
    assert_eq!(s.store.enqueue(&[keyed("x")]).await.unwrap(), [Enqueued::Duplicate(id)]);
    assert!(s.claim(5).await.is_empty());
}

/// Cancels a keyed message and lets its record and its key be forgotten while its old place in the queue was never reached: it is
/// behind another message that waits.
async fn forget_a_waiting_message(s: &Subject) -> MessageId {
    s.put(message(&wide(1), "before it")).await;
    let id = s.put(keyed("old")).await;
    s.store.cancel(&id).await.unwrap();
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1_000)).await.unwrap().pruned, 1);
    id
}

pub(crate) async fn a_message_enqueued_anew_does_not_go_at_its_old_place_in_time(s: &Subject) {
    let id = forget_a_waiting_message(s).await;
    s.put(NewMessage { send_at: Some(s.now() + 5_000), ..keyed("new") }).await;
    assert_eq!(texts(&s.claim(5).await), ["before it"]);
    assert_eq!(s.state(id).await, State::Scheduled);
    s.step(5_000);
    let leases = s.claim(5).await;
    assert_eq!(texts(&leases), ["new"]);
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.count(State::Claimed), stats.total()), (2, 2));
    s.send(&leases[0]).await;
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_message_enqueued_anew_is_in_one_hand_only(s: &Subject) {
    forget_a_waiting_message(s).await;
    s.put(keyed("new")).await;
    assert_eq!(texts(&[s.claim_one().await, s.claim_one().await]), ["before it", "new"]);
    // One of its two places is still ahead.
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.view(&wide(1)).await.slots_in_use, 2);
}

pub(crate) async fn a_message_enqueued_anew_in_another_lane_does_not_go_in_that_of_before(s: &Subject) {
    let id = forget_a_waiting_message(s).await;
    s.store.set_paused(&tight(1), true).await.unwrap();
    s.put(NewMessage { lane: tight(1), ..keyed("new") }).await;
    assert_eq!(texts(&s.claim(5).await), ["before it"]);
    assert_eq!(s.state(id).await, State::Ready);
    s.store.set_paused(&tight(1), false).await.unwrap();
    assert_eq!(texts(&s.claim(5).await), ["new"]);
    let in_use = [s.view(&wide(1)).await.slots_in_use, s.view(&tight(1)).await.slots_in_use];
    assert_eq!(in_use, [1, 1]);
}

pub(crate) async fn a_message_enqueued_anew_waits_out_its_retry(s: &Subject) {
    forget_a_waiting_message(s).await;
    s.put(keyed("new")).await;
    s.send(&s.claim_one().await).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, retry(5_000, 5)).await;
    assert!(s.claim(5).await.is_empty());
    s.step(5_000);
    assert_eq!(texts(&s.claim(5).await), ["new"]);
    assert_eq!(s.store.stats().await.unwrap().total(), 2);
}
