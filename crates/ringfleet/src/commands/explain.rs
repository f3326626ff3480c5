//! `explain`: why a message or an extension isn't moving, and when it will.

use std::process::ExitCode;

use anyhow::Context;
use ringfleet_producer::{Told, ToldEta, ToldLane, ToldWhy};
use ringfleet_store::{Explained, Group, LaneId, MessageId, Stand};
use serde_json::json;

use super::{evidence::time, reason::sense};
use crate::{cli::ExplainOptions, config::Settings, output::say, store};

pub(crate) async fn run(settings: Settings, options: ExplainOptions) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    if options.what.starts_with("msg_") {
        let id: MessageId = options.what.parse()?;
        let explained =
            store.explain(&id).await?.with_context(|| format!("there is no message {id}; was it pruned?"))?;
        message(&explained, options.json)?;
    } else {
        let lane = LaneId::try_new(&settings.provider.app, &options.what, Group::Medium)?;
        extension(&ToldLane::of(&store.explain_lane(&lane).await?), options.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn message(explained: &Explained, as_json: bool) -> anyhow::Result<()> {
    let told = Told::of(explained);
    let (state, extension) = (explained.state.as_str(), explained.lane.lane.extension());
    if as_json {
        let whole = json!({
            "id": explained.id.to_string(), "extension": extension, "state": state, "why": told.why, "eta": told.eta,
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
    Ok(())
}

fn extension(told: &ToldLane, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        say!("{}", serde_json::to_string_pretty(told)?);
        return Ok(());
    }
    let since = told.oldest_due.as_ref().map(|at| format!(", the longest since {at}")).unwrap_or_default();
    say!("extension {}: {} wait{since}, {} under way", told.extension, told.ready, told.in_flight);
    let last = told.last.as_ref().filter(|_| told.ready > 1);
    tell(&told.why, [("first", told.next.as_ref()), ("last", last)]);
    Ok(())
}

/// What stands in the way, what its words mean, when it goes, and what a person can do.
fn tell<const N: usize>(whys: &[ToldWhy], etas: [(&str, Option<&ToldEta>); N]) {
    for why in whys {
        say!("  why    {}", why.sentence());
        if let Some(sense) = why.reason.as_deref().and_then(sense) {
            say!("         {}", sense.meaning);
        }
    }
    for (which, eta) in etas {
        if let Some(eta) = eta {
            say!("  {which:<6} {}", eta.text);
        }
    }
    for why in whys {
        let code = why.reason.as_deref().and_then(sense).and_then(|sense| sense.remedy);
        for remedy in code.into_iter().chain(why.remedy.as_deref()) {
            say!("  do     {remedy}");
        }
    }
}
