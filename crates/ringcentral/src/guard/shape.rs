//! From a usage plan to a governor quota.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

use crate::plan::UsagePlan;

/// How the guard limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuardMode {
    /// Behind a store that keeps the exact sliding window: burst = limit, one more each window ÷ limit. It never delays
    /// what the exact window admits, and lets at most 2 × limit − 1 through in a window, so it stops a flood, not a
    /// small error. A refused call returns at once.
    Backstop,
    /// The only limiter of a program that uses this crate alone: burst and refill together stay within the limit in any
    /// window, which costs about an eighth of the plan. A call waits for its turn.
    #[default]
    Limiter,
}

/// The part of a plan that a limiter needs; `limit` is at least 1 and `window` at least 1 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) limit: u32,
    pub(super) window: Duration,
}

/// Plans beyond these are a broken header rather than a plan.
const MAX_LIMIT: u32 = 1_000_000;
const MAX_WINDOW: Duration = Duration::from_secs(86_400);

impl Limit {
    /// `None` for a plan that can't be one.
    pub(super) fn try_new(limit: u32, window: Duration) -> Option<Self> {
        let sound = (1..=MAX_LIMIT).contains(&limit) && (Duration::from_millis(1)..=MAX_WINDOW).contains(&window);
        sound.then_some(Self { limit, window })
    }

    /// A configured plan, with absurd values brought into bounds.
    pub(super) fn of(plan: UsagePlan) -> Self {
        Self { limit: plan.limit.clamp(1, MAX_LIMIT), window: plan.window.clamp(Duration::from_millis(1), MAX_WINDOW) }
    }
}

/// A GCRA: `burst` at once, then one each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) burst: u32,
    pub(super) interval: Duration,
}

impl Shape {
    pub(super) fn of(mode: GuardMode, Limit { limit, window }: Limit) -> Self {
        let (burst, interval) = match mode {
            // Rounded down: a remainder must not delay the last request of an exact window.
            GuardMode::Backstop => (limit, window / limit),
            GuardMode::Limiter => {
                // A closed window W holds at most burst + ⌊W ÷ interval⌋ requests. With
                // interval > W ÷ (limit − burst) that is within the limit; the sixtieth on top (1 s of a minute) covers
                // requests that the network pushes together on their way.
                let burst = (limit / 8).max(1);
                let stretched = window + window / 60 + Duration::from_nanos(1);
                let rest = (limit - burst).max(1);
                (burst, stretched / rest + Duration::from_nanos(1))
            }
        };
        Self { burst, interval: interval.max(Duration::from_nanos(1)) }
    }

    pub(super) fn interval_ns(self) -> u64 {
        u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX)
    }

    /// governor's tolerance.
    pub(super) fn burst_ns(self) -> u64 {
        self.interval_ns().saturating_mul(u64::from(self.burst.saturating_sub(1)))
    }

    pub(super) fn quota(self) -> Quota {
        let burst = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        // `with_period` refuses only a zero interval, which `of` rules out.
        Quota::with_period(self.interval).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
    }
}
