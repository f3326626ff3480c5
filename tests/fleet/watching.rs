//! An operator who leaves `status --watch` open.

use std::time::Duration;

use ringfleet_testkit::eventually;

use crate::rig::{Ends, Rig, RigOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_status_shows_what_changes_and_outlives_a_store_that_goes_and_comes() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    let watch = rig.spawn(&["status", "--watch", "200ms"], &[]);
    let log = watch.log().to_owned();
    // What was shown last, and before it.
    let pages = |rig: &Rig| rig.log(&log).split("\nat ").map(str::to_owned).collect::<Vec<_>>();
    let shows = async |rig: &Rig, part: &str| {
        eventually(Duration::from_secs(20), async || pages(rig).last().is_some_and(|page| page.contains(part))).await;
    };
    shows(&rig, "no messages").await;
    assert!(rig.run(&["fleet", "stop"]).status.success());
    shows(&rig, "STOPPED").await;
    assert!(rig.run(&["fleet", "resume"]).status.success());
    shows(&rig, "fleet   open").await;

    rig.redis_mut().kill();
    shows(&rig, "WARNING").await;
    rig.redis_mut().restart();
    let shown = pages(&rig).len();
    eventually(Duration::from_secs(20), async || pages(&rig).len() > shown + 2).await;
    shows(&rig, "no messages").await;
    assert!(!rig.log(&log).contains('\x1b'), "it is no terminal");
    drop(watch);
    rig.finish(Ends::all()).await;
}
