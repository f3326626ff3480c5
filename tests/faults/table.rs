//! What all runs came to: fault × runs × lost × twice × held × recovery.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{kinds::Store, run::Judged};

pub(crate) struct Table {
    began: Instant,
    took: Duration,
    runs: u64,
    faults: u64,
    redis: u64,
    by_fault: BTreeMap<&'static str, Row>,
    /// Sums of all runs; a run with two faults stands in two rows.
    sum: Row,
    broken: Vec<Value>,
}

#[derive(Default)]
struct Row {
    runs: u64,
    lost: u64,
    twice: u64,
    held: u64,
    undecidable: u64,
    broken: u64,
    recoveries: Vec<Duration>,
}

impl Row {
    fn add(&mut self, judged: &Judged, broken: bool) {
        self.runs += 1;
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
        json!({"runs": self.runs, "lost": self.lost, "twice": self.twice, "held": self.held, "undecidable": self.undecidable,
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
            faults: 0,
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
        self.faults += faults.len() as u64;
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
        for fault in faults {
            self.by_fault.entry(fault).or_default().add(&judged, why.is_some());
        }
        self.sum.add(&judged, why.is_some());
        let why = why?;
        let line = format!("seed {seed} on {store:?} with {}: {why}", faults.join(" + "));
        self.broken.push(json!({"seed": seed, "store": format!("{store:?}"), "faults": faults, "what": why}));
        Some(line)
    }

    pub(crate) fn ended(&mut self) {
        self.took = self.began.elapsed();
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }

    pub(crate) fn bad(&self) -> u64 {
        self.broken.len() as u64
    }

    pub(crate) fn good(&self) -> u64 {
        self.runs - self.bad()
    }

    pub(crate) fn json(&self, seed: u64) -> Value {
        let by_fault: BTreeMap<_, _> = self.by_fault.iter().map(|(name, row)| (*name, row.json())).collect();
        let mut all = self.sum.json();
        all["faults"] = json!(self.faults);
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
            "{:<28} {:>5} {:>5} {:>6} {:>5} {:>7}  recovery, median and longest",
            "fault", "runs", "lost", "twice", "held", "broken"
        )?;
        let rows = self.by_fault.iter().map(|(name, row)| (*name, row)).chain([("all", &self.sum)]);
        for (name, row) in rows {
            writeln!(
                f,
                "{name:<28} {:>5} {:>5} {:>6} {:>5} {:>7}  {:.1} s  {:.1} s",
                row.runs,
                row.lost,
                row.twice,
                row.held,
                row.broken,
                row.median(),
                row.longest()
            )?;
        }
        write!(
            f,
            "{} faults in {} runs ({} on Redis, {} on SQLite), {:.0} s",
            self.faults,
            self.runs,
            self.redis,
            self.runs - self.redis,
            self.took.as_secs_f64()
        )
    }
}
