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
    /// It was no limit of this lane, so the answer tells nothing of the lane.
    pub(crate) foreign: bool,
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
        let at = self.ascending(stamped);
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
            foreign: false,
        }
    }

    /// A request that came while nobody is let in.
    pub(crate) fn turn_away(&mut self, group: Group, plan: &Plan, stamped: Nanos, retry_after_s: u64) -> Admission {
        let (at, verdict) = (self.ascending(stamped), Verdict::InPenalty);
        self.arrivals.push(LaneArrival { at, verdict });
        let used = u32::try_from(self.window.used()).unwrap_or(u32::MAX);
        let window_s = seconds_up(plan.window);
        Admission { group, verdict, at, limit: plan.limit, used, window_s, retry_after_s, foreign: true }
    }

    /// Two connections can be stamped in one order and get here in the other, microseconds apart; the log stays ascending.
    fn ascending(&self, stamped: Nanos) -> Nanos {
        self.arrivals.last().map_or(stamped, |a| a.at.max(stamped))
    }

    /// An injected 429 that belongs to this lane: from now on it is as real as an earned one.
    pub(crate) fn penalise(&mut self, until: Nanos) {
        self.window.begin_penalty(until);
    }

    pub(crate) fn arrivals(&self) -> &[LaneArrival] {
        &self.arrivals
    }
}
