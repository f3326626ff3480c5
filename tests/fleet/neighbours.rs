//! P5: nobody's backlog or trouble is somebody else's.

use std::time::{Duration, Instant};

use ringfleet_store::{Group, LaneId, State};

use crate::rig::{Ends, Rig, RigOptions, Waiting};

/// How long ten messages of the `extension`-th extension take from their enqueueing to the last one's end.
async fn ten_messages(rig: &Rig, extension: usize, name: &str) -> Duration {
    let before = rig.sent_by(extension).await;
    let start = Instant::now();
    rig.enqueue_named(extension, 10, None, name).await;
    while rig.sent_by(extension).await < before + 10 {
        assert!(start.elapsed() < Duration::from_secs(60), "the neighbour is stuck: {:?}", rig.stats().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

impl Rig {
    /// What arrived from one extension, by the simulator's ledger.
    async fn sent_by(&self, extension: usize) -> u64 {
        let scope = ringfleet_simulator::ReportScope { lanes: true, ..Default::default() };
        let id = &self.accounts[extension].extension_id;
        let lanes = self.simulator.report_on(&scope).per_lane.unwrap_or_default();
        lanes.iter().find(|lane| &lane.extension == id).map_or(0, |lane| lane.requests)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_with_20_000_messages_delays_its_neighbour_by_less_than_a_second() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2))).await;
    rig.start_workers(2);
    // The first one pays for the login; what is compared begins after it.
    ten_messages(&rig, 1, "warm up").await;
    tokio::time::sleep(rig.rules_window()).await;
    let alone = ten_messages(&rig, 1, "alone").await;
    rig.enqueue(0, 20_000, None).await;
    tokio::time::sleep(rig.rules_window()).await;
    let beside = ten_messages(&rig, 1, "beside").await;
    eprintln!("alone {alone:?}, beside 20,000 {beside:?}");
    assert!(beside <= alone + Duration::from_secs(1), "alone {alone:?}, beside 20,000 {beside:?}");
    let waiting = rig.store.lane(&rig.lane(0)).await.unwrap().waiting;
    assert!(waiting > 15_000, "the backlog was gone before the comparison");
    rig.finish(Ends::waiting(Waiting::Rest, "a backlog of 20,000 is what the neighbour is compared beside")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_extension_does_not_use_up_the_workers_hands() {
    let mut rig = Rig::start(RigOptions::new(3, Duration::from_secs(2))).await;
    let extension = &rig.accounts[0].extension_id;
    rig.add_fault(serde_json::json!({"match": {"extension": extension}, "fault": {"kind": "delay", "ms": 1_500}}));
    rig.start_workers(1);
    ten_messages(&rig, 1, "warm up").await;
    rig.enqueue(0, 200, None).await;
    tokio::time::sleep(rig.rules_window()).await;
    let beside = ten_messages(&rig, 1, "beside").await;
    assert!(beside < Duration::from_secs(1), "{beside:?}");
    rig.finish(Ends::waiting(Waiting::Rest, "the slow extension has more than it can send in this time")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_whose_login_hangs_do_not_use_up_the_workers_hands() {
    const HANG: Duration = Duration::from_secs(15);
    let mut options = RigOptions::new(9, Duration::from_secs(2));
    options.request_timeout = HANG;
    options.settle_time = HANG + Duration::from_secs(1);
    let mut rig = Rig::start(options).await;
    // Before anybody knows whose the budget of logins is, they are made one after the other.
    let logins = LaneId::try_new("main", "*", Group::Auth).unwrap();
    rig.store.set_parked(&logins, Some("each extension has its own budget of logins")).await.unwrap();
    for account in &rig.accounts[1..] {
        rig.add_fault(serde_json::json!({
            "match": {"endpoint": "token", "extension": account.extension_id}, "fault": {"kind": "hang_before_read"},
            "times": 1
        }));
    }
    rig.start_workers(1);
    ten_messages(&rig, 0, "warm up").await;
    for extension in 1..9 {
        rig.enqueue(extension, 8, None).await;
    }
    // All that a worker has by default.
    let hands = async || rig.stats().await.count(State::Claimed) == 64;
    ringfleet_testkit::eventually(Duration::from_secs(4), hands).await;
    let beside = ten_messages(&rig, 0, "beside").await;
    assert!(beside < HANG * 2 / 3, "{beside:?}");
    rig.until_ended(20 + 64, 4 * HANG).await;
    rig.finish(Ends::all()).await;
}

impl Rig {
    fn rules_window(&self) -> Duration {
        Duration::from_millis(self.rules.plan(Group::Medium).window_ms.into())
    }
}

/// `worker.concurrency` counts from the claim to the answer: more would all meet a provider in trouble.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_texts_wait_for_an_answer_than_a_worker_has_hands() {
    const HANDS: usize = 5;
    const ANSWER: Duration = Duration::from_millis(150);
    let mut rig = Rig::start(RigOptions::new(20, Duration::from_secs(2))).await;
    rig.add_fault(serde_json::json!({
        "match": {"endpoint": "sms"}, "fault": {"kind": "delay", "ms": ANSWER.as_millis() as u64}
    }));
    for extension in 0..20 {
        rig.enqueue(extension, 3, None).await;
    }
    rig.start_worker_with(&[("RINGFLEET__WORKER__CONCURRENCY", &HANDS.to_string())]);
    rig.until_ended(60, Duration::from_secs(30)).await;
    let mut arrivals: Vec<_> = rig.arrivals().await.into_values().collect();
    arrivals.sort_unstable();
    assert_eq!(arrivals.len(), 60);
    for pair in arrivals.windows(HANDS + 1) {
        let apart = Duration::from_nanos(pair[HANDS] - pair[0]);
        assert!(apart >= ANSWER, "{} texts were under way at once", HANDS + 1);
    }
    rig.finish(Ends::all()).await;
}
