//! Figures: each with its peer, case, unit and settings, and one value a round.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{options::Bench, sitting::Sitting};

/// Everything that was measured in one sitting.
#[derive(Serialize)]
pub(crate) struct Book {
    pub machine: BTreeMap<&'static str, String>,
    pub figures: Vec<Figure>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
    /// Bench -> how long each round took.
    pub durations_s: BTreeMap<String, Vec<f64>>,
}

#[derive(Clone, Serialize)]
pub(crate) struct Figure {
    pub bench: &'static str,
    pub name: &'static str,
    pub peer: String,
    /// Under which circumstances, in words.
    pub case: String,
    /// The same as a number, where the figure is a point of a curve.
    pub x: Option<f64>,
    pub unit: &'static str,
    pub settings: String,
    /// One a round.
    pub values: Vec<f64>,
    pub median: f64,
}

impl Figure {
    pub(crate) fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

impl Book {
    pub(crate) fn new(machine: BTreeMap<&'static str, String>) -> Self {
        Self { machine, figures: Vec::new(), failures: Vec::new(), durations_s: BTreeMap::new() }
    }

    fn note(&mut self, new: Figure) {
        let same =
            |f: &&mut Figure| f.bench == new.bench && f.name == new.name && f.peer == new.peer && f.case == new.case;
        if let Some(figure) = self.figures.iter_mut().find(same) {
            figure.values.extend(new.values);
            figure.median = median(&figure.values);
        } else {
            self.figures.push(new);
        }
    }

    /// All figures of one name, in the order in which they were first measured.
    pub(crate) fn all(&self, bench: Bench, name: &str, peer: &str) -> impl Iterator<Item = &Figure> {
        let wanted = move |f: &&Figure| f.bench == bench.name() && f.name == name && f.peer == peer;
        self.figures.iter().filter(wanted)
    }

    /// The median of one of them. The case is asked for, so that none that was not measured is stood in for by another.
    pub(crate) fn median(&self, bench: Bench, name: &str, peer: &str, case: &str) -> Option<f64> {
        self.all(bench, name, peer).find(|figure| figure.case == case).map(|figure| figure.median)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// One peer under one set of circumstances; figures are noted through it.
#[derive(Clone)]
pub(crate) struct Case<'a> {
    sitting: &'a Sitting,
    bench: &'static str,
    peer: String,
    case: String,
    x: Option<f64>,
    settings: String,
}

impl<'a> Case<'a> {
    pub(crate) fn new(sitting: &'a Sitting, bench: &'static str, peer: &str) -> Self {
        Self { sitting, bench, peer: peer.to_owned(), case: String::new(), x: None, settings: String::new() }
    }

    pub(crate) fn when(mut self, case: impl Into<String>) -> Self {
        self.case = case.into();
        self
    }

    pub(crate) fn at(mut self, x: f64) -> Self {
        self.x = Some(x);
        self
    }

    pub(crate) fn with(mut self, settings: impl Into<String>) -> Self {
        self.settings = settings.into();
        self
    }

    pub(crate) fn note(&self, name: &'static str, unit: &'static str, value: f64) {
        if !value.is_finite() {
            self.sitting.failed(name, "is no number");
            return;
        }
        let case = if self.case.is_empty() { String::new() } else { format!(", {}", self.case) };
        self.sitting.say(&format!("  {} {name}{case}: {} {unit}", self.peer, shown(value)));
        self.sitting.book().note(Figure {
            bench: self.bench,
            name,
            peer: self.peer.clone(),
            case: self.case.clone(),
            x: self.x,
            unit,
            settings: self.settings.clone(),
            values: vec![value],
            median: value,
        });
    }
}

/// As people write it: `21,300`, `14.2`, `0.9962`.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => thousands(value.round() as i64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ if value == value.trunc() => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let texts = [1_234_567.0, -1_000.4, 312.7, 14.24, 2.5, 0.9962, 3.0].map(shown);
        assert_eq!(texts, ["1,234,567", "-1,000", "313", "14.2", "2.50", "0.9962", "3"]);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[9.0, 1.0, 5.0, 6.0]), 5.5);
    }

    #[test]
    fn a_case_that_was_not_measured_is_not_stood_in_for_by_another() {
        let mut book = Book::new(BTreeMap::new());
        let figure = |case: &str, value| Figure {
            bench: Bench::Queue.name(),
            name: "drain",
            peer: "ringfleet".to_owned(),
            case: case.to_owned(),
            x: None,
            unit: "messages/s",
            settings: String::new(),
            values: vec![value],
            median: value,
        };
        book.note(figure("four workers", 9.0));
        book.note(figure("SQLite", 3.0));
        book.note(figure("SQLite", 5.0));
        let median = |case| book.median(Bench::Queue, "drain", "ringfleet", case);
        assert_eq!(median("SQLite"), Some(4.0));
        assert_eq!([median("two workers"), median("")], [None, None]);
    }
}
