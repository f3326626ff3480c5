//! One run: what is planned from its seed, how it is carried out, and what is asked in the end.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use ringfleet_simulator::{Latency, Report};
use ringfleet_store::{ListFrom, State};

use crate::{
    inject::{Injector, within},
    kinds::{self, Store},
    rig::{Ends, Except, Rig, RigOptions},
};

const EXTENSIONS: u32 = 4;
const EACH: u64 = 12;
pub(crate) const TOTAL: u64 = EXTENSIONS as u64 * EACH;
/// A worker comes to its failpoint long before this, unless another fault keeps it from there.
const TO_FAILPOINT: Duration = Duration::from_secs(3);
/// A worker is there long before this.
const TO_LISTEN: Duration = Duration::from_secs(10);
/// Everything must have ended by then.
const PATIENCE: Duration = Duration::from_secs(75);
/// After more than this the fleet stood still. The longest recovery that was ever seen took 14.7 s, on a busy machine whose provider
/// failed look-up after look-up; others take up to 8 s. Twice as much is room for a slower one.
const RECOVERED: Duration = Duration::from_secs(30);
/// Logins of an extension that a stall may cost where no fault does.
const STALLED: u64 = 1;
/// Texts of an extension in a window of a second, and in one of three, which outlasts a lease: a slot that a dead worker has used is
/// looked after while the provider still counts it. Two windows carry a lane's load.
const WINDOWS: [(Duration, u32); 2] = [(Duration::from_secs(1), 6), (Duration::from_secs(3), 8)];

pub(crate) struct Run {
    pub(crate) store: Store,
    pub(crate) faults: Vec<&'static str>,
    chance: StdRng,
}

/// What the ledgers say in the end.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) held: u64,
    /// Of those held, the ones of which nobody could know.
    pub(crate) undecidable: u64,
    /// Those of the planned faults that happened, while there was something to send.
    pub(crate) struck: Vec<&'static str>,
    /// Not sent, late, or refused by a plan: whatever else must not be.
    pub(crate) broken: Option<String>,
    /// From the end of the last fault until everything had ended.
    pub(crate) recovery: Duration,
}

impl Run {
    pub(crate) fn plan(seed: u64, store: Store, only: Option<&str>) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let of = |group: &'static [&'static str]| group.to_vec();
        let mut groups = vec![of(&kinds::WORKER), of(&kinds::PROVIDER)];
        if store == Store::Redis {
            groups.push(of(&kinds::REDIS));
        }
        let first = chance.random_range(0..groups.len());
        let mut faults = vec![*groups[first].choose(&mut chance).unwrap()];
        // A second one of another kind, every other time.
        if chance.random_bool(0.5) {
            let second = (first + chance.random_range(1..groups.len())) % groups.len();
            faults.push(groups[second].choose(&mut chance).unwrap());
        }
        if let Some(only) = only {
            faults = kinds::names().into_iter().filter(|name| *name == only).collect();
        }
        let store = if kinds::REDIS.contains(&faults[0]) { Store::Redis } else { store };
        Self { store, faults, chance }
    }

    pub(crate) async fn execute(mut self) -> Judged {
        let options = self.options();
        let mut rig = Rig::start(options).await;
        for extension in 0..EXTENSIONS as usize {
            rig.enqueue(extension, EACH as usize, None).await;
        }
        let mut injector = Injector::new(&self.faults, &mut self.chance);
        injector.before(&rig);
        let failpoint = injector.failpoint();
        rig.start_worker(failpoint.as_deref());
        if let Some(failpoint) = failpoint {
            // There at the same time, the other one might be quicker and leave it nothing to do. A drain is begun from outside;
            // it wants something in hand.
            let drains = failpoint.starts_with("drain");
            let ready = || if drains { rig.simulator.report().accepted > 0 } else { rig.has_met(0) };
            within(TO_FAILPOINT, ready).await;
        }
        rig.start_worker(None);
        injector.during(&mut rig).await;
        let healed = Instant::now();
        injector.after(&mut rig);
        // Beside the operator, who takes his time: that everything has ended is seen when it has.
        let ended = async {
            rig.until_ended(TOTAL, PATIENCE).await;
            healed.elapsed()
        };
        let ((), recovery) = tokio::join!(injector.resume_lanes(&rig), ended);
        // The end is a drain. The last workers may have come just now; one that does not listen yet would be killed by the signal.
        let listens = |worker: &str| rig.log(worker).contains("metrics listens");
        within(TO_LISTEN, || ["worker-2.log", "worker-3.log"].iter().all(|worker| listens(worker))).await;
        injector.ended(&rig).await;
        let struck = injector.struck;
        Judged { recovery, struck, ..self.judge(&mut rig, recovery).await }
    }

    fn options(&mut self) -> RigOptions {
        let (window, limit) = WINDOWS[usize::from(self.chance.random_bool(0.25))];
        let mut options = RigOptions::new(EXTENSIONS, window).quick();
        (options.medium, options.simulator.limits.medium) = (limit, limit);
        options.redis = self.store == Store::Redis;
        options.proxy = self.faults.iter().any(|fault| kinds::needs_proxy(fault));
        options.clock_file = self.faults.contains(&"clock_back");
        options.simulator.sms_latency = Latency::Uniform(Duration::from_millis(5), Duration::from_millis(60));
        options.simulator.seed = self.chance.random();
        if self.faults.contains(&"kill@drain.mid") {
            // A drain ends with the last answer, and must not be over before its middle.
            options.simulator.sms_latency = Latency::Fixed(Duration::from_millis(200));
        }
        if matches!(self.faults[..], [only] if only.starts_with("term@")) {
            // What was begun is finished: one that was cut off would be found and made good, and nobody would see it.
            options = options.holding();
        }
        if self.faults.contains(&"freeze_and_thaw") {
            // The settle time outlasts the freeze: see docs/delivery-semantics.md on the gap that nothing can close.
            options.settle_time = Duration::from_secs(5);
        } else if self.chance.random_bool(0.3) {
            options.simulator.store_lag = options.settle_time / 2;
        }
        if self.chance.random_bool(0.3) {
            // Renewed while the faults strike.
            options.simulator.access_token_ttl = Duration::from_secs(3);
        }
        options
    }

    async fn judge(&self, rig: &mut Rig, recovery: Duration) -> Judged {
        let throttled = self.faults.iter().any(|fault| kinds::throttles(fault));
        let held = rig.store.list(&ListFrom::newest(State::Held), 100).await.unwrap().messages;
        let mut ends = Ends::all();
        if throttled {
            // The injected refusals are not among them; they are all that is faulted in such a run. What was in flight beside one
            // comes into its penalty and can't be called back; nothing else may.
            let beside = u64::from(rig.rules.in_flight_cap.min(rig.options.medium)) - 1;
            let at_most = rig.simulator.report().faulted * beside;
            ends = ends.except(Except::Throttled { at_most }, "the provider is told to refuse for the rate");
        }
        if !held.is_empty() {
            let at_most = held.len() as u64;
            ends = ends
                .except(Except::NotSent { at_most }, "they are judged here, by the reasons for which they are held");
        }
        let (finished, mut broken) = rig.look(&ends).await;
        let (stats, report) = (finished.stats, finished.report);
        let sent = stats.sent();
        let unreadable = self.faults.iter().any(|fault| kinds::hides_messages(fault));
        let nobody_could_know = |reason: &str| {
            ["several-matches", "rolled-back"].contains(&reason) || unreadable && reason.starts_with("unreadable ")
        };
        let undecidable = held.iter().filter(|view| nobody_could_know(&view.reason)).count() as u64;
        let mut judged = Judged {
            lost: TOTAL.saturating_sub(stats.total()) + sent.saturating_sub(report.distinct),
            twice: report.duplicates,
            held: held.len() as u64,
            undecidable,
            ..Judged::default()
        };
        if judged.held > undecidable {
            broken.push(format!("held although it could be known: {held:?}"));
        }
        if recovery > RECOVERED {
            broken.push(format!("the fleet was back after {recovery:?}"));
        }
        broken.extend(self.logins(&report));
        judged.broken = (!broken.is_empty()).then(|| format!("{}: {stats:?} {report:?}", broken.join("; ")));
        judged
    }

    /// One session an extension, and one login for it, but for those that the faults may have cost, or a stall. The right to log in
    /// is a lease of two seconds: a process that a busy machine stops for so long in its first login has lost it, and a neighbour
    /// logs in too. That it is one login otherwise is row 36 of the fault matrix.
    fn logins(&self, report: &Report) -> Option<String> {
        let lost: u64 = self.faults.iter().map(|fault| kinds::logins_lost(fault)).sum();
        let each = 1 + lost.max(STALLED);
        let (logins, sessions) = (report.logins, report.sessions_max);
        let kept = sessions <= each && logins <= u64::from(EXTENSIONS) * each;
        (!kept).then(|| {
            format!("{logins} logins, up to {sessions} sessions of an extension; the faults or a stall explain {each} of each")
        })
    }
}
