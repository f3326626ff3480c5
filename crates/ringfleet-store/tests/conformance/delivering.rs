//! What becomes of texts after they were sent, as the provider tells it later.

use std::time::Duration;

use ringfleet_store::{
    AwaitedReports, Cancelled, Decided, Delivery, DeliveryReport, LaneId, LaneRules, LeaseRef, MessageId, NewMessage,
    OptOut, Private, Reaped, Recorded, Resolution, Settled, State,
};

use crate::talk::*;

const WAIT_MS: i64 = 72 * 3_600_000;
/// Reports are looked for so long after the last send.
const FIRST_MS: i64 = 30_000;
const HOUR_MS: i64 = 3_600_000;

/// Sends a message of `lane`, which the provider calls `provider_id`.
async fn send(s: &Subject, lane: &LaneId, provider_id: &str) -> (MessageId, LeaseRef) {
    let id = s.put(message(lane, provider_id)).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, sent_as(provider_id)).await, Settled::Done(State::Sent));
    (id, lease)
}

fn told(provider_id: &str, delivered: bool) -> Delivery {
    let code = if delivered { "" } else { "SMS-CAR-411" };
    Delivery { provider_id: provider_id.into(), delivered, code: code.into(), opted_out: false }
}

async fn tell(s: &Subject, lane: &LaneId, provider_id: &str, delivered: bool) -> Recorded {
    s.store.record_delivery(lane, &[told(provider_id, delivered)]).await.unwrap()[0]
}

async fn take(s: &Subject, lanes: u32, lock: i64) -> Vec<AwaitedReports> {
    s.store.delivery_take(lanes, ms(lock)).await.unwrap()
}

fn waits(lane: &LaneId, since: i64, waiting: u32) -> AwaitedReports {
    AwaitedReports { lane: lane.clone(), since, waiting }
}

fn waits_for_none() -> LaneRules {
    let mut rules = rules();
    rules.delivery_wait = Duration::ZERO;
    rules
}

pub(crate) async fn a_report_ends_a_sent_message_as_delivered_or_not(s: &Subject) {
    let ids = [send(s, &wide(1), "100").await.0, send(s, &wide(1), "200").await.0];
    let before = s.get(ids[0]).await;
    s.step(5_000);
    let reports = [told("100", true), told("200", false)];
    let answers = s.store.record_delivery(&wide(1), &reports).await.unwrap();
    assert_eq!(answers, [Recorded::Done(ids[0]), Recorded::Done(ids[1])]);
    for (id, state, code) in [(ids[0], State::Delivered, ""), (ids[1], State::DeliveryFailed, "SMS-CAR-411")] {
        let view = s.get(id).await;
        assert_eq!((view.state, view.state.is_final()), (state, true));
        assert_eq!(view.delivery, Some(DeliveryReport { code: code.into(), at: s.now() }));
        // The rest of the record is that of its sending.
        assert_eq!((view.reason.as_str(), view.finished_at, view.text.expose()), ("accepted", before.finished_at, ""));
    }
    assert_eq!(s.get(ids[1]).await.provider_id.as_deref(), Some("200"));
    s.adds_up(&wide(1), &ids).await;
    assert_eq!(s.store.stats().await.unwrap().sent(), 2);
}

pub(crate) async fn a_repeated_report_changes_nothing(s: &Subject) {
    let id = send(s, &wide(1), "100").await.0;
    let twice = s.store.record_delivery(&wide(1), &[told("100", true), told("100", false)]).await.unwrap();
    assert_eq!(twice, [Recorded::Done(id), Recorded::Again]);
    let before = s.get(id).await;
    for after in [0, HOUR_MS - 1] {
        s.at(after);
        assert_eq!(tell(s, &wide(1), "100", false).await, Recorded::Again);
        assert_eq!(s.get(id).await, before);
    }
    s.at(HOUR_MS);
    assert_eq!(tell(s, &wide(1), "100", true).await, Recorded::Unknown);
    assert_eq!(s.get(id).await, before);
}

pub(crate) async fn a_report_of_another_text_is_unknown(s: &Subject) {
    let id = send(s, &wide(1), "100").await.0;
    for (lane, text) in [(wide(1), "101"), (wide(2), "100"), (tight(1), "100"), (wide(3), "")] {
        assert_eq!(tell(s, &lane, text, true).await, Recorded::Unknown);
    }
    assert_eq!(s.state(id).await, State::Sent);
    assert_eq!(s.store.record_delivery(&wide(1), &[]).await.unwrap(), []);
    assert_eq!(tell(s, &wide(1), "100", true).await, Recorded::Done(id));
}

pub(crate) async fn a_message_waits_for_its_report_so_long_and_no_longer(s: &Subject) {
    let ids = [send(s, &wide(1), "100").await.0, send(s, &wide(1), "200").await.0];
    s.at(WAIT_MS - 1);
    assert_eq!(tell(s, &wide(1), "100", true).await, Recorded::Done(ids[0]));
    s.at(WAIT_MS);
    assert_eq!(tell(s, &wide(1), "200", true).await, Recorded::Late);
    assert_eq!(take(s, 5, 1_000).await, []);
    assert_eq!(tell(s, &wide(1), "200", true).await, Recorded::Late, "until the reaper has come");
    assert_eq!(s.store.reap(500, 30 * DAY).await.unwrap(), Reaped { unreported: 1, ..Reaped::default() });
    assert_eq!(tell(s, &wide(1), "200", true).await, Recorded::Unknown);
    assert_eq!(s.state(ids[1]).await, State::Sent);
}

pub(crate) async fn the_reaper_forgets_few_reports_at_a_time(s: &Subject) {
    for n in 0..5 {
        send(s, &wide(1 + n % 2), &n.to_string()).await;
        s.step(1);
    }
    s.at(WAIT_MS + 10);
    let late = async || {
        let mut late = 0;
        for n in 0..5 {
            late += u32::from(tell(s, &wide(1 + n % 2), &n.to_string(), true).await == Recorded::Late);
        }
        late
    };
    assert_eq!(late().await, 5);
    let few = s.store.reap(2, 30 * DAY).await.unwrap().unreported;
    // With several shards each forgets two.
    assert!([2, 4].contains(&few));
    assert_eq!(late().await, 5 - few);
    assert_eq!(s.store.reap(500, 30 * DAY).await.unwrap().unreported, 5 - few);
    assert_eq!(late().await, 0);
}

pub(crate) async fn lanes_are_looked_at_soon_after_a_send_and_then_ever_rarer(s: &Subject) {
    send(s, &wide(1), "100").await;
    s.at(FIRST_MS - 1);
    assert_eq!(take(s, 5, 0).await, []);
    let mut at = FIRST_MS;
    let mut looks = Vec::new();
    while at < WAIT_MS {
        s.at(at - 1);
        assert_eq!(take(s, 5, 0).await, []);
        s.at(at);
        assert_eq!(take(s, 5, 0).await, [waits(&wide(1), s.now() - at, 1)]);
        looks.push(at);
        at += at.min(HOUR_MS);
    }
    assert_eq!(looks[..4], [30_000, 60_000, 120_000, 240_000]);
    assert!(looks.len() < 85, "{}", looks.len());
    // A new send brings it back soon.
    s.at(WAIT_MS - 50_000);
    take(s, 5, 0).await;
    send(s, &wide(1), "200").await;
    s.step(FIRST_MS - 1);
    assert_eq!(take(s, 5, 0).await, []);
    s.step(1);
    assert_eq!(take(s, 5, 0).await, [waits(&wide(1), s.now() - (WAIT_MS - 20_000), 2)]);
}

pub(crate) async fn who_is_given_a_lane_is_alone_with_it_for_its_lock(s: &Subject) {
    send(s, &wide(1), "100").await;
    s.at(FIRST_MS);
    assert_eq!(take(s, 5, 100_000).await.len(), 1);
    // Neither the back-off nor another send brings it up before.
    send(s, &wide(1), "200").await;
    s.at(FIRST_MS + 99_999);
    assert_eq!(take(s, 5, 0).await, []);
    s.at(FIRST_MS + 100_000);
    assert_eq!(take(s, 5, 0).await, [waits(&wide(1), s.now() - 130_000, 2)]);
}

pub(crate) async fn no_more_lanes_are_given_than_asked_for(s: &Subject) {
    for n in 1..=5 {
        send(s, &wide(n), &n.to_string()).await;
    }
    s.at(FIRST_MS);
    let mut all = Vec::new();
    for lanes in [0, 2, 2, 2, 2] {
        let taken = take(s, lanes, 1_000).await;
        assert!(taken.len() <= lanes as usize);
        all.extend(taken.into_iter().map(|one| one.lane));
    }
    all.sort();
    assert_eq!(all, (1..=5).map(wide).collect::<Vec<_>>());
}

pub(crate) async fn a_lane_that_waits_for_nothing_is_not_looked_at(s: &Subject) {
    for text in ["100", "200"] {
        send(s, &wide(1), text).await;
    }
    tell(s, &wide(1), "100", true).await;
    s.at(FIRST_MS);
    assert_eq!(take(s, 5, 0).await, [waits(&wide(1), s.now() - FIRST_MS, 1)]);
    tell(s, &wide(1), "200", false).await;
    s.at(HOUR_MS);
    assert_eq!(take(s, 5, 0).await, []);
}

pub(crate) async fn since_lies_before_every_sending(s: &Subject) {
    // A lease that is used late, a report that comes late, and a fate that was unknown for long.
    s.put(message(&wide(1), "x")).await;
    let lease = s.claim_one().await.reference();
    s.step(9_000);
    s.begin(lease).await;
    s.step(60_000);
    s.settle(lease, sent_as("100")).await;
    let dark = s.send_into_the_dark(asked(&wide(2), "y")).await;
    let intent = s.get(dark.id).await.intent_at.unwrap();
    s.step(HOUR_MS);
    s.found(dark, &["200"], 0).await;
    s.step(FIRST_MS);
    let mut taken = take(s, 5, 0).await;
    taken.sort_by_key(|one| one.since);
    assert_eq!(taken, [waits(&wide(1), s.now() - HOUR_MS - FIRST_MS - 69_000, 1), waits(&wide(2), intent, 1)]);
    assert_eq!(tell(s, &wide(2), "200", true).await, Recorded::Done(dark.id));
    let view = s.get(dark.id).await;
    assert_eq!((view.intent_at, view.reason.as_str(), view.state), (Some(intent), "reconciled", State::Delivered));
}

pub(crate) async fn a_delivered_message_stays_what_it_is(s: &Subject) {
    let (id, lease) = send(s, &wide(1), "100").await;
    tell(s, &wide(1), "100", true).await;
    let before = s.get(id).await;
    assert_eq!(s.settle(lease, sent_as("100")).await, Settled::Again(State::Delivered));
    assert_eq!(s.settle(lease, not_sent(0)).await, Settled::Again(State::Delivered));
    assert_eq!(s.reassert(&wide(1), lease, sent_as("100")).await, Settled::Again(State::Delivered));
    assert_eq!(s.reassert(&wide(1), lease, unknown()).await, Settled::Again(State::Delivered));
    assert_eq!(s.store.cancel(&id).await.unwrap(), Cancelled::TooLate(State::Delivered));
    assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::TooLate(State::Delivered));
    assert_eq!(s.get(id).await, before);
    // A second text of it is told as such.
    assert_eq!(s.settle(lease, sent_as("101")).await, Settled::SentTwice);
    assert_eq!(tell(s, &wide(1), "101", true).await, Recorded::Unknown);
    assert_eq!(s.get(id).await, before);
}

pub(crate) async fn its_text_still_proves_no_other_sending(s: &Subject) {
    send(s, &wide(1), "100").await;
    tell(s, &wide(1), "100", true).await;
    send(s, &wide(1), "200").await;
    // One whose report has come, one that waits for it, and one that has waited too long.
    let dark = s.send_into_the_dark(asked(&wide(1), "y")).await;
    assert_eq!(s.found(dark, &["100", "200"], 0).await, Decided::NotYet);
    s.found(dark, &["300"], 0).await;
    s.at(WAIT_MS);
    s.store.reap(500, 30 * DAY).await.unwrap();
    let dark = s.send_into_the_dark(asked(&wide(1), "z")).await;
    assert_eq!(s.found(dark, &["200"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_delivered_message_is_forgotten_so_long_after_its_report(s: &Subject) {
    let id = send(s, &wide(1), "100").await.0;
    let other = send(s, &wide(1), "200").await.0;
    s.at(9_000);
    tell(s, &wide(1), "100", true).await;
    for (at, pruned) in [(9_999, 0), (10_000, 1), (18_999, 0), (19_000, 1)] {
        s.at(at);
        assert_eq!(s.store.reap(500, ms(10_000)).await.unwrap().pruned, pruned, "{at}");
        assert_eq!(s.store.get(&other).await.unwrap().is_some(), at < 10_000, "{at}");
        assert_eq!(s.store.get(&id).await.unwrap().is_some(), at < 19_000, "{at}");
    }
    assert_eq!(s.store.stats().await.unwrap().total(), 0);
    assert_eq!(tell(s, &wide(1), "200", true).await, Recorded::Unknown, "its record is gone");
    assert_eq!(take(s, 5, 0).await, []);
}

pub(crate) async fn a_record_made_of_what_a_worker_knew_waits_too(s: &Subject) {
    let lost = send(s, &wide(1), "100").await.1;
    s.store.reap(500, ms(0)).await.unwrap();
    s.step(1_000);
    assert_eq!(s.reassert(&wide(1), lost, sent_as("100")).await, Settled::Missing);
    s.step(FIRST_MS);
    assert_eq!(take(s, 5, 0).await, [waits(&wide(1), s.now() - FIRST_MS - 1_000, 1)]);
    assert_eq!(tell(s, &wide(1), "100", true).await, Recorded::Done(lost.id));
}

pub(crate) async fn a_message_closed_by_a_person_waits_for_no_report(s: &Subject) {
    s.put(message(&wide(1), "x")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    assert_eq!(s.resolve(lease.id, Resolution::Sent).await, Cancelled::Done);
    s.step(FIRST_MS);
    assert_eq!(take(s, 5, 0).await, []);
}

pub(crate) async fn nothing_is_remembered_where_nobody_waits(s: &Subject) {
    let off = s.again(waits_for_none()).await;
    let id = send(&off, &wide(1), "100").await.0;
    s.step(FIRST_MS);
    assert_eq!(take(s, 5, 0).await, []);
    assert_eq!(tell(s, &wide(1), "100", true).await, Recorded::Unknown);
    assert_eq!(s.state(id).await, State::Sent);
}

pub(crate) async fn one_process_that_waits_for_no_reports_leaves_those_of_the_others_alone(s: &Subject) {
    let id = send(s, &wide(1), "100").await.0;
    let off = s.again(waits_for_none()).await;
    s.at(FIRST_MS);
    assert_eq!(off.store.reap(500, 30 * DAY).await.unwrap(), Reaped::default());
    assert_eq!(take(&off, 5, 0).await, []);
    // It says nothing of a lane's later looks either.
    assert_eq!(take(s, 5, 0).await, [waits(&wide(1), s.now() - FIRST_MS, 1)]);
    assert_eq!(tell(s, &wide(1), "100", true).await, Recorded::Done(id));
    // What it happens to see itself is heard.
    let id = send(s, &wide(1), "200").await.0;
    assert_eq!(tell(&off, &wide(1), "200", false).await, Recorded::Done(id));
}

pub(crate) async fn a_fleet_that_waits_no_longer_forgets_what_it_waited_for_after_a_month(s: &Subject) {
    send(s, &wide(1), "100").await;
    let off = s.again(waits_for_none()).await;
    let month = 30 * DAY.as_millis() as i64;
    s.at(month - 1);
    assert_eq!(off.store.reap(500, 90 * DAY).await.unwrap().unreported, 0);
    s.at(month);
    assert_eq!(tell(&off, &wide(1), "100", true).await, Recorded::Late);
    assert_eq!(off.store.reap(500, 90 * DAY).await.unwrap().unreported, 1);
    assert_eq!(tell(&off, &wide(1), "100", true).await, Recorded::Unknown);
}

pub(crate) async fn five_thousand_reports_are_told_in_one_call(s: &Subject) {
    let mut rules = rules();
    rules.in_flight_cap = 600;
    let s = &s.again(rules).await;
    let ids = s.fill(&wide(1), 600).await;
    let leases: Vec<_> = s.claim(600).await.iter().map(|lease| lease.reference()).collect();
    let intents: Vec<_> = leases.iter().map(|lease| (*lease).into()).collect();
    s.store.begin_send(&intents, LEASE).await.unwrap();
    for (n, lease) in leases.iter().enumerate() {
        s.settle(*lease, sent_as(&n.to_string())).await;
    }
    let reports: Vec<_> = (0..5_000).map(|n| told(&n.to_string(), n % 3 > 0)).collect();
    let answers = s.store.record_delivery(&wide(1), &reports).await.unwrap();
    let done = answers.iter().filter(|answer| matches!(answer, Recorded::Done(_))).count();
    assert_eq!((answers.len(), done, answers[600]), (5_000, 600, Recorded::Unknown));
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.count(State::Delivered), stats.count(State::DeliveryFailed)), (400, 200));
    s.adds_up(&wide(1), &ids).await;
}

pub(crate) async fn a_report_of_an_opt_out_is_heard_once(s: &Subject) {
    let from = Private::new("+16505550100");
    let new = message(&wide(1), "x");
    let to = new.to.clone();
    let id = s.put(new.clone()).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, sent_as("100")).await;
    let out = async || s.store.opted_out(wide(1).extension(), &from, &to).await.unwrap();
    let refused = Delivery { opted_out: true, code: "SMS-RC-413".into(), ..told("100", false) };
    // Nobody of ours, on another lane or under another id.
    for (lane, text) in [(wide(2), "100"), (wide(1), "101")] {
        let other = Delivery { provider_id: text.into(), ..refused.clone() };
        assert_eq!(s.store.record_delivery(&lane, &[other]).await.unwrap(), [Recorded::Unknown]);
    }
    assert!(!out().await);
    assert_eq!(s.store.record_delivery(&wide(1), std::slice::from_ref(&refused)).await.unwrap(), [Recorded::Done(id)]);
    assert!(out().await);
    assert!(!s.store.opted_out(wide(2).extension(), &from, &to).await.unwrap());
    let next = s.put(NewMessage { key: None, ..new }).await;
    assert_eq!(s.state(next).await, State::Suppressed);
    // An opt-in that comes after it stands, however often the report is read again.
    let opt_in = OptOut { from: from.clone(), to: to.clone(), out: false };
    s.store.set_opt_outs(Some(wide(1).extension()), &[opt_in]).await.unwrap();
    assert_eq!(s.store.record_delivery(&wide(1), &[refused]).await.unwrap(), [Recorded::Again]);
    assert!(!out().await);
}
