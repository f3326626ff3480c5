//! slot: a place in a lane's window for a request that is no message (a login, a read of the message store).

use std::time::Duration;

use super::{fault::Step, millis, raw_token, tx::Tx};
use crate::{
    calls::{Acquired, Release},
    ids::{Group, LaneId, LeaseToken},
    message::Millis,
    plan::PlanSeen,
};

/// Nobody waits longer than this without looking again.
const MAX_WAIT: Millis = 60_000;

impl Tx<'_> {
    pub(super) fn acquire(&mut self, lane: &LaneId, hold: Duration) -> Step<Acquired> {
        let at = self.lane_named(lane)?;
        self.touch(at);
        let gate = self.gate_of(lane.group() == Group::Auth)?.unwrap_or(0);
        let now = self.now;
        let lane = &mut self.lanes[at];
        // A slot whose request is under way may be free one window after now: nobody is told to wait until it must be over.
        let window_free_at = lane.window_free_at(now).min(now + 1 + lane.hold());
        let free_at = lane.penalty.max(window_free_at).max(gate);
        if free_at > now {
            return Ok(Acquired::Wait(self.until(free_at.min(now + MAX_WAIT))));
        }
        // Nobody reaps these: the slot frees itself when the request must be over, and a window after that.
        let ends = now.saturating_add(millis(hold)).saturating_add(lane.hold());
        let token = self.take_slot(at, ends)?;
        Ok(Acquired::Granted(LeaseToken(token.unsigned_abs())))
    }

    pub(super) fn release(
        &mut self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Step<()> {
        let at = self.lane_named(lane)?;
        self.touch(at);
        let (now, age) = (self.now, millis(age).saturating_add(self.waited));
        let lane = &mut self.lanes[at];
        match how {
            Release::Unused => lane.slots.drop(raw_token(slot)),
            Release::Used | Release::Throttled { .. } => lane.time_slot(raw_token(slot), now, age),
        }
        if let Release::Throttled { retry_after } = how {
            lane.penalise(now.saturating_add(millis(retry_after)));
        }
        lane.learn_plan(seen);
        Ok(())
    }
}
