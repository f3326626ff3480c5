use std::time::Duration;

use reqwest::RequestBuilder;
use ringfleet_simulator::SimulatorConfig;
use serde_json::{Value, json};

use crate::support::{Rig, body, outcome, quick, start};

const STORE: &str = "/restapi/v1.0/account/~/extension/~/message-store";

fn list(rig: &Rig, token: &str, query: &str) -> RequestBuilder {
    rig.get(token, &format!("{STORE}?{query}"))
}

fn subjects(list: &Value) -> Vec<&str> {
    let records = list["records"].as_array().expect("records");
    records.iter().filter_map(|record| record["subject"].as_str()).collect()
}

#[tokio::test]
async fn pages_follow_next_page_without_totals() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    for n in 0..5 {
        let text = rig.text(0, &format!("+1555020000{}", n % 2), &format!("m{n}"));
        assert_eq!(outcome(rig.send(&token, &text)).await.0, 200);
    }
    let first = body(list(&rig, &token, "perPage=2&phoneNumber=+15550200000&direction=Outbound")).await;
    assert_eq!(subjects(&first), ["m4", "m2"]);
    assert!(first["paging"].get("totalElements").is_none());
    let next = first["navigation"]["nextPage"]["uri"].as_str().expect("a page");
    let second = body(rig.http.get(next).bearer_auth(&token)).await;
    assert_eq!(subjects(&second), ["m0"]);
    assert!(second["navigation"].get("nextPage").is_none());
    let all = body(list(&rig, &token, "messageType=Fax&messageType=SMS")).await;
    assert_eq!(subjects(&all).len(), 5);
    for nothing in [
        "direction=Inbound",
        "messageType=Fax",
        "phoneNumber=%2B15550200009",
        "dateFrom=2099-01-01T00:00:00Z",
        "dateTo=2020-01-01T00:00:00.000Z",
    ] {
        assert!(subjects(&body(list(&rig, &token, nothing)).await).is_empty(), "{nothing}");
    }
    assert_eq!(outcome(list(&rig, &token, "dateFrom=yesterday")).await, (400, "CMN-101".into()));
    // Another extension sees nothing of it.
    assert!(subjects(&body(list(&rig, &rig.token(1), "")).await).is_empty());
}

#[tokio::test]
async fn a_deleted_message_is_listed_only_if_it_is_asked_for() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    for text in ["deleted", "alive"] {
        assert_eq!(outcome(rig.send(&token, &rig.text(0, "+15550200001", text))).await.0, 200);
        if text == "deleted" {
            assert_eq!(rig.admin(0, "delete-messages", &json!(null)).await, json!({"deleted": 1}));
        }
    }
    let listed = async |query: &str| body(list(&rig, &token, query)).await;
    assert_eq!(subjects(&listed("").await), ["alive"]);
    assert_eq!(subjects(&listed("availability=Alive").await), ["alive"]);
    assert_eq!(subjects(&listed("availability=Alive&availability=Deleted").await), ["alive", "deleted"]);
    let deleted = listed("availability=Deleted&availability=Purged").await;
    assert_eq!((subjects(&deleted), &deleted["records"][0]["availability"]), (vec!["deleted"], &json!("Deleted")));
}

#[tokio::test]
async fn a_message_appears_after_the_lag() {
    let lag = Duration::from_secs(2);
    let rig = start(SimulatorConfig { store_lag: lag, store_numbers_without_plus: true, ..quick() }).await;
    let token = rig.token(0);
    let sent = body(rig.send(&token, &rig.text(0, "+15550200001", "late"))).await;
    let one = format!("{STORE}/{}", sent["id"]);
    assert_eq!(outcome(rig.get(&token, &one)).await, (404, "CMN-102".into()));
    assert!(subjects(&body(list(&rig, &token, "")).await).is_empty());
    tokio::time::sleep(lag).await;
    let found = body(rig.get(&token, &one)).await;
    assert_eq!(found["to"][0]["phoneNumber"], "15550200001");
    assert_eq!(subjects(&body(list(&rig, &token, "phoneNumber=15550200001")).await), ["late"]);
}

#[tokio::test]
async fn status_moves_with_time_and_failures_show_their_code() {
    let step = Duration::from_secs(2);
    let rig = start(SimulatorConfig { status_delay: step, ..quick() }).await;
    let token = rig.token(0);
    rig.admin(0, "opt-out", &json!({"to": ["+15550200002"]})).await;
    let mut paths = Vec::new();
    for to in ["+15550200001", "+15550200002", "+15550921000", "+15550924000"] {
        let sent = body(rig.send(&token, &rig.text(0, to, "x"))).await;
        assert_eq!(sent["messageStatus"], "Queued");
        paths.push(format!("{STORE}/{}", sent["id"]));
    }
    let mut seen = vec![Vec::new(); 4];
    for _ in 0..3 {
        for (path, seen) in paths.iter().zip(&mut seen) {
            let message = body(rig.get(&token, path)).await;
            let code = message["deliveryErrorCode"].as_str().unwrap_or("-").to_owned();
            seen.push(format!("{} {code}", message["messageStatus"].as_str().expect("a status")));
        }
        tokio::time::sleep(step).await;
    }
    assert_eq!(seen[0], ["Queued -", "Sent -", "Delivered -"]);
    assert_eq!(seen[1][1..], ["SendingFailed SMS-RC-413", "SendingFailed SMS-RC-413"]);
    assert_eq!(seen[2][2], "DeliveryFailed SMS-CAR-411");
    assert_eq!(seen[3][2], "Queued -");
}
