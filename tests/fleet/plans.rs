//! P1 and P2: never over the plan, and all of it.

use std::time::Duration;

use ringfleet_simulator::LedgerLine;
use ringfleet_store::Gate;
use ringfleet_testkit::eventually;

use crate::{
    delivery::ledger,
    rig::{Ends, Except, Rig, RigOptions, http},
};

const WINDOW: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn four_worker_processes_on_redis_stay_within_every_plan_of_50_extensions() {
    let mut rig = Rig::start(RigOptions::new(50, Duration::from_secs(4))).await;
    for extension in 0..50 {
        rig.enqueue(extension, 90, None).await;
    }
    rig.start_workers(4);
    rig.until_ended(50 * 90, Duration::from_secs(60)).await;
    // How much of the plan is used is measured by the demo and the benchmarks, on a quiet machine; here it is only told.
    eprintln!("quota use {:?}", rig.simulator.report().quota_use_mean);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_worker_processes_share_one_sqlite_file() {
    let mut rig = Rig::start(RigOptions::new(10, WINDOW).on_sqlite()).await;
    for extension in 0..10 {
        rig.enqueue(extension, 60, None).await;
    }
    rig.start_workers(3);
    rig.until_ended(600, Duration::from_secs(60)).await;
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_spending_the_quota_slows_the_lane_down_but_loses_nothing() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(3))).await;
    // A stranger with the same app and user uses most of the window: other Medium requests of the same lane.
    let stranger = http();
    let token = rig.simulator.access_token(&rig.accounts[0].extension_id).unwrap();
    for _ in 0..30 {
        let url = format!("{}/restapi/v1.0/account/~/extension", rig.simulator.base_url());
        stranger.get(url).bearer_auth(&token).send().await.unwrap();
    }
    rig.enqueue(0, 60, None).await;
    rig.start_workers(2);
    rig.until_ended(60, Duration::from_secs(60)).await;
    let on_its_way = rig.rules.in_flight_cap.into();
    let ends = Ends::all().except(
        Except::Throttled { at_most: on_its_way },
        "the lane learns of the stranger from answers: what was on its way when he took the last place can't be called \
         back, so a 429 may come for each of them; nothing may follow until the penalty is over",
    );
    let ends = ends.except(Except::OverPlan { at_most: on_its_way }, "these, and the stranger's, are in one window");
    assert_eq!(rig.finish(ends).await.report.distinct, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_account_keeps_every_lane_quiet_until_it_is_over() {
    let mut rig = Rig::start(RigOptions::new(2, WINDOW)).await;
    rig.enqueue(1, 1, None).await;
    rig.start_workers(2);
    // The other extension has its session and could send.
    rig.until_ended(1, Duration::from_secs(20)).await;
    rig.add_fault(serde_json::json!({
        "match": {"extension": rig.accounts[0].extension_id}, "times": 1,
        "fault": {"kind": "throttle", "retry_after": 3, "headers": false}
    }));
    // One alone, so that no other send is on its way.
    rig.enqueue(0, 1, None).await;
    let closed = async || rig.store.gate().await.unwrap() != Gate::Open;
    eventually(Duration::from_secs(20), closed).await;
    for extension in 0..2 {
        rig.enqueue(extension, 20, None).await;
    }
    rig.until_ended(42, Duration::from_secs(30)).await;
    let ledger = ledger(&rig).await;
    let sends = || ledger.iter().filter_map(|line| if let LedgerLine::Sms(send) = line { Some(send) } else { None });
    let refused = sends().find(|send| send.outcome == "faulted").unwrap().at_ns;
    let next = sends().map(|send| send.at_ns).filter(|at| *at > refused).min().unwrap();
    assert!(next - refused >= 3_000_000_000, "a send came {} ms after the refusal", (next - refused) / 1_000_000);
    // The simulator keeps everybody out meanwhile, and counts who comes.
    let ends = Ends::all().except(Except::Throttled { at_most: 1 }, "a look at a mailbox may be on its way");
    let report = rig.finish(ends).await.report;
    assert_eq!((report.faulted, report.sms_429, report.accepted), (1, 0, 42), "{report:?}");
}
