//! What an import tells: on the way, at its end, and when it could not reach it.

use std::io;

use ringfleet_store::{MessageId, Millis, Plan, Private};
use serde::{Serialize, Serializer};

use super::{header_error::HeaderError, reader::MAX_ROW_BYTES, row::Row};
use crate::{
    forecast::{Forecast, Load, Turn},
    producer::{EnqueueError, ItemResult, Receipt},
    refusal::Refusal,
    segments::{OutsideGsm7, Segments},
};

/// How far an import is. `rows` = `accepted` + `duplicates` + `refused`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ImportProgress {
    /// Rows that have their answer, without the header and blank rows.
    pub rows: u64,
    /// Bytes of the file behind those rows, for a bar over the file's size.
    pub bytes: u64,
    pub accepted: u64,
    /// Rows that the store had already, from an earlier import or from the same file. After a lost reply of the
    /// store this import's own rows may be counted here.
    pub duplicates: u64,
    pub refused: u64,
    /// Of the accepted texts.
    pub segments: u64,
    /// Accepted texts with a character that GSM-7 has not: fewer characters go into a segment.
    pub outside_gsm7: u64,
}

/// One fault of one row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RowFault {
    /// The line of the file on which the row begins; the header is line 1.
    pub line: u64,
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// What became of one row that went in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RowResult {
    /// As of a fault.
    pub line: u64,
    /// `accepted` or `duplicate`.
    pub status: &'static str,
    #[serde(serialize_with = "in_words")]
    pub id: MessageId,
}

fn in_words<S: Serializer>(id: &MessageId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

/// What is known of a row before the store has answered.
pub(super) struct Judged {
    pub(super) line: u64,
    segments: Option<Segments>,
    /// Of one that is good.
    pub(super) turn: Option<Turn>,
}

impl Judged {
    pub(super) fn of(row: &Row) -> Self {
        let segments = row.draft.as_ref().ok().map(|draft| Segments::of(&draft.text));
        Self { line: row.line, segments, turn: None }
    }
}

/// What became of the rows of one batch, each in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BatchTold {
    pub faults: Vec<RowFault>,
    pub results: Vec<RowResult>,
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ImportSummary {
    #[serde(flatten)]
    pub counts: ImportProgress,
    pub first_outside_gsm7: Option<OutsideGsm7>,
    /// The first faults, in the order of the file.
    pub faults: Vec<RowFault>,
    /// Faults beyond those.
    pub faults_not_listed: u64,
    /// The line and the text of the first good row, for a person who asks for it.
    #[serde(skip)]
    pub example: Option<(u64, Private)>,
    /// Of the accepted rows.
    #[serde(skip)]
    load: Load,
    #[serde(skip)]
    max_faults_listed: usize,
}

impl ImportSummary {
    pub(super) fn new(max_faults_listed: usize) -> Self {
        let counts = ImportProgress::default();
        Self {
            counts,
            first_outside_gsm7: None,
            faults: Vec::new(),
            faults_not_listed: 0,
            example: None,
            load: Load::default(),
            max_faults_listed,
        }
    }

    /// How long the accepted rows take if they go from `now` on, on an empty queue, with nothing else under this plan of each extension;
    /// `None` if there are none, or too many to reckon with.
    pub fn forecast(&self, plan: Plan, now: Millis) -> Option<Forecast> {
        self.load.forecast(plan, now)
    }

    /// Counts the rows that have an answer, and tells what became of them; the first one that has none, because the store failed, is
    /// given back.
    pub(super) fn tally(
        &mut self,
        answers: impl Iterator<Item = (Judged, ItemResult)>,
    ) -> (BatchTold, Result<(), (u64, EnqueueError)>) {
        let mut told = BatchTold::default();
        let mut failed = None;
        for (Judged { line, segments, turn }, answer) in answers {
            match answer {
                Ok(Receipt { id, duplicate }) => {
                    let status = if duplicate { "duplicate" } else { "accepted" };
                    if duplicate {
                        self.counts.duplicates += 1;
                    } else {
                        self.counts.accepted += 1;
                        self.add(line, segments);
                        if let Some(turn) = turn {
                            self.load.add(turn);
                        }
                    }
                    told.results.push(RowResult { line, status, id });
                }
                Err(EnqueueError::Refused(refusals)) => {
                    self.counts.refused += 1;
                    told.faults.extend(refusals.into_iter().map(|refusal| RowFault { line, refusal }));
                }
                Err(error) => {
                    failed.get_or_insert((line, error));
                    continue;
                }
            }
            self.counts.rows += 1;
        }
        (told, failed.map_or(Ok(()), Err))
    }

    fn add(&mut self, line: u64, segments: Option<Segments>) {
        let Some(Segments { count, outside_gsm7 }) = segments else { return };
        self.counts.segments += u64::from(count);
        if let Some(character) = outside_gsm7 {
            self.counts.outside_gsm7 += 1;
            self.first_outside_gsm7.get_or_insert(OutsideGsm7 { line, character });
        }
    }

    /// As many as there is room for; the others are counted.
    pub(super) fn list(&mut self, faults: Vec<RowFault>) {
        let room = self.max_faults_listed.saturating_sub(self.faults.len()).min(faults.len());
        self.faults_not_listed += (faults.len() - room) as u64;
        self.faults.extend(faults.into_iter().take(room));
    }
}

/// Why an import did not reach the end of its file.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("nothing was imported: {0}")]
    Header(HeaderError),
    #[error(
        "the row that begins on line {line} is longer than {MAX_ROW_BYTES} bytes; is a quotation mark not closed? \
             no row from that line on was taken in"
    )]
    RowTooLong { line: u64, summary: Box<ImportSummary> },
    #[error(
        "the row that begins on line {line} has a quotation mark that is not closed, blanks before the opening one, or something \
             between the closing one and the next comma; take such blanks out; put a text with commas or line ends, or one \
             that begins with blanks and a quotation mark, into quotation marks and write each one inside it twice; no row \
             from that line on was taken in"
    )]
    Quotes { line: u64, summary: Box<ImportSummary> },
    #[error("the file can't be read beyond line {line}; no row from there on was taken in")]
    Unreadable {
        line: u64,
        #[source]
        source: io::Error,
        summary: Box<ImportSummary>,
    },
    #[error("the store failed at line {line}; import the same file again: rows it took already are not sent twice")]
    Store {
        line: u64,
        #[source]
        source: Box<EnqueueError>,
        summary: Box<ImportSummary>,
    },
    #[error("no thread can be started to read the file")]
    Thread(#[source] io::Error),
    #[error("the thread that read the file is gone; import the same file again")]
    ReaderLost { summary: Box<ImportSummary> },
}

impl ImportError {
    /// What was imported before it stopped.
    pub fn summary(&self) -> Option<&ImportSummary> {
        match self {
            ImportError::Header(_) | ImportError::Thread(_) => None,
            ImportError::RowTooLong { summary, .. }
            | ImportError::Quotes { summary, .. }
            | ImportError::Unreadable { summary, .. }
            | ImportError::Store { summary, .. }
            | ImportError::ReaderLost { summary } => Some(summary),
        }
    }
}
