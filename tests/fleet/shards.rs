//! A store of several shards, on a Cluster: a fleet that works on all of them, also while some do not answer.

use std::time::Duration;

use ringfleet_simulator::{Latency, LedgerLine};
use ringfleet_testkit::{eventually, patient_link};

use crate::{
    delivery::ledger,
    rig::{Ends, Rig, RigOptions},
    store_faults::{all_sent_once, loaded, quick, until_sent},
};

const EXTENSIONS: usize = 10;
const SHARDS: u16 = 5;
const PATIENCE: Duration = Duration::from_secs(30);

fn options(latency: Duration) -> RigOptions {
    let mut options = RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2)).on_a_cluster(SHARDS);
    options.simulator.sms_latency = Latency::Fixed(latency);
    options
}

fn tag(shard: usize) -> String {
    format!("{{rf:{shard}}}")
}

/// Which extensions each shard has, by what stands in it.
async fn homes(rig: &Rig) -> Vec<Vec<usize>> {
    let mut homes = Vec::new();
    for (url, tag) in rig.shards() {
        let mut link = patient_link(&url).await;
        let mut names = redis::cmd("HKEYS");
        let lanes: Vec<String> = names.arg(format!("{tag}:lane")).query_async(&mut link).await.unwrap();
        let is_here = |extension: &usize| lanes.iter().any(|lane| lane == rig.lane(*extension).as_str());
        homes.push((0..EXTENSIONS).filter(is_here).collect::<Vec<_>>());
    }
    assert!(homes.iter().all(|some| !some.is_empty()), "a shard has no extension: {homes:?}");
    assert_eq!(homes.iter().flatten().count(), EXTENSIONS, "{homes:?}");
    homes
}

/// How many texts of these extensions the provider has accepted.
async fn accepted(rig: &Rig, extensions: &[usize]) -> usize {
    let ids: Vec<&str> = extensions.iter().map(|extension| rig.accounts[*extension].extension_id.as_str()).collect();
    let is_one = |line: &&LedgerLine| matches!(line, LedgerLine::Sms(send) if send.outcome == "accepted" && ids.contains(&send.extension.as_str()));
    ledger(rig).await.iter().filter(is_one).count()
}

/// How many reports with this outcome the workers have got rid of.
async fn reported(rig: &mut Rig, outcome: &str) -> u64 {
    rig.counted(&format!("ringfleet_settled_total{{outcome=\"{outcome}\",answer=\"done\"}}")).await
}

/// How many shards the workers find silent, and of how many: what the alerts of docs/metrics.md are made of.
async fn silent(rig: &mut Rig) -> (u64, u64) {
    (rig.counted("ringfleet_store_shards_silent ").await, rig.counted("ringfleet_store_shards ").await)
}

async fn go_on(rig: &Rig, extensions: &[usize]) {
    for extension in extensions {
        rig.store.set_paused(&rig.lane(*extension), false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_five_shards_of_a_cluster_sends_all_once_although_a_worker_is_killed() {
    let mut rig = loaded(options(Duration::from_millis(50)).quick(), 60).await;
    homes(&rig).await;
    rig.start_workers(2);
    until_sent(&rig, 200).await;
    rig.kill_worker(0);
    all_sent_once(&rig, 60 * EXTENSIONS as u64).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_two_shards_do_not_answer_the_lanes_of_the_others_go_on_and_theirs_afterwards() {
    const HANDS: usize = 4;
    const SILENT: [usize; 2] = [0, 1];
    // Logins need more than their own shard, so they are made before.
    let mut rig = loaded(options(Duration::from_millis(500)), 1).await;
    rig.start_worker_with(&[("RINGFLEET__WORKER__CONCURRENCY", &HANDS.to_string())]);
    all_sent_once(&rig, EXTENSIONS as u64).await;
    let homes = homes(&rig).await;
    let mut total = EXTENSIONS;
    for extension in 0..EXTENSIONS {
        rig.store.set_paused(&rig.lane(extension), true).await.unwrap();
        let each = if SILENT.iter().any(|shard| homes[*shard].contains(&extension)) { 2 * HANDS } else { 3 };
        rig.enqueue_named(extension, each, None, "later").await;
        total += each;
    }
    // All hands are in texts of the shard that falls silent: of one, and then of the next. Their reports can't be made.
    for shard in SILENT {
        go_on(&rig, &homes[shard]).await;
        let in_hand = homes[shard].len() + HANDS;
        eventually(PATIENCE, async || accepted(&rig, &homes[shard]).await >= in_hand).await;
        rig.cluster().begin_to_move(&tag(shard));
    }
    let others = homes[SILENT.len()..].concat();
    go_on(&rig, &others).await;
    eventually(PATIENCE, async || accepted(&rig, &others).await == 4 * others.len()).await;
    eventually(PATIENCE, async || silent(&mut rig).await == (2, 5)).await;
    let (told, sent) = (reported(&mut rig, "sent").await, rig.simulator.report().accepted);
    assert!(told < sent, "of {sent} sends {told} are reported: no report waits for its shard");

    for shard in SILENT {
        rig.cluster().leave_in_place(&tag(shard));
    }
    all_sent_once(&rig, total as u64).await;
    eventually(PATIENCE, async || silent(&mut rig).await == (0, 5)).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_a_silent_shard_does_not_take_puts_no_text_of_another_shard_back() {
    const EACH: usize = 6;
    const SILENT: usize = 2;
    let mut rig = loaded(options(Duration::from_millis(50)), 1).await;
    // The logins are another worker's; this one stops with its first claim in hand.
    rig.start_workers(1);
    all_sent_once(&rig, EXTENSIONS as u64).await;
    rig.drain_workers(PATIENCE);
    let homes = homes(&rig).await;
    rig.start_worker_with(&[("RINGFLEET_FAILPOINT", "claim.after_script=stop@1"), ("RINGFLEET__WORKER__POLL", "10s")]);
    eventually(PATIENCE, async || silent(&mut rig).await == (0, 5)).await;
    // It comes back to texts of all shards.
    rig.signal_worker(0, "STOP");
    until_stopped(&rig).await;
    for extension in 0..EXTENSIONS {
        rig.enqueue_named(extension, EACH, None, "later").await;
    }
    rig.signal_worker(0, "CONT");
    rig.until_met(1).await;
    until_stopped(&rig).await;
    rig.cluster().begin_to_move(&tag(SILENT));
    rig.signal_worker(0, "CONT");
    let others = (0..EXTENSIONS).filter(|extension| !homes[SILENT].contains(extension)).collect::<Vec<_>>();
    eventually(PATIENCE, async || accepted(&rig, &others).await == others.len() * (1 + EACH)).await;
    assert_eq!(reported(&mut rig, "not_sent").await, 0);

    rig.cluster().leave_in_place(&tag(SILENT));
    all_sent_once(&rig, ((1 + EACH) * EXTENSIONS) as u64).await;
    assert!(reported(&mut rig, "not_sent").await > 0, "no text of the silent shard was in hand");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_all_shards_there_are() {
    let mut rig = loaded(quick(), 1).await;
    rig.start_workers(2);
    all_sent_once(&rig, 6).await;
    eventually(PATIENCE, async || silent(&mut rig).await == (0, 2)).await;
    rig.redis_mut().kill();
    eventually(PATIENCE, async || silent(&mut rig).await == (2, 2)).await;
    rig.redis_mut().restart();
    eventually(PATIENCE, async || silent(&mut rig).await == (0, 2)).await;
    rig.finish(Ends::all()).await;
}

/// The first worker, by a signal.
async fn until_stopped(rig: &Rig) {
    let status = format!("/proc/{}/stat", rig.workers[0].child.id());
    eventually(PATIENCE, async || std::fs::read_to_string(&status).unwrap().contains(") T ")).await;
}
