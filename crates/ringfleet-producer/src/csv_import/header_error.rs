//! What is told of a first row that can't be used.

use std::fmt;

use super::template::TemplateFault;
use crate::refusal::Field;

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
    #[error("column {position} has the unknown name {name}; use {known}")]
    Unknown { position: usize, name: String, known: String },
    #[error("column {name} stands there twice; leave one of them")]
    Twice { name: &'static str },
    #[error(
        "the header row has no column {name}; rename the column that holds it, or add one: from, to and text must be there (from \
         and to, where --template makes the text), the first row names the columns"
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
    pub misspelt: Vec<MisspeltColumn>,
    pub columns: Vec<UnknownColumn>,
}

/// `Send At` for `send_at`: it is neither passed over nor a value for the template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MisspeltColumn {
    /// From 1 on.
    pub position: usize,
    /// As it is spelt where it means something.
    pub name: &'static str,
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

impl fmt::Display for MisspeltColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, name } = self;
        write!(
            f,
            "column {position} is nearly named {name}, so it is neither passed over nor used in a template; rename it to {name}, or \
             to something else"
        )
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.template.as_deref().unwrap_or_default();
        if !faults.is_empty() {
            let s = if faults.len() == 1 { "" } else { "s" };
            write!(f, "the template has {} fault{s}:", faults.len())?;
        }
        for fault in faults.iter().take(MOST_TOLD) {
            write!(f, "\n  {fault}")?;
        }
        if faults.len() > MOST_TOLD {
            write!(f, "\n  … and {} more", faults.len() - MOST_TOLD)?;
        }
        let mut is_first = faults.is_empty();
        for misspelt in &self.misspelt {
            write!(f, "{}{misspelt}", if is_first { "" } else { "\n" })?;
            is_first = false;
        }
        if self.columns.is_empty() {
            return Ok(());
        }
        let parted = if is_first { "" } else { "\nand the file has " };
        let columns: Vec<String> = self.columns.iter().map(UnknownColumn::to_string).collect();
        let made =
            if self.template.is_some() { "use them in the template" } else { "make the text of them (--template)" };
        write!(
            f,
            "{parted}unknown columns: {}; correct a name that is misspelt ({}), {made}, or pass them over{}",
            columns.join(", "),
            known(self.template.is_none()),
            passing_over(&self.columns)
        )
    }
}

/// What `--pass-over` takes, as far as it can be shown.
fn passing_over(columns: &[UnknownColumn]) -> String {
    let names: Vec<&str> = columns.iter().filter_map(|column| column.name.as_deref()).collect();
    if names.is_empty() {
        return " by their names, with --pass-over".to_owned();
    }
    let unshown = columns.iter().filter(|column| column.name.is_none());
    let by_name = unshown.map(|column| format!(", and column {}, by its name", column.position));
    format!(": --pass-over \"{}\"{}", names.join(","), by_name.collect::<String>())
}

pub(super) fn known(with_text: bool) -> String {
    let names = Field::NAMED.into_iter().filter(|field| with_text || *field != Field::Text);
    names.map(Field::as_str).collect::<Vec<_>>().join(", ")
}
