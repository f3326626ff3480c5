//! One message found by its key, and many by what became of them.

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

async fn a_message_is_shown_explained_and_taken_back_by_its_key(options: RigOptions) {
    let rig = Rig::start(options).await;
    rig.keep_secret(["visit-canary-"]);
    let ids = [hand_in(&rig, 1).await, hand_in(&rig, 2).await, hand_in(&rig, 3).await].map(|id| id.to_string());
    let by_id = rig.run(&["message", "show", &ids[0]]);
    let by_key = rig.run(&["message", "show", "--key", "visit-canary-1"]);
    assert!(by_id.status.success() && by_id.stdout == by_key.stdout, "{}", told(&by_key));
    let by_key = told(&rig.run(&["explain", "--key", "visit-canary-1", "--json"]));
    assert!(by_key.contains(&ids[0]) && by_key.contains("\"state\": \"ready\""), "{by_key}");
    let cancelled = rig.run(&["message", "cancel", "--key", "visit-canary-1", "--key", "visit-canary-2"]);
    let words = told(&cancelled);
    assert!(cancelled.status.success(), "{words}");
    assert!(ids[..2].iter().all(|id| words.contains(&format!("{id} is cancelled"))), "{words}");
    for command in [&["message", "show"][..], &["message", "cancel"], &["explain"]] {
        let missing = rig.run(&[command, &["--key", "visit-canary-4"]].concat());
        assert!(missing.status.code() == Some(1) && told(&missing).contains("there is no message msg_"), "{missing:?}");
        let no_key = rig.run(&[command, &["--key", ""]].concat());
        assert!(no_key.status.code() == Some(1) && told(&no_key).contains("1 to 200"), "{no_key:?}");
    }
    let ends = Ends::waiting(Waiting::Exactly(1), "no worker is started");
    rig.finish(ends.except(Except::NotSent { at_most: 2 }, "a person took them back")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_explained_and_taken_back_by_its_key_on_a_cluster() {
    let options = RigOptions::new(3, Duration::from_secs(2)).on_a_cluster(4);
    a_message_is_shown_explained_and_taken_back_by_its_key(options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_explained_and_taken_back_by_its_key_on_sqlite() {
    let options = RigOptions::new(3, Duration::from_secs(2)).on_sqlite();
    a_message_is_shown_explained_and_taken_back_by_its_key(options).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_shown_as_json_turns_nothing_round_on_a_terminal_and_is_whole_in_a_file() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let text = "canary \u{202e}gnp.exe\u{200b}";
    let id = rig.enqueue_to(0, "+15552000001", text).await.to_string();
    let command = ["held", "show", &id, "--show-private", "--json"];
    let written: Value = serde_json::from_slice(&rig.run_in_private(&command).stdout).unwrap();
    assert_eq!(written["text"], text);
    let shown = told(&rig.run_in_private_on_a_terminal(&command));
    assert!(shown.contains("\"canary gnp.exe\""), "{shown}");
    rig.finish(Ends::waiting(Waiting::Exactly(1), "no worker is started")).await;
}
