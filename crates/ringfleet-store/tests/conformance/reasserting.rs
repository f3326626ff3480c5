//! What workers tell a store that may have lost a moment.

use ringfleet_store::{
    Begin, Cancelled, Decided, Enqueued, LeaseRef, LeaseToken, ListFrom, MAX_RECOVERIES, MessageId, NewMessage,
    OnUnknown, Outcome, PlanSeen, Reassertion, Resolution, Settled, Settlement, State, UNDER_WAY,
};

use crate::talk::*;

/// A lease of a message that the store has lost. Its token lies on the lane's shard, as a claim of it would give one.
async fn lost_lease(s: &Subject, lane: u32, name: &str) -> LeaseRef {
    s.put(message(&wide(lane), &format!("beside {name}"))).await;
    let token = s.claim_one().await.token;
    let key = key(name).unwrap();
    LeaseRef { id: MessageId::from_key(&key), token: LeaseToken(token.0) }
}

fn keyed(name: &str, lane: u32, text: &str) -> NewMessage {
    NewMessage { key: key(name), ..message(&wide(lane), text) }
}

pub(crate) async fn what_the_store_knows_is_settled_once_more(s: &Subject) {
    let ids = s.fill(&wide(1), 3).await;
    let (a, b, c) = (s.claim_and_begin().await, s.claim_one().await.reference(), s.claim_and_begin().await);
    assert_eq!(s.reassert(&wide(1), a, sent()).await, Settled::Done(State::Sent));
    assert_eq!(s.reassert(&wide(1), a, sent()).await, Settled::Again(State::Sent));
    assert_eq!(s.reassert(&wide(1), b, sent_as("b")).await, Settled::Done(State::Sent), "its intent was lost");
    s.settle(c, unknown()).await;
    assert_eq!(s.reassert(&wide(1), c, unknown()).await, Settled::Again(State::Held));
    assert_eq!(s.reassert(&wide(1), c, sent_as("c")).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.store.reassert(&[], DAY).await.unwrap(), []);
    s.adds_up(&wide(1), &ids).await;
}

pub(crate) async fn beside_a_send_that_is_under_way_no_policy_sends_again(s: &Subject) {
    let under_way = || Outcome::Unknown { reason: UNDER_WAY.into() };
    let ids = [s.put(resent(&wide(1), "a")).await, s.put(resent(&wide(1), "b")).await];
    let live = s.claim_and_begin().await;
    assert_eq!(s.reassert(&wide(1), live, under_way()).await, Settled::Done(State::Unknown));
    let lost = s.claim_one().await.reference();
    s.settle(lost, Outcome::Released).await;
    assert_eq!(s.reassert(&wide(1), lost, under_way()).await, Settled::LateEvidence(State::Unknown));
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.settle(live, sent_as("p-1")).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.settle(lost, unknown()).await, Settled::Again(State::Unknown), "its time-out comes later");
    assert_eq!(s.get(ids[1]).await.on_unknown, OnUnknown::Resend);
    s.adds_up(&wide(1), &ids).await;
    // Of a dead worker nothing is under way.
    s.put(resent(&wide(2), "c")).await;
    let dead = s.claim_and_begin().await;
    assert_eq!(s.reassert(&wide(2), dead, unknown()).await, Settled::Done(State::Ready));
}

pub(crate) async fn what_one_report_of_a_batch_says_of_a_message_does_not_change_its_policy_for_the_next(s: &Subject) {
    s.put(resent(&wide(1), "twice told")).await;
    let first = s.claim_and_begin().await;
    assert_eq!(s.settle(first, unknown()).await, Settled::Done(State::Ready));
    let second = s.claim_and_begin().await;
    let report = |lease, outcome| Settlement { lease, outcome, age: ms(0), seen: PlanSeen::default() };
    let under_way = Outcome::Unknown { reason: UNDER_WAY.into() };
    let batch = [report(first, under_way), report(second, unknown())];
    let answers = s.store.settle(&batch).await.unwrap();
    assert_eq!(answers, [Settled::Stale, Settled::Done(State::Ready)]);
}

pub(crate) async fn a_send_told_before_its_intent_is_given_back_when_the_intent_is_refused(s: &Subject) {
    for (extension, new) in [(1, message(&wide(1), "held")), (2, asked(&wide(2), "asked"))] {
        s.put(new).await;
        let lease = s.claim_one().await.reference();
        s.reassert(&wide(extension), lease, Outcome::Unknown { reason: UNDER_WAY.into() }).await;
        assert_eq!(s.begin(lease).await, Begin::LeaseLost);
        assert_eq!(s.settle(lease, not_sent(0)).await, Settled::LateEvidence(State::Ready));
        assert_eq!(s.claim_one().await.attempt, 0);
    }
}

pub(crate) async fn what_is_told_again_has_its_place_in_the_window_though_the_store_has_lost_it(s: &Subject) {
    let of = |n: u32, token: LeaseRef, outcome: Outcome| {
        let lease = LeaseRef { id: MessageId::from_key(&key(&format!("lost {n}")).unwrap()), ..token };
        let token = LeaseToken(token.token.0 + u64::from(n) * 64_000);
        let settlement =
            Settlement { lease: LeaseRef { token, ..lease }, outcome, age: ms(300), seen: PlanSeen::default() };
        Reassertion { settlement, lane: wide(1) }
    };
    s.put(message(&wide(1), "beside")).await;
    let token = s.claim_one().await.reference();
    s.settle(token, Outcome::Released).await;
    let parked = Outcome::Parked { reason: "MSG-304".into() };
    let outcomes = [sent_as("p-1"), unknown(), rejected(), not_sent(0), retry(0, 5), parked, throttled(300)];
    let journal: Vec<_> = (1..).zip(outcomes).map(|(n, outcome)| of(n, token, outcome)).collect();
    for _ in 0..2 {
        s.store.reassert(&journal, DAY).await.unwrap();
        assert_eq!(s.view(&wide(1)).await.slots_in_use, 7);
    }
    // The store has its record, and not the request.
    let back = s.claim_one().await.reference();
    s.settle(back, Outcome::Released).await;
    assert_eq!(s.reassert(&wide(1), back, rejected()).await, Settled::Stale);
    assert_eq!(s.view(&wide(1)).await.slots_in_use, 8);
}

pub(crate) async fn a_refused_request_whose_intent_was_lost_counts_and_its_message_waits_again(s: &Subject) {
    for lane in 1..=4 {
        s.put(message(&wide(lane), "x")).await;
    }
    let parked = Outcome::Parked { reason: "MSG-304".into() };
    for (lease, outcome) in s.claim(5).await.iter().zip([not_sent(0), retry(0, 5), parked, later(0)]) {
        assert_eq!(s.reassert(&lease.lane, lease.reference(), outcome).await, Settled::Done(State::Ready));
        let view = s.view(&lease.lane).await;
        assert_eq!((view.in_flight, view.slots_in_use), (0, 1));
    }
}

pub(crate) async fn a_lost_send_without_an_answer_keeps_its_place_for_a_window_from_the_telling(s: &Subject) {
    let lease = lost_lease(s, 1, "k").await;
    for age in [400, TIGHT_HOLD + 1] {
        let tell = async || {
            let settlement = Settlement { lease, outcome: unknown(), age: ms(age), seen: PlanSeen::default() };
            s.store.reassert(&[Reassertion { settlement, lane: tight(1) }], DAY).await.unwrap();
        };
        tell().await;
        s.step(TIGHT_HOLD - 1);
        assert_eq!(s.view(&tight(1)).await.slots_in_use, 1, "begun {age} ms ago");
        s.step(1);
        assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
    }
    // What was told long after it can have arrived takes nothing.
    let settlement = Settlement { lease, outcome: unknown(), age: ms(86_400_000), seen: PlanSeen::default() };
    s.store.reassert(&[Reassertion { settlement, lane: tight(1) }], DAY).await.unwrap();
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
}

pub(crate) async fn a_send_of_which_a_journal_knows_no_answer_keeps_its_slot_for_a_window_from_then_on(s: &Subject) {
    s.put(message(&tight(1), "x")).await;
    let begun = s.claim_and_begin().await;
    s.step(400);
    // That is when it was about to begin; the provider may have got it later.
    let settlement = Settlement { lease: begun, outcome: unknown(), age: ms(400), seen: PlanSeen::default() };
    let told = s.store.reassert(&[Reassertion { settlement, lane: tight(1) }], DAY).await.unwrap();
    assert_eq!(told, [Settled::Done(State::Held)]);
    s.step(TIGHT_HOLD - 1);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 1);
    s.step(1);
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 0);
}

pub(crate) async fn a_lost_message_that_was_sent_is_on_record_again(s: &Subject) {
    let lease = lost_lease(s, 1, "k").await;
    s.step(70);
    assert_eq!(s.reassert(&wide(1), lease, sent_as("p-1")).await, Settled::Missing);
    let view = s.get(lease.id).await;
    assert_eq!((view.state, view.reason.as_str(), view.lane.clone()), (State::Sent, "rolled-back", wide(1)));
    assert_eq!((view.provider_id.as_deref(), view.text.expose()), (Some("p-1"), ""));
    assert_eq!((view.created_at, view.finished_at), (s.now(), Some(s.now())));
    assert_eq!(s.store.stats().await.unwrap().count(State::Sent), 1);
    assert_eq!(s.reassert(&wide(1), lease, sent_as("p-1")).await, Settled::Again(State::Sent));
    // Its text is counted.
    let unknown = s.send_into_the_dark(asked(&wide(1), "y")).await;
    assert_eq!(s.found(unknown, &["p-1"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_lost_message_whose_fate_is_unknown_is_held(s: &Subject) {
    let lease = lost_lease(s, 1, "k").await;
    assert_eq!(s.reassert(&wide(1), lease, unknown()).await, Settled::Missing);
    let view = s.get(lease.id).await;
    assert_eq!((view.state, view.reason.as_str(), view.text.expose()), (State::Held, "rolled-back", ""));
    let listed = s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages;
    assert_eq!(listed, [view]);
    assert_eq!(s.reassert(&wide(1), lease, unknown()).await, Settled::Again(State::Held));
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 0);
    assert_eq!(s.settle(lease, sent_as("p")).await, Settled::LateEvidence(State::Sent));
    assert_eq!(s.store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages, []);
}

pub(crate) async fn a_record_without_a_text_never_goes_to_a_queue(s: &Subject) {
    let lease = lost_lease(s, 1, "k").await;
    s.reassert(&wide(1), lease, unknown()).await;
    for outcome in [not_sent(0), throttled(100), retry(0, 5), Outcome::Parked { reason: "x".into() }, Outcome::Released]
    {
        assert_eq!(s.settle(lease, outcome).await, Settled::Again(State::Held));
    }
    let view = s.view(&wide(1)).await;
    assert_eq!((view.parked, view.waiting), (None, 0));
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.settle(lease, rejected()).await, Settled::LateEvidence(State::Rejected));
    assert_eq!(s.resolve(lease.id, Resolution::Resend).await, Cancelled::TooLate(State::Rejected));
}

pub(crate) async fn a_lost_message_that_was_not_sent_leaves_no_record(s: &Subject) {
    let lease = lost_lease(s, 1, "k").await;
    let total = s.store.stats().await.unwrap().total();
    for outcome in [rejected(), throttled(100), not_sent(0), retry(0, 5), Outcome::Released] {
        assert_eq!(s.reassert(&wide(1), lease, outcome).await, Settled::Missing);
    }
    assert_eq!(s.store.get(&lease.id).await.unwrap(), None);
    assert_eq!(s.store.stats().await.unwrap().total(), total);
    // Its producer may hand it in again.
    assert_eq!(s.put(keyed("k", 1, "x")).await, lease.id);
}

pub(crate) async fn a_refusal_told_again_stops_the_lane_though_its_message_is_lost(s: &Subject) {
    let lost = lost_lease(s, 1, "k").await;
    let refused = |age| {
        let settlement =
            Settlement { lease: lost, outcome: throttled(60_000), age: ms(age), seen: PlanSeen::default() };
        Reassertion { settlement, lane: wide(1) }
    };
    for (age, penalty) in [(60_000, None), (20_000, Some(s.now() + 40_000))] {
        assert_eq!(s.store.reassert(&[refused(age)], DAY).await.unwrap(), [Settled::Missing]);
        assert_eq!(s.view(&wide(1)).await.penalty_until, penalty);
    }
    s.put(message(&wide(1), "behind")).await;
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_record_stands_for_any_content_of_its_key(s: &Subject) {
    for (name, outcome) in [("sent", sent()), ("unknown", unknown())] {
        let lease = lost_lease(s, 1, name).await;
        s.reassert(&wide(1), lease, outcome).await;
        // Many lanes, so that several shards are met. Elsewhere it is refused by one word or the other.
        for lane in 2..20 {
            let answer = s.store.enqueue(&[keyed(name, lane, "one")]).await.unwrap()[0];
            assert!(!matches!(answer, Enqueued::Accepted(_)), "{lane}: {answer:?}");
        }
        let batch = [keyed(name, 1, "one"), keyed(name, 1, "two"), keyed(name, 1, "one")];
        assert_eq!(s.store.enqueue(&batch).await.unwrap(), [Enqueued::Duplicate(lease.id); 3]);
    }
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_record_is_forgotten_like_any_other(s: &Subject) {
    let lease = lost_lease(s, 1, "k").await;
    s.reassert(&wide(1), lease, sent()).await;
    s.step(1_000);
    assert_eq!(s.store.reap(500, ms(1_000)).await.unwrap().pruned, 1);
    assert_eq!(s.store.get(&lease.id).await.unwrap(), None);
    assert_eq!(s.store.stats().await.unwrap().count(State::Sent), 0);
}

pub(crate) async fn one_journal_may_tell_of_one_lost_message_twice(s: &Subject) {
    let old = lost_lease(s, 1, "k").await;
    let new = LeaseRef { token: lost_lease(s, 1, "other").await.token, ..old };
    let told = |lease, outcome| Reassertion {
        settlement: Settlement { lease, outcome, age: ms(0), seen: PlanSeen::default() },
        lane: wide(1),
    };
    let journal = [told(old, sent_as("p-1")), told(old, sent_as("p-1")), told(new, sent_as("p-2"))];
    let expected = [Settled::Missing, Settled::Again(State::Sent), Settled::SentTwice];
    assert_eq!(s.store.reassert(&journal, DAY).await.unwrap(), expected);
    let unknown_of = |name| async move {
        let old = lost_lease(s, 2, name).await;
        (old, LeaseRef { token: lost_lease(s, 2, &format!("{name} too")).await.token, ..old })
    };
    let (old, new) = unknown_of("unknown").await;
    let journal = [told(old, unknown()), told(new, sent_as("p-3"))].map(|entry| Reassertion { lane: wide(2), ..entry });
    assert_eq!(s.store.reassert(&journal, DAY).await.unwrap(), [Settled::Missing, Settled::LateEvidence(State::Sent)]);
    assert_eq!(s.get(old.id).await.provider_id.as_deref(), Some("p-3"));
}

pub(crate) async fn a_long_journal_is_told_in_one_call(s: &Subject) {
    let mut journal = Vec::new();
    for lane in 0..10 {
        let token = lost_lease(s, lane, &format!("lane {lane}")).await.token;
        for n in 0..70 {
            let id = MessageId::from_key(&key(&format!("lost {lane} {n}")).unwrap());
            let settlement = Settlement {
                lease: LeaseRef { id, token },
                outcome: if n % 2 == 0 { sent_as(&format!("p {lane} {n}")) } else { unknown() },
                age: ms(5),
                seen: PlanSeen::default(),
            };
            journal.push(Reassertion { settlement, lane: wide(lane) });
        }
    }
    assert_eq!(s.store.reassert(&journal, DAY).await.unwrap(), [Settled::Missing; 700]);
    let again = s.store.reassert(&journal, DAY).await.unwrap();
    for (n, answer) in again.into_iter().enumerate() {
        assert_eq!(answer, Settled::Again(if n % 2 == 0 { State::Sent } else { State::Held }));
    }
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.count(State::Sent), stats.count(State::Held)), (350, 350));
}

/// Of the moment in which it was given out nothing is left.
async fn given_out_and_forgotten(s: &Subject, new: NewMessage) -> LeaseRef {
    s.put(new).await;
    let lease = s.claim_one().await.reference();
    s.settle(lease, Outcome::Released).await;
    lease
}

pub(crate) async fn a_lost_send_of_a_message_that_has_expired_since_is_asked_for(s: &Subject) {
    let mut ids = Vec::new();
    for (extension, new) in [(1, asked(&wide(1), "a")), (2, resent(&wide(2), "b")), (3, message(&wide(3), "c"))] {
        let lane = new.lane.clone();
        let lease = given_out_and_forgotten(s, NewMessage { send_by: Some(s.now() + 100), ..new }).await;
        s.step(101);
        assert_eq!(s.reap().await.expired, 1);
        let state = if extension == 3 { State::Held } else { State::Unknown };
        assert_eq!(s.reassert(&lane, lease, unknown()).await, Settled::LateEvidence(state), "{lane}");
        assert_eq!(s.reassert(&lane, lease, unknown()).await, Settled::Again(state));
        if state == State::Unknown {
            s.prove_absent(lease).await;
            assert!(s.claim(1).await.is_empty(), "its time has passed");
        } else {
            assert_eq!(s.settle(lease, sent_as("p-1")).await, Settled::LateEvidence(State::Sent));
        }
        ids.push(lease.id);
        s.adds_up(&lane, &ids).await;
    }
}

/// The clock of the machine whose journal tells it was an hour ahead when it wrote it down.
pub(crate) async fn a_lost_send_that_is_told_with_a_wrong_age_is_looked_for_from_its_claim_on(s: &Subject) {
    for (lane, is_cancelled) in [(wide(1), false), (wide(2), true)] {
        let claimed = s.now();
        let lease = given_out_and_forgotten(s, asked(&lane, "a")).await;
        s.step(3_600_000);
        if is_cancelled {
            s.store.cancel(&lease.id).await.unwrap();
        }
        let settlement = Settlement { lease, outcome: unknown(), age: ms(0), seen: PlanSeen::default() };
        s.store.reassert(&[Reassertion { settlement, lane }], DAY).await.unwrap();
        assert_eq!(s.get(lease.id).await.intent_at, Some(claimed));
    }
}

pub(crate) async fn a_lost_send_of_a_message_that_was_cancelled_since_is_a_persons_to_judge(s: &Subject) {
    let lease = given_out_and_forgotten(s, resent(&wide(1), "a")).await;
    assert_eq!(s.store.cancel(&lease.id).await.unwrap(), Cancelled::Done);
    assert_eq!(s.reassert(&wide(1), lease, unknown()).await, Settled::LateEvidence(State::Held));
    let view = s.get(lease.id).await;
    assert_eq!(view.reason, "cancelled-under-way");
    assert!(view.intent_at.is_some(), "a person is told from when on to look");
    assert!(s.claim(1).await.is_empty());
    s.adds_up(&wide(1), &[lease.id]).await;
}

pub(crate) async fn a_send_that_was_cancelled_while_it_was_under_way_and_refused_stays_cancelled(s: &Subject) {
    let parked = Outcome::Parked { reason: "MSG-304".into() };
    let refusals = [not_sent(0), retry(0, 5), throttled(50), parked];
    let mut ids = Vec::new();
    for (lane, refused) in (1..).map(wide).zip(refusals) {
        let lease = given_out_and_forgotten(s, asked(&lane, "a")).await;
        assert_eq!(s.store.cancel(&lease.id).await.unwrap(), Cancelled::Done);
        assert_eq!(s.reassert(&lane, lease, unknown()).await, Settled::LateEvidence(State::Held));
        assert_eq!(s.settle(lease, refused).await, Settled::LateEvidence(State::Cancelled));
        assert_eq!(s.get(lease.id).await.reason, "cancelled");
        s.step(100);
        assert!(s.claim(1).await.is_empty());
        ids.push(lease.id);
        s.adds_up(&lane, &ids).await;
    }
    let lease = given_out_and_forgotten(s, asked(&wide(5), "a")).await;
    assert_eq!(s.store.cancel(&lease.id).await.unwrap(), Cancelled::Done);
    assert_eq!(s.reassert(&wide(5), lease, unknown()).await, Settled::LateEvidence(State::Held));
    assert_eq!(s.settle(lease, sent()).await, Settled::LateEvidence(State::Sent), "it was too late");
}

pub(crate) async fn a_lost_intent_of_a_message_that_was_taken_for_poison_is_asked_for(s: &Subject) {
    let id = s.put(asked(&wide(1), "a")).await;
    let mut last = None;
    for _ in 0..=MAX_RECOVERIES {
        last = Some(s.claim_one().await.reference());
        s.step(LEASE.as_millis() as i64);
        s.reap().await;
    }
    assert_eq!(s.state(id).await, State::Dead);
    assert_eq!(s.reassert(&wide(1), last.unwrap(), unknown()).await, Settled::LateEvidence(State::Unknown));
    s.adds_up(&wide(1), &[id]).await;
}

pub(crate) async fn a_send_that_was_proven_absent_opens_no_message_again_that_has_ended_since(s: &Subject) {
    for (lane, ended) in (1..).map(wide).zip([State::Cancelled, State::Expired, State::Expired, State::Dead]) {
        let send_by = (ended == State::Expired).then(|| s.now() + SETTLE_MS + 100);
        let lease = s.send_into_the_dark(NewMessage { send_by, ..asked(&lane, "a") }).await;
        s.prove_absent(lease).await;
        match ended {
            State::Cancelled => assert_eq!(s.store.cancel(&lease.id).await.unwrap(), Cancelled::Done),
            State::Expired => {
                s.step(101);
                // By whoever comes first.
                if lane == wide(2) {
                    assert_eq!(s.reap().await.expired, 1);
                }
                assert!(s.claim(1).await.is_empty());
            }
            _ => {
                for _ in 0..=MAX_RECOVERIES {
                    s.claim_one().await;
                    s.step(LEASE.as_millis() as i64);
                    s.reap().await;
                }
            }
        }
        assert_eq!(s.state(lease.id).await, ended);
        assert_eq!(s.reassert(&lane, lease, unknown()).await, Settled::Again(ended));
    }
}
