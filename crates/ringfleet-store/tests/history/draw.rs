//! How histories are drawn.

use proptest::{prelude::*, sample::Index};
use ringfleet_store::{Millis, OnUnknown, PlanSeen, Priority, Resolution};

use crate::ops::*;

pub(crate) fn histories() -> impl Strategy<Value = History> {
    let plan = || (1..=4u32, prop_oneof![Just(1_000), 100..=2_000u32]);
    let ops = prop::collection::vec(op(), 20..=60);
    let wait = prop_oneof![4 => Just(72 * 3_600_000), 2 => Just(3_600_000), 2 => Just(1_500), 1 => Just(0)];
    (plan(), plan(), 1..=4u32, wait, ops).prop_map(|(heavy, light, in_flight_cap, delivery_wait_ms, ops)| History {
        heavy,
        light,
        in_flight_cap,
        delivery_wait_ms,
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
        2 => any::<Index>().prop_map(|which| Op::Cancel { which }),
        2 => any::<Index>().prop_map(|which| Op::Forget { which }),
        3 => worker().prop_map(|worker| Op::Die { worker }),
        3 => (1..=3u32, prop_oneof![Just(0), 1..1_500i64]).prop_map(|(lanes, lock_ms)| Op::Take { lanes, lock_ms }),
        6 => (prop::collection::vec(reading(), 1..=3), prop_oneof![Just(0), 1..1_500i64], 1..=4u32)
            .prop_map(|(readings, settle_ms, max_attempts)| Op::Decide { readings, settle_ms, max_attempts }),
        3 => (any::<Index>(), resolution()).prop_map(|(which, how)| Op::Resolve { which, how }),
        3 => prop::collection::vec(report_of_old(), 1..=3).prop_map(Op::Reassert),
        10 => step().prop_map(Op::Step),
        3 => opting_out().prop_map(Op::OptOut),
        2 => (1..=3u32, prop_oneof![Just(0), 1..60_000i64])
            .prop_map(|(lanes, lock_ms)| Op::TakeDeliveries { lanes, lock_ms }),
        4 => (lane(), prop::collection::vec(told(), 1..=3)).prop_map(|(lane, told)| Op::TellDeliveries { lane, told }),
        4 => doc_put().prop_map(Op::DocPut),
        3 => (0..READERS, prop_oneof![1..=3u32, Just(500)])
            .prop_map(|(reader, limit)| Op::DocsSince { reader, limit }),
        2 => (lane(), 1..3_000i64).prop_map(|(lane, hold_ms)| Op::Acquire { lane, hold_ms }),
        2 => (any::<Index>(), given(), 0..=1_000i64, seen())
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
        4 => (0..WORKERS, any::<Index>()).prop_map(|(worker, index)| Pick::InHand(worker, index)),
        1 => any::<Index>().prop_map(Pick::Ever),
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
    (report(), any::<Index>(), prop::bool::weighted(0.7))
        .prop_map(|(report, index, old)| Report { which: if old { Pick::Ever(index) } else { report.which }, ..report })
}

fn reading() -> impl Strategy<Value = Reading> {
    let index = any::<Index>;
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
    let wish = prop_oneof![
        3 => Just(Wish::Out),
        2 => Just(Wish::In),
        2 => (any::<Index>(), -2..=2i64).prop_map(|(of, after)| Wish::InSaid { of, after }),
    ];
    (lane(), any::<bool>(), prop::bool::weighted(0.2), 0..3u8, wish).prop_map(
        |(lane, any_number, every_extension, recipient, wish)| OptingOut {
            lane,
            any_number,
            every_extension,
            recipient,
            wish,
        },
    )
}

fn told() -> impl Strategy<Value = Told> {
    let of = prop_oneof![
        5 => any::<Index>().prop_map(ToldOf::Waiting),
        2 => any::<Index>().prop_map(ToldOf::Ever),
        1 => Just(ToldOf::Stranger),
    ];
    let opted_out = prop::bool::weighted(0.2);
    (of, any::<bool>(), opted_out).prop_map(|(of, delivered, opted_out)| Told { of, delivered, opted_out })
}

fn doc_put() -> impl Strategy<Value = DocPut> {
    let expect = prop_oneof![
        3 => Just(Expecting::Anything),
        2 => Just(Expecting::Absent),
        3 => Just(Expecting::Known),
        1 => any::<Index>().prop_map(Expecting::Any),
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
        1 => Just(Ending::UnderWay),
        2 => (1..3_000i64).prop_map(Ending::Throttled),
        2 => delay().prop_map(Ending::NotSent),
        2 => delay().prop_map(Ending::Later),
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
        1 => (-1..=1i64).prop_map(Step::ToReports),
    ]
}
