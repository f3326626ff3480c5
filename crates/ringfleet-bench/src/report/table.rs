//! Figures as tables: peers side by side, everything else line by line, with the settings below.

use std::fmt::Write;

use crate::{
    figure::{Book, Figure, shown},
    options::Bench,
};

pub(super) fn of(book: &Book, bench: Bench) -> String {
    let figures: Vec<&Figure> = book.figures.iter().filter(|figure| figure.bench == bench.name()).collect();
    let mut text = match bench {
        Bench::Peers | Bench::Growth => side_by_side(&figures),
        _ => line_by_line(&figures),
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

fn line_by_line(figures: &[&Figure]) -> String {
    let mut text = String::from("| figure | of | | median | spread | unit |\n|---|---|---|---:|---:|---|\n");
    for figure in figures {
        let (name, peer, case, unit) = (figure.name, &figure.peer, &figure.case, figure.unit);
        let _ = writeln!(text, "| {name} | {peer} | {case} | {} | {} | {unit} |", shown(figure.median), spread(figure));
    }
    text
}

/// A column for each figure, a row for each peer or case.
fn side_by_side(figures: &[&Figure]) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    let row_of = |figure: &Figure| if figure.case.is_empty() { figure.peer.clone() } else { figure.case.clone() };
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
            let _ = match cell {
                Some(figure) if figure.values.len() > 1 => {
                    write!(text, " {} ({}) |", shown(figure.median), spread(figure))
                }
                Some(figure) => write!(text, " {} |", shown(figure.median)),
                None => write!(text, " |"),
            };
        }
        text.push('\n');
    }
    text
}

fn spread(figure: &Figure) -> String {
    if figure.values.len() < 2 {
        "one round".to_owned()
    } else {
        format!("{} – {}", shown(figure.least()), shown(figure.most()))
    }
}
