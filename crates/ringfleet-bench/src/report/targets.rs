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
            what: "10,000 messages due at one instant: what the last one is late by, and the plan permits all at once",
            wanted: "explained by quota alone",
            shown: due(book),
        },
        Target {
            what: "HTTP sends of a worker process",
            wanted: "≥ 3,000/s",
            shown: at_least(rate, 3_000.0, "sends/s"),
        },
        Target { what: "the aim of it", wanted: "6,667/s", shown: at_least(rate, 6_667.0, "sends/s") },
    ]
}

/// Medians of the quota used at each number of processes, and the answers of 429 and the standing lanes of all rounds.
fn quota(book: &Book) -> Option<(String, bool)> {
    let at_once = |figure: &&Figure| figure.case != limiter::SLOWLY;
    let uses = book.all(Bench::Limiter, limiter::QUOTA, OURS).filter(at_once);
    let uses: Vec<f64> = uses.map(|figure| figure.median).collect();
    let all = |name| book.all(Bench::Limiter, name, OURS).map(Figure::most).sum::<f64>();
    let (refused, pauses) = (all(limiter::REFUSED), all(limiter::PAUSES));
    let least = uses.iter().copied().min_by(f64::total_cmp)?;
    let words: Vec<_> = uses.iter().map(|used| format!("{used:.4}")).collect();
    let met = least >= 0.99 && refused == 0.0 && pauses == 0.0 && uses.len() == limiter::WORKERS.len();
    let stood = if pauses == 0.0 { String::new() } else { format!("; lanes stood still {} times", shown(pauses)) };
    Some((format!("{}; {} × 429{stood}", words.join(", "), shown(refused)), met))
}

/// Quota explains nothing here, so all of it is the fleet's own: it sends them as fast as it can.
fn due(book: &Book) -> Option<(String, bool)> {
    let last = book.median(Bench::Latency, latency::DUE, OURS, latency::ALL)?;
    let idle = book.median(Bench::Latency, latency::IDLE, OURS, latency::P99)?;
    Some((format!("{} ms, {} texts a second", shown(last), shown(10_000.0 / last * 1e3)), last <= idle))
}

/// Our rate with as many messages in hand as the peer has handlers. One that is missed is told with what it would be if Redis
/// did nothing but run the commands, of which each side is given a whole core, and with that of the sketch.
fn against(book: &Book, peer: &str, times: f64) -> Option<(String, bool)> {
    let [as_many, _] = queue::beside_peers_cases();
    let ours = book.median(Bench::Queue, queue::DRAIN, OURS, &as_many)?;
    // Of several ways to run it the quickest one counts.
    let theirs = book.all(Bench::Peers, peers::PROCESS, peer).map(|figure| figure.median).max_by(f64::total_cmp)?;
    let ratio = ours / theirs;
    let mut words = format!("{ratio:.2} × ({} against {} a second)", shown(ours), shown(theirs));
    let bare = book.median(Bench::Queue, queue::CPU, OURS, queue::BARE);
    let their_cpu = book.all(Bench::Peers, peers::CPU, peer).map(|figure| figure.median).min_by(f64::total_cmp);
    if let Some((bare, their_cpu)) = bare.zip(their_cpu).filter(|_| ratio < times) {
        let _ = write!(words, "; {:.2} × by Redis CPU alone if it only ran our commands", their_cpu / bare);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn book(figures: &[(Bench, &'static str, &str, &str, f64)]) -> Book {
        let mut book = Book::new(BTreeMap::new());
        book.figures = figures
            .iter()
            .map(|(bench, name, peer, case, value)| Figure {
                bench: bench.name(),
                name,
                peer: (*peer).to_owned(),
                case: (*case).to_owned(),
                x: None,
                unit: "",
                settings: String::new(),
                values: vec![*value],
                median: *value,
            })
            .collect();
        book
    }

    #[test]
    fn a_lane_that_stood_still_is_a_plan_that_was_not_used() {
        let at = |workers: u32| format!("worker processes: {workers}");
        let cases = limiter::WORKERS.map(at);
        let mut figures: Vec<_> =
            cases.iter().map(|case| (Bench::Limiter, limiter::QUOTA, OURS, case.as_str(), 0.996)).collect();
        assert!(quota(&book(&figures)).unwrap().1);
        figures.push((Bench::Limiter, limiter::PAUSES, OURS, cases[1].as_str(), 1.0));
        let (words, met) = quota(&book(&figures)).unwrap();
        assert!(!met && words.contains("stood still 1 times"), "{words}");
    }

    #[test]
    fn texts_that_are_late_though_their_plan_permits_them_are_told_as_missed() {
        let late = |ms| {
            let idle = (Bench::Latency, latency::IDLE, OURS, latency::P99, 3.1);
            due(&book(&[(Bench::Latency, latency::DUE, OURS, latency::ALL, ms), idle])).unwrap()
        };
        assert_eq!(late(1_164.0), ("1,164 ms, 8,591 texts a second".to_owned(), false));
        assert!(late(3.0).1);
    }

    #[test]
    fn what_redis_could_do_is_held_against_what_a_peer_needs_of_it() {
        let [as_many, _] = queue::beside_peers_cases();
        let figures = [
            (Bench::Queue, queue::DRAIN, OURS, as_many.as_str(), 19_569.0),
            (Bench::Queue, queue::CPU, OURS, queue::BARE, 14.4),
            (Bench::Peers, peers::PROCESS, "bullmq", "one process", 29_000.0),
            (Bench::Peers, peers::PROCESS, "bullmq", "two processes", 30_132.0),
            (Bench::Peers, peers::CPU, "bullmq", "two processes", 29.0),
        ];
        let (words, met) = against(&book(&figures), "bullmq", 3.0).unwrap();
        assert!(!met && words.starts_with("0.65 × (19,569 against 30,132 a second)"), "{words}");
        assert!(words.contains("2.01 × by Redis CPU alone"), "{words}");
    }
}
