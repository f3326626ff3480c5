//! What operators do, and requests that are no messages.

use ringfleet_store::{Cancelled, Gate, LaneId, LeaseToken, MessageId, Millis, State};

use super::{Model, Use};

impl Model {
    pub(crate) fn cancel(&mut self, id: &MessageId) -> Cancelled {
        match self.messages.get(id) {
            None => Cancelled::Missing,
            Some(m) if !m.waits() => Cancelled::TooLate(m.state),
            Some(_) => {
                self.close_unsent(id, State::Cancelled, "cancelled");
                Cancelled::Done
            }
        }
    }

    /// It ends without a send that this would be the end of: whose story was closed stays known.
    pub(crate) fn close_unsent(&mut self, id: &MessageId, state: State, reason: &str) {
        self.close(id, state, reason, self.messages[id].closed, None);
    }

    pub(crate) fn park(&mut self, lane: &LaneId, reason: Option<&str>) {
        self.lane(lane).parked = reason.map(str::to_owned);
        if reason.is_none()
            && let Some((newest, _)) = self.claimed.last_key_value()
        {
            self.resumed.insert(lane.extension().to_owned(), *newest);
        }
    }

    pub(crate) fn set_gate(&mut self, gate: &Gate) {
        match gate {
            Gate::Open => self.stopped = None,
            Gate::Stopped { reason } => self.stopped = Some(reason.clone()),
            Gate::Until { until, reason } => {
                if self.penalty.as_ref().is_none_or(|(known, _)| known < until) {
                    self.penalty = Some((*until, reason.clone()));
                }
            }
        }
    }

    pub(crate) fn gate(&self) -> Gate {
        match (&self.stopped, &self.penalty) {
            (Some(reason), _) => Gate::Stopped { reason: reason.clone() },
            (None, Some((until, reason))) if *until > self.now => Gate::Until { until: *until, reason: reason.clone() },
            _ => Gate::Open,
        }
    }

    /// `None` = granted.
    pub(crate) fn must_wait(&self, lane: &LaneId) -> Option<Millis> {
        const LONGEST: Millis = 60_000;
        let l = &self.lanes[lane];
        // What is under way may be over at once, and its slot is free one window after that.
        let soonest = self.now + 1 + l.hold();
        let window = l.window_opens(self.now).map_or(soonest, |at| at.min(soonest));
        let at = self.gate_opens().map(|gate| window.max(gate).max(l.penalty));
        let wait = at.map_or(LONGEST, |at| (at - self.now).min(LONGEST));
        (wait > 0).then_some(wait)
    }

    pub(crate) fn grant(&mut self, lane: &LaneId, slot: LeaseToken, hold_ms: Millis) {
        let now = self.now;
        let lane = self.lane(lane);
        let free_at = now + hold_ms + lane.hold();
        lane.take(Use::Request(slot), Some(free_at));
    }

    pub(crate) fn drop_request(&mut self, lane: &LaneId, slot: LeaseToken) {
        self.lane(lane).drop_slot(Use::Request(slot));
    }
}
