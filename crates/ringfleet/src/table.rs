//! Columns for people: as wide as what stands in them, coloured on a terminal only.

use console::{Style, measure_text_width};

/// A cell's text and how it looks on a terminal.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// The lines of a table under its header. The last column is not padded.
pub(crate) fn lines<const N: usize>(header: [&str; N], rows: &[[Cell; N]]) -> Vec<String> {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(&cell.text));
        }
    }
    let line = |cells: [(&str, &Style); N]| {
        let mut line = String::new();
        for (at, (text, style)) in cells.into_iter().enumerate() {
            let pad = if at + 1 == N { 0 } else { widths[at] + 2 - measure_text_width(text) };
            line.push_str(&style.apply_to(text).to_string());
            line.push_str(&" ".repeat(pad));
        }
        line.trim_end().to_owned()
    };
    let dim = Style::new().dim();
    let head = line(header.map(|name| (name, &dim)));
    let body = rows.iter().map(|row| line(std::array::from_fn(|at| (row[at].text.as_str(), &row[at].style))));
    std::iter::once(head).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_with_blanks() {
        let rows = [["400129284008".into(), "jwt".into(), "ok".into()], ["7".into(), "password".into(), "".into()]];
        assert_eq!(
            lines(["extension", "method", "state"], &rows),
            ["extension     method    state", "400129284008  jwt       ok", "7             password"]
        );
    }
}
