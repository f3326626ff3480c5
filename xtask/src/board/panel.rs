//! What a board consists of, read from Grafana's JSON.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) id: u64,
    pub(super) title: String,
    /// Grafana's name of the visualisation; `row` is a headline.
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) expressions: Vec<String>,
    /// Where a colour begins, but for the first.
    pub(super) thresholds: Vec<f64>,
    /// It says what it shows when there is nothing to show, so that is how it may be.
    pub(super) may_be_empty: bool,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
}

impl Panel {
    /// The alerts that its description names, between asterisks.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &str> {
        self.description.split('*').skip(1).step_by(2)
    }
}

pub(super) fn read(board: &str) -> Result<Vec<Panel>> {
    let board: Value = serde_json::from_str(board)?;
    let variables: Vec<_> = board["templating"]["list"].as_array().into_iter().flatten().collect();
    ensure!(variables.iter().any(|one| one["type"] == "datasource"), "it has no variable for the data source");
    ensure!(board["id"].is_null(), "its id belongs to the Grafana that it was exported from: null leaves that to each");
    let panels = board["panels"].as_array().context("it has no panels")?;
    panels.iter().map(|panel| one(panel).with_context(|| format!("panel {}", panel["title"]))).collect()
}

fn one(panel: &Value) -> Result<Panel> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |name: &str| panel["gridPos"][name].as_u64().with_context(|| format!("gridPos has no {name}"));
    let (kind, title) = (text(&panel["type"]), text(&panel["title"]));
    ensure!(!title.is_empty(), "it has no title");
    let targets: Vec<_> = panel["targets"].as_array().into_iter().flatten().collect();
    let defaults = &panel["fieldConfig"]["defaults"];
    if kind == "row" {
        ensure!(panel["collapsed"] == false, "panels of a collapsed row lie inside it, and are not looked at");
    } else {
        let sources = targets.iter().map(|target| &target["datasource"]).chain([&panel["datasource"]]);
        ensure!(sources.into_iter().all(|source| source["uid"] == "${datasource}"), "it asks another data source");
        ensure!(!targets.is_empty(), "it asks for nothing");
    }
    let expressions = targets.iter().map(|target| target["expr"].as_str().map(str::to_owned));
    let steps = defaults["thresholds"]["steps"].as_array().into_iter().flatten();
    Ok(Panel {
        id: panel["id"].as_u64().context("it has no id")?,
        description: text(&panel["description"]),
        expressions: expressions.collect::<Option<_>>().context("a target has no expr")?,
        thresholds: steps.filter_map(|step| step["value"].as_f64()).collect(),
        may_be_empty: defaults["noValue"].is_string(),
        x: place("x")?,
        y: place("y")?,
        width: place("w")?,
        height: place("h")?,
        kind,
        title,
    })
}

/// As Grafana would send it with windows of `window`.
pub(super) fn without_variables(expression: &str, window: &str) -> Result<String> {
    let replaced = expression.replace("$__rate_interval", window);
    ensure!(!replaced.contains('$'), "{expression}: holds a variable that is not known here");
    Ok(replaced)
}
