//! What webhooks are told.

use std::time::Duration;

use ringfleet_simulator::{LedgerLine, SimulatorConfig, WebhookEvent};
use serde_json::{Value, json};

use crate::receiver::{Manner, Receiver};
use crate::subscriptions::{SUBSCRIPTION, TEXTS, config, create};
use crate::support::{body, start};

const CUSTOMER: &str = "+15550200001";

fn quickly() -> SimulatorConfig {
    let (delay, every) = (Duration::from_millis(150), Duration::from_millis(20));
    SimulatorConfig { status_delay: delay, notify_every: every, ..config() }
}

fn changes(body: &Value) -> (u64, u64) {
    let count = |name: &str| {
        let all = body["body"]["changes"].as_array().expect("changes").iter();
        all.map(|change| change[name].as_u64().unwrap_or(0)).sum()
    };
    (count("newCount"), count("updatedCount"))
}

#[tokio::test]
async fn outbound_changes_come_as_counts_and_inbound_texts_as_a_whole() {
    let rig = start(quickly()).await;
    let hook = Receiver::start().await;
    let token = rig.token(0);
    body(rig.send(&token, &rig.text(0, CUSTOMER, "before"))).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    let instant = TEXTS.replace("message-store?", "message-store/instant?");
    let made = body(create(&rig, &hook.address, &[&format!("{TEXTS}&direction=Outbound"), &instant], 100)).await;
    let sent = body(rig.send(&token, &rig.text(0, CUSTOMER, "x"))).await;
    // Accepted, sent, delivered.
    let counted = |got: &[(Option<String>, Value)]| {
        got.iter().map(|(_, body)| changes(body)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)) == (1, 2)
    };
    let got = hook.wait(counted).await;
    let new: Vec<_> = got.iter().filter_map(|body| body["body"]["changes"][0].get("newMessageIds")).collect();
    assert_eq!(new, [&json!([sent["id"]])]);
    for notification in &got {
        assert_eq!(notification["subscriptionId"], made["id"]);
        assert_eq!(notification["ownerId"], rig.accounts[0].extension_id);
        assert_eq!(notification["event"], made["eventFilters"][0]);
        assert!(notification["uuid"].is_string() && notification["timestamp"].is_string());
        assert!(!notification.to_string().contains("messageStatus"));
    }
    assert!(hook.got().iter().all(|(token, _)| token.as_deref() == Some("my secret")));

    let before = got.len();
    let arrived = rig.admin(0, "inbound", &json!({"from": CUSTOMER, "text": "STOP"})).await;
    let got = hook.wait(|got| got.len() > before).await;
    let text = &got[before];
    assert_eq!(text["event"], made["eventFilters"][1]);
    assert_eq!((&text["body"]["id"], &text["body"]["subject"]), (&json!(arrived["id"].to_string()), &json!("STOP")));
    assert_eq!((&text["body"]["messageStatus"], got.len()), (&json!("Received"), before + 1));
    // The receiver has it before its answer is read.
    let began = std::time::Instant::now();
    while (rig.simulator.report().webhooks_delivered as usize) < got.len() {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = rig.simulator.report();
    assert_eq!((report.webhooks_delivered as usize, report.webhooks_failed), (got.len(), 0));
}

#[tokio::test]
async fn changes_while_a_webhook_is_busy_are_counted_together() {
    let every = Duration::from_millis(5);
    let rig =
        start(SimulatorConfig { webhook_timeout: Duration::from_secs(15), notify_every: every, ..quickly() }).await;
    let hook = Receiver::start().await;
    body(create(&rig, &hook.address, &[TEXTS], 100)).await;
    hook.behave(Manner::Slow(Duration::from_secs(4)));
    rig.admin(0, "inbound", &json!({"from": CUSTOMER, "text": "0"})).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    for n in 1..10 {
        rig.admin(0, "inbound", &json!({"from": CUSTOMER, "text": n.to_string()})).await;
        // Each is a change of its own, seen before the next one.
        tokio::time::sleep(4 * every).await;
    }
    let got = hook.wait(|got| got.len() == 2).await;
    assert_eq!((changes(&got[0]), changes(&got[1])), ((1, 0), (9, 0)));
}

#[tokio::test]
async fn a_webhook_that_keeps_failing_is_blacklisted() {
    let rig = start(SimulatorConfig { webhook_failures: 2, ..quickly() }).await;
    let hook = Receiver::start().await;
    let made = body(create(&rig, &hook.address, &[TEXTS], 100)).await;
    let one = format!("{SUBSCRIPTION}/{}", made["id"].as_str().expect("an id"));
    let status = async || body(rig.get(&rig.token(0), &one)).await["status"].clone();
    let text = async || rig.admin(0, "inbound", &json!({"from": CUSTOMER, "text": "x"})).await;
    // One failure is forgiven by the next success.
    hook.behave(Manner::Status(500));
    text().await;
    hook.wait(|got| got.len() == 1).await;
    hook.behave(Manner::Good);
    text().await;
    hook.wait(|got| got.len() == 2).await;
    assert_eq!(status().await, "Active");
    hook.behave(Manner::Status(500));
    for n in 3..5 {
        text().await;
        hook.wait(|got| got.len() == n).await;
    }
    let began = std::time::Instant::now();
    while status().await != "Blacklisted" {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    hook.behave(Manner::Good);
    text().await;
    let renewed = body(rig.http.put(rig.url(&one)).bearer_auth(rig.token(0))).await;
    assert_eq!(renewed["status"], "Blacklisted");
    assert!(renewed["blacklistedData"]["reason"].is_string());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(hook.got().len(), 4);
    let report = rig.simulator.report();
    assert_eq!((report.webhooks_delivered, report.webhooks_failed), (1, 3));

    let ledger =
        rig.http.get(rig.url("/simulator/ledger")).send().await.expect("an answer").text().await.expect("text");
    let webhooks = ledger.lines().filter_map(|line| match serde_json::from_str(line).expect("a line") {
        LedgerLine::Webhook(line) => Some((line.event, line.delivered, line.status)),
        _ => None,
    });
    let handshake = (WebhookEvent::Handshake, true, Some(200));
    let failed = (WebhookEvent::MessageStore, false, Some(500));
    let delivered = (WebhookEvent::MessageStore, true, Some(200));
    assert_eq!(webhooks.collect::<Vec<_>>(), [handshake, failed, delivered, failed, failed]);
}

#[tokio::test]
async fn a_reminder_comes_before_the_end() {
    let rig = start(quickly()).await;
    let hook = Receiver::start().await;
    let reminder = "/restapi/v1.0/subscription/~?threshold=2&interval=1";
    let made = body(create(&rig, &hook.address, &[reminder], 4)).await;
    let got = hook.wait(|got| got.len() == 2).await;
    assert!(got.iter().all(|one| one["event"] == made["eventFilters"][0]));
    assert!(got[0]["body"]["expiresIn"].as_u64().expect("seconds") <= 2);
}
