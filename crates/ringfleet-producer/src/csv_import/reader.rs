//! The blocking half: a file becomes batches of rows, no row larger than a bound.

use std::{
    cell::Cell,
    io::{self, Chain, Cursor, Read},
};

use csv::{ByteRecord, ReaderBuilder, Terminator};
use ringfleet_store::MAX_BATCH;
use tokio::sync::mpsc;

use super::{
    ImportOptions,
    header::Columns,
    header_error::HeaderError,
    quotes::Quotes,
    row::{self, Row},
    start::{self, FirstLineEnd},
};

/// A row longer than this ends the import: after an unclosed quotation mark no later row can be trusted.
pub(super) const MAX_ROW_BYTES: u64 = 64 * 1024;
/// A batch of long rows leaves early.
const MAX_BATCH_BYTES: u64 = 1024 * 1024;
const READ_BYTES: usize = 32 * 1024;

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// Bytes of the file up to the end of the last row.
    pub(super) bytes: u64,
}

/// Why no batch follows.
#[derive(Debug)]
pub(super) enum ReadEnd {
    Finished { bytes: u64 },
    Header(HeaderError),
    RowTooLong { line: u64 },
    Quotes { line: u64 },
    Unreadable { line: u64, source: io::Error },
}

/// Reads everything; ends early when nobody listens any more.
pub(super) fn read_all<R: Read>(input: R, options: &ImportOptions, batches: &mpsc::Sender<Result<Batch, ReadEnd>>) {
    // A closed channel means that the import was given up; there is nobody to tell.
    let Err(end) = read_batches(input, options, batches);
    let _ = batches.blocking_send(Err(end));
}

fn read_batches<R: Read>(
    input: R,
    options: &ImportOptions,
    batches: &mpsc::Sender<Result<Batch, ReadEnd>>,
) -> Result<std::convert::Infallible, ReadEnd> {
    let mut rows = Rows::new(input)?;
    let columns = rows.header(options)?;
    let mut batch = Vec::new();
    let mut began = rows.bytes();
    loop {
        // Rows before an unreadable one are good: they go in before the error is told.
        let next = rows.next();
        if let Ok(Some(line)) = next
            && !row::is_blank(&rows.record)
        {
            batch.push(Row { line, draft: row::draft(&columns, &rows.record) });
        }
        let bytes = rows.bytes();
        let last = !matches!(next, Ok(Some(_)));
        if !batch.is_empty() && (last || batch.len() == MAX_BATCH || bytes - began > MAX_BATCH_BYTES) {
            began = bytes;
            if batches.blocking_send(Ok(Batch { rows: std::mem::take(&mut batch), bytes })).is_err() {
                return Err(ReadEnd::Finished { bytes });
            }
        }
        if next?.is_none() {
            return Err(ReadEnd::Finished { bytes });
        }
    }
}

struct Rows<R> {
    csv: csv::Reader<Bounded<Chain<Cursor<Vec<u8>>, R>>>,
    record: ByteRecord,
    /// The first line is none of the header's.
    names_separator: bool,
}

impl<R: Read> Rows<R> {
    fn new(mut input: R) -> Result<Self, ReadEnd> {
        let start = start::peek(&mut input).map_err(|source| ReadEnd::Unreadable { line: 1, source })?;
        let named = start::named_separator(&start);
        let separator = named.unwrap_or(start::COMMA);
        let csv = ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            // csv counts the line feed of a CRLF to the *next* record, which makes its line numbers wrong. With the
            // line feed alone as the end they can be told exactly; the carriage return is taken off below.
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(READ_BYTES)
            .from_reader(Bounded::new(Cursor::new(start).chain(input), separator));
        Ok(Self { csv, record: ByteRecord::new(), names_separator: named.is_some() })
    }

    fn header(&mut self, options: &ImportOptions) -> Result<Columns, ReadEnd> {
        let mut read = self.next();
        if self.names_separator && matches!(read, Ok(Some(_))) {
            read = self.next();
        }
        let one_row = self.csv.get_ref().line_end.is_lone_return();
        let header = match read {
            Ok(Some(_)) => Columns::try_new(&self.record, options.template.as_ref(), &options.pass_over),
            Ok(None) => Err(HeaderError::Empty),
            Err(ReadEnd::RowTooLong { .. } | ReadEnd::Quotes { .. }) if one_row => Err(HeaderError::LineEnds),
            Err(end) => return Err(end),
        };
        header.map_err(|error| ReadEnd::Header(if one_row { HeaderError::LineEnds } else { error }))
    }

    /// Reads the next row into `record` and tells the line on which it begins; `None` at the end.
    fn next(&mut self) -> Result<Option<u64>, ReadEnd> {
        let first = self.csv.position().line();
        self.csv.get_ref().allow(MAX_ROW_BYTES);
        match self.csv.read_byte_record(&mut self.record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let line = self.began_on_line();
                // SEND-SAFETY: it may be two rows in one, with one customer's text for another. No later row can be trusted.
                if self.csv.get_ref().quotes.fail_before(self.bytes()) {
                    return Err(ReadEnd::Quotes { line });
                }
                self.drop_carriage_return();
                Ok(Some(line))
            }
            Err(_) if self.csv.get_ref().overrun.get() => Err(ReadEnd::RowTooLong { line: first }),
            Err(error) => Err(ReadEnd::Unreadable { line: first, source: into_io(error) }),
        }
    }

    /// Counted back from the row's end, since empty lines before the row were skipped without a word.
    fn began_on_line(&self) -> u64 {
        let inside = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let end = self.csv.position();
        let input = self.csv.get_ref();
        let unended = input.ended.get()
            && end.byte() == input.fetched.get()
            && (input.last.get() != b'\n' || input.quotes.are_open());
        end.line().saturating_sub(inside + u64::from(!unended)).max(1)
    }

    fn drop_carriage_return(&mut self) {
        if self.record.as_slice().last() != Some(&b'\r') {
            return;
        }
        let last = self.record.len() - 1;
        let fields = self.record.iter().enumerate();
        self.record = fields
            .map(|(index, field)| if index == last { field.strip_suffix(b"\r").unwrap_or(field) } else { field })
            .collect();
    }

    fn bytes(&self) -> u64 {
        self.csv.position().byte()
    }
}

fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::from(io::ErrorKind::InvalidData),
    }
}

/// Stops giving out bytes in the midst of a row that is too long: csv itself would gather it whole. Looks at quotation marks on the way.
struct Bounded<R> {
    input: R,
    quotes: Quotes,
    line_end: FirstLineEnd,
    fetched: Cell<u64>,
    allowed: Cell<u64>,
    last: Cell<u8>,
    ended: Cell<bool>,
    overrun: Cell<bool>,
}

impl<R> Bounded<R> {
    fn new(input: R, separator: u8) -> Self {
        let (fetched, allowed, last) = (Cell::new(0), Cell::new(0), Cell::new(b'\n'));
        let (ended, overrun) = (Cell::new(false), Cell::new(false));
        let (quotes, line_end) = (Quotes::new(separator), FirstLineEnd::default());
        Self { input, quotes, line_end, fetched, allowed, last, ended, overrun }
    }

    /// A row begins: so many bytes more may be fetched. csv fetches only when it has used up what it has, so the bytes
    /// fetched while one row is read are this row's, but for the last block.
    fn allow(&self, bytes: u64) {
        self.allowed.set(self.fetched.get() + bytes);
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fetched.get() >= self.allowed.get() {
            self.overrun.set(true);
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let n = self.input.read(buffer)?;
        self.fetched.set(self.fetched.get() + n as u64);
        self.quotes.look(&buffer[..n]);
        self.line_end.look(&buffer[..n]);
        match buffer[..n].last() {
            Some(last) => self.last.set(*last),
            None => self.ended.set(true),
        }
        Ok(n)
    }
}
