//! The alerts of docs/metrics.md that tell of the store, on pages of metrics as they are when it fails.
//!
//! Of Prometheus' language this knows what those alerts are written in. Each number in them is the least or the greatest of all
//! pages, so that no labels have to match.

use std::{iter::Peekable, path::Path, str::SplitWhitespace, time::Duration};

use ringfleet_testkit::eventually;

use crate::{
    rig::{Ends, Rig},
    store_faults::{all_sent_once, loaded, quick},
};

const STORE: &str = "The store does not answer";
const SHARD: &str = "A shard does not answer";

/// Whether somebody is woken for the store, and for a shard of it.
pub(crate) async fn woken(rig: &mut Rig) -> [bool; 2] {
    let pages = rig.pages().await;
    [STORE, SHARD].map(|alert| fires(alert, &pages))
}

fn fires(alert: &str, pages: &[String]) -> bool {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let document = std::fs::read_to_string(document).unwrap();
    let row = document.lines().find(|line| line.starts_with(&format!("| {alert} |"))).unwrap();
    let expression = row.split('`').nth(1).unwrap().replace('(', " ( ").replace(')', " ) ");
    let mut expression = Expression { words: expression.split_whitespace().peekable(), pages };
    let told = expression.either();
    assert_eq!(expression.words.next(), None, "{alert}: this word is not understood");
    told.is_some()
}

/// What has no value is not there, as with Prometheus.
struct Expression<'a> {
    words: Peekable<SplitWhitespace<'a>>,
    pages: &'a [String],
}

impl Expression<'_> {
    /// `a or b`
    fn either(&mut self) -> Option<f64> {
        let mut told = self.both();
        while self.words.next_if_eq(&"or").is_some() {
            let other = self.both();
            told = told.or(other);
        }
        told
    }

    /// `a and b`, `a unless b`
    fn both(&mut self) -> Option<f64> {
        let mut told = self.compared();
        while let Some(word) = self.words.next_if(|word| matches!(*word, "and" | "unless")) {
            let other = self.compared();
            told = told.filter(|_| other.is_some() == (word == "and"));
        }
        told
    }

    /// `a > b` and its like
    fn compared(&mut self) -> Option<f64> {
        let left = self.value();
        let Some(sign) = self.words.next_if(|word| matches!(*word, "==" | ">=" | ">" | "<")) else { return left };
        let (left, right) = left.zip(self.value())?;
        let holds = match sign {
            "==" => left == right,
            ">=" => left >= right,
            ">" => left > right,
            _ => left < right,
        };
        holds.then_some(left)
    }

    /// `(a)`, `max(name)`, `min(name)`, or a number
    fn value(&mut self) -> Option<f64> {
        match self.words.next().unwrap() {
            "(" => {
                let told = self.either();
                self.expect(")");
                told
            }
            of @ ("max" | "min") => {
                self.expect("(");
                let name = format!("{} ", self.words.next().unwrap());
                self.expect(")");
                let lines = self.pages.iter().flat_map(|page| page.lines());
                let values = lines.filter_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
                values.reduce(if of == "max" { f64::max } else { f64::min })
            }
            number => Some(number.parse().unwrap()),
        }
    }

    fn expect(&mut self, word: &str) {
        assert_eq!(self.words.next(), Some(word));
    }
}

#[test]
fn somebody_is_woken_for_the_store_when_nobody_reaches_it_and_else_for_what_is_silent() {
    let worker = |up: u8, shards: u8, silent: u8| {
        format!("ringfleet_store_up {up}\nringfleet_store_shards {shards}\nringfleet_store_shards_silent {silent}\n")
    };
    let api = |up: u8| format!("ringfleet_store_up {up}\n");
    let cases = [
        ("all is well", vec![worker(1, 1, 0), worker(1, 1, 0), api(1)], None),
        ("the only Redis is away", vec![worker(0, 1, 1), worker(0, 1, 1), api(0)], Some(STORE)),
        ("a worker alone is cut off", vec![worker(1, 1, 0), worker(0, 1, 1), api(1)], Some(SHARD)),
        ("all workers are cut off", vec![worker(0, 1, 1), worker(0, 1, 1), api(1)], Some(STORE)),
        ("no worker is there", vec![api(0)], Some(STORE)),
        ("SQLite has no disk", vec![worker(0, 1, 0)], Some(STORE)),
        ("one of five shards is silent", vec![worker(0, 5, 1), worker(0, 5, 1), api(0)], Some(SHARD)),
        ("one is, and a worker is cut off", vec![worker(0, 5, 1), worker(0, 5, 5), api(0)], Some(SHARD)),
        ("all five are silent", vec![worker(0, 5, 5), worker(0, 5, 5), api(0)], Some(STORE)),
    ];
    for (case, pages, expected) in cases {
        let told = [STORE, SHARD].map(|alert| fires(alert, &pages));
        assert_eq!(told, [STORE, SHARD].map(|alert| expected == Some(alert)), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_wakes_somebody_for_the_store_and_not_for_a_shard() {
    let mut rig = loaded(quick(), 1).await;
    rig.start_workers(2);
    all_sent_once(&rig, 6).await;
    assert_eq!(woken(&mut rig).await, [false, false]);
    rig.redis_mut().kill();
    // Both have noticed.
    eventually(Duration::from_secs(30), async || rig.counted("ringfleet_store_shards_silent").await == 2).await;
    assert_eq!(woken(&mut rig).await, [true, false]);
    rig.redis_mut().restart();
    eventually(Duration::from_secs(30), async || woken(&mut rig).await == [false, false]).await;
    rig.finish(Ends::all()).await;
}
