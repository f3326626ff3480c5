//! Messages found by what became of them.

use std::time::Duration;

use ringfleet_producer::Draft;
use ringfleet_store::MessageId;
use serde_json::Value;

use crate::{
    credential_commands::told,
    rig::{Ends, Except, Rig, RigOptions, Waiting},
};

async fn hand_in(rig: &Rig, n: usize) -> MessageId {
    let draft = Draft {
        from: rig.accounts[n % 3].numbers[0].clone(),
        to: format!("+1555200{n:04}"),
        text: format!("text {n} of many"),
        key: Some(format!("visit-canary-{n}")),
        ..Draft::default()
    };
    rig.hand_in(draft).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_in_one_way_is_listed_the_last_first_with_shortened_numbers() {
    let rig = Rig::start(RigOptions::new(3, Duration::from_secs(2)).on_sqlite()).await;
    for n in 0..12 {
        let id = hand_in(&rig, n).await;
        if n < 10 {
            assert!(rig.run(&["message", "cancel", &id.to_string()]).status.success());
        }
    }
    let list = |more: &[&str]| rig.run(&[&["message", "list", "--state", "cancelled"], more].concat());
    let rows = |more: &[&str]| {
        let output = list(&[more, &["--json"]].concat());
        let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = whole["messages"].as_array().unwrap().clone();
        (rows, whole["more"] == Value::Bool(true))
    };
    let (all, more) = rows(&[]);
    assert_eq!((all.len(), more), (10, false));
    let time = |row: &Value| row["since"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(all.is_sorted_by(|a, b| time(a) >= time(b)), "{all:?}");
    assert!(all.iter().all(|row| row["to"].as_str().unwrap().starts_with("+1******")), "{all:?}");
    assert_eq!(rows(&["--limit", "4"]), (all[..4].to_vec(), true));
    assert_eq!(rows(&["--limit", "10", "--since", "1h"]), (all.clone(), false));
    assert_eq!(rows(&["--since", "0s"]).0.len(), 0);
    let table = told(&list(&["--limit", "3"]));
    assert!(table.lines().count() == 5 && table.contains("there are more"), "{table}");
    let none = told(&rig.run(&["message", "list", "--state", "rejected"]));
    assert!(none.contains("no message is rejected"), "{none}");
    let ends = Ends::waiting(Waiting::Exactly(2), "no worker is started");
    rig.finish(ends.except(Except::NotSent { at_most: 10 }, "a person took them back")).await;
}
