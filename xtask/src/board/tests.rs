use serde_json::{Value, json};

use super::*;

const DOCUMENT_TEXT: &str = r#"
## Of the whole fleet
| `ringfleet_held` | gauge | `state` | of state held |
## Of one process
| `ringfleet_ends_total` | counter | `outcome` | sent, not-sent |
| `ringfleet_hand` | gauge | – | messages in hand |
| `ringfleet_send_seconds` | histogram | – | one send |

## What to wake somebody for

| alert | expression | what to do |
|---|---|---|
| Messages held | `max(ringfleet_held) > 0` | Look. |

## What to look at on a working day

| sign | expression | what it says |
|---|---|---|
| Too slow | `ringfleet_hand > 600` for 5 min | Wait. |

## How many workers

```promql
max(ringfleet_held)
  * 2
```
"#;

/// A panel that fills a line, with an expression and what it describes.
fn panel(id: u64, kind: &str, expression: &str, description: &str) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    json!({"id": id, "type": kind, "title": format!("panel {id}"), "description": description, "datasource": source,
        "targets": [{"datasource": source, "expr": expression}], "gridPos": {"x": 0, "y": id, "w": 24, "h": 1}})
}

/// A board without a fault.
fn good() -> Value {
    json!({"id": null, "templating": {"list": [{"type": "datasource"}]}, "panels": [
        {"id": 7, "type": "row", "title": "Row", "collapsed": false, "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}},
        panel(1, "stat", "max by (state) (ringfleet_held{state=\"held\"})", "*Messages held*: look."),
        panel(2, "stat", "max(ringfleet_held) * 2", "*Too slow*"),
        panel(3, "timeseries", "sum by (outcome) (rate(ringfleet_ends_total{outcome=~\"sent|not-sent\"}[$__rate_interval]))", "a"),
        panel(4, "timeseries", "histogram_quantile(0.5, sum by (le) (rate(ringfleet_send_seconds_bucket[5m])))", "a"),
        panel(5, "heatmap", "sum by (le) (increase(ringfleet_send_seconds_bucket[5m]))", "a"),
        panel(6, "stat", "sum((ringfleet_ends_total unless ringfleet_ends_total offset 1h) > 0 or increase(ringfleet_ends_total[1h])) / max(max_over_time(ringfleet_hand[1h]))", "a"),
    ]})
}

fn faults_of(board: &Value) -> Vec<String> {
    match panel::read(&board.to_string()) {
        Ok(panels) => faults(&panels, DOCUMENT_TEXT).unwrap(),
        Err(error) => vec![format!("{error:#}")],
    }
}

#[test]
fn the_board_shows_every_metric_and_names_every_alert() {
    let root = files::root();
    let panels = panel::read(&files::read(&root.join(BOARD)).unwrap()).unwrap();
    assert_eq!(faults(&panels, &files::read(&root.join(DOCUMENT)).unwrap()).unwrap(), Vec::<String>::new());
}

#[test]
fn each_fault_of_a_query_is_found() {
    assert_eq!(faults_of(&good()), Vec::<String>::new());
    let held = "max(ringfleet_held)";
    for (expression, fault) in [
        ("vector(1)", "asks for no metric"),
        ("max(ringfleet_gone)", "there is no metric ringfleet_gone"),
        ("max(ringfleet_held_total)", "there is no metric"),
        ("max(ringfleet_held{kind=\"held\"})", "has no label kind"),
        ("max(ringfleet_held{state=~\"held|hel\"})", "tells of no state \"hel\""),
        ("max by (kind) (ringfleet_held)", "has the label kind"),
        ("sum(ringfleet_held)", "take max"),
        ("ringfleet_held", "take max"),
        ("max(rate(ringfleet_held[5m]))", "a gauge has no rate"),
        ("sum(ringfleet_ends_total)", "by rate or increase"),
        ("sum(max_over_time(ringfleet_ends_total[5m]))", "by rate or increase"),
        ("rate(ringfleet_ends_total[5m])", "take sum"),
        ("sum(rate(ringfleet_send_seconds[5m]))", "there is no metric"),
        ("histogram_quantile(0.5, sum(rate(ringfleet_send_seconds_sum[5m])))", "wants the buckets"),
        ("histogram_quantile(0.5, sum(rate(ringfleet_send_seconds_bucket[5m])))", "added up by le"),
        ("sum by (le) (rate(ringfleet_send_seconds_bucket[5m]))", "for histogram_quantile"),
    ] {
        let mut board = good();
        let panels = board["panels"].as_array_mut().unwrap();
        panels.push(panel(8, "timeseries", expression, "a"));
        // In the place of the one that is too much then.
        panels.last_mut().unwrap()["gridPos"]["y"] = json!(7);
        let found = faults_of(&board);
        assert!(found.len() == 1 && found[0].contains(fault), "{expression}: {found:?}");
        panel_with(&mut board, held);
        assert_eq!(faults_of(&board), Vec::<String>::new());
    }
}

fn panel_with(board: &mut Value, expression: &str) {
    board["panels"].as_array_mut().unwrap().last_mut().unwrap()["targets"][0]["expr"] = json!(expression);
}

#[test]
fn each_fault_of_the_board_is_found() {
    type Break = fn(&mut Value);
    let breaks: [(Break, &str); 13] = [
        (|board| board["panels"][1]["id"] = json!(2), "another one has its id 2"),
        (|board| board["panels"][2]["gridPos"]["y"] = json!(1), "lies over another one"),
        (|board| board["panels"][2]["gridPos"]["w"] = json!(23), "line 2 of the grid has a gap"),
        (|board| board["panels"][2]["gridPos"]["w"] = json!(25), "wider than the board"),
        (|board| board["panels"][2]["datasource"]["uid"] = json!("abc"), "asks another data source"),
        (|board| board["panels"][1]["targets"] = json!([]), "asks for nothing"),
        (|board| board["panels"][0]["collapsed"] = json!(true), "collapsed"),
        (|board| board["templating"]["list"] = json!([]), "no variable for the data source"),
        (|board| board["panels"][3]["description"] = json!(" "), "no description"),
        (|board| board["panels"][3]["description"] = json!("*Too late*"), "no alert \"Too late\""),
        (|board| board["panels"][2]["description"] = json!("slow"), "no panel names the alert \"Too slow\""),
        (|board| board["panels"][2]["targets"][0]["expr"] = json!("max(ringfleet_held) * 3"), "the number of workers"),
        (|board| board["panels"][2]["fieldConfig"] = thresholds(60.0), "has its threshold 60"),
    ];
    for (break_it, fault) in breaks {
        let mut board = good();
        break_it(&mut board);
        let found = faults_of(&board);
        assert!(found.iter().any(|one| one.contains(fault)), "{fault}: {found:?}");
    }
    let mut board = good();
    // Both that show it.
    board["panels"].as_array_mut().unwrap().drain(4..6);
    assert!(faults_of(&board).iter().any(|one| one.contains("no panel shows ringfleet_send_seconds")));
}

fn thresholds(number: f64) -> Value {
    json!({"defaults": {"thresholds": {"steps": [{"value": null}, {"value": number}]}}})
}

#[test]
fn a_threshold_is_an_alerts() {
    for (panel, number, right) in [(2, 600.0, true), (2, 60.0, false), (1, 1.0, true), (1, 2.0, false), (2, 1.0, false)]
    {
        let mut board = good();
        board["panels"][panel]["fieldConfig"] = thresholds(number);
        assert_eq!(faults_of(&board).is_empty(), right, "panel {panel}, {number}");
    }
}

#[test]
fn a_panel_counts_what_is_not_there_as_its_alert_does() {
    let (alert, counted) = ("`ringfleet_hand > 600`", "`(ringfleet_hand or vector(0)) > 600`");
    let document = DOCUMENT_TEXT.replace(alert, counted);
    for (expression, right) in [("1 / max(ringfleet_held)", false), ("1 / (max(ringfleet_held) or vector(0))", true)] {
        let mut board = good();
        board["panels"][2]["targets"][0]["expr"] = json!(expression);
        let found = faults(&panel::read(&board.to_string()).unwrap(), &document).unwrap();
        assert_eq!(!found.iter().any(|fault| fault.contains("as 0")), right, "{found:?}");
    }
}

#[test]
fn a_variable_that_prometheus_would_not_know_is_an_error() {
    assert_eq!(panel::without_variables("rate(a[$__rate_interval])", "1m").unwrap(), "rate(a[1m])");
    assert!(panel::without_variables("rate(a[$interval])", "1m").is_err());
}
