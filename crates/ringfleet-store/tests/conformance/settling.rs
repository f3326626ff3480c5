//! What a report makes of a message.

use ringfleet_store::{
    Begin, LeaseRef, LeaseToken, ListFrom, MessageId, NewMessage, OnUnknown, Outcome, PlanSeen, Settled, Settlement,
    State,
};

use crate::talk::*;

pub(crate) async fn a_sent_message_is_final_and_its_text_is_gone(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_and_begin().await;
    s.step(250);
    assert_eq!(s.settle(lease, sent()).await, Settled::Done(State::Sent));
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.state, view.provider_id.as_deref()), (State::Sent, Some("provider-1")));
    assert_eq!((view.text.expose(), view.finished_at), ("", Some(s.now())));
    s.step(3_600_000);
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_rejected_message_keeps_its_code(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_and_begin().await;
    let outcome = Outcome::Rejected { code: "MSG-304".into() };
    assert_eq!(s.settle(lease, outcome).await, Settled::Done(State::Rejected));
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.reason.as_str(), view.provider_id, view.text.expose()), ("MSG-304", None, "1"));
}

/// Some stores end a report's words with a zero byte.
pub(crate) async fn a_zero_byte_in_a_providers_word_does_not_end_it(s: &Subject) {
    let sent = s.put(message(&wide(1), "1")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, sent_as("p\0-7")).await;
    assert_eq!(s.get(sent).await.provider_id.as_deref(), Some("p-7"));
    let rejected = s.put(message(&wide(1), "2")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, Outcome::Rejected { code: "MSG\0-304".into() }).await;
    assert_eq!(s.get(rejected).await.reason, "MSG-304");
    // With the name of a lane behind it, it would be a send that the store has lost, and be put on record.
    let nobody = LeaseRef { id: MessageId::random(), ..lease };
    assert_eq!(s.settle(nobody, sent_as(&format!("p\0{}", wide(1)))).await, Settled::Missing);
    assert_eq!(s.store.get(&nobody.id).await.unwrap(), None);
}

pub(crate) async fn an_unknown_fate_is_held(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Held));
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.reason.as_str(), view.finished_at), ("timeout", Some(s.now())));
    s.step(3_600_000);
    s.reap().await;
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_retry_burns_an_attempt_and_waits_its_delay(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, retry(2_000, 3)).await, Settled::Done(State::Scheduled));
    s.put(message(&wide(1), "next")).await;
    s.at(1_999);
    assert_eq!(texts(&s.claim(5).await), ["next"], "it does not hold up the others");
    s.at(2_000);
    let again = s.claim_one().await;
    assert_eq!((again.text.expose(), again.attempt, again.recoveries), ("1", 1, 0));
}

pub(crate) async fn a_retry_dies_at_its_last_attempt(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    for attempt in 1..3 {
        let lease = s.claim_and_begin().await;
        assert_eq!(s.settle(lease, retry(0, 3)).await, Settled::Done(State::Ready));
        assert_eq!(s.store.get(&id).await.unwrap().unwrap().attempt, attempt);
    }
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, retry(0, 3)).await, Settled::Done(State::Dead));
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.attempt, view.reason.as_str()), (3, "SMS-500"));
}

pub(crate) async fn a_settlement_repeated_says_so(s: &Subject) {
    let ends = [
        (1, sent(), State::Sent),
        (2, rejected(), State::Rejected),
        (3, unknown(), State::Held),
        (4, retry(0, 1), State::Dead),
    ];
    for (extension, outcome, state) in ends {
        s.fill(&tight(extension), 5).await;
        let lease = s.claim_and_begin().await;
        let begun = s.now();
        assert_eq!(s.settle(lease, outcome.clone()).await, Settled::Done(state));
        s.step(500);
        assert_eq!(s.settle(lease, outcome).await, Settled::Again(state));
        s.set_time(begun + TIGHT_HOLD);
        assert_eq!(s.view(&tight(extension)).await.slots_in_use, 0, "the first report gave the slot its time");
        s.store.set_paused(&tight(extension), true).await.unwrap();
    }
    // One that put the message back finds that it went on.
    s.fill(&wide(5), 1).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, throttled(100)).await, Settled::Done(State::Ready));
    assert_eq!(s.settle(lease, throttled(100)).await, Settled::Stale);
}

pub(crate) async fn a_released_message_is_as_if_never_claimed(s: &Subject) {
    s.fill(&wide(1), 2).await;
    let lease = s.claim_one().await;
    assert_eq!(s.settle(lease.reference(), Outcome::Released).await, Settled::Done(State::Ready));
    let again = s.claim_one().await;
    assert_eq!((again.id, again.attempt, again.recoveries), (lease.id, 0, 0));
    assert_eq!(s.begin(lease.reference()).await, Begin::LeaseLost);
}

pub(crate) async fn a_message_released_after_its_intent_is_held(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, Outcome::Released).await, Settled::Done(State::Held));
    assert!(s.claim(5).await.is_empty());
}

/// Lets the worker of a begun message vanish.
async fn lose_the_worker(s: &Subject) -> LeaseRef {
    let lease = s.claim_and_begin().await;
    s.step(LEASE.as_millis() as i64);
    assert_eq!(s.reap().await.unknown, 1);
    lease
}

pub(crate) async fn a_late_report_decides_a_held_message(s: &Subject) {
    let cases = [
        (sent(), State::Sent),
        (rejected(), State::Rejected),
        (retry(1_000, 1), State::Dead),
        (not_sent(0), State::Ready),
        (retry(1_000, 5), State::Scheduled),
        (later(0), State::Ready),
        (later(1_000), State::Scheduled),
    ];
    for (extension, (outcome, state)) in (1..).zip(cases) {
        let id = s.fill(&tight(extension), 1).await[0];
        let lease = lose_the_worker(s).await;
        assert_eq!(s.settle(lease, outcome).await, Settled::LateEvidence(state));
        assert_eq!(s.state(id).await, state);
        assert!(s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages.is_empty());
        if !state.is_final() {
            s.step(2_000);
            let again = s.claim_one().await;
            assert_eq!(again.id, id);
            s.send(&again).await;
        }
    }
    // Also one that was held by a report of the same lease.
    s.fill(&wide(9), 1).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    assert_eq!(s.settle(lease, sent()).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.settle(lease, sent()).await, Settled::Again(State::Sent));
}

pub(crate) async fn a_late_report_without_evidence_decides_nothing(s: &Subject) {
    let id = s.fill(&tight(1), 1).await[0];
    let lease = lose_the_worker(s).await;
    for outcome in [unknown(), Outcome::Released] {
        assert_eq!(s.settle(lease, outcome).await, Settled::Again(State::Held));
        assert_eq!(s.state(id).await, State::Held);
        assert!(s.claim(5).await.is_empty());
    }
}

pub(crate) async fn a_report_of_a_lease_that_went_on_changes_nothing(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let old = s.claim_one().await.reference();
    s.step(LEASE.as_millis() as i64);
    assert_eq!(s.reap().await.requeued, 1);
    for outcome in [rejected(), retry(0, 1), Outcome::Released] {
        assert_eq!(s.settle(old, outcome).await, Settled::Stale);
    }
    assert_eq!(s.state(id).await, State::Ready);
    let new = s.claim_one().await.reference();
    for outcome in [rejected(), not_sent(1_000), later(1_000), retry(0, 1), Outcome::Released] {
        assert_eq!(s.settle(old, outcome).await, Settled::Stale);
    }
    let view = s.view(&wide(1)).await;
    assert_eq!((view.penalty_until, view.in_flight, view.slots_in_use), (None, 1, 1));
    assert_eq!(s.begin(new).await, Begin::Go);
    assert_eq!(s.settle(new, sent()).await, Settled::Done(State::Sent));
}

pub(crate) async fn a_refusal_of_the_lane_counts_whatever_became_of_its_message(s: &Subject) {
    // Its worker was taken for dead, and its policy has put it back; then another one has it in hand.
    for (extension, taken) in [(1, false), (2, true)] {
        let lane = wide(extension);
        s.put(NewMessage { on_unknown: OnUnknown::Resend, ..message(&lane, "x") }).await;
        s.put(message(&lane, "y")).await;
        let old = s.claim_and_begin().await;
        s.step(LEASE.as_millis() as i64);
        s.reap().await;
        let other = if taken { Some(s.claim_one().await.reference()) } else { None };
        assert_eq!(other.map_or(old.id, |other| other.id), old.id);
        let (told, answered) = (s.now(), 400);
        let what = s.settle_seen(old, throttled(60_000), answered, Default::default()).await;
        assert!(matches!(what, Settled::Again(_) | Settled::Stale), "{what:?}");
        assert_eq!(s.view(&lane).await.penalty_until, Some(told - answered + 60_000));
        // Said again, and again when the penalty is over, it changes nothing.
        s.step(1_000);
        s.settle_seen(old, throttled(60_000), answered + 1_000, Default::default()).await;
        assert_eq!(s.view(&lane).await.penalty_until, Some(told - answered + 60_000));
        assert_eq!(s.claim(5).await, [], "inside the penalty");
        s.set_time(told + 60_000);
        s.settle_seen(old, throttled(60_000), answered + 60_000, Default::default()).await;
        assert_eq!(s.view(&lane).await.penalty_until, None);
        s.store.set_paused(&lane, true).await.unwrap();
    }
}

pub(crate) async fn a_refusal_of_the_lane_counts_of_a_message_that_was_sent_before(s: &Subject) {
    s.put(NewMessage { on_unknown: OnUnknown::Resend, ..message(&wide(1), "x") }).await;
    let first = s.claim_and_begin().await;
    s.step(LEASE.as_millis() as i64);
    s.reap().await;
    let second = s.claim_and_begin().await;
    assert_eq!(s.settle(first, sent()).await, Settled::SentTwice);
    assert_eq!(s.settle(second, throttled(60_000)).await, Settled::Done(State::Sent));
    assert_eq!(s.view(&wide(1)).await.penalty_until, Some(s.now() + 60_000));
}

pub(crate) async fn an_unheard_of_message_is_missing(s: &Subject) {
    let lease = LeaseRef { id: MessageId::random(), token: LeaseToken(1) };
    assert_eq!(s.settle(lease, sent()).await, Settled::Missing);
    assert_eq!(s.begin(lease).await, Begin::LeaseLost);
    assert_eq!(s.store.extend(&[lease], LEASE).await.unwrap(), [false]);
}

pub(crate) async fn five_hundred_outcomes_are_settled_at_once(s: &Subject) {
    for extension in 0..100 {
        s.fill(&wide(extension), 5).await;
    }
    let leases: Vec<_> = s.claim(500).await.iter().map(|lease| lease.reference()).collect();
    assert_eq!(leases.len(), 500);
    assert_eq!(s.store.extend(&leases, LEASE).await.unwrap(), [true; 500]);
    assert_eq!(s.store.begin_send(&intents(&leases), LEASE).await.unwrap(), [Begin::Go; 500]);
    let settlement =
        |lease: &LeaseRef| Settlement { lease: *lease, outcome: sent(), age: ms(0), seen: PlanSeen::default() };
    let batch: Vec<_> = leases.iter().map(settlement).collect();
    assert_eq!(s.store.settle(&batch).await.unwrap(), [Settled::Done(State::Sent); 500]);
    assert_eq!(s.store.settle(&batch).await.unwrap(), [Settled::Again(State::Sent); 500]);
}
