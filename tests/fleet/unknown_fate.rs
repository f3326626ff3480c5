//! P4: a send whose fate is unknown is never repeated blindly; the provider's message store says what became of it.

use std::time::{Duration, Instant};

use ringfleet_simulator::{Endpoint, Latency, LedgerLine};
use ringfleet_store::{ListFrom, OnUnknown, State};
use ringfleet_testkit::eventually;

use crate::{
    delivery::{ledger, requests},
    rig::{Ends, Except, Rig, RigOptions},
    wishes::at_the_provider,
};

fn quick(extensions: u32) -> RigOptions {
    RigOptions::new(extensions, Duration::from_secs(2)).quick()
}

/// With time for an answer on a busy machine: where what gets none is held or sent again, one more would be counted.
fn patient() -> RigOptions {
    RigOptions::new(1, Duration::from_secs(2))
}

/// 40 texts of two extensions, of which the first meets `fault` five times. All must be sent once.
async fn cleared_up_after(mut options: RigOptions, fault_kind: serde_json::Value, arrived: u64) {
    options.simulator.extensions = 2;
    let mut rig = Rig::start(options).await;
    let extension = rig.accounts[0].extension_id.clone();
    rig.add_fault(serde_json::json!({"match": {"extension": extension}, "fault": fault_kind, "times": 5}));
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    rig.start_workers(2);
    rig.until_ended(40, Duration::from_secs(60)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.stats.count(State::Held)), (40, 0), "{end:?}");
    assert_eq!((end.report.accepted, end.report.requests), (40, 45 - arrived), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_12_accepted_but_never_answered_is_found_and_not_sent_again() {
    cleared_up_after(quick(2), serde_json::json!({"kind": "accept_then_hang"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_26_an_answer_that_drips_in_is_found_and_not_sent_again() {
    cleared_up_after(quick(2), serde_json::json!({"kind": "drip"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_the_request_is_found_and_one_cut_before_is_sent_again() {
    cleared_up_after(quick(2), serde_json::json!({"kind": "accept_then_reset"}), 5).await;
    cleared_up_after(quick(2), serde_json::json!({"kind": "reset_before"}), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_found_or_sent_again_as_the_provider_took_it_or_not() {
    cleared_up_after(quick(2), serde_json::json!({"kind": "error_after_accept", "status": 502}), 5).await;
    cleared_up_after(quick(2), serde_json::json!({"kind": "error_before", "status": 500}), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27_an_accepted_text_with_an_unreadable_answer_is_found() {
    for kind in ["garbage", "truncated", "huge"] {
        cleared_up_after(quick(2), serde_json::json!({"kind": kind}), 5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_without_plus_and_prefixed_texts_are_recognised() {
    let mut options = quick(2);
    options.simulator.store_numbers_without_plus = true;
    options.simulator.text_prefix = Some("Test SMS using a RingCentral Developer account - ".to_owned());
    cleared_up_after(options, serde_json::json!({"kind": "accept_then_hang"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_store_that_lags_less_than_the_settle_time_hides_nothing() {
    let mut options = quick(2);
    options.settle_time = Duration::from_secs(4);
    options.simulator.store_lag = Duration::from_secs(3);
    cleared_up_after(options, serde_json::json!({"kind": "accept_then_hang"}), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_on_a_later_page_of_a_long_list_is_found() {
    let mut options = quick(1);
    options.simulator.limits.medium = 1_000;
    let mut rig = Rig::start(options).await;
    // The first text hangs; by the time it is looked up 1,200 others stand before it in the list.
    rig.add_fault(
        serde_json::json!({"match": {"to": "+15552009999"}, "fault": {"kind": "accept_then_hang"}, "times": 1}),
    );
    let extension = rig.accounts[0].extension_id.clone();
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-store", "extension": extension},
            "fault": {"kind": "error_before", "status": 503}, "times": 2}));
    rig.enqueue_to(0, "+15552009999", "the first").await;
    rig.enqueue(0, 1_200, None).await;
    rig.start_workers(1);
    rig.until_ended(1_201, Duration::from_secs(90)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (1_201, 1_201), "{end:?}");
}

/// That takes it out of the list, and not back from the customer.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_somebody_deletes_at_the_provider_before_it_is_looked_up_is_found() {
    let mut rig = Rig::start(quick(1)).await;
    rig.add_fault(serde_json::json!({"match": {}, "fault": {"kind": "accept_then_hang"}, "times": 2}));
    // Nobody can look before they are deleted.
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-store"},
            "fault": {"kind": "error_before", "status": 503}}));
    rig.enqueue(0, 2, None).await;
    rig.start_workers(1);
    eventually(Duration::from_secs(20), async || rig.stats().await.count(State::Unknown) == 2).await;
    at_the_provider(&rig, 0, "delete-messages", serde_json::json!({})).await;
    rig.clear_faults();
    rig.until_ended(2, Duration::from_secs(60)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (2, 2), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_texts_to_one_number_are_counted_one_by_one() {
    let mut rig = Rig::start(quick(1)).await;
    rig.add_fault(serde_json::json!({"match": {"every_nth": 2}, "fault": {"kind": "accept_then_hang"}, "times": 3}));
    for _ in 0..6 {
        rig.enqueue_to(0, "+15552000001", "the same text").await;
    }
    rig.start_workers(2);
    rig.until_ended(6, Duration::from_secs(60)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (6, 6), "one text a message: {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_messages_it_is_held_and_says_why() {
    let mut rig = Rig::start(quick(1)).await;
    rig.add_fault(serde_json::json!({"match": {}, "fault": {"kind": "accept_then_hang"}, "times": 2}));
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-store"},
            "fault": {"kind": "error_before", "status": 403, "code": "CMN-408"}}));
    rig.enqueue(0, 10, None).await;
    rig.start_workers(1);
    rig.until_ended(10, Duration::from_secs(60)).await;
    let held = rig.store.list(&ListFrom::newest(State::Held), 10).await.unwrap().messages;
    assert_eq!(held.len(), 2);
    assert!(held.iter().all(|view| view.reason == "unreadable CMN-408" && !view.text.expose().is_empty()), "{held:?}");
    rig.finish(Ends::all().except(Except::NotSent { at_most: 2 }, "nobody may look them up")).await;
}

/// Five texts of ten are accepted without an answer, and the message store can't be read.
async fn five_that_cannot_be_looked_up() -> Rig {
    let mut rig = Rig::start(quick(1)).await;
    rig.add_fault(serde_json::json!({"match": {}, "fault": {"kind": "accept_then_hang"}, "times": 5}));
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-store"},
            "fault": {"kind": "error_before", "status": 503}}));
    rig.enqueue(0, 10, None).await;
    rig.start_worker_with(&[("RINGFLEET__RECONCILE__GIVE_UP", GIVE_UP)]);
    rig
}

const GIVE_UP: &str = "4s";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_up_for_long_is_held_and_says_why() {
    let rig = five_that_cannot_be_looked_up().await;
    rig.until_ended(10, Duration::from_secs(60)).await;
    let held = rig.store.list(&ListFrom::newest(State::Held), 10).await.unwrap().messages;
    assert!(held.len() == 5 && held.iter().all(|view| view.reason == "unreadable for too long"), "{held:?}");
    rig.finish(Ends::all().except(Except::NotSent { at_most: 5 }, "nobody can look them up")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_fleet_in_which_nobody_looks_holds_nothing_when_it_goes_on() {
    let rig = five_that_cannot_be_looked_up().await;
    eventually(Duration::from_secs(30), async || {
        rig.stats().await.count(State::Unknown) == 5 && requests(&rig, Endpoint::MessageStore).await > 0
    })
    .await;
    assert!(rig.run(&["fleet", "stop"]).status.success());
    // More than twice the time after which they are held, and longer than the looks before can count.
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.clear_faults();
    rig.add_fault(serde_json::json!({"match": {"endpoint": "message-store"},
            "fault": {"kind": "error_before", "status": 503}, "times": 1}));
    assert!(rig.run(&["fleet", "resume"]).status.success());
    rig.until_ended(10, Duration::from_secs(60)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.stats.count(State::Held)), (10, 0), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_policy_an_unknown_fate_is_held_at_once_or_sent_again_at_once() {
    for (policy, held, accepted) in [(OnUnknown::Hold, 5, 20), (OnUnknown::Resend, 0, 25)] {
        let mut options = patient();
        options.on_unknown = policy;
        let mut rig = Rig::start(options).await;
        rig.add_fault(
            serde_json::json!({"match": {"every_nth": 2}, "fault": {"kind": "error_after_accept", "status": 500},
            "times": 5}),
        );
        rig.enqueue(0, 20, None).await;
        rig.start_workers(1);
        rig.until_ended(20, Duration::from_secs(60)).await;
        for view in rig.store.list(&ListFrom::newest(State::Held), 10).await.unwrap().messages {
            assert!(
                view.intent_at.is_some() && !view.text.expose().is_empty(),
                "a person has nothing to look at: {view:?}"
            );
        }
        let twice = Except::SentTwice { at_most: accepted - 20 };
        let ends = Ends::all().except(twice, "the policy `resend` sends again what may have arrived");
        let end = rig.finish(ends.except(Except::NotSent { at_most: held }, "the policy `hold` holds it")).await;
        assert_eq!((end.stats.count(State::Held), end.report.accepted), (held, accepted), "{policy:?} {end:?}");
    }
}

/// The provider says of the last attempt that it was not sent; the first one arrived, and its answer never came.
async fn a_dead_message_whose_first_attempt_arrived_is_told_as_one_that_may_have(mut options: RigOptions) {
    options.on_unknown = OnUnknown::Resend;
    let mut rig = Rig::start(options).await;
    rig.add_fault(serde_json::json!({"match": {}, "fault": {"kind": "accept_then_hang"}, "times": 1}));
    rig.add_fault(
        serde_json::json!({"match": {}, "fault": {"kind": "error_before", "status": 503, "code": "MSG-290"}}),
    );
    let id = rig.enqueue_to(0, "+15552007788", "a text that arrives at once").await.to_string();
    // One refusal is enough: the next try would come half a minute later.
    rig.start_worker_with(&[("RINGFLEET__WORKER__MAX_ATTEMPTS", "2")]);
    rig.until_ended(1, Duration::from_secs(30)).await;
    assert_eq!(rig.stats().await.count(State::Dead), 1);
    let (extension, maybe) = (rig.accounts[0].extension_id.clone(), "an earlier attempt may have arrived");
    let look = format!("look among the texts that extension {extension} sent from ");
    let first = format!("{maybe}: look first among the texts that extension {extension} sent from ");
    for (command, parts) in [
        (&["message", "show", &id][..], &[first.as_str(), "begun after"][..]),
        (&["held", "show", &id], &[&first, &look, " until ", "ends in 7788", "it is there"]),
        (&["held", "show", &id, "--json"], &[&first, r#""recipient_ends_in": "7788""#]),
        (&["explain", &id], &[maybe, "it is dead: MSG-290", "; look from ", "where to look first"]),
        (&["explain", &id, "--json"], &[maybe, r#""intent_at": "2"#]),
        (&["message", "dead"], &[maybe]),
        (&["message", "show", &id, "--json"], &[&first, r#""recipient_ends_in": "7788""#]),
        (&["message", "dead", "--json"], &[&first, r#""dead": 1"#]),
        (&["message", "list", "--state", "dead", "--json"], &[&first, r#""to": "#]),
    ] {
        let told = String::from_utf8(rig.run(command).stdout).unwrap();
        for part in parts {
            assert!(told.contains(part), "`ringfleet {}` does not say {part:?}:\n{told}", command.join(" "));
        }
        assert!(!told.contains("not sent"), "`ringfleet {}`:\n{told}", command.join(" "));
    }
    let twice = Except::SentTwice { at_most: 1 };
    let ends = Ends::all().except(twice, "the policy `resend` gives one up that has arrived");
    let end = rig.finish(ends.except(Except::NotSent { at_most: 1 }, "it is dead")).await;
    assert_eq!((end.report.accepted, end.report.requests), (1, 2), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_message_whose_first_attempt_arrived_is_told_as_one_that_may_have_on_redis() {
    a_dead_message_whose_first_attempt_arrived_is_told_as_one_that_may_have(patient()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_message_whose_first_attempt_arrived_is_told_as_one_that_may_have_on_sqlite() {
    a_dead_message_whose_first_attempt_arrived_is_told_as_one_that_may_have(patient().on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_send_in_ten_timing_out_after_it_was_accepted_costs_neither_a_text_nor_the_quota() {
    // Ten windows of 40, five extensions: 2,000 texts. A time-out takes a hundredth of a window of the real thing's share.
    let mut options = RigOptions::new(5, Duration::from_secs(6)).quick();
    options.request_timeout = Duration::from_millis(500);
    let mut rig = Rig::start(options).await;
    rig.add_fault(serde_json::json!({"match": {"fraction": 0.1}, "fault": {"kind": "accept_then_hang"}}));
    for extension in 0..5 {
        rig.enqueue(extension, 400, None).await;
    }
    rig.start_workers(2);
    rig.until_ended(2_000, Duration::from_secs(120)).await;
    let end = rig.finish(Ends::all()).await;
    let report = end.report;
    assert_eq!((end.stats.count(State::Sent), end.stats.count(State::Held)), (2_000, 0), "{report:?}");
    assert_eq!((report.accepted, report.distinct), (2_000, 2_000), "{report:?}");
    assert!(report.faulted + report.http_429 < 2_000);
    // Told, not judged: a loaded machine is slow.
    eprintln!("quota use: mean {:?}, worst {:?}", report.quota_use_mean, report.quota_use_worst);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_23_a_429_parks_the_lane_for_its_time_and_costs_no_attempt() {
    let mut options = RigOptions::new(2, Duration::from_secs(3)).quick();
    // Answers that come apart, so that some requests are always on their way.
    options.simulator.sms_latency = Latency::Uniform(Duration::ZERO, Duration::from_millis(300));
    let mut rig = Rig::start(options).await;
    let extension = rig.accounts[0].extension_id.clone();
    rig.add_fault(serde_json::json!({"match": {"extension": extension, "every_nth": 3},
            "fault": {"kind": "throttle", "retry_after": 1, "headers": true}, "times": 1}));
    rig.enqueue(0, 20, None).await;
    rig.enqueue(1, 20, None).await;
    rig.start_workers(1);
    let refused = async || {
        let lane = rig.store.lane(&rig.lane(0)).await.unwrap();
        lane.penalty_until.is_some() && lane.in_flight == 0
    };
    eventually(Duration::from_secs(10), refused).await;
    // Another one takes over, which has met no refusal: it goes by what the store says, and not by its own guard.
    rig.signal_worker(0, "TERM");
    rig.start_workers(1);
    rig.until_ended(40, Duration::from_secs(60)).await;
    nothing_follows_until_the_penalty_is_over(&rig, &extension).await;
    let in_flight = Except::Throttled { at_most: u64::from(rig.rules.in_flight_cap) - 1 };
    let because = "those that were on the way when the penalty began can't be called back; nothing may follow them";
    let end = rig.finish(Ends::all().except(in_flight, because)).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted, end.report.faulted), (40, 40, 1), "{end:?}");
}

/// Each refusal begins the penalty anew, as long as the window; what was on its way arrives within its time-out.
async fn nothing_follows_until_the_penalty_is_over(rig: &Rig, extension: &str) {
    let is_ours = |line| match line {
        LedgerLine::Sms(send) if send.extension == extension => Some((send.at_ns, send.outcome)),
        _ => None,
    };
    let sends: Vec<(u64, String)> = ledger(rig).await.into_iter().filter_map(is_ours).collect();
    let refused = || sends.iter().filter(|(_, outcome)| outcome != "accepted").map(|(at, _)| *at);
    let (first, last) = (refused().min().unwrap(), refused().max().unwrap());
    assert!(last > first, "none was on its way, so the penalty did not begin anew: {sends:?}");
    let quiet = first + rig.options.request_timeout.as_nanos() as u64..last + rig.options.window.as_nanos() as u64;
    let inside: Vec<_> = sends.iter().filter(|(at, _)| quiet.contains(at)).collect();
    assert!(inside.is_empty(), "in {quiet:?} arrived {inside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_a_5xx_storm_opens_the_breaker_and_leaves_the_backlog_alone() {
    let mut rig = Rig::start(quick(10)).await;
    for extension in 0..10 {
        rig.enqueue(extension, 60, None).await;
    }
    rig.add_fault(serde_json::json!({"match": {}, "fault": {"kind": "error_before", "status": 502}}));
    rig.start_workers(1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let storm = rig.simulator.report();
    // Those in hand when it began, and a canary for each pause of one to four seconds.
    assert!(storm.requests <= 64 + 30, "the backlog was thrown into the storm: {storm:?}");
    rig.clear_faults();
    let over = Instant::now();
    eventually(Duration::from_secs(20), async || rig.simulator.report().accepted > 0).await;
    assert!(over.elapsed() < Duration::from_secs(10), "the first send came {:?} after the storm", over.elapsed());
    rig.until_ended(600, Duration::from_secs(60)).await;
    assert_eq!(rig.finish(Ends::all()).await.stats.count(State::Sent), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_25_an_extension_whose_answers_hang_keeps_no_other_waiting() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    let extension = rig.accounts[0].extension_id.clone();
    rig.add_fault(serde_json::json!({"match": {"extension": extension}, "fault": {"kind": "accept_then_hang"}}));
    rig.enqueue(0, 50, None).await;
    rig.start_workers(1);
    // A whole round of it, which alone tells of nothing but this extension.
    eventually(Duration::from_secs(30), async || rig.stats().await.count(State::Unknown) >= 5).await;
    let mut quiet = Vec::new();
    for n in 0..4 {
        let handed_in = rig.simulator_now();
        quiet.push((rig.enqueue_to(1, &format!("+1555200910{n}"), &format!("a quiet one's {n}")).await, handed_in));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let arrivals = rig.arrivals().await;
    for (id, handed_in) in quiet {
        let waited = arrivals.get(&id).map(|at| Duration::from_nanos(at.saturating_sub(handed_in)));
        assert!(waited.is_some_and(|waited| waited < Duration::from_secs(2)), "{id} waited {waited:?}");
    }
    rig.clear_faults();
    rig.until_ended(54, Duration::from_secs(60)).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (54, 54), "{end:?}");
}
