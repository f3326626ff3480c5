//! Messages that a claim or a worker puts off: they are scheduled again.

use ringfleet_store::{MessageId, Millis, State};

use super::Model;

impl Model {
    /// A claim met them while their pairs were busy: they come back in this order, each a millisecond after the one before.
    /// `others` of other lanes came in between, nobody knows where.
    pub(crate) fn put_off(&mut self, ids: &[MessageId], others: usize, in_order: bool) {
        let now = self.now;
        for (id, n) in ids.iter().zip(1..) {
            let lane = self.messages[id].new.lane.clone();
            self.lane(&lane).queue.retain(|waiting| waiting != id);
            let exact = others == 0 && in_order;
            let last = (ids.len() + others) as Millis;
            let m = self.message(id);
            m.state = State::Scheduled;
            m.due_from = now + if exact { 999 + n as Millis } else { 1_000 };
            m.due = if exact { m.due_from } else { now + 999 + last };
            m.rank = if exact { 0 } else { n };
            m.may_jump |= !exact;
        }
    }

    /// To the end of its recipient's quiet hours, reckoned when the report was as much younger.
    pub(super) fn put_off_for(&mut self, id: &MessageId, delay: Millis, age: Millis) {
        if delay == 0 {
            return self.put_back(id);
        }
        let due = self.now + (delay - age).max(1);
        let m = self.message(id);
        (m.reason, m.put_off_to) = ("quiet-hours".into(), due);
        (m.state, m.due, m.due_from, m.rank) = (State::Scheduled, due, due, 0);
    }
}
