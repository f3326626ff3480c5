//! The first row: which column is where.

use csv::ByteRecord;

use crate::{draft::shown_name, refusal::Field};

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
    #[error("column {position} has the unknown name {name}; use {}", known())]
    Unknown { position: usize, name: String },
    #[error("column {name} stands there twice; leave one of them")]
    Twice { name: &'static str },
    #[error("the header row has no column {name}; from, to and text must be there, the first row names the columns")]
    Missing { name: &'static str },
}

fn known() -> String {
    Field::NAMED.map(Field::as_str).join(", ")
}

/// Where each field stands. A column without a name has none: spreadsheets leave such behind a table, and its cells must be empty.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    fields: Vec<Option<Field>>,
}

impl Columns {
    /// Reads the header: any order, any case, blanks around names and a byte-order mark allowed.
    pub(super) fn try_new(header: &ByteRecord) -> Result<Self, HeaderError> {
        let first = header.get(0).unwrap_or_default();
        if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
            return Err(HeaderError::Utf16);
        }
        let mut fields = Vec::with_capacity(header.len());
        for (index, name) in header.iter().enumerate() {
            let name = std::str::from_utf8(name).map_err(|_| HeaderError::NotUtf8)?;
            let name = name.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
            if name.is_empty() {
                fields.push(None);
                continue;
            }
            let field = Field::named(&name).ok_or_else(|| unknown(index, &name, header.len()))?;
            if fields.contains(&Some(field)) {
                return Err(HeaderError::Twice { name: field.as_str() });
            }
            fields.push(Some(field));
        }
        let missing = |field: &Field| field.is_required() && !fields.contains(&Some(*field));
        match Field::NAMED.into_iter().find(missing) {
            Some(field) => Err(HeaderError::Missing { name: field.as_str() }),
            None => Ok(Self { fields }),
        }
    }

    /// The fields in the order of the columns.
    pub(super) fn fields(&self) -> &[Option<Field>] {
        &self.fields
    }

    /// Up to the last one with a name: spreadsheets leave out the empty cells behind it, or don't.
    pub(super) fn fewest(&self) -> usize {
        self.fields.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }
}

fn unknown(index: usize, name: &str, columns: usize) -> HeaderError {
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

    fn columns(names: &[&str]) -> Result<Vec<Field>, HeaderError> {
        Columns::try_new(&ByteRecord::from(names.to_vec()))
            .map(|columns| columns.fields.into_iter().flatten().collect())
    }

    #[test]
    fn order_case_and_byte_order_mark_do_not_matter() {
        let fields = columns(&["\u{feff}Text", " TO ", "send_by", "From"]).unwrap();
        assert_eq!(fields, [Field::Text, Field::To, Field::SendBy, Field::From]);
    }

    #[test]
    fn unusable_headers_say_what_to_do() {
        assert_eq!(columns(&["from", "to"]), Err(HeaderError::Missing { name: "text" }));
        assert_eq!(columns(&["from", "to", "text", "To"]), Err(HeaderError::Twice { name: "to" }));
        assert_eq!(columns(&["from;to;text"]), Err(HeaderError::Separator { separator: "semicolons" }));
        let unknown = columns(&["from", "to", "body"]).unwrap_err().to_string();
        assert!(unknown.contains("column 3") && unknown.contains("body") && unknown.contains("text"), "{unknown}");
        assert_eq!(Columns::try_new(&ByteRecord::from(vec![&b"\xff\xfef\0"[..]])).unwrap_err(), HeaderError::Utf16);
    }

    #[test]
    fn file_without_a_header_does_not_print_its_first_recipient() {
        let error = columns(&["+15550100001", "+15550200001", "Dear Ms Miller"]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("0100001"), "{error}");
    }
}
