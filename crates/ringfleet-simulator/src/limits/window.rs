//! The sliding window of one lane.
//!
//! A request at `t` is inside the window of a request at `u` when `u - window < t <= u`: exactly one window later it no longer
//! counts. RingCentral documents "sliding window" and the restarting penalty, but not the boundary nor whether refused requests
//! count as used; here they do not, since the penalty alone keeps them out for as long.

use std::collections::VecDeque;

use super::Plan;
use crate::clock::Nanos;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    /// The window was full: a penalty begins.
    OverLimit,
    /// A penalty was running: it begins again.
    InPenalty,
}

#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Instants of the admitted requests that still count, oldest first; never more than the limit.
    used: VecDeque<Nanos>,
    penalty_until: Nanos,
}

impl Window {
    /// Takes one request. `now` never goes back from call to call.
    pub(crate) fn arrive(&mut self, plan: &Plan, now: Nanos) -> Verdict {
        if now < self.penalty_until {
            self.begin_penalty(now + plan.penalty);
            return Verdict::InPenalty;
        }
        while self.used.front().is_some_and(|t| t + plan.window <= now) {
            self.used.pop_front();
        }
        if self.used.len() >= plan.limit as usize {
            self.begin_penalty(now + plan.penalty);
            return Verdict::OverLimit;
        }
        self.used.push_back(now);
        Verdict::Admitted
    }

    /// A penalty that is already longer (an injected one can be) stays.
    pub(crate) fn begin_penalty(&mut self, until: Nanos) {
        self.penalty_until = self.penalty_until.max(until);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.len()
    }

    pub(crate) fn penalty_until(&self) -> Nanos {
        self.penalty_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { limit: 3, window: 100, penalty: 50 };

    fn verdicts(times: &[Nanos]) -> Vec<Verdict> {
        let mut window = Window::default();
        times.iter().map(|t| window.arrive(&PLAN, *t)).collect()
    }

    #[test]
    fn exactly_one_window_later_a_slot_is_free_again() {
        use Verdict::{Admitted, OverLimit};
        assert_eq!(verdicts(&[10, 20, 30, 110])[3], Admitted);
        assert_eq!(verdicts(&[10, 20, 30, 109])[3], OverLimit);
    }

    #[test]
    fn a_request_inside_the_penalty_restarts_it() {
        use Verdict::{Admitted, InPenalty, OverLimit};
        // The penalty of t=40 would end at 90; the call at 89 moves it to 139, the one at 138 to 188.
        assert_eq!(
            verdicts(&[10, 20, 30, 40, 89, 138, 187, 237]),
            [Admitted, Admitted, Admitted, OverLimit, InPenalty, InPenalty, InPenalty, Admitted]
        );
    }
}
