//! Who may text from which number: learnt from the provider, noticed by running processes, and what becomes of messages that
//! were accepted before it changed.

use std::{sync::Arc, time::Duration};

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_identity::{
    KeyRing, Vault,
    directory::{Book, Claims, Follower},
};
use ringfleet_store::State;
use ringfleet_testkit::{Port, eventually};
use serde_json::{Value, json};

use crate::rig::{Ends, Rig, RigOptions, http};

const KEY: &str = "canary-key-0123456789abcdef";
const REFRESH: (&str, &str) = ("RINGFLEET__DIRECTORY__REFRESH", "2s");

/// What the fleet knows, read afresh and with the workers' key.
async fn book(rig: &Rig) -> Arc<Book> {
    let keys = KeyRing::from_file(rig.path("ringfleet.key"));
    let app = (rig.simulator.client_id(), rig.simulator.client_secret());
    let keys = keys.unwrap_or_else(|_| KeyRing::of_app(app.0, app.1));
    let vault = Vault::new(rig.store.clone(), Arc::new(keys), "main");
    Follower::start(&vault, Claims::default()).await.unwrap().0.book()
}

async fn admin(rig: &Rig, extension: usize, what: &str, body: Value) {
    let id = &rig.accounts[extension].extension_id;
    let url = format!("{}/simulator/extensions/{id}/{what}", rig.simulator.base_url());
    let status = http().post(url).json(&body).send().await.unwrap().status();
    assert!(status.is_success(), "{what}: {status}");
}

fn recipient(n: u32) -> String {
    format!("+1555200{n:04}")
}

/// Only the first `connected` extensions can be logged in for, and nobody has written down any number.
fn connect(rig: &Rig, connected: usize) {
    let some: Vec<Value> = rig.accounts[..connected]
        .iter()
        .map(|account| json!({"extension_id": account.extension_id, "jwt": account.jwt}))
        .collect();
    std::fs::write(rig.path("accounts.json"), serde_json::to_vec(&some).unwrap()).unwrap();
}

async fn until_parked(rig: &Rig, extension: usize, reason: &str) {
    let lane = rig.lane(extension);
    eventually(Duration::from_secs(40), async || {
        rig.store.lane(&lane).await.unwrap().parked.is_some_and(|parked| parked.starts_with(reason))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_api_learns_who_may_send_and_refuses_the_others_with_the_remedy() {
    let mut rig = Rig::start(RigOptions::new(4, Duration::from_secs(2))).await;
    connect(&rig, 3);
    rig.start_worker_with(&[REFRESH]);
    let port = Port::hold();
    let listen = port.address();
    let _api = rig.spawn(&["api"], &[("RINGFLEET__API__LISTEN", &listen), ("RINGFLEET__API__KEYS", KEY), REFRESH]);
    rig.keep_secret([KEY, "canary text", "+15557654321"]);
    rig.keep_secret([0, 1, 2, 10, 11, 12].map(recipient));
    rig.keep_secret(rig.accounts.iter().flat_map(|account| account.numbers.clone()));
    let (client, base) = (http(), format!("http://{listen}/v1"));
    let senders = async || -> Vec<String> {
        let Ok(answer) = client.get(format!("{base}/senders")).bearer_auth(KEY).send().await else { return Vec::new() };
        let answer: Value = answer.json().await.unwrap();
        answer["senders"].as_array().unwrap().iter().map(|one| one["number"].as_str().unwrap().to_owned()).collect()
    };
    let number = |n: usize| rig.accounts[n].numbers[0].clone();
    let post = async |from: &str, n: u32| -> (u16, Value) {
        let draft = json!({"from": from, "to": recipient(n), "text": "canary text"});
        let answer = client.post(format!("{base}/messages")).bearer_auth(KEY).json(&draft).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    eventually(Duration::from_secs(30), async || senders().await.len() == 3).await;
    let nobody = client.get(format!("{base}/senders")).send().await.unwrap();
    assert_eq!(nobody.status(), 401);

    // By number, by extension number, by extension id.
    for (n, from) in
        [number(0), rig.accounts[1].extension_number.clone(), rig.accounts[2].extension_id.clone()].iter().enumerate()
    {
        assert_eq!(post(from, n as u32).await.0, 202, "{from}");
    }
    // Before anything changes: one that still waits when its number loses its feature would wait on.
    rig.handed_in_elsewhere(3);
    rig.until_ended(3, Duration::from_secs(20)).await;
    // The account's list is read a moment after the first extension.
    let foreign = number(3);
    eventually(Duration::from_secs(20), async || {
        post(&foreign, 10).await.1["errors"][0]["code"] == "sender-not-connected"
    })
    .await;
    let (status, refused) = post(&foreign, 10).await;
    let error = &refused["errors"][0];
    assert_eq!((status, &error["value"]), (422, &json!(foreign)), "{refused}");
    assert!(error["problem"].as_str().unwrap().contains("extension 104, which is not connected"), "{refused}");
    assert!(error["remedy"].as_str().unwrap().contains("send from extension 101"), "{refused}");
    let (_, refused) = post("+15557654321", 11).await;
    assert_eq!(refused["errors"][0]["code"], "unknown-sender", "{refused}");

    // Changes at the provider, noticed without a restart.
    admin(&rig, 1, "features", json!({"features": ["CallerId"]})).await;
    admin(&rig, 3, "numbers", json!({"number": number(0)})).await;
    eventually(Duration::from_secs(30), async || senders().await == [number(2)]).await;
    // Who has it now is known when the account's list was read once more.
    for (n, code) in [(1, "sender-cannot-text"), (0, "sender-not-connected")] {
        let number = number(n);
        eventually(Duration::from_secs(20), async || post(&number, 12).await.1["errors"][0]["code"] == code).await;
    }
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_number_that_has_moved_wait_and_go_out_when_it_is_back() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let number = rig.accounts[0].numbers[0].clone();
    rig.store.set_paused(&rig.lane(0), true).await.unwrap();
    rig.enqueue(0, 5, None).await;
    admin(&rig, 1, "numbers", json!({"number": number})).await;
    rig.start_worker_with(&[REFRESH]);
    let moved = ExtensionId::try_new(&rig.accounts[1].extension_id).unwrap();
    let number = PhoneNumber::try_new(&number).unwrap();
    eventually(Duration::from_secs(30), async || book(&rig).await.by_number(&number) == Ok(&moved)).await;

    rig.store.set_paused(&rig.lane(0), false).await.unwrap();
    until_parked(&rig, 0, "sender number moved to extension 102").await;
    eventually(Duration::from_secs(20), async || rig.stats().await.count(State::Ready) == 5).await;
    assert_eq!(rig.simulator.report().accepted, 0);

    admin(&rig, 0, "numbers", json!({"number": number.expose()})).await;
    rig.until_ended(5, Duration::from_secs(60)).await;
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sender_parks_its_lane_until_its_feature_is_back() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    admin(&rig, 0, "features", json!({"features": ["CallerId"]})).await;
    rig.enqueue(0, 5, None).await;
    rig.enqueue(1, 5, None).await;
    rig.start_worker_with(&[REFRESH]);
    until_parked(&rig, 0, "sender number has lost SmsSender").await;
    rig.until_ended(5, Duration::from_secs(20)).await;
    assert_eq!(rig.simulator.report().accepted, 5, "the other extension goes on");
    admin(&rig, 0, "features", json!({"features": ["SmsSender"]})).await;
    rig.until_ended(10, Duration::from_secs(60)).await;
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_cold_extensions_and_two_pages_of_numbers_are_read_within_all_plans() {
    let mut options = RigOptions::new(300, Duration::from_secs(5));
    options.simulator.numbers_per_extension = 4;
    let mut rig = Rig::start(options).await;
    connect(&rig, 300);
    for _ in 0..3 {
        rig.start_worker_with(&[("RINGFLEET__DIRECTORY__REFRESH", "1h")]);
    }
    eventually(Duration::from_secs(240), async || {
        let book = book(&rig).await;
        book.is_complete() && book.senders().len() == 1_200
    })
    .await;
    let book = book(&rig).await;
    assert_eq!(book.accounts().map(|list| list.numbers).collect::<Vec<_>>(), [1_200]);
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.auth_requests, report.sessions_max, report.auth_429), (300, 1, 0), "{report:?}");
    assert_eq!(report.http_429, 0, "a lane of some group was throttled: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_who_may_text_and_have_it_read_again_and_no_number_lies_open_in_the_store() {
    let mut rig = Rig::start(RigOptions::new(3, Duration::from_secs(2)).on_sqlite()).await;
    connect(&rig, 2);
    let hourly = [("RINGFLEET__DIRECTORY__REFRESH", "1h")];
    let command = |arguments: &[&str]| {
        let output = rig.run_with(arguments, &hourly);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let json = |arguments: &[&str]| -> Value {
        let (code, text) = command(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{text}");
        serde_json::from_str(&text).unwrap()
    };
    // Nobody has read anything, and nobody does.
    assert_eq!(json(&["extensions", "list"])["extensions"][0]["wrong"]["code"], "sender-not-read");
    let (code, told) = command(&["extensions", "refresh", "--wait", "1s"]);
    assert!(code == Some(1) && told.contains("as soon as a worker runs"), "{told}");

    rig.start_worker_with(&hourly);
    eventually(Duration::from_secs(30), async || book(&rig).await.is_complete()).await;
    let command = |arguments: &[&str]| {
        let output = rig.run_with(arguments, &hourly);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let json = |arguments: &[&str]| -> Value {
        let (code, text) = command(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let list = json(&["extensions", "list"]);
    let shown = |n: usize| &list["extensions"][n];
    assert_eq!(
        (&shown(0)["number"], &shown(0)["connected_by"][0]),
        (&json!("101"), &json!("jwt of the accounts file"))
    );
    assert_eq!((&shown(0)["numbers"][0]["can_text"], &shown(0)["wrong"]), (&json!(true), &Value::Null), "{list}");
    assert_eq!(shown(2)["numbers"][0]["wrong"]["code"], "sender-not-connected", "{list}");
    assert_eq!(list["accounts"][0]["numbers"], 3, "{list}");
    let (_, table) = command(&["extensions", "list", "--wrong"]);
    assert!(table.contains("103") && !table.contains("jwt of"), "{table}");

    // An hour would be long: it is read when somebody asks.
    admin(&rig, 0, "features", json!({"features": ["CallerId"]})).await;
    let (code, told) = command(&["extensions", "refresh", "101"]);
    assert!(code == Some(0) && told.contains("1 were read; 1 numbers can be texted from"), "{told}");
    let one = json(&["extensions", "show", "101"]);
    assert_eq!(one["extensions"][0]["numbers"][0]["wrong"]["code"], "sender-cannot-text", "{one}");
    assert_eq!(one["extensions"][0]["paused"], Value::Null, "{one}");
    assert_eq!(command(&["lane", "pause", "102"]).0, Some(0));
    let (_, table) = command(&["extensions", "list", "--wrong"]);
    let lines: Vec<&str> = table.lines().filter(|line| line.starts_with("102 ")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.ends_with("paused")), "{table}");
    assert_eq!(json(&["extensions", "list"])["extensions"][1]["paused"]["code"], "paused");
    assert_eq!(command(&["lane", "resume", "102"]).0, Some(0));
    assert_eq!(command(&["lane", "pause", "101"]).0, Some(0));
    let (_, told) = command(&["extensions", "show", "101"]);
    assert!(told.contains("its lane is paused by an operator (paused)"), "{told}");
    assert!(told.contains(&format!("`ringfleet lane resume {}`", rig.accounts[0].extension_id)), "{told}");
    assert_eq!(json(&["extensions", "show", "101"])["extensions"][0]["paused"]["code"], "paused");
    let (_, told) = command(&["extensions", "show", &rig.accounts[2].numbers[0]]);
    assert!(told.contains("extension 103") && told.contains("  do         connect it"), "{told}");
    let (code, told) = command(&["extensions", "refresh"]);
    assert!(code == Some(0) && told.contains("2 extensions and 1 accounts are to be read"), "{told}");
    for unknown in ["999", "+15557654321"] {
        assert_eq!(command(&["extensions", "show", unknown]).0, Some(1), "{unknown}");
    }

    let rest = |name: &str| std::fs::read(rig.path(name)).unwrap_or_default();
    let at_rest = [rest("fleet.db"), rest("fleet.db-wal")].concat();
    assert!(at_rest.windows(8).any(|bytes| bytes == b"/account"), "the documents are not where they are looked for");
    for number in rig.accounts.iter().flat_map(|account| &account.numbers) {
        let digits = number.trim_start_matches('+').as_bytes();
        assert!(!at_rest.windows(digits.len()).any(|bytes| bytes == digits), "a number lies open in the store");
    }
    rig.finish(Ends::all()).await;
}
