//! A text with places for what stands in a file's columns: `Hello {first_name|there}, see you on {date}.`
//!
//! Own code, as it is short: engines for templates bring expressions and filters that no text needs, and most of them make nothing of a
//! place without a value.

use std::fmt;

use super::{formula::is_failed, row};
use crate::{
    check::{is_refused_control, is_unseen},
    refusal::{Code, Field, Refusal},
};

/// The text of all rows, with a place for each value. Its faults are told by the import, together with those that only the header of
/// the file shows, before any row is taken in.
///
/// `Debug` shows nothing of the text.
#[derive(Clone, Default)]
pub struct Template {
    parts: Vec<Part>,
    faults: Vec<TemplateFault>,
}

#[derive(Clone)]
enum Part {
    Text(String),
    Place(Place),
}

#[derive(Clone)]
struct Place {
    /// As names are compared.
    column: String,
    /// For people: `the column first_name `.
    told: String,
    /// In place of an empty value.
    default: Option<String>,
    at: At,
}

/// Where in the template, both from 1 on; columns are characters.
#[derive(Clone, Copy)]
struct At {
    line: usize,
    column: usize,
}

/// What is wrong with a template, and where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TemplateFault {
    /// Of the template, from 1 on.
    pub line: usize,
    /// The character of that line, from 1 on.
    pub column: usize,
    /// What is wrong and what to do, without any of the text.
    pub problem: String,
}

impl Template {
    /// Reads a file of UTF-8. CRLF counts as LF; blanks and line ends at the end are left off, as editors put them there.
    ///
    /// `{date}` is the value of the column `date`, `{first_name|there}` that or `there`; a brace of the text is written twice, and
    /// nothing stands between two such braces on one line.
    pub fn read(bytes: &[u8]) -> Self {
        let mut this = Self::default();
        match std::str::from_utf8(bytes) {
            Ok(text) => this.take(text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").trim_end()),
            Err(error) => {
                let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                this.fault(At::behind(&before), "is not UTF-8 from here on; save the template as UTF-8");
            }
        }
        this
    }

    fn take(&mut self, text: &str) {
        if text.is_empty() {
            self.fault(At::behind(""), "the template is empty; write the text, such as: Hello {first_name|there}");
        }
        if let Some((offset, control)) = text.char_indices().find(|(_, c)| is_refused_control(*c)) {
            let problem = format!("is the control character U+{:04X}; take it out", u32::from(control));
            self.fault(At::behind(&text[..offset]), problem);
        }
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            self.literal(&rest[..brace]);
            rest = &rest[brace..];
            let at = At::behind(&text[..text.len() - rest.len()]);
            let taken = match rest.as_bytes() {
                [b'{', b'{', ..] => self.doubled(rest, at),
                [b'}', b'}', ..] => {
                    self.literal("}");
                    2
                }
                [b'}', ..] => {
                    self.fault(at, "this brace closes nothing; one that belongs to the text is written twice: }}");
                    1
                }
                _ => self.place(&rest[1..], at),
            };
            rest = &rest[taken..];
        }
        self.literal(rest);
    }

    /// A brace opens a place; gives the bytes that were used up, from the brace on.
    fn place(&mut self, inside: &str, at: At) -> usize {
        let end = inside.find(['{', '}', '\n']).filter(|end| inside[*end..].starts_with('}'));
        let Some(end) = end else {
            let problem = "this brace is not closed on its line; one that belongs to the text is written twice: {{";
            self.fault(at, problem);
            return 1;
        };
        let (name, default) = match inside[..end].split_once('|') {
            Some((name, default)) => (name, Some(default.trim().to_owned())),
            None => (&inside[..end], None),
        };
        match name.trim() {
            "" => self.fault(at, "names no column; write one between the braces, such as {first_name}"),
            name => self.parts.push(Part::Place(Place::new(name, default, at))),
        }
        end + 2
    }

    /// At two braces or more that open; gives the bytes that were used up.
    fn doubled(&mut self, rest: &str, at: At) -> usize {
        let Some((name, length)) = between_doubled(rest) else {
            self.literal("{");
            return 2;
        };
        // SEND-SAFETY: other programs' templates have {{first_name}} or {{{first_name}}} for a value. As text a customer would get
        // "Hello {first_name}". That no column has the name makes it no text: the file may call it "First Name".
        let name = name.split('|').next().unwrap_or_default().trim();
        let problem = "stands in doubled braces, as other programs' templates have it; for its value write each brace once, and if it \
                       is text put it into other brackets, such as ( )";
        self.fault(at, format!("{}{problem}", told(name)));
        length
    }

    fn literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn fault(&mut self, at: At, problem: impl Into<String>) {
        self.faults.push(at.fault(problem));
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(place) => Some(place),
            Part::Text(_) => None,
        })
    }

    /// Whether a column of this name, as [`folded`] gives it, has a place.
    pub(super) fn uses(&self, column: &str) -> bool {
        self.places().any(|place| place.column == column)
    }

    /// The column of each place among those of a header, whose names are [`folded`].
    ///
    /// # Errors
    /// All faults of the template, in their order.
    pub(super) fn find_in(&self, columns: &[String]) -> Result<Vec<usize>, Vec<TemplateFault>> {
        let mut faults = self.faults.clone();
        let mut found = Vec::new();
        for place in self.places() {
            let mut of_this_name = (0..columns.len()).filter(|at| columns[*at] == place.column);
            match (of_this_name.next(), of_this_name.next()) {
                (Some(at), None) => found.push(at),
                (None, _) => faults.push(place.fault("is not in the file; correct its name here or there")),
                (Some(_), Some(_)) => faults.push(place.fault("is in the file more than once; give each its own name")),
            }
        }
        faults.sort();
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }

    /// The text of a row; `cells` has that of each place, as [`find_in`](Self::find_in) gives them.
    ///
    /// # Errors
    /// Each column once that has no usable value.
    pub(super) fn fill<'a>(&self, cells: impl IntoIterator<Item = &'a [u8]>) -> Result<String, Vec<Refusal>> {
        let mut cells = cells.into_iter();
        let (mut text, mut faults) = (String::new(), Vec::new());
        for part in &self.parts {
            let piece = match part {
                Part::Text(text) => Ok(text.as_str()),
                Part::Place(place) => place.value(cells.next().unwrap_or_default()),
            };
            match piece {
                Ok(piece) => text.push_str(piece),
                Err(fault) if faults.contains(&fault) => {}
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(text) } else { Err(faults) }
    }
}

impl Place {
    fn new(name: &str, default: Option<String>, at: At) -> Self {
        Self { column: folded(name), told: told(name), default, at }
    }

    fn fault(&self, problem: &str) -> TemplateFault {
        self.at.fault(format!("{}{problem}", self.told))
    }

    /// As it stands in the cell, without blanks at its ends.
    fn value<'a>(&'a self, cell: &'a [u8]) -> Result<&'a str, Refusal> {
        let value = row::readable(Field::Text, &self.told, cell)?.trim();
        if is_failed(value) {
            return Err(row::no_value(Field::Text, Code::NoValue, &self.told));
        }
        if !value.chars().all(is_unseen) {
            return Ok(value);
        }
        // SEND-SAFETY: a customer would get "Hello ,".
        self.default.as_deref().ok_or_else(|| {
            let problem = format!("{}is empty, and the template has no default for it", self.told);
            let remedy = "fill it in, or write one into the template, as in {first_name|there}";
            Refusal::new(Field::Text, Code::NoValue, problem, remedy)
        })
    }
}

impl At {
    fn behind(before: &str) -> Self {
        let last = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: last.chars().count() + 1 }
    }

    fn fault(self, problem: impl Into<String>) -> TemplateFault {
        TemplateFault { line: self.line, column: self.column, problem: problem.into() }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (places, faults) = (self.places().count(), self.faults.len());
        f.debug_struct("Template").field("places", &places).field("faults", &faults).finish_non_exhaustive()
    }
}

/// What stands between the doubled braces that `text` begins with, and the bytes up to behind the last of them. `None` if there is
/// nothing, or if they are not closed on their line before another brace.
fn between_doubled(text: &str) -> Option<(&str, usize)> {
    let inside = text.trim_start_matches('{');
    let (name, closing) = inside.split_at(inside.find(['{', '}', '\n'])?);
    if !closing.starts_with("}}") || name.chars().all(is_unseen) {
        return None;
    }
    Some((name, text.len() - closing.trim_start_matches('}').len()))
}

/// A column, for people.
fn told(name: &str) -> String {
    shown(name).map_or_else(|| "the column of this place ".to_owned(), |name| format!("the column {name} "))
}

/// A column's name as names are compared: without case, and without blanks at the ends.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// A column's name if it looks like one: it may be text between stray braces, or a customer's number.
pub(super) fn shown(name: &str) -> Option<&str> {
    let plain = |c: char| c.is_alphanumeric() || " _-.,:/#()&+'".contains(c);
    let digits = name.chars().filter(|c| c.is_numeric()).count();
    (name.chars().count() <= 40 && digits < 7 && name.chars().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| folded(name)).collect()
    }

    /// With the cells of `columns`, in their order.
    fn filled(template: &str, names: &[&str], cells: &[&str]) -> Result<String, Vec<Refusal>> {
        let template = Template::read(template.as_bytes());
        let found = template.find_in(&columns(names)).unwrap();
        template.fill(found.iter().map(|at| cells[*at].as_bytes()))
    }

    fn faults(template: impl AsRef<[u8]>, names: &[&str]) -> Vec<(usize, usize)> {
        let faults = Template::read(template.as_ref()).find_in(&columns(names)).unwrap_err();
        faults.iter().map(|fault| (fault.line, fault.column)).collect()
    }

    #[test]
    fn each_place_gets_its_columns_value_as_it_stands_without_blanks_at_its_ends() {
        let names = ["Date", "First Name", "note"];
        let text =
            filled("Hello {first name}, {DATE}; {date}!\n{ note }", &names, &[" 3 May ", "Zoë\t", "{date}\r\nx}"]);
        assert_eq!(text.unwrap(), "Hello Zoë, 3 May; 3 May!\n{date}\r\nx}");
    }

    #[test]
    fn an_empty_value_is_a_fault_unless_the_place_has_a_default() {
        let names = ["name", "title"];
        for empty in ["", " ", "\u{a0}", "\u{200b}\u{feff}"] {
            assert_eq!(filled("Hello {name| there }", &names, &[empty, ""]).unwrap(), "Hello there");
            assert_eq!(filled("{title|}{name}", &names, &["Ms X", empty]).unwrap(), "Ms X");
            let faults = filled("{name|you}, {title}, {name}, {name}", &names, &[empty, empty]).unwrap_err();
            let told: Vec<String> = faults.iter().map(Refusal::to_string).collect();
            assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [Code::NoValue; 2], "{told:?}");
            assert!(told[0].starts_with("text: the column title is empty") && told[1].contains("column name is empty"));
        }
    }

    #[test]
    fn what_a_spreadsheet_writes_for_a_failed_formula_or_a_narrow_column_reaches_nobody() {
        for failed in ["#N/A", "#WERT!", " #DIV/0! ", "Err:502", "########"] {
            let fault = &filled("On {date|some day}", &["date"], &[failed]).unwrap_err()[0];
            assert!(fault.code == Code::NoValue && fault.to_string().contains("spreadsheet"), "{fault}");
        }
        assert_eq!(filled("Order {no}", &["no"], &["#12"]).unwrap(), "Order #12");
    }

    #[test]
    fn all_faults_are_told_with_line_and_column_and_nothing_of_the_text() {
        assert_eq!(faults("a {} b}\n{c", &[]), [(1, 3), (1, 7), (2, 1)]);
        assert_eq!(faults("ä {x\n} {y{z}", &["z"]), [(1, 3), (2, 1), (2, 3)]);
        assert_eq!(faults("\u{feff}{a|b\r\n\r\n\u{7}", &[]), [(1, 1), (3, 1)]);
        assert_eq!(faults(" \r\n\n", &[]), [(1, 1)]);
        assert_eq!(faults(b"ab\ncd\xe9f", &[]), [(2, 3)]);
        assert_eq!(faults("{a} {b} {a}", &["b"]), [(1, 1), (1, 9)]);
        assert_eq!(faults("{a} {b}", &["a", "b", " B"]), [(1, 5)]);
        let told = Template::read("{call Mx Canary: 555 020 0001} {".as_bytes());
        let words = format!("{told:?} {:?}", told.find_in(&[]));
        assert!(words.contains("the column of this place") && !words.contains("Canary"), "{words}");
    }

    #[test]
    fn doubled_braces_around_anything_on_a_line_are_a_fault_whatever_columns_there_are() {
        let columns = ["from", "to", "First Name", "key"];
        for mistaken in [
            "{{first_name}}",
            "{{First Name}}",
            "{{ first_name|there }}",
            "{{{first_name}}}",
            "{{{{first_name}}}}",
            "{{1}}",
            "{{Discount %}}",
        ] {
            assert_eq!(faults(format!("Hello {mistaken}, bye"), &columns), [(1, 7)], "{mistaken}");
        }
        assert_eq!(faults("{{a}} {b} {{c}}\n{{d}}", &["b"]), [(1, 1), (1, 11), (2, 1)]);
    }

    #[test]
    fn a_doubled_brace_that_encloses_nothing_is_one_brace_of_the_text() {
        let text = filled("{{ {name} }} {{ }} {{}} :-{{ {{\nx}} }}", &["name"], &["Zoë"]);
        assert_eq!(text.unwrap(), "{ Zoë } { } {} :-{ {\nx} }");
    }

    proptest! {
        // Of one kind: a brace that opens and one that closes may enclose something.
        #[test]
        fn any_text_with_its_braces_doubled_comes_out_as_it_is(text in "[ -z|~äé€😀\n{]{0,80}[a-z{]") {
            for text in [text.replace('{', "}"), text] {
                let template = Template::read(text.replace('{', "{{").replace('}', "}}").as_bytes());
                prop_assert_eq!(template.find_in(&[]), Ok(Vec::new()));
                prop_assert_eq!(template.fill([]), Ok(text));
            }
        }

        #[test]
        fn a_value_is_never_read_as_a_part_of_the_template(value in "[a-z{}|]{0,20}[a-z{}|]") {
            prop_assert_eq!(filled("<{v}>", &["v"], &[&value]), Ok(format!("<{value}>")));
        }
    }
}
