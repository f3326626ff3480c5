//! `credentials list`: what is there, what is usable, and why the rest is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use console::Style;
use ringcentral::ExtensionId;
use ringfleet_explain::sense;
use ringfleet_identity::{AppPrint, Credential, Kept, Method, RecordError, Refused, Source, Vault};
use ringfleet_store::{Millis, SessionView, StoreError};
use serde_json::{Value, json};

use crate::{commands::evidence::time, output::say, table};

/// One login as it is shown.
struct Entry {
    extension: ExtensionId,
    method: Method,
    prefer: Option<u8>,
    enabled: Option<bool>,
    from_file: bool,
    key: Option<String>,
    since: Option<Millis>,
    until: Option<Millis>,
    state: State,
}

enum State {
    Usable,
    /// Comes after another one.
    StandsIn,
    Disabled,
    /// The store has one of the same method, which is used.
    Superseded,
    Refused(Refused),
    Ended,
    Unreadable(RecordError),
}

pub(super) async fn run(
    vault: &Vault,
    of_file: &[Credential],
    app: Option<&AppPrint>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let now = vault.store().now().await?;
    let sessions = sessions(vault, of_file).await?;
    let entries = entries(vault.all().await?, of_file, app, &sessions, now);
    if as_json {
        let rows: Vec<Value> = entries.iter().map(as_row).collect();
        say!("{}", serde_json::to_string_pretty(&json!({"app": vault.app(), "credentials": rows}))?);
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        say!("there are no credentials; `ringfleet credentials add` or `import` brings some in");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = entries.iter().map(cells).collect();
    let header = ["extension", "method", "prefer", "enabled", "source", "secret", "since", "until", "key", "state"];
    for line in table::lines(header, &rows) {
        say!("{line}");
    }
    for line in legend(&entries) {
        say!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a refusal of a credential of the accounts file is remembered in: it has no record of its own.
async fn sessions(vault: &Vault, of_file: &[Credential]) -> Result<BTreeMap<ExtensionId, SessionView>, StoreError> {
    let extensions: BTreeSet<_> = of_file.iter().map(|credential| credential.extension.clone()).collect();
    let names: Vec<String> = extensions.iter().map(|extension| extension.as_str().to_owned()).collect();
    Ok(extensions.into_iter().zip(vault.store().sessions(&names).await?).collect())
}

/// Those of the store and of the accounts file, by extension, in the order in which they are tried.
fn entries(
    kept: Vec<Kept>,
    of_file: &[Credential],
    app: Option<&AppPrint>,
    sessions: &BTreeMap<ExtensionId, SessionView>,
    now: Millis,
) -> Vec<Entry> {
    let stored: BTreeSet<_> = kept.iter().map(|kept| (kept.extension.clone(), kept.method)).collect();
    let mut entries: Vec<Entry> = kept.into_iter().map(|kept| of_store(kept, app, now)).collect();
    entries.extend(of_file.iter().map(|credential| {
        let mut entry = of_credential(credential, app, now);
        let refused =
            app.and_then(|app| refused_by(sessions.get(&credential.extension)?, &credential.login.print(app)));
        if let (State::Usable, Some(refused)) = (&entry.state, refused) {
            entry.state = State::Refused(refused);
        }
        if stored.contains(&(credential.extension.clone(), credential.login.method())) {
            entry.state = State::Superseded;
        }
        entry
    }));
    entries.sort_by(|a, b| (&a.extension, a.prefer, a.method).cmp(&(&b.extension, b.prefer, b.method)));
    let mut first: BTreeMap<ExtensionId, ()> = BTreeMap::new();
    for entry in &mut entries {
        if matches!(entry.state, State::Usable) && first.insert(entry.extension.clone(), ()).is_some() {
            entry.state = State::StandsIn;
        }
    }
    entries
}

fn refused_by(session: &SessionView, print: &str) -> Option<Refused> {
    let told = session.refused.iter().find(|refused| refused.print == print)?;
    Some(Refused { print: told.print.clone(), code: told.reason.clone(), at: 0 })
}

fn of_store(kept: Kept, app: Option<&AppPrint>, now: Millis) -> Entry {
    let key = kept.key.map(|key| key.to_string());
    match kept.opened {
        Ok(credential) => Entry { key, ..of_credential(&credential, app, now) },
        Err(error) => Entry {
            extension: kept.extension,
            method: kept.method,
            prefer: None,
            enabled: None,
            from_file: false,
            key,
            since: None,
            until: None,
            state: State::Unreadable(error),
        },
    }
}

fn of_credential(credential: &Credential, app: Option<&AppPrint>, now: Millis) -> Entry {
    let facts = &credential.facts;
    // Without the app's id and secret it can't be told whether the refusal was of this login; showing it is safer.
    let refused = app.map_or(facts.refused.as_ref(), |app| credential.refused(app));
    let state = match refused {
        _ if !credential.enabled => State::Disabled,
        Some(refused) => State::Refused(refused.clone()),
        None if facts.ends_at.is_some_and(|end| end <= now) => State::Ended,
        None => State::Usable,
    };
    Entry {
        extension: credential.extension.clone(),
        method: credential.login.method(),
        prefer: Some(credential.prefer),
        enabled: Some(credential.enabled),
        from_file: credential.source == Source::File,
        key: None,
        since: Some(facts.added_at).filter(|at| *at > 0),
        until: facts.ends_at,
        state,
    }
}

impl State {
    fn text(&self) -> String {
        match self {
            State::Usable => "in use".to_owned(),
            State::StandsIn => "stands in".to_owned(),
            State::Disabled => "switched off".to_owned(),
            State::Superseded => "not used: the store has another one".to_owned(),
            State::Refused(refused) => format!("refused: {}", refused.code),
            State::Ended => "ended: connect again".to_owned(),
            State::Unreadable(error) => format!("unusable: {error}"),
        }
    }

    fn style(&self) -> Style {
        match self {
            State::Usable => Style::new().green(),
            State::StandsIn => Style::new(),
            State::Disabled | State::Superseded => Style::new().dim(),
            State::Refused(_) | State::Ended | State::Unreadable(_) => Style::new().red(),
        }
    }
}

fn cells(entry: &Entry) -> [table::Cell; 10] {
    let dash = || "-".to_owned();
    [
        entry.extension.as_str().into(),
        entry.method.as_str().into(),
        entry.prefer.map_or_else(dash, |n| n.to_string()).into(),
        entry.enabled.map_or("-", |on| if on { "yes" } else { "no" }).into(),
        if entry.from_file { "file" } else { "store" }.into(),
        "set".into(),
        minute(entry.since).into(),
        minute(entry.until).into(),
        entry.key.clone().unwrap_or_else(dash).into(),
        table::Cell::styled(entry.state.text(), entry.state.style()),
    ]
}

/// To the minute is enough in a table.
fn minute(at: Option<Millis>) -> String {
    let full = time(at);
    full.get(..16).map_or_else(|| full.clone(), |minute| minute.replace('T', " "))
}

/// How many there are, and a sentence for each code that stands in the table.
fn legend(entries: &[Entry]) -> Vec<String> {
    let extensions: BTreeSet<_> = entries.iter().map(|entry| &entry.extension).collect();
    let able: BTreeSet<_> = entries.iter().filter(|e| matches!(e.state, State::Usable)).map(|e| &e.extension).collect();
    let unable = extensions.len() - able.len();
    let mut lines = vec![String::new()];
    lines.push(format!("{} credentials of {} extensions; times are UTC", entries.len(), extensions.len()));
    if unable > 0 {
        lines.push(format!("{unable} of them can't log in; their messages wait and none is lost"));
    }
    let codes: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| match &entry.state {
            State::Refused(refused) => Some(refused.code.as_str()),
            _ => None,
        })
        .collect();
    for code in codes {
        if let Some(sense) = sense(code) {
            lines.push(format!("{code}: {}", sense.meaning));
            lines.extend(sense.remedy.map(|remedy| format!("  next step: {remedy}")));
        }
    }
    lines
}

fn as_row(entry: &Entry) -> Value {
    let refused = match &entry.state {
        State::Refused(refused) => {
            let sense = sense(&refused.code);
            json!({
                "code": refused.code,
                "at": time(Some(refused.at).filter(|at| *at > 0)),
                "meaning": sense.map(|sense| sense.meaning),
                "next_step": sense.and_then(|sense| sense.remedy),
            })
        }
        _ => Value::Null,
    };
    let word = match &entry.state {
        State::Usable => "in_use",
        State::StandsIn => "stands_in",
        State::Disabled => "disabled",
        State::Superseded => "superseded",
        State::Refused(_) => "refused",
        State::Ended => "ended",
        State::Unreadable(_) => "unusable",
    };
    let problem = match &entry.state {
        State::Unreadable(error) => json!(error.to_string()),
        _ => Value::Null,
    };
    json!({
        "extension": entry.extension.as_str(),
        "method": entry.method.as_str(),
        "prefer": entry.prefer,
        "enabled": entry.enabled,
        "source": if entry.from_file { "file" } else { "store" },
        "secret": "set",
        "since": entry.since.map(|at| time(Some(at))),
        "until": entry.until.map(|at| time(Some(at))),
        "key": entry.key,
        "state": word,
        "refused": refused,
        "problem": problem,
    })
}
