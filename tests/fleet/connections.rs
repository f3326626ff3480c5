//! Connections that no message needs: kept alive before their refresh tokens run out, by one process at a time.

use std::{path::Path, time::Duration};

use ringcentral::RefreshToken;
use ringfleet_identity::{Login, Method};
use ringfleet_testkit::eventually;

use crate::{
    logins::Fleet,
    rig::{Ends, RigOptions},
};

const LIFE: Duration = Duration::from_secs(10);

/// A fleet without work, of which so many are connected; a connection ends when it is not refreshed within [`LIFE`].
async fn idle(extensions: u32) -> Fleet {
    let mut options = RigOptions::new(extensions.max(1), Duration::from_secs(2)).quick();
    options.simulator.refresh_token_ttl = LIFE;
    let fleet = Fleet::start(options).await;
    for extension in 0..extensions as usize {
        fleet.put(extension, fleet.by_code(extension).await, 20).await;
    }
    fleet
}

async fn refresh_token(fleet: &Fleet, extension: usize) -> RefreshToken {
    let credential = fleet.vault.get(&fleet.id(extension), Method::Code).await.unwrap().unwrap();
    let Login::Code { refresh, .. } = credential.login else { panic!("no connection") };
    refresh
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_fleet_stays_connected_for_several_lives_by_one_refresh_a_due_point() {
    const EXTENSIONS: u32 = 4;
    const LIVES: u32 = 3;
    let mut fleet = idle(EXTENSIONS).await;
    for _ in 0..3 {
        fleet.start_worker(None);
    }
    tokio::time::sleep(LIVES * LIFE).await;
    let report = fleet.keyed.rig.simulator.report();
    // Due at half of its life at the earliest, and once when it was new, because nobody knew how old it was.
    let most = u64::from(EXTENSIONS * (2 * LIVES + 1));
    assert!(report.refreshes <= most, "{report:?}");
    assert!(report.refreshes >= u64::from(EXTENSIONS * LIVES), "{report:?}");
    for extension in 0..EXTENSIONS as usize {
        assert!(fleet.connection_is_alive(extension).await, "extension {extension} has lost its connection");
    }
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    let logins = u64::from(EXTENSIONS);
    assert_eq!(
        (report.sessions_max, report.logins, report.auth_refused, report.auth_429),
        (1, logins, 0, 0),
        "{report:?}"
    );
    eprintln!("{} refreshes of {EXTENSIONS} connections in {LIVES} lives", report.refreshes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_the_answer_and_its_write_costs_no_idle_connection() {
    let mut fleet = idle(1).await;
    let first = refresh_token(&fleet, 0).await;
    fleet.start_worker(Some("refresh.after_response=kill@1"));
    eventually(LIFE, async || fleet.keyed.rig.worker_has_ended(0)).await;
    assert_eq!(refresh_token(&fleet, 0).await.expose(), first.expose(), "it was written down before the end");
    fleet.start_worker(None);
    eventually(LIFE, async || refresh_token(&fleet, 0).await.expose() != first.expose()).await;
    let second = refresh_token(&fleet, 0).await;
    eventually(LIFE, async || refresh_token(&fleet, 0).await.expose() != second.expose()).await;
    assert!(fleet.connection_is_alive(0).await);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.sessions_max, report.logins, report.auth_refused), (1, 1, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_stands_in_for_a_jwt_is_kept_alive_beside_its_sends() {
    let mut fleet = idle(0).await;
    fleet.put(0, fleet.by_jwt(0), 10).await;
    fleet.keyed.rig.enqueue(0, 200, None).await;
    for _ in 0..2 {
        fleet.start_worker(None);
    }
    fleet.keyed.rig.until_ended(20, Duration::from_secs(30)).await;
    fleet.put(0, fleet.by_code(0).await, 20).await;
    fleet.keyed.rig.until_ended(200, Duration::from_secs(60)).await;
    tokio::time::sleep(LIFE / 2).await;
    assert!(fleet.connection_is_alive(0).await);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    // One session of each way to log in.
    assert_eq!((report.accepted, report.unauthorized, report.auth_refused), (200, 0, 0), "{report:?}");
    assert_eq!((report.sessions_max, report.logins), (2, 2), "{report:?}");
}

/// Bytes of an append-only file, of all its parts.
fn written(redis: &Path) -> u64 {
    let parts = std::fs::read_dir(redis.join("appendonlydir")).unwrap();
    parts.map(|part| part.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_lost_the_newest_refresh_token_is_told_it_again() {
    let mut options = RigOptions::new(1, Duration::from_secs(2)).quick();
    // The provider forgives nothing.
    options.simulator.replay_while_unused = Duration::ZERO;
    options.simulator.replay_after_use = Duration::ZERO;
    let mut fleet = Fleet::start(options).await;
    fleet.keyed.rig.enqueue(0, 1, None).await;
    fleet.start_worker(None);
    // It is known to the store before, so that the store waits for what it has to tell.
    eventually(Duration::from_secs(20), async || {
        fleet.keyed.rig.store.lane(&fleet.keyed.rig.lane(0)).await.unwrap().parked.is_some()
    })
    .await;
    fleet.put(0, fleet.by_code(0).await, 20).await;
    let first = refresh_token(&fleet, 0).await;
    let kept = written(fleet.keyed.rig.redis().dir());
    fleet.keyed.rig.until_ended(1, Duration::from_secs(30)).await;
    let second = refresh_token(&fleet, 0).await;
    assert_ne!(second.expose(), first.expose());

    let redis = fleet.keyed.rig.redis_mut();
    redis.kill();
    let lost = written(redis.dir()) - kept;
    redis.truncate_tail(lost);
    redis.restart();
    eventually(Duration::from_secs(20), async || {
        let known = fleet.vault.get(&fleet.id(0), Method::Code).await.ok().flatten();
        known.is_some_and(
            |known| matches!(known.login, Login::Code { refresh, .. } if refresh.expose() == second.expose()),
        )
    })
    .await;
    // Told when it is written.
    let told = "the store had lost the newest refresh token";
    eventually(Duration::from_secs(5), async || fleet.keyed.rig.logs().contains(told)).await;
    fleet.keyed.rig.until_ended(1, Duration::from_secs(30)).await;
    assert!(fleet.connection_is_alive(0).await);
    let report = fleet.keyed.rig.finish(Ends::all()).await.report;
    assert_eq!((report.accepted, report.auth_refused), (1, 0), "{report:?}");
}
