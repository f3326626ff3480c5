//! What comes in at the fleet's extensions is seen, once, and shown to whom may see it.

use std::time::Duration;

use ringfleet_testkit::eventually;
use serde_json::Value;

use crate::{
    rig::{Ends, Rig, RigOptions},
    wishes::{at_the_provider, says},
};

const SOON: Duration = Duration::from_secs(60);
const CALLER: &str = "+15552000009";

fn options() -> RigOptions {
    let mut options = RigOptions::new(2, Duration::from_secs(2)).quick();
    options.simulator.calls_per_extension = 0;
    options
}

/// What `inbound list` prints with these arguments.
pub(crate) fn listed(rig: &Rig, arguments: &[&str]) -> Vec<Value> {
    let output = rig.run(&[&["inbound", "list", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    whole["inbound"].as_array().unwrap().clone()
}

async fn everything_that_comes_in_is_listed_once(options: RigOptions) {
    let mut rig = Rig::start(options).await;
    rig.keep_secret(["Is the appointment at nine?", CALLER]);
    for _ in 0..2 {
        rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "1s"), ("RINGFLEET__INBOUND__CALLS", "true")]);
    }
    says(&rig, "Is the appointment at nine?").await;
    at_the_provider(&rig, 0, "missed-call", serde_json::json!({"from": CALLER})).await;
    at_the_provider(&rig, 1, "missed-call", serde_json::json!({"from": CALLER, "voicemail_seconds": 7})).await;
    eventually(SOON, async || listed(&rig, &[]).len() == 3).await;

    let (first, second) = (&rig.accounts[0].extension_id, &rig.accounts[1].extension_id);
    let kinds = |rows: &[Value]| {
        let mut kinds: Vec<String> = rows.iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&listed(&rig, &["--extension", first])), ["missed-call", "text"]);
    assert_eq!(kinds(&listed(&rig, &["--extension", second])), ["voicemail"]);
    assert_eq!(kinds(&listed(&rig, &["--extension", &rig.accounts[1].numbers[0]])), ["voicemail"]);
    let unknown = rig.run(&["inbound", "list", "--extension", "999"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", String::from_utf8_lossy(&unknown.stdout));
    assert_eq!(kinds(&listed(&rig, &["--kind", "text"])), ["text"]);
    let text = &listed(&rig, &["--kind", "text"])[0];
    assert!(text["text"].is_null() && !text["from"].as_str().unwrap().contains("2000001"), "{text}");
    // Read again, and read anew: nothing is listed twice.
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-sync"},
            "fault": {"kind": "error_before", "status": 400, "code": "MSG-333"}, "times": 2}));
    says(&rig, "one more").await;
    eventually(SOON, async || listed(&rig, &[]).len() == 4).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_comes_in_is_listed_once_on_redis() {
    everything_that_comes_in_is_listed_once(options()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_comes_in_is_listed_once_on_sqlite() {
    everything_that_comes_in_is_listed_once(options().on_sqlite()).await;
}
