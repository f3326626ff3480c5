//! What a worker counts. No label ever names an extension, a number or a message; `docs/metrics.md` lists them all.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use ringfleet_store::{Decided, Outcome, Reaped, Settled, StoreError};

pub(crate) fn store_error(call: &'static str, error: &StoreError) {
    counter!("ringfleet_store_errors_total", "call" => call, "kind" => error.kind()).increment(1);
}

pub(crate) fn in_hand(leases: usize) {
    gauge!("ringfleet_leases_in_hand").set(leases as f64);
}

pub(crate) fn settled(outcome: &Outcome, answer: Settled) {
    let outcome = match outcome {
        Outcome::Sent { .. } => "sent",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Throttled { .. } => "throttled",
        Outcome::NotSent { .. } => "not_sent",
        Outcome::Later { .. } => "later",
        Outcome::Parked { .. } => "parked",
        Outcome::Retry { .. } => "retry",
        Outcome::Released => "released",
    };
    let answer = match answer {
        Settled::Done(_) => "done",
        Settled::Again(_) => "again",
        Settled::LateEvidence(_) => "late",
        Settled::Stale => "stale",
        Settled::Missing => "missing",
        Settled::SentTwice => "sent_twice",
    };
    counter!("ringfleet_settled_total", "outcome" => outcome, "answer" => answer).increment(1);
}

pub(crate) fn reaped(reaped: &Reaped) {
    let counts = [
        ("requeued", reaped.requeued),
        ("unknown", reaped.unknown),
        ("poisoned", reaped.poisoned),
        ("expired", reaped.expired),
        ("pruned", reaped.pruned),
        ("unreported", reaped.unreported),
    ];
    for (what, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
        counter!("ringfleet_reaped_total", "what" => what).increment(n.into());
    }
}

/// A send has ended. `went_out`: the provider may have got the request, so quota is used.
pub(crate) fn posted(took: Duration, went_out: bool) {
    if went_out {
        counter!("ringfleet_quota_used_total", "group" => "medium").increment(1);
    }
    histogram!("ringfleet_send_duration_seconds").record(took.as_secs_f64());
}

/// From the moment a message became due until its POST began.
pub(crate) fn waited(wait: Duration) {
    histogram!("ringfleet_due_to_send_seconds").record(wait.as_secs_f64());
}

pub(crate) fn throttled(group: &'static str, scope: &'static str) {
    counter!("ringfleet_http_429_total", "group" => group, "scope" => scope).increment(1);
}

/// The in-process guard refused what the store had allowed: a bug, or a plan that was learnt wrongly.
pub(crate) fn guard_refused() {
    counter!("ringfleet_guard_refused_total").increment(1);
}

/// A claim whose POST was not permitted any more.
pub(crate) fn not_begun(answer: &'static str) {
    counter!("ringfleet_begin_refused_total", "answer" => answer).increment(1);
}

/// What the provider's message store made of a send whose fate was unknown.
pub(crate) fn reconciled(decided: Decided) {
    let answer = match decided {
        Decided::Sent => "sent",
        Decided::NotYet => "not_yet",
        Decided::Again => "again",
        Decided::Held => "held",
        Decided::Dead => "dead",
        Decided::Suppressed => "suppressed",
        Decided::Stale => "stale",
    };
    counter!("ringfleet_reconciled_total", "answer" => answer).increment(1);
}

/// An extension's message store was read.
pub(crate) fn mailbox_read(result: &'static str) {
    counter!("ringfleet_mailbox_reads_total", "result" => result).increment(1);
}

/// Somebody called the webhook.
pub(crate) fn webhook(result: &'static str) {
    counter!("ringfleet_webhooks_total", "result" => result).increment(1);
}

/// An extension's subscription was looked at.
pub(crate) fn subscription(result: &'static str) {
    counter!("ringfleet_subscriptions_total", "result" => result).increment(1);
}

/// Something came in that was not known.
pub(crate) fn received(kind: &'static str) {
    counter!("ringfleet_inbound_total", "kind" => kind).increment(1);
}

/// A recipient said STOP, or START.
pub(crate) fn wish_heard(wish: &'static str) {
    counter!("ringfleet_wishes_total", "wish" => wish).increment(1);
}

/// The provider's last word on a text came.
pub(crate) fn delivery_reported(result: &'static str) {
    counter!("ringfleet_delivery_reports_total", "result" => result).increment(1);
}

/// How many parts the store has, and those of them whose lanes wait because they do not answer.
pub(crate) fn shards(all: usize, silent: usize) {
    gauge!("ringfleet_store_shards").set(all as f64);
    gauge!("ringfleet_store_shards_silent").set(silent as f64);
}

/// The store was restarted or exchanged, and this worker told it what it had sent.
pub(crate) fn reasserted(sends: usize) {
    counter!("ringfleet_store_restarts_total").increment(1);
    counter!("ringfleet_reasserted_total").increment(sends as u64);
}

/// The store's clock stepped back; the fleet's time went on.
pub(crate) fn clock_stepped(steps: u64) {
    counter!("ringfleet_store_clock_steps_total").increment(steps);
}
