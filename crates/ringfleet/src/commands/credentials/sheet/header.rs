//! The first row: which column is where.

use csv::StringRecord;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Column {
    ExtensionId,
    Method,
    Secret,
    SecretFile,
    Username,
    ExtensionNumber,
    Prefer,
    Enabled,
}

impl Column {
    const ALL: [Column; 8] = [
        Column::ExtensionId,
        Column::Method,
        Column::Secret,
        Column::SecretFile,
        Column::Username,
        Column::ExtensionNumber,
        Column::Prefer,
        Column::Enabled,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Column::ExtensionId => "extension_id",
            Column::Method => "method",
            Column::Secret => "secret",
            Column::SecretFile => "secret_file",
            Column::Username => "username",
            Column::ExtensionNumber => "extension_number",
            Column::Prefer => "prefer",
            Column::Enabled => "enabled",
        }
    }
}

/// Why no row of the file can be used. Names of columns are not repeated: in a file without a header they are secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SheetError {
    #[error("the file is empty; begin with a row like extension_id,method,secret")]
    Empty,
    #[error("the file can't be read as CSV; save it as \"CSV UTF-8\"")]
    Unreadable,
    #[error(
        "the quotation mark on line {0} is not closed before the next one, or blanks stand before the opening one, or something \
         between the closing one and the next comma; put a field with commas, quotation marks or line ends into quotation marks, and \
         write each one inside it twice"
    )]
    Quotes(u64),
    #[error("the columns are separated by {0}; save the file with commas between them")]
    Separator(&'static str),
    #[error("the first row must name the columns, and its column {0} has no name that is known; use {known}", known = known())]
    Unknown(usize),
    #[error("column {0} stands there twice; leave one of them")]
    Twice(&'static str),
    #[error("the first row has no column {0}")]
    Missing(&'static str),
}

fn known() -> String {
    Column::ALL.map(Column::as_str).join(", ")
}

pub(super) struct Columns(Vec<Column>);

impl Columns {
    pub(super) fn try_new(header: Option<&StringRecord>) -> Result<Self, SheetError> {
        let header = header.ok_or(SheetError::Empty)?;
        let mut columns = Vec::with_capacity(header.len());
        for (at, name) in header.iter().enumerate() {
            let name = name.trim().to_ascii_lowercase();
            let Some(column) = Column::ALL.into_iter().find(|column| column.as_str() == name) else {
                return Err(match name.as_str() {
                    // Spreadsheets of half of Europe write semicolons.
                    text if header.len() == 1 && text.contains(';') => SheetError::Separator("semicolons"),
                    text if header.len() == 1 && text.contains('\t') => SheetError::Separator("tabs"),
                    _ => SheetError::Unknown(at + 1),
                });
            };
            if columns.contains(&column) {
                return Err(SheetError::Twice(column.as_str()));
            }
            columns.push(column);
        }
        for needed in [Column::ExtensionId, Column::Method] {
            if !columns.contains(&needed) {
                return Err(SheetError::Missing(needed.as_str()));
            }
        }
        if !columns.contains(&Column::Secret) && !columns.contains(&Column::SecretFile) {
            return Err(SheetError::Missing("secret or secret_file"));
        }
        Ok(Self(columns))
    }

    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.0.iter().position(|known| *known == column)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
