//! An operator's hand: lanes, the whole fleet, single messages.

use std::process::ExitCode;

use anyhow::Context;
use ringfleet_store::{Cancelled, Gate, Group, LaneId, MessageId, MessageView, State};

use crate::{
    cli::{FleetCommand, LaneCommand, MessageCommand},
    config::Settings,
    exit, store,
};

#[allow(clippy::print_stdout, reason = "the result of the command")]
pub(crate) async fn lane(settings: Settings, what: LaneCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    let lane = |extension: &str| LaneId::try_new(&settings.provider.app, extension, Group::Medium);
    match what {
        LaneCommand::Pause { extension } => {
            store.set_paused(&lane(&extension)?, true).await?;
            println!("extension {extension} is paused; what is under way is finished, nothing else begins");
        }
        LaneCommand::Resume { extension } => {
            let lane = lane(&extension)?;
            store.set_paused(&lane, false).await?;
            store.set_parked(&lane, None).await?;
            println!("extension {extension} goes on");
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the result of the command")]
pub(crate) async fn fleet(settings: Settings, what: FleetCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    match what {
        FleetCommand::Stop { reason } => {
            store.set_gate(&Gate::Stopped { reason }).await?;
            println!("the fleet is stopped: nothing is claimed or begun; `ringfleet fleet resume` lets it go on");
        }
        FleetCommand::Resume => {
            store.set_gate(&Gate::Open).await?;
            println!("the fleet goes on");
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the result of the command")]
pub(crate) async fn message(settings: Settings, what: MessageCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    match what {
        MessageCommand::Show { id } => {
            let id: MessageId = id.parse()?;
            let view = store.get(&id).await?.with_context(|| format!("there is no message {id}; was it pruned?"))?;
            for line in lines(&view) {
                println!("{line}");
            }
        }
        MessageCommand::Cancel { id } => {
            let id: MessageId = id.parse()?;
            match store.cancel(&id).await? {
                Cancelled::Done => println!("{id} is cancelled"),
                Cancelled::TooLate(state) => {
                    println!("too late: {id} is {}", state.as_str());
                    return Ok(ExitCode::from(exit::FAILED));
                }
                Cancelled::Missing => anyhow::bail!("there is no message {id}; was it pruned?"),
            }
        }
        MessageCommand::Held { limit } => list(&store.list(State::Held, limit).await?, "held"),
        MessageCommand::Dead { limit } => list(&store.list(State::Dead, limit).await?, "dead"),
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout, reason = "the result of the command")]
fn list(views: &[MessageView], what: &str) {
    if views.is_empty() {
        println!("no message is {what}");
    }
    for view in views {
        println!("{}  {}  {}  {}", view.id, view.lane.extension(), time(view.finished_at), view.reason);
    }
}

fn lines(view: &MessageView) -> Vec<String> {
    let mut lines = vec![
        format!("id          {}", view.id),
        format!("state       {}", view.state.as_str()),
        format!("extension   {}", view.lane.extension()),
        format!("from        {}", shortened(view.from.expose())),
        format!("to          {}", shortened(view.to.expose())),
        format!("priority    {}", view.priority.as_str()),
        format!("attempts    {} failed, {} lost with a worker", view.attempt, view.recoveries),
        format!("created     {}", time(Some(view.created_at))),
    ];
    let times = [("send at", view.send_at), ("send by", view.send_by), ("finished", view.finished_at)];
    lines.extend(times.iter().filter(|(_, at)| at.is_some()).map(|(what, at)| format!("{what:<11} {}", time(*at))));
    if !view.reason.is_empty() {
        lines.push(format!("reason      {}", view.reason));
        let told = ringcentral::Label::try_new(&view.reason).and_then(|code| ringcentral::explain(&code));
        if let Some(told) = told {
            lines.push(format!("            {}. {}", told.meaning, told.remedy));
        }
    }
    if let Some(id) = &view.provider_id {
        lines.push(format!("provider id {id}"));
    }
    lines
}

fn shortened(number: &str) -> String {
    ringcentral::PhoneNumber::try_new(number).map_or_else(|_| "[unreadable]".to_owned(), |number| number.to_string())
}

fn time(at: Option<i64>) -> String {
    at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).map_or_else(|| "-".to_owned(), |at| at.to_string())
}
