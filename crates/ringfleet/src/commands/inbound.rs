//! `inbound`: what came in at the fleet's extensions.

use std::process::ExitCode;

use anyhow::Context;
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_store::Millis;
use ringfleet_worker::{Inbound, Inbox};
use serde_json::json;

use super::{
    credentials::{self, Makes},
    evidence::time,
    operate::{known, only},
};
use crate::{
    cli::InboundCommand,
    config::Settings,
    output::{remark, say},
    table,
};

pub(crate) async fn run(settings: Settings, what: InboundCommand) -> anyhow::Result<ExitCode> {
    let InboundCommand::List { extension, kind, since, limit, how } = what;
    let vault = credentials::open(&settings, Makes::Nothing).await?;
    let kept = Inbox::new(&vault).list().await?;
    let extension = match extension {
        Some(typed) => Some(meant(&settings, &typed, &kept.inbound).await?),
        None => None,
    };
    let oldest = match since {
        Some(since) => vault.store().now().await?.saturating_sub(since.as_millis() as Millis),
        None => Millis::MIN,
    };
    let asked_for = |inbound: &&Inbound| {
        extension.as_ref().is_none_or(|extension| inbound.extension == *extension)
            && kind.is_none_or(|kind| inbound.kind == kind.into())
            && inbound.at >= oldest
    };
    let found: Vec<&Inbound> = kept.inbound.iter().filter(asked_for).collect();
    let shown = &found[..found.len().min(limit)];
    if kept.unreadable > 0 {
        remark!(
            "{} more can't be opened with this process's keys; name those of the workers in [identity]",
            kept.unreadable
        );
    }
    if how.json {
        let rows: Vec<_> = shown.iter().map(|inbound| as_json(inbound, how.show_private)).collect();
        let whole = serde_json::to_string_pretty(&json!({"found": found.len(), "inbound": rows}))?;
        say!("{}", table::for_stdout(&whole));
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        say!("nothing came in, as far as this fleet has looked (inbound.poll)");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = shown.iter().map(|inbound| row(inbound, how.show_private)).collect();
    for line in table::lines(["at", "extension", "kind", "from", "to", "text"], &rows) {
        say!("{line}");
    }
    if found.len() > shown.len() {
        say!("… {} of {}; --limit shows more", shown.len(), found.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// The extension that a word means. One that nobody knows any more is meant by its id, if it has left something here.
async fn meant(settings: &Settings, typed: &str, kept: &[Inbound]) -> anyhow::Result<ExtensionId> {
    match known(settings, typed).await {
        Ok(meant) => only(meant, typed)?.context("no extension is known by what was typed"),
        Err(error) => {
            let left = kept.iter().map(|inbound| &inbound.extension).find(|id| id.as_str() == typed);
            left.cloned().ok_or(error)
        }
    }
}

fn row(inbound: &Inbound, private: bool) -> [table::Cell; 6] {
    let number = |number: &Option<PhoneNumber>| shown(number.as_ref(), private).unwrap_or_else(|| "-".to_owned());
    let text = inbound.text.as_ref().map(|text| match private {
        true => text.expose().to_owned(),
        false => format!("({} characters)", text.expose().chars().count()),
    });
    [
        time(Some(inbound.at)).into(),
        inbound.extension.as_str().into(),
        inbound.kind.as_str().into(),
        number(&inbound.from).into(),
        number(&inbound.to).into(),
        text.unwrap_or_default().into(),
    ]
}

fn as_json(inbound: &Inbound, private: bool) -> serde_json::Value {
    json!({
        "at": time(Some(inbound.at)),
        "extension": inbound.extension.as_str(),
        "kind": inbound.kind.as_str(),
        "from": shown(inbound.from.as_ref(), private),
        "to": shown(inbound.to.as_ref(), private),
        "text": inbound.text.as_ref().filter(|_| private).map(|text| text.expose()),
    })
}

fn shown(number: Option<&PhoneNumber>, private: bool) -> Option<String> {
    number.map(|number| if private { number.expose().to_owned() } else { number.to_string() })
}

#[cfg(test)]
mod tests {
    use ringfleet_worker::InboundKind;

    use super::{super::operate::tests::settings, *};
    use crate::directory::tests::has_read;

    #[tokio::test]
    async fn an_extension_is_meant_by_number_id_or_phone_number_and_an_unknown_one_by_the_id_of_what_it_left() {
        let folder = tempfile::tempdir().unwrap();
        let accounts = r#"[{"extension_id": "400100001", "numbers": ["+15550100001"]}]"#;
        let settings = settings(folder.path(), accounts);
        let vault = credentials::open(&settings, Makes::Store).await.unwrap();
        let id = |text: &str| ExtensionId::try_new(text).unwrap();
        has_read(&vault, "400100002", "102").await;
        let left = |extension| Inbound {
            extension: id(extension),
            kind: InboundKind::MissedCall,
            at: 1,
            from: None,
            to: None,
            text: None,
        };
        let kept = [left("400100009")];
        for (typed, extension) in [
            ("400100001", "400100001"),
            ("+15550100001", "400100001"),
            ("102", "400100002"),
            ("400100002", "400100002"),
            ("400100009", "400100009"),
        ] {
            assert_eq!(meant(&settings, typed, &kept).await.unwrap(), id(extension), "{typed}");
        }
        for unknown in ["101", "400100008", "+15559999999", "a word"] {
            let command = InboundCommand::List {
                extension: Some(unknown.to_owned()),
                kind: None,
                since: None,
                limit: 1,
                how: crate::cli::ShowOptions { show_private: false, json: true },
            };
            let told = run(settings.clone(), command).await.unwrap_err().to_string();
            assert!(told.contains("`ringfleet extensions list`"), "{unknown}: {told}");
        }
    }
}
