//! `held`: what a person must decide, and the decision.

use std::{collections::HashSet, process::ExitCode};

use anyhow::Context;
use ringfleet_store::{
    Cancelled, ListFrom, MAX_BATCH, MessageId, MessageView, Millis, Resolution, SharedStore, State, Store,
};
use serde_json::json;

use super::evidence::{self, LookFor, content_is_gone, in_doubt, reason_of, time};
use crate::{
    cli::{CloseAs, HeldCommand},
    config::Settings,
    exit,
    output::{self, say},
    store, table,
};

pub(crate) async fn run(settings: Settings, what: HeldCommand) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(&settings.store, settings.rules).await?;
    let skew = settings.worker.reconcile.clock_skew.as_millis() as Millis;
    match what {
        HeldCommand::List { limit, json } => list(&store, limit, json).await,
        HeldCommand::Show { id, show_private, json } => show(&*store, id, show_private, json, skew).await,
        HeldCommand::Resend { ids, yes } => {
            if !yes && !confirmed(&*store, &ids).await? {
                return Ok(ExitCode::from(exit::FAILED));
            }
            resolve(&*store, &ids, Resolution::Resend).await
        }
        HeldCommand::Close { ids, end: CloseAs::Sent } => resolve(&*store, &ids, Resolution::Sent).await,
        HeldCommand::Close { ids, end: CloseAs::Cancelled } => resolve(&*store, &ids, Resolution::Cancelled).await,
    }
}

async fn list(store: &SharedStore, limit: u32, as_json: bool) -> anyhow::Result<ExitCode> {
    let views = store.list(&ListFrom::newest(State::Held), limit).await?.messages;
    let all = store.stats().await?.count(State::Held);
    if as_json {
        let rows: Vec<_> = views.iter().map(evidence::listed).collect();
        say!("{}", serde_json::to_string_pretty(&json!({"held": all, "messages": rows}))?);
        return Ok(ExitCode::SUCCESS);
    }
    if views.is_empty() {
        say!("no message is held");
        return Ok(ExitCode::SUCCESS);
    }
    say!("{:<30}  {:<12}  {:<24}  {:>8}  reason", "id", "extension", "since", "attempts");
    for view in &views {
        let (extension, since) = (view.lane.extension(), time(view.finished_at));
        say!("{}  {extension:<12}  {since:<24}  {:>8}  {}", view.id, view.attempt, view.reason);
    }
    if let Some(more) = more(views.len(), all) {
        say!("{more}");
    }
    say!(
        "\nNobody knows whether these were sent, and nothing sends them again by itself. `ringfleet held show ID` tells what \
         to look for;\nthen `held close ID --as sent`, `held resend ID`, or `held close ID --as cancelled`."
    );
    Ok(ExitCode::SUCCESS)
}

/// What stands below a list of the newest that is not whole.
pub(super) fn more(listed: usize, all: u64) -> Option<String> {
    let then = if listed < MAX_BATCH { "--limit shows more" } else { "the older ones show when these are settled" };
    (all > listed as u64).then(|| format!("… {listed} of {all}; {then}"))
}

async fn show(store: &dyn Store, id: MessageId, private: bool, json: bool, skew: Millis) -> anyhow::Result<ExitCode> {
    let view = store.get(&id).await?.with_context(|| format!("there is no message {id}; was it pruned?"))?;
    if json {
        let whole = serde_json::to_string_pretty(&evidence::as_json(&view, private, skew))?;
        say!("{}", table::for_stdout(&whole));
        return Ok(ExitCode::SUCCESS);
    }
    for line in evidence::lines(&view, private).into_iter().chain(advice(&view, skew)) {
        say!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person can do about a message in its state.
fn advice(view: &MessageView, skew: Millis) -> Vec<String> {
    let (id, extension) = (view.id, view.lane.extension());
    let look = LookFor::of(view, skew).map(|look| format!("{}:", look.sentence(extension)));
    let mut lines = vec![String::new()];
    match view.state {
        State::Held => {
            lines.extend(look);
            lines.push(format!("  it is there      ringfleet held close {id} --as sent"));
            lines.push(if content_is_gone(view) {
                "  it is not there  its content is gone: hand it in anew with a new key, and close this one as cancelled"
                    .to_owned()
            } else {
                format!("  it is not there  ringfleet held resend {id}")
            });
            lines.push(format!("  not wanted       ringfleet held close {id} --as cancelled"));
        }
        State::Unknown => lines.push("workers look it up by themselves; if they can't tell, it is held".to_owned()),
        // SEND-SAFETY: `held resend` alone would be taken at its word, though an earlier attempt may have arrived.
        state if in_doubt(view).is_some() => {
            lines.extend(look);
            lines.push("  it is there      it was sent: nothing is left to do".to_owned());
            lines.push(match state {
                State::Dead => format!("  it is not there  ringfleet held resend {id}"),
                _ => "  it is not there  hand it in anew with a new key, if it is still wanted".to_owned(),
            });
        }
        State::Dead => lines.push(format!("given up; `ringfleet held resend {id}` sends it again")),
        state => lines.push(format!("it is {}: there is nothing to decide", state.as_str())),
    }
    lines
}

/// Shows what is about to be sent again, and asks.
async fn confirmed(store: &dyn Store, ids: &[MessageId]) -> anyhow::Result<bool> {
    output::must_be_there(format_args!("send them again"))?;
    for id in ids {
        match store.get(id).await? {
            Some(view) => {
                say!("{id}  extension {}  {}  {}", view.lane.extension(), view.state.as_str(), reason_of(&view))
            }
            None => say!("{id}  there is no such message"),
        }
    }
    output::confirmed(format_args!("Whoever got one of them already gets it twice. Send {} again?", ids.len()))
}

/// One answer a message; the code says whether all, some or none were possible.
async fn resolve(store: &dyn Store, ids: &[MessageId], how: Resolution) -> anyhow::Result<ExitCode> {
    let mut seen = HashSet::new();
    let (mut done, mut refused) = (0, 0);
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        let answer = store.resolve(id, how).await?;
        if answer == Cancelled::Done {
            done += 1;
        } else {
            refused += 1;
        }
        say!("{id}  {}", told(answer, how));
    }
    Ok(match (done, refused) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

fn told(answer: Cancelled, how: Resolution) -> String {
    match (answer, how) {
        (Cancelled::Done, Resolution::Resend) => "waits to be sent again".to_owned(),
        (Cancelled::Done, Resolution::Sent) => "closed as sent".to_owned(),
        (Cancelled::Done, Resolution::Cancelled) => "closed as cancelled".to_owned(),
        (Cancelled::Missing, _) => "refused: there is no such message; was it pruned?".to_owned(),
        (Cancelled::TooLate(State::Unknown), _) => {
            "refused: it is being looked up; if that can't tell, it will be held".to_owned()
        }
        (Cancelled::TooLate(State::Held | State::Dead), Resolution::Resend) => {
            "refused: its content is gone; hand it in anew with a new key, and close this one".to_owned()
        }
        (Cancelled::TooLate(State::Suppressed), Resolution::Resend) => {
            "refused: its recipient has opted out; it is closed as suppressed".to_owned()
        }
        (Cancelled::TooLate(state), _) => format!("refused: it is {}, not held", state.as_str()),
    }
}

#[cfg(test)]
mod tests;
