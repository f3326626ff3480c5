//! Texts and calls from outside.

use std::time::Duration;

use ringfleet_simulator::SimulatorConfig;
use serde_json::{Value, json};

use crate::support::{Rig, body, outcome, quick, start};

const STORE: &str = "/restapi/v1.0/account/~/extension/~/message-store";
const CUSTOMER: &str = "+15550200001";

/// What becomes of a text to the customer from one of the extension's numbers.
async fn fate(rig: &Rig, number: usize) -> String {
    let token = rig.token(0);
    let text = crate::support::sms(&rig.accounts[0].numbers[number], CUSTOMER, "x");
    let sent = body(rig.send(&token, &text)).await;
    let read = body(rig.get(&token, &format!("{STORE}/{}", sent["id"]))).await;
    let code = read["deliveryErrorCode"].as_str().unwrap_or("-");
    format!("{} {code}", read["messageStatus"].as_str().expect("a status"))
}

fn at_once() -> SimulatorConfig {
    SimulatorConfig { status_delay: Duration::ZERO, numbers_per_extension: 2, ..quick() }
}

#[tokio::test]
async fn stop_and_start_change_the_pair_and_nothing_else() {
    let rig = start(at_once()).await;
    let second = rig.accounts[0].numbers[1].as_str();
    let answer = rig.admin(0, "inbound", &json!({"from": CUSTOMER, "to": second, "text": " Stop "})).await;
    assert_eq!(answer["opt_status"], "OptOut");
    assert_eq!(fate(&rig, 1).await, "SendingFailed SMS-RC-413");
    assert_eq!(fate(&rig, 0).await, "Delivered -");
    rig.admin(0, "inbound", &json!({"from": CUSTOMER, "to": second, "text": "please start again"})).await;
    assert_eq!(fate(&rig, 1).await, "SendingFailed SMS-RC-413");
    rig.admin(0, "inbound", &json!({"from": CUSTOMER, "to": second, "text": "START"})).await;
    assert_eq!(fate(&rig, 1).await, "Delivered -");
    assert_eq!(rig.simulator.report().opted_out, 2);
}

#[tokio::test]
async fn inbound_texts_and_voicemail_stand_in_the_message_store() {
    let rig = start(at_once()).await;
    let token = rig.token(0);
    body(rig.send(&token, &rig.text(0, CUSTOMER, "hello"))).await;
    rig.admin(0, "inbound", &json!({"from": CUSTOMER, "text": "hi"})).await;
    let call = rig.admin(0, "missed-call", &json!({"from": CUSTOMER, "voicemail_seconds": 7})).await;
    let list = async |query: &str| body(rig.get(&token, &format!("{STORE}?{query}"))).await["records"].clone();
    let inbound = list("direction=Inbound&messageType=SMS").await;
    assert_eq!(inbound.as_array().map(Vec::len), Some(1));
    let text = &inbound[0];
    assert_eq!((&text["subject"], &text["messageStatus"]), (&json!("hi"), &json!("Received")));
    assert_eq!((&text["from"]["phoneNumber"], &text["readStatus"]), (&json!(CUSTOMER), &json!("Unread")));
    assert_eq!(text["to"][0]["phoneNumber"], rig.accounts[0].numbers[0]);
    let outbound = list("direction=Outbound").await;
    assert_eq!(outbound[0]["conversationId"], text["conversationId"]);
    let voicemail = &list("messageType=VoiceMail").await[0];
    assert_eq!((&voicemail["id"], &voicemail["type"]), (&call["voicemail"], &json!("VoiceMail")));
    assert_eq!(voicemail["attachments"][0]["vmDuration"], 7);
    assert_eq!(list(&format!("phoneNumber={CUSTOMER}")).await.as_array().map(Vec::len), Some(3));

    let log = "/restapi/v1.0/account/~/extension/~/call-log";
    let newest = body(rig.get(&token, log)).await["records"][0].clone();
    assert_eq!((&newest["id"], &newest["result"]), (&call["id"], &json!("Voicemail")));
    assert_eq!(newest["message"]["id"], call["voicemail"].to_string());
    rig.admin(0, "missed-call", &json!({"from": CUSTOMER})).await;
    let all: Value = body(rig.get(&token, "/restapi/v1.0/account/~/call-log")).await;
    assert_eq!((&all["records"][0]["result"], &all["records"][1]["id"]), (&json!("Missed"), &call["id"]));
}

#[tokio::test]
async fn texts_go_to_own_numbers_of_working_extensions() {
    let rig = start(at_once()).await;
    let url = rig.url(&format!("/simulator/extensions/{}/inbound", rig.accounts[0].extension_id));
    let foreign = json!({"from": CUSTOMER, "to": rig.accounts[1].numbers[0], "text": "x"});
    assert_eq!(outcome(rig.http.post(url).json(&foreign)).await.0, 400);
    rig.admin(0, "status", &json!({"status": "Disabled"})).await;
    let answer = rig.admin(0, "inbound", &json!({"from": CUSTOMER, "text": "x"})).await;
    assert_eq!(answer, json!({"dropped": true}));
}
