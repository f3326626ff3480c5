//! `status`: what waits, what was sent, which lanes stand still and why, and how the logins stand.

mod logins;
mod stopped;

use std::process::ExitCode;

use ringfleet_explain::{Logins, Standing, hint, short};
use ringfleet_store::{Gate, LaneView, SharedStore, State};
use ringfleet_worker::JournalError;
use serde_json::json;

use crate::{
    cli::StatusOptions,
    commands::evidence::time,
    config::Settings,
    output::{self, say},
    store,
};

/// What one look has found.
struct Look {
    standing: Standing,
    replaced: Option<JournalError>,
    logins: Option<Logins>,
}

pub(crate) async fn run(settings: Settings, options: StatusOptions) -> anyhow::Result<ExitCode> {
    let store = store::open_existing(&settings.store, settings.rules).await?;
    let most = options.lanes.max(1) as usize;
    let Some(every) = options.watch else {
        let look = Look::take(&settings, &store, most).await?;
        if options.json {
            look.print_json()?
        } else {
            look.print_table(&settings, most)
        }
        return Ok(ExitCode::SUCCESS);
    };
    while !output::is_over() {
        let look = Look::take(&settings, &store, most).await;
        output::begin_page();
        match look {
            Ok(look) => {
                say!("at      {}", time(Some(look.standing.stats.now)));
                look.print_table(&settings, most);
            }
            // Who watches wants to see when it comes back.
            Err(error) => {
                say!("store   {}", store::describe(&settings.store));
                say!("WARNING {error:#}; looking again");
            }
        }
        tokio::time::sleep(every).await;
    }
    Ok(ExitCode::SUCCESS)
}

impl Look {
    async fn take(settings: &Settings, store: &SharedStore, most: usize) -> anyhow::Result<Self> {
        let mut standing = Standing::read(&**store).await?;
        let replaced = store::refuse_replaced(settings, store).await.err();
        let logins = logins::read(settings, store, &standing).await?;
        standing.lanes.truncate(most);
        Ok(Self { standing, replaced, logins })
    }

    fn print_json(&self) -> anyhow::Result<()> {
        let Self { standing, replaced, logins } = self;
        let Standing { stats, lanes, gate, stopped } = standing;
        let states: serde_json::Map<_, _> =
            State::ALL.iter().map(|state| (state.as_str().to_owned(), json!(stats.count(*state)))).collect();
        let rows: Vec<_> = lanes
            .iter()
            .map(|view| {
                json!({
                    "lane": view.lane.as_ref().map(|lane| lane.as_str()),
                    "waiting": view.waiting,
                    "in_flight": view.in_flight,
                    "slots_in_use": view.slots_in_use,
                    "limit": view.plan.map(|plan| plan.limit),
                    "window_ms": view.plan.map(|plan| plan.window_ms),
                    "stands_because": why(view, stats.now),
                    "oldest_due_age_ms": view.oldest_due.map(|due| (stats.now - due).max(0)),
                })
            })
            .collect();
        let whole = json!({
            "messages": states,
            "total": stats.total(),
            "oldest_due_age_s": stats.oldest_due_age.map(|age| age.as_secs_f64()),
            "lanes_eligible": stats.lanes_eligible,
            "lanes_waiting": stats.lanes_waiting,
            "fleet": gate_text(gate, stats.now),
            "store_replaced": replaced.as_ref().map(ToString::to_string),
            "lanes": rows,
            "lanes_stopped_before_due": stopped::as_json(stopped, stats.now),
            // Of the messages that are due first alone.
            "lanes_stopped_in_part": stopped.more,
            "logins": logins.as_ref().map(logins::as_json),
        });
        say!("{}", serde_json::to_string_pretty(&whole)?);
        Ok(())
    }

    fn print_table(&self, settings: &Settings, most: usize) {
        let Self { standing, replaced, logins } = self;
        let Standing { stats, lanes, gate, stopped } = standing;
        say!("store   {}", store::describe(&settings.store));
        if let Some(replaced) = replaced {
            say!("WARNING {replaced}");
        }
        say!("fleet   {}", gate_text(gate, stats.now));
        if let Some(logins) = logins {
            logins::say(logins, stats.now);
        }
        for state in State::ALL {
            let n = stats.count(state);
            if n > 0 {
                say!("{n:>9}  {}", with_hint(state));
            }
        }
        if stats.total() == 0 {
            // Not where it would be refused.
            let hint = if replaced.is_none() { "; `ringfleet import FILE.csv` brings some in" } else { "" };
            say!("no messages{hint}");
        }
        if let Some(age) = stats.oldest_due_age {
            say!("oldest due message waits for {}", short(age.as_millis() as i64));
        }
        if !lanes.is_empty() {
            say!("\n{} lanes wait, {} of them may send now", stats.lanes_waiting, stats.lanes_eligible);
            say!("{:<34} {:>8} {:>9} {:>9}  stands because", "lane", "waiting", "in flight", "window");
            for view in lanes {
                let name = view.lane.as_ref().map(ToString::to_string).unwrap_or_default();
                let window = view.plan.map(|plan| format!("{}/{}", view.slots_in_use, plan.limit)).unwrap_or_default();
                say!("{name:<34} {:>8} {:>9} {window:>9}  {}", view.waiting, view.in_flight, why(view, stats.now));
            }
        }
        stopped::say(stopped, most, stats.now);
    }
}

/// A state, and what is or must be done about messages in it.
fn with_hint(state: State) -> String {
    hint(state).map_or_else(|| state.as_str().to_owned(), |hint| format!("{:<11}{hint}", state.as_str()))
}

/// What keeps a lane, in the words of `explain`, which tells more of a single one.
fn why(view: &LaneView, now: i64) -> String {
    let Some(why) = view.why() else { return "-".to_owned() };
    let more = why.until().map(|until| format!(", {} more", short(until - now))).unwrap_or_default();
    let extension = view.lane.as_ref().map_or("EXTENSION", |lane| lane.extension());
    let remedy = why.remedy(extension, "ID").map(|remedy| format!("; {remedy}")).unwrap_or_default();
    format!("{why}{more}{remedy}")
}

fn gate_text(gate: &Gate, now: i64) -> String {
    match gate {
        Gate::Open => "open".to_owned(),
        Gate::Stopped { reason } => format!("STOPPED: {reason}; `ringfleet fleet resume` lets it go on"),
        Gate::Until { until, reason } => format!("waits {} ({reason})", short(until - now)),
    }
}
