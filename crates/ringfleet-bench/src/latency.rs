//! How long a message waits where nothing but the program itself can hold it up: from `enqueue` to the POST's arrival on an
//! idle fleet, after a time that 10,000 messages share, and beside lanes that have 100,000 of them.
//!
//! A POST begins when the simulator has read the head of its request. Its clock is set beside this process's: the error is half
//! a round trip on the loopback.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use ringfleet_store::MAX_BATCH;

use crate::{
    figure::{Case, shown},
    fleet::{Fleet, recipient},
    options::Bench,
    queue::OURS,
    sends::SLOW,
    simulator::Provider,
    sitting::Sitting,
};

pub(crate) const IDLE: &str = "enqueue to POST, idle fleet";
/// The last of them.
pub(crate) const ALL: &str = "all";
pub(crate) const DUE: &str = "due to POST, all due at one instant";
pub(crate) const QUIET: &str = "enqueue to POST, quiet lane beside a full one";
pub(crate) const QUIET_BESIDE_MANY: &str = "enqueue to POST, quiet lane, all hands taken by others";
pub(crate) const P99: &str = "99 of 100";

const MINUTE: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn run(sitting: &Sitting) -> anyhow::Result<()> {
    sitting.attempt("an idle fleet", idle(sitting)).await;
    sitting.attempt("10,000 messages due at one instant", due(sitting)).await;
    sitting.attempt("a quiet lane beside a full one", quiet(sitting, Quiet::beside_one())).await;
    sitting.attempt("a quiet lane beside many full ones", quiet(sitting, Quiet::beside_many())).await;
    Ok(())
}

async fn idle(sitting: &Sitting) -> anyhow::Result<()> {
    let mut fleet = Fleet::start(sitting, Provider::at_once(20, MINUTE)).await?;
    fleet.start_workers(sitting, 2)?;
    let logged_in = fleet.backlog(0, 1).await?;
    fleet.until_sent(logged_in, DEADLINE).await?;
    let count = u64::from(sitting.size.idle_texts);
    let handed = one_by_one(&fleet, logged_in, count, |n| (n % 20) as usize, Duration::from_millis(20)).await?;
    fleet.until_sent(logged_in + count, DEADLINE).await?;
    let waits = waits(&fleet, &handed).await?;
    let case = sitting.case(Bench::Latency, OURS).with(format!("{count} texts, one each 20 ms, 2 worker processes"));
    note(&case, IDLE, waits);
    Ok(())
}

async fn due(sitting: &Sitting) -> anyhow::Result<()> {
    const LANES: u64 = 1_000;
    const EACH: u64 = 10;
    let mut fleet = Fleet::start(sitting, Provider::at_once(LANES as u32, MINUTE)).await?;
    fleet.start_workers(sitting, 2)?;
    let logged_in = fleet.backlog(0, 1).await?;
    fleet.until_sent(logged_in, DEADLINE).await?;
    let due = fleet.store.now().await? + 5_000;
    let numbers = logged_in..logged_in + LANES * EACH;
    let texts: Vec<_> =
        numbers.clone().map(|n| fleet.text((n % LANES) as usize, n, Some(due))).collect::<Result<_, _>>()?;
    for batch in texts.chunks(MAX_BATCH) {
        fleet.enqueue(batch).await?;
    }
    ensure!(fleet.store.now().await? < due, "handing the messages in took longer than they had time");
    fleet.until_sent(logged_in + LANES * EACH, DEADLINE).await?;
    let handed = numbers.map(|n| (recipient(n), due as f64)).collect();
    let waits = waits(&fleet, &handed).await?;
    let case = sitting.case(Bench::Latency, OURS);
    let case =
        case.with("10,000 texts over 1,000 extensions, 2 worker processes; the plan permits all of them at once");
    note(&case, DUE, waits);
    Ok(())
}

/// A text each 70 ms of a lane of its own, beside lanes with a long backlog that send 40 in 2 s.
struct Quiet {
    name: &'static str,
    full_lanes: u64,
    answers_in: Duration,
}

impl Quiet {
    /// Lanes enough to take all hands of two workers at the beginning of each of their windows: eight calls of a lane under way.
    const FULL_LANES: u64 = 16;

    fn beside_one() -> Self {
        Self { name: QUIET, full_lanes: 1, answers_in: Duration::ZERO }
    }

    fn beside_many() -> Self {
        Self { name: QUIET_BESIDE_MANY, full_lanes: Self::FULL_LANES, answers_in: SLOW }
    }
}

async fn quiet(sitting: &Sitting, how: Quiet) -> anyhow::Result<()> {
    let window = Duration::from_secs(2);
    let lanes = how.full_lanes;
    let provider = Provider { answers_in: how.answers_in, ..Provider::at_once(u32::try_from(lanes + 1)?, window) };
    let mut fleet = Fleet::start(sitting, provider).await?;
    fleet.start_workers(sitting, 2)?;
    let logged_in = fleet.backlog(0, 1).await?;
    fleet.until_sent(logged_in, DEADLINE).await?;
    let noisy = sitting.size.noisy;
    let first = logged_in + noisy;
    for at in (logged_in..first).step_by(MAX_BATCH) {
        let numbers = at..(at + MAX_BATCH as u64).min(first);
        let texts: Vec<_> = numbers.map(|n| fleet.text((n % lanes) as usize, n, None)).collect::<Result<_, _>>()?;
        fleet.enqueue(&texts).await?;
    }
    let count = u64::from(sitting.size.idle_texts);
    let handed = one_by_one(&fleet, first, count, |_| lanes as usize, Duration::from_millis(70)).await?;
    tokio::time::sleep(2 * window).await;
    let waits = waits(&fleet, &handed).await?;
    let case = sitting.case(Bench::Latency, OURS).with(format!(
        "{count} texts, one each 70 ms, beside {} queued in {lanes} lanes, each of which sends 40 in 2 s; answers take {} ms; \
         2 worker processes",
        shown(noisy as f64),
        how.answers_in.as_millis()
    ));
    note(&case, how.name, waits);
    Ok(())
}

/// Recipient -> when its text was handed in, or due, in ms since 1970.
type Handed = HashMap<String, f64>;

/// Hands in `count` texts from number `first` on, with a pause before each.
async fn one_by_one(
    fleet: &Fleet,
    first: u64,
    count: u64,
    extension: impl Fn(u64) -> usize,
    pause: Duration,
) -> anyhow::Result<Handed> {
    let mut handed = Handed::new();
    for number in first..first + count {
        tokio::time::sleep(pause).await;
        let text = fleet.text(extension(number), number, None)?;
        handed.insert(recipient(number), epoch_ms()?);
        fleet.enqueue(&[text]).await?;
    }
    Ok(handed)
}

/// How long each of the texts waited until its request arrived, in ms, in ascending order.
async fn waits(fleet: &Fleet, handed: &Handed) -> anyhow::Result<Vec<f64>> {
    let began = fleet.simulator.began_ms().await?;
    let arrivals = fleet.simulator.arrivals().await?;
    let ours = arrivals.iter().filter_map(|text| Some((text, handed.get(&text.to)?)));
    let mut waits: Vec<f64> = ours.map(|(text, since)| began + text.at_ns as f64 / 1e6 - since).collect();
    ensure!(waits.len() == handed.len(), "{} of {} texts arrived", waits.len(), handed.len());
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

fn note(case: &Case<'_>, name: &'static str, waits: Vec<f64>) {
    for (part, words) in [(0.5, "half"), (0.99, P99), (1.0, ALL)] {
        let at = ((waits.len() as f64 * part).ceil() as usize).clamp(1, waits.len().max(1));
        if let Some(wait) = waits.get(at - 1) {
            case.clone().when(words).note(name, "ms", *wait);
        }
    }
}

pub(crate) fn epoch_ms() -> anyhow::Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs_f64() * 1e3)
}
