//! `callbacks`: how the telling of what became of messages stands, telling once more, passing over, and a test of the endpoint.

use std::process::ExitCode;

use ringfleet_explain::short;
use ringfleet_producer::callbacks::{self, Answer, Endpoint, Replayed, ShardStanding, Since};
use ringfleet_store::{Store, StoreError};
use serde_json::json;

use super::evidence::time;
use crate::{
    cli::CallbacksCommand,
    config::{Faults, Settings},
    exit,
    output::{remark, say},
    store, table,
};

pub(crate) async fn run(settings: Settings, what: CallbacksCommand) -> anyhow::Result<ExitCode> {
    match what {
        CallbacksCommand::Status { json } => {
            let store = store::open_existing(&settings.store, settings.rules).await?;
            status(&settings, &*store, json).await
        }
        CallbacksCommand::Replay { since, json } => {
            let store = store::open_existing(&settings.store, settings.rules).await?;
            warn_if_off(&settings);
            replay(&*store, since, json).await
        }
        CallbacksCommand::Skip { shard, json } => {
            let store = store::open_existing(&settings.store, settings.rules).await?;
            skip(&*store, shard, json).await
        }
        CallbacksCommand::Test => test(&settings).await,
    }
}

fn warn_if_off(settings: &Settings) {
    if settings.callbacks.is_none() {
        remark!("callbacks.url is empty here: unless `api` or `up` have another configuration, nothing is told");
    }
}

/// Of each shard, whatever the others answer; the first error where none does.
fn of_those_that_answer<T>(all: Vec<Result<T, StoreError>>) -> anyhow::Result<Vec<Result<T, StoreError>>> {
    match all.iter().any(Result::is_ok) {
        true => Ok(all),
        false => Ok(all.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().map(Ok).collect()),
    }
}

fn code_of<T>(all: &[Result<T, StoreError>]) -> ExitCode {
    if all.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::from(exit::PARTLY) }
}

async fn status(settings: &Settings, store: &dyn Store, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut shards = Vec::new();
    for shard in 0..store.shards() {
        shards.push(callbacks::standing(store, shard).await);
    }
    let shards = of_those_that_answer(shards)?;
    if as_json {
        let rows: Vec<_> = shards.iter().enumerate().map(|(shard, standing)| shard_json(shard, standing)).collect();
        let url = settings.callbacks.as_ref().map(|callbacks| callbacks.url.to_string());
        say!("{}", serde_json::to_string_pretty(&json!({"url": url, "shards": rows}))?);
        return Ok(code_of(&shards));
    }
    match &settings.callbacks {
        Some(callbacks) => say!("callbacks go to {}", callbacks.url),
        None => warn_if_off(settings),
    }
    let rows: Vec<_> = shards.iter().enumerate().map(|(shard, standing)| row(shard, standing)).collect();
    for line in table::lines(["shard", "told to", "behind", "failing since", "at most", "why"], &rows) {
        say!("{line}");
    }
    Ok(code_of(&shards))
}

fn shard_json(shard: usize, standing: &Result<ShardStanding, StoreError>) -> serde_json::Value {
    let standing = match standing {
        Ok(standing) => standing,
        Err(error) => return json!({"shard": shard, "error": error.to_string()}),
    };
    let failing = standing.failing.as_ref().map(|failing| {
        json!({
            "since": time(Some(failing.since)),
            "why": failing.why,
            "tries": failing.tries,
            "again_at": time(Some(failing.again_at)),
            "messages_at_most": failing.messages,
        })
    });
    json!({
        "shard": shard,
        "told_to": standing.told_to.map(|at| time(Some(at))),
        "behind_s": standing.behind.as_secs_f64(),
        "failing": failing,
    })
}

fn row(shard: usize, standing: &Result<ShardStanding, StoreError>) -> [table::Cell; 6] {
    let shard = shard.to_string();
    let cells = match standing {
        Ok(ShardStanding { told_to: None, .. }) => {
            [shard, "-".into(), "-".into(), "-".into(), "-".into(), "not begun".into()]
        }
        Ok(standing) => {
            let failing = standing.failing.as_ref();
            [
                shard,
                time(standing.told_to),
                short(standing.behind.as_millis() as i64),
                time(failing.map(|failing| failing.since)),
                failing.map_or_else(|| "-".to_owned(), |failing| failing.messages.to_string()),
                failing.map_or_else(|| "-".to_owned(), |failing| failing.why.clone()),
            ]
        }
        Err(error) => [shard, "-".into(), "-".into(), "-".into(), "-".into(), error.to_string()],
    };
    cells.map(table::Cell::from)
}

async fn replay(store: &dyn Store, since: Since, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut shards = Vec::new();
    for shard in 0..store.shards() {
        shards.push(callbacks::replay(store, shard, since).await);
    }
    let shards = of_those_that_answer(shards)?;
    let done: Vec<&Replayed> = shards.iter().flatten().flatten().collect();
    let again: usize = done.iter().map(|replayed| replayed.again).sum();
    let more = done.iter().any(|replayed| replayed.more);
    let from = done.iter().map(|replayed| replayed.from).min();
    if as_json {
        let errors: Vec<_> = shards.iter().filter_map(|shard| shard.as_ref().err().map(ToString::to_string)).collect();
        let whole =
            json!({"from": from.map(|at| time(Some(at))), "again_at_most": again, "more": more, "errors": errors});
        say!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(code_of(&shards));
    }
    match from {
        None => say!("callbacks have not come to that time yet, so nothing was changed"),
        Some(_) => {
            let more = if more { "more than " } else { "" };
            say!("told from {} on: {more}{again} changes at most are told again", time(from));
        }
    }
    for (shard, failed) in shards.iter().enumerate().filter_map(|(n, shard)| Some((n, shard.as_ref().err()?))) {
        remark!("shard {shard} was left as it is: {failed}");
    }
    Ok(code_of(&shards))
}

async fn skip(store: &dyn Store, shard: usize, as_json: bool) -> anyhow::Result<ExitCode> {
    let last = store.shards() - 1;
    anyhow::ensure!(shard <= last, "--shard: is {shard}, must be 0 to {last}; `ringfleet callbacks status` lists them");
    let passed = callbacks::skip(store, shard).await?;
    let ids: Vec<_> = passed.iter().flatten().map(ToString::to_string).collect();
    if as_json {
        let whole = json!({"shard": shard, "skipped": passed.is_some(), "messages": ids});
        say!("{}", serde_json::to_string_pretty(&whole)?);
    } else if passed.is_none() {
        say!("no callback of shard {shard} is being tried again, so nothing was changed");
    } else {
        say!("passed over {} messages, which are not told:", ids.len());
        ids.iter().for_each(|id| say!("{id}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn test(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Some(callbacks) = settings.callbacks.clone() else {
        return Err(Faults::one("callbacks.url", "is empty: name the endpoint, and read docs/callbacks.md").into());
    };
    let endpoint = Endpoint::new(callbacks.url, callbacks.secrets)?;
    let answer = endpoint.test().await;
    say!("{}: {answer}", endpoint.url());
    Ok(if matches!(answer, Answer::Taken(_)) { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}
