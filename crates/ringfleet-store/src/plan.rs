//! Usage plans as the store sees them: how many requests of a lane may lie inside any one window.

use std::time::Duration;

use crate::ids::Group;

/// One group's plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Requests per window, 1 to 1,000.
    pub limit: u32,
    /// Length of the sliding window, in ms.
    pub window_ms: u32,
}

/// Carriers tell within minutes, some within days.
const DELIVERY_WAIT: Duration = Duration::from_secs(72 * 3_600);

/// What the configuration takes at most.
pub(crate) const LONGEST_DELIVERY_WAIT: Duration = Duration::from_secs(30 * 86_400);

/// The plans and bounds that a process brings along; a lane's own, learnt plan comes before them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneRules {
    heavy: Plan,
    medium: Plan,
    light: Plan,
    auth: Plan,
    /// Messages of one lane in flight at once: a slow extension can hold no more of a worker than this.
    pub in_flight_cap: u32,
    /// How long a sent message waits for its delivery report; zero: not at all, and no memory is spent on it. The shortest of the
    /// fleet's processes counts, but for those that wait not at all.
    pub delivery_wait: Duration,
}

impl LaneRules {
    /// RingCentral's documented defaults: 10, 40, 50 and 5 requests in 60 s.
    pub fn documented() -> Self {
        Self::with_window(Duration::from_secs(60))
    }

    /// The documented limits over another window, as simulators and tests use it.
    pub fn with_window(window: Duration) -> Self {
        let window_ms = u32::try_from(window.as_millis()).unwrap_or(u32::MAX).max(1);
        let plan = |limit| Plan { limit, window_ms };
        Self {
            heavy: plan(10),
            medium: plan(40),
            light: plan(50),
            auth: plan(5),
            in_flight_cap: 8,
            delivery_wait: DELIVERY_WAIT,
        }
    }

    pub fn plan(&self, group: Group) -> Plan {
        match group {
            Group::Heavy => self.heavy,
            Group::Medium => self.medium,
            Group::Light => self.light,
            Group::Auth => self.auth,
        }
    }

    pub fn set_plan(&mut self, group: Group, plan: Plan) {
        let plan = Plan { limit: plan.limit.clamp(1, 1_000), window_ms: plan.window_ms.max(1) };
        match group {
            Group::Heavy => self.heavy = plan,
            Group::Medium => self.medium = plan,
            Group::Light => self.light = plan,
            Group::Auth => self.auth = plan,
        }
    }
}

/// How long a slot is kept beyond the moment its response was read: the window, and a margin for the server's own
/// rounding of time (0.1 % of the window, at least 2 ms, because the store counts whole milliseconds).
pub fn slot_hold_ms(window_ms: i64) -> i64 {
    window_ms + (window_ms / 1_000).max(2)
}

/// From the claim of a request to its answer, where nothing tells how long that takes.
pub const ASSUMED_RESPONSE_MS: i64 = 300;

/// What the headers of one answer said of the lane's plan (`X-Rate-Limit-*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlanSeen {
    pub limit: Option<u32>,
    pub window_ms: Option<u32>,
    pub remaining: Option<u32>,
}
