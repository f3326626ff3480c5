//! A CSV file of logins. It is read whole before anything goes in, so that all its faults are told together.

mod header;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use csv::{ReaderBuilder, StringRecord, Terminator};
use ringcentral::ExtensionId;
use ringfleet_identity::{AppPrint, Login, Method};
use ringfleet_producer::csv_import;
use secrecy::zeroize::Zeroizing;

pub(super) use self::header::SheetError;
use self::header::{Column, Columns};
use super::login::{self, Parts};

/// A good row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) extension: ExtensionId,
    pub(super) login: Login,
    /// `None` leaves what is there, or takes the method's usual place.
    pub(super) prefer: Option<u8>,
    /// `None` leaves what is there, or switches it on.
    pub(super) enabled: Option<bool>,
}

/// What is wrong with one field of one row. Never holds its value where that may be private.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Fault {
    /// The line on which the row begins; the header is line 1.
    pub(super) line: u64,
    pub(super) column: &'static str,
    pub(super) problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)
    }
}

#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) rows: Vec<Row>,
    pub(super) faults: Vec<Fault>,
    /// Rows that say once more what an earlier one said, with that one's line.
    pub(super) repeated: Vec<(u64, u64)>,
    /// Rows with anything wrong.
    pub(super) refused: usize,
}

impl Sheet {
    /// Refuses good rows of whose extension `fault` says that something is wrong.
    pub(super) fn refuse(&mut self, fault: impl Fn(&ExtensionId) -> Option<String>) {
        let column = Column::ExtensionId.as_str();
        let faults = &mut self.faults;
        self.rows.retain(|row| match fault(&row.extension) {
            None => true,
            Some(problem) => {
                faults.push(Fault { line: row.line, column, problem });
                self.refused += 1;
                false
            }
        });
        faults.sort_by_key(|fault| fault.line);
    }
}

/// Reads the whole text. Secret files are looked for in `folder`; `read_file` reads one.
///
/// # Errors
/// A header that can't be used: then no row can be understood. Or a quotation mark that is not closed, or stands
/// behind blanks: then no row can be trusted.
pub(super) fn read(
    text: &str,
    folder: &Path,
    read_file: &dyn Fn(&Path) -> std::io::Result<Zeroizing<String>>,
) -> Result<Sheet, SheetError> {
    // With the line feed alone as a row's end, lines can be counted exactly.
    let text = Zeroizing::new(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"));
    // A row that was taken for a part of the one before would be missing, and a secret be two.
    if let Some(line) = csv_import::misquoted(text.as_bytes()) {
        return Err(SheetError::Quotes(line));
    }
    let mut csv = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let found = csv.read_record(&mut record).map_err(|_| SheetError::Unreadable)?;
    let columns = Columns::try_new(found.then_some(&record))?;
    let mut sheet = Sheet::default();
    let mut seen = Seen::default();
    loop {
        match csv.read_record(&mut record) {
            Ok(false) => return Ok(sheet),
            Ok(true) => {}
            // The text is UTF-8 and rows may have any length, so this can't happen; it must not be silent if it does.
            Err(_) => return Err(SheetError::Unreadable),
        }
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let inside = record.iter().map(|field| field.matches('\n').count() as u64).sum::<u64>();
        // After the last row without a line break the reader has not begun another line.
        let ended = u64::from(csv.position().byte() < text.len() as u64 || text.ends_with('\n'));
        let line = csv.position().line().saturating_sub(inside + ended).max(1);
        let fields = Fields { columns: &columns, record: &record };
        match row(line, &fields, folder, read_file).and_then(|row| seen.check(row)) {
            Ok(Checked::New(row)) => sheet.rows.push(row),
            Ok(Checked::Repeated { first }) => sheet.repeated.push((line, first)),
            Err(faults) => {
                sheet.refused += 1;
                sheet.faults.extend(faults.into_iter().map(|(column, problem)| Fault { line, column, problem }));
            }
        }
    }
}

/// The fields of one row by column.
struct Fields<'a> {
    columns: &'a Columns,
    record: &'a StringRecord,
}

impl Fields<'_> {
    /// `None` for a missing or blank one. A password keeps its blanks.
    fn get(&self, column: Column) -> Option<&str> {
        let field = self.record.get(self.columns.place(column)?)?;
        if column == Column::Secret { Some(field).filter(|field| !field.is_empty()) } else { Some(field.trim()) }
            .filter(|field| !field.trim().is_empty())
    }
}

type Faults = Vec<(&'static str, String)>;

fn row(
    line: u64,
    fields: &Fields<'_>,
    folder: &Path,
    read_file: &dyn Fn(&Path) -> std::io::Result<Zeroizing<String>>,
) -> Result<Row, Faults> {
    let mut faults = Faults::new();
    let mut keep = |column: Column, problem: String| faults.push((column.as_str(), problem));
    if fields.record.len() > fields.columns.len() {
        let (has, header) = (fields.record.len(), fields.columns.len());
        keep(
            Column::ExtensionId,
            format!("the row has {has} fields, the header {header}; put a field with a comma in quotes"),
        );
    }
    let extension = match ExtensionId::try_new(fields.get(Column::ExtensionId).unwrap_or_default()) {
        Ok(extension) => Some(extension),
        Err(error) => {
            keep(Column::ExtensionId, error.to_string());
            None
        }
    };
    let method = fields.get(Column::Method).map(|word| Method::parse(&word.to_ascii_lowercase()));
    let method = match method {
        Some(Some(method)) => Some(method),
        // Not quoted: a secret may have slipped into this column.
        Some(None) => {
            keep(Column::Method, "must be jwt, code or password".to_owned());
            None
        }
        None => {
            keep(Column::Method, "is empty; write jwt, code or password".to_owned());
            None
        }
    };
    let prefer = fields.get(Column::Prefer).and_then(|text| {
        let number = text.parse::<u8>();
        if number.is_err() {
            keep(Column::Prefer, "must be a whole number from 0 to 255, or empty".to_owned());
        }
        number.ok()
    });
    let enabled = fields.get(Column::Enabled).and_then(|text| match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Some(true),
        "no" | "false" | "0" => Some(false),
        _ => {
            keep(Column::Enabled, "must be yes or no, or empty".to_owned());
            None
        }
    });
    let secret = secret(fields, folder, read_file).map_err(|(column, problem)| keep(column, problem)).ok();
    let login = match (method, secret) {
        (Some(method), Some(secret)) => {
            let owned = |column| fields.get(column).map(str::to_owned);
            let (username, extension_number) = (owned(Column::Username), owned(Column::ExtensionNumber));
            let parts = Parts { secret, username, extension_number };
            login::login(method, &parts).map_err(|found| faults.extend(found)).ok()
        }
        _ => None,
    };
    match (extension, login) {
        (Some(extension), Some(login)) if faults.is_empty() => Ok(Row { line, extension, login, prefer, enabled }),
        _ => Err(faults),
    }
}

fn secret(
    fields: &Fields<'_>,
    folder: &Path,
    read_file: &dyn Fn(&Path) -> std::io::Result<Zeroizing<String>>,
) -> Result<Zeroizing<String>, (Column, String)> {
    match (fields.get(Column::Secret), fields.get(Column::SecretFile)) {
        (Some(secret), None) => Ok(Zeroizing::new(secret.to_owned())),
        (None, Some(file)) => {
            let path: PathBuf = folder.join(file);
            // The name is not repeated: a secret may stand in the wrong column.
            read_file(&path).map_err(|error| (Column::SecretFile, format!("names a file that can't be read: {error}")))
        }
        (Some(_), Some(_)) => {
            Err((Column::SecretFile, "is filled, and so is secret; leave one of them empty".to_owned()))
        }
        (None, None) => Err((Column::Secret, "is empty, and no secret_file is named".to_owned())),
    }
}

enum Checked {
    New(Row),
    /// Says the same as the row on that line.
    Repeated {
        first: u64,
    },
}

/// Rows that were good so far, to tell a repetition from a contradiction.
#[derive(Default)]
struct Seen {
    by_place: HashMap<(ExtensionId, Method), (u64, String)>,
    by_secret: HashMap<String, (u64, ExtensionId)>,
}

impl Seen {
    fn check(&mut self, row: Row) -> Result<Checked, Faults> {
        let method = row.login.method();
        let print = row.login.print(&AppPrint::of("", ""));
        let said = format!("{print} {:?} {:?}", row.prefer, row.enabled);
        if let Some((first, before)) = self.by_place.get(&(row.extension.clone(), method)) {
            if *before == said {
                return Ok(Checked::Repeated { first: *first });
            }
            let problem = format!("line {first} has another {method} login of this extension; leave one of them");
            return Err(vec![(Column::ExtensionId.as_str(), problem)]);
        }
        // A JWT or a refresh token is one user's. The same password can belong to two.
        if method != Method::Password
            && let Some((first, other)) = self.by_secret.get(&print)
        {
            let problem =
                format!("is the same as on line {first} for extension {other}; each belongs to one user only");
            return Err(vec![(Column::Secret.as_str(), problem)]);
        }
        self.by_secret.insert(print, (row.line, row.extension.clone()));
        self.by_place.insert((row.extension.clone(), method), (row.line, said));
        Ok(Checked::New(row))
    }
}
