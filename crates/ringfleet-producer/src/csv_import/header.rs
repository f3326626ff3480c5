//! The first row: which column is where.

use std::{collections::HashSet, fmt};

use csv::ByteRecord;

use super::template::{Template, TemplateFault, folded, shown};
use crate::{draft::shown_name, refusal::Field};

/// Faults of a template that are told; the others are counted. A file that is no template has one in each line.
const MOST_TOLD: usize = 20;

/// Why a file's first row can't be used. Nothing of the file was taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("the file is empty; begin with a header row like from,to,text")]
    Empty,
    #[error("the file is UTF-16; save it as \"CSV UTF-8\"")]
    Utf16,
    #[error("the header row is not UTF-8; save the file as \"CSV UTF-8\"")]
    NotUtf8,
    #[error(
        "the line ends are carriage returns (CR alone), as old Macs wrote them; save the file as \"CSV UTF-8\", with LF or CRLF"
    )]
    LineEnds,
    #[error("the columns are separated by {separator}; save the file with commas between them")]
    Separator { separator: &'static str },
    #[error("column {position} has the unknown name {name}; use {}", known(true))]
    Unknown { position: usize, name: String },
    #[error("column {name} stands there twice; leave one of them")]
    Twice { name: &'static str },
    #[error(
        "the header row has no column {name}; the first row names the columns, and from, to and text must be there (from and to, where \
         --template makes the text): rename those of the file"
    )]
    Missing { name: &'static str },
    #[error(
        "the header row has a column text, and the template makes the text; leave one of them, or add --pass-over text"
    )]
    TwoTexts,
    #[error("column {name} means something to Ringfleet, and can't be passed over; rename it in the file")]
    NotPassedOver { name: &'static str },
    #[error("{0}")]
    Unmatched(Unmatched),
}

/// Columns that nothing uses, and what keeps the template from being used: to be mended together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmatched {
    /// In their order; `None` without a template.
    pub template: Option<Vec<TemplateFault>>,
    pub columns: Vec<UnknownColumn>,
}

/// Of a file that has a header row, since `from` and `to` stand there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownColumn {
    /// From 1 on.
    pub position: usize,
    /// `None` if it does not look like a name.
    pub name: Option<String>,
}

impl fmt::Display for UnknownColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, name } = self;
        match name {
            Some(name) => write!(f, "{name} (column {position})"),
            None => write!(f, "column {position}, whose name is not shown"),
        }
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.template.as_deref().unwrap_or_default();
        if !faults.is_empty() {
            let s = if faults.len() == 1 { "fault" } else { "faults" };
            write!(f, "the template has {} {s}:", faults.len())?;
        }
        for fault in faults.iter().take(MOST_TOLD) {
            write!(f, "\n  {fault}")?;
        }
        if faults.len() > MOST_TOLD {
            write!(f, "\n  … and {} more", faults.len() - MOST_TOLD)?;
        }
        if self.columns.is_empty() {
            return Ok(());
        }
        let parted = if faults.is_empty() { "" } else { "\nand the file has " };
        let columns: Vec<String> = self.columns.iter().map(UnknownColumn::to_string).collect();
        let names: Vec<&str> = self.columns.iter().filter_map(|column| column.name.as_deref()).collect();
        let named = if names.is_empty() { "with their names".to_owned() } else { format!("\"{}\"", names.join(",")) };
        let made =
            if self.template.is_some() { "use them in the template" } else { "make the text of them (--template)" };
        write!(
            f,
            "{parted}unknown columns: {}; correct a name that is misspelt ({}), {made}, or pass them over: --pass-over {named}",
            columns.join(", "),
            known(self.template.is_none()),
        )
    }
}

fn known(with_text: bool) -> String {
    let names = Field::NAMED.into_iter().filter(|field| with_text || *field != Field::Text);
    names.map(Field::as_str).collect::<Vec<_>>().join(", ")
}

/// What stands in a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    Field(Field),
    /// A value for the template, or nothing that anybody wants to know.
    Other,
    /// Without a name: spreadsheets leave such columns behind a table, and their cells must be empty.
    Unnamed,
}

/// Where each field and each value stands.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    cells: Vec<Cell>,
    /// With the column of each of its places.
    template: Option<(Template, Vec<usize>)>,
}

impl Columns {
    /// Reads the header: any order, any case, blanks around names and a byte-order mark allowed.
    pub(super) fn try_new(
        header: &ByteRecord,
        template: Option<&Template>,
        pass_over: &[String],
    ) -> Result<Self, HeaderError> {
        let first = header.get(0).unwrap_or_default();
        if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
            return Err(HeaderError::Utf16);
        }
        let names = header.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let folded_names: Vec<String> = names.iter().map(|name| folded(name)).collect();
        let passed: HashSet<String> = pass_over.iter().map(|name| folded(name)).collect();
        // An option's value is split at its commas, and a name may have some.
        let is_passed = |name: &str| name.split(',').all(|part| passed.contains(part.trim()));
        let own = |name: &str| Field::named(name).filter(|field| template.is_none() || *field != Field::Text);
        let (mut cells, mut unknown) = (Vec::<Cell>::with_capacity(header.len()), Vec::new());
        for (index, name) in folded_names.iter().enumerate() {
            let cell = match own(name) {
                Some(field) if cells.contains(&Cell::Field(field)) => {
                    return Err(HeaderError::Twice { name: field.as_str() });
                }
                // SEND-SAFETY: without its key a row is another message, and without its send_at one that goes at once.
                Some(field) if is_passed(name) => return Err(HeaderError::NotPassedOver { name: field.as_str() }),
                Some(field) => Cell::Field(field),
                None if name.is_empty() => Cell::Unnamed,
                None if is_passed(name) => Cell::Other,
                None if name == Field::Text.as_str() => return Err(HeaderError::TwoTexts),
                None if template.is_some_and(|template| template.uses(name)) => Cell::Other,
                None => {
                    // SEND-SAFETY: it may be a misspelt send_at or key.
                    unknown.push(index);
                    Cell::Other
                }
            };
            cells.push(cell);
        }
        let has = |field: Field| cells.contains(&Cell::Field(field));
        let lacking = [Field::From, Field::To].into_iter().find(|field| !has(*field));
        if let Some((&index, lacking)) = unknown.first().zip(lacking) {
            return Err(match unknown_name(index, &folded_names[index], header.len()) {
                // Most columns of an export have names of their own, so that the first of them tells nothing.
                HeaderError::Unknown { .. } if template.is_some() => HeaderError::Missing { name: lacking.as_str() },
                error => error,
            });
        }
        let (template_columns, faults) = match template.map(|template| template.find_in(&folded_names)).transpose() {
            Ok(found) => (found, Vec::new()),
            Err(faults) => (None, faults),
        };
        if !unknown.is_empty() || !faults.is_empty() {
            let column =
                |index: usize| UnknownColumn { position: index + 1, name: shown(names[index]).map(str::to_owned) };
            return Err(HeaderError::Unmatched(Unmatched {
                template: template.map(|_| faults),
                columns: unknown.into_iter().map(column).collect(),
            }));
        }
        let is_wanted = |field: &Field| field.is_required() && (template.is_none() || *field != Field::Text);
        match Field::NAMED.into_iter().find(|field| is_wanted(field) && !has(*field)) {
            Some(field) => Err(HeaderError::Missing { name: field.as_str() }),
            None => Ok(Self { cells, template: template.cloned().zip(template_columns) }),
        }
    }

    /// In the order of the columns.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// What makes the text, with the column of each of its places.
    pub(super) fn template(&self) -> Option<(&Template, &[usize])> {
        self.template.as_ref().map(|(template, columns)| (template, columns.as_slice()))
    }

    /// Up to the last one with a name: spreadsheets leave out the empty cells behind it, or don't.
    pub(super) fn fewest(&self) -> usize {
        self.cells.iter().rposition(|cell| *cell != Cell::Unnamed).map_or(0, |last| last + 1)
    }
}

fn name(cell: &[u8]) -> Result<&str, HeaderError> {
    let name = std::str::from_utf8(cell).map_err(|_| HeaderError::NotUtf8)?;
    Ok(name.trim_start_matches('\u{feff}').trim())
}

/// Of a row that may be no header: its first recipient may stand where the names should be.
fn unknown_name(index: usize, name: &str, columns: usize) -> HeaderError {
    // Spreadsheets of half of Europe write semicolons.
    let separators = [(';', "semicolons"), ('\t', "tabs"), ('|', "|")];
    match separators.into_iter().find(|(sign, _)| columns == 1 && name.contains(*sign)) {
        Some((_, separator)) => HeaderError::Separator { separator },
        None => HeaderError::Unknown { position: index + 1, name: shown_name(name).to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str], template: Option<&str>, pass_over: &[&str]) -> Result<Vec<Cell>, HeaderError> {
        let template = template.map(|text| Template::read(text.as_bytes()));
        let pass_over: Vec<String> = pass_over.iter().map(|name| (*name).to_owned()).collect();
        Columns::try_new(&ByteRecord::from(names.to_vec()), template.as_ref(), &pass_over).map(|columns| columns.cells)
    }

    fn columns(names: &[&str]) -> Result<Vec<Cell>, HeaderError> {
        read(names, None, &[])
    }

    #[test]
    fn order_case_and_byte_order_mark_do_not_matter() {
        let fields = columns(&["\u{feff}Text", " TO ", "send_by", "From"]).unwrap();
        assert_eq!(fields, [Field::Text, Field::To, Field::SendBy, Field::From].map(Cell::Field));
    }

    #[test]
    fn unusable_headers_say_what_to_do() {
        assert_eq!(columns(&["from", "to"]), Err(HeaderError::Missing { name: "text" }));
        assert_eq!(columns(&["from", "to", "text", "To"]), Err(HeaderError::Twice { name: "to" }));
        assert_eq!(columns(&["from;to;text"]), Err(HeaderError::Separator { separator: "semicolons" }));
        let unknown = columns(&["from", "to", "body"]).unwrap_err().to_string();
        assert!(unknown.contains("column 3") && unknown.contains("body") && unknown.contains("text"), "{unknown}");
        let utf16 = ByteRecord::from(vec![&b"\xff\xfef\0"[..]]);
        assert_eq!(Columns::try_new(&utf16, None, &[]).unwrap_err(), HeaderError::Utf16);
    }

    #[test]
    fn an_export_without_from_or_to_is_told_which_is_missing_and_not_the_first_of_its_own_names() {
        let told = |names: &[&str]| read(names, Some("Hi {first name}"), &[]).unwrap_err();
        assert_eq!(told(&["First Name", "Mobile", "Owner"]), HeaderError::Missing { name: "from" });
        assert_eq!(told(&["First Name", "Mobile", "from"]), HeaderError::Missing { name: "to" });
        assert_eq!(told(&["First Name;Mobile"]), HeaderError::Separator { separator: "semicolons" });
    }

    #[test]
    fn file_without_a_header_does_not_print_its_first_recipient() {
        for template in [None, Some("{name}")] {
            let error = read(&["+15550100001", "+15550200001", "Dear Ms Miller"], template, &[]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("0100001"), "{error}");
            let error = read(&["from", "to", "+15550200001"], template, &[]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("0200001"), "{error}");
        }
    }

    #[test]
    fn a_column_that_the_template_does_not_use_is_a_fault_unless_it_is_passed_over_by_its_name() {
        let names = ["from", "to", "Name", "Sendat", "Last, First", "e-mail"];
        let told = read(&names, Some("Hello {name}"), &[]).unwrap_err().to_string();
        for part in
            ["Sendat (column 4), Last, First (column 5), e-mail (column 6)", "send_at, send_by", "in the template"]
        {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert!(told.ends_with("--pass-over \"Sendat,Last, First,e-mail\"") && !told.contains("text"), "{told}");
        let told = |name| read(&["from", "to", "text", name], None, &[]).unwrap_err().to_string();
        assert!(told("Opted in? [%]").ends_with("--pass-over \"Opted in? [%]\""), "{}", told("Opted in? [%]"));
        assert!(told("a\tb").ends_with("whose name is not shown; correct a name that is misspelt (from, to, text, send_at, send_by, \
            priority, on_unknown, key), make the text of them (--template), or pass them over: --pass-over with their names"));
        let all = ["Sendat", "Last", " First", "E-MAIL"];
        assert!(read(&names, Some("Hello {name}"), &all).is_ok());
        assert!(read(&names, Some("Hello {name}"), &all[1..]).unwrap_err().to_string().contains("Sendat"));
        assert!(read(&["from", "to", "text", "e-mail", "e-mail"], None, &all).is_ok());
    }

    #[test]
    fn what_means_something_to_the_program_is_never_passed_over_but_for_a_text_that_the_template_makes() {
        let names = ["from", "to", "text", "key", "name"];
        let read = |template, pass_over: &[&str]| read(&names, template, pass_over);
        assert_eq!(read(Some("{name}"), &[]), Err(HeaderError::TwoTexts));
        assert_eq!(read(Some("{name}"), &["key", "text"]), Err(HeaderError::NotPassedOver { name: "key" }));
        assert_eq!(read(None, &["text", "name"]), Err(HeaderError::NotPassedOver { name: "text" }));
        assert_eq!(read(Some("{name}"), &["text"]).unwrap()[2..4], [Cell::Other, Cell::Field(Field::Key)]);
    }

    #[test]
    fn faults_of_the_template_and_columns_that_nothing_uses_are_told_together() {
        let told =
            read(&["from", "to", "first_name"], Some("Hi {first_nam}\n{{first_name}} {"), &[]).unwrap_err().to_string();
        for part in [
            "has 3 faults:",
            "line 1, column 4",
            "first_nam ",
            "line 2, column 1",
            "line 2, column 16",
            "first_name (column 3)",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        let one = read(&["from", "to"], Some("Hi {"), &[]).unwrap_err().to_string();
        assert!(one.starts_with("the template has 1 fault:\n"), "{one}");
        let many = read(&["from", "to"], Some(&"{ ".repeat(99)), &[]).unwrap_err().to_string();
        assert!(many.lines().count() < 25 && many.ends_with("… and 79 more"), "{many}");
    }
}
