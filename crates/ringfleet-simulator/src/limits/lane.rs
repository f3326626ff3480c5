//! A lane: the limiter beside the raw log of what arrived, which only the judge reads.

use super::window::{Verdict, Window};
use super::{Group, Plan};
use crate::clock::{Nanos, seconds_up};

/// One request as it reached a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneArrival {
    pub(crate) at: Nanos,
    pub(crate) verdict: Verdict,
}

/// What the limiter says about a request, with everything that the headers need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    pub(crate) group: Group,
    pub(crate) verdict: Verdict,
    pub(crate) at: Nanos,
    pub(crate) limit: u32,
    /// Requests in the window, this one included if admitted.
    pub(crate) used: u32,
    pub(crate) window_s: u64,
    /// Until the penalty ends, in whole seconds rounded up; 0 without a penalty.
    pub(crate) retry_after_s: u64,
}

impl Admission {
    pub(crate) fn refused(&self) -> bool {
        self.verdict != Verdict::Admitted
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    window: Window,
    arrivals: Vec<LaneArrival>,
}

impl Lane {
    pub(crate) fn arrive(&mut self, group: Group, plan: &Plan, stamped: Nanos) -> Admission {
        // Two connections can be stamped in one order and get here in the other, microseconds apart; the log stays ascending.
        let at = self.arrivals.last().map_or(stamped, |a| a.at.max(stamped));
        let verdict = self.window.arrive(plan, at);
        self.arrivals.push(LaneArrival { at, verdict });
        Admission {
            group,
            verdict,
            at,
            limit: plan.limit,
            used: u32::try_from(self.window.used()).unwrap_or(u32::MAX),
            window_s: seconds_up(plan.window),
            retry_after_s: seconds_up(self.window.penalty_until().saturating_sub(at)),
        }
    }

    /// An injected 429 that belongs to this lane: from now on it is as real as an earned one.
    pub(crate) fn penalise(&mut self, until: Nanos) {
        self.window.begin_penalty(until);
    }

    pub(crate) fn arrivals(&self) -> &[LaneArrival] {
        &self.arrivals
    }
}
