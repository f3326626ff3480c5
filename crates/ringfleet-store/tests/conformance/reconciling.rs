//! Sends whose fate is unknown, and what becomes of them when the provider's message store is read.

use std::time::{Duration, Instant};

use ringfleet_store::{
    Cancelled, Decided, Evidence, Found, LeaseRef, LeaseToken, ListFrom, MessageId, NewMessage, OnUnknown, Outcome,
    Reaped, Settled, State,
};
use tokio::time::timeout;

use crate::talk::*;

const LEASE_MS: i64 = 10_000;
/// From the first unknown send of a lane until it is looked at.
const FIRST_LOOK: i64 = 500;

pub(crate) async fn an_unknown_fate_is_asked_about(s: &Subject) {
    let id = s.put(asked(&tight(1), "x")).await;
    let lease = s.claim_one().await.reference();
    s.step(10);
    s.begin(lease).await;
    let intent = s.now();
    s.step(200);
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Unknown));
    let view = s.get(id).await;
    assert_eq!((view.state, view.reason.as_str(), view.text.expose()), (State::Unknown, "timeout", "x"));
    assert_eq!((view.finished_at, view.intent_at, view.reads), (Some(s.now()), Some(intent), 0));
    assert_eq!((view.attempt, view.provider_id, view.on_unknown), (0, None, OnUnknown::Reconcile));
    let lane = s.view(&tight(1)).await;
    assert_eq!((lane.in_flight, lane.slots_in_use, lane.waiting), (0, 1, 0));
    s.step(TIGHT_HOLD);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0, "its slot has the time of the report");
    assert!(s.claim(5).await.is_empty());
    s.adds_up(&tight(1), &[id]).await;
}

pub(crate) async fn a_fate_becomes_unknown_in_three_ways(s: &Subject) {
    let mut ids = Vec::new();
    for (text, reason) in [("1", "timeout"), ("2", "released-after-intent"), ("3", "worker-lost")] {
        ids.push(s.put(asked(&wide(1), text)).await);
        let lease = s.claim_and_begin().await;
        match text {
            "1" => assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Unknown)),
            "2" => assert_eq!(s.settle(lease, Outcome::Released).await, Settled::Done(State::Unknown)),
            _ => {
                s.step(LEASE_MS);
                assert_eq!(s.reap().await, Reaped { unknown: 1, ..Reaped::default() });
            }
        }
        let view = s.get(lease.id).await;
        assert_eq!((view.state, view.reason.as_str()), (State::Unknown, reason));
    }
    assert_eq!(s.view(&wide(1)).await.in_flight, 0);
    s.adds_up(&wide(1), &ids).await;
}

pub(crate) async fn a_lane_goes_on_beside_its_unknown_sends(s: &Subject) {
    let mut ids = Vec::new();
    for n in 0..3 * CAP {
        ids.push(s.send_into_the_dark(asked(&wide(1), &n.to_string())).await.id);
    }
    assert_eq!(s.store.stats().await.unwrap().count(State::Unknown), u64::from(3 * CAP));
    for n in 0..CAP {
        ids.push(s.put(message(&wide(1), &format!("next {n}"))).await);
    }
    assert_eq!(s.claim(CAP).await.len() as u32, CAP);
    s.adds_up(&wide(1), &ids).await;
}

pub(crate) async fn an_unknown_message_neither_expires_nor_is_cancelled_nor_forgotten(s: &Subject) {
    let id = s.put(NewMessage { send_by: Some(s.now() + 1_000), ..asked(&wide(1), "x") }).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap(), Reaped::default());
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::TooLate(State::Unknown));
    assert_eq!(s.state(id).await, State::Unknown);
    // Once it waits again its time counts again.
    s.prove_absent(lease).await;
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.state(id).await, State::Expired);
    s.adds_up(&wide(1), &[id]).await;
}

pub(crate) async fn an_unknown_fate_that_does_not_matter_is_sent_again_at_once(s: &Subject) {
    let id = s.put(resent(&wide(1), "x")).await;
    let (mut tokens, first) = (Vec::new(), s.now());
    for sends in 1..5 {
        let lease = s.claim_and_begin().await;
        tokens.push(lease.token);
        s.put(message(&wide(1), &format!("behind {sends}"))).await;
        if sends == 2 {
            s.step(LEASE_MS);
            assert_eq!(s.reap().await.unknown, 1);
        } else {
            assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Ready));
        }
        let view = s.get(id).await;
        assert_eq!((view.state, view.reason.as_str(), view.attempt), (State::Ready, "resent", sends));
        assert_eq!((view.finished_at, view.intent_at, view.text.expose()), (None, Some(first), "x"));
    }
    let lease = s.claim_and_begin().await;
    assert_eq!(lease.id, id, "it stood at the head each time");
    assert!(tokens.iter().all(|token| *token < lease.token));
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Held), "the fifth was the last");
    assert_eq!(s.get(id).await.reason, "timeout");
}

pub(crate) async fn a_lane_is_looked_at_half_a_second_after_its_first_unknown_send(s: &Subject) {
    assert!(s.take_unknown(10, 1_000).await.is_empty());
    let first = s.send_into_the_dark(asked(&wide(1), "1")).await;
    s.step(FIRST_LOOK - 1);
    assert!(s.take_unknown(10, 1_000).await.is_empty());
    let second = s.send_into_the_dark(asked(&wide(1), "2")).await;
    s.step(1);
    let taken = s.take_unknown(10, 1_000).await;
    assert_eq!((taken.len(), &taken[0].lane), (1, &wide(1)));
    let leases: Vec<_> = taken[0].sends.iter().map(|send| send.lease).collect();
    assert_eq!(leases, [first, second], "one reading serves both");
}

pub(crate) async fn what_is_taken_has_all_that_can_be_compared(s: &Subject) {
    let new = asked(&wide(1), "Grüße 👋\n|\t%s");
    s.put(new.clone()).await;
    let lease = s.claim_one().await.reference();
    s.step(10);
    s.begin(lease).await;
    let intent = s.now();
    s.step(700);
    s.settle(lease, unknown()).await;
    let since = s.now();
    s.step(FIRST_LOOK);
    let taken = s.take_unknown(10, 1_000).await;
    let send = &taken[0].sends[0];
    assert_eq!((&send.from, &send.to, &send.text), (&new.from, &new.to, &new.text));
    assert_eq!((send.lease, send.intent_at, send.since), (lease, intent, since));
}

pub(crate) async fn a_lane_that_was_taken_is_not_given_again_before_its_lock_ends(s: &Subject) {
    let first = s.send_into_the_dark(asked(&wide(1), "1")).await;
    s.step(FIRST_LOOK);
    assert_eq!(s.take_unknown(10, 5_000).await.len(), 1);
    s.step(1_000);
    s.send_into_the_dark(asked(&wide(1), "2")).await;
    s.step(3_999);
    assert!(s.take_unknown(10, 5_000).await.is_empty(), "a new unknown send does not break the lock");
    s.step(1);
    assert_eq!(s.take_unknown(10, 5_000).await[0].sends.len(), 2);
    // Evidence ends it: what was not read yet comes in its turn.
    assert_eq!(s.found(first, &["p"], 0).await, Decided::Sent);
    assert_eq!(s.take_unknown(10, 5_000).await[0].sends.len(), 1);
}

pub(crate) async fn a_lock_ends_with_the_last_unknown_send(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "1")).await;
    s.step(FIRST_LOOK);
    assert_eq!(s.take_unknown(10, 60_000).await.len(), 1);
    assert_eq!(s.settle(lease, sent()).await, Settled::LateEvidence(State::Sent));
    s.send_into_the_dark(asked(&wide(1), "2")).await;
    s.step(FIRST_LOOK - 1);
    assert!(s.take_unknown(10, 60_000).await.is_empty());
    s.step(1);
    assert_eq!(s.take_unknown(10, 60_000).await.len(), 1);
}

pub(crate) async fn no_more_lanes_are_taken_than_asked_for_and_each_by_one(s: &Subject) {
    for extension in 0..7 {
        s.send_into_the_dark(asked(&wide(extension), "x")).await;
        s.step(1);
    }
    s.step(FIRST_LOOK);
    let mut seen = Vec::new();
    for lanes in [3, 3, 3] {
        let taken = s.take_unknown(lanes, 60_000).await;
        assert!(taken.len() <= 3);
        seen.extend(taken.into_iter().map(|of_lane| of_lane.lane));
    }
    let mut each = seen.clone();
    each.sort();
    each.dedup();
    assert_eq!((seen.len(), each.len()), (7, 7));
    assert!(s.take_unknown(10, 60_000).await.is_empty());
}

pub(crate) async fn a_hundred_of_a_lane_are_read_at_once_the_longest_unknown_first(s: &Subject) {
    let mut leases = Vec::new();
    for n in 0..103 {
        leases.push(s.send_into_the_dark(asked(&wide(1), &n.to_string())).await);
        s.step(1);
    }
    s.step(FIRST_LOOK);
    let taken = s.take_unknown(1, 1_000).await;
    let first: Vec<_> = taken[0].sends.iter().map(|send| send.lease).collect();
    assert_eq!(first, leases[..100]);
    let evidence: Vec<_> = first
        .iter()
        .map(|lease| Evidence { lease: *lease, found: Found::Undecidable { reason: "x".into() } })
        .collect();
    assert_eq!(s.store.decide(&evidence, SETTLE_TIME, 5).await.unwrap(), [Decided::Held; 100]);
    let taken = s.take_unknown(1, 1_000).await;
    let rest: Vec<_> = taken[0].sends.iter().map(|send| send.lease).collect();
    assert_eq!(rest, leases[100..]);
}

pub(crate) async fn one_match_proves_the_sending(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    s.step(FIRST_LOOK);
    assert_eq!(s.found(lease, &["p-7"], 100).await, Decided::Sent);
    let view = s.get(lease.id).await;
    assert_eq!((view.state, view.reason.as_str()), (State::Sent, "reconciled"));
    assert_eq!((view.provider_id.as_deref(), view.text.expose()), (Some("p-7"), ""));
    assert_eq!(view.finished_at, Some(s.now()));
    assert!(s.take_unknown(10, 1_000).await.is_empty());
    assert!(s.claim(5).await.is_empty());
    s.adds_up(&wide(1), &[lease.id]).await;
}

pub(crate) async fn several_matches_are_for_a_person(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    assert_eq!(s.found(lease, &["p-1", "p-2"], 0).await, Decided::Held);
    let view = s.get(lease.id).await;
    assert_eq!((view.state, view.reason.as_str(), view.text.expose()), (State::Held, "several-matches", "x"));
    assert!(view.intent_at.is_some());
    assert_eq!(s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages.len(), 1);
    // One text that a reading shows twice is one.
    let lease = s.send_into_the_dark(asked(&wide(1), "y")).await;
    assert_eq!(s.found(lease, &["p-3", "p-3"], 0).await, Decided::Sent);
    // So many that nobody can tell them apart.
    let lease = s.send_into_the_dark(asked(&wide(1), "z")).await;
    let many: Vec<_> = (0..501).map(|n| format!("q-{n}")).collect();
    assert_eq!(s.found(lease, &many.iter().map(String::as_str).collect::<Vec<_>>(), 0).await, Decided::Held);
    assert_eq!(s.get(lease.id).await.reason, "several-matches");
}

pub(crate) async fn a_lane_that_was_read_is_looked_at_when_its_settle_time_is_over(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "1")).await;
    s.step(FIRST_LOOK);
    assert_eq!(s.take_unknown(10, 60_000).await.len(), 1);
    assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
    s.step(SETTLE_MS - FIRST_LOOK - 1);
    assert!(s.take_unknown(10, 60_000).await.is_empty());
    s.step(1);
    assert_eq!(s.take_unknown(10, 60_000).await.len(), 1);
    // A reading that began too early is followed by another a second later.
    assert_eq!(s.found(lease, &[], 1).await, Decided::NotYet);
    s.step(999);
    assert!(s.take_unknown(10, 60_000).await.is_empty());
    s.step(1);
    assert_eq!(s.take_unknown(10, 60_000).await.len(), 1);
    // A new one does not wait for the old ones.
    assert_eq!(s.found(lease, &[], 2_000).await, Decided::NotYet);
    s.send_into_the_dark(asked(&wide(1), "2")).await;
    s.step(FIRST_LOOK);
    assert_eq!(s.take_unknown(10, 60_000).await[0].sends.len(), 2);
}

pub(crate) async fn what_cannot_be_decided_is_for_a_person(s: &Subject) {
    for (text, reason, kept) in [("1", "no permission", "no permission"), ("2", "", "undecidable")] {
        let lease = s.send_into_the_dark(asked(&wide(1), text)).await;
        assert_eq!(s.undecidable(lease, reason).await, Decided::Held);
        let view = s.get(lease.id).await;
        assert_eq!((view.state, view.reason.as_str()), (State::Held, kept));
        assert_eq!(s.undecidable(lease, reason).await, Decided::Stale);
    }
    assert!(s.take_unknown(10, 1_000).await.is_empty());
}

pub(crate) async fn what_was_decided_meanwhile_is_stale(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    let forged = LeaseRef { token: LeaseToken(lease.token.0 + 64), ..lease };
    assert_eq!(s.found(forged, &["p"], 0).await, Decided::Stale);
    assert_eq!(s.state(lease.id).await, State::Unknown);
    assert_eq!(s.found(lease, &["p"], 0).await, Decided::Sent);
    for ids in [&["p"][..], &["q"], &[], &["q", "r"]] {
        assert_eq!(s.found(lease, ids, 0).await, Decided::Stale);
    }
    // Proven absent, and sent anew: the old evidence says nothing of the new send.
    let old = s.send_into_the_dark(asked(&wide(1), "y")).await;
    s.prove_absent(old).await;
    assert_eq!(s.found(old, &["z"], 0).await, Decided::Stale);
    let new = s.claim_and_begin().await;
    assert_eq!(s.found(new, &["z"], 0).await, Decided::Stale, "nobody asks about one that is under way");
    s.settle(new, unknown()).await;
    assert_eq!(s.found(old, &["z"], 0).await, Decided::Stale);
    let stranger = LeaseRef { id: MessageId::random(), ..new };
    assert_eq!(s.found(stranger, &["z"], 0).await, Decided::Stale);
    assert_eq!(s.found(new, &["z"], 0).await, Decided::Sent);
}

/// A text of the first attempt that shows up late must be found too.
pub(crate) async fn the_intent_of_the_first_attempt_is_kept_through_all_of_them(s: &Subject) {
    s.step(10);
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    let first = s.get(lease.id).await.intent_at;
    assert_eq!(first, Some(s.now()));
    s.prove_absent(lease).await;
    assert_eq!(s.get(lease.id).await.intent_at, first);
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    let view = s.get(lease.id).await;
    assert_eq!((view.intent_at, view.reads, view.finished_at), (first, 0, Some(s.now())));
    s.step(FIRST_LOOK);
    let send = &s.take_unknown(1, 1_000).await[0].sends[0];
    assert_eq!((Some(send.intent_at), send.since), (first, s.now() - FIRST_LOOK));
}

pub(crate) async fn unknown_sends_are_listed(s: &Subject) {
    let (a, b) = (s.send_into_the_dark(asked(&wide(1), "1")).await, {
        s.step(5);
        s.send_into_the_dark(asked(&wide(2), "2")).await
    });
    let listed = s.store.list(&ListFrom::newest(State::Unknown), 5).await.unwrap().messages;
    assert_eq!(listed.iter().map(|view| view.id).collect::<Vec<_>>(), [b.id, a.id]);
    s.found(a, &["p"], 0).await;
    assert_eq!(s.store.list(&ListFrom::newest(State::Unknown), 5).await.unwrap().messages.len(), 1);
}

pub(crate) async fn what_is_sent_again_wakes_a_sleeper(s: &Subject) {
    let here = s.fresh_on_real_clock(rules()).await;
    let there = here.again(rules()).await;
    let nothing_found = async |lease| {
        let read_at = here.store.now().await.unwrap();
        let found = Found::Candidates { ids: Vec::new(), read_at };
        here.store.decide(&[Evidence { lease, found }], ms(0), 200).await.unwrap()[0]
    };
    here.put(asked(&wide(1), "x")).await;
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let lease = here.claim_and_begin().await;
        here.settle(lease, unknown()).await;
        assert_eq!(nothing_found(lease).await, Decided::NotYet);
        let hint = there.store.work_hint();
        assert_eq!(nothing_found(lease).await, Decided::Again);
        // Ears may open late: the same again until it is heard.
        if timeout(Duration::from_millis(500), hint).await.is_ok() {
            return;
        }
        assert!(Instant::now() < end, "no wake-up arrives");
    }
}
