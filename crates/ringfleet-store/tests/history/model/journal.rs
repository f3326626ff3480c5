//! What a journal tells a store that may have lost a moment.

use ringfleet_store::{LaneId, Millis, NewMessage, OnUnknown, Outcome, Private, Settled, Settlement, State};

use super::{Message, Model, fate::LONGEST_SEND};

impl Model {
    /// As a settlement; a message that is gone gets a record if it was sent, or may have been.
    pub(crate) fn reassert(&mut self, lane: &LaneId, s: &Settlement) -> Settled {
        let answer = self.settle_told(s, true);
        if !matches!(answer, Settled::Done(_)) {
            let whose = self.messages.get(&s.lease.id).map_or(lane, |m| &m.new.lane).clone();
            self.was_requested(&whose, s);
        }
        let (state, provider_id) = match &s.outcome {
            Outcome::Sent { provider_id } => (State::Sent, Some(provider_id.clone())),
            Outcome::Unknown { .. } => (State::Held, None),
            _ => return answer,
        };
        if answer == Settled::Missing {
            let none = Private::default;
            let new = NewMessage {
                lane: lane.clone(),
                key: None,
                from: none(),
                to: none(),
                text: none(),
                priority: Default::default(),
                on_unknown: OnUnknown::Hold,
                send_at: None,
                send_by: None,
            };
            let message = Message { tombstone: true, ..self.blank(new) };
            self.messages.insert(s.lease.id, message);
            self.accepted += 1;
            self.close(&s.lease.id, state, "rolled-back", s.lease.token, provider_id);
        }
        answer
    }
    /// The provider's window has it, and a penalty is one, whatever the store remembers.
    fn was_requested(&mut self, lane: &LaneId, s: &Settlement) {
        self.heard_late(lane, s);
        let age = s.age.as_millis() as Millis;
        let hold = self.lane(lane).hold();
        match s.outcome {
            // Begun so long ago; when it arrived nobody knows.
            Outcome::Unknown { .. } if age < hold + LONGEST_SEND => self.retime(lane, s.lease.token, 0),
            Outcome::Unknown { .. } | Outcome::Released => {}
            _ if age < hold => self.retime(lane, s.lease.token, age),
            _ => {}
        }
    }
}
