//! What workers tell of sends of so long ago that their records may have been forgotten in their turn.

use ringfleet_store::{LaneId, LeaseRef, MessageId, NewMessage, Outcome, Settled, State, UNDER_WAY};

use crate::talk::*;

/// So long are records kept here.
const KEPT_MS: i64 = 3_600_000;

fn keyed(lane: &LaneId) -> NewMessage {
    NewMessage { key: key(lane.as_str()), ..asked(lane, "x") }
}

/// Its record is gone in its turn, and its key free.
async fn sent_and_forgotten(s: &Subject, lane: &LaneId) -> LeaseRef {
    s.put(keyed(lane)).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, sent_as("p-1")).await, Settled::Done(State::Sent));
    s.step(KEPT_MS);
    assert_eq!(s.store.reap(500, ms(KEPT_MS)).await.unwrap().pruned, 1);
    lease
}

async fn told(s: &Subject, lane: &LaneId, lease: LeaseRef, outcome: Outcome) -> Settled {
    s.reassert_while_kept(ms(KEPT_MS), lane, lease, outcome).await
}

pub(crate) async fn a_lost_send_of_long_ago_is_settled_where_its_message_waits(s: &Subject) {
    let mut ids = Vec::new();
    for (lane, outcome, state) in [(wide(1), sent_as("p-1"), State::Sent), (wide(2), unknown(), State::Unknown)] {
        let id = s.put(asked(&lane, "x")).await;
        let claimed = s.now();
        let lost = s.lease_lost_before_its_intent().await;
        s.step(KEPT_MS);
        assert_eq!(told(s, &lane, lost, outcome.clone()).await, Settled::LateEvidence(state));
        assert_eq!(told(s, &lane, lost, outcome).await, Settled::Again(state));
        assert!(s.claim(5).await.is_empty());
        let intent = (state == State::Unknown).then_some(claimed);
        assert_eq!(s.get(id).await.intent_at, intent, "it is looked for from its claim on");
        ids.push(id);
    }
    // As it was given out, and nobody has looked since.
    ids.push(s.put(message(&wide(3), "x")).await);
    let lease = s.claim_one().await.reference();
    s.step(KEPT_MS);
    assert_eq!(told(s, &wide(3), lease, sent_as("p-3")).await, Settled::Done(State::Sent));
    s.adds_up(&wide(3), &ids).await;
}

pub(crate) async fn a_send_whose_record_was_forgotten_in_its_turn_gets_no_other(s: &Subject) {
    let lease = sent_and_forgotten(s, &wide(1)).await;
    for outcome in [sent_as("p-1"), unknown(), rejected()] {
        assert_eq!(told(s, &wide(1), lease, outcome).await, Settled::Stale);
    }
    assert_eq!(s.store.get(&lease.id).await.unwrap(), None);
    assert_eq!(s.store.stats().await.unwrap().total(), 0);
    // Where records are kept for longer, it is one that was lost.
    let longer = ms(KEPT_MS + 1);
    assert_eq!(s.reassert_while_kept(longer, &wide(1), lease, sent_as("p-1")).await, Settled::Missing);
    assert_eq!(s.state(lease.id).await, State::Sent);
}

pub(crate) async fn a_message_whose_key_was_free_again_is_not_taken_for_the_one_before(s: &Subject) {
    let under_way = Outcome::Unknown { reason: UNDER_WAY.into() };
    for (lane, outcome) in (1..).map(wide).zip([sent_as("p-1"), unknown(), under_way, rejected()]) {
        let before = sent_and_forgotten(s, &lane).await;
        assert_eq!(s.put(keyed(&lane)).await, before.id);
        assert_eq!(told(s, &lane, before, outcome.clone()).await, Settled::Stale, "it waits");
        let lease = s.claim_and_begin().await;
        assert_eq!(lease.id, before.id);
        assert_eq!(told(s, &lane, before, outcome.clone()).await, Settled::Stale, "it is being sent");
        assert_eq!(s.settle(lease, sent_as("p-2")).await, Settled::Done(State::Sent));
        assert_eq!(told(s, &lane, before, outcome).await, Settled::Stale, "it was sent");
        assert_eq!(s.get(lease.id).await.provider_id.as_deref(), Some("p-2"));
        // So that it is not counted with the next one's.
        s.step(KEPT_MS);
        assert_eq!(s.store.reap(500, ms(KEPT_MS)).await.unwrap().pruned, 1);
    }
}

/// Its producer repeats it as soon as the store is back, before any worker has told.
async fn lost_and_handed_in_again(s: &Subject, lane: &LaneId) -> LeaseRef {
    s.put(message(lane, "beside")).await;
    let token = s.claim_one().await.token;
    s.step(KEPT_MS - 1);
    LeaseRef { id: s.put(keyed(lane)).await, token }
}

pub(crate) async fn a_lost_message_that_is_handed_in_again_within_the_time_of_its_record_was_sent(s: &Subject) {
    let lost = lost_and_handed_in_again(s, &wide(1)).await;
    assert_eq!(told(s, &wide(1), lost, sent_as("p-1")).await, Settled::LateEvidence(State::Sent));
    assert!(s.claim(5).await.is_empty());
}

/// The machine of the worker that sent it was away for so long.
pub(crate) async fn a_lost_message_that_was_handed_in_again_was_sent_however_late_that_is_told(s: &Subject) {
    let lost = lost_and_handed_in_again(s, &wide(1)).await;
    s.step(KEPT_MS);
    assert_eq!(told(s, &wide(1), lost, sent_as("p-1")).await, Settled::LateEvidence(State::Sent));
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_lost_message_that_went_out_again_was_sent_twice_however_late_that_is_told(s: &Subject) {
    let lost = lost_and_handed_in_again(s, &wide(1)).await;
    let again = s.claim_and_begin().await;
    assert_eq!(again.id, lost.id);
    assert_eq!(s.settle(again, sent_as("p-2")).await, Settled::Done(State::Sent));
    s.step(KEPT_MS);
    assert_eq!(told(s, &wide(1), lost, sent_as("p-1")).await, Settled::SentTwice);
}

pub(crate) async fn the_record_of_a_lost_send_hears_its_answer_however_late_that_is_told(s: &Subject) {
    s.put(message(&wide(1), "beside")).await;
    let lost = LeaseRef { id: MessageId::random(), ..s.claim_one().await.reference() };
    s.step(KEPT_MS - 1);
    assert_eq!(told(s, &wide(1), lost, unknown()).await, Settled::Missing);
    assert_eq!(s.state(lost.id).await, State::Held);
    s.step(KEPT_MS);
    assert_eq!(told(s, &wide(1), lost, sent_as("p-1")).await, Settled::LateEvidence(State::Sent));
}

pub(crate) async fn what_was_requested_has_its_place_however_short_records_are_kept(s: &Subject) {
    s.put(message(&tight(1), "beside")).await;
    let beside = s.claim_one().await.reference();
    assert_eq!(s.settle(beside, Outcome::Released).await, Settled::Done(State::Ready));
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
    let lost = LeaseRef { id: MessageId::random(), ..beside };
    assert_eq!(s.reassert_while_kept(ms(0), &tight(1), lost, sent_as("p-1")).await, Settled::Stale);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 1);
}
