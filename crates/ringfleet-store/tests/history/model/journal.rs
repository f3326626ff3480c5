//! What a journal tells a store that may have lost a moment.

use ringfleet_store::{LaneId, NewMessage, OnUnknown, Outcome, Private, Settled, Settlement, State};

use super::{Message, Model};

impl Model {
    /// As a settlement; a message that is gone gets a record if it was sent, or may have been.
    pub(crate) fn reassert(&mut self, lane: &LaneId, s: &Settlement) -> Settled {
        // Its POST may still be under way: whatever its policy, it is asked for first.
        let policy = self.messages.get(&s.lease.id).map(|m| m.new.on_unknown);
        if policy == Some(OnUnknown::Resend) {
            self.message(&s.lease.id).new.on_unknown = OnUnknown::Reconcile;
        }
        let answer = self.settle(s);
        if let Some(policy) = policy {
            self.message(&s.lease.id).new.on_unknown = policy;
        }
        let (state, provider_id) = match &s.outcome {
            Outcome::Sent { provider_id } => (State::Sent, Some(provider_id.clone())),
            Outcome::Unknown { .. } => (State::Held, None),
            _ => {
                if answer == Settled::Missing {
                    // It counts though its message is lost.
                    self.heard_late(lane, s);
                }
                return answer;
            }
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
}
