//! Opt-outs: nothing is sent to who wants no texts, whenever they say so.

use ringfleet_store::{
    Begin, Cancelled, Decided, Enqueued, LaneId, LeaseRef, ListFrom, MessageId, MessageView, NewMessage, OptOut,
    OptOutCursor, OptedOut, Private, Resolution, Settled, State, StoreError,
};

use crate::talk::*;

const FROM: &str = "+16505550100";

fn change(from: &str, to: &Private, out: bool) -> OptOut {
    OptOut { from: Private::new(from), to: to.clone(), out }
}

/// The recipient of `new` wants no texts of its sender.
async fn opt_out(s: &Subject, new: &NewMessage) {
    set(s, Some(new.lane.extension()), FROM, &new.to, true).await;
}

async fn set(s: &Subject, extension: Option<&str>, from: &str, to: &Private, out: bool) {
    s.store.set_opt_outs(extension, &[change(from, to, out)]).await.unwrap();
}

async fn is_out(s: &Subject, lane: &LaneId, to: &Private) -> bool {
    s.store.opted_out(lane.extension(), &Private::new(FROM), to).await.unwrap()
}

async fn is_suppressed(s: &Subject, id: MessageId, lane: &LaneId) -> MessageView {
    let view = s.get(id).await;
    assert_eq!((view.state, view.reason.as_str(), view.finished_at), (State::Suppressed, "opted-out", Some(s.now())));
    assert_eq!(view.provider_id, None);
    let lane = s.view(lane).await;
    assert_eq!((lane.in_flight, lane.slots_in_use), (0, 0), "nothing was sent");
    view
}

pub(crate) async fn a_message_to_who_opted_out_is_taken_and_ends_at_once(s: &Subject) {
    let new = NewMessage { key: key("k"), send_by: Some(s.now() + 50), ..message(&tight(1), "x") };
    opt_out(s, &new).await;
    let later = NewMessage { key: None, send_at: Some(s.now() + 1_000), ..new.clone() };
    let ids = [s.put(new.clone()).await, s.put(later).await];
    for id in ids {
        is_suppressed(s, id, &tight(1)).await;
    }
    s.adds_up(&tight(1), &ids).await;
    let claim = s.claim_as("w", 5, LEASE).await;
    assert_eq!((claim.leases, claim.next_due), (vec![], None));
    assert_eq!(s.store.enqueue(std::slice::from_ref(&new)).await.unwrap(), [Enqueued::Duplicate(ids[0])]);
    s.step(100);
    assert_eq!(s.reap().await.expired, 0);
    // An opt-in is for later messages.
    set(s, Some("1"), FROM, &new.to, false).await;
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.store.cancel(&ids[0]).await.unwrap(), Cancelled::TooLate(State::Suppressed));
    assert_eq!(s.resolve(ids[0], Resolution::Resend).await, Cancelled::TooLate(State::Suppressed));
    s.put(NewMessage { key: None, send_by: None, ..new }).await;
    assert_eq!(s.claim(5).await.len(), 1);
}

pub(crate) async fn an_opt_out_between_claim_and_send_stops_the_send(s: &Subject) {
    let (new, other) = (message(&tight(1), "x"), message(&tight(1), "y"));
    let ids = [s.put(new.clone()).await, s.put(other).await];
    let leases: Vec<LeaseRef> = s.claim(2).await.iter().map(|lease| lease.reference()).collect();
    opt_out(s, &new).await;
    assert_eq!(s.store.begin_send(&intents(&leases), LEASE).await.unwrap(), [Begin::Suppressed, Begin::Go]);
    assert_eq!(s.settle(leases[1], sent()).await, Settled::Done(State::Sent));
    let view = s.get(ids[0]).await;
    assert_eq!((view.state, view.reason.as_str()), (State::Suppressed, "opted-out"));
    let lane = s.view(&tight(1)).await;
    assert_eq!((lane.in_flight, lane.slots_in_use), (0, 1), "the slot of the other one");
    s.adds_up(&tight(1), &ids).await;
    // Whoever asks again with the same lease gets nothing, and what is reported of it changes nothing.
    assert_eq!(s.begin(leases[0]).await, Begin::LeaseLost);
    assert_eq!(s.settle(leases[0], not_sent(0)).await, Settled::Again(State::Suppressed));
}

pub(crate) async fn an_opt_out_after_the_intent_does_not_undo_it(s: &Subject) {
    let new = message(&tight(1), "x");
    s.put(new.clone()).await;
    let lease = s.claim_and_begin().await;
    opt_out(s, &new).await;
    assert_eq!(s.begin(lease).await, Begin::Go, "the same answer to the same question");
    assert_eq!(s.settle(lease, sent()).await, Settled::Done(State::Sent));
}

pub(crate) async fn a_message_that_comes_back_is_judged_anew(s: &Subject) {
    for (extension, outcome) in (1..).zip([retry(0, 5), throttled(1), not_sent(1), retry(50, 5)]) {
        let new = message(&wide(extension), "x");
        let id = s.put(new.clone()).await;
        let lease = s.claim_and_begin().await;
        opt_out(s, &new).await;
        s.settle(lease, outcome).await;
        s.step(120_000);
        let again = s.claim_one().await.reference();
        assert_eq!(s.begin(again).await, Begin::Suppressed);
        is_suppressed(s, id, &wide(extension)).await;
    }
}

pub(crate) async fn a_stopped_fleet_suppresses_all_the_same(s: &Subject) {
    let new = message(&tight(1), "x");
    let id = s.put(new.clone()).await;
    let lease = s.claim_one().await.reference();
    opt_out(s, &new).await;
    s.store.set_paused(&tight(1), true).await.unwrap();
    assert_eq!(s.begin(lease).await, Begin::Suppressed);
    is_suppressed(s, id, &tight(1)).await;
}

pub(crate) async fn a_send_proven_absent_is_not_sent_again_to_who_opted_out(s: &Subject) {
    let new = asked(&tight(1), "x");
    let lease = s.send_into_the_dark(new.clone()).await;
    opt_out(s, &new).await;
    assert_eq!(s.state(lease.id).await, State::Unknown, "it may have been sent before");
    assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
    s.step(SETTLE_MS);
    assert_eq!(s.found_at_most(lease, &[], 0, 1).await, Decided::Suppressed);
    is_suppressed(s, lease.id, &tight(1)).await;
    assert_eq!(s.found(lease, &["p"], 0).await, Decided::Stale);
    assert!(s.take_unknown(5, 1).await.is_empty());
    s.adds_up(&tight(1), &[lease.id]).await;
    // The recipient is free for a message that the sender may send them later.
    set(s, Some("1"), FROM, &new.to, false).await;
    s.put(new).await;
    assert_eq!(s.claim(1).await.len(), 1);
}

pub(crate) async fn a_send_found_is_sent_though_its_recipient_opted_out(s: &Subject) {
    let new = asked(&wide(1), "x");
    let lease = s.send_into_the_dark(new.clone()).await;
    opt_out(s, &new).await;
    assert_eq!(s.found(lease, &["p"], 0).await, Decided::Sent);
}

pub(crate) async fn a_policy_to_send_again_is_not_followed_after_an_opt_out(s: &Subject) {
    let new = resent(&tight(1), "x");
    s.put(new.clone()).await;
    let lease = s.claim_and_begin().await;
    opt_out(s, &new).await;
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Unknown), "whether it arrived is asked");
    assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
    s.step(SETTLE_MS);
    assert_eq!(s.found(lease, &[], 0).await, Decided::Suppressed);
    assert_eq!(s.get(lease.id).await.may_have_arrived(), None, "it was looked for");
    is_suppressed(s, lease.id, &tight(1)).await;
    // Any of its sends may have arrived, so they are looked for from the first one on.
    let new = resent(&tight(3), "x");
    s.put(new.clone()).await;
    let first = s.now();
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Ready));
    s.step(10);
    let lease = s.claim_and_begin().await;
    opt_out(s, &new).await;
    assert_eq!(s.settle(lease, unknown()).await, Settled::Done(State::Unknown));
    assert_eq!(s.get(lease.id).await.intent_at, Some(first));
    assert_eq!(s.found(lease, &["p"], 0).await, Decided::Sent);
    // The same of one whose worker died.
    s.put(resent(&tight(2), "x")).await;
    s.claim_and_begin().await;
    opt_out(s, &resent(&tight(2), "x")).await;
    s.step(LEASE.as_millis() as i64);
    s.reap().await;
    assert_eq!(s.store.stats().await.unwrap().count(State::Unknown), 1);
}

pub(crate) async fn a_person_cannot_send_again_to_who_opted_out(s: &Subject) {
    for (extension, outcome, state) in [(1, unknown(), State::Held), (2, retry(0, 1), State::Dead)] {
        let new = message(&tight(extension), "x");
        let id = s.put(new.clone()).await;
        let lease = s.claim_and_begin().await;
        assert_eq!(s.settle(lease, outcome).await, Settled::Done(state));
        opt_out(s, &new).await;
        s.step(60_000);
        for _ in 0..2 {
            assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::TooLate(State::Suppressed));
        }
        is_suppressed(s, id, &tight(extension)).await;
        assert!(s.store.list(&ListFrom::newest(state), 5).await.unwrap().messages.is_empty());
    }
}

pub(crate) async fn an_opt_out_reaches_as_far_as_it_says(s: &Subject) {
    let (one, two, to) = (wide(1), wide(2), Private::new("+16505550199"));
    let other = Private::new("+16505550198");
    for (extension, from, reaches) in [
        (Some("1"), FROM, (true, false)),
        (Some("1"), "*", (true, false)),
        (Some("1"), "+16505550101", (false, false)),
        (None, FROM, (true, true)),
        (None, "*", (true, true)),
        (None, "+16505550101", (false, false)),
    ] {
        set(s, extension, from, &to, true).await;
        assert_eq!((is_out(s, &one, &to).await, is_out(s, &two, &to).await), reaches, "{extension:?} {from}");
        assert!(!is_out(s, &one, &other).await);
        for lane in [&one, &two] {
            let new = NewMessage { to: to.clone(), ..message(lane, "x") };
            let suppressed = s.state(s.put(new).await).await == State::Suppressed;
            assert_eq!(suppressed, is_out(s, lane, &to).await);
        }
        set(s, extension, from, &to, false).await;
        assert!(!is_out(s, &one, &to).await && !is_out(s, &two, &to).await);
    }
}

pub(crate) async fn lifting_one_opt_out_lifts_no_other(s: &Subject) {
    let to = Private::new("+16505550199");
    set(s, Some("1"), "*", &to, true).await;
    set(s, Some("1"), FROM, &to, true).await;
    set(s, None, "*", &to, true).await;
    for (extension, from) in [(Some("1"), FROM), (Some("1"), "*"), (Some("2"), "*")] {
        set(s, extension, from, &to, false).await;
        assert!(is_out(s, &wide(1), &to).await, "{extension:?} {from}");
    }
    set(s, None, "*", &to, false).await;
    assert!(!is_out(s, &wide(1), &to).await);
}

pub(crate) async fn what_was_entered_after_an_opt_in_outlives_it(s: &Subject) {
    let to = Private::new("+16505550199");
    for extension in [Some("1"), None] {
        s.step(60_000);
        let entered = s.now();
        let opt_out = [change(FROM, &to, true)];
        let lift = async |until| {
            s.store.lift_opt_outs(extension, &opt_out, until).await.unwrap();
            !is_out(s, &wide(1), &to).await
        };
        s.store.set_opt_outs(extension, &opt_out).await.unwrap();
        s.step(60_000);
        // Entered once more it stands since its first time.
        s.store.set_opt_outs(extension, &opt_out).await.unwrap();
        for before in [i64::MIN, 0, entered - 1] {
            assert!(!lift(before).await, "{extension:?} {before}");
        }
        assert!(lift(entered).await, "{extension:?}");
        // Of several each is judged by itself.
        let both = [change(FROM, &to, true), change("+16505550101", &to, true)];
        s.store.set_opt_outs(extension, &both[..1]).await.unwrap();
        s.step(1_000);
        s.store.set_opt_outs(extension, &both[1..]).await.unwrap();
        s.store.lift_opt_outs(extension, &both, s.now() - 1).await.unwrap();
        assert!(!is_out(s, &wide(1), &to).await, "{extension:?}");
        assert!(s.store.opted_out("1", &both[1].from, &to).await.unwrap(), "{extension:?}");
        s.store.lift_opt_outs(extension, &both, i64::MAX).await.unwrap();
        assert!(!s.store.opted_out("1", &both[1].from, &to).await.unwrap(), "{extension:?}");
    }
}

pub(crate) async fn opt_outs_are_listed_page_by_page(s: &Subject) {
    let to = |n: u32| Private::new(format!("+1650555{n:04}"));
    let changes: Vec<_> = (0..600).map(|n| change(FROM, &to(n), true)).collect();
    s.store.set_opt_outs(Some("1"), &changes).await.unwrap();
    s.step(1_000);
    s.store.set_opt_outs(Some("1"), &changes[5..10]).await.unwrap(); // known already
    set(s, None, "*", &to(7), true).await;
    set(s, Some("2"), "*", &to(8), true).await;
    set(s, Some("1"), FROM, &to(0), false).await;
    let mut listed = Vec::new();
    let mut cursor = OptOutCursor::default();
    for limit in [1, 100, 5_000].into_iter().cycle() {
        let page = s.store.opt_outs(&cursor, limit).await.unwrap();
        assert!(page.opted_out.len() <= (limit as usize).min(500));
        listed.extend(page.opted_out);
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert!(s.store.opt_outs(&cursor, 5).await.unwrap().opted_out.is_empty());
    let entry = |extension: Option<&str>, from: &str, n, at| OptedOut {
        extension: extension.map(str::to_owned),
        from: Private::new(from),
        to: to(n),
        since: at,
    };
    let before = s.now() - 1_000;
    let mut expected: Vec<_> = (1..600).map(|n| entry(Some("1"), FROM, n, before)).collect();
    expected.push(entry(None, "*", 7, s.now()));
    expected.push(entry(Some("2"), "*", 8, s.now()));
    let sorted = |mut entries: Vec<OptedOut>| {
        entries.sort_by_key(|one| (one.extension.clone(), one.to.expose().to_owned()));
        entries
    };
    if s.backend == crate::harness::Backend::Cluster {
        (listed, expected) = (sorted(listed), sorted(expected));
    }
    assert!(listed == expected, "{} against {}", listed.len(), expected.len());
}

pub(crate) async fn a_number_that_no_message_can_have_is_refused(s: &Subject) {
    let long = "9".repeat(65);
    for (extension, from, to) in
        [(Some(""), FROM, "+1"), (Some("1"), "", "+1"), (Some("1"), FROM, ""), (None, "a\0b", "+1"), (None, "*", &long)]
    {
        let refused = s.store.set_opt_outs(extension, &[change(from, &Private::new(to), true)]).await;
        let Err(StoreError::Refused { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(!reason.contains(&long), "{reason}");
    }
    assert!(s.store.opt_outs(&OptOutCursor::default(), 5).await.unwrap().opted_out.is_empty());
}

pub(crate) async fn a_suppressed_message_is_forgotten_like_any_other(s: &Subject) {
    let new = message(&wide(1), "x");
    opt_out(s, &new).await;
    let id = s.put(new).await;
    s.step(999);
    assert_eq!(s.store.reap(500, ms(1_000)).await.unwrap().pruned, 0);
    s.step(1);
    assert_eq!(s.store.reap(500, ms(1_000)).await.unwrap().pruned, 1);
    assert_eq!(s.store.get(&id).await.unwrap(), None);
    assert_eq!(s.store.stats().await.unwrap().total(), 0);
}
