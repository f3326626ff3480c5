//! One page after the other of one extension, each in a place of its lane.

use std::time::Duration;

use futures::{Stream, stream};
use ringcentral::{ExtensionId, Outcome, Raw, classify_read};
use ringfleet_identity::{ReadError, Reader};

use super::{
    source::{Reading, Source},
    trouble::Trouble,
};

/// How long one page waits for session and lane: where the whole app shares five logins a minute, and somebody else spends
/// the plan, that may be long.
const PATIENCE: Duration = Duration::from_secs(900);
/// A page that a fault of the network or the server kept away is asked for so often.
const TRIES: u32 = 6;
/// Before the second time; doubled each time, half a minute in all.
const PAUSE: Duration = Duration::from_secs(1);

/// One page of one extension.
pub(super) struct PageOf {
    pub(super) extension: ExtensionId,
    /// Counted from 1.
    pub(super) number: u32,
    pub(super) records: Vec<Raw>,
    /// There is none after it.
    pub(super) last: bool,
}

pub(super) enum Paged {
    Page(PageOf),
    /// Nothing follows.
    Failed(Trouble),
}

/// The pages from `first` on; all of them, or that one. Pages are asked for by their number and not by the server's link, so
/// that an interrupted run asks for the same ones.
pub(super) fn from<'a>(
    reader: &'a Reader,
    source: &'a Source,
    extension: &'a ExtensionId,
    first: u32,
    all: bool,
) -> impl Stream<Item = Paged> + 'a {
    stream::unfold(Some(first), move |number| async move {
        let number = number?;
        Some(match patiently(reader, source, extension, number).await {
            Ok((records, more)) => {
                let page = PageOf { extension: extension.clone(), number, records, last: !more };
                (Paged::Page(page), (more && all).then_some(number + 1))
            }
            Err(error) => (Paged::Failed(Trouble::of(extension, source, error)), None),
        })
    })
}

/// The records of a page, and whether another follows. A read may be made again as often as one likes.
async fn patiently(
    reader: &Reader,
    source: &Source,
    extension: &ExtensionId,
    number: u32,
) -> Result<(Vec<Raw>, bool), ReadError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match read(reader, source, extension, number).await {
            Err(error) if passes(&error) => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    read(reader, source, extension, number).await
}

async fn read(
    reader: &Reader,
    source: &Source,
    extension: &ExtensionId,
    number: u32,
) -> Result<(Vec<Raw>, bool), ReadError> {
    match &source.read {
        Reading::One(read) => Ok((vec![reader.read(extension, read, PATIENCE).await?.value], false)),
        Reading::List(list) => {
            let page = reader.read_page(extension, &list.clone().at_page(number), PATIENCE).await?.value;
            Ok((page.records, page.next.is_some()))
        }
    }
}

/// Whether it may go better a moment later.
fn passes(error: &ReadError) -> bool {
    match error {
        ReadError::NoSession { .. } | ReadError::NoTurn { .. } => false,
        ReadError::Store(error) => error.is_transient(),
        ReadError::Call(error) => matches!(
            classify_read(error),
            Outcome::NotSent { .. } | Outcome::RetryLater { .. } | Outcome::Unknown { .. }
        ),
    }
}
