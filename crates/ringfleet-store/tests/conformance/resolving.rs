//! A person's word on what nothing else can decide.

use ringfleet_store::{
    Cancelled, Decided, LeaseRef, ListFrom, MAX_RECOVERIES, MessageId, Millis, NewMessage, Outcome, Resolution,
    Settled, State,
};

use crate::talk::*;

const ALL: [Resolution; 3] = [Resolution::Resend, Resolution::Sent, Resolution::Cancelled];

impl Subject {
    /// The next send ends so.
    async fn settle_next(&self, outcome: Outcome) -> Settled {
        let lease = self.claim_and_begin().await;
        self.settle(lease, outcome).await
    }

    /// What `explain` says.
    async fn told_to_look_from(&self, id: MessageId) -> Option<Millis> {
        let whys = self.store.explain(&id).await.unwrap().expect("the message is known").why();
        whys[0].may_have_arrived()
    }
}

async fn held(s: &Subject, lane: u32) -> LeaseRef {
    s.put(message(&wide(lane), "x")).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Held));
    lease
}

pub(crate) async fn a_held_message_can_be_sent_again(s: &Subject) {
    let id = s.put(message(&wide(1), "x")).await;
    s.lease_lost_before_its_intent().await;
    assert_eq!(s.get(id).await.recoveries, 1);
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    s.put(message(&wide(1), "behind")).await;
    assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::Done);
    let view = s.get(id).await;
    assert_eq!((view.state, view.reason.as_str()), (State::Ready, "resent-by-operator"));
    assert_eq!((view.attempt, view.recoveries, view.finished_at), (1, 0, None));
    assert_eq!(view.intent_at, None, "a text of before is another message's");
    assert_eq!(s.settle(lease, unknown()).await, Settled::Again(State::Ready), "that story is closed");
    let leases = s.claim(5).await;
    assert_eq!(texts(&leases), ["x", "behind"]);
    s.send(&leases[0]).await;
    assert_eq!(s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages, []);
    s.adds_up(&wide(1), &[id, leases[1].id]).await;
}

pub(crate) async fn a_held_message_can_be_closed_as_sent_or_cancelled(s: &Subject) {
    let ends = [(Resolution::Sent, State::Sent, ""), (Resolution::Cancelled, State::Cancelled, "x")];
    let mut ids = Vec::new();
    for (lane, (how, state, text)) in (1..).zip(ends) {
        let lease = held(s, lane).await;
        ids.push(lease.id);
        s.step(50);
        assert_eq!(s.resolve(lease.id, how).await, Cancelled::Done);
        let view = s.get(lease.id).await;
        assert_eq!((view.state, view.reason.as_str(), view.text.expose()), (state, "closed-by-operator", text));
        assert_eq!((view.provider_id, view.finished_at), (None, Some(s.now())));
        assert_eq!(s.resolve(lease.id, how).await, Cancelled::TooLate(state), "once");
        s.adds_up(&wide(lane), &ids).await;
    }
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages, []);
    s.step(1_000);
    assert_eq!(s.store.reap(500, ms(1_000)).await.unwrap().pruned, 2);
}

pub(crate) async fn a_dead_message_can_only_be_sent_again(s: &Subject) {
    let id = s.put(message(&wide(1), "x")).await;
    for _ in 0..=MAX_RECOVERIES {
        s.claim_one().await;
        s.step(LEASE.as_millis() as i64);
        s.reap().await;
    }
    assert_eq!(s.state(id).await, State::Dead);
    for how in [Resolution::Sent, Resolution::Cancelled] {
        assert_eq!(s.resolve(id, how).await, Cancelled::TooLate(State::Dead));
    }
    assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::Done);
    assert_eq!(s.store.list(&ListFrom::newest(State::Dead), 5).await.unwrap().messages, []);
    let view = s.get(id).await;
    assert_eq!((view.state, view.attempt, view.recoveries), (State::Ready, 1, 0));
    // Its record is not forgotten as one that ended long ago.
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 0);
    s.lease_lost_before_its_intent().await;
    s.send(&s.claim_one().await).await;
    s.adds_up(&wide(1), &[id]).await;
}

pub(crate) async fn what_is_neither_held_nor_dead_is_too_late(s: &Subject) {
    let mut refused = Vec::new();
    let ready = s.put(message(&wide(1), "x")).await;
    refused.push((ready, State::Ready));
    s.store.set_paused(&wide(1), true).await.unwrap();
    refused.push((
        s.put(NewMessage { send_at: Some(s.now() + 60_000), ..message(&wide(2), "x") }).await,
        State::Scheduled,
    ));
    let expires = s.put(NewMessage { send_by: Some(s.now()), ..message(&wide(1), "expires") }).await;
    s.step(1);
    s.reap().await;
    refused.push((expires, State::Expired));
    s.put(message(&wide(3), "x")).await;
    refused.push((s.claim_one().await.id, State::Claimed));
    s.put(message(&wide(3), "y")).await;
    refused.push((s.claim_and_begin().await.id, State::Sending));
    refused.push((s.send_into_the_dark(asked(&wide(3), "z")).await.id, State::Unknown));
    for (text, outcome, state) in [("sent", sent(), State::Sent), ("rejected", rejected(), State::Rejected)] {
        s.put(message(&wide(4), text)).await;
        let lease = s.claim_and_begin().await;
        s.settle(lease, outcome).await;
        refused.push((lease.id, state));
    }
    let cancelled = s.put(message(&wide(4), "cancelled")).await;
    s.store.cancel(&cancelled).await.unwrap();
    refused.push((cancelled, State::Cancelled));
    for (id, state) in &refused {
        let before = s.get(*id).await;
        for how in ALL {
            assert_eq!(s.resolve(*id, how).await, Cancelled::TooLate(*state));
        }
        assert_eq!(s.get(*id).await, before);
    }
    assert_eq!(s.store.stats().await.unwrap().total(), refused.len() as u64);
}

pub(crate) async fn an_unheard_of_message_cannot_be_resolved(s: &Subject) {
    for how in ALL {
        assert_eq!(s.resolve(MessageId::random(), how).await, Cancelled::Missing);
    }
}

pub(crate) async fn a_message_without_a_text_cannot_be_sent_again(s: &Subject) {
    for (lane, how) in (1..).zip([Resolution::Sent, Resolution::Cancelled]) {
        let lease = LeaseRef { id: MessageId::random(), token: ringfleet_store::LeaseToken(1 << 60) };
        assert_eq!(s.reassert(&wide(lane), lease, unknown()).await, Settled::Missing);
        assert_eq!(s.resolve(lease.id, Resolution::Resend).await, Cancelled::TooLate(State::Held));
        assert_eq!(s.state(lease.id).await, State::Held);
        assert_eq!(s.resolve(lease.id, how).await, Cancelled::Done);
    }
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_message_sent_again_by_a_person_expires_as_before(s: &Subject) {
    let id = s.put(NewMessage { send_by: Some(s.now() + 1_000), ..message(&wide(1), "x") }).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    s.step(2_000);
    assert_eq!(s.reap().await.expired, 0, "what is held waits for a person");
    s.resolve(id, Resolution::Resend).await;
    assert_eq!(s.reap().await.expired, 1);
    assert_eq!(s.state(id).await, State::Expired);
}

/// Nobody looks for a send by this policy, so a person must be able to: from the first one on.
pub(crate) async fn one_that_is_sent_again_at_once_keeps_its_first_intent_to_its_end(s: &Subject) {
    let held = s.put(resent(&wide(1), "x")).await;
    s.step(10);
    let first = Some(s.now());
    for sends in 1..=5 {
        let lease = s.claim_and_begin().await;
        s.step(100);
        s.settle(lease, unknown()).await;
        let view = s.get(held).await;
        assert_eq!((view.intent_at, view.reads), (first, 0), "after {sends}");
        assert_eq!(view.may_have_arrived(), first.filter(|_| view.state == State::Held));
    }
    assert_eq!(s.state(held).await, State::Held);

    // The first one's fate stays unknown, and what is told of the later ones changes nothing of that.
    let (late, late_from) = (NewMessage { send_by: Some(s.now() + 60_000), ..resent(&wide(3), "x") }, Some(s.now()));
    let late = s.put(late).await;
    assert_eq!(s.settle_next(unknown()).await, Settled::Done(State::Ready));
    s.step(10);
    s.store.set_paused(&wide(3), true).await.unwrap();
    let (dead, first) = (s.put(resent(&wide(2), "x")).await, Some(s.now()));
    assert_eq!(s.settle_next(unknown()).await, Settled::Done(State::Ready));
    s.step(10);
    s.lease_lost_before_its_intent().await;
    assert_eq!(s.settle_next(not_sent(0)).await, Settled::Done(State::Ready));
    for state in [State::Ready, State::Scheduled, State::Ready, State::Dead] {
        let delay = if state == State::Scheduled { 1_000 } else { 0 };
        assert_eq!(s.settle_next(retry(delay, 5)).await, Settled::Done(state));
        assert_eq!(s.get(dead).await.intent_at, first);
        s.step(1_000);
    }
    let view = s.get(dead).await;
    assert_eq!((view.state, view.reason.as_str(), view.attempt), (State::Dead, "SMS-500", 5));
    s.step(60_000);
    s.reap().await;
    assert_eq!(s.state(late).await, State::Expired);
    for (id, from) in [(dead, first), (late, late_from)] {
        assert_eq!((s.get(id).await.may_have_arrived(), s.told_to_look_from(id).await), (from, from));
    }
    // Whoever lets it go again has looked.
    assert_eq!(s.resolve(dead, Resolution::Resend).await, Cancelled::Done);
    assert_eq!(s.settle_next(retry(0, 5)).await, Settled::Done(State::Dead));
    assert_eq!((s.get(dead).await.intent_at, s.told_to_look_from(dead).await), (None, None));
    s.adds_up(&wide(1), &[held, late, dead]).await;
}

/// A record counts to 255.
pub(crate) async fn one_that_was_let_go_more_often_than_is_counted_still_ends(s: &Subject) {
    let id = s.put(asked(&wide(1), "x")).await;
    for _ in 0..128 {
        assert_eq!(s.settle_next(retry(0, 1)).await, Settled::Done(State::Dead));
        assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::Done);
    }
    assert_eq!(s.get(id).await.attempt, 255);
    assert_eq!(s.settle_next(retry(0, 1)).await, Settled::Done(State::Dead));
    assert_eq!(s.get(id).await.attempt, 255);
    assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::Done);
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    assert_eq!(s.found_at_most(lease, &[], 0, 1).await, Decided::NotYet);
    s.step(SETTLE_MS);
    assert_eq!(s.found_at_most(lease, &[], 0, 1).await, Decided::Dead);
    assert_eq!(s.get(id).await.attempt, 255);
    s.adds_up(&wide(1), &[id]).await;
}
