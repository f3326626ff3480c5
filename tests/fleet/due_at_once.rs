//! Many messages due at one instant.

use std::time::{Duration, SystemTime};

use crate::rig::{Ends, Rig, RigOptions};

#[tokio::test(flavor = "multi_thread")]
async fn row_33_ten_thousand_messages_due_at_one_instant_over_1_000_extensions_do_not_stall_anything() {
    let mut rig = Rig::start(RigOptions::new(1_000, Duration::from_secs(10))).await;
    // Far enough ahead that all are enqueued and every session is open before.
    let due = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(20)).unwrap();
    for extension in 0..1_000 {
        rig.enqueue(extension, 10, Some(due.to_string())).await;
    }
    rig.start_workers(2);
    assert!(SystemTime::now() < SystemTime::from(due), "enqueueing took too long for the test to mean anything");
    assert_eq!(rig.simulator.report().requests, 0, "something was sent too early");
    tokio::time::sleep(SystemTime::from(due).duration_since(SystemTime::now()).unwrap()).await;
    let took = rig.until_ended(10_000, Duration::from_secs(60)).await;
    eprintln!("10,000 due at once were all sent {took:?} after their time, 1,000 logins among it");
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 10_000);
}
