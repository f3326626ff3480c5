//! `opt-out`: who wants no texts, entered, lifted and listed by a person.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_producer::opt_out::{Lifted, Whose, may_enter, standing};
use ringfleet_store::{MAX_BATCH, OptOut, OptedOut, Private, Store, opt_out::ANY_NUMBER};
use serde_json::{Value, json};

use super::{
    evidence::{number, time},
    operate::{known, only},
    opt_out_file,
};
use crate::{
    cli::{OptOutCommand, ShowOptions, WhoOptions},
    config::Settings,
    exit,
    output::say,
    store,
    table::{self, Cell},
};

pub(crate) async fn run(settings: Settings, what: OptOutCommand) -> anyhow::Result<ExitCode> {
    let store = match &what {
        OptOutCommand::Add(_) | OptOutCommand::Import { .. } => store::open(&settings.store, settings.rules).await?,
        OptOutCommand::Remove(_) | OptOutCommand::List { .. } => {
            store::open_existing(&settings.store, settings.rules).await?
        }
    };
    match what {
        OptOutCommand::Add(who) => add(&settings, &*store, &who).await,
        OptOutCommand::Remove(who) => remove(&settings, &*store, &who).await,
        OptOutCommand::Import { file } => import(&*store, &file).await,
        OptOutCommand::List { to, limit, how } => list(&*store, to.as_ref(), limit, &how).await,
    }
}

async fn add(settings: &Settings, store: &dyn Store, who: &WhoOptions) -> anyhow::Result<ExitCode> {
    for to in &who.to {
        may_enter(to).map_err(|fault| anyhow::anyhow!("{fault}")).context("no opt-out was entered")?;
    }
    // SEND-SAFETY: a number or an extension that nobody knows is refused: its opt-out would look like one and stop nothing.
    let refused = "no opt-out was entered; without --from and --extension it counts for every extension, known or not";
    let whose = match (&who.from, &who.extension) {
        (Some(number), _) => {
            extension(settings, number.expose()).await.context(refused)?;
            Whose::Number(number.clone())
        }
        (None, Some(typed)) => Whose::Extension(extension(settings, typed).await.context(refused)?),
        (None, None) => Whose::Everyones,
    };
    let asked_at = store.now().await?;
    let entered = whose.note(store, &who.to).await;
    entered.context("it may not count, or for some extensions only; enter it again")?;
    let noted = standing(store, None).await.context("it counts; only since when can't be told")?;
    for to in &who.to {
        let is_it = |one: &&OptedOut| one.to.expose() == to.expose() && whose.names(one);
        let since = noted.iter().filter(is_it).map(|entry| entry.since).min();
        let already = if since.is_some_and(|since| since < asked_at) { " (it stood already)" } else { "" };
        say!("{to} gets no more texts {}, since {}{already}", of_whom(&whose), time(since));
    }
    say!("what waits is suppressed when its turn comes; what is being sent already is not stopped");
    Ok(ExitCode::SUCCESS)
}

/// SEND-SAFETY: no extension and no number is asked for here. A new store knows none of them yet, and an opt-out that is refused for
/// that would let texts go once they are known.
async fn import(store: &dyn Store, file: &Path) -> anyhow::Result<ExitCode> {
    let entries = opt_out_file::read(file)?;
    let (all, mut done) = (entries.len(), 0);
    let mut by_extension: BTreeMap<Option<String>, Vec<OptOut>> = BTreeMap::new();
    for entry in entries {
        by_extension.entry(entry.extension).or_default().push(entry.change);
    }
    for (extension, changes) in &by_extension {
        for some in changes.chunks(MAX_BATCH) {
            let entered = store.set_opt_outs(extension.as_deref(), some).await;
            entered.with_context(|| format!("{done} of {all} opt-outs count; import the same file again"))?;
            done += some.len();
        }
    }
    say!("{all} opt-outs count now; one that stood already stands once");
    say!("what waits is suppressed when its turn comes; what is being sent already is not stopped");
    Ok(ExitCode::SUCCESS)
}

/// One answer a number; the code says whether all, some or none had such an opt-out.
async fn remove(settings: &Settings, store: &dyn Store, who: &WhoOptions) -> anyhow::Result<ExitCode> {
    let whose = match (&who.from, &who.extension) {
        (Some(number), _) => Whose::Number(number.clone()),
        (None, Some(typed)) => Whose::Extension(noted_extension(settings, store, typed).await?),
        (None, None) => Whose::Everyones,
    };
    let mut seen = HashSet::new();
    let (mut done, mut left) = (0, 0);
    for to in who.to.iter().filter(|to| seen.insert(*to)) {
        let lifted = whose.lift(store, to).await;
        let Lifted { was_there, standing } = lifted.with_context(|| format!("{to} may still be out; lift it again"))?;
        if was_there {
            done += 1;
            say!("{to} gets texts {} again, but for what was suppressed before", of_whom(&whose));
        } else {
            left += 1;
            say!("{to} has no opt-out from texts {}", of_whom(&whose));
        }
        for one in &standing {
            let whom = words(one.extension.as_deref(), &one.from);
            say!("  this one stands: no texts {whom}, since {}", time(Some(one.since)));
        }
    }
    if done > 0 {
        say!("RingCentral keeps opt-outs of its own: only the recipient's START lifts one that is there");
    }
    Ok(match (done, left) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

async fn list(
    store: &dyn Store,
    to: Option<&PhoneNumber>,
    limit: usize,
    how: &ShowOptions,
) -> anyhow::Result<ExitCode> {
    let mut found = standing(store, to).await?;
    found.sort_by_key(|one| Reverse(one.since));
    let shown = &found[..found.len().min(limit)];
    if how.json {
        let rows: Vec<Value> = shown.iter().map(|one| as_json(one, how.show_private)).collect();
        say!("{}", serde_json::to_string_pretty(&json!({"found": found.len(), "opt_outs": rows}))?);
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        say!("this fleet knows of no opt-out{}", to.map(|to| format!(" of {to}")).unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = shown.iter().map(|one| row(one, how.show_private)).collect();
    for line in table::lines(["since", "recipient", "wants none of", "from"], &rows) {
        say!("{line}");
    }
    if found.len() > shown.len() {
        say!("… {} of {}; --limit shows more", shown.len(), found.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn row(one: &OptedOut, private: bool) -> [Cell; 4] {
    let extension = one.extension.as_ref().map(|id| format!("extension {id}"));
    [
        time(Some(one.since)).into(),
        number(&one.to, private).into(),
        extension.unwrap_or_else(|| "every extension".to_owned()).into(),
        own_number(&one.from, private).unwrap_or_else(|| "any number".to_owned()).into(),
    ]
}

fn as_json(one: &OptedOut, private: bool) -> Value {
    json!({
        "since": time(Some(one.since)),
        "to": number(&one.to, private),
        "extension": one.extension,
        "from": own_number(&one.from, private),
    })
}

/// `None` for all numbers.
fn own_number(from: &Private, private: bool) -> Option<String> {
    (from.expose() != ANY_NUMBER).then(|| number(from, private))
}

fn of_whom(whose: &Whose) -> String {
    let any = Private::new(ANY_NUMBER);
    match whose {
        Whose::Everyones => words(None, &any),
        Whose::Extension(id) => words(Some(id.as_str()), &any),
        Whose::Number(number) => words(None, &Private::new(number.expose())),
    }
}

fn words(extension: Option<&str>, from: &Private) -> String {
    match (own_number(from, false), extension) {
        (None, None) => "of any extension".to_owned(),
        (None, Some(id)) => format!("of extension {id}, from any of its numbers"),
        (Some(number), None) => format!("from {number}"),
        (Some(number), Some(id)) => format!("from {number} of extension {id}"),
    }
}

async fn extension(settings: &Settings, typed: &str) -> anyhow::Result<ExtensionId> {
    only(known(settings, typed).await?, typed)?.context("no extension is known by what was typed")
}

/// The same, or one that nobody knows any more and that an opt-out stands under.
async fn noted_extension(settings: &Settings, store: &dyn Store, typed: &str) -> anyhow::Result<ExtensionId> {
    let error = match extension(settings, typed).await {
        Ok(id) => return Ok(id),
        Err(error) => error.context("no opt-out was lifted"),
    };
    let noted = standing(store, None).await?;
    let there = noted.iter().any(|one| one.extension.as_deref() == Some(typed));
    ExtensionId::try_new(typed).ok().filter(|_| there).ok_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortened_unless_they_are_asked_for() {
        let (from, to) = (Private::new("+15550100001"), Private::new("+15550200001"));
        let one = OptedOut { extension: Some("101".into()), from, to, since: 1_764_000_000_000 };
        let shown = |private| {
            let table = table::lines(["a", "b", "c", "d"], &[row(&one, private)]).join("\n");
            table + &as_json(&one, private).to_string() + &words(one.extension.as_deref(), &one.from)
        };
        let quiet = shown(false);
        assert!(quiet.contains("+1******0001") && !quiet.contains("5550"), "{quiet}");
        let told = as_json(&one, true);
        assert_eq!((&told["to"], &told["from"]), (&json!("+15550200001"), &json!("+15550100001")));
        assert!(shown(true).contains("2025-11-24T16:00:00Z  +15550200001  extension 101  +15550100001"));
    }

    #[test]
    fn what_an_opt_out_is_about_is_said_in_words() {
        let any = Private::new(ANY_NUMBER);
        assert_eq!(words(None, &any), "of any extension");
        assert_eq!(words(Some("101"), &any), "of extension 101, from any of its numbers");
        let everybodys = OptedOut { extension: None, from: any, to: Private::new("+15550200001"), since: 1 };
        assert_eq!(
            (&as_json(&everybodys, true)["extension"], &as_json(&everybodys, true)["from"]),
            (&json!(null), &json!(null))
        );
    }
}
