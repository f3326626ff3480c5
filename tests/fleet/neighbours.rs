//! P5: nobody's backlog or trouble is somebody else's.

use std::time::{Duration, Instant};

use ringfleet_store::{Group, LaneId};

use crate::rig::{Rig, RigOptions};

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
    let report = rig.simulator.report();
    assert_eq!((report.http_429, report.over_plan), (0, 0), "{report:?}");
    let lane = LaneId::try_new("main", &rig.accounts[0].extension_id, Group::Medium).unwrap();
    assert!(rig.store.lane(&lane).await.unwrap().waiting > 15_000, "the backlog was gone before the comparison");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_extension_does_not_use_up_the_workers_hands() {
    let mut rig = Rig::start(RigOptions::new(3, Duration::from_secs(2))).await;
    let rule = serde_json::json!({
        "match": {"extension": rig.accounts[0].extension_id}, "fault": {"kind": "delay", "ms": 1_500}
    });
    rig.simulator.add_fault(serde_json::from_value(rule).unwrap());
    rig.start_workers(1);
    ten_messages(&rig, 1, "warm up").await;
    rig.enqueue(0, 200, None).await;
    tokio::time::sleep(rig.rules_window()).await;
    let beside = ten_messages(&rig, 1, "beside").await;
    assert!(beside < Duration::from_secs(1), "{beside:?}");
}

impl Rig {
    fn rules_window(&self) -> Duration {
        Duration::from_millis(self.rules.plan(Group::Medium).window_ms.into())
    }
}
