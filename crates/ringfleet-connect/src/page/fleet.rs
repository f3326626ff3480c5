//! How the fleet stands, as a page.

use maud::{Markup, html};
use ringcentral::ExtensionId;
use ringfleet_explain::{Logins, Standing, ToldWhy, hint, sense, short};
use ringfleet_identity::{AppRefusal, ConnectionState, SessionState, directory::Book};
use ringfleet_store::{Gate, LaneView, MAX_BATCH, Millis, State, Stats, Why};

use super::{
    capital, date,
    operator::{heading, parts},
    prose,
};
use crate::operator::{
    EXTENSION, FLEET,
    fleet::{Fault, Fleet, Read, Seen},
    title,
};

/// Lanes, and refused logins, that are shown; the commands tell the rest.
const MOST_LANES: usize = 20;
const MOST_LOGINS: usize = 10;

/// `again_s`: after so many seconds it is loaded anew. `shards`: how many do not answer, and how many there are. `replaced`: what
/// journals tell of another store.
pub(crate) fn show(
    seen: &Seen<Fleet>,
    again_s: Option<u64>,
    shards: (usize, usize),
    replaced: Option<&str>,
    book: &Book,
) -> Markup {
    html! {
        div.wide {
            (parts(FLEET))
            h1 { "Fleet" }
            @if let Some(replaced) = replaced { p.warn role="alert" { (capital(replaced)) "." } }
            @if let Some(fault) = seen.fault { (faulty(fault, seen.reading.as_deref())) }
            (how_old(seen.reading.as_deref(), again_s))
            // Told above already.
            @if seen.fault != Some(Fault::InPart) { (silent(shards)) }
            @if let Some(reading) = &seen.reading { (found(&reading.what, book)) }
            p.small.end {
                "This page shows, and changes nothing. What changes something is done at the command line: "
                (prose("`ringfleet fleet stop` and `resume`, `ringfleet lane pause`, `resume` and `cancel`, `ringfleet held resend` and `close`."))
            }
        }
    }
}

fn faulty(fault: Fault, reading: Option<&Read<Fleet>>) -> Markup {
    html! {
        p.warn role="alert" {
            @match fault {
                Fault::Away => {
                    strong { "The store does not answer." }
                    " Nothing is lost: messages wait until it does. To do: look at " code { "/readyz" } ", and whether Redis runs or the disk is full."
                },
                Fault::InPart => {
                    strong { "A part of the store does not answer." }
                    " Lanes of its other shards go on, those of this part wait. To do: look at the servers of the Cluster."
                },
                Fault::Replaced => {
                    strong { "The store was flushed or exchanged." }
                    " What it held is gone, and with it the knowledge of what was sent. To do: stop the fleet, bring the data back or make sure that nothing is handed in again, then start it anew."
                },
            }
            " "
            @match reading {
                Some(reading) => { strong { "What stands below is old: it was read " (age(reading)) " ago." } },
                None => { "What it holds is not known here: it could not be read since this process began." },
            }
        }
    }
}

fn how_old(reading: Option<&Read<Fleet>>, again_s: Option<u64>) -> Markup {
    html! {
        p.small {
            @if let Some(reading) = reading {
                "Read " (age(reading)) " ago (" (date(reading.what.standing.stats.now)) "). "
            }
            @match again_s {
                Some(seconds) => { "Loaded anew every " (seconds) " s. " a href={ (FLEET) "?hold=true" } { "Hold it still" } },
                None => { "Held still. " a href=(FLEET) { "Let it go on" } },
            }
        }
    }
}

fn age(reading: &Read<Fleet>) -> String {
    match reading.at.elapsed().as_secs() {
        0 => "less than 1 s".to_owned(),
        seconds @ 1..600 => format!("{seconds} s"),
        seconds => short(Millis::try_from(seconds).unwrap_or(Millis::MAX).saturating_mul(1_000)),
    }
}

fn silent((silent, all): (usize, usize)) -> Markup {
    html! {
        @if silent > 0 && all > 1 {
            p.warn {
                strong { (silent) " of " (all) " shards of the store did not answer lately." }
                " Their lanes wait; the others go on. To do: look at the servers of the Cluster."
            }
        }
    }
}

fn found(fleet: &Fleet, book: &Book) -> Markup {
    let Standing { stats, lanes, stopped, .. } = &fleet.standing;
    html! {
        (gate_and_workers(fleet))
        (totals(stats))
        (what_waits(&fleet.standing))
        @if !lanes.is_empty() {
            section.part {
                h2 { "Lanes that wait" }
                (waiting(fleet, book))
            }
        }
        @if !stopped.lanes.is_empty() || stopped.more { (not_due(fleet, book)) }
        section.part {
            h2 { "Logins" }
            @match &fleet.logins {
                Some(logins) => { (of_logins(logins, stats.now, book)) },
                None => { p { "They can't be told: this process has no key that opens them (" code { "identity.key_file" } ")." } },
            }
        }
    }
}

fn gate_and_workers(fleet: &Fleet) -> Markup {
    let (gate, now) = (&fleet.standing.gate, fleet.standing.stats.now);
    let refused = fleet.logins.as_ref().is_some_and(|logins| !logins.app.is_empty());
    let closed = match gate {
        Gate::Open => None,
        Gate::Stopped { reason } => Some(Why::Stopped { reason: reason.clone() }),
        Gate::Until { until, reason } => Some(Why::Gate { until: *until, reason: reason.clone() }),
    };
    html! {
        @match closed {
            None if refused || fleet.waits() => { p.gate { span.badge.off { "Open" } " The fleet is not stopped." } },
            None => { p.gate { span.badge.good { "Open" } " Nothing keeps the whole fleet from sending." } },
            Some(why) => {
                (one(&why, "EXTENSION", now))
                @if matches!(why, Why::Stopped { .. }) {
                    p.small { "Who has stopped it, and when, the store does not keep: the reason alone may say so." }
                }
            },
        }
        @match fleet.workers {
            Some(0) => { (one(&Why::NoWorkers, "EXTENSION", now)) },
            Some(1) => { p { "1 worker is there." } },
            Some(workers) => { p { (workers) " workers are there." } },
            None => {},
        }
    }
}

/// One thing that stands in the way, how long it still does, and what to do.
fn one(why: &Why, extension: &str, now: Millis) -> Markup {
    let more = why.until().map(|until| format!(", {} more", short(until - now))).unwrap_or_default();
    let told = ToldWhy::of(why, extension, None);
    way(&format!("{}{more}", told.text), &told)
}

/// What stands in the way in these words, what they mean, and what to do.
pub(super) fn way(words: &str, told: &ToldWhy) -> Markup {
    let remedies: Vec<&str> = told.remedies().collect();
    let class = if remedies.is_empty() { "note" } else { "warn" };
    html! {
        p class=(class) {
            strong { (capital(words)) "." }
            @if let Some(meaning) = told.meaning() { " " (capital(meaning)) "." }
            @if !remedies.is_empty() { " To do: " (prose(&remedies.join("; "))) "." }
        }
    }
}

fn totals(stats: &Stats) -> Markup {
    let of = |states: &[State]| -> u64 { states.iter().map(|state| stats.count(*state)).sum() };
    let (held, dead) = (stats.count(State::Held), stats.count(State::Dead));
    let shown = State::ALL.into_iter().filter(|state| stats.count(*state) > 0);
    html! {
        ul.totals {
            li { strong { (of(&[State::Scheduled, State::Ready])) } " wait" }
            li { strong { (of(&[State::Claimed, State::Sending])) } " under way" }
            li.good { strong { (stats.sent()) } " sent" }
            li.bad[held > 0] { strong { (held) } " held" }
            li.bad[dead > 0] { strong { (dead) } " dead" }
        }
        @if stats.total() == 0 {
            p { "There are no messages." }
        }
        dl.counts {
            @for state in shown {
                div id={ "s-" (state.as_str()) } { dt { (state.as_str()) } dd { (stats.count(state)) } }
            }
        }
        @for state in State::ALL.into_iter().filter(|state| stats.count(*state) > 0) {
            @if let Some(hint) = hint(state) {
                p.warn.mild[state == State::Unknown] { strong { (stats.count(state)) " " (state.as_str()) ":" } " " (prose(hint)) "." }
            }
        }
    }
}

fn what_waits(standing: &Standing) -> Markup {
    let (stats, (used, places)) = (&standing.stats, standing.quota());
    let oldest = stats.oldest_due_age.map(|age| short(Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX)));
    html! {
        dl.counts {
            @if let Some(oldest) = oldest { div { dt { "oldest due message waits for" } dd { (oldest) } } }
            div { dt { "lanes that wait" } dd { (stats.lanes_waiting) } }
            div { dt { "of them may send now" } dd { (stats.lanes_eligible) } }
            @if places > 0 {
                div {
                    dt { "of their windows in use" }
                    dd { (used) " of " (places) " (" (used * 100 / places) " %)" }
                }
            }
        }
    }
}

/// Those that stand until somebody acts come first.
fn waiting(fleet: &Fleet, book: &Book) -> Markup {
    let Standing { stats, lanes, .. } = &fleet.standing;
    let stands = |view: &&LaneView| view.paused || view.parked.is_some();
    let (mut shown, others): (Vec<&LaneView>, Vec<&LaneView>) = lanes.iter().partition(stands);
    shown.extend(others);
    let more = stats.lanes_waiting.saturating_sub(shown.len().min(MOST_LANES) as u64);
    html! {
        ul.rows { @for view in shown.iter().take(MOST_LANES) { (lane(view, None, fleet, book)) } }
        @if more > 0 {
            p.small { "And " (more) " more: " code { "ringfleet status --lanes " (stats.lanes_waiting.min(500)) } }
        }
    }
}

fn not_due(fleet: &Fleet, book: &Book) -> Markup {
    let stopped = &fleet.standing.stopped;
    html! {
        section.part {
            h2 { "Lanes that stand before anything of theirs is due" }
            @if stopped.more {
                p.small {
                    "Only the " (MAX_BATCH) " scheduled messages that are next were looked at."
                    @if stopped.lanes.is_empty() { " None of them is of a lane that stands." }
                }
            }
            ul.rows { @for (view, due) in stopped.lanes.iter().take(MOST_LANES) { (lane(view, Some(*due), fleet, book)) } }
            @if stopped.lanes.len() > MOST_LANES {
                p.small { "And " (stopped.lanes.len() - MOST_LANES) " more: " code { "ringfleet status --lanes 500" } }
            }
        }
    }
}

fn lane(view: &LaneView, first_due: Option<Millis>, fleet: &Fleet, book: &Book) -> Markup {
    let now = fleet.standing.stats.now;
    let extension = view.lane.as_ref().map_or("EXTENSION", |lane| lane.extension());
    let why = view.why();
    let (class, word) = match &why {
        Some(Why::Parked { .. } | Why::Paused) => ("bad", "Stands still"),
        Some(_) => ("off", "Waits"),
        // What keeps the whole fleet is told once, above.
        None if fleet.waits() => ("off", "Waits"),
        None => ("good", "Goes on"),
    };
    html! {
        li.row {
            div.head {
                h3 { a href={ (EXTENSION) "?id=" (extension) } { (of_extension(extension, book)) } }
                span class={ "badge " (class) } { (word) }
            }
            p.small {
                @match first_due {
                    Some(due) => { "The first is due " (date(due)) "." },
                    None => {
                        (view.waiting) @if view.waiting == 1 { " waits, " } @else { " wait, " }
                        (view.in_flight) " under way"
                        @if let Some(plan) = view.plan { ", " (view.slots_in_use) " of " (plan.limit) " places of its window in use" }
                        @if let Some(due) = view.oldest_due { "; the oldest for " (short(now - due)) }
                        "."
                    },
                }
            }
            @if let Some(why) = &why { (one(why, extension, now)) }
        }
    }
}

/// As people name it, as far as the directory knows.
fn of_extension(extension: &str, book: &Book) -> Markup {
    match ExtensionId::try_new(extension) {
        Ok(id) => heading(&title(book, &id)),
        Err(_) => html! { (extension) },
    }
}

fn of_logins(logins: &Logins, now: Millis, book: &Book) -> Markup {
    let health = &logins.health;
    let (session, connection) = (|state| health.sessions(state), |state| health.connections(state));
    let refused = health.refused.iter().take(MOST_LOGINS);
    html! {
        @for refusal in &logins.app { (app(refusal, now)) }
        dl.counts {
            div { dt { "sessions good" } dd { (session(SessionState::Good)) } }
            div { dt { "ending soon" } dd { (session(SessionState::Ending)) } }
            div { dt { "not logged in" } dd { (session(SessionState::None)) } }
            div { dt { "of them with messages waiting" } dd { @if logins.at_least { "at least " } (logins.waiting) } }
            div { dt { "sessions refused" } dd { (session(SessionState::Refused)) } }
            @if !health.connections.is_empty() {
                div { dt { "connections good" } dd { (connection(ConnectionState::Good)) } }
                div { dt { "due to be refreshed" } dd { (connection(ConnectionState::Due)) } }
                div { dt { "connections ended" } dd { (connection(ConnectionState::Ended)) } }
                div { dt { "connections refused" } dd { (connection(ConnectionState::Refused)) } }
            }
        }
        p.small { (budget(logins, now)) }
        @for one in refused {
            p.warn {
                strong { (of_extension(one.extension.as_str(), book)) ": " (one.method.as_str()) " refused with " code { (one.code) } "." }
                (of_code(&one.code))
            }
        }
        @if health.refused.len() > MOST_LOGINS {
            p.small { "And " (health.refused.len() - MOST_LOGINS) " more: " code { "ringfleet credentials list" } }
        }
    }
}

fn app(refusal: &AppRefusal, now: Millis) -> Markup {
    html! {
        p.warn {
            strong { "RingCentral refuses the app since " (date(refusal.at)) ": " code { (refusal.code) } "." }
            (of_code(&refusal.code))
            " One login tries again in " (short(refusal.again_at - now)) "."
        }
    }
}

/// What a code means, and what to do about it.
fn of_code(code: &str) -> Markup {
    let sense = sense(code);
    html! {
        @if let Some(sense) = sense {
            " " (capital(sense.meaning)) "."
            @if let Some(remedy) = sense.remedy { " To do: " (prose(remedy)) "." }
        }
    }
}

fn budget(logins: &Logins, now: Millis) -> String {
    let budget = &logins.budget;
    let penalty = budget.penalty_until.map(|until| format!("; none for {}", short(until - now))).unwrap_or_default();
    match (budget.of_the_app, budget.limit) {
        (Some(true), Some(limit)) => {
            format!("All extensions share the app's budget of logins: {} of {limit} are used{penalty}.", budget.used)
        }
        (Some(true), None) => {
            format!("All extensions share the app's budget of logins: {} are used{penalty}.", budget.used)
        }
        (Some(false), _) => "Each extension has its own budget of logins.".to_owned(),
        (None, _) => "Whose the budget of logins is, no login has shown yet.".to_owned(),
    }
}
