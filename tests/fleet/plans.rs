//! P1 and P2: never over the plan, and all of it.

use std::time::Duration;

use crate::rig::{Ends, Except, Rig, RigOptions, http};

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
    let ends = Ends::all().except(
        Except::Throttled { at_most: rig.rules.in_flight_cap.into() },
        "the lane learns of the stranger from answers: what was on its way when he took the last place can't be called \
         back, so a 429 may come for each of them; nothing may follow until the penalty is over",
    );
    assert_eq!(rig.finish(ends).await.report.distinct, 60);
}
