//! Rows 9 to 16: a worker that is killed, told to end, or frozen at each place of a send's life.

use std::time::{Duration, Instant};

use ringfleet_store::State;
use ringfleet_testkit::eventually;

use crate::rig::{Ends, Rig, RigOptions};

const MESSAGES: u64 = 60;
/// The promise is 15 s; for what was begun, the settle time more.
const LIMIT: Duration = Duration::from_secs(15);

struct Fate {
    redis: bool,
    failpoint: String,
    thaw_after: Option<Duration>,
    settle_time: Duration,
    /// What becomes unknown is held instead of looked up, so that it shows.
    holds: bool,
}

impl Fate {
    fn of(place: &str, action: &str) -> Self {
        let thaw_after = (action == "stop").then_some(Duration::from_secs(6));
        // Claims are few.
        let passing = if place.starts_with("claim") { 1 } else { 3 };
        let failpoint = format!("{place}={action}@{passing}");
        Self { redis: true, failpoint, thaw_after, settle_time: Duration::from_millis(1_200), holds: false }
    }
}

/// One worker meets its fate at `failpoint`; another one comes then. Everything must be sent once.
async fn survives(fate: Fate) -> Rig {
    let Fate { redis, failpoint, thaw_after, settle_time, holds } = fate;
    let mut options = RigOptions::new(6, Duration::from_secs(2)).quick();
    options.redis = redis;
    options.settle_time = settle_time;
    if holds {
        options = options.holding();
    }
    options.simulator.sms_latency = ringfleet_simulator::Latency::Fixed(Duration::from_millis(100));
    let mut rig = Rig::start(options).await;
    for extension in 0..6 {
        rig.enqueue(extension, MESSAGES as usize / 6, None).await;
    }
    rig.start_worker(Some(&failpoint));
    // There at the same time, the other one might be quicker and leave it nothing to do.
    rig.until_met(0).await;
    let began = Instant::now();
    rig.start_worker(None);
    if let Some(pause) = thaw_after {
        tokio::time::sleep(pause).await;
        rig.signal_worker(0, "CONT");
    }
    rig.until_ended(MESSAGES, Duration::from_secs(60)).await;
    let limit = LIMIT + thaw_after.unwrap_or_default() + settle_time;
    assert!(began.elapsed() < limit, "{failpoint}: took {:?}", began.elapsed());
    if thaw_after.is_some() {
        // Whatever a thawed worker would still send, it would send now.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let report = rig.so_far(MESSAGES).await;
    let stats = rig.stats().await;
    assert_eq!((stats.count(State::Sent), report.accepted), (MESSAGES, MESSAGES), "{failpoint}: {stats:?} {report:?}");
    rig
}

async fn killed(failpoint: &str) {
    for redis in [true, false] {
        let mut rig = survives(Fate { redis, ..Fate::of(failpoint, "kill") }).await;
        assert!(rig.worker_has_ended(0), "the worker never came to {failpoint}");
        rig.finish(Ends::all()).await;
    }
}

macro_rules! killed_at {
    ($($name:ident: $place:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            killed($place).await;
        })*
    };
}

killed_at! {
    row_09_killed_when_the_claim_ran_and_nobody_read_it: "claim.after_script",
    row_09_killed_with_claims_in_hand: "claim.after_reply",
    row_10_killed_before_the_intent: "intent.before",
    row_11_killed_after_the_intent: "intent.after",
    row_11_killed_when_the_connection_stands: "post.connected",
    row_12_killed_when_the_text_has_left: "post.body_sent",
    row_12_killed_when_the_answer_begins: "post.headers",
    row_13_killed_when_the_answer_was_read: "post.body",
    row_13_killed_before_the_settle: "settle.before",
    row_14_killed_when_the_settle_ran: "settle.after_script",
}

#[tokio::test(flavor = "multi_thread")]
async fn row_29_killed_between_a_login_and_its_keeping() {
    for redis in [true, false] {
        let rig = survives(Fate { redis, ..Fate::of("refresh.after_response", "kill") }).await;
        let report = rig.finish(Ends::all()).await.report;
        // What was granted to the dead worker and not kept is granted once more, and nothing else.
        assert!((6 + 1..=6 + 6).contains(&report.logins) && report.sessions_max <= 2, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_told_to_end_at_any_place_leaves_nothing_unknown() {
    for place in
        ["claim.after_reply", "intent.before", "intent.after", "post.connected", "post.headers", "settle.before"]
    {
        let mut rig = survives(Fate { holds: true, ..Fate::of(place, "term") }).await;
        // The others may be done with its messages before it has told everybody that it goes.
        eprintln!("waits for the worker to end at {place}");
        eventually(Duration::from_secs(30), async || rig.worker_has_ended(0)).await;
        assert!(!rig.logs().contains("worker stopped answering"), "somebody had to take over at {place}");
        rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_killed_in_the_middle_of_a_drain() {
    let mut options = RigOptions::new(4, Duration::from_secs(2)).quick();
    options.simulator.sms_latency = ringfleet_simulator::Latency::Fixed(Duration::from_millis(300));
    let mut rig = Rig::start(options).await;
    for extension in 0..4 {
        rig.enqueue(extension, 40, None).await;
    }
    rig.start_worker(Some("drain.mid=kill@1"));
    let busy = async || rig.stats().await.count(State::Sending) >= 8;
    eventually(Duration::from_secs(30), busy).await;
    rig.signal_worker(0, "TERM");
    rig.start_worker(None);
    rig.until_ended(160, Duration::from_secs(60)).await;
    assert!(rig.worker_has_ended(0));
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_16_frozen_past_its_lease_sends_nothing_on_it_when_it_thaws() {
    // A lease is two seconds; the other worker takes over while this one stands still, and looks up what was begun.
    // The settle time outlasts the freeze: a process that is stopped between its last look at the clock and the moment in
    // which its bytes leave it sends them when it thaws, and nothing in it can prevent that. They are found then, not sent again.
    for place in [
        "claim.after_reply",
        "intent.before",
        "intent.after",
        "post.connected",
        "post.headers",
        "post.body",
        "settle.before",
    ] {
        let rig = survives(Fate { settle_time: Duration::from_secs(7), ..Fate::of(place, "stop") }).await;
        rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_16_what_another_worker_has_sent_meanwhile_is_not_posted_at_the_thaw() {
    // The settle time is over long before the thaw, so nothing finds a text that would leave then: the look at the clock alone
    // keeps it back.
    for place in ["intent.before", "intent.after", "post.connected"] {
        let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).quick()).await;
        rig.enqueue(0, 1, None).await;
        rig.start_worker(Some(&format!("{place}=stop@1")));
        rig.until_met(0).await;
        rig.start_worker(None);
        rig.until_ended(1, Duration::from_secs(60)).await;
        rig.signal_worker(0, "CONT");
        // Ends with a drain, which waits for all that it would still send.
        let report = rig.finish(Ends::all()).await.report;
        assert_eq!((report.accepted, report.requests), (1, 1), "{place}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_report_nothing_any_more_ends_and_what_it_has_sent_is_looked_up() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).quick()).await;
    rig.enqueue(0, 3, None).await;
    let environment = [("RINGFLEET_FAILPOINT", "settle.before=panic@1"), ("RINGFLEET__METRICS__LISTEN", "127.0.0.1:0")];
    let mut worker = rig.spawn(&["worker"], &environment);
    eventually(Duration::from_secs(30), async || worker.child.try_wait().unwrap().is_some()).await;
    assert_eq!(worker.child.wait().unwrap().code(), Some(1));
    assert!(rig.log(worker.log()).contains("the reporting of what it sent ended"), "{}", rig.log(worker.log()));
    rig.start_worker(None);
    rig.until_ended(3, Duration::from_secs(60)).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_report_nothing_any_more_in_a_drain_does_not_go_as_one_that_has_told_all() {
    let mut options = RigOptions::new(1, Duration::from_secs(2)).quick();
    options.simulator.sms_latency = ringfleet_simulator::Latency::Fixed(Duration::from_secs(2));
    let mut rig = Rig::start(options).await;
    rig.enqueue(0, 1, None).await;
    let environment = [("RINGFLEET_FAILPOINT", "settle.before=panic@1"), ("RINGFLEET__METRICS__LISTEN", "127.0.0.1:0")];
    let worker = rig.spawn(&["worker"], &environment);
    let log = worker.log().to_owned();
    eventually(Duration::from_secs(30), async || rig.stats().await.count(State::Sending) == 1).await;
    assert_eq!(worker.end().code(), Some(1));
    let said = rig.log(&log);
    assert!(said.contains("worker drains") && said.contains("the reporting of what it sent ended"), "{said}");
    rig.start_worker(None);
    rig.until_ended(1, Duration::from_secs(60)).await;
    rig.finish(Ends::all()).await;
}
