//! What all runs came to: fault × planned × struck × lost × twice × held × recovery.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    kinds::{self, Store},
    run::Judged,
};

/// What was planned as often as this and never struck can't strike any more.
const OFTEN: u64 = 5;

pub(crate) struct Table {
    began: Instant,
    took: Duration,
    runs: u64,
    planned: u64,
    struck: u64,
    redis: u64,
    by_fault: BTreeMap<&'static str, Row>,
    /// Sums of all runs; a run with two faults stands in two rows.
    sum: Row,
    broken: Vec<Value>,
}

#[derive(Default)]
struct Row {
    runs: u64,
    /// Runs in which it happened; in the sum, runs in which anything did.
    struck: u64,
    lost: u64,
    twice: u64,
    held: u64,
    undecidable: u64,
    broken: u64,
    recoveries: Vec<Duration>,
}

impl Row {
    fn add(&mut self, judged: &Judged, struck: bool, broken: bool) {
        self.runs += 1;
        self.struck += u64::from(struck);
        self.lost += judged.lost;
        self.twice += judged.twice;
        self.held += judged.held;
        self.undecidable += judged.undecidable;
        self.broken += u64::from(broken);
        self.recoveries.push(judged.recovery);
        self.recoveries.sort();
    }

    fn median(&self) -> f64 {
        self.recoveries.get(self.recoveries.len() / 2).map_or(0.0, Duration::as_secs_f64)
    }

    fn longest(&self) -> f64 {
        self.recoveries.last().map_or(0.0, Duration::as_secs_f64)
    }

    fn json(&self) -> Value {
        json!({"runs": self.runs, "struck": self.struck, "lost": self.lost, "twice": self.twice, "held": self.held, "undecidable": self.undecidable,
            "broken": self.broken, "recovery_median_s": round(self.median()), "recovery_longest_s": round(self.longest())})
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

impl Table {
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            began,
            took: Duration::ZERO,
            runs: 0,
            planned: 0,
            struck: 0,
            redis: 0,
            by_fault: BTreeMap::new(),
            sum: Row::default(),
            broken: Vec::new(),
        }
    }

    /// Gives a line to tell at once when a promise was broken.
    pub(crate) fn add(
        &mut self,
        seed: u64,
        store: Store,
        faults: &[&'static str],
        judged: Result<Judged, String>,
    ) -> Option<String> {
        self.runs += 1;
        self.planned += faults.len() as u64;
        self.redis += u64::from(store == Store::Redis);
        let (judged, mut why) = match judged {
            Ok(mut judged) => {
                let why = judged.broken.take();
                (judged, why)
            }
            Err(panic) => (Judged::default(), Some(panic)),
        };
        if judged.lost + judged.twice > 0 {
            why = Some(format!("lost {}, twice {}; {}", judged.lost, judged.twice, why.unwrap_or_default()));
        }
        self.struck += judged.struck.len() as u64;
        for fault in faults {
            self.by_fault.entry(fault).or_default().add(&judged, judged.struck.contains(fault), why.is_some());
        }
        self.sum.add(&judged, !judged.struck.is_empty(), why.is_some());
        let why = why?;
        let line = format!("seed {seed} on {store:?} with {}: {why}", faults.join(" + "));
        self.broken.push(json!({"seed": seed, "store": format!("{store:?}"), "faults": faults, "what": why}));
        Some(line)
    }

    pub(crate) fn ended(&mut self) {
        self.took = self.began.elapsed();
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.bad() == 0
    }

    pub(crate) fn bad(&self) -> u64 {
        (self.broken.len() + self.never_struck().len()) as u64
    }

    pub(crate) fn good(&self) -> u64 {
        self.runs - self.broken.len() as u64
    }

    /// Faults, and kinds of them, that were planned often and never happened: a loop without them proves nothing about them.
    fn never_struck(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (fault, row) in &self.by_fault {
            for name in [*fault, kinds::kind(fault)] {
                let (planned, struck) = counts.entry(name).or_default();
                *planned += row.runs;
                *struck += row.struck;
            }
        }
        let never = counts.into_iter().filter(|(_, (planned, struck))| *planned >= OFTEN && *struck == 0);
        never.map(|(name, (planned, _))| format!("{name}: planned {planned} times, never struck")).collect()
    }

    pub(crate) fn json(&self, seed: u64) -> Value {
        let by_fault: BTreeMap<_, _> = self.by_fault.iter().map(|(name, row)| (*name, row.json())).collect();
        let mut all = self.sum.json();
        all["faults_planned"] = json!(self.planned);
        all["faults_struck"] = json!(self.struck);
        all["never_struck"] = json!(self.never_struck());
        all["seed"] = json!(seed);
        all["redis_runs"] = json!(self.redis);
        all["sqlite_runs"] = json!(self.runs - self.redis);
        all["seconds"] = json!(round(self.took.as_secs_f64()));
        all["by_fault"] = json!(by_fault);
        all["failures"] = json!(self.broken);
        all
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28} {:>7} {:>6} {:>5} {:>6} {:>5} {:>7}  recovery, median and longest",
            "fault", "planned", "struck", "lost", "twice", "held", "broken"
        )?;
        let rows = self.by_fault.iter().map(|(name, row)| (*name, row.runs, row.struck, row));
        for (name, planned, struck, row) in rows.chain([("all", self.planned, self.struck, &self.sum)]) {
            writeln!(
                f,
                "{name:<28} {planned:>7} {struck:>6} {:>5} {:>6} {:>5} {:>7}  {:.1} s  {:.1} s",
                row.lost,
                row.twice,
                row.held,
                row.broken,
                row.median(),
                row.longest()
            )?;
        }
        for line in self.never_struck() {
            writeln!(f, "{line}")?;
        }
        write!(
            f,
            "{} faults struck of {} planned, in {} runs ({} on Redis, {} on SQLite), {:.0} s",
            self.struck,
            self.planned,
            self.runs,
            self.redis,
            self.runs - self.redis,
            self.took.as_secs_f64()
        )
    }
}
