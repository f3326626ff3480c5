//! `explain`: why a message or an extension isn't moving, and when it will.

use std::process::ExitCode;

use anyhow::Context;
use ringfleet_explain::{Told, ToldEta, ToldLane, ToldWhy, bound};
use ringfleet_store::{Explained, Stand};
use serde_json::json;

use super::{
    evidence::time,
    operate::{lanes, of_key},
};
use crate::{
    cli::{ExplainOptions, What},
    config::Settings,
    output::say,
    store,
};

pub(crate) async fn run(settings: Settings, options: ExplainOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(&settings.store, settings.rules).await?;
    let what = match (options.what, &options.key) {
        (Some(what), _) => what,
        (None, Some(key)) => What::Message(of_key(key)?),
        (None, None) => anyhow::bail!("name a message or an extension, or a message's key"),
    };
    match what {
        What::Message(id) => {
            let found = store.get(&id).await?.zip(store.explain(&id).await?);
            let (view, explained) = found.with_context(|| format!("there is no message {id}; was it pruned?"))?;
            let recipient = bound(settings.worker.quiet_hours.as_ref(), &view.to, view.priority);
            message(&explained, &Told::of(&explained, recipient), options.json)?;
        }
        What::Extension(typed) => {
            for lane in lanes(&settings, &store, &typed).await? {
                extension(&ToldLane::of(&store.explain_lane(&lane).await?), options.json)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn message(explained: &Explained, told: &Told, as_json: bool) -> anyhow::Result<()> {
    let (state, extension) = (explained.state.as_str(), explained.lane.lane.extension());
    if as_json {
        let whole = json!({
            "id": explained.id.to_string(), "extension": extension, "state": state, "why": told.why, "eta": told.eta,
            "quiet_hours": told.quiet_hours,
        });
        say!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    let due = match &explained.stand {
        Stand::Waiting { due_at, .. } if *due_at > explained.lane.now => format!(", due {}", time(Some(*due_at))),
        Stand::Waiting { due_at, .. } => format!(", due since {}", time(Some(*due_at))),
        _ => String::new(),
    };
    let by = explained.send_by.map(|at| format!(", to be sent by {}", time(Some(at)))).unwrap_or_default();
    say!("{} of extension {extension} is {state}{due}{by}", explained.id);
    tell(&told.why, [("when", told.eta.as_ref())]);
    if let Some(quiet) = &told.quiet_hours {
        say!("  quiet  {}", quiet.text);
    }
    Ok(())
}

fn extension(told: &ToldLane, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        say!("{}", serde_json::to_string_pretty(told)?);
        return Ok(());
    }
    let since = told.oldest_due.as_ref().map(|at| format!(", the longest since {at}")).unwrap_or_default();
    say!("extension {}: {} due and waiting{since}, {} under way", told.extension, told.ready, told.in_flight);
    if told.ready == 0 {
        // How much there is no index tells: the schedule is that of all extensions.
        say!("  what is not due yet is not counted: `ringfleet message waiting {}` lists it", told.extension);
    }
    let last = told.last.as_ref().filter(|_| told.ready > 1);
    tell(&told.why, [("first", told.next.as_ref()), ("last", last)]);
    Ok(())
}

/// What stands in the way, what its words mean, when it goes, and what a person can do.
fn tell<const N: usize>(whys: &[ToldWhy], etas: [(&str, Option<&ToldEta>); N]) {
    for why in whys {
        say!("  why    {}", why.sentence());
        if let Some(meaning) = why.meaning() {
            say!("         {meaning}");
        }
    }
    for (which, eta) in etas {
        if let Some(eta) = eta {
            say!("  {which:<6} {}", eta.text);
        }
    }
    for remedy in whys.iter().flat_map(ToldWhy::remedies) {
        say!("  do     {remedy}");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use ringfleet_store::{NewMessage, OnUnknown, Priority, Private, SharedStore};

    use super::*;
    use crate::config;

    /// Of a fleet with one extension, which the accounts file names.
    fn settings(folder: &Path) -> Settings {
        let (file, accounts) = (folder.join("ringfleet.toml"), folder.join("accounts.json"));
        fs::write(&accounts, r#"[{"extension_id": "400100001", "numbers": ["+15550100001"]}]"#).unwrap();
        let (folder, accounts) = (folder.display(), accounts.display());
        let text = format!(
            "[store]\ndata_dir = '{folder}'\n[ringcentral]\naccounts_file = '{accounts}'\n[directory]\nrefresh = 'off'\n"
        );
        fs::write(&file, text).unwrap();
        config::load(Some(&file)).unwrap().settings().unwrap()
    }

    async fn enqueue(store: &SharedStore, extension: &str, after: Option<i64>) {
        let now = store.now().await.unwrap();
        let message = NewMessage {
            lane: format!("main/{extension}/medium").parse().unwrap(),
            key: None,
            from: Private::new("+15550100009"),
            to: Private::new("+15550200001"),
            text: Private::new("See you on Monday"),
            priority: Priority::Normal,
            on_unknown: OnUnknown::Hold,
            send_at: after.map(|after| now + after),
            send_by: None,
        };
        store.enqueue(&[message]).await.unwrap();
    }

    async fn told(settings: &Settings, what: &str) -> anyhow::Result<ExitCode> {
        run(settings.clone(), ExplainOptions { what: Some(what.parse()?), key: None, json: false }).await
    }

    #[tokio::test]
    async fn an_extension_is_meant_by_a_phone_number_too_and_of_one_that_nobody_has_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let store = store::open(&settings.store, settings.rules).await.unwrap();
        for what in ["400100001", "+15550100001"] {
            let meant = lanes(&settings, &store, what).await.unwrap();
            assert_eq!(meant.iter().map(|lane| lane.extension()).collect::<Vec<_>>(), ["400100001"], "{what}");
            told(&settings, what).await.unwrap();
        }
        for what in ["103", "999", "+15559999999", "not a word"] {
            let error = format!("{:#}", told(&settings, what).await.unwrap_err());
            assert!(error.contains("`ringfleet extensions list`") && !error.contains("touched"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_lane_that_has_something_is_explained_by_its_id_though_nobody_knows_the_extension() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let store = store::open(&settings.store, settings.rules).await.unwrap();
        enqueue(&store, "400100002", None).await;
        enqueue(&store, "400100003", Some(3_600_000)).await;
        store.set_paused(&"main/400100004/medium".parse().unwrap(), true).await.unwrap();
        for what in ["400100002", "400100003", "400100004"] {
            let meant = lanes(&settings, &store, what).await.unwrap();
            assert_eq!(meant.iter().map(|lane| lane.extension()).collect::<Vec<_>>(), [what]);
            told(&settings, what).await.unwrap();
        }
        assert!(told(&settings, "400100005").await.is_err());
    }
}
