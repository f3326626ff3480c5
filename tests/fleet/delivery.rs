//! What became of texts after they were sent: the workers read it from the provider's message store.

use std::time::Duration;

use ringfleet_simulator::{Endpoint, LedgerLine};
use ringfleet_store::{MessageId, State};

use crate::rig::{Ends, Rig, RigOptions, http};

/// The first look comes half a minute after a send.
const A_LOOK: Duration = Duration::from_secs(90);

fn options(extensions: u32) -> RigOptions {
    RigOptions::new(extensions, Duration::from_secs(2))
}

fn start_readers(rig: &mut Rig, count: usize) {
    for _ in 0..count {
        rig.start_worker_with(&[("RINGFLEET__WORKER__DELIVERY_EVERY", "200ms")]);
    }
}

async fn until_told(rig: &Rig, delivered: u64, failed: u64) {
    let told = async || {
        let stats = rig.stats().await;
        (stats.count(State::Delivered), stats.count(State::DeliveryFailed)) == (delivered, failed)
    };
    ringfleet_testkit::eventually(A_LOOK, told).await;
}

/// All that the simulator has written down.
pub(crate) async fn ledger(rig: &Rig) -> Vec<LedgerLine> {
    let url = format!("{}/simulator/ledger", rig.simulator.base_url());
    let ledger = http().get(url).send().await.unwrap().text().await.unwrap();
    ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Requests of an operation that arrived at the simulator.
pub(crate) async fn requests(rig: &Rig, of: Endpoint) -> usize {
    let lines = ledger(rig).await;
    lines.iter().filter(|line| matches!(line, LedgerLine::Api(api) if api.operation == of)).count()
}

async fn code_of(rig: &Rig, id: &MessageId) -> String {
    rig.store.get(id).await.unwrap().unwrap().delivery.unwrap().code
}

async fn every_text_ends_as_the_provider_says(options: RigOptions) {
    let mut rig = Rig::start(options).await;
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    let landline = rig.enqueue_to(0, "+15550921000", "to a landline").await;
    let spam = rig.enqueue_to(1, "+15550922000", "taken for spam").await;
    let silent = [
        rig.enqueue_to(0, "+15550924000", "never leaves the queue").await,
        rig.enqueue_to(1, "+15550925000", "whose carrier says nothing").await,
    ];
    start_readers(&mut rig, 2);
    rig.until_ended(44, Duration::from_secs(20)).await;
    until_told(&rig, 40, 2).await;
    assert_eq!([code_of(&rig, &landline).await, code_of(&rig, &spam).await], ["SMS-CAR-411", "SMS-UP-430"]);
    for id in &silent {
        assert_eq!(rig.store.get(id).await.unwrap().unwrap().state, State::Sent);
    }
    // Later ones are found by what has changed, and no list is read again.
    let before = requests(&rig, Endpoint::MessageSync).await;
    rig.enqueue_named(0, 10, None, "later").await;
    until_told(&rig, 50, 2).await;
    assert!(requests(&rig, Endpoint::MessageSync).await > before);
    assert_eq!(requests(&rig, Endpoint::MessageStore).await, 0);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_ends_as_the_provider_says_on_redis() {
    every_text_ends_as_the_provider_says(options(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_ends_as_the_provider_says_on_sqlite() {
    every_text_ends_as_the_provider_says(options(2).on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_leaves_texts_out_is_followed_by_the_list() {
    let mut options = options(1);
    options.simulator.limits.medium = 1_000;
    let mut rig = Rig::start(options).await;
    rig.enqueue(0, 600, None).await;
    start_readers(&mut rig, 1);
    rig.until_ended(600, Duration::from_secs(60)).await;
    until_told(&rig, 600, 0).await;
    assert_eq!((requests(&rig, Endpoint::MessageSync).await, requests(&rig, Endpoint::MessageStore).await), (1, 1));
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_longer_good_is_replaced_by_a_full_sync() {
    let mut rig = Rig::start(options(1)).await;
    rig.enqueue(0, 10, None).await;
    start_readers(&mut rig, 1);
    until_told(&rig, 10, 0).await;
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-sync"},
            "fault": {"kind": "error_before", "status": 400, "code": "MSG-333"}, "times": 1}));
    rig.enqueue_named(0, 10, None, "later").await;
    until_told(&rig, 20, 0).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_has_to_begin_anew_passes_no_report_over() {
    let mut options = options(1);
    // Delivered twelve seconds after it was sent, and looked for after thirty.
    options.simulator.status_delay = Duration::from_secs(6);
    let mut rig = Rig::start(options).await;
    rig.start_worker_with(&[
        ("RINGFLEET__WORKER__DELIVERY_EVERY", "200ms"),
        ("RINGFLEET__INBOUND__POLL", "1s"),
        ("RINGFLEET__RECONCILE__CLOCK_SKEW", "100ms"),
    ]);
    rig.enqueue(0, 10, None).await;
    rig.until_ended(10, Duration::from_secs(20)).await;
    // The texts are older than the last poll, by more than the skew.
    let before = requests(&rig, Endpoint::MessageSync).await;
    ringfleet_testkit::eventually(A_LOOK, async || requests(&rig, Endpoint::MessageSync).await >= before + 2).await;
    let message_sync = |fault: serde_json::Value, times: Option<u32>| serde_json::json!({"match": {"endpoint": "message-sync"}, "fault": fault, "times": times});
    rig.add_fault(message_sync(serde_json::json!({"kind": "error_before", "status": 503}), None));
    tokio::time::sleep(Duration::from_secs(13)).await;
    rig.clear_faults();
    rig.add_fault(message_sync(serde_json::json!({"kind": "error_before", "status": 400, "code": "MSG-333"}), Some(1)));
    until_told(&rig, 10, 0).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_whose_fate_was_unknown_is_told_as_delivered_too() {
    let mut rig = Rig::start(options(1).quick()).await;
    rig.add_fault(serde_json::json!({"match": {"every_nth": 2}, "fault": {"kind": "accept_then_hang"}, "times": 5}));
    rig.enqueue(0, 10, None).await;
    start_readers(&mut rig, 1);
    until_told(&rig, 10, 0).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_messages_texts_stay_sent_and_the_log_says_why_once() {
    let mut rig = Rig::start(options(1)).await;
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-sync"},
            "fault": {"kind": "error_before", "status": 403, "code": "CMN-408"}}));
    rig.enqueue(0, 10, None).await;
    start_readers(&mut rig, 1);
    ringfleet_testkit::eventually(A_LOOK, async || rig.logs().contains("CMN-408")).await;
    rig.enqueue_named(0, 10, None, "later").await;
    ringfleet_testkit::eventually(A_LOOK, async || requests(&rig, Endpoint::MessageSync).await >= 2).await;
    let stats = rig.stats().await;
    assert_eq!((stats.count(State::Sent), rig.logs().matches("CMN-408").count()), (20, 1));
    rig.finish(Ends::all()).await;
}
