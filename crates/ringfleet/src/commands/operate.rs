//! An operator's hand: lanes, the whole fleet, single messages.

use std::process::ExitCode;

use anyhow::Context;
use ringfleet_store::{Cancelled, Gate, Group, LaneId, MessageId, MessageView, State};

use super::evidence::{self, time};
use crate::{
    cli::{FleetCommand, LaneCommand, MessageCommand},
    config::Settings,
    exit,
    output::say,
    store,
};

pub(crate) async fn lane(settings: Settings, what: LaneCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    let lane = |extension: &str| LaneId::try_new(&settings.provider.app, extension, Group::Medium);
    match what {
        LaneCommand::Pause { extension } => {
            store.set_paused(&lane(&extension)?, true).await?;
            say!("extension {extension} is paused; what is under way is finished, nothing else begins");
        }
        LaneCommand::Resume { extension } => {
            let lane = lane(&extension)?;
            store.set_paused(&lane, false).await?;
            store.set_parked(&lane, None).await?;
            say!("extension {extension} goes on");
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn fleet(settings: Settings, what: FleetCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    match what {
        FleetCommand::Stop { reason } => {
            store.set_gate(&Gate::Stopped { reason }).await?;
            say!("the fleet is stopped: nothing is claimed or begun; `ringfleet fleet resume` lets it go on");
        }
        FleetCommand::Resume => {
            store.set_gate(&Gate::Open).await?;
            say!("the fleet goes on");
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn message(settings: Settings, what: MessageCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    match what {
        MessageCommand::Show { id } => {
            let id: MessageId = id.parse()?;
            let view = store.get(&id).await?.with_context(|| format!("there is no message {id}; was it pruned?"))?;
            for line in evidence::lines(&view, false) {
                say!("{line}");
            }
        }
        MessageCommand::Cancel { id } => {
            let id: MessageId = id.parse()?;
            match store.cancel(&id).await? {
                Cancelled::Done => say!("{id} is cancelled"),
                Cancelled::TooLate(state) => {
                    say!("too late: {id} is {}", state.as_str());
                    return Ok(ExitCode::from(exit::FAILED));
                }
                Cancelled::Missing => anyhow::bail!("there is no message {id}; was it pruned?"),
            }
        }
        MessageCommand::Dead { limit } => list(&store.list(State::Dead, limit).await?),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(views: &[MessageView]) {
    if views.is_empty() {
        say!("no message is dead");
    }
    for view in views {
        say!("{}  {}  {}  {}", view.id, view.lane.extension(), time(view.finished_at), view.reason);
    }
}
