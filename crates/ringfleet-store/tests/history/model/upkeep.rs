//! What the reaper does.

use ringfleet_store::{MAX_RECOVERIES, MessageId, Millis, Reaped, State};

use super::{Message, Model};

impl Message {
    /// When it came into its state, once it has ended, is held or of unknown fate: of a delivered one its report came later than its
    /// end.
    pub(crate) fn came_into_state(&self) -> Option<Millis> {
        self.delivery.as_ref().map_or(self.finished_at, |report| Some(report.at))
    }
}

impl Model {
    /// The part of a reap that deals with ended leases, the earliest first.
    pub(crate) fn reap_leases(&mut self, limit: usize) -> Reaped {
        let ended = |m: &Message| m.hand.as_ref().map(|hand| hand.ends).filter(|ends| *ends <= self.now);
        let mut all: Vec<_> = self.messages.iter().filter_map(|(id, m)| Some((ended(m)?, *id))).collect();
        all.sort_unstable();
        let mut reaped = Reaped::default();
        for (_, id) in all.into_iter().take(limit) {
            if self.messages[&id].state == State::Sending {
                let hand = self.let_go(&id, Some(0));
                if !self.close_sent_before(&id) {
                    self.fate_unknown(&id, "worker-lost", hand.token, hand.since);
                }
                reaped.unknown += 1;
                continue;
            }
            self.let_go(&id, None);
            let m = self.message(&id);
            m.recoveries += 1;
            if m.recoveries > MAX_RECOVERIES {
                self.close_unsent(&id, State::Dead, "poison");
                reaped.poisoned += 1;
            } else {
                self.put_back(&id);
                reaped.requeued += 1;
            }
        }
        reaped
    }

    /// The part that forgets old records, the oldest first.
    pub(crate) fn prune(&mut self, limit: usize, retention_ms: Millis) -> Vec<MessageId> {
        let before = self.now - retention_ms;
        let ended = |m: &Message| m.came_into_state().filter(|at| m.state.is_final() && *at <= before);
        let mut old: Vec<_> = self.messages.iter().filter_map(|(id, m)| Some((ended(m)?, *id))).collect();
        old.sort_unstable();
        let gone: Vec<_> = old.into_iter().take(limit).map(|(_, id)| id).collect();
        for id in &gone {
            self.messages.remove(id);
        }
        self.pruned += gone.len() as u64;
        gone
    }
}
