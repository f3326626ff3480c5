//! One row: bytes to a draft.

use csv::ByteRecord;

use super::{
    formula::is_failed,
    header::{Cell, Columns},
};
use crate::{
    draft::Draft,
    refusal::{Code, Field, Refusal},
};

/// No field of a message needs more: the longest text takes 3,000 bytes.
const MAX_FIELD_BYTES: usize = 8 * 1024;

/// A row of the file, good or bad.
#[derive(Debug)]
pub(super) struct Row {
    /// The line on which it begins.
    pub(super) line: u64,
    pub(super) draft: Result<Draft, Vec<Refusal>>,
}

/// Spreadsheets leave rows of nothing but commas behind a table.
pub(super) fn is_blank(record: &ByteRecord) -> bool {
    record.iter().all(|field| field.trim_ascii().is_empty())
}

pub(super) fn draft(columns: &Columns, record: &ByteRecord) -> Result<Draft, Vec<Refusal>> {
    let cells = columns.cells();
    let unfit = |problem: String| {
        let remedy = "put a text with a comma, or whatever else separates the columns, into quotation marks";
        Err(vec![Refusal::new(Field::Message, Code::WrongColumnCount, problem, remedy)])
    };
    if !(columns.fewest()..=cells.len()).contains(&record.len()) {
        return unfit(format!("the row has {} columns, the header has {}", record.len(), cells.len()));
    }
    // SEND-SAFETY: what stands where nothing should may be the rest of a text that was cut at its comma.
    let stray = |(cell, bytes): (&Cell, &[u8])| *cell == Cell::Unnamed && !bytes.trim_ascii().is_empty();
    if let Some(index) = cells.iter().zip(record).position(stray) {
        return unfit(format!("column {} has no name in the header, and is not empty here", index + 1));
    }
    let mut draft = Draft::default();
    let mut faults = Vec::new();
    for (cell, bytes) in cells.iter().zip(record) {
        let Cell::Field(field) = *cell else { continue };
        match value(field, bytes) {
            Ok(value) => set(&mut draft, field, value),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some((template, places)) = columns.template() {
        match template.fill(places.iter().map(|column| record.get(*column).unwrap_or_default())) {
            Ok(text) => draft.text = text,
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(draft) } else { Err(faults) }
}

fn value(field: Field, bytes: &[u8]) -> Result<&str, Refusal> {
    let value = readable(field, "", bytes)?;
    // SEND-SAFETY: with such a key the row goes in, and once the formula is mended it has another key, and goes in again. As a text a
    // customer would get it. The other fields are refused by what they are.
    let code = match field {
        Field::Key => Code::BadKey,
        _ => Code::NoValue,
    };
    if matches!(field, Field::Key | Field::Text) && is_failed(value.trim()) {
        return Err(no_value(field, code, ""));
    }
    // Blanks around a number or a date are slips; in a text they may be meant.
    Ok(if field == Field::Text { value } else { value.trim() })
}

/// Of what a spreadsheet writes where a formula has failed; `of` stands before it.
pub(super) fn no_value(field: Field, code: Code, of: &str) -> Refusal {
    let problem = format!("{of}holds what a spreadsheet writes for a value that it can't show");
    Refusal::new(field, code, problem, "mend the formula, or make the column wider, and export again")
}

/// A cell's own words; `of` stands before what is wrong with it.
pub(super) fn readable<'a>(field: Field, of: &str, bytes: &'a [u8]) -> Result<&'a str, Refusal> {
    if bytes.len() > MAX_FIELD_BYTES {
        let problem = format!("{of}has {} bytes; {MAX_FIELD_BYTES} is the most", bytes.len());
        return Err(Refusal::new(field, Code::FieldTooLong, problem, "shorten it; is a quotation mark not closed?"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let problem = format!("{of}is not UTF-8 from byte {} on", error.valid_up_to() + 1);
        Refusal::new(field, Code::NotUtf8, problem, "save the file as \"CSV UTF-8\"")
    })
}

fn set(draft: &mut Draft, field: Field, value: &str) {
    let optional = (!value.is_empty()).then(|| value.to_owned());
    match field {
        Field::From => draft.from = value.to_owned(),
        Field::To => draft.to = value.to_owned(),
        Field::Text => draft.text = value.to_owned(),
        Field::SendAt => draft.send_at = optional,
        Field::SendBy => draft.send_by = optional,
        Field::Priority => draft.priority = optional,
        Field::OnUnknown => draft.on_unknown = optional,
        Field::Key => draft.key = optional,
        // No column has this name.
        Field::Message => {}
    }
}
