//! The board for Grafana, held together with the tables of docs/metrics.md: what it asks for exists, is asked for in the way
//! that fits its type, and nothing that is measured is left out.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    alerts, autoscale, child, files,
    metrics::{self, DOCUMENT},
};

mod live;
mod panel;
mod promql;
mod queries;

use panel::Panel;

pub(crate) const BOARD: &str = "deploy/grafana/ringfleet.json";
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

/// Everything that can be said without a Prometheus that scrapes a fleet.
pub(crate) fn check(root: &Path, dir: &Path) -> Result<()> {
    let (board, document) = (files::read(&root.join(BOARD))?, files::read(&root.join(DOCUMENT))?);
    let panels = panel::read(&board).context(BOARD)?;
    let faults = faults(&panels, &document)?;
    ensure!(faults.is_empty(), "{BOARD} is at fault:\n  {}", faults.join("\n  "));
    std::fs::create_dir_all(dir)?;
    let rules = dir.join("board.yml");
    std::fs::write(&rules, recording_rules(&panels)?)?;
    child::run(child::command("promtool").args(["check", "rules"]).arg(&rules))
}

pub(crate) use live::check as check_live;

fn faults(panels: &[Panel], document: &str) -> Result<Vec<String>> {
    let rows = metrics::rows(document);
    let alerts = alerts::conditions(document)?;
    let mut faults = layout(panels);
    let mut shown = BTreeSet::new();
    for panel in panels {
        let mut found = queries::faults(panel, &rows, &mut shown);
        found.extend(signposts(panel, &alerts));
        faults.extend(found.into_iter().map(|fault| format!("panel {:?}: {fault}", panel.title)));
    }
    let missing = rows.iter().filter(|row| !shown.contains(row.name));
    faults.extend(missing.map(|row| format!("no panel shows {}", row.name)));
    let named: BTreeSet<_> = panels.iter().flat_map(Panel::alerts).collect();
    let missing = alerts.iter().filter(|(title, _)| !named.contains(title.as_str()));
    faults.extend(missing.map(|(title, _)| format!("no panel names the alert {title:?}")));
    let wanted = autoscale::expression(document)?;
    if !panels.iter().flat_map(|panel| &panel.expressions).any(|asked| *asked == wanted) {
        faults.push(format!("no panel asks for the number of workers as {DOCUMENT} reckons it"));
    }
    Ok(faults)
}

/// Each number is one panel's, and each place of the grid is one panel's.
fn layout(panels: &[Panel]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        if !ids.insert(panel.id) {
            faults.push(format!("panel {:?}: another one has its id {}", panel.title, panel.id));
        }
        let places = (0..panel.height).flat_map(|row| (0..panel.width).map(move |column| (row, column)));
        if places.map(|(row, column)| (panel.y + row, panel.x + column)).filter(|place| !taken.insert(*place)).count()
            > 0
        {
            faults.push(format!("panel {:?} lies over another one", panel.title));
        }
        if panel.x + panel.width > COLUMNS {
            faults.push(format!("panel {:?} is wider than the board", panel.title));
        }
    }
    let height = taken.last().map_or(0, |(row, _)| row + 1);
    let gap = (0..height).find(|row| (0..COLUMNS).any(|column| !taken.contains(&(*row, column))));
    faults.extend(gap.map(|row| format!("line {row} of the grid has a gap")));
    faults
}

/// A panel says what to do, the alerts that it names exist, and it turns red where one of them fires.
fn signposts(panel: &Panel, alerts: &[(String, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    if panel.kind == "row" {
        return faults;
    }
    if panel.description.trim().is_empty() {
        faults.push("it has no description".to_owned());
    }
    let mut conditions = Vec::new();
    for name in panel.alerts() {
        match alerts.iter().find(|(title, _)| title == name) {
            Some((_, expression)) => conditions.push(expression),
            None => faults.push(format!("there is no alert {name:?}")),
        }
    }
    let counts_none = |expression: &str| expression.contains("or vector(0)");
    // A division by what is not there is empty.
    let empty = |expression: &String| expression.contains(" / ") && !counts_none(expression);
    if conditions.iter().any(|one| counts_none(one)) && panel.expressions.iter().any(empty) {
        faults.push("it is empty where its alert counts what is not there as 0".to_owned());
    }
    for threshold in &panel.thresholds {
        // Grafana's colour begins at its number, so `> 0` of what is counted is 1, and `== 0` is where a colour ends at 1.
        let compared = [">", ">=", "<"].map(|operator| format!("{operator} {threshold}"));
        let alike = |expression: &&String| {
            let of_counts = *threshold == 1.0 && [" > 0", " == 0"].iter().any(|end| expression.contains(end));
            of_counts || compared.iter().any(|condition| ends_number(expression, condition))
        };
        if !conditions.iter().any(alike) {
            faults.push(format!("no alert that it names has its threshold {threshold}"));
        }
    }
    faults
}

/// `condition` stands in `expression`, and its number goes no further there.
fn ends_number(expression: &str, condition: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    expression.match_indices(condition).any(|(at, _)| ends(&expression[at + condition.len()..]))
}

/// So that promtool reads each expression.
fn recording_rules(panels: &[Panel]) -> Result<String> {
    let mut text = String::from("groups:\n  - name: board\n    rules:\n");
    for panel in panels {
        for (number, expression) in panel.expressions.iter().enumerate() {
            let expression = panel::without_variables(expression, "1m")?.replace('\'', "''");
            writeln!(text, "      - {{record: 'board:panel_{}_{number}', expr: '{expression}'}}", panel.id)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
