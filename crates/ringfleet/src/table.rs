//! Columns for people: as wide as what stands in them, coloured on a terminal only.

use std::{
    borrow::Cow,
    io::{self, IsTerminal},
};

use console::{Style, measure_text_width};

/// A cell's text and how it looks on a terminal.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        let text: String = text.into();
        Self { text: tame(&text), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Strangers wrote some of it: one line, nothing that a terminal would obey, and nothing that hides or moves what is read.
pub(crate) fn tame(text: &str) -> String {
    text.chars().filter(|char| !is_unseen(*char)).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Marks that turn the direction of a text round, and blanks without width. Not the joiners U+200C and U+200D: emoji and
/// some scripts need them.
fn is_unseen(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Lines for programs as they go to standard output: to the byte, but where that is a person's terminal.
pub(crate) fn for_stdout(lines: &str) -> Cow<'_, str> {
    if io::stdout().is_terminal() { Cow::Owned(tame_lines(lines)) } else { Cow::Borrowed(lines) }
}

fn tame_lines(lines: &str) -> String {
    lines.split('\n').map(tame).collect::<Vec<_>>().join("\n")
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
    fn nothing_unseen_turns_a_cell_round_and_joined_emoji_stay_whole() {
        let rows = [["a\u{202e}b\u{2066}c\u{200f}d\u{200b}e\u{feff}f".into(), "👩\u{200d}💻".into()]];
        assert!(lines(["text", "more"], &rows)[1].starts_with("abcdef  👩\u{200d}💻"));
        let turns = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{61c}', '\u{200e}', '\u{200f}']);
        for unseen in turns.chain(['\u{200b}', '\u{2060}', '\u{feff}']) {
            assert_eq!(tame(&format!("a{unseen}b")), "ab", "{unseen:?}");
        }
    }

    #[test]
    fn lines_for_programs_keep_their_ends_and_nothing_else_that_a_terminal_would_obey() {
        assert_eq!(tame_lines("{\"a\":\"\u{9b}2Jb\"}\nc,\u{1b}[1md\r\n"), "{\"a\":\" 2Jb\"}\nc, [1md \n");
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
