//! Which plots there are.

use std::path::Path;

use super::plot::{self, Curve};
use crate::{
    figure::{Book, Figure},
    growth,
    limiter::{self, BULLMQ, GCRA, WINDOWS},
    options::Bench,
    peers, queue,
    queue::OURS,
};

pub(super) struct Picture {
    pub(super) bench: Bench,
    pub(super) title: &'static str,
    pub(super) file: &'static str,
}

/// Draws what there are figures for.
pub(super) fn draw(book: &Book, folder: &Path) -> anyhow::Result<Vec<Picture>> {
    let mut drawn = Vec::new();
    let mut curve = |bench, title, file: &'static str, axes: (&str, &str), curves: Vec<Curve>| -> anyhow::Result<()> {
        let curves: Vec<_> = curves.into_iter().filter(|curve| curve.points.len() > 1).collect();
        if !curves.is_empty() {
            plot::curves(&folder.join(file), title, axes, &curves)?;
            drawn.push(Picture { bench, title, file });
        }
        Ok(())
    };
    let of = |bench, name: &str, label: &str| Curve::new(label, book.all(bench, name, OURS));
    let axes = ("messages queued", "messages/s");
    let title = "Claim, begin, settle beside a growing backlog";
    curve(Bench::Queue, title, "backlog.svg", axes, vec![of(Bench::Queue, queue::BY_BACKLOG, OURS)])?;
    let axes = ("lanes", "messages/s");
    let title = "Claim, begin, settle over a growing number of lanes";
    curve(Bench::Queue, title, "lanes.svg", axes, vec![of(Bench::Queue, queue::BY_LANES, OURS)])?;
    let shards = growth::SHARDS.map(|shards| {
        let simulated = book.all(Bench::Growth, growth::USE_SIMULATED, OURS);
        Curve::new(&format!("{shards} shards"), simulated.filter(|f| f.case.starts_with(&format!("{shards} shards"))))
    });
    let axes = ("extensions at full plan", "part of the plan");
    curve(Bench::Growth, "How much of the plan a fleet can use, simulated", "growth.svg", axes, shards.into())?;

    let mut bars = |bench, title, file: &'static str, bars: Vec<(String, f64)>| -> anyhow::Result<()> {
        if bars.len() > 1 {
            plot::bars(&folder.join(file), title, &bars)?;
            drawn.push(Picture { bench, title, file });
        }
        Ok(())
    };
    let process = book.figures.iter().filter(|f| f.bench == Bench::Peers.name() && f.name == peers::PROCESS);
    let cases = queue::beside_peers_cases();
    let drain = book.all(Bench::Queue, queue::DRAIN, OURS).filter(|f| cases.contains(&f.case));
    let rates = drain.chain(process).map(|f| (label(f), f.median)).collect();
    bars(Bench::Peers, "No-op messages taken through, per second", "peers.svg", rates)?;
    let quota = [OURS, GCRA, WINDOWS, BULLMQ].into_iter();
    let quota = quota.flat_map(|peer| book.all(Bench::Limiter, limiter::QUOTA, peer));
    let quota = quota.map(|f| (label(f), f.median)).collect();
    bars(Bench::Limiter, "Quota used under backlog (1 is the whole plan)", "limiter.svg", quota)?;
    Ok(drawn)
}

fn label(figure: &Figure) -> String {
    if figure.case.is_empty() { figure.peer.clone() } else { format!("{}, {}", figure.peer, figure.case) }
}
