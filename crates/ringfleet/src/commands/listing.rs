//! `message list`: messages in one state, the last first.

use std::time::Duration;

use ringfleet_store::{ListFrom, MAX_BATCH, MessageView, Millis, State, Store};
use serde_json::json;

use super::evidence::{listed, number, reason_of, time};
use crate::{
    output::say,
    table::{self, Cell},
};

pub(super) async fn list(
    store: &dyn Store,
    state: State,
    since: Option<Duration>,
    limit: usize,
    as_json: bool,
) -> anyhow::Result<()> {
    let oldest = match since {
        Some(since) => store.now().await?.saturating_sub(since.as_millis() as Millis),
        None => 0,
    };
    let (found, more) = newest(store, ListFrom::newest(state).since(oldest), limit).await?;
    let word = state.as_str();
    if as_json {
        let rows: Vec<_> = found.iter().map(to_json).collect();
        say!("{}", serde_json::to_string_pretty(&json!({"state": word, "more": more, "messages": rows}))?);
        return Ok(());
    }
    if found.is_empty() {
        say!("no message is {word}{}", if since.is_some() { ", or none since then" } else { "" });
        return Ok(());
    }
    let rows: Vec<_> = found.iter().map(row).collect();
    for line in table::lines(["id", "extension", "since", "to", "reason"], &rows) {
        say!("{line}");
    }
    if more {
        say!("… there are more; --limit shows them");
    }
    Ok(())
}

/// So many at most, and whether there are more.
async fn newest(store: &dyn Store, from: ListFrom, limit: usize) -> anyhow::Result<(Vec<MessageView>, bool)> {
    let (mut found, mut next) = (Vec::new(), Some(from));
    while let Some(from) = next.filter(|_| found.len() <= limit) {
        let room = (limit + 1 - found.len()).min(MAX_BATCH);
        let page = store.list(&from, room as u32).await?;
        found.extend(page.messages);
        next = page.next;
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

/// Of one that did not arrive the carrier's word: its own reason is that it was accepted.
fn why(view: &MessageView) -> String {
    let code = view.delivery.as_ref().map(|report| report.code.clone()).filter(|code| !code.is_empty());
    code.unwrap_or_else(|| reason_of(view))
}

fn to_json(view: &MessageView) -> serde_json::Value {
    let mut row = listed(view);
    row["from"] = json!(number(&view.from, false));
    row["to"] = json!(number(&view.to, false));
    row["delivery_code"] = json!(view.delivery.as_ref().map(|report| &report.code).filter(|code| !code.is_empty()));
    row
}

fn row(view: &MessageView) -> [Cell; 5] {
    [
        view.id.to_string().into(),
        view.lane.extension().to_owned().into(),
        time(view.came_into_state()).into(),
        number(&view.to, false).into(),
        why(view).into(),
    ]
}
