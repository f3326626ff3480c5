//! The findings as a person reads them: aligned, wrapped to the terminal, coloured on one only.

use console::{Style, Term, measure_text_width};

use super::finding::{Finding, Level, Section};

/// A line is not longer than this, however wide the terminal is.
const MOST_COLUMNS: usize = 120;
/// Before the text of a finding: two blanks, the level, two blanks.
const LEVEL_COLUMNS: usize = 8;

/// The width to wrap to.
pub(super) fn columns() -> usize {
    let term = Term::stdout();
    if term.is_term() { usize::from(term.size().1).clamp(60, MOST_COLUMNS) } else { MOST_COLUMNS }
}

pub(super) fn lines(section: &Section, columns: usize) -> Vec<String> {
    let name = section.findings.iter().map(|finding| measure_text_width(&finding.check)).max().unwrap_or(0);
    let mut lines = vec![Style::new().bold().apply_to(&section.title).to_string()];
    for finding in &section.findings {
        lines.extend(finding_lines(finding, name, columns));
    }
    lines
}

fn finding_lines(finding: &Finding, name: usize, columns: usize) -> Vec<String> {
    let style = match finding.level {
        Level::Ok => Style::new().green(),
        Level::Skip => Style::new().dim(),
        Level::Warn => Style::new().yellow(),
        Level::Fail => Style::new().red().bold(),
    };
    let indent = LEVEL_COLUMNS + name + 2;
    let width = columns.saturating_sub(indent).max(20);
    let head = format!(
        "  {}{:blank$}",
        style.apply_to(finding.level.as_str()),
        "",
        blank = LEVEL_COLUMNS - 2 - finding.level.as_str().len()
    );
    let mut lines: Vec<String> = Vec::new();
    for (at, text) in wrap(&finding.seen, width).into_iter().enumerate() {
        lines.push(match at {
            0 => format!("{head}{:<name$}  {text}", finding.check),
            _ => format!("{:indent$}{text}", ""),
        });
    }
    if let Some(next) = &finding.next_step {
        for (at, text) in wrap(next, width.saturating_sub(2)).into_iter().enumerate() {
            lines.push(format!("{:indent$}{} {text}", "", if at == 0 { "→" } else { " " }));
        }
    }
    lines
}

/// Breaks between words; a word longer than the line keeps whole, so that it can be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().map_or(0, |line| measure_text_width(line));
        if line > 0 && line + 1 + measure_text_width(word) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// What it comes to.
pub(super) fn summary(sections: &[Section]) -> String {
    let count = |level| sections.iter().flat_map(|section| &section.findings).filter(|f| f.level == level).count();
    let (ok, skipped, warnings, faults) =
        (count(Level::Ok), count(Level::Skip), count(Level::Warn), count(Level::Fail));
    let s = |n| if n == 1 { "" } else { "s" };
    let skipped = if skipped > 0 { format!(", {skipped} not looked at") } else { String::new() };
    let style = match (faults, warnings) {
        (0, 0) => Style::new().green(),
        (0, _) => Style::new().yellow(),
        _ => Style::new().red(),
    };
    style
        .apply_to(format!("{ok} in order, {warnings} warning{}, {faults} fault{}{skipped}", s(warnings), s(faults)))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_below_each_other_and_long_ones_are_wrapped() {
        let findings = vec![
            Finding::ok("store", "sqlite:x.db"),
            Finding::fail("client secret", "is wrong in some way that takes more than a line", "put the right one in"),
        ];
        let section = Section::new("App", findings);
        let expected = [
            "App",
            "  ok    store          sqlite:x.db",
            "  FAIL  client secret  is wrong in some way that takes more than",
            "                       a line",
            "                       → put the right one in",
        ];
        assert_eq!(lines(&section, 64), expected);
        assert_eq!(summary(&[section]), "1 in order, 0 warnings, 1 fault");
    }
}
