//! Whether a panel asks for its metrics as their types want it.

use std::collections::BTreeSet;

use super::{
    Panel,
    promql::{self, Asked, Use},
};
use crate::metrics::Row;

/// Labels that Prometheus adds, and those of its own series of alerts.
const OUTSIDE: [&str; 5] = ["instance", "job", "alertname", "alertstate", "severity"];
const AGGREGATIONS: [&str; 5] = ["sum", "max", "min", "count", "avg"];

/// Adds the names of the metrics that it shows to `shown`.
pub(super) fn faults<'a>(panel: &Panel, rows: &'a [Row<'a>], shown: &mut BTreeSet<&'a str>) -> Vec<String> {
    let mut faults = Vec::new();
    for expression in &panel.expressions {
        let asked = promql::asked(expression);
        if asked.uses.is_empty() {
            faults.push(format!("{expression}: asks for no metric"));
        }
        let mut labels: BTreeSet<&str> = OUTSIDE.into();
        for used in &asked.uses {
            if ["up", "ALERTS"].contains(&used.name) {
                continue;
            }
            let Some((row, part)) = rows.iter().find_map(|row| Some((row, part(used.name, row)?))) else {
                faults.push(format!("there is no metric {}", used.name));
                continue;
            };
            shown.insert(row.name);
            labels.extend(&row.labels);
            if part == "_bucket" {
                labels.insert("le");
            }
            faults.extend(selected(used, row));
            let how = match row.kind {
                "gauge" => gauge(used, row),
                "counter" => counter(used),
                _ => histogram(used, part, &asked, panel),
            };
            faults.extend(how.map(|fault| format!("{}: {fault}", used.name)));
        }
        let unknown = asked.labels.iter().filter(|label| !labels.contains(*label));
        faults.extend(unknown.map(|label| format!("none of its metrics has the label {label}")));
    }
    faults
}

/// What of the metric it is: all, or for a histogram one of its three series.
fn part<'a>(name: &'a str, row: &Row) -> Option<&'a str> {
    let part = name.strip_prefix(row.name)?;
    let parts: &[&str] = if row.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    parts.contains(&part).then_some(part)
}

/// Its labels and their values stand in the table.
fn selected(used: &Use, row: &Row) -> Vec<String> {
    let is_word = |value: &str| {
        let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        row.meaning.split(|c| !part_of_word(c)).any(|word| word == value)
    };
    let mut faults = Vec::new();
    for (label, values) in &used.matchers {
        if OUTSIDE.contains(label) {
            continue;
        }
        if !row.labels.contains(label) {
            faults.push(format!("{} has no label {label}", used.name));
        }
        let unknown = values.split('|').filter(|value| !is_word(value));
        faults.extend(unknown.map(|value| format!("{}: the table tells of no {label} {value:?}", used.name)));
    }
    faults
}

/// Every process tells the fleet's alike: added up they would be a multiple.
fn gauge(used: &Use, row: &Row) -> Option<String> {
    let inner = used.within.last().copied().unwrap_or_default();
    if used.ranged != inner.ends_with("_over_time") {
        return Some("a gauge has no rate".to_owned());
    }
    let around = used.within.iter().rfind(|name| AGGREGATIONS.contains(name));
    (row.of_fleet && around != Some(&"max")).then(|| "it is the whole fleet's: take max".to_owned())
}

fn counter(used: &Use) -> Option<String> {
    let inner = used.within.last().copied().unwrap_or_default();
    let rated = used.ranged && ["rate", "increase"].contains(&inner);
    // The second one of `X unless X offset W` ends behind its window.
    if !rated && (used.ranged || !used.compared) {
        return Some("a counter is asked for by rate or increase".to_owned());
    }
    (!used.within.contains(&"sum")).then(|| "it is one process' counter: take sum".to_owned())
}

fn histogram(used: &Use, part: &str, asked: &Asked, panel: &Panel) -> Option<String> {
    if let Some(fault) = counter(used) {
        return Some(fault);
    }
    let in_quantile = used.within.contains(&"histogram_quantile");
    if part != "_bucket" {
        return in_quantile.then(|| "histogram_quantile wants the buckets".to_owned());
    }
    if !asked.labels.contains(&"le") {
        return Some("buckets are added up by le".to_owned());
    }
    (!in_quantile && panel.kind != "heatmap").then(|| "buckets are for histogram_quantile and heatmaps".to_owned())
}
