//! P7: what is told is what happens. The told time stands against the arrival in the simulator's ledger.

use std::time::{Duration, SystemTime};

use ringfleet_producer::Draft;
use ringfleet_simulator::Latency;
use ringfleet_store::{Eta, MessageId, State, Until, Why};
use ringfleet_testkit::eventually;

use crate::rig::{Ends, Rig, RigOptions, http};

/// What a request takes here; a wait that is not longer can't be told more exactly.
const RESPONSE: Duration = Duration::from_millis(200);
/// The promise.
const ERROR: f64 = 0.05;

/// Two tenths of a second, which a busy machine is late by, are less than a twentieth of it.
const WINDOW: Duration = Duration::from_secs(8);

fn options(extensions: u32) -> RigOptions {
    let mut options = RigOptions::new(extensions, WINDOW);
    options.simulator.sms_latency = Latency::Fixed(RESPONSE);
    options
}

/// What was told of a message, in ns of the simulator's clock; the answer is of some moment between question and its reading.
struct Told {
    id: MessageId,
    asked: u64,
    earliest: u64,
    latest: u64,
}

impl Told {
    fn off(&self, real: u64) -> u64 {
        self.earliest.saturating_sub(real).max(real.saturating_sub(self.latest))
    }
}

async fn ask(rig: &Rig, ids: impl IntoIterator<Item = &MessageId>) -> Vec<Told> {
    let mut all = Vec::new();
    for id in ids {
        let asked = rig.simulator_now();
        let explained = rig.store.explain(id).await.unwrap().unwrap();
        let answered = rig.simulator_now();
        match explained.eta() {
            Eta::At(at) => {
                let wait = Duration::from_millis((at - explained.lane.now).max(0) as u64);
                let wait = wait.as_nanos() as u64;
                all.push(Told { id: *id, asked, earliest: asked + wait, latest: answered + wait });
            }
            // It went while the others were asked about.
            Eta::UnderWay | Eta::Over => {}
            other => panic!("{id} has no time: {other:?}, {:?}", explained.why()),
        }
    }
    all
}

/// Holds what was told against what the provider saw, once all has gone.
async fn compare(rig: &Rig, what: &str, told: Vec<Told>) {
    let arrivals = rig.arrivals().await;
    // A short wait is one for answers, and on SQLite for commits that the disk must have: of waits of 0.4 s 30 to 112 ms on an idle
    // machine, and 213 ms once.
    let least = if rig.is_on_redis() { RESPONSE } else { RESPONSE * 3 / 2 };
    let mut worst: (f64, String) = (0.0, String::new());
    for told in &told {
        let real = arrivals[&told.id];
        let (wait, off) = (real.saturating_sub(told.asked), told.off(real));
        let permitted = (wait as f64 * ERROR).max(least.as_nanos() as f64);
        let share = off as f64 / permitted;
        if share > worst.0 {
            let of_wait = 100.0 * off as f64 / wait.max(1) as f64;
            worst = (share, format!("{:?} off a wait of {:?}, {of_wait:.1} %", ns(off), ns(wait)));
        }
    }
    eprintln!("{what}: {} told, the worst {}", told.len(), worst.1);
    assert!(!told.is_empty() && worst.0 <= 1.0, "{what}: {}", worst.1);
}

fn ns(n: u64) -> Duration {
    Duration::from_millis(n / 1_000_000)
}

fn every_tenth(ids: &[MessageId]) -> impl Iterator<Item = &MessageId> {
    ids.iter().step_by(10)
}

async fn backlogs_over_several_windows(options: RigOptions) {
    let mut rig = Rig::start(options).await;
    let mut ids = Vec::new();
    for (extension, count) in [(0, 110), (1, 60), (2, 10)] {
        ids.push(rig.enqueue_named(extension, count, None, "backlog").await);
    }
    let nobody = rig.store.explain(&ids[0][109]).await.unwrap().unwrap();
    assert_eq!(nobody.why()[..2], [Why::NoWorkers, Why::Behind { ahead: 109, at_least: false }]);
    rig.start_workers(2);
    // Sessions are open, and each lane knows what an answer takes.
    eventually(Duration::from_secs(20), async || rig.stats().await.count(State::Sent) > 20).await;
    let mut told = ask(&rig, ids.iter().flat_map(|ids| every_tenth(ids))).await;
    let another = rig.enqueue_to(2, "+15552009999", "another extension's, with room").await;
    told.extend(ask(&rig, [&another]).await);
    tokio::time::sleep(rig.options.window).await;
    let later = ask(&rig, every_tenth(&ids[0][80..])).await;
    rig.until_ended(181, Duration::from_secs(60)).await;
    compare(&rig, "backlogs, asked at their beginning", told).await;
    compare(&rig, "backlogs, asked in the second window", later).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_times_of_backlogs_over_several_windows_come_true_on_redis() {
    backlogs_over_several_windows(options(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_times_of_backlogs_over_several_windows_come_true_on_sqlite() {
    backlogs_over_several_windows(options(3).on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_times_of_scheduled_messages_come_true_also_behind_others() {
    let mut rig = Rig::start(options(1)).await;
    rig.start_workers(1);
    rig.enqueue_named(0, 30, None, "before").await;
    let at = |seconds| {
        let due = SystemTime::now() + Duration::from_secs(seconds);
        Some(jiff::Timestamp::try_from(due).unwrap().to_string())
    };
    let mut ids = rig.enqueue_named(0, 60, at(7), "scheduled").await;
    // To other numbers: beside one to the same recipient it would be put off for a second, which nobody can foresee.
    for n in 0..3 {
        let to = format!("+1555299000{n}");
        let (from, text) = (rig.accounts[0].numbers[0].clone(), format!("later {n} of extension 0"));
        let draft = Draft { from, to, text, send_at: at(13), ..Draft::default() };
        ids.push(rig.hand_in(draft).await.unwrap().id);
    }
    eventually(Duration::from_secs(20), async || rig.simulator.report().accepted >= 30).await;
    let told = ask(&rig, every_tenth(&ids).chain(&ids[59..])).await;
    assert_eq!(rig.store.get(&ids[0]).await.unwrap().unwrap().state, State::Scheduled, "asked too late");
    rig.until_ended(93, Duration::from_secs(60)).await;
    compare(&rig, "scheduled", told).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_lane_is_told_to_stay_until_somebody_acts_and_moves_when_somebody_did() {
    let mut rig = Rig::start(options(2)).await;
    let extension = rig.accounts[0].extension_id.clone();
    let switch = |what: &str| format!("{}/simulator/extensions/{extension}/{what}", rig.simulator.base_url());
    let (revoke, restore) = (switch("revoke-jwt"), switch("restore-jwt"));
    assert!(http().post(revoke).send().await.unwrap().status().is_success());
    let parked = rig.enqueue_named(0, 20, None, "parked").await;
    let free = rig.enqueue_named(1, 20, None, "free").await;
    rig.start_workers(1);
    eventually(Duration::from_secs(20), async || rig.store.lane(&rig.lane(0)).await.unwrap().parked.is_some()).await;
    rig.until_ended(20, Duration::from_secs(20)).await;
    let explained = rig.store.explain(&parked[19]).await.unwrap().unwrap();
    assert_eq!(explained.eta(), Eta::Never { until: Until::CauseMended }, "{:?}", explained.why());
    let told = String::from_utf8(rig.run(&["explain", &parked[19].to_string()]).stdout).unwrap();
    for part in ["parked: credential OAU-", "stays until somebody mends the cause", "ringfleet lane resume"] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    let told = String::from_utf8(rig.run(&["explain", &extension, "--json"]).stdout).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["why"][0]["code"], &told["next"]["kind"], &told["ready"]),
        (&"parked".into(), &"never".into(), &20.into())
    );
    let ended = rig.store.explain(&free[0]).await.unwrap().unwrap();
    assert_eq!((ended.eta(), ended.why().len()), (Eta::Over, 1));

    assert!(http().post(restore).send().await.unwrap().status().is_success());
    assert!(rig.run(&["lane", "resume", &extension]).status.success());
    let explained = rig.store.explain(&parked[19]).await.unwrap().unwrap();
    assert!(matches!(explained.eta(), Eta::At(_) | Eta::UnderWay | Eta::Over), "{:?}", explained.why());
    rig.until_ended(40, Duration::from_secs(30)).await;
    rig.finish(Ends::all()).await;
}
