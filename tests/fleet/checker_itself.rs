//! The checker sees what it is there for: each promise is broken once on purpose.

use std::time::Duration;

use ringfleet_simulator::Latency;
use ringfleet_store::State;
use ringfleet_testkit::patient_link;

use crate::rig::{Ends, Except, Rig, RigOptions, Waiting, http};

/// Five texts that were sent, and then something that breaks a promise.
async fn sent_five() -> Rig {
    sent_five_in(Duration::from_secs(2)).await
}

async fn sent_five_in(window: Duration) -> Rig {
    let mut rig = Rig::start(RigOptions::new(1, window)).await;
    rig.enqueue(0, 5, None).await;
    rig.start_workers(1);
    rig.until_ended(5, Duration::from_secs(20)).await;
    rig
}

async fn tell(rig: &Rig, command: &[&str]) {
    let mut link = patient_link(&rig.redis().url()).await;
    let mut call = redis::cmd(command[0]);
    command[1..].iter().for_each(|word| {
        call.arg(*word);
    });
    let _: redis::Value = call.query_async(&mut link).await.unwrap();
}

/// All that is told as broken begins so.
async fn sees(rig: Rig, expected: &[&str]) {
    sees_at(rig, &Ends::all(), expected).await;
}

async fn sees_at(mut rig: Rig, ends: &Ends, expected: &[&str]) {
    let (_, broken) = rig.look(ends).await;
    assert!(!broken.is_empty(), "nothing was seen");
    for beginning in expected {
        assert!(broken.iter().any(|told| told.starts_with(beginning)), "{beginning} is not among {broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_left_behind_in_an_index_is_seen() {
    let rig = sent_five().await;
    tell(&rig, &["ZADD", "{rf:0}:lease", "1", "0123456789abcdef"]).await;
    tell(&rig, &["SET", "{rf:0}:left-behind", "1"]).await;
    sees(rig, &["I8, the store is not tidy: lease names", "I8, the store is not tidy: a key that this walk"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_gone_is_seen() {
    let rig = sent_five().await;
    let id = rig.enqueue_to(0, "+15552009999", "a text that gets lost").await;
    rig.until_ended(6, Duration::from_secs(20)).await;
    let mut link = patient_link(&rig.redis().url()).await;
    let mut call = redis::cmd("HDEL");
    let _: i64 = call.arg("{rf:0}:m").arg(id.as_bytes()).query_async(&mut link).await.unwrap();
    sees(rig, &["I1, lost", "I3, accepted, and neither", "I8, the store is not tidy: fin names"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_a_text_or_a_token_that_is_printed_is_seen() {
    // Whole, and cut off.
    for private in [
        "recipient 15552000003",
        "recipient (+1) 5552000003",
        "id 0.15552000003 of 5552000003.",
        "text reminder 3 of extension 0",
        "text reminder 3 o…",
        "text reminder%203%20of",
    ] {
        let rig = sent_five().await;
        rig.printed(format!("DEBUG {private}"));
        sees(rig, &["I6, "]).await;
    }
    let rig = sent_five().await;
    let token = rig.simulator.access_token(&rig.accounts[0].extension_id).unwrap();
    rig.printed(format!("Authorization: Bearer {token}"));
    sees(rig, &["I6, "]).await;
    let rig = sent_five().await;
    let (id, secret) = (rig.simulator.client_id(), rig.simulator.client_secret());
    let login = http().post(rig.simulator.base_url()).basic_auth(id, Some(secret)).build().unwrap();
    rig.printed(login.headers()["authorization"].as_bytes());
    sees(rig, &["I6, "]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_of_a_decimal_are_no_number() {
    let rig = sent_five().await;
    rig.printed("seconds_sum 0.15552000003");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_too_short_to_be_looked_for_is_seen() {
    let rig = sent_five().await;
    rig.keep_secret(["canary"]);
    sees(rig, &["I6, \"canary\" is too short"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_its_failpoint_has_told_to_end_is_not_told_again() {
    let mut options = RigOptions::new(1, Duration::from_secs(2)).on_sqlite();
    options.simulator.sms_latency = Latency::Fixed(Duration::from_secs(1));
    let mut rig = Rig::start(options).await;
    rig.enqueue(0, 1, None).await;
    rig.start_worker(Some("post.connected=term@1"));
    rig.until_met(0).await;
    // It waits for its answer; a second signal would end it at once.
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_still_waits_is_seen() {
    let rig = sent_five().await;
    assert!(rig.run(&["fleet", "stop", "--reason", "test"]).status.success());
    rig.enqueue_to(0, "+15552009999", "a text that nobody takes").await;
    sees(rig, &["I1, 1 messages wait"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_too_full_is_seen_although_refusals_are_excepted() {
    // However long the requests take, they are all inside it.
    let rig = sent_five_in(Duration::from_secs(60)).await;
    let token = rig.simulator.access_token(&rig.accounts[0].extension_id).unwrap();
    let url = format!("{}/restapi/v1.0/account/~/extension", rig.simulator.base_url());
    let client = http();
    for _ in 0..42 {
        client.get(&url).bearer_auth(&token).send().await.unwrap();
    }
    let ends = Ends::all().except(Except::Throttled { at_most: 50 }, "a stranger spends the whole window");
    sees_at(rig, &ends, &["I4, "]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_never_comes_back_after_a_fault_is_seen_where_messages_may_wait() {
    let mut rig = sent_five().await;
    rig.kill_worker(0);
    rig.enqueue_to(0, "+15552009999", "a text that nobody takes").await;
    rig.redis_mut().restart();
    sees_at(rig, &Ends::waiting(Waiting::Rest, "nobody works any more"), &["I7, nothing of extension"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_comes_back_late_after_a_fault_is_seen_while_another_sends() {
    let mut options = RigOptions::new(2, Duration::from_secs(2)).quick();
    options.back = Duration::from_secs(1);
    let bound = options.back + options.lease;
    let mut rig = Rig::start(options).await;
    // Nobody has told the rig that this lane may stand still.
    rig.store.set_paused(&rig.lane(0), true).await.unwrap();
    rig.enqueue(0, 5, None).await;
    rig.enqueue(1, 5, None).await;
    rig.start_workers(1);
    rig.until_ended(5, Duration::from_secs(20)).await;
    rig.clear_faults();
    let over = rig.simulator_now();
    rig.enqueue_to(1, "+15552009999", "a text of the other lane").await;
    rig.until_ended(6, Duration::from_secs(20)).await;
    let late = over + (bound + Duration::from_millis(200)).as_nanos() as u64;
    tokio::time::sleep(Duration::from_nanos(late.saturating_sub(rig.simulator_now()))).await;
    rig.store.set_paused(&rig.lane(0), false).await.unwrap();
    rig.until_ended(11, Duration::from_secs(20)).await;
    let told = format!("I7, the first send of extension {} came", rig.accounts[0].extension_id);
    sees(rig, &[&told]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_message_that_is_refused_is_seen() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    let refused = serde_json::json!({"kind": "error_before", "status": 400, "code": "CMN-101"});
    rig.add_fault(serde_json::json!({"fault": refused, "times": 1}));
    rig.enqueue(0, 5, None).await;
    rig.start_workers(1);
    rig.until_ended(5, Duration::from_secs(20)).await;
    assert_eq!(rig.stats().await.count(State::Rejected), 1);
    sees(rig, &["I1, 1 messages were not sent"]).await;
}

/// A text of which nobody knows, and that a person calls sent. The provider has never got it.
async fn closed_by_hand() -> Rig {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).holding()).await;
    rig.add_fault(serde_json::json!({"fault": {"kind": "reset_before"}, "times": 1}));
    let id = rig.enqueue_to(0, "+15552009999", "a text that nobody gets").await.to_string();
    rig.start_workers(1);
    rig.until_ended(1, Duration::from_secs(20)).await;
    let closed = rig.run(&["held", "close", &id, "--as", "sent"]);
    assert!(closed.status.success(), "{closed:?}");
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_called_sent_without_the_providers_id_is_seen() {
    sees(closed_by_hand().await, &["I3, 1 called sent without the provider's id"]).await;
    let by_hand = Except::ClosedByHand { at_most: 1 };
    closed_by_hand().await.finish(Ends::all().except(by_hand, "a person has closed it")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "dropped without rig.finish")]
async fn a_rig_that_is_not_finished_fails_its_test() {
    drop(Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await);
}
