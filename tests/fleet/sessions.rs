//! P6: one session an extension, renewed ahead of time, and no send that its renewal costs.

use std::time::Duration;

use ringfleet_store::State;

use crate::rig::{Ends, Rig, RigOptions};

/// The long form of a test, for whoever has the time: `RINGFLEET_LONG=1`.
fn load_seconds() -> u64 {
    if std::env::var_os("RINGFLEET_LONG").is_some() { 120 } else { 20 }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_three_seconds_cost_no_send_and_are_renewed_once_a_lifetime() {
    const EXTENSIONS: usize = 4;
    let seconds = load_seconds();
    let mut options = RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2));
    options.simulator.access_token_ttl = Duration::from_secs(3);
    options.simulator.sms_latency =
        ringfleet_simulator::Latency::Uniform(Duration::from_millis(5), Duration::from_millis(80));
    let mut rig = Rig::start(options).await;
    // 40 in two seconds, so the backlog lasts as long as the test.
    let each = 20 * seconds as usize;
    for extension in 0..EXTENSIONS {
        rig.enqueue(extension, each, None).await;
    }
    rig.start_workers(4);
    let all = (EXTENSIONS * each) as u64;
    let took = rig.until_ended(all, Duration::from_secs(3 * seconds)).await;
    assert_eq!(rig.stats().await.count(State::Sent), all);
    let report = rig.finish(Ends::all()).await.report;
    assert_eq!((report.unauthorized, report.auth_429, report.auth_refused), (0, 0, 0), "{report:?}");
    assert_eq!((report.sessions_max, report.logins), (1, EXTENSIONS as u64), "{report:?}");
    // The shortest time between two renewals is 75 % of a lifetime.
    let most = (took.as_secs_f64() / 2.25).ceil() as u64 + 1;
    assert!(report.refreshes <= EXTENSIONS as u64 * most, "{report:?}");
    assert!(report.refreshes >= EXTENSIONS as u64 * (seconds / 4), "{report:?}");
    eprintln!("{all} texts in {took:?}, {} refreshes, quota use {:?}", report.refreshes, report.quota_use_mean);
}
