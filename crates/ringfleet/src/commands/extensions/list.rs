//! `extensions list`.

use std::{collections::BTreeSet, process::ExitCode};

use console::Style;
use futures::{StreamExt, TryStreamExt, stream};
use ringfleet_store::{Group, LaneId, LaneView, Millis, Why};
use serde_json::{Value, json};

use super::{
    Known,
    entry::{Entry, Line, Wrong, entries},
    show::{as_json, features, number, with_lane},
};
use crate::{
    cli::ShowOptions,
    commands::{evidence::time, shown::shown},
    output::say,
    table::{self, Cell},
};

/// Lanes that are asked for at once.
const AT_ONCE: usize = 64;

pub(super) async fn run(known: &Known, wrong_only: bool, how: &ShowOptions) -> anyhow::Result<ExitCode> {
    let book = known.book();
    let mut all = with_lanes(known, entries(known, None)).await?;
    let (extensions, able) = (all.len(), book.senders().len());
    if wrong_only {
        all.retain(|(entry, lane)| entry.wrongs().next().is_some() || stands(lane).is_some());
    }
    if how.json {
        let row = |(entry, lane): &(Entry, LaneView)| with_lane(as_json(entry, how.show_private), entry, lane);
        let rows: Vec<Value> = all.iter().map(row).collect();
        let nobodys = book.listed().filter(|listed| listed.owner.is_none()).count();
        let accounts: Vec<Value> = book
            .accounts()
            .map(|list| {
                json!({
                    "account": list.account.as_str(), "numbers": list.numbers, "read_at": at(list.read_at),
                    "failed": list.failed.as_ref().map(|failed| failed.code.as_str()),
                })
            })
            .collect();
        let whole = json!({
            "app": known.vault.app(), "extensions": rows, "numbers_that_can_text": able, "numbers_of_no_extension": nobodys,
            "accounts": accounts,
        });
        say!("{}", table::for_stdout(&serde_json::to_string_pretty(&whole)?));
        return Ok(ExitCode::SUCCESS);
    }
    if extensions == 0 {
        say!(
            "no extension is known; `ringfleet credentials add` or `import` connects some, and a worker reads their numbers"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = all.iter().flat_map(|(entry, lane)| rows(entry, lane, how.show_private)).collect();
    for line in
        table::lines(["extension", "id", "name", "number", "features", "connected", "known since", "state"], &rows)
    {
        say!("{line}");
    }
    say!("\n{extensions} extensions, {able} numbers that can be texted from; times are UTC");
    for line in legend(&all) {
        say!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Each with its lane. The store lists those that have messages waiting; one that stands without any has to be asked for.
async fn with_lanes(known: &Known, all: Vec<Entry>) -> anyhow::Result<Vec<(Entry, LaneView)>> {
    let store = known.vault.store();
    let ask = |entry: Entry| async move {
        let lane = LaneId::try_new(known.vault.app(), entry.who.id.as_str(), Group::Medium)?;
        anyhow::Ok((entry, store.lane(&lane).await?))
    };
    stream::iter(all).map(ask).buffered(AT_ONCE).try_collect().await
}

/// Why its lane stands until somebody acts.
fn stands(lane: &LaneView) -> Option<String> {
    match &lane.parked {
        Some(reason) => Some(format!("parked: {}", reason.split(" #").next().unwrap_or_default())),
        None => lane.paused.then(|| Why::Paused.code().to_owned()),
    }
}

/// One for each number, or one without.
fn rows(entry: &Entry, lane: &LaneView, private: bool) -> Vec<[Cell; 8]> {
    let short = entry.who.short.as_ref().map_or("-", |short| short.as_str());
    let name = entry.name.as_deref().unwrap_or("-");
    let connected = if entry.connected_by.is_empty() { "no".to_owned() } else { entry.connected_by.join(", ") };
    let row = |line: Option<&Line>| {
        let wrong = line.and_then(|line| line.wrong.as_ref()).or(entry.wrong.as_ref()).or(entry.failed.as_ref());
        let (text, style) = match (stands(lane), wrong) {
            (Some(stands), _) => (stands, Style::new().red()),
            (None, Some(wrong)) => (wrong.code.clone(), Style::new().yellow()),
            (None, None) => ("ok".to_owned(), Style::new().green()),
        };
        let since = line.and_then(|line| line.since).or(entry.read_at);
        [
            short.into(),
            entry.who.id.as_str().into(),
            name.into(),
            line.map_or("-".to_owned(), |line| number(&line.number, private)).into(),
            line.map_or("-".to_owned(), |line| features(&line.features)).into(),
            connected.as_str().into(),
            minute(since).into(),
            Cell::styled(text, style),
        ]
    };
    if entry.numbers.is_empty() { vec![row(None)] } else { entry.numbers.iter().map(|line| row(Some(line))).collect() }
}

/// A sentence for each word that stands in the table.
fn legend(all: &[(Entry, LaneView)]) -> Vec<String> {
    let wrongs = all.iter().flat_map(|(entry, _)| entry.wrongs()).map(|wrong: &Wrong| wrong.code.as_str());
    let paused = all.iter().any(|(_, lane)| lane.paused && lane.parked.is_none()).then(|| Why::Paused.code());
    let codes: BTreeSet<&str> = wrongs.chain(paused).collect();
    let mut lines: Vec<String> =
        codes.iter().filter_map(|code| Some(format!("{code}: {}", shown(code)?.meaning))).collect();
    if !codes.is_empty() {
        lines.push("`ringfleet extensions show EXTENSION` tells what to do".to_owned());
    }
    lines
}

fn at(at: Millis) -> Option<String> {
    (at > 0).then(|| time(Some(at)))
}

/// To the minute is enough in a table.
fn minute(at: Option<Millis>) -> String {
    let full = time(at);
    full.get(..16).map_or_else(|| full.clone(), |minute| minute.replace('T', " "))
}
