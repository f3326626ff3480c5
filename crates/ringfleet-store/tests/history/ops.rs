//! What may happen in a history, and how histories are drawn.

use std::fmt;

use proptest::prelude::*;
use ringfleet_store::{LaneRules, Millis, OnUnknown, PlanSeen, Priority, Resolution};

pub(crate) const LANES: usize = 4;
pub(crate) const WORKERS: usize = 2;
pub(crate) const READERS: usize = 3;

/// One run: the plans that bite, and what is done.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) heavy: (u32, u32),
    pub(crate) light: (u32, u32),
    pub(crate) in_flight_cap: u32,
    pub(crate) ops: Vec<Op>,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Enqueue(Vec<New>),
    Claim {
        worker: usize,
        want: u32,
        lease_ms: Millis,
    },
    Begin {
        which: Vec<Pick>,
        lease_ms: Millis,
    },
    Settle(Vec<Report>),
    /// A worker begins and sends all it has, and all answers tell the same of the plan.
    SendAll {
        worker: usize,
        seen: PlanSeen,
    },
    Extend {
        which: Pick,
        lease_ms: Millis,
    },
    Reap {
        limit: u32,
        retention_ms: Millis,
    },
    /// A worker dies; what it had in hand is known to nobody else.
    Crash {
        worker: usize,
    },
    Pause {
        lane: usize,
        on: bool,
    },
    Park {
        lane: usize,
        on: bool,
    },
    Gate(GateTurn),
    Cancel {
        which: prop::sample::Index,
    },
    /// Cancels it and lets its record be forgotten at once, so that its key is free while its place may still stand.
    Forget {
        which: prop::sample::Index,
    },
    /// A worker claims and dies; its leases are reaped.
    Die {
        worker: usize,
    },
    /// Looks up unknown sends as reconcilers do.
    Take {
        lanes: u32,
        lock_ms: Millis,
    },
    /// What readings show of unknown sends, or of any other.
    Decide {
        readings: Vec<Reading>,
        settle_ms: Millis,
        max_attempts: u32,
    },
    Resolve {
        which: prop::sample::Index,
        how: Resolution,
    },
    /// Workers tell what they know once more.
    Reassert(Vec<Report>),
    OptOut(OptingOut),
    DocPut(DocPut),
    DocsSince {
        reader: usize,
        limit: u32,
    },
    Step(Step),
    Acquire {
        lane: usize,
        hold_ms: Millis,
    },
    Release {
        which: prop::sample::Index,
        how: Given,
        age_permille: i64,
        seen: PlanSeen,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) lane: usize,
    pub(crate) key: Option<u8>,
    /// Two requests with one key are the same only if this is.
    pub(crate) body: u8,
    pub(crate) priority: Priority,
    pub(crate) on_unknown: OnUnknown,
    /// Some of a lane's messages go to the same few.
    pub(crate) recipient: Option<u8>,
    pub(crate) send_in: Option<Millis>,
    pub(crate) expires_in: Option<Millis>,
}

/// One of the leases that were ever given out.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    /// What a living worker believes to have.
    InHand(usize, prop::sample::Index),
    /// Any: also of dead workers, and those long settled.
    Ever(prop::sample::Index),
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) which: Pick,
    pub(crate) ending: Ending,
    /// When the answer was read: 0 = just now, 1000 = as soon as the request began.
    pub(crate) age_permille: i64,
    pub(crate) seen: PlanSeen,
}

#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// One of those whose fate is unknown, or a lease of any other message.
    pub(crate) which: Which,
    pub(crate) shows: Shows,
    /// How long ago it began.
    pub(crate) age: Millis,
}

#[derive(Clone, Debug)]
pub(crate) enum Which {
    Unknown(prop::sample::Index),
    Ever(prop::sample::Index),
}

#[derive(Clone, Debug)]
pub(crate) enum Shows {
    /// So many texts that nobody has seen before, and so many that were counted for other messages.
    Texts { new: usize, counted: Vec<prop::sample::Index> },
    /// Nobody can say.
    Nothing,
}

#[derive(Clone, Debug)]
pub(crate) struct OptingOut {
    /// Whose extension, and whose number.
    pub(crate) lane: usize,
    pub(crate) any_number: bool,
    pub(crate) every_extension: bool,
    pub(crate) recipient: u8,
    pub(crate) out: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct DocPut {
    pub(crate) login: bool,
    pub(crate) key: u8,
    pub(crate) expect: Expecting,
    pub(crate) body: Option<u8>,
    pub(crate) ttl: Option<Millis>,
}

#[derive(Clone, Debug)]
pub(crate) enum Expecting {
    Anything,
    Absent,
    /// What is there now.
    Known,
    /// Any revision that was ever given.
    Any(prop::sample::Index),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Sent,
    /// Under another id than it is told of otherwise: a text too many.
    SentOther,
    Rejected,
    Unknown,
    Throttled(Millis),
    NotSent(Millis),
    Parked,
    Retry {
        delay_ms: Millis,
        max_attempts: u32,
    },
    Released,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum GateTurn {
    Open,
    Stop,
    Until(Millis),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Used,
    Unused,
    Throttled(Millis),
}

/// How the clock moves. The edges are where faults live, so it goes to them on purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    By(Millis),
    /// To the instant at which the next message may go, or just beside it.
    ToNext(Millis),
    /// To the end of the next lease, or just beside it.
    ToLeaseEnd(Millis),
    /// To the time at which the next lane's unknown sends are looked up, or just beside it.
    ToLook(Millis),
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (heavy, light) = (self.heavy, self.light);
        writeln!(f, "heavy {heavy:?}, light {light:?} (limit, window in ms), in-flight cap {}", self.in_flight_cap)?;
        self.ops.iter().enumerate().try_for_each(|(n, op)| writeln!(f, "{n:3} {op:?}"))
    }
}

impl History {
    pub(crate) fn rules(&self) -> LaneRules {
        use ringfleet_store::{Group, Plan};
        let mut rules = LaneRules::documented();
        rules.set_plan(Group::Heavy, Plan { limit: self.heavy.0, window_ms: self.heavy.1 });
        rules.set_plan(Group::Light, Plan { limit: self.light.0, window_ms: self.light.1 });
        rules.in_flight_cap = self.in_flight_cap;
        rules
    }
}

pub(crate) fn histories() -> impl Strategy<Value = History> {
    let plan = || (1..=4u32, prop_oneof![Just(1_000), 100..=2_000u32]);
    let ops = prop::collection::vec(op(), 20..=60);
    (plan(), plan(), 1..=4u32, ops).prop_map(|(heavy, light, in_flight_cap, ops)| History {
        heavy,
        light,
        in_flight_cap,
        ops,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let worker = || 0..WORKERS;
    prop_oneof![
        8 => prop::collection::vec(new(), 1..=4).prop_map(Op::Enqueue),
        12 => (worker(), 1..=6u32, lease_ms())
            .prop_map(|(worker, want, lease_ms)| Op::Claim { worker, want, lease_ms }),
        8 => (prop::collection::vec(pick(), 1..=3), lease_ms())
            .prop_map(|(which, lease_ms)| Op::Begin { which, lease_ms }),
        9 => prop::collection::vec(report(), 1..=3).prop_map(Op::Settle),
        3 => (worker(), seen()).prop_map(|(worker, seen)| Op::SendAll { worker, seen }),
        2 => (pick(), lease_ms()).prop_map(|(which, lease_ms)| Op::Extend { which, lease_ms }),
        4 => (prop_oneof![3 => Just(500), 1 => 1..=2u32], prop_oneof![Just(3_600_000), Just(500), Just(1)])
            .prop_map(|(limit, retention_ms)| Op::Reap { limit, retention_ms }),
        1 => worker().prop_map(|worker| Op::Crash { worker }),
        1 => (lane(), any::<bool>()).prop_map(|(lane, on)| Op::Pause { lane, on }),
        2 => (lane(), prop::bool::weighted(0.3)).prop_map(|(lane, on)| Op::Park { lane, on }),
        2 => gate().prop_map(Op::Gate),
        2 => any::<prop::sample::Index>().prop_map(|which| Op::Cancel { which }),
        2 => any::<prop::sample::Index>().prop_map(|which| Op::Forget { which }),
        3 => worker().prop_map(|worker| Op::Die { worker }),
        3 => (1..=3u32, prop_oneof![Just(0), 1..1_500i64]).prop_map(|(lanes, lock_ms)| Op::Take { lanes, lock_ms }),
        6 => (prop::collection::vec(reading(), 1..=3), prop_oneof![Just(0), 1..1_500i64], 1..=4u32)
            .prop_map(|(readings, settle_ms, max_attempts)| Op::Decide { readings, settle_ms, max_attempts }),
        3 => (any::<prop::sample::Index>(), resolution()).prop_map(|(which, how)| Op::Resolve { which, how }),
        3 => prop::collection::vec(report_of_old(), 1..=3).prop_map(Op::Reassert),
        10 => step().prop_map(Op::Step),
        3 => opting_out().prop_map(Op::OptOut),
        4 => doc_put().prop_map(Op::DocPut),
        3 => (0..READERS, prop_oneof![1..=3u32, Just(500)])
            .prop_map(|(reader, limit)| Op::DocsSince { reader, limit }),
        2 => (lane(), 1..3_000i64).prop_map(|(lane, hold_ms)| Op::Acquire { lane, hold_ms }),
        2 => (any::<prop::sample::Index>(), given(), 0..=1_000i64, seen())
            .prop_map(|(which, how, age_permille, seen)| Op::Release { which, how, age_permille, seen }),
    ]
}

fn new() -> impl Strategy<Value = New> {
    let key = prop_oneof![Just(None), (0..5u8).prop_map(Some)];
    let priority = prop_oneof![4 => Just(Priority::Normal), 1 => Just(Priority::High), 1 => Just(Priority::Low)];
    let send_in = prop_oneof![5 => Just(None), 1 => (-500..3_000i64).prop_map(Some)];
    let expires_in = prop_oneof![6 => Just(None), 1 => (0..3_000i64).prop_map(Some)];
    let on_unknown =
        prop_oneof![3 => Just(OnUnknown::Reconcile), 1 => Just(OnUnknown::Hold), 1 => Just(OnUnknown::Resend)];
    let recipient = prop_oneof![2 => Just(None), 1 => (0..2u8).prop_map(Some)];
    (lane(), key, prop::bool::weighted(0.15), priority, send_in, expires_in, on_unknown, recipient).prop_map(
        |(lane, key, other, priority, send_in, expires_in, on_unknown, recipient)| New {
            // A key mostly comes back with the same lane, as a producer would do it.
            lane: key.filter(|_| !other).map_or(lane, |key| usize::from(key) / 3),
            key,
            body: u8::from(other),
            priority,
            on_unknown,
            recipient,
            send_in,
            expires_in,
        },
    )
}

/// The first lane is busier, so that several messages of one lane are in flight together.
fn lane() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 2 => 0..LANES]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        4 => (0..WORKERS, any::<prop::sample::Index>()).prop_map(|(worker, index)| Pick::InHand(worker, index)),
        1 => any::<prop::sample::Index>().prop_map(Pick::Ever),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    (pick(), ending(), 0..=1_000i64, seen()).prop_map(|(which, ending, age_permille, seen)| Report {
        which,
        ending,
        age_permille,
        seen,
    })
}

/// Mostly of leases that are history.
fn report_of_old() -> impl Strategy<Value = Report> {
    (report(), any::<prop::sample::Index>(), prop::bool::weighted(0.7))
        .prop_map(|(report, index, old)| Report { which: if old { Pick::Ever(index) } else { report.which }, ..report })
}

fn reading() -> impl Strategy<Value = Reading> {
    let index = any::<prop::sample::Index>;
    let which = prop_oneof![6 => index().prop_map(Which::Unknown), 1 => index().prop_map(Which::Ever)];
    let counted = prop::collection::vec(index(), 0..=2);
    let texts = (prop_oneof![6 => Just(0usize), 3 => Just(1), 1 => Just(2)], counted);
    let shows = prop_oneof![
        8 => texts.prop_map(|(new, counted)| Shows::Texts { new, counted }),
        1 => Just(Shows::Nothing),
    ];
    (which, shows, prop_oneof![3 => Just(0), 1 => 0..800i64]).prop_map(|(which, shows, age)| Reading {
        which,
        shows,
        age,
    })
}

fn opting_out() -> impl Strategy<Value = OptingOut> {
    (lane(), any::<bool>(), prop::bool::weighted(0.2), 0..3u8, any::<bool>()).prop_map(
        |(lane, any_number, every_extension, recipient, out)| OptingOut {
            lane,
            any_number,
            every_extension,
            recipient,
            out,
        },
    )
}

fn doc_put() -> impl Strategy<Value = DocPut> {
    let expect = prop_oneof![
        3 => Just(Expecting::Anything),
        2 => Just(Expecting::Absent),
        3 => Just(Expecting::Known),
        1 => any::<prop::sample::Index>().prop_map(Expecting::Any),
    ];
    let ttl = prop_oneof![3 => Just(None), 1 => (0..3_000i64).prop_map(Some)];
    (prop::bool::weighted(0.3), 0..4u8, expect, prop::option::weighted(0.65, any::<u8>()), ttl)
        .prop_map(|(login, key, expect, body, ttl)| DocPut { login, key, expect, body, ttl })
}

fn resolution() -> impl Strategy<Value = Resolution> {
    prop_oneof![2 => Just(Resolution::Resend), 1 => Just(Resolution::Sent), 1 => Just(Resolution::Cancelled)]
}

fn ending() -> impl Strategy<Value = Ending> {
    let delay = || prop_oneof![Just(0), 1..2_000i64];
    prop_oneof![
        6 => Just(Ending::Sent),
        1 => Just(Ending::SentOther),
        1 => Just(Ending::Rejected),
        4 => Just(Ending::Unknown),
        2 => (1..3_000i64).prop_map(Ending::Throttled),
        2 => delay().prop_map(Ending::NotSent),
        1 => Just(Ending::Parked),
        2 => (delay(), 1..=3u32).prop_map(|(delay_ms, max_attempts)| Ending::Retry { delay_ms, max_attempts }),
        2 => Just(Ending::Released),
    ]
}

fn seen() -> impl Strategy<Value = PlanSeen> {
    let any = (prop::option::of(1..=5u32), prop::option::of(100..=2_000u32), prop::option::of(0..=4u32));
    let any = any.prop_map(|(limit, window_ms, remaining)| PlanSeen { limit, window_ms, remaining });
    let others = (3..=5u32, 0..=2u32).prop_map(|(limit, remaining)| PlanSeen {
        limit: Some(limit),
        window_ms: None,
        remaining: Some(remaining),
    });
    prop_oneof![6 => Just(PlanSeen::default()), 1 => any, 1 => others]
}

fn gate() -> impl Strategy<Value = GateTurn> {
    prop_oneof![3 => Just(GateTurn::Open), 1 => Just(GateTurn::Stop), 2 => (1..3_000i64).prop_map(GateTurn::Until)]
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![3 => Just(Given::Used), 1 => Just(Given::Unused), 1 => (1..2_000i64).prop_map(Given::Throttled)]
}

fn lease_ms() -> impl Strategy<Value = Millis> {
    prop_oneof![Just(50), Just(700), Just(5_000), Just(60_000)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..20i64).prop_map(Step::By),
        3 => (20..2_500i64).prop_map(Step::By),
        1 => prop_oneof![Just(60_000), Just(600_000), Just(3_600_000), Just(86_400_000)].prop_map(Step::By),
        4 => (-1..=1i64).prop_map(Step::ToNext),
        3 => (-1..=1i64).prop_map(Step::ToLeaseEnd),
        3 => (-1..=1i64).prop_map(Step::ToLook),
    ]
}
