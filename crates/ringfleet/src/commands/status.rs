//! `status`: what waits, what was sent, which lanes stand still and why, and how the logins stand.

mod logins;
mod stopped;

use std::process::ExitCode;

use ringfleet_store::{Gate, LaneView, MAX_BATCH, SharedStore, State, Stats};
use ringfleet_worker::JournalError;
use serde_json::json;

use self::{logins::Logins, stopped::Stopped};
use crate::{
    cli::StatusOptions,
    commands::evidence::time,
    config::Settings,
    output::{self, say},
    store,
};

/// What one look has found.
struct Look {
    stats: Stats,
    lanes: Vec<LaneView>,
    gate: Gate,
    replaced: Option<JournalError>,
    logins: Option<Logins>,
    stopped: Stopped,
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
                say!("at      {}", time(Some(look.stats.now)));
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
        let stats = store.stats().await?;
        // All that can be had, as logins are counted over more lanes than are listed.
        let mut lanes = store.lanes(MAX_BATCH as u32).await?;
        let gate = store.gate().await?;
        let replaced = store::refuse_replaced(settings, store).await.err();
        let logins = logins::read(settings, store, &lanes, stats.lanes_waiting).await?;
        let stopped = match stats.count(State::Scheduled) {
            0 => Stopped::default(),
            _ => stopped::read(&**store, &lanes).await?,
        };
        lanes.truncate(most);
        Ok(Self { stats, lanes, gate, replaced, logins, stopped })
    }

    fn print_json(&self) -> anyhow::Result<()> {
        let Self { stats, lanes, gate, replaced, logins, stopped } = self;
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
            "lanes_stopped_before_due": stopped.as_json(stats.now),
            "logins": logins.as_ref().map(Logins::as_json),
        });
        say!("{}", serde_json::to_string_pretty(&whole)?);
        Ok(())
    }

    fn print_table(&self, settings: &Settings, most: usize) {
        let Self { stats, lanes, gate, replaced, logins, stopped } = self;
        say!("store   {}", store::describe(&settings.store));
        if let Some(replaced) = replaced {
            say!("WARNING {replaced}");
        }
        say!("fleet   {}", gate_text(gate, stats.now));
        if let Some(logins) = logins {
            logins.say(stats.now);
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
        stopped.say(most, stats.now);
    }
}

/// A state, and what is or must be done about messages in it.
fn with_hint(state: State) -> String {
    match state {
        State::Unknown => "unknown    being looked up in the provider's message store".to_owned(),
        State::Held => "held       a person must decide: `ringfleet held list`".to_owned(),
        State::Dead => "dead       given up: `ringfleet message dead`".to_owned(),
        state => state.as_str().to_owned(),
    }
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

pub(crate) fn short(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..10_000 => format!("{:.1} s", ms as f64 / 1e3),
        ms @ 10_000..600_000 => format!("{} s", ms / 1_000),
        ms @ 600_000..36_000_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}
