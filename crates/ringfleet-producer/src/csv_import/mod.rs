//! Messages from a CSV file of any size, in flat memory.
//!
//! A thread reads and splits rows, since a file is blocking I/O; a bounded channel carries batches of at most
//! [`MAX_BATCH`](ringfleet_store::MAX_BATCH) rows; a few batches are with the store at once. When the store is slow the
//! channel fills and the reading stops.
//!
//! The same file twice sends nothing twice: a row without a key gets one from its own content and the scope of the
//! import, not from the file's name or its line, so that a file which was sorted, cut or extended in between is safe too.
//! But where such a row names an extension that has another number by then, it is another message. So it is with another template,
//! or another value in it: it makes another text.

mod formula;
mod header;
mod header_error;
mod quotes;
mod reader;
mod report;
mod row;
mod start;
mod template;

use std::io::Read;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use ringcentral::PhoneNumber;
use ringfleet_store::{Fingerprint, IdempotencyKey, MessageId, Millis, Private};
use tokio::sync::mpsc;

pub use self::{
    header_error::{HeaderError, MisspeltColumn, UnknownColumn, Unmatched},
    report::{BatchTold, ImportError, ImportProgress, ImportSummary, RowFault, RowResult},
    template::{Template, TemplateFault},
};
use self::{
    quotes::Quotes,
    reader::{Batch, ReadEnd},
    report::Judged,
};
use crate::{
    draft::Draft,
    forecast::Turn,
    looks::Looks,
    producer::{Checked, EnqueueError, ItemResult, LOOKS_IN_FLIGHT, Outgoing, Producer},
    refusal::{Field, Refusal, Refused},
    when,
};

/// Batches that wait between the reading thread and the store.
const BATCHES_WAITING: usize = 2;

#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// What sets this import apart from others, e.g. a campaign's name: the same row under another scope is another
    /// message.
    pub key_scope: String,
    /// Batches that are with the store at once, 1 or more.
    pub batches_in_flight: usize,
    /// Faults listed in the summary; the rest is counted, and told after its batch like these.
    pub max_faults_listed: usize,
    /// Makes the texts from columns of the file's own; it has no column `text` then.
    pub template: Option<Template>,
    /// Names of columns that nothing uses. Any other such column refuses the file, as it may be a misspelt `send_at`, and one that
    /// is nearly named so refuses it in any case.
    pub pass_over: Vec<String>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            key_scope: String::new(),
            batches_in_flight: 4,
            max_faults_listed: 100,
            template: None,
            pass_over: Vec::new(),
        }
    }
}

/// A batch after the store's answer.
struct Answered {
    rows: Vec<Judged>,
    results: Vec<ItemResult>,
    /// The line and the text of the first good one.
    example: Option<(u64, Private)>,
    bytes: u64,
}

/// The line on which the field begins that has a quotation mark which is not closed, blanks before the opening one, or something
/// between the closing one and the next comma. A reader of CSV goes on there, and may take the rows behind for a part of that field.
pub fn misquoted(text: &[u8]) -> Option<u64> {
    let mut quotes = Quotes::new(start::COMMA);
    let (mut line, mut field) = (1, 1);
    for byte in text {
        quotes.look(std::slice::from_ref(byte));
        if quotes.fail_before(u64::MAX) {
            return Some(field);
        }
        line += u64::from(*byte == b'\n');
        if matches!(byte, b',' | b'\n') && !quotes.are_open() {
            field = line;
        }
    }
    // It ends here.
    quotes.look(&[]);
    quotes.fail_before(u64::MAX).then_some(field)
}

/// Reads `reader` to its end, takes in the good rows and lists the bad ones.
///
/// `on_batch` is called after every batch, with how far it is and what became of the batch's rows. A reader that blocks for ever, such as a pipe, keeps its thread after the
/// future is dropped, until the read returns. Dropping the future leaves rows of the batches in flight open; importing
/// the file again settles them.
///
/// # Errors
/// [`ImportError`]: a header that can't be used (nothing was taken), an unreadable file or a failing store (rows before
/// were taken; the error carries the summary so far). Importing the same file again is safe, but for rows without a key
/// whose extension has another number by then.
pub async fn import_csv(
    producer: &Producer,
    reader: impl Read + Send + 'static,
    options: ImportOptions,
    mut on_batch: impl FnMut(&ImportProgress, &BatchTold),
) -> Result<ImportSummary, ImportError> {
    let (sender, mut receiver) = mpsc::channel(BATCHES_WAITING);
    let reading = options.clone();
    // Not `spawn_blocking`: the runtime would wait at its end for a read that may never return.
    std::thread::Builder::new()
        .name("csv-import".into())
        .spawn(move || reader::read_all(reader, &reading, &sender))
        .map_err(ImportError::Thread)?;

    let batches = stream::poll_fn(move |context| receiver.poll_recv(context));
    let scope = options.key_scope.as_str();
    let mut answers = std::pin::pin!(
        batches
            .map(|read| async move {
                match read {
                    Ok(batch) => Ok(take_in(producer, scope, batch).await),
                    Err(end) => Err(end),
                }
            })
            .buffered(options.batches_in_flight.max(1))
    );

    let mut summary = ImportSummary::new(options.max_faults_listed);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(batch) => {
                let (told, tallied) = summary.tally(batch.rows.into_iter().zip(batch.results));
                summary.counts.bytes = batch.bytes;
                summary.example = summary.example.or(batch.example);
                on_batch(&summary.counts, &told);
                summary.list(told.faults);
                if let Err((line, source)) = tallied {
                    return Err(ImportError::Store { line, summary: Box::new(summary), source: Box::new(source) });
                }
            }
            Err(ReadEnd::Finished { bytes }) => {
                summary.counts.bytes = bytes;
                on_batch(&summary.counts, &BatchTold::default());
                return Ok(summary);
            }
            Err(ReadEnd::Header(error)) => return Err(ImportError::Header(error)),
            Err(ReadEnd::RowTooLong { line }) => {
                return Err(ImportError::RowTooLong { line, summary: Box::new(summary) });
            }
            Err(ReadEnd::Quotes { line }) => {
                return Err(ImportError::Quotes { line, summary: Box::new(summary) });
            }
            Err(ReadEnd::Unreadable { line, source }) => {
                return Err(ImportError::Unreadable { line, source, summary: Box::new(summary) });
            }
        }
    }
    Err(ImportError::ReaderLost { summary: Box::new(summary) })
}

async fn take_in(producer: &Producer, scope: &str, batch: Batch) -> Answered {
    let now = Timestamp::now();
    let mut judged: Vec<Judged> = batch.rows.iter().map(Judged::of).collect();
    let looks = producer.looks();
    let rows = Rows { producer, looks: &looks, scope, now };
    let checked = stream::iter(batch.rows).map(|row| rows.check(row.draft)).buffered(LOOKS_IN_FLIGHT);
    let mut example = None;
    let results = match checked.try_collect::<Vec<Checked>>().await {
        Ok(checked) => {
            for (row, outgoing) in judged.iter_mut().zip(&checked) {
                let Ok(outgoing) = outgoing else { continue };
                let message = outgoing.message();
                row.turn = Some(Turn::of(message));
                example.get_or_insert_with(|| (row.line, message.text.clone()));
            }
            producer.submit(checked).await
        }
        Err(error) => vec![Err(error); judged.len()],
    };
    Answered { rows: judged, results, bytes: batch.bytes, example }
}

/// What the rows of a batch are judged with.
struct Rows<'a> {
    producer: &'a Producer,
    looks: &'a Looks<'a>,
    scope: &'a str,
    now: Timestamp,
}

impl Rows<'_> {
    /// # Errors
    /// The store did not tell whether it has the row.
    async fn check(&self, draft: Result<Draft, Vec<Refusal>>) -> Result<Checked, EnqueueError> {
        let draft = match draft {
            Ok(draft) => draft,
            Err(refusals) => return Ok(Err(refusals.into())),
        };
        match self.producer.check(&draft, self.now) {
            Ok(message) if message.key.is_some() => Ok(Ok(Outgoing::new(message))),
            Ok(message) => {
                let key = self.key(&draft, message.from.expose(), message.send_at, message.send_by).await?;
                Ok(Ok(Outgoing::by_content(message, key)))
            }
            Err(refusals) => {
                let refused = Refused::of(refusals, draft.key.as_deref());
                self.known_by_content(refused, &draft).await.map(Err)
            }
        }
    }

    /// A row whose time is over is found by its content, unless its extension no longer tells from which number it was to go.
    // SEND-SAFETY: who believes a row to be refused that was taken in before changes it and hands it in again. It is looked for
    // under the number that it would go from now, whatever name that has in the file.
    async fn known_by_content(&self, refused: Refused, draft: &Draft) -> Result<Refused, EnqueueError> {
        let date = |raw: &Option<String>| raw.as_deref().map(|raw| when::instant(Field::SendAt, raw)).transpose();
        let dates = (date(&draft.send_at), date(&draft.send_by));
        let (None, (Ok(send_at), Ok(send_by)), true) = (&draft.key, dates, refused.comes_with_time()) else {
            return Ok(refused);
        };
        let own = match PhoneNumber::try_new(&draft.from) {
            Ok(_) => None,
            Err(_) => self.producer.directory().by_extension(&draft.from).and_then(Result::ok),
        };
        let number = own.as_ref().map_or(draft.from.as_str(), |(number, _)| number.expose());
        let key = self.key(draft, number, send_at, send_by).await?;
        Ok(Refused { key: Some(key), is_content: true, ..refused })
    }

    /// The key that the same row always gets, for as long as an extension that it names has the same number.
    // SEND-SAFETY: the number goes in, whatever name it has in the row. One file may name an extension and the next one its id or its
    // number, or one file all of them, and each customer is to get one text. What this can't know is a row whose extension has another
    // number by now: that is a new message, and only a key of the row's own would keep it from going out. CRLF counts as LF: an editor
    // may have changed the line ends inside of texts.
    async fn key(
        &self,
        draft: &Draft,
        number: &str,
        send_at: Option<Millis>,
        send_by: Option<Millis>,
    ) -> Result<IdempotencyKey, EnqueueError> {
        let text = draft.text.replace("\r\n", "\n");
        let key = content_key(self.scope, [number, &draft.to, &text], send_at, send_by);
        if !text.contains('\n') {
            return Ok(key);
        }
        // SEND-SAFETY: older versions took in the very bytes of the text, which may have had the other line ends: what is there under
        // that key is the same message.
        let bytes = if text == draft.text { text.replace('\n', "\r\n") } else { draft.text.clone() };
        let by_bytes = content_key(self.scope, [number, &draft.to, &bytes], send_at, send_by);
        let id = MessageId::from_key(&by_bytes);
        match self.looks.at(&id).await {
            Ok(None) => Ok(key),
            Ok(Some(_)) => Ok(by_bytes),
            Err(source) => Err(EnqueueError::Unsettled { id, generated_key: None, source }),
        }
    }
}

fn content_key(scope: &str, words: [&str; 3], send_at: Option<Millis>, send_by: Option<Millis>) -> IdempotencyKey {
    // SEND-SAFETY: only what the customer would notice goes in, so that the same text from a re-sorted or extended
    // file is recognised. The lane stays out: a number that moved to another extension must not send again.
    let content = Fingerprint::of(&[
        scope.as_bytes(),
        words[0].as_bytes(),
        words[1].as_bytes(),
        words[2].as_bytes(),
        &send_at.unwrap_or(0).to_be_bytes(),
        &send_by.unwrap_or(0).to_be_bytes(),
    ]);
    let hex: String = content.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    IdempotencyKey::try_new(format!("csv-{hex}")).expect("a hash in hex is printable and short")
}
