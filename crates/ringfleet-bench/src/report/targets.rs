//! What the figures must show, beside what they do show.

use std::fmt::Write;

use crate::{
    figure::{Book, Figure, shown},
    latency, limiter,
    options::Bench,
    peers, queue,
    queue::OURS,
    sends,
};

/// One promise and what came of it; `None` where a figure is missing.
struct Target {
    what: &'static str,
    wanted: &'static str,
    shown: Option<(String, bool)>,
}

pub(super) fn table(book: &Book) -> String {
    let mut text = String::from("| what | wanted | measured | |\n|---|---|---|---|\n");
    for target in all(book) {
        let (measured, met) = match target.shown {
            Some((measured, true)) => (measured, "reached"),
            Some((measured, false)) => (measured, "**missed**"),
            None => ("not measured".to_owned(), ""),
        };
        let _ = writeln!(text, "| {} | {} | {measured} | {met} |", target.what, target.wanted);
    }
    text
}

fn all(book: &Book) -> Vec<Target> {
    let ours = |bench, name| book.median(bench, name, OURS, "");
    let at_least = |value: Option<f64>, least: f64, unit: &str| {
        value.map(|value| (format!("{} {unit}", shown(value)), value >= least))
    };
    let at_most = |value: Option<f64>, most: f64, unit: &str| {
        value.map(|value| (format!("{} {unit}", shown(value)), value <= most))
    };
    let bullmq = peers::shown("bullmq", "default");
    let sidekiq = peers::shown("sidekiq", "default");
    let apalis = peers::shown("apalis", "tuned");
    let idle = book.median(Bench::Latency, latency::IDLE, OURS, latency::P99);
    let rate = ours(Bench::Sends, sends::RATE);
    vec![
        Target {
            what: "quota use at 1, 2, 4 and 8 worker processes", wanted: "≥ 0.99, 0 × 429", shown: quota(book)
        },
        Target { what: "claim, begin, settle against BullMQ", wanted: "≥ 3 ×", shown: against(book, &bullmq, 3.0) },
        Target { what: "against rusty-sidekiq", wanted: "≥ 3 ×", shown: against(book, &sidekiq, 3.0) },
        Target { what: "against apalis-redis, tuned", wanted: "> 1 ×", shown: against(book, &apalis, 1.0) },
        Target {
            what: "cost of a message from the smallest backlog to the largest",
            wanted: "within 1.3 ×",
            shown: flat(book, queue::BY_BACKLOG, queue::CPU_BY_BACKLOG),
        },
        Target {
            what: "cost of a message from the fewest lanes to the most",
            wanted: "within 1.3 ×",
            shown: flat(book, queue::BY_LANES, queue::CPU_BY_LANES),
        },
        Target {
            what: "bulk enqueue",
            wanted: "≥ 100,000/s",
            shown: at_least(ours(Bench::Queue, queue::BULK), 100_000.0, "messages/s"),
        },
        Target {
            what: "Redis memory of a queued message of 300 bytes",
            wanted: "≤ 450 bytes",
            shown: at_most(ours(Bench::Queue, queue::QUEUED_BYTES), 450.0, "bytes"),
        },
        Target { what: "enqueue to POST on an idle fleet, p99", wanted: "≤ 10 ms", shown: at_most(idle, 10.0, "ms") },
        Target {
            what: "HTTP sends of a worker process",
            wanted: "≥ 3,000/s",
            shown: at_least(rate, 3_000.0, "sends/s"),
        },
        Target { what: "the aim of it", wanted: "6,667/s", shown: at_least(rate, 6_667.0, "sends/s") },
    ]
}

/// Medians of the quota used at each number of processes, and the answers of 429 in all rounds.
fn quota(book: &Book) -> Option<(String, bool)> {
    let uses: Vec<f64> = book.all(Bench::Limiter, limiter::QUOTA, OURS).map(|figure| figure.median).collect();
    let refused: f64 = book.all(Bench::Limiter, limiter::REFUSED, OURS).map(Figure::most).sum();
    let least = uses.iter().copied().min_by(f64::total_cmp)?;
    let words: Vec<_> = uses.iter().map(|used| format!("{used:.4}")).collect();
    let met = least >= 0.99 && refused == 0.0 && uses.len() == limiter::WORKERS.len();
    Some((format!("{}; {} × 429", words.join(", "), shown(refused)), met))
}

/// Our rate with as many messages in hand as the peer has handlers. One that is missed is told with what it would be if Redis
/// did nothing but run the commands, and with that of the sketch.
fn against(book: &Book, peer: &str, times: f64) -> Option<(String, bool)> {
    let [as_many, _] = queue::beside_peers_cases();
    let ours = book.median(Bench::Queue, queue::DRAIN, OURS, &as_many)?;
    let theirs = book.median(Bench::Peers, peers::PROCESS, peer, "")?;
    let ratio = ours / theirs;
    let mut words = format!("{ratio:.2} × ({} against {} a second)", shown(ours), shown(theirs));
    let bare = book.median(Bench::Queue, queue::CPU, OURS, queue::BARE);
    if let Some(bare) = bare.filter(|_| ratio < times) {
        let _ = write!(words, "; {:.2} × if Redis only ran its commands", 1e6 / bare / theirs);
    }
    let owned = book.median(Bench::Queue, queue::DRAIN, OURS, queue::OWNED);
    if let Some(owned) = owned.filter(|_| ratio < times) {
        let _ = write!(words, "; {:.2} × by the sketch of lanes that a worker owns", owned / theirs);
    }
    Some((words, ratio >= times))
}

/// The slowest point of a curve against the quickest, by the clock and by the processor's time of Redis.
fn flat(book: &Book, rate: &str, cpu: &str) -> Option<(String, bool)> {
    let ratio = |name: &str| {
        let points: Vec<f64> = book.all(Bench::Queue, name, OURS).map(|figure| figure.median).collect();
        let most = points.iter().copied().max_by(f64::total_cmp)?;
        let least = points.iter().copied().min_by(f64::total_cmp)?;
        (points.len() > 1).then(|| most / least)
    };
    let (rate, cpu) = (ratio(rate)?, ratio(cpu)?);
    Some((format!("{rate:.2} × in time, {cpu:.2} × in Redis CPU"), rate <= 1.3))
}
