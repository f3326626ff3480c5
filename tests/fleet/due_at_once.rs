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
    // A window has room for four times as many, so the machine is what takes time.
    assert!(took < 2 * rig.options.window, "the plans allow all of them at once: {took:?}");
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_of_an_extension_is_not_late_by_its_login() {
    const EXTENSIONS: usize = 8;
    const LOGIN: Duration = Duration::from_millis(500);
    let mut rig = Rig::start(RigOptions::new(2 * EXTENSIONS as u32, Duration::from_secs(2))).await;
    rig.add_fault(serde_json::json!({
        "match": {"endpoint": "token"}, "fault": {"kind": "delay", "ms": LOGIN.as_millis() as u64}
    }));
    // Those of the first half are due before anybody can foresee them.
    let (mut at_once, mut foreseen) = (Vec::new(), Vec::new());
    let ahead = Duration::from_secs(25);
    let due = jiff::Timestamp::try_from(SystemTime::now() + ahead).unwrap();
    let due_ns = rig.simulator_now() + ahead.as_nanos() as u64;
    for extension in 0..EXTENSIONS {
        foreseen.extend(rig.enqueue_named(EXTENSIONS + extension, 1, Some(due.to_string()), "later").await);
    }
    rig.start_workers(2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun_ns = rig.simulator_now();
    for extension in 0..EXTENSIONS {
        at_once.extend(rig.enqueue_named(extension, 1, None, "now").await);
    }
    rig.until_ended(2 * EXTENSIONS as u64, ahead + Duration::from_secs(30)).await;
    let arrivals = rig.arrivals().await;
    let latest = |ids: &[ringfleet_store::MessageId], from: u64| {
        ids.iter().map(|id| Duration::from_nanos(arrivals[id].saturating_sub(from))).max().unwrap()
    };
    let (cold, warm) = (latest(&at_once, begun_ns), latest(&foreseen, due_ns));
    eprintln!("latest first message of {EXTENSIONS}: {cold:?} with its login, {warm:?} foreseen");
    assert!(cold >= LOGIN, "the logins took no time, so nothing is shown");
    assert!(warm < LOGIN, "{warm:?} late");
    rig.clear_faults();
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.logins, report.sessions_max, report.auth_429), (2 * EXTENSIONS as u64, 1, 0), "{report:?}");
}
