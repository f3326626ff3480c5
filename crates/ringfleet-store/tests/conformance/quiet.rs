//! Messages that are put off to the end of their recipient's quiet hours.

use std::time::Duration;

use ringfleet_store::{Begin, Cancelled, Eta, NewMessage, Outcome, Settled, Stand, State, Why};

use crate::talk::*;

const NIGHT: i64 = 3_600_000;

pub(crate) async fn a_message_put_off_waits_as_scheduled_and_burns_nothing(s: &Subject) {
    let id = s.fill(&tight(1), 1).await[0];
    let lease = s.claim_one().await;
    s.step(200);
    assert_eq!(s.settle(lease.reference(), later(NIGHT)).await, Settled::Done(State::Scheduled));
    let view = s.view(&tight(1)).await;
    assert_eq!((view.slots_in_use, view.in_flight, view.penalty_until, view.waiting), (0, 0, None, 0));
    let message = s.get(id).await;
    let counts = (message.attempt, message.recoveries, message.finished_at, message.intent_at);
    assert_eq!((message.state, message.reason.as_str(), counts), (State::Scheduled, "quiet-hours", (0, 0, None, None)));
    assert_eq!(s.begin(lease.reference()).await, Begin::LeaseLost);
    s.at(200 + NIGHT - 1);
    assert_eq!(s.claim(5).await, []);
    s.at(200 + NIGHT);
    let again = s.claim_one().await;
    assert_eq!((again.id, again.attempt, again.recoveries, again.due_at), (id, 0, 0, s.now()));
    s.send(&again).await;
    let sent = s.get(id).await;
    assert_eq!((sent.reason.as_str(), sent.finished_at), ("accepted", Some(s.now())));
}

pub(crate) async fn a_lane_of_sleepers_puts_each_off_once_and_the_others_go(s: &Subject) {
    const SLEEPERS: u32 = 300;
    // One window of its plan has place for three.
    s.fill(&tight(1), SLEEPERS).await;
    let awake = s.put(message(&tight(1), "awake")).await;
    let (mut claimed, mut sent) = (0, 0);
    loop {
        let leases = s.claim(128).await;
        if leases.is_empty() {
            break;
        }
        claimed += leases.len() as u32;
        for lease in leases {
            if lease.id == awake {
                s.send(&lease).await;
                sent += 1;
            } else {
                assert_eq!(s.settle(lease.reference(), later(NIGHT)).await, Settled::Done(State::Scheduled));
            }
        }
    }
    assert_eq!((claimed, sent), (SLEEPERS + 1, 1), "in no time, and each once");
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.count(State::Scheduled), stats.oldest_due_age), (SLEEPERS.into(), None));
}

pub(crate) async fn what_was_put_off_is_due_from_the_end_of_its_quiet_hours_on(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_one().await.reference();
    s.settle(lease, later(NIGHT)).await;
    assert_eq!(s.store.stats().await.unwrap().oldest_due_age, None);
    s.at(NIGHT + 70);
    let age = async || s.store.stats().await.unwrap().oldest_due_age;
    assert_eq!(age().await, Some(Duration::from_millis(70)), "before anybody asks for work");
    // Nor is it older once it stood in the queue, whatever brings it back there.
    for outcome in [Outcome::Released, not_sent(0), throttled(1)] {
        let lease = s.claim_one().await;
        assert_eq!((lease.id, lease.due_at), (id, s.now() - 70));
        s.settle(lease.reference(), outcome).await;
        assert_eq!(age().await, Some(Duration::from_millis(70)));
        assert_eq!(s.view(&wide(1)).await.oldest_due, Some(s.now() - 70));
    }
}

pub(crate) async fn a_put_off_message_can_pass_its_time(s: &Subject) {
    let id = s.put(NewMessage { send_by: Some(s.now() + 1_000), ..message(&wide(1), "x") }).await;
    let lease = s.claim_one().await.reference();
    s.settle(lease, later(NIGHT)).await;
    s.step(1_001);
    assert_eq!(s.reap().await.expired, 1);
    let message = s.get(id).await;
    assert_eq!((message.state, message.reason.as_str()), (State::Expired, "send-by-passed"));
    assert_eq!(message.finished_at, Some(s.now()));
}

pub(crate) async fn a_put_off_message_can_be_taken_back(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_one().await.reference();
    s.settle(lease, later(NIGHT)).await;
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::Done);
    s.step(NIGHT);
    assert_eq!((s.claim(5).await, s.state(id).await), (vec![], State::Cancelled));
}

pub(crate) async fn a_put_off_that_is_told_again_changes_nothing(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_one().await.reference();
    s.settle(lease, later(NIGHT)).await;
    s.step(1_000);
    assert_eq!(s.settle(lease, later(NIGHT)).await, Settled::Stale);
    assert_eq!(s.reassert(&wide(1), lease, later(NIGHT)).await, Settled::Stale);
    s.at(NIGHT);
    assert_eq!(s.claim_one().await.id, id, "at the time that was told first");
}

pub(crate) async fn a_put_off_leaves_what_is_known_of_earlier_sends(s: &Subject) {
    s.put(resent(&wide(1), "x")).await;
    let first = s.claim_and_begin().await;
    let intent = s.now();
    assert_eq!(s.settle(first, unknown()).await, Settled::Done(State::Ready));
    s.step(50);
    let second = s.claim_one().await.reference();
    s.settle(second, later(NIGHT)).await;
    let message = s.get(first.id).await;
    assert_eq!((message.state, message.intent_at, message.attempt), (State::Scheduled, Some(intent), 1));
    // The story of the first is closed, and stays so.
    assert_eq!(s.settle(first, unknown()).await, Settled::Again(State::Scheduled));
    assert_eq!(s.reassert(&wide(1), first, unknown()).await, Settled::Again(State::Scheduled));
    // Proof that it arrived ends it all the same.
    assert_eq!(s.settle(first, sent()).await, Settled::LateEvidence(State::Sent));
    s.step(NIGHT);
    assert_eq!(s.claim(5).await, []);
}

pub(crate) async fn an_older_send_that_a_journal_tells_of_is_heard_after_a_put_off(s: &Subject) {
    s.put(asked(&wide(1), "x")).await;
    // As if the store had lost that it was sent under this lease.
    let lost = s.lease_lost_before_its_intent().await;
    let lease = s.claim_one().await.reference();
    s.settle(lease, later(NIGHT)).await;
    let heard = s.reassert(&wide(1), lost, unknown()).await;
    assert_eq!(heard, Settled::LateEvidence(State::Unknown), "it may have arrived, and is asked for");
    s.step(NIGHT);
    assert_eq!(s.claim(5).await, []);
}

pub(crate) async fn a_message_that_was_put_off_says_why_and_until_when(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let explain = async || s.store.explain(&id).await.unwrap().unwrap();
    let lease = s.claim_one().await.reference();
    s.settle(lease, later(NIGHT)).await;
    let until = s.now() + NIGHT;
    let told = explain().await;
    assert!(matches!(told.stand, Stand::Waiting { quiet: true, due_at, .. } if due_at == until), "{told:?}");
    assert!(told.why().contains(&Why::QuietHours { until }), "{:?}", told.why());
    assert_eq!(told.eta(), Eta::At(until));
    let why = Why::QuietHours { until };
    assert_eq!((why.code(), why.reason(), why.until()), ("scheduled", Some("quiet-hours"), Some(until)));
    s.at(NIGHT + 5);
    assert_eq!(s.claim_one().await.id, id);
    s.step(LEASE.as_millis() as i64);
    s.reap().await;
    let told = explain().await;
    assert!(matches!(told.stand, Stand::Waiting { quiet: false, due_at, .. } if due_at == until), "{told:?}");
}
