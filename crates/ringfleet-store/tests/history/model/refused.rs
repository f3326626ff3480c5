//! What a refusal makes of its lane.

use ringfleet_store::{LaneId, Millis, Outcome, Settlement};

use super::Model;

impl Model {
    /// A refused lane waits, and then probes.
    pub(super) fn heed(&mut self, lane: &LaneId, s: &Settlement) {
        let (wait, from) = match s.outcome {
            Outcome::Throttled { retry_after } => (retry_after, self.now - s.age.as_millis() as Millis),
            Outcome::NotSent { delay } if !delay.is_zero() => (delay, self.now),
            _ => return,
        };
        let until = from + wait.as_millis() as Millis;
        let lane = self.lane(lane);
        (lane.penalty, lane.probing) = (lane.penalty.max(until), true);
    }

    /// The message is decided otherwise, but its lane was refused.
    pub(super) fn heard_late(&mut self, lane: &LaneId, s: &Settlement) {
        let Outcome::Throttled { retry_after } = s.outcome else { return };
        let age = s.age.as_millis() as Millis;
        let until = self.now - age + retry_after.as_millis() as Millis;
        if until > self.lane(lane).penalty.max(self.now) {
            self.retime(lane, s.lease.token, age);
            let lane = self.lane(lane);
            (lane.penalty, lane.probing) = (until, true);
        }
    }
}
