//! Columns for people: as wide as what stands in them, coloured on a terminal only.

use console::{Style, measure_text_width};

/// A cell's text and how it looks on a terminal.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: tame(text.into()), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Strangers wrote some of it: one line, and nothing that a terminal would obey.
fn tame(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

/// The lines of a table under its header; each row has a cell for each column. The last column is not padded.
pub(crate) fn lines<'a>(header: impl AsRef<[&'a str]>, rows: &[impl AsRef<[Cell]>]) -> Vec<String> {
    let header = header.as_ref();
    let mut widths: Vec<usize> = header.iter().map(|name| name.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = (*width).max(measure_text_width(&cell.text));
        }
    }
    let line = |cells: &mut dyn Iterator<Item = (&str, &Style)>| {
        let mut line = String::new();
        for (at, (text, style)) in cells.enumerate() {
            let pad = if at + 1 == widths.len() { 0 } else { widths[at] + 2 - measure_text_width(text) };
            line.push_str(&style.apply_to(text).to_string());
            line.push_str(&" ".repeat(pad));
        }
        line.trim_end().to_owned()
    };
    let dim = Style::new().dim();
    let head = line(&mut header.iter().map(|name| (*name, &dim)));
    let body = rows.iter().map(|row| line(&mut row.as_ref().iter().map(|cell| (cell.text.as_str(), &cell.style))));
    std::iter::once(head).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_line_and_holds_nothing_that_a_terminal_would_obey() {
        let rows = [["a\nb\u{1b}[2Jc\u{9b}1m".into(), Cell::styled("\u{7}d\u{7f}", Style::new())]];
        assert_eq!(lines(["text", "more"], &rows)[1], "a b [2Jc 1m   d");
    }

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_with_blanks() {
        let rows = [["400129284008".into(), "jwt".into(), "ok".into()], ["7".into(), "password".into(), "".into()]];
        assert_eq!(
            lines(["extension", "method", "state"], &rows),
            ["extension     method    state", "400129284008  jwt       ok", "7             password"]
        );
    }
}
