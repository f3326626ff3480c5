//! `extensions list`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use console::Style;
use futures::{StreamExt, stream};
use ringcentral::ExtensionId;
use ringfleet_store::{Group, LaneId, MAX_BATCH, Millis};
use serde_json::{Value, json};

use super::{
    Known,
    entry::{Entry, Line, Wrong, entries},
    show::{as_json, features, number},
};
use crate::{
    cli::ShowOptions,
    commands::{evidence::time, shown::shown},
    output::say,
    table::{self, Cell},
};

/// Lanes that are asked for one by one: so many under way.
const AT_ONCE: usize = 64;

pub(super) async fn run(known: &Known, wrong_only: bool, how: &ShowOptions) -> anyhow::Result<ExitCode> {
    let book = known.book();
    let mut all = entries(known, None);
    let parked = parked(known, &all).await?;
    let (extensions, able) = (all.len(), book.senders().len());
    if wrong_only {
        all.retain(|entry| entry.wrongs().next().is_some() || parked.contains_key(&entry.who.id));
    }
    if how.json {
        let rows: Vec<Value> = all.iter().map(|entry| as_json(entry, how.show_private)).collect();
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
    let rows: Vec<_> = all.iter().flat_map(|entry| rows(entry, parked.get(&entry.who.id), how.show_private)).collect();
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

/// Why lanes stand still that have messages waiting.
async fn parked(known: &Known, all: &[Entry]) -> anyhow::Result<BTreeMap<ExtensionId, String>> {
    let store = known.vault.store();
    let mut views = store.lanes(MAX_BATCH as u32).await?;
    if views.len() >= MAX_BATCH {
        // There may be more, which the store does not tell of in one answer.
        let lane_of = |entry: &Entry| LaneId::try_new(known.vault.app(), entry.who.id.as_str(), Group::Medium).ok();
        let told: BTreeSet<LaneId> = views.iter().filter_map(|view| view.lane.clone()).collect();
        let others = all.iter().filter_map(lane_of).filter(|lane| !told.contains(lane));
        let mut asked = stream::iter(others).map(|lane| async move { store.lane(&lane).await }).buffered(AT_ONCE);
        while let Some(view) = asked.next().await {
            views.push(view?);
        }
    }
    let parked = views.into_iter().filter(|view| view.waiting > 0).filter_map(|view| {
        let lane = view.lane.filter(|lane| lane.app() == known.vault.app() && lane.group() == Group::Medium)?;
        let reason = view.parked?.split(" #").next().unwrap_or_default().to_owned();
        Some((ExtensionId::try_new(lane.extension()).ok()?, reason))
    });
    Ok(parked.collect())
}

/// One for each number, or one without.
fn rows(entry: &Entry, parked: Option<&String>, private: bool) -> Vec<[Cell; 8]> {
    let short = entry.who.short.as_ref().map_or("-", |short| short.as_str());
    let name = entry.name.as_deref().unwrap_or("-");
    let connected = if entry.connected_by.is_empty() { "no".to_owned() } else { entry.connected_by.join(", ") };
    let row = |line: Option<&Line>| {
        let wrong = line.and_then(|line| line.wrong.as_ref()).or(entry.wrong.as_ref()).or(entry.failed.as_ref());
        let (text, style) = match (parked, wrong) {
            (Some(reason), _) => (format!("parked: {reason}"), Style::new().red()),
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
fn legend(all: &[Entry]) -> Vec<String> {
    let codes: BTreeSet<&str> = all.iter().flat_map(Entry::wrongs).map(|wrong: &Wrong| wrong.code.as_str()).collect();
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
