//! An operator's hand: lanes, the whole fleet, single messages.

use std::process::ExitCode;

use anyhow::Context;
use ringcentral::ExtensionId;
use ringfleet_store::{
    Cancelled, Gate, Group, LaneId, LaneView, MessageId, MessageView, SharedStore, State, Store, StoreError,
    WaitingCursor,
};
use tokio_util::sync::CancellationToken;

use super::{
    evidence::{self, reason_of, time},
    extensions::Known,
    held::more,
    waiting,
};
use crate::{
    accounts::Accounts,
    cli::{FleetCommand, LaneCommand, MessageCommand},
    config::Settings,
    exit,
    output::say,
    store,
};

pub(crate) async fn lane(settings: Settings, what: LaneCommand) -> anyhow::Result<ExitCode> {
    let store = store::open(&settings.store, settings.rules).await?;
    let (LaneCommand::Pause { extension: typed }
    | LaneCommand::Resume { extension: typed }
    | LaneCommand::Cancel { extension: typed, .. }) = &what;
    let mut code = ExitCode::SUCCESS;
    for lane in lanes(&settings, &store, typed).await? {
        let extension = lane.extension();
        match what {
            LaneCommand::Pause { .. } => {
                store.set_paused(&lane, true).await?;
                say!("extension {extension} is paused; what is under way is finished, nothing else begins");
            }
            LaneCommand::Resume { .. } => {
                store.set_paused(&lane, false).await?;
                store.set_parked(&lane, None).await?;
                say!("extension {extension} goes on");
            }
            LaneCommand::Cancel { due_before, yes, .. } => {
                code = waiting::cancel(&store, &lane, due_before, yes).await?;
            }
        }
    }
    Ok(code)
}

/// The lanes that an operator means. One with something in it is meant by its extension's id even where nobody is known; any
/// other word would make a lane of its own, and the one that was meant would go on.
pub(super) async fn lanes(settings: &Settings, store: &SharedStore, typed: &str) -> anyhow::Result<Vec<LaneId>> {
    let lane = |extension: &str| LaneId::try_new(&settings.provider.app, extension, Group::Medium);
    let own = lane(typed).ok();
    let mut is_there = match &own {
        Some(own) => is_used(&store.lane(own).await?),
        None => false,
    };
    let meant = match known(settings, typed).await {
        Ok(meant) => meant,
        Err(error) => {
            if let Some(own) = own.as_ref().filter(|_| !is_there) {
                is_there = has_waiting(store, own).await?;
            }
            if !is_there {
                return Err(error.context("no lane was touched"));
            }
            Vec::new()
        }
    };
    let meant = only(meant, typed).context("no lane was touched")?;
    let there = own.filter(|_| is_there && meant.as_ref().is_none_or(|id| id.as_str() != typed));
    let meant = meant.map(|id| lane(id.as_str())).transpose()?;
    Ok(meant.into_iter().chain(there).collect())
}

/// The one among those that a word means; the one whose id it is comes before others.
pub(super) fn only(mut meant: Vec<ExtensionId>, typed: &str) -> anyhow::Result<Option<ExtensionId>> {
    if let Some(at) = meant.iter().position(|id| id.as_str() == typed) {
        return Ok(Some(meant.swap_remove(at)));
    }
    let ids: Vec<&str> = meant.iter().map(ExtensionId::as_str).collect();
    let several = "several extensions are known by what was typed; give the id of one";
    anyhow::ensure!(ids.len() <= 1, "{several}: {}", ids.join(", "));
    Ok(meant.pop())
}

/// A lane that nobody has used looks like this too: the store makes it when it is asked for.
fn is_used(view: &LaneView) -> bool {
    let stands = view.paused || view.parked.is_some() || view.penalty_until.is_some();
    stands || view.waiting > 0 || view.in_flight > 0 || view.slots_in_use > 0
}

/// What is scheduled counts too, which a look at the lane does not show; it is looked for among that of all lanes.
async fn has_waiting(store: &SharedStore, lane: &LaneId) -> Result<bool, StoreError> {
    let mut next = Some(WaitingCursor::default());
    while let Some(from) = next {
        let page = store.waiting(lane, from).await?;
        if !page.messages.is_empty() {
            return Ok(true);
        }
        next = page.next;
    }
    Ok(false)
}

/// The extensions that the accounts file, the roster or the directory knows by a word.
pub(super) async fn known(settings: &Settings, typed: &str) -> anyhow::Result<Vec<ExtensionId>> {
    let accounts = Accounts::load(settings)?;
    // Needs no key.
    if let Some(account) = accounts.0.iter().find(|account| account.extension.as_str() == typed) {
        return Ok(vec![account.extension.clone()]);
    }
    let stop = CancellationToken::new();
    let _followed_until_the_end = stop.clone().drop_guard();
    Known::open(settings, &accounts, stop).await?.meant(typed)
}

pub(crate) async fn fleet(settings: Settings, what: FleetCommand) -> anyhow::Result<ExitCode> {
    match what {
        FleetCommand::Stop { reason } => {
            let store = store::open_to_stop(&settings.store, settings.rules).await?;
            let stopped = store.set_gate(&Gate::Stopped { reason }).await;
            stopped.context("the fleet may go on, in part or as a whole; stop it again")?;
            say!("the fleet is stopped: nothing is claimed or begun; `ringfleet fleet resume` lets it go on");
        }
        FleetCommand::Resume => {
            let store = store::open(&settings.store, settings.rules).await?;
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
        MessageCommand::Waiting { extension, limit, json } => {
            for lane in lanes(&settings, &store, &extension).await? {
                waiting::list(&store, &lane, limit as usize, json).await?;
            }
        }
        MessageCommand::Cancel { ids } => return cancel(&*store, &ids).await,
        MessageCommand::Dead { limit } => {
            let dead = store.list(State::Dead, limit).await?;
            list(&dead);
            if let Some(more) = more(dead.len(), store.stats().await?.count(State::Dead)) {
                say!("{more}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One answer a message; the code says whether all, some or none are cancelled. One that was cancelled before is.
async fn cancel(store: &dyn Store, ids: &[MessageId]) -> anyhow::Result<ExitCode> {
    let (mut done, mut left) = (0, 0);
    for id in ids {
        match store.cancel(id).await? {
            Cancelled::Done | Cancelled::TooLate(State::Cancelled) => {
                done += 1;
                say!("{id} is cancelled");
            }
            Cancelled::TooLate(state) => {
                left += 1;
                say!("too late: {id} is {}", state.as_str());
            }
            Cancelled::Missing => {
                left += 1;
                say!("there is no message {id}; was it pruned?");
            }
        }
    }
    Ok(match (done, left) {
        (_, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(exit::FAILED),
        _ => ExitCode::from(exit::PARTLY),
    })
}

fn list(views: &[MessageView]) {
    if views.is_empty() {
        say!("no message is dead");
    }
    for view in views {
        say!("{}  {}  {}  {}", view.id, view.lane.extension(), time(view.finished_at), reason_of(view));
    }
}
