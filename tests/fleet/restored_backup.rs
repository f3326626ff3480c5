//! A backup that is brought back has forgotten what was sent since: what docs/delivery-semantics.md tells to do about it.

use std::{fs, sync::Arc, time::Duration};

use ringfleet_store::{
    MessageId, State,
    sqlite::{SqliteOptions, SqliteStore},
};
use ringfleet_testkit::eventually;

use crate::rig::{Ends, Except, Rig, RigOptions};

const WAITED: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// Of a worker that has taken over another one's journal.
const TOLD: &str = "told what dead workers sent last";

/// All went out, and then the backup took the store's place, in which they still wait. The fleet is stopped.
async fn restored(environment: &[(&str, &str)]) -> (Rig, Vec<MessageId>) {
    restored_beside(environment, false).await
}

/// With a `neighbour` that shares the first worker's folder, and ends when it has taken over what that one has left there.
async fn restored_beside(environment: &[(&str, &str)], neighbour: bool) -> (Rig, Vec<MessageId>) {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let ids = rig.enqueue_named(0, WAITED as usize, None, "handed in before the backup").await;
    let (live, backup) = (rig.path("fleet.db"), rig.path("backup.db"));
    let copy = rusqlite::Connection::open(&live).unwrap();
    copy.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    drop(copy);
    rig.start_worker_with(environment);
    rig.until_ended(WAITED, PATIENCE).await;

    if neighbour {
        rig.start_worker_with(environment);
        eventually(PATIENCE, async || rig.path("journal/worker-1.journal").exists()).await;
        rig.signal_worker(0, "TERM");
        eventually(PATIENCE, async || rig.log("worker-2.log").contains(TOLD)).await;
    }
    rig.drain_workers(PATIENCE);
    for file in ["fleet.db", "fleet.db-wal", "fleet.db-shm"] {
        let _ = fs::remove_file(rig.path(file));
    }
    fs::copy(&backup, &live).unwrap();
    // The kill switch lies in the store: thrown before the copy was there, it would be open again.
    assert!(rig.run(&["fleet", "stop", "--reason", "restored backup"]).status.success());
    let options = SqliteOptions { rules: rig.rules, ..SqliteOptions::default() };
    rig.store = Arc::new(SqliteStore::open(&live, options).await.unwrap());
    assert_eq!(rig.stats().await.count(State::Ready), WAITED, "the copy is not of before");
    rig.start_worker_with(environment);
    let log = format!("worker-{}.log", 2 + usize::from(neighbour));
    eventually(PATIENCE, async || rig.log(&log).contains("worker starts")).await;
    (rig, ids)
}

/// What comes in from now on is sent, and nothing else.
async fn goes_on(rig: &Rig) {
    assert_eq!(rig.simulator.report().accepted, WAITED, "something went out before the fleet was let go on");
    assert!(rig.run(&["fleet", "resume"]).status.success());
    let file = rig.path("next.csv");
    let from = &rig.accounts[0].numbers[0];
    fs::write(&file, format!("from,to,text\n{from},+15552009999,handed in after it\n")).unwrap();
    rig.keep_secret(["handed in after it", "+15552009999"]);
    assert!(rig.run(&["import", file.to_str().unwrap()]).status.success());
    rig.handed_in_elsewhere(1);
    rig.until_ended(WAITED + 1, PATIENCE).await;
    let report = rig.simulator.report();
    assert_eq!((report.accepted, report.duplicates), (WAITED + 1, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_sends_nothing_until_the_operator_has_taken_back_what_waited_in_it() {
    let (rig, ids) = restored(&[]).await;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let cancel: Vec<&str> = ["message", "cancel"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let output = rig.run(&cancel);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(rig.stats().await.count(State::Cancelled), WAITED);
    goes_on(&rig).await;
    let because = "the backup is older than their sending, and they were taken back";
    let ends = Ends::all().except(Except::Forgotten { at_most: WAITED }, because);
    rig.finish(ends.except(Except::NotSent { at_most: WAITED }, "the same")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_told_by_the_workers_journals_what_was_sent_while_the_fleet_is_stopped() {
    let (rig, _) = restored(&[("RINGFLEET__WORKER__JOURNAL_DIR", "journal")]).await;
    eventually(PATIENCE, async || rig.stats().await.count(State::Sent) == WAITED).await;
    goes_on(&rig).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_told_what_every_worker_of_a_folder_has_sent_although_they_ended_one_after_the_other() {
    let (rig, _) = restored_beside(&[("RINGFLEET__WORKER__JOURNAL_DIR", "journal")], true).await;
    eventually(PATIENCE, async || rig.stats().await.count(State::Sent) == WAITED).await;
    goes_on(&rig).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_a_fleet_that_has_ended_is_one_file_and_a_copy_of_it_knows_what_was_handed_in() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    // Not the rig's own, which is open for as long as the rig is there.
    let store_at = |name| format!("sqlite:{}", rig.path(name).display());
    let is_one_file = || !rig.path("live.db-wal").exists() && !rig.path("live.db-shm").exists();
    let (live, copy) = (store_at("live.db"), store_at("copy.db"));
    let (live, copy) = ([("RINGFLEET__STORE__URL", &*live)], [("RINGFLEET__STORE__URL", &*copy)]);
    let (from, due) = (&rig.accounts[0].numbers[0], jiff::Timestamp::now() + Duration::from_secs(3_600));
    let row = format!("from,to,text,send_at,key\n{from},+15552009999,handed in before it,{due},canary-visit\n");
    fs::write(rig.path("later.csv"), row).unwrap();
    rig.keep_secret(["+15552009999", "handed in before it", "canary-visit"]);
    for command in [&["import", "later.csv"][..], &["status"]] {
        assert!(rig.run_with(command, &live).status.success());
        assert!(is_one_file(), "{command:?} leaves more");
    }
    let listens = [("RINGFLEET__API__LISTEN", "127.0.0.1:0"), ("RINGFLEET__METRICS__LISTEN", "127.0.0.1:0")];
    for command in ["up", "api"] {
        let running = rig.spawn(&[command], &[&live[..], &listens].concat());
        eventually(PATIENCE, async || rig.log(running.log()).contains("api listens")).await;
        assert!(running.end().success());
        assert!(is_one_file(), "{command} leaves more");
    }
    fs::copy(rig.path("live.db"), rig.path("copy.db")).unwrap();
    let again = rig.run_with(&["import", "later.csv"], &copy);
    let told = String::from_utf8(again.stdout).unwrap();
    assert!(told.contains("0 enqueued, 1 duplicates"), "{told}");
    rig.finish(Ends::all()).await;
}
