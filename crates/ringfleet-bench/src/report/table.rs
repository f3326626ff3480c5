//! Figures as tables: peers side by side, everything else line by line, with the settings below.

use std::fmt::Write;

use crate::{
    figure::{Book, Figure, shown},
    options::Bench,
};

/// `rounds`: how many there were; a figure that fewer of them gave says so.
pub(super) fn of(book: &Book, bench: Bench, rounds: u32) -> String {
    let figures: Vec<&Figure> = book.figures.iter().filter(|figure| figure.bench == bench.name()).collect();
    let mut text = match bench {
        Bench::Peers | Bench::Growth => side_by_side(&figures, rounds),
        _ => line_by_line(&figures, rounds),
    };
    let mut settings: Vec<(String, &str)> = Vec::new();
    for figure in figures.iter().filter(|figure| !figure.settings.is_empty()) {
        let of = match bench {
            Bench::Peers | Bench::Limiter => figure.peer.clone(),
            Bench::Growth => "all".to_owned(),
            _ => figure.name.to_owned() + &of_case(figure),
        };
        if !settings.iter().any(|(_, known)| *known == figure.settings) {
            settings.push((of, &figure.settings));
        }
    }
    if !settings.is_empty() {
        text.push_str("\nSettings:\n\n");
        for (of, settings) in settings {
            let _ = writeln!(text, "- {of}: {settings}");
        }
    }
    text
}

fn of_case(figure: &Figure) -> String {
    if figure.case.is_empty() { String::new() } else { format!(", {}", figure.case) }
}

fn line_by_line(figures: &[&Figure], rounds: u32) -> String {
    let mut text = String::from("| figure | of | | median | spread | unit |\n|---|---|---|---:|---:|---|\n");
    for figure in figures {
        let (name, peer, case, unit) = (figure.name, &figure.peer, &figure.case, figure.unit);
        let (median, spread) = (shown(figure.median), spread(figure, rounds));
        let spread = spread.as_deref().unwrap_or("one round");
        let _ = writeln!(text, "| {name} | {peer} | {case} | {median} | {spread} | {unit} |");
    }
    text
}

/// A column for each figure, a row for each peer or case.
fn side_by_side(figures: &[&Figure], rounds: u32) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    let row_of = |figure: &Figure| match (figure.case.as_str(), figure.bench == Bench::Peers.name()) {
        ("", _) => figure.peer.clone(),
        (case, true) => format!("{}, {case}", figure.peer),
        (case, false) => case.to_owned(),
    };
    for figure in figures {
        if !columns.contains(&(figure.name, figure.unit)) {
            columns.push((figure.name, figure.unit));
        }
        if !rows.contains(&row_of(figure)) {
            rows.push(row_of(figure));
        }
    }
    let mut text = String::from("| |");
    for (name, unit) in &columns {
        let _ = write!(text, " {name} ({unit}) |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(columns.len()));
    text.push('\n');
    for row in rows {
        let _ = write!(text, "| {row} |");
        for (name, unit) in &columns {
            let cell =
                figures.iter().find(|figure| row_of(figure) == row && figure.name == *name && figure.unit == *unit);
            let _ = match cell.map(|figure| (shown(figure.median), spread(figure, rounds))) {
                Some((median, Some(spread))) => write!(text, " {median} ({spread}) |"),
                Some((median, None)) => write!(text, " {median} |"),
                None => write!(text, " |"),
            };
        }
        text.push('\n');
    }
    text
}

/// The least and the most, and in how many of the rounds it was measured if not in all; nothing for the only round of one.
fn spread(figure: &Figure, rounds: u32) -> Option<String> {
    let measured = figure.values.len();
    let fewer = (measured < rounds as usize).then(|| format!("{measured} of {rounds}"));
    let range = (measured > 1).then(|| format!("{} – {}", shown(figure.least()), shown(figure.most())));
    match (range, fewer) {
        (Some(range), Some(fewer)) => Some(format!("{range}, {fewer}")),
        (range, fewer) => range.or(fewer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_of_fewer_rounds_says_so() {
        let spread = |values: &[f64], rounds| {
            let figure = Figure {
                bench: Bench::Queue.name(),
                name: "drain",
                peer: String::new(),
                case: String::new(),
                x: None,
                unit: "messages/s",
                settings: String::new(),
                values: values.to_vec(),
                median: 0.0,
            };
            super::spread(&figure, rounds).unwrap_or_default()
        };
        assert_eq!([spread(&[2.0], 1), spread(&[2.0, 1.0, 3.0], 3)], ["", "1 – 3"]);
        assert_eq!([spread(&[2.0], 3), spread(&[2.0, 1.0], 3)], ["1 of 3", "1 – 2, 2 of 3"]);
    }
}
