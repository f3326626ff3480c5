//! `inbound`: what came in at the fleet's extensions.

use std::process::ExitCode;

use ringcentral::PhoneNumber;
use ringfleet_store::Millis;
use ringfleet_worker::{Inbound, Inbox};
use serde_json::json;

use super::{credentials, evidence::time};
use crate::{
    cli::InboundCommand,
    config::Settings,
    output::{remark, say},
    table,
};

pub(crate) async fn run(settings: Settings, what: InboundCommand) -> anyhow::Result<ExitCode> {
    let InboundCommand::List { extension, kind, since, limit, how } = what;
    let vault = credentials::open(&settings).await?;
    let kept = Inbox::new(&vault).list().await?;
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
