//! `extensions show`, and how an extension is shown elsewhere.

use std::process::ExitCode;

use ringcentral::{NumberFeature, PhoneNumber};
use ringfleet_explain::sense;
use ringfleet_store::{Group, LaneId, LaneView, Why};
use serde_json::{Value, json};

use super::{
    Known,
    entry::{Entry, Line, Wrong, entries},
};
use crate::{
    cli::ShowOptions,
    commands::evidence::time,
    output::say,
    table::{for_stdout, tame},
};

pub(super) async fn run(known: &Known, which: &str, how: &ShowOptions) -> anyhow::Result<ExitCode> {
    let meant = known.meant(which)?;
    let mut rows = Vec::new();
    for entry in entries(known, Some(&meant)) {
        let lane = LaneId::try_new(known.vault.app(), entry.who.id.as_str(), Group::Medium)?;
        let lane = known.vault.store().lane(&lane).await?;
        if how.json {
            rows.push(with_lane(as_json(&entry, how.show_private), &entry, &lane));
        } else {
            lines(&entry, &lane, how.show_private).iter().for_each(|line| say!("{line}"));
        }
    }
    if how.json {
        let whole = serde_json::to_string_pretty(&json!({"app": known.vault.app(), "extensions": rows}))?;
        say!("{}", for_stdout(&whole));
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(entry: &Entry, lane: &LaneView, private: bool) -> Vec<String> {
    let name = entry.name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let mut lines = vec![format!("{} (id {}){name}", entry.who, entry.who.id)];
    let mut fact = |what: &str, text: &str| lines.push(format!("  {what:<10} {text}"));
    fact("account", entry.account.as_deref().unwrap_or("not known"));
    fact("status", entry.status.unwrap_or("not known"));
    let connected = entry.connected_by.join(", ");
    fact("connected", if connected.is_empty() { "no" } else { &connected });
    fact("read", &entry.read_at.map_or_else(|| "never".to_owned(), |at| time(Some(at))));
    for line in &entry.numbers {
        let since = line.since.map(|at| format!(" since {}", time(Some(at)))).unwrap_or_default();
        let can = if line.wrong.is_none() { ": texts can leave from it" } else { "" };
        fact("number", &format!("{} {}{since}{can}", number(&line.number, private), features(&line.features)));
    }
    if lane.waiting > 0 {
        fact("waiting", &format!("{} messages", lane.waiting));
    }
    let parked = lane.parked.as_deref().map(of_parked);
    let paused = of_paused(entry, lane);
    for wrong in entry.wrongs().chain(&parked).chain(&paused) {
        fact("wrong", &format!("{} ({})", wrong.what, wrong.code));
        fact("do", &wrong.next);
    }
    // The name is whatever somebody wrote into the provider's form.
    lines.iter().map(|line| tame(line)).collect()
}

fn of_parked(reason: &str) -> Wrong {
    let sense = sense(reason);
    Wrong {
        code: reason.split(" #").next().unwrap_or_default().to_owned(),
        what: format!("its lane stands still: {}", sense.map_or("see the reason", |sense| sense.meaning)),
        next: sense.and_then(|sense| sense.remedy).unwrap_or("`ringfleet explain` tells more").to_owned(),
    }
}

fn of_paused(entry: &Entry, lane: &LaneView) -> Option<Wrong> {
    lane.paused.then(|| Wrong {
        code: Why::Paused.code().to_owned(),
        what: "its lane is paused by an operator".to_owned(),
        next: Why::Paused.remedy(entry.who.id.as_str(), "").unwrap_or_default(),
    })
}

pub(super) fn as_json(entry: &Entry, private: bool) -> Value {
    let numbers: Vec<Value> = entry
        .numbers
        .iter()
        .map(|line: &Line| {
            json!({
                "number": number(&line.number, private),
                "features": line.features.iter().map(|feature| feature.as_str()).collect::<Vec<_>>(),
                "since": line.since.map(|at| time(Some(at))),
                "can_text": line.wrong.is_none(),
                "wrong": line.wrong.as_ref().map(wrong_json),
            })
        })
        .collect();
    json!({
        "id": entry.who.id.as_str(),
        "number": entry.who.short.as_ref().map(|short| short.as_str()),
        "name": entry.name,
        "account": entry.account,
        "status": entry.status,
        "connected": !entry.connected_by.is_empty(),
        "connected_by": entry.connected_by,
        "read_at": entry.read_at.map(|at| time(Some(at))),
        "failed": entry.failed.as_ref().map(wrong_json),
        "wrong": entry.wrong.as_ref().map(wrong_json),
        "numbers": numbers,
    })
}

pub(super) fn with_lane(mut row: Value, entry: &Entry, lane: &LaneView) -> Value {
    row["waiting"] = json!(lane.waiting);
    row["parked"] = json!(lane.parked.as_deref().map(of_parked).as_ref().map(wrong_json));
    row["paused"] = json!(of_paused(entry, lane).as_ref().map(wrong_json));
    row
}

fn wrong_json(wrong: &Wrong) -> Value {
    json!({"code": wrong.code, "what": wrong.what, "next_step": wrong.next})
}

pub(super) fn number(number: &PhoneNumber, private: bool) -> String {
    if private { number.expose().to_owned() } else { number.to_string() }
}

pub(super) fn features(features: &[NumberFeature]) -> String {
    let words: Vec<&str> = features.iter().map(|feature| feature.as_str()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use ringfleet_identity::directory::Who;

    use super::*;

    #[test]
    fn a_name_is_one_line_and_holds_nothing_that_a_terminal_would_obey() {
        let entry = Entry {
            who: Who { id: "400101".parse().unwrap(), short: None },
            name: Some("Ada\u{1b}]0;x\u{7}\nstatus \u{202e}Enabled".into()),
            account: None,
            status: None,
            connected_by: Vec::new(),
            read_at: None,
            failed: None,
            numbers: Vec::new(),
            wrong: None,
        };
        let told = lines(&entry, &LaneView::default(), false);
        assert!(told[0].ends_with(", Ada ]0;x  status Enabled"), "{}", told[0]);
        assert!(told.iter().all(|line| !line.contains(char::is_control)));
    }
}
