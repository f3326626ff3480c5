//! Who wants no more texts gets none: the provider says so of a text, or the recipient says STOP.

use std::time::Duration;

use ringfleet_simulator::Endpoint;
use ringfleet_store::{MessageId, OptOut, Private, State};
use ringfleet_testkit::eventually;

use crate::{
    delivery::requests,
    inbound::listed,
    rig::{Ends, Except, Rig, RigOptions, http},
    rows_store::tell,
};

pub(crate) const CUSTOMER: &str = "+15552000001";
const SOON: Duration = Duration::from_secs(60);

fn options(extensions: u32) -> RigOptions {
    RigOptions::new(extensions, Duration::from_secs(2)).quick()
}

/// Something happens to an extension at the provider.
pub(crate) async fn at_the_provider(rig: &Rig, extension: usize, call: &str, body: serde_json::Value) {
    let id = &rig.accounts[extension].extension_id;
    let url = format!("{}/simulator/extensions/{id}/{call}", rig.simulator.base_url());
    let answer = http().post(url).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

pub(crate) async fn says(rig: &Rig, text: &str) {
    customer_says(rig, CUSTOMER, text).await;
}

async fn customer_says(rig: &Rig, customer: &str, text: &str) {
    at_the_provider(rig, 0, "inbound", serde_json::json!({"from": customer, "text": text})).await;
}

pub(crate) async fn opted_out(rig: &Rig, extension: usize) -> bool {
    customer_is_out(rig, extension, CUSTOMER).await
}

async fn customer_is_out(rig: &Rig, extension: usize, customer: &str) -> bool {
    let account = &rig.accounts[extension];
    let (from, to) = (Private::new(&account.numbers[0]), Private::new(customer));
    rig.store.opted_out(&account.extension_id, &from, &to).await.unwrap()
}

/// So many are suppressed.
pub(crate) fn all_but_unwanted(at_most: u64) -> Ends {
    Ends::all().except(Except::NotSent { at_most }, "their recipient wants none")
}

async fn ends_as(rig: &Rig, id: MessageId, state: State) {
    eventually(SOON, async || rig.store.get(&id).await.unwrap().unwrap().state == state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_the_provider_stops_for_an_opt_out_is_the_last_one_to_that_number() {
    for options in [options(2), options(2).on_sqlite()] {
        let mut rig = Rig::start(options).await;
        // By another way than the fleet's: in the provider's console, or before there was a fleet.
        at_the_provider(&rig, 0, "opt-out", serde_json::json!({"to": [CUSTOMER]})).await;
        let refused = rig.enqueue_to(0, CUSTOMER, "stopped by the provider").await;
        rig.start_worker_with(&[("RINGFLEET__WORKER__DELIVERY_EVERY", "200ms")]);
        ends_as(&rig, refused, State::DeliveryFailed).await;
        assert_eq!(rig.store.get(&refused).await.unwrap().unwrap().delivery.unwrap().code, "SMS-RC-413");
        assert!(opted_out(&rig, 0).await && !opted_out(&rig, 1).await);
        let next = rig.enqueue_to(0, CUSTOMER, "never sent").await;
        let other = rig.enqueue_to(1, CUSTOMER, "from a number that is welcome").await;
        ends_as(&rig, next, State::Suppressed).await;
        ends_as(&rig, other, State::Sent).await;
        assert_eq!(rig.finish(all_but_unwanted(1)).await.report.accepted, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_holds_until_a_start_and_is_heard_once() {
    let mut rig = Rig::start(options(1)).await;
    for _ in 0..3 {
        rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "1s")]);
    }
    says(&rig, "Please stop by at nine").await;
    says(&rig, "Stop").await;
    eventually(SOON, async || opted_out(&rig, 0).await).await;
    let unwanted = rig.enqueue_to(0, CUSTOMER, "unwanted").await;
    ends_as(&rig, unwanted, State::Suppressed).await;

    says(&rig, "START").await;
    eventually(SOON, async || !opted_out(&rig, 0).await).await;
    let wanted = rig.enqueue_to(0, CUSTOMER, "a wanted one").await;
    ends_as(&rig, wanted, State::Sent).await;

    // What was heard is not heard again when everything is read anew.
    says(&rig, "STOP").await;
    eventually(SOON, async || opted_out(&rig, 0).await).await;
    let account = &rig.accounts[0];
    let lifted = OptOut { from: Private::new(&account.numbers[0]), to: Private::new(CUSTOMER), out: false };
    rig.store.set_opt_outs(Some(&account.extension_id), &[lifted]).await.unwrap();
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-sync"},
            "fault": {"kind": "error_before", "status": 400, "code": "MSG-333"}, "times": 1}));
    let before = requests(&rig, Endpoint::MessageSync).await;
    eventually(SOON, async || requests(&rig, Endpoint::MessageSync).await >= before + 4).await;
    assert!(!opted_out(&rig, 0).await);
    assert_eq!(rig.finish(all_but_unwanted(1)).await.report.opted_out, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_of_the_fleet_polls_and_another_goes_on_when_it_dies() {
    let mut rig = Rig::start(options(4)).await;
    for _ in 0..3 {
        rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "2s")]);
    }
    eventually(SOON, async || requests(&rig, Endpoint::MessageSync).await >= 4).await;
    let before = requests(&rig, Endpoint::MessageSync).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let read = requests(&rig, Endpoint::MessageSync).await - before;
    assert!(read <= 4 * 7, "{read} readings of four extensions in ten seconds");
    for _ in 0..2 {
        rig.kill_worker(0);
    }
    says(&rig, "STOP").await;
    eventually(SOON, async || opted_out(&rig, 0).await).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_06_a_full_redis_hears_every_stop_and_keeps_what_came_in_when_there_is_room() {
    const OTHERS: [&str; 2] = ["+15552000002", "+15552000003"];
    let mut rig = Rig::start(options(1)).await;
    rig.keep_secret(OTHERS);
    rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "1s")]);
    customer_says(&rig, OTHERS[1], "STOP").await;
    eventually(SOON, async || customer_is_out(&rig, 0, OTHERS[1]).await).await;

    // Less than it holds.
    tell(rig.redis(), "CONFIG SET maxmemory 100kb").await;
    says(&rig, "STOP").await;
    customer_says(&rig, OTHERS[0], "STOP").await;
    customer_says(&rig, OTHERS[1], "START").await;
    eventually(SOON, async || opted_out(&rig, 0).await && customer_is_out(&rig, 0, OTHERS[0]).await).await;
    assert!(customer_is_out(&rig, 0, OTHERS[1]).await, "a START that can't be noted was heeded");

    tell(rig.redis(), "CONFIG SET maxmemory 0").await;
    eventually(SOON, async || !customer_is_out(&rig, 0, OTHERS[1]).await && listed(&rig, &[]).len() == 4).await;
    assert!(opted_out(&rig, 0).await && customer_is_out(&rig, 0, OTHERS[0]).await);
    let unwanted = rig.enqueue_to(0, CUSTOMER, "unwanted").await;
    ends_as(&rig, unwanted, State::Suppressed).await;
    assert_eq!(rig.finish(all_but_unwanted(1)).await.report.accepted, 0);
}
