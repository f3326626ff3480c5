//! A text at the provider proves one sending, and one only.

use std::time::Duration;

use ringfleet_store::{Decided, Delivery, Evidence, Found, Outcome, Settled, State};

use crate::talk::*;

const HOUR: i64 = 3_600_000;

/// Sends a message, which the provider calls `provider_id`.
async fn send(s: &Subject, provider_id: &str) {
    s.put(asked(&wide(1), provider_id)).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(s.settle(lease, sent_as(provider_id)).await, Settled::Done(State::Sent));
}

/// The provider says that it was delivered.
async fn hear(s: &Subject, provider_id: &str) {
    let told = Delivery { provider_id: provider_id.into(), delivered: true, code: String::new(), opted_out: false };
    s.store.record_delivery(&wide(1), &[told]).await.unwrap();
}

pub(crate) async fn evidence_of_many_is_decided_at_once_and_in_order(s: &Subject) {
    let mut evidence = Vec::new();
    let mut expected = Vec::new();
    for n in 0..120_u32 {
        let lease = s.send_into_the_dark(asked(&wide(n % 7), &n.to_string())).await;
        let ids = (0..n % 3).map(|k| format!("p-{n}-{k}")).collect();
        evidence.push(Evidence { lease, found: Found::Candidates { ids, read_at: s.now() } });
        expected.push([Decided::NotYet, Decided::Sent, Decided::Held][n as usize % 3]);
    }
    assert_eq!(s.store.decide(&evidence, SETTLE_TIME, 5).await.unwrap(), expected);
    let stats = s.store.stats().await.unwrap();
    let states = [State::Unknown, State::Sent, State::Held];
    assert_eq!(states.map(|state| stats.count(state)), [40; 3]);
}

pub(crate) async fn a_text_that_proved_another_sending_proves_nothing(s: &Subject) {
    // Counted by a report, by a reading, and beside another.
    let told = s.put(asked(&wide(1), "1")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, sent_as("p-1")).await;
    let read = s.send_into_the_dark(asked(&wide(1), "2")).await;
    assert_eq!(s.found(read, &["p-1", "p-2"], 0).await, Decided::Sent);
    assert_eq!(s.get(read.id).await.provider_id.as_deref(), Some("p-2"));
    assert_eq!(s.settle(read, sent_as("p-3")).await, Settled::SentTwice);

    let lease = s.send_into_the_dark(asked(&wide(1), "3")).await;
    assert_eq!(s.found(lease, &["p-1", "p-2", "p-3"], 0).await, Decided::NotYet);
    s.step(SETTLE_MS);
    assert_eq!(s.found(lease, &["p-1", "p-2", "p-3"], 0).await, Decided::Again);
    assert_eq!(s.get(told).await.provider_id.as_deref(), Some("p-1"));
}

pub(crate) async fn within_one_decision_a_text_proves_one_sending_only(s: &Subject) {
    let (a, b) = (s.send_into_the_dark(asked(&wide(1), "1")).await, s.send_into_the_dark(asked(&wide(1), "2")).await);
    let evidence =
        [a, b].map(|lease| Evidence { lease, found: Found::Candidates { ids: vec!["p".into()], read_at: s.now() } });
    assert_eq!(s.store.decide(&evidence, SETTLE_TIME, 5).await.unwrap(), [Decided::Sent, Decided::NotYet]);
}

pub(crate) async fn a_credit_outlives_the_record_of_its_message(s: &Subject) {
    s.put(message(&wide(1), "1")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, sent_as("p-1")).await;
    let unknown = s.send_into_the_dark(asked(&wide(1), "2")).await;
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 1);
    s.step(3_600_000);
    s.reap().await;
    assert_eq!(s.found(unknown, &["p-1"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_credit_is_remembered_while_a_fate_is_unknown_whatever_else_is_sent(s: &Subject) {
    send(s, "p-1").await;
    hear(s, "p-1").await;
    let unknown = s.send_into_the_dark(asked(&wide(1), "x")).await;
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 1);
    // With each credit those that nobody needs any more are let go of.
    send(s, "p-2").await;
    hear(s, "p-2").await;
    s.reap().await;
    assert_eq!(s.found(unknown, &["p-1", "p-2"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_credit_is_remembered_while_a_send_is_under_way_however_long_nobody_is_there_to_end_it(
    s: &Subject,
) {
    for n in 0..15 {
        send(s, &format!("p-{n}")).await;
    }
    hear(s, "p-0").await;
    s.put(asked(&wide(1), "dies")).await;
    let lost = s.claim_and_begin().await;

    // All workers are away for longer than a credit is remembered; the first thing that is heard then is another report.
    s.step(3_600_000);
    hear(s, "p-1").await;
    assert_eq!(s.reap().await.unknown, 1);
    assert_eq!(s.found(lost, &["p-0"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_credit_outlives_its_record_while_a_send_is_under_way(s: &Subject) {
    s.put(message(&wide(1), "1")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, sent_as("p-1")).await;
    s.put(asked(&wide(1), "2")).await;
    let slow = s.claim_and_begin().await;
    assert_eq!(s.store.extend(&[slow], ms(7_200_000)).await.unwrap(), [true]);
    s.step(3_600_000);
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 1);
    s.settle(slow, unknown()).await;
    assert_eq!(s.found(slow, &["p-1"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_credit_outlives_its_record_while_a_message_is_sent_again_that_was_sent_before_it(s: &Subject) {
    let again = s.send_into_the_dark(asked(&wide(1), "2")).await;
    s.put(message(&wide(1), "1")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, sent_as("p-1")).await;
    s.found(again, &[], 0).await;
    s.step(SETTLE_MS);
    assert_eq!(s.found(again, &[], 0).await, Decided::Again);

    s.step(3_600_000);
    let again = s.claim_and_begin().await;
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 1);
    s.settle(again, unknown()).await;
    assert_eq!(s.found(again, &["p-1"], 0).await, Decided::NotYet);
}

/// Two texts are sent an hour apart while a message that is sent again waits, given back as `outcome` says; then that one goes.
async fn is_remembered_while_it_waits(s: &Subject, outcome: Outcome) {
    let again = s.send_into_the_dark(asked(&wide(1), "again")).await;
    s.found(again, &[], 0).await;
    s.step(SETTLE_MS);
    assert_eq!(s.found(again, &[], 0).await, Decided::Again);
    for text in ["p-1", "p-2"] {
        s.put(message(&wide(1), text)).await;
        for lease in s.claim(5).await {
            let lease = lease.reference();
            if lease.id == again.id {
                s.settle(lease, outcome.clone()).await;
            } else {
                s.begin(lease).await;
                s.settle(lease, sent_as(text)).await;
            }
        }
        hear(s, text).await;
        s.step(HOUR);
        s.store.reap(500, ms(1)).await.unwrap();
    }
    s.step(HOUR);
    let lease = s.claim_and_begin().await;
    assert_eq!(lease.id, again.id);
    s.settle(lease, unknown()).await;
    assert_eq!(s.found(lease, &["p-1"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_credit_is_remembered_while_a_message_waits_that_is_sent_again(s: &Subject) {
    is_remembered_while_it_waits(s, Outcome::Released).await;
}

pub(crate) async fn a_credit_is_remembered_while_a_message_is_put_off_that_is_sent_again(s: &Subject) {
    is_remembered_while_it_waits(s, later(3 * HOUR)).await;
}

pub(crate) async fn a_credit_is_remembered_while_a_message_is_tried_later_that_is_sent_again(s: &Subject) {
    is_remembered_while_it_waits(s, retry(3 * HOUR, 9)).await;
}

/// All workers are away when it becomes due, and others go on reading reports.
pub(crate) async fn a_credit_is_remembered_while_a_message_that_is_sent_again_is_due_and_nobody_claims(s: &Subject) {
    let again = s.send_into_the_dark(asked(&wide(1), "again")).await;
    s.prove_absent(again).await;
    let lease = s.claim_one().await.reference();
    assert_eq!(s.settle(lease, later(HOUR)).await, Settled::Done(State::Scheduled));
    for text in ["p-1", "p-2", "p-3"] {
        send(s, text).await;
    }
    hear(s, "p-1").await;

    s.step(2 * HOUR + 1);
    // The first of them finds the lane idle, with the second one credits are let go of.
    hear(s, "p-2").await;
    hear(s, "p-3").await;
    assert_eq!(s.store.reap(500, ms(1)).await.unwrap().pruned, 1);
    let lease = s.claim_and_begin().await;
    assert_eq!(lease.id, again.id);
    s.settle(lease, unknown()).await;
    assert_eq!(s.found(lease, &["p-1"], 0).await, Decided::NotYet);
}

pub(crate) async fn a_text_that_proved_a_sending_where_nobody_waits_for_reports_proves_no_other(s: &Subject) {
    let mut rules = rules();
    rules.delivery_wait = Duration::ZERO;
    let off = s.again(rules).await;
    send(&off, "p-1").await;
    let unknown = off.send_into_the_dark(asked(&wide(1), "2")).await;
    assert_eq!(off.found(unknown, &["p-1"], 0).await, Decided::NotYet);
}
