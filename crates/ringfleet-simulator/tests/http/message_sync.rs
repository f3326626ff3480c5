use std::time::Duration;

use ringfleet_simulator::SimulatorConfig;
use serde_json::{Value, json};

use crate::support::{Rig, body, outcome, quick, start};

const SYNC: &str = "/restapi/v1.0/account/~/extension/~/message-sync";

async fn sync(rig: &Rig, query: &str) -> Value {
    body(rig.get(&rig.token(0), &format!("{SYNC}?{query}"))).await
}

fn token(sync: &Value) -> String {
    sync["syncInfo"]["syncToken"].as_str().expect("a token").to_owned()
}

fn states(sync: &Value) -> Vec<String> {
    let records = sync["records"].as_array().expect("records").iter();
    records
        .map(|r| format!("{} {}", r["subject"].as_str().unwrap_or("-"), r["messageStatus"].as_str().expect("text")))
        .collect()
}

#[tokio::test]
async fn after_a_full_sync_only_changes_come() {
    let step = Duration::from_secs(2);
    let rig = start(SimulatorConfig { status_delay: step, ..quick() }).await;
    let me = rig.token(0);
    body(rig.send(&me, &rig.text(0, "+15550200001", "one"))).await;
    let full = sync(&rig, "syncType=FSync").await;
    assert_eq!(states(&full), ["one Queued"]);
    assert_eq!(full["syncInfo"]["syncType"], "FSync");
    let quiet = sync(&rig, &format!("syncType=ISync&syncToken={}", token(&full))).await;
    assert!(states(&quiet).is_empty());
    rig.admin(0, "inbound", &json!({"from": "+15550200001", "text": "thanks"})).await;
    tokio::time::sleep(step).await;
    let changed = sync(&rig, &format!("syncType=ISync&syncToken={}", token(&quiet))).await;
    assert_eq!(states(&changed), ["thanks Received", "one Sent"]);
    let outbound = format!("syncType=ISync&direction=Outbound&syncToken={}", token(&quiet));
    assert_eq!(states(&sync(&rig, &outbound).await), ["one Sent"]);
    tokio::time::sleep(step).await;
    let last = sync(&rig, &format!("syncType=ISync&syncToken={}", token(&changed))).await;
    assert_eq!(states(&last), ["one Delivered"]);
    rig.admin(0, "delete-messages", &json!(null)).await;
    let deleted = sync(&rig, &format!("syncType=ISync&syncToken={}", token(&last))).await;
    assert_eq!(states(&deleted), ["thanks Received", "one Delivered"]);
    assert_eq!(deleted["records"][1]["availability"], "Deleted");
    assert!(states(&sync(&rig, "syncType=FSync").await).is_empty());
}

#[tokio::test]
async fn a_full_sync_has_a_number_of_records_and_says_when_there_are_more() {
    let rig = start(quick()).await;
    let me = rig.token(0);
    for n in 0..4 {
        body(rig.send(&me, &rig.text(0, "+15550200001", &format!("m{n}")))).await;
    }
    let some = sync(&rig, "recordCount=3").await;
    assert_eq!(states(&some), ["m3 Queued", "m2 Queued", "m1 Queued"]);
    assert_eq!(some["syncInfo"]["olderRecordsExist"], true);
    let all = sync(&rig, "recordCount=4").await;
    assert_eq!((states(&all).len(), &all["syncInfo"]["olderRecordsExist"]), (4, &json!(false)));
}

#[tokio::test]
async fn a_token_is_good_for_its_extension_and_this_store_only() {
    let rig = start(quick()).await;
    let good = token(&sync(&rig, "").await);
    let bad = |token: &str| format!("{SYNC}?syncType=ISync&syncToken={token}");
    for raw in ["nonsense", "", &good[1..], &good.replace(&good[..2], "zz")] {
        assert_eq!(outcome(rig.get(&rig.token(0), &bad(raw))).await, (400, "MSG-333".into()), "{raw}");
    }
    assert_eq!(outcome(rig.get(&rig.token(1), &bad(&good))).await, (400, "MSG-333".into()));
    let other = start(quick()).await;
    assert_eq!(outcome(other.get(&other.token(0), &bad(&good))).await, (400, "MSG-333".into()));
    assert_eq!(outcome(rig.get(&rig.token(0), &format!("{SYNC}?syncType=ISync"))).await, (400, "CMN-100".into()));
    assert_eq!(outcome(rig.get(&rig.token(0), &format!("{SYNC}?syncType=Any"))).await, (400, "CMN-101".into()));
}

#[tokio::test]
async fn what_appears_late_in_the_store_is_a_change_when_it_appears() {
    let lag = Duration::from_secs(2);
    let rig = start(SimulatorConfig { store_lag: lag, status_delay: Duration::from_secs(60), ..quick() }).await;
    body(rig.send(&rig.token(0), &rig.text(0, "+15550200001", "late"))).await;
    let full = sync(&rig, "").await;
    assert!(states(&full).is_empty());
    tokio::time::sleep(lag).await;
    let changed = sync(&rig, &format!("syncType=ISync&syncToken={}", token(&full))).await;
    assert_eq!(states(&changed), ["late Queued"]);
}
