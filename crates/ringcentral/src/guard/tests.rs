use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;
use crate::plan::UsagePlan;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Rig {
    clock: FakeRelativeClock,
    guard: Guard<FakeRelativeClock>,
    key: GuardKey,
}

impl Rig {
    fn new(mode: GuardMode, limit: u32) -> Self {
        let plan = UsagePlan::per_minute(limit);
        let plans = UsagePlans { heavy: plan, medium: plan, light: plan, auth: plan };
        let clock = FakeRelativeClock::default();
        let guard = Guard::with_clock(mode, plans, clock.clone());
        Self { clock, guard, key: key("101") }
    }

    fn passes(&self) -> bool {
        self.guard.check(&self.key).is_ok()
    }

    /// How many requests pass at this instant.
    fn drain(&self) -> u32 {
        (0..).take_while(|_| self.passes()).count() as u32
    }
}

fn key(extension: &str) -> GuardKey {
    GuardKey::extension(&ExtensionId::try_new(extension).expect("valid"), UsageGroup::Medium)
}

#[test]
fn backstop_admits_the_burst_then_one_each_interval() {
    let rig = Rig::new(GuardMode::Backstop, 40);
    assert_eq!(rig.drain(), 40);
    assert_eq!(rig.guard.check(&rig.key), Err(Wait(Duration::from_millis(1500))));
    rig.clock.advance(Duration::from_millis(1500));
    assert_eq!(rig.drain(), 1);
    rig.clock.advance(MINUTE);
    assert_eq!(rig.drain(), 40);
}

#[test]
fn request_given_back_can_be_taken_again() {
    let backstop = Rig::new(GuardMode::Backstop, 40);
    backstop.drain();
    backstop.guard.give_back(&backstop.key);
    assert_eq!(backstop.drain(), 1);
    let limiter = Rig::new(GuardMode::Limiter, 40);
    limiter.drain();
    limiter.guard.give_back(&limiter.key);
    assert_eq!(limiter.drain(), 0);
}

#[test]
fn keys_do_not_delay_each_other() {
    let rig = Rig::new(GuardMode::Backstop, 40);
    rig.drain();
    rig.guard.penalise(&rig.key, MINUTE);
    assert!(rig.guard.check(&key("102")).is_ok());
    let light = GuardKey::extension(&ExtensionId::try_new("101").expect("valid"), UsageGroup::Light);
    assert!(rig.guard.check(&light).is_ok());
}

#[test]
fn penalty_blocks_exactly_and_then_gives_the_burst_back() {
    for mode in [GuardMode::Backstop, GuardMode::Limiter] {
        let rig = Rig::new(mode, 40);
        let burst = rig.drain();
        rig.guard.penalise(&rig.key, MINUTE);
        rig.guard.penalise(&rig.key, SECOND);
        assert_eq!(rig.guard.check(&rig.key), Err(Wait(MINUTE)), "a shorter penalty does not shorten");
        rig.clock.advance(MINUTE - Duration::from_nanos(1));
        assert_eq!(rig.guard.check(&rig.key), Err(Wait(Duration::from_nanos(1))));
        rig.clock.advance(Duration::from_nanos(1));
        assert_eq!(rig.drain(), burst, "{mode:?}");
    }
}

#[test]
fn group_penalty_closes_every_key_of_the_group_only() {
    let rig = Rig::new(GuardMode::Limiter, 40);
    rig.guard.penalise_group(UsageGroup::Medium, SECOND);
    assert_eq!(rig.guard.check(&key("never-seen")), Err(Wait(SECOND)));
    assert!(rig.guard.check(&GuardKey::app(UsageGroup::Auth)).is_ok());
    rig.clock.advance(SECOND);
    assert!(rig.passes());
}

#[test]
fn learnt_remaining_admits_exactly_that_many() {
    for (mode, limit) in [(GuardMode::Backstop, 40), (GuardMode::Limiter, 160)] {
        for remaining in 0..=20 {
            let rig = Rig::new(mode, limit);
            rig.clock.advance(MINUTE);
            rig.guard.learn_remaining(&rig.key, remaining);
            assert_eq!(rig.drain(), remaining, "{mode:?}");
        }
    }
}

#[test]
fn learnt_remaining_never_raises() {
    let rig = Rig::new(GuardMode::Backstop, 40);
    rig.drain();
    rig.guard.learn_remaining(&rig.key, 39);
    assert_eq!(rig.drain(), 0);
}

#[test]
fn learnt_plan_replaces_the_configured_one() {
    let rig = Rig::new(GuardMode::Backstop, 40);
    for _ in 0..10 {
        assert!(rig.passes());
    }
    rig.guard.learn_plan(&rig.key, 20, MINUTE);
    assert_eq!(rig.drain(), 10, "what was used stays used");
    assert!(rig.guard.check(&key("102")).is_ok(), "the plan is the app's");
    rig.guard.learn_plan(&rig.key, 100, MINUTE);
    assert_eq!(rig.drain(), 80);
    for (limit, window) in [(0, MINUTE), (40, Duration::ZERO), (u32::MAX, MINUTE), (40, MINUTE * 10_000)] {
        rig.guard.learn_plan(&rig.key, limit, window);
    }
    rig.clock.advance(MINUTE);
    assert_eq!(rig.drain(), 100, "absurd plans are ignored");
}

#[test]
fn shrinking_the_plan_closes_a_lane_for_a_window_at_most() {
    let rig = Rig::new(GuardMode::Backstop, 40);
    rig.drain();
    rig.guard.learn_plan(&rig.key, 5, MINUTE);
    rig.clock.advance(MINUTE);
    assert_eq!(rig.drain(), 5);
}

#[test]
fn idle_keys_are_dropped() {
    let rig = Rig::new(GuardMode::Limiter, 40);
    for minute in 0..50 {
        for extension in 0..200 {
            assert!(rig.guard.check(&key(&format!("{minute}-{extension}"))).is_ok());
        }
        rig.clock.advance(MINUTE);
    }
    assert!(rig.guard.len() <= 1024, "{} keys", rig.guard.len());
}

#[tokio::test]
async fn waiting_ends_when_the_turn_comes_or_at_once_when_too_late() {
    let plan = UsagePlan { limit: 2, window: Duration::from_millis(100) };
    let plans = UsagePlans { medium: plan, ..UsagePlans::default() };
    let guard = Guard::new(GuardMode::Limiter, plans);
    let key = key("101");
    assert_eq!(guard.until_ready(&key, SECOND).await, Ok(()));
    assert_eq!(guard.until_ready(&key, SECOND * 5).await, Ok(()));
    guard.penalise(&key, MINUTE);
    let refused = guard.until_ready(&key, SECOND).await.expect_err("a minute is more than a second");
    assert!(refused.0 > Duration::from_secs(50));
}

/// Drives a guard with random gaps and returns the instants at which requests passed.
fn admitted(rig: &Rig, gaps_ms: &[u64]) -> Vec<Duration> {
    let mut now = Duration::ZERO;
    let mut passed = Vec::new();
    for gap in gaps_ms {
        let gap = Duration::from_millis(*gap);
        rig.clock.advance(gap);
        now += gap;
        passed.extend((0..rig.drain()).map(|_| now));
    }
    passed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Greedy callers at random instants; the fullest windows begin at a request, so only those are looked at.
    #[test]
    fn limiter_never_exceeds_the_limit_in_any_window(
        limit in 1u32..120,
        gaps_ms in proptest::collection::vec(0u64..9_000, 1..150),
    ) {
        let rig = Rig::new(GuardMode::Limiter, limit);
        let passed = admitted(&rig, &gaps_ms);
        for (index, start) in passed.iter().enumerate() {
            let inside = passed[index..].iter().take_while(|at| **at <= *start + MINUTE).count();
            prop_assert!(inside <= limit as usize, "{inside} in a closed window of {limit}");
        }
    }

    /// Callers wait exactly as long as they are told, which packs requests as tightly as the guard allows.
    #[test]
    fn limiter_holds_when_callers_come_back_on_the_dot(limit in 1u32..120, idle_s in 0u64..120) {
        let rig = Rig::new(GuardMode::Limiter, limit);
        let (mut now, mut passed) = (Duration::ZERO, Vec::new());
        for step in 0..limit * 3 {
            while let Err(Wait(wait)) = rig.guard.check(&rig.key) {
                rig.clock.advance(wait);
                now += wait;
            }
            passed.push(now);
            if step == limit {
                rig.clock.advance(Duration::from_secs(idle_s));
                now += Duration::from_secs(idle_s);
            }
        }
        for (index, start) in passed.iter().enumerate() {
            let inside = passed[index..].iter().take_while(|at| **at <= *start + MINUTE).count();
            prop_assert!(inside <= limit as usize);
        }
    }

    /// Any sequence in which request k + limit comes at least a window after request k passes without delay.
    #[test]
    fn backstop_admits_whatever_the_exact_window_admits(
        limit in 1u32..60,
        gaps_ms in proptest::collection::vec(0u64..5_000, 1..200),
    ) {
        let rig = Rig::new(GuardMode::Backstop, limit);
        let (mut now, mut passed) = (Duration::ZERO, Vec::<Duration>::new());
        for gap in gaps_ms {
            let mut next = now + Duration::from_millis(gap);
            if let Some(oldest) = passed.len().checked_sub(limit as usize) {
                next = next.max(passed[oldest] + MINUTE);
            }
            rig.clock.advance(next - now);
            now = next;
            prop_assert_eq!(rig.guard.check(&rig.key), Ok(()));
            passed.push(now);
        }
    }
}
