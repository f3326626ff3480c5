//! Of the messages between one sender and one recipient only one is under way or of unknown fate.

use ringfleet_store::{Begin, Decided, LeaseRef, NewMessage, Outcome, Priority, Private, Settled, State};

use crate::talk::*;

const LEASE_MS: i64 = 10_000;

/// A message to somebody to whom others go too.
fn to(recipient: &str, new: NewMessage) -> NewMessage {
    NewMessage { to: Private::new(recipient), ..new }
}

fn to_ann(text: &str) -> NewMessage {
    to("+16505550101", asked(&wide(1), text))
}

async fn put_to_ann(s: &Subject, texts: &[&str]) {
    for text in texts {
        s.put(to_ann(text)).await;
    }
}

pub(crate) async fn one_of_a_pair_goes_at_a_time_and_the_others_do_not_hold_up_their_lane(s: &Subject) {
    put_to_ann(s, &["1", "2"]).await;
    s.put(message(&wide(1), "other")).await;
    put_to_ann(s, &["3"]).await;
    let claim = s.claim_as("w", 5, LEASE).await;
    assert_eq!(texts(&claim.leases), ["1", "other"]);
    assert_eq!(claim.next_due, Some(ms(1_000)));
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.count(State::Claimed), stats.count(State::Scheduled)), (2, 2));
    assert_eq!(s.view(&wide(1)).await.waiting, 0);
    s.step(999);
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn those_put_off_come_back_by_deadline_and_in_order(s: &Subject) {
    let all: Vec<_> = (1..=20).map(|n| n.to_string()).collect();
    put_to_ann(s, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = s.claim(5).await.remove(0);
    assert_eq!(first.text.expose(), "1");
    s.send(&first).await;
    assert!(s.claim(5).await.is_empty(), "no call brings them back");
    s.step(999);
    assert!(s.claim(5).await.is_empty());
    // One millisecond apart, so that they keep their order.
    s.step(1);
    let second = s.claim(5).await.remove(0);
    assert_eq!(second.text.expose(), "2");
    for _ in 0..3 {
        s.step(1_100);
        assert!(s.claim(5).await.is_empty());
    }
    s.send(&second).await;
    for text in &all[2..] {
        s.step(1_100);
        let leases = s.claim(5).await;
        assert_eq!(texts(&leases), [text]);
        s.send(&leases[0]).await;
    }
    assert_eq!(s.store.stats().await.unwrap().count(State::Sent), 20);
}

pub(crate) async fn another_sender_or_another_recipient_is_another_pair(s: &Subject) {
    put_to_ann(s, &["1"]).await;
    s.put(NewMessage { from: Private::new("+16505550111"), ..to_ann("2") }).await;
    s.put(to("+16505550102", to_ann("3"))).await;
    // Names that run together to the same letters.
    let names =
        |from: &str, to: &str, text| NewMessage { from: Private::new(from), to: Private::new(to), ..to_ann(text) };
    s.put(names("1", "23", "4")).await;
    s.put(names("12", "3", "5")).await;
    assert_eq!(s.claim(8).await.len(), 5);
}

pub(crate) async fn a_pair_is_busy_across_the_lanes_of_an_extension(s: &Subject) {
    s.put(to("+16505550101", message(&wide(1), "1"))).await;
    let lease = s.claim_one().await;
    s.put(to("+16505550101", message(&tight(1), "2"))).await;
    assert!(s.claim(5).await.is_empty());
    s.send(&lease).await;
    s.step(1_000);
    assert_eq!(texts(&s.claim(5).await), ["2"]);
}

/// What a worker, a reaper, a clock or a person may do with the holder of a pair, and whether it is the holder itself that
/// goes next.
async fn end_in_many_ways(s: &Subject, way: usize, lease: LeaseRef) -> Option<bool> {
    let settled = match way {
        0 => Some((sent(), false)),
        1 => Some((rejected(), false)),
        2 => Some((retry(0, 1), false)),
        3 => Some((throttled(1), true)),
        4 => Some((not_sent(0), true)),
        5 => Some((Outcome::Released, true)),
        6 => Some((retry(60_000, 5), false)),
        _ => None,
    };
    if let Some((outcome, itself)) = settled {
        if way != 5 {
            assert_eq!(s.begin(lease).await, Begin::Go);
        }
        assert!(matches!(s.settle(lease, outcome).await, Settled::Done(_)));
        s.step(1);
        return Some(itself);
    }
    match way {
        7 => {
            s.store.set_paused(&wide(1), true).await.unwrap();
            assert_eq!(s.begin(lease).await, Begin::PutBack);
            s.store.set_paused(&wide(1), false).await.unwrap();
            Some(true)
        }
        8 => {
            s.step(LEASE_MS);
            assert_eq!(s.reap().await.requeued, 1);
            Some(true)
        }
        9..=12 => {
            assert_eq!(s.begin(lease).await, Begin::Go);
            assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Unknown));
            s.step(1_001);
            assert!(s.claim(5).await.is_empty(), "busy while its fate is unknown");
            match way {
                9 => assert_eq!(s.found(lease, &["p"], 0).await, Decided::Sent),
                10 => assert_eq!(s.undecidable(lease, "x").await, Decided::Held),
                11 => s.prove_absent(lease).await,
                _ => assert_eq!(s.settle(lease, sent()).await, Settled::LateEvidence(State::Sent)),
            }
            Some(way == 11)
        }
        _ => None,
    }
}

pub(crate) async fn the_end_of_its_holder_frees_the_pair_however_it_comes(s: &Subject) {
    for way in 0.. {
        put_to_ann(s, &["1", "2"]).await;
        let lease = s.claim_one().await;
        assert_eq!(lease.text.expose(), "1");
        let Some(itself) = end_in_many_ways(s, way, lease.reference()).await else { break };
        if !itself {
            // The other one was put off at the latest while the pair was busy.
            s.step(1_001);
        }
        let next = s.claim_one().await;
        assert_eq!(next.text.expose(), if itself { "1" } else { "2" }, "way {way}");
        s.send(&next).await;
        // Empties the lane for the next way.
        for _ in 0..5 {
            s.step(60_000);
            for lease in s.claim(5).await {
                s.send(&lease).await;
            }
        }
    }
}

pub(crate) async fn a_holder_that_expires_or_is_held_frees_the_pair(s: &Subject) {
    s.put(NewMessage { send_by: Some(s.now() + 10), ..to_ann("1") }).await;
    put_to_ann(s, &["2"]).await;
    let lease = s.claim_one().await;
    s.step(11);
    assert_eq!(s.begin(lease.reference()).await, Begin::Expired);
    let lease = s.claim_one().await;
    assert_eq!(lease.text.expose(), "2");
    s.send(&lease).await;

    s.put(to("+16505550101", message(&wide(1), "3"))).await;
    put_to_ann(s, &["4"]).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Held));
    assert_eq!(texts(&s.claim(5).await), ["4"]);
}

pub(crate) async fn a_hundred_to_a_busy_recipient_do_not_stall_their_lane(s: &Subject) {
    put_to_ann(s, &["first"]).await;
    let first = s.claim_one().await;
    for n in 0..100 {
        s.put(to_ann(&n.to_string())).await;
    }
    s.put(message(&wide(1), "other")).await;
    assert_eq!(texts(&s.claim(5).await), ["other"]);
    assert_eq!(s.store.stats().await.unwrap().count(State::Scheduled), 100);
    s.send(&first).await;
    // All go, one after the other.
    let mut gone = std::collections::BTreeSet::new();
    for _ in 0..100 {
        s.step(1_200);
        let lease = s.claim_one().await;
        assert!(gone.insert(lease.id));
        s.send(&lease).await;
    }
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn one_put_off_can_expire_and_be_cancelled(s: &Subject) {
    put_to_ann(s, &["1"]).await;
    let expires = s.put(NewMessage { send_by: Some(s.now() + 500), ..to_ann("2") }).await;
    let cancelled = s.put(to_ann("3")).await;
    assert_eq!(s.claim(5).await.len(), 1);
    assert_eq!([s.state(expires).await, s.state(cancelled).await], [State::Scheduled; 2]);
    assert_eq!(s.store.cancel(&cancelled).await.unwrap(), ringfleet_store::Cancelled::Done);
    s.step(501);
    assert_eq!(s.reap().await.expired, 1);
    s.step(1_000);
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.store.stats().await.unwrap().total(), 3);
}

pub(crate) async fn an_urgent_one_waits_for_its_pair_too(s: &Subject) {
    put_to_ann(s, &["1"]).await;
    let lease = s.claim_one().await;
    s.put(NewMessage { priority: Priority::High, ..to_ann("urgent") }).await;
    assert!(s.claim(5).await.is_empty());
    s.send(&lease).await;
    s.step(1_000);
    assert_eq!(texts(&s.claim(5).await), ["urgent"]);
}

/// A send that the store had lost is told of while the pair has another holder, which is being sent: both are waited for.
async fn two_holders(s: &Subject, second: &str) -> (LeaseRef, LeaseRef) {
    put_to_ann(s, &["1"]).await;
    let lost = s.lease_lost_before_its_intent().await;
    // At the head again; another message of the pair is taken while it is not there.
    s.settle(lost, rejected()).await;
    let other = s.claim_one().await;
    s.settle(other.reference(), retry_later()).await;
    put_to_ann(s, &[second]).await;
    let holder = s.claim_one().await;
    assert_eq!(s.begin(holder.reference()).await, Begin::Go);
    let late = LeaseRef { id: other.id, token: other.token };
    assert_eq!(s.settle(late, unknown()).await, Settled::LateEvidence(State::Unknown));
    (late, holder.reference())
}

pub(crate) async fn a_second_holder_found_late_keeps_the_pair_busy(s: &Subject) {
    let (late, holder) = two_holders(s, "2").await;
    put_to_ann(s, &["3"]).await;
    s.step(1_001);
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.settle(holder, rejected()).await, Settled::Done(State::Rejected));
    s.step(1_001);
    assert!(s.claim(5).await.is_empty(), "the other one is still open");
    assert_eq!(s.found(late, &["p"], 0).await, Decided::Sent);
    s.step(1_001);
    assert_eq!(s.claim_one().await.text.expose(), "3");
}

pub(crate) async fn a_text_that_may_be_its_twins_counts_for_neither_until_that_one_has_told(s: &Subject) {
    let (late, holder) = two_holders(s, "2").await;
    assert_eq!(s.found(late, &["the holder's"], 0).await, Decided::NotYet);
    assert_eq!(s.found(late, &["one's", "the other's"], 0).await, Decided::NotYet);
    assert_eq!(s.settle(holder, sent_as("the holder's")).await, Settled::Done(State::Sent));
    s.step(90_000);
    assert_eq!(s.found(late, &["the holder's"], 0).await, Decided::Again, "it was never sent");
    assert_eq!(s.claim_one().await.id, late.id);
}

/// Readings that show a text are no proof that it is not its own.
pub(crate) async fn a_text_that_may_be_its_twins_proves_no_absence_however_long_that_one_takes(s: &Subject) {
    let (late, holder) = two_holders(s, "2").await;
    assert_eq!(s.store.extend(&[holder], ms(10 * SETTLE_MS)).await.unwrap(), [true]);
    for _ in 0..4 {
        s.step(SETTLE_MS);
        assert_eq!(s.found(late, &["its own"], 0).await, Decided::NotYet);
    }
    assert_eq!(s.settle(holder, sent_as("the holder's")).await, Settled::Done(State::Sent));
    assert_eq!(s.found(late, &["its own"], 0).await, Decided::Sent);
}

pub(crate) async fn a_text_that_may_be_of_either_of_two_unknown_sends_is_for_a_person(s: &Subject) {
    for (second, decided) in [("1", Decided::Held), ("2", Decided::Sent)] {
        let (late, holder) = two_holders(s, second).await;
        s.settle(holder, unknown()).await;
        let found = format!("beside {second}");
        assert_eq!(s.found(late, &[&found], 0).await, decided, "{second}");
        assert_eq!(s.found(holder, &[&found], 0).await, if second == "1" { Decided::Sent } else { Decided::NotYet });
        s.settle(holder, rejected()).await;
        s.step(900_001);
    }
}

/// Certainly not sent, and scheduled: its token's story is not closed, as after a moment that the store has lost.
fn retry_later() -> Outcome {
    retry(30_000, 9)
}
