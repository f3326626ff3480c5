//! What a report says after its lease has ended, or after the store has lost a moment.

use ringfleet_store::{
    Begin, Cancelled, Decided, LeaseRef, LeaseToken, ListFrom, MessageId, NewMessage, OptOut, Outcome, Resolution,
    Settled, State,
};

use crate::talk::*;

const LEASE_MS: i64 = 10_000;

pub(crate) async fn a_late_report_decides_an_unknown_send(s: &Subject) {
    let cases = [
        (sent(), State::Sent),
        (rejected(), State::Rejected),
        (retry(1_000, 1), State::Dead),
        (not_sent(0), State::Ready),
        (throttled(10), State::Ready),
        (Outcome::Parked { reason: "x".into() }, State::Ready),
        (retry(1_000, 5), State::Scheduled),
    ];
    for (extension, (outcome, state)) in (1..).zip(cases) {
        let lease = s.send_into_the_dark(asked(&tight(extension), "x")).await;
        assert_eq!(s.settle(lease, outcome.clone()).await, Settled::LateEvidence(state), "{outcome:?}");
        let view = s.get(lease.id).await;
        assert_eq!((view.state, view.text.expose()), (state, if state == State::Sent { "" } else { "x" }));
        assert_eq!(s.store.list(&ListFrom::newest(State::Unknown), 5).await.unwrap().messages, []);
        assert_eq!(s.found(lease, &["p"], 0).await, Decided::Stale);
        if !state.is_final() {
            assert_eq!((view.reason.as_str(), view.finished_at), ("not-sent", None));
            s.store.set_parked(&tight(extension), None).await.unwrap();
            s.step(3_000);
            let again = s.claim_one().await;
            assert_eq!(again.id, lease.id);
            s.send(&again).await;
        }
    }
    s.step(3_600_000);
    assert!(s.take_unknown(10, 1_000).await.is_empty());
}

pub(crate) async fn a_late_report_without_evidence_decides_no_unknown_send(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    let before = s.get(lease.id).await;
    s.step(100);
    for outcome in [unknown(), Outcome::Released] {
        assert_eq!(s.settle(lease, outcome).await, Settled::Again(State::Unknown));
        assert_eq!(s.get(lease.id).await, before);
    }
}

/// Brings a message into a state in which its first lease is history.
async fn past_lease(s: &Subject, state: State, lane: u32) -> (LeaseRef, MessageId) {
    let policy = if state == State::Unknown { asked } else { message };
    let new = NewMessage { send_by: Some(s.now() + 40_000), ..policy(&wide(lane), "x") };
    let id = s.put(new).await;
    let old = s.lease_lost_before_its_intent().await;
    match state {
        State::Ready => {}
        State::Claimed => drop(s.claim_one().await),
        State::Scheduled | State::Unknown | State::Held | State::Dead | State::Rejected => {
            let lease = s.claim_and_begin().await;
            let outcome = match state {
                State::Scheduled => retry(5_000, 5),
                State::Dead => retry(0, 1),
                State::Rejected => rejected(),
                _ => unknown(),
            };
            assert_eq!(s.settle(lease, outcome).await, Settled::Done(state));
        }
        State::Cancelled => assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::Done),
        State::Expired => {
            s.step(40_001);
            assert_eq!(s.reap().await.expired, 1);
        }
        State::Suppressed => {
            let lease = s.claim_one().await.reference();
            let view = s.get(id).await;
            let out = OptOut { from: view.from, to: view.to, out: true };
            s.store.set_opt_outs(Some(wide(lane).extension()), &[out]).await.unwrap();
            assert_eq!(s.begin(lease).await, Begin::Suppressed);
        }
        State::Sending | State::Sent | State::Delivered | State::DeliveryFailed => unreachable!("told elsewhere"),
    }
    assert_eq!(s.state(id).await, state);
    (old, id)
}

pub(crate) async fn a_sending_told_late_counts_whatever_was_believed(s: &Subject) {
    let believed = [
        State::Ready,
        State::Scheduled,
        State::Claimed,
        State::Unknown,
        State::Held,
        State::Dead,
        State::Rejected,
        State::Cancelled,
        State::Expired,
        State::Suppressed,
    ];
    let mut ids = Vec::new();
    for (lane, state) in (1..).zip(believed) {
        let (old, id) = past_lease(s, state, lane).await;
        ids.push(id);
        assert_eq!(s.settle(old, sent_as("p")).await, Settled::LateEvidence(State::Sent), "{state:?}");
        let view = s.get(id).await;
        assert_eq!((view.state, view.reason.as_str(), view.text.expose()), (State::Sent, "accepted", ""));
        assert_eq!((view.provider_id.as_deref(), view.finished_at), (Some("p"), Some(s.now())));
        assert_eq!(s.settle(old, sent_as("p")).await, Settled::Again(State::Sent));
        s.step(20_000);
        s.reap().await;
        assert!(s.claim(5).await.is_empty(), "never again, whatever it was: {state:?}");
        let lane = s.view(&wide(lane)).await;
        assert_eq!((lane.in_flight, lane.parked), (0, None));
        s.adds_up(&wide(99), &ids).await;
    }
    assert_eq!(s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages, []);
    assert_eq!(s.store.list(&ListFrom::newest(State::Dead), 5).await.unwrap().messages, []);
    assert_eq!(s.store.list(&ListFrom::newest(State::Unknown), 5).await.unwrap().messages, []);
    // All of them are forgotten when their time has come.
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 10);
}

pub(crate) async fn a_sending_told_late_takes_the_message_from_who_holds_it(s: &Subject) {
    s.put(message(&tight(1), "x")).await;
    let old = s.lease_lost_before_its_intent().await;
    let new = s.claim_one().await.reference();
    assert_eq!(s.settle(old, sent()).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.begin(new).await, Begin::LeaseLost);
    assert_eq!(s.store.extend(&[new], LEASE).await.unwrap(), [false]);
    let lane = s.view(&tight(1)).await;
    assert_eq!((lane.in_flight, lane.slots_in_use), (0, 1), "the slot of the one that was sent");
    for outcome in [unknown(), rejected(), throttled(1_000), Outcome::Released] {
        assert_eq!(s.settle(new, outcome).await, Settled::Stale);
    }
    s.step(TIGHT_HOLD);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
}

pub(crate) async fn a_sending_told_while_another_is_under_way_is_told_as_twice(s: &Subject) {
    let id = s.put(message(&wide(1), "x")).await;
    let old = s.lease_lost_before_its_intent().await;
    let new = s.claim_and_begin().await;
    assert_eq!(s.settle(old, sent_as("p-old")).await, Settled::SentTwice);
    assert_eq!(s.state(id).await, State::Sending);
    assert_eq!(s.view(&wide(1)).await.in_flight, 1);
    assert_eq!(s.begin(new).await, Begin::Go);
    assert_eq!(s.settle(new, sent_as("p-new")).await, Settled::Done(State::Sent));
    assert_eq!(s.get(id).await.provider_id.as_deref(), Some("p-new"));
    assert_eq!(s.settle(old, sent_as("p-old")).await, Settled::SentTwice);
    assert_eq!(s.get(id).await.provider_id.as_deref(), Some("p-new"));
    // Both texts are counted.
    let lease = s.send_into_the_dark(asked(&wide(1), "y")).await;
    assert_eq!(s.found(lease, &["p-old", "p-new"], 0).await, Decided::NotYet);
    s.adds_up(&wide(1), &[id, lease.id]).await;
}

/// A store that went back to the middle of a send, which an older one was proven to have come before: what is told of a third,
/// of the moments that are lost, must not wipe that proof out.
pub(crate) async fn the_proof_of_an_older_sending_outlasts_a_later_one_of_unknown_fate(s: &Subject) {
    let id = s.put(message(&wide(1), "x")).await;
    let old = s.lease_lost_before_its_intent().await;
    let new = s.claim_and_begin().await;
    s.put(message(&wide(1), "y")).await;
    let lost = LeaseRef { token: s.claim_one().await.token, ..new };
    assert_eq!(s.settle(old, sent_as("p-old")).await, Settled::SentTwice);
    assert_eq!(s.settle(lost, unknown()).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.settle(lost, not_sent(0)).await, Settled::Stale);
    let view = s.get(id).await;
    assert_eq!((view.state, view.provider_id.as_deref()), (State::Sent, Some("p-old")));
    s.step(60_000);
    s.reap().await;
    assert!(s.claim(5).await.iter().all(|lease| lease.id != id), "it is never sent again");
}

pub(crate) async fn a_sending_told_of_a_sent_message_is_the_same_or_one_too_many(s: &Subject) {
    s.put(message(&wide(1), "x")).await;
    let old = s.lease_lost_before_its_intent().await;
    let new = s.claim_and_begin().await;
    s.settle(new, sent_as("p-1")).await;
    let before = s.get(new.id).await;
    s.step(10);
    assert_eq!(s.settle(old, sent_as("p-1")).await, Settled::Again(State::Sent));
    assert_eq!(s.settle(old, sent_as("p-2")).await, Settled::SentTwice);
    for outcome in [unknown(), rejected(), not_sent(1_000), Outcome::Released] {
        assert_eq!(s.settle(old, outcome).await, Settled::Stale);
    }
    assert_eq!(s.get(new.id).await, before);
}

pub(crate) async fn an_id_told_after_a_persons_word_is_kept(s: &Subject) {
    s.put(message(&wide(1), "x")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    assert_eq!(s.resolve(lease.id, Resolution::Sent).await, Cancelled::Done);
    assert_eq!(s.settle(lease, sent_as("p-1")).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.get(lease.id).await.provider_id.as_deref(), Some("p-1"));
    assert_eq!(s.settle(lease, sent_as("p-1")).await, Settled::Again(State::Sent));
    let other = s.send_into_the_dark(asked(&wide(1), "y")).await;
    assert_eq!(s.found(other, &["p-1"], 0).await, Decided::NotYet);
    s.adds_up(&wide(1), &[lease.id, other.id]).await;
}

pub(crate) async fn a_doubt_told_late_counts_by_the_messages_policy(s: &Subject) {
    let policies = [(asked as fn(&_, &_) -> _, State::Unknown), (message, State::Held), (resent, State::Ready)];
    let mut lane = 0;
    let mut ids = Vec::new();
    for (policy, state) in policies {
        for believed in [State::Ready, State::Scheduled, State::Claimed] {
            lane += 1;
            let id = s.put(policy(&wide(lane), "x")).await;
            ids.push(id);
            let old = s.lease_lost_before_its_intent().await;
            let mut holder = None;
            match believed {
                State::Scheduled => {
                    let lease = s.claim_and_begin().await;
                    s.settle(lease, retry(5_000, 9)).await;
                }
                State::Claimed => holder = Some(s.claim_one().await.reference()),
                _ => {}
            }
            let attempt = s.get(id).await.attempt;
            assert_eq!(s.state(id).await, believed);
            let told = s.now();
            assert_eq!(s.settle(old, unknown()).await, Settled::LateEvidence(state), "{believed:?}");
            let view = s.get(id).await;
            assert_eq!((view.state, view.text.expose()), (state, "x"));
            if state == State::Ready {
                assert_eq!((view.reason.as_str(), view.attempt), ("resent", attempt + 1));
            } else {
                assert_eq!((view.reason.as_str(), view.attempt), ("timeout", attempt));
                assert!(view.intent_at.is_some_and(|intent| intent < told), "nobody knows when, so long before");
            }
            if let Some(holder) = holder {
                assert_eq!(s.begin(holder).await, Begin::LeaseLost);
            }
            // Its story is closed now: the same word changes nothing more.
            let before = s.get(id).await;
            assert_eq!(s.settle(old, unknown()).await, Settled::Again(state));
            assert_eq!(s.get(id).await, before);
            s.adds_up(&wide(lane), &ids).await;
            if state == State::Ready {
                s.send(&s.claim_one().await).await;
            }
            assert!(s.claim(5).await.is_empty());
            s.step(6_000);
            assert!(s.claim(5).await.is_empty(), "no second place in a queue or the schedule");
        }
    }
}

pub(crate) async fn a_doubt_of_a_story_that_is_closed_changes_nothing(s: &Subject) {
    let id = s.put(asked(&wide(1), "x")).await;
    let older = s.lease_lost_before_its_intent().await;
    let closed = s.claim_and_begin().await;
    s.settle(closed, unknown()).await;
    s.prove_absent(closed).await;
    for (lease, settled) in [(older, Settled::Stale), (closed, Settled::Again(State::Ready))] {
        assert_eq!(s.settle(lease, unknown()).await, settled);
        assert_eq!(s.state(id).await, State::Ready);
    }
    let new = s.claim_one().await.reference();
    for lease in [older, closed] {
        assert_eq!(s.settle(lease, unknown()).await, Settled::Stale);
    }
    assert_eq!(s.begin(new).await, Begin::Go);
    for lease in [older, closed] {
        assert_eq!(s.settle(lease, unknown()).await, Settled::Stale);
    }
    // But that it was sent counts even so.
    s.settle(new, unknown()).await;
    assert_eq!(s.settle(older, sent()).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.settle(closed, unknown()).await, Settled::Stale);
    s.adds_up(&wide(1), &[id]).await;
}

pub(crate) async fn what_was_proven_absent_and_was_sent_after_all_counts(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    s.prove_absent(lease).await;
    assert_eq!(s.settle(lease, sent()).await, Settled::LateEvidence(State::Sent));
    assert!(s.claim(5).await.is_empty());
    s.adds_up(&wide(1), &[lease.id]).await;
}

pub(crate) async fn a_report_of_a_send_whose_intent_the_store_lost_takes_effect(s: &Subject) {
    let cases = [
        (sent(), State::Sent, 1),
        (rejected(), State::Rejected, 1),
        (unknown(), State::Unknown, 1),
        (throttled(60_000), State::Ready, 1),
        (retry(60_000, 5), State::Scheduled, 1),
        (not_sent(60_000), State::Ready, 0),
        (Outcome::Released, State::Ready, 0),
        (Outcome::Parked { reason: "x".into() }, State::Ready, 0),
    ];
    for (extension, (outcome, state, slots)) in (1..).zip(cases) {
        let lane = tight(extension);
        s.put(asked(&lane, "x")).await;
        let lease = s.claim_one().await.reference();
        let claimed = s.now();
        s.step(300);
        assert_eq!(s.settle(lease, outcome.clone()).await, Settled::Done(state), "{outcome:?}");
        assert_eq!(s.state(lease.id).await, state);
        let view = s.view(&lane).await;
        assert_eq!((view.in_flight, view.slots_in_use), (0, slots), "{outcome:?}");
        if state == State::Unknown {
            assert_eq!(s.get(lease.id).await.intent_at, Some(claimed));
        }
        s.store.set_paused(&lane, true).await.unwrap();
    }
}

pub(crate) async fn a_late_sending_takes_its_slot_again(s: &Subject) {
    s.put(message(&tight(1), "x")).await;
    let old = s.lease_lost_before_its_intent().await;
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
    assert_eq!(s.settle_seen(old, sent(), 400, Default::default()).await, Settled::LateEvidence(State::Sent));
    s.step(TIGHT_HOLD - 401);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 1);
    s.step(1);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
}

/// The store believes an old lease to be under way whose send was over: what was done since is lost.
pub(crate) async fn a_newer_sending_counts_against_an_older_one_that_seems_under_way(s: &Subject) {
    for (lane, outcome, state) in [(1, sent_as("p-new"), State::Sent), (2, unknown(), State::Unknown)] {
        s.put(asked(&tight(lane), "x")).await;
        let old = s.claim_and_begin().await;
        let lost = LeaseRef { token: LeaseToken(old.token.0 + (1 << 20)), ..old };
        assert_eq!(s.settle(lost, outcome.clone()).await, Settled::LateEvidence(state));
        let view = s.view(&tight(lane)).await;
        assert_eq!((view.in_flight, view.slots_in_use), (0, 2), "both requests were made");
        assert_eq!(s.state(old.id).await, state);
        s.step(TIGHT_HOLD);
        assert_eq!(s.view(&tight(lane)).await.slots_in_use, 0);
        assert_eq!(s.begin(old).await, Begin::LeaseLost);
        if state == State::Sent {
            assert_eq!(s.settle(old, sent_as("p-old")).await, Settled::SentTwice);
            assert_eq!(s.get(old.id).await.provider_id.as_deref(), Some("p-new"));
        } else {
            assert_eq!(s.settle(old, unknown()).await, Settled::Stale);
        }
        s.adds_up(&tight(lane), &[old.id]).await;
        s.store.reap(500, ms(0)).await.unwrap();
        if state == State::Unknown {
            assert_eq!(s.found(lost, &["p-lost"], 0).await, Decided::Sent);
        }
        s.step(1);
        s.store.reap(500, ms(0)).await.unwrap();
    }
}

/// An older send that arrived makes the message sent, whatever becomes of the newer one.
pub(crate) async fn a_message_that_was_sent_before_ends_as_sent(s: &Subject) {
    let rest = [
        unknown(),
        rejected(),
        throttled(10),
        not_sent(0),
        retry(0, 1),
        retry(5_000, 5),
        Outcome::Released,
        Outcome::Parked { reason: "x".into() },
    ];
    let mut ids = Vec::new();
    for (lane, outcome) in (1..).zip(rest.into_iter().map(Some).chain([None])) {
        let id = s.put(asked(&wide(lane), "x")).await;
        ids.push(id);
        let old = s.lease_lost_before_its_intent().await;
        let new = s.claim_and_begin().await;
        assert_eq!(s.settle(old, sent_as("p-old")).await, Settled::SentTwice);
        match outcome {
            Some(outcome) => assert_eq!(s.settle(new, outcome).await, Settled::Done(State::Sent)),
            None => {
                s.step(LEASE_MS);
                s.reap().await;
            }
        }
        let view = s.get(id).await;
        assert_eq!((view.state, view.provider_id.as_deref(), view.text.expose()), (State::Sent, Some("p-old"), ""));
        s.step(10_000);
        assert!(s.claim(5).await.is_empty());
        s.adds_up(&wide(lane), &ids).await;
    }
}
