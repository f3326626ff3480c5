//! `rc`: reads from RingCentral through the fleet's sessions and lanes.
//!
//! - `source`: what can be read, and the columns of it that people look at
//! - `pages`: one page after the other of one extension, each in its turn
//! - `columns`: records as cells
//! - `sink`: where records go; `file` writes one that survives a kill, with `progress` beside it
//! - `trouble`: why an extension could not be read

mod columns;
mod file;
mod pages;
mod progress;
mod sink;
mod source;
mod trouble;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use ringcentral::ExtensionId;
use ringfleet_identity::{Reader, Sessions};
use ringfleet_store::{Gate, SharedStore, WorkerId};
use tokio_util::sync::CancellationToken;

pub(super) use self::file::of_owner;
use self::{
    pages::Paged,
    sink::Sink,
    source::{Question, Source},
    trouble::Trouble,
};
use super::{credentials::Makes, extensions::Known};
use crate::{
    accounts::Accounts,
    cli::{RcCommand, ReadOptions},
    config::Settings,
    exit, progress as bars, provider, telemetry,
};

/// Extensions read side by side; each waits for its own lane.
const AT_ONCE: usize = 32;
/// How soon a stop of the fleet is seen.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn run(settings: Settings, what: RcCommand) -> anyhow::Result<ExitCode> {
    telemetry::start(&settings.log_level, settings.log_format)?;
    let client = provider::client(&settings.provider, &settings.rules)?;
    let accounts = Accounts::load(&settings)?;
    let stop = CancellationToken::new();
    let _followed_until_the_end = stop.clone().drop_guard();
    // A credential that is brought in or renewed while a long run goes on counts in it.
    // Its sessions and places lie in the store; who only reads has no worker that would have made it.
    let known = Known::open(&settings, &accounts, Makes::Store, stop).await?;
    let (question, read) = Question::of(what);
    let chosen = chosen(&known, &read, question.of_account())?;
    let (name, lock) = (WorkerId::incarnation("rc"), settings.worker.lease);
    let sessions = Sessions::new(known.vault.clone(), known.roster.clone(), client, name, lock);
    let reader = Reader::new(Arc::new(sessions));

    let range = question.range(Timestamp::now())?;
    let mut sink = Sink::open(&question, &read, range)?;
    let source = question.source(&sink.range());
    let failed = copy((&reader, known.vault.store()), &source, &chosen, read.reads_all(), &mut sink).await?;
    sink.end(&source, failed.is_empty())?;
    trouble::tell(&failed, read.output.is_some());
    Ok(match (failed.len(), chosen.len()) {
        (0, _) => ExitCode::SUCCESS,
        (failed, all) if failed == all => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

/// Reads all extensions side by side; their pages go into the sink as they come. Gives those that could not be read, which are
/// all that are left once the fleet is stopped: a person who waits is told so, and not kept waiting for a place.
async fn copy(
    (reader, store): (&Reader, &SharedStore),
    source: &Source,
    chosen: &[ExtensionId],
    all: bool,
    sink: &mut Sink,
) -> anyhow::Result<Vec<Trouble>> {
    let bar = bars::bar(chosen.len() as u64, source.name);
    let left: Vec<_> = chosen.iter().filter_map(|extension| Some((extension, sink.next_page(extension)?))).collect();
    bar.inc((chosen.len() - left.len()) as u64);
    let mut unread: BTreeSet<&ExtensionId> = left.iter().map(|(extension, _)| *extension).collect();
    let read = |(extension, first)| pages::from(reader, source, extension, first, all).boxed();
    let mut paged = stream::iter(left).flat_map_unordered(AT_ONCE, read);
    let mut stopped = std::pin::pin!(stopped(store));
    let mut failed = Vec::new();
    loop {
        let page = tokio::select! {
            page = paged.next() => page,
            reason = &mut stopped => {
                failed.extend(unread.into_iter().map(|extension| Trouble::stopped(extension, &reason)));
                break;
            }
        };
        match page {
            None => break,
            Some(Paged::Page(page)) => {
                if page.last || !all {
                    bar.inc(1);
                    unread.remove(&page.extension);
                }
                bar.suspend(|| sink.take(source, page))?;
                bar.set_message(format!("{}, {} pages", source.name, sink.pages()));
                if sink.is_over() {
                    break;
                }
            }
            Some(Paged::Failed(trouble)) => {
                bar.inc(1);
                unread.remove(&trouble.extension);
                failed.push(trouble);
            }
        }
    }
    bar.finish_and_clear();
    Ok(failed)
}

/// Comes when somebody has stopped the fleet, with the reason that they gave.
async fn stopped(store: &SharedStore) -> String {
    loop {
        // Whether the store can be reached, the reads find out.
        if let Ok(Gate::Stopped { reason }) = store.gate().await {
            return reason;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The extensions to read as. All faults of what was typed are told together.
fn chosen(known: &Known, read: &ReadOptions, of_account: bool) -> anyhow::Result<Vec<ExtensionId>> {
    let mut connected: Vec<ExtensionId> =
        known.roster.extensions().iter().filter_map(|name| ExtensionId::try_new(name).ok()).collect();
    connected.sort();
    if read.extensions.is_empty() {
        connected.truncate(if of_account { 1 } else { usize::MAX });
        anyhow::ensure!(
            !connected.is_empty(),
            "no extension is connected, so nobody can read; bring a login in with `ringfleet credentials add`"
        );
        return Ok(connected);
    }
    let (mut meant, mut faults) = (Vec::new(), Vec::new());
    for typed in &read.extensions {
        match known.meant(typed) {
            Ok(found) => meant.extend(found),
            Err(error) => faults.push(format!("--extension {typed}: {error:#}")),
        }
    }
    for unconnected in meant.iter().filter(|id| connected.binary_search(id).is_err()) {
        faults.push(format!(
            "extension {unconnected} is not connected, so nobody can read as it; `ringfleet credentials add {unconnected}`"
        ));
    }
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    meant.sort();
    meant.dedup();
    anyhow::ensure!(
        !of_account || meant.len() == 1,
        "what is the account's is read once: name one extension whose user may read it"
    );
    Ok(meant)
}
