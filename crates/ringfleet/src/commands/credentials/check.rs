//! `credentials check`: really logs in, with each credential alone, under the Auth plan.

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use console::Style;
use futures::{StreamExt, stream};
use ringcentral::{ExtensionId, Label};
use ringfleet_explain::sense;
use ringfleet_identity::{Credential, Granted, NoSession, Sessions, Source, Tried, Vault};
use ringfleet_store::{Group, LaneId};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    cli::CheckOptions,
    exit,
    output::say,
    progress,
    table::{self, Cell},
};

/// Extensions tried side by side; each has, or waits for, a budget of its own.
const AT_ONCE: usize = 8;
/// How long one waits for its turn. Where the whole app shares five logins a minute, that may be long.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// What came of one credential.
struct Outcome {
    credential: Credential,
    tried: Result<Tried, NoSession>,
    /// Its lane stood still for want of a login, and goes on now.
    resumed: bool,
}

pub(super) async fn run(sessions: &Arc<Sessions>, vault: &Vault, options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let roster = sessions.roster().clone();
    let extensions: Vec<ExtensionId> = if options.all {
        roster.extensions().iter().filter_map(|name| ExtensionId::try_new(name).ok()).collect()
    } else {
        options.extensions.clone()
    };
    let unknown: Vec<_> = extensions.iter().filter(|one| roster.of(one.as_str()).is_empty()).cloned().collect();
    let credentials: Vec<_> = extensions
        .iter()
        .map(|extension| roster.of(extension.as_str()).to_vec())
        .filter(|all| !all.is_empty())
        .collect();
    let count: usize = credentials.iter().map(Vec::len).sum();
    let bar = progress::bar(count as u64, "logging in");
    let tries = stream::iter(credentials).map(|of_one| {
        let bar = &bar;
        async move {
            let mut outcomes = Vec::new();
            for credential in of_one {
                let tried = try_in_turn(sessions, &credential).await;
                let resumed = matches!(tried, Ok(Tried::In(_))) && is_good_again(sessions, vault, &credential).await;
                outcomes.push(Outcome { credential, tried, resumed });
                bar.inc(1);
            }
            outcomes
        }
    });
    let outcomes: Vec<Outcome> = tries.buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten().collect();
    bar.finish_and_clear();
    tell(&outcomes, &unknown, options.json)?;
    let good = outcomes.iter().filter(|outcome| matches!(outcome.tried, Ok(Tried::In(_) | Tried::StandsBy))).count();
    Ok(match (good, outcomes.len() + unknown.len() - good) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

/// Waits for a turn of the Auth plan.
async fn try_in_turn(sessions: &Arc<Sessions>, credential: &Credential) -> Result<Tried, NoSession> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match sessions.try_login(credential).await {
            Err(NoSession::Later { delay }) if Instant::now() + delay < deadline => tokio::time::sleep(delay).await,
            other => return other,
        }
    }
}

/// Takes back what was noted against a credential that the provider takes again, and lets its lane go on: `true` if that had
/// stood still.
async fn is_good_again(sessions: &Arc<Sessions>, vault: &Vault, credential: &Credential) -> bool {
    if credential.source != Source::File {
        let forget = |known: &mut Credential| known.facts.refused.take().is_some();
        if let Err(error) = vault.change(&credential.extension, credential.login.method(), forget).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the list goes on to show it as refused");
        }
    }
    let store = vault.store();
    let Ok(lane) = LaneId::try_new(vault.app(), credential.extension.as_str(), Group::Medium) else { return false };
    let Ok(view) = store.lane(&lane).await else { return false };
    // Beside another credential it was passed over, and its lane did not stand still for it. A lane that stands for another cause
    // is not let go on.
    let is_good = match &view.parked {
        Some(reason) => reason.starts_with("credential "),
        None => matches!(sessions.is_passed_over(credential).await, Ok(true)),
    };
    is_good && store.set_parked(&lane, None).await.is_ok() && view.parked.is_some()
}

/// One word for machines, one for people, and the code that explains it.
fn result(tried: &Result<Tried, NoSession>) -> (&'static str, String, Option<&str>) {
    match tried {
        Ok(Tried::In(granted)) => ("logs_in", format!("logs in; {}", may(granted)), None),
        Ok(Tried::StandsBy) => ("stands_by", "stands by; it is tried when the one before it fails".to_owned(), None),
        Ok(Tried::Refused { code }) => ("refused", format!("refused: {code}"), Some(code)),
        Err(NoSession::Dead { reason }) => ("refused", format!("refused: {reason}"), Some(reason)),
        Err(NoSession::Later { .. }) => ("no_turn", "no turn, or no answer; try again later".to_owned(), None),
        Err(NoSession::Store(error)) => ("store", error.to_string(), None),
    }
}

fn may(granted: &Granted) -> String {
    let scope: Vec<_> = granted.scope.iter().map(Label::as_str).collect();
    let refresh = if granted.refresh { "refresh token" } else { "no refresh token" };
    if scope.is_empty() { refresh.to_owned() } else { format!("{}; {refresh}", scope.join(" ")) }
}

fn tell(outcomes: &[Outcome], unknown: &[ExtensionId], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let rows: Vec<_> = outcomes.iter().map(row).chain(unknown.iter().map(nobody)).collect();
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    let (good, bad) = (Style::new().green(), Style::new().red());
    let rows: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let (word, text, _) = result(&outcome.tried);
            let text = if outcome.resumed { format!("{text}; its lane goes on") } else { text };
            let style = if word == "logs_in" { good.clone() } else { bad.clone() };
            let credential = &outcome.credential;
            let prefer = credential.prefer.to_string();
            [
                credential.extension.as_str().into(),
                credential.login.method().as_str().into(),
                prefer.into(),
                Cell::styled(text, style),
            ]
        })
        .chain(unknown.iter().map(|extension| {
            [extension.as_str().into(), "-".into(), "-".into(), Cell::styled("no-credential", bad.clone())]
        }))
        .collect();
    for line in table::lines(["extension", "method", "prefer", "result"], &rows) {
        say!("{line}");
    }
    let mut reasons: BTreeSet<&str> = outcomes.iter().filter_map(|outcome| result(&outcome.tried).2).collect();
    if !unknown.is_empty() {
        reasons.insert("no-credential");
    }
    if !reasons.is_empty() {
        say!("");
    }
    for reason in reasons {
        if let Some(sense) = sense(reason) {
            say!("{reason}: {}", sense.meaning);
            sense.remedy.iter().for_each(|remedy| say!("  next step: {remedy}"));
        }
    }
    Ok(())
}

fn row(outcome: &Outcome) -> Value {
    let (word, _, reason) = result(&outcome.tried);
    let sense = reason.and_then(sense);
    let granted = match &outcome.tried {
        Ok(Tried::In(granted)) => Some(granted),
        _ => None,
    };
    json!({
        "extension": outcome.credential.extension.as_str(),
        "method": outcome.credential.login.method().as_str(),
        "prefer": outcome.credential.prefer,
        "result": word,
        "code": reason,
        "meaning": sense.map(|sense| sense.meaning),
        "next_step": sense.and_then(|sense| sense.remedy),
        "scope": granted.map(|granted| granted.scope.iter().map(Label::as_str).collect::<Vec<_>>()),
        "refresh_token": granted.map(|granted| granted.refresh),
        "lane_resumed": outcome.resumed,
    })
}

fn nobody(extension: &ExtensionId) -> Value {
    let sense = sense("no-credential");
    json!({
        "extension": extension.as_str(),
        "result": "no_credential",
        "code": "no-credential",
        "meaning": sense.map(|sense| sense.meaning),
        "next_step": sense.and_then(|sense| sense.remedy),
    })
}
