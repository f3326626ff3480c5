//! What a journal tells a store that may have lost a moment.

use ringfleet_store::{LaneId, Millis, NewMessage, OnUnknown, Outcome, Private, Settled, Settlement, State};

use super::{Message, Model};

impl Model {
    /// As a settlement; a message that is gone gets a record if it was sent, or may have been.
    pub(crate) fn reassert(&mut self, lane: &LaneId, s: &Settlement) -> Settled {
        let answer = self.settle(s);
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
        let requested = matches!(s.outcome, Outcome::Sent { .. } | Outcome::Unknown { .. } | Outcome::Rejected { .. });
        if requested && age < self.lane(lane).hold() {
            self.retime(lane, s.lease.token, age);
        }
    }
}
