//! What the reaper did, and what has passed its time.

use ringfleet_store::{Millis, Reaped, State};

use crate::{
    run::{Run, Verdict, ms, same},
    witness::Name,
};

impl Run<'_> {
    pub(crate) async fn reap(&mut self, limit: u32, retention_ms: Millis) -> Verdict {
        let now = self.model.now;
        let reaped = self.subject.store.reap(limit, ms(retention_ms)).await.unwrap();
        let in_hand = |state| move |m: &crate::model::Message| m.state == state;
        let sending = self.model.messages.iter().filter(|(_, m)| in_hand(State::Sending)(m));
        let lost: Vec<_> = sending.filter_map(|(id, m)| Some((*id, m.new.lane.clone(), m.hand.as_ref()?))).collect();
        let lost: Vec<_> = lost.into_iter().map(|(id, lane, hand)| (id, lane, hand.token, hand.ends)).collect();
        let unreported = self.model.reap_reports(limit as usize);
        let expected = self.model.reap_leases(limit as usize);
        for (id, lane, token, ends) in lost {
            match self.model.messages[&id].state {
                // Its policy says so.
                State::Ready => self.witness.not_sent(&id),
                State::Sent => self.witness.is_sent(&id),
                _ => {}
            }
            let still = self.model.messages.values().filter_map(|m| m.hand.as_ref()).any(|hand| hand.token == token);
            if !still {
                // Nobody knows when its request ended; the design says: not after its lease.
                self.witness.ends(&lane, Name::Message(token), ends);
            }
        }
        for m in self.model.messages.values_mut().filter(|m| m.hand.is_some() && m.is_past(now)) {
            m.expiry_put_off = true;
        }
        let expired = self.see_what_expired().await?;
        let overlooked = |m: &&crate::model::Message| m.waits() && m.is_past(now) && !m.expiry_put_off;
        if limit >= 500
            && let Some(m) = self.model.messages.values().find(overlooked)
        {
            return Err(format!("the reaper overlooked a message past its time in {}", m.new.lane));
        }
        self.model.docs.reap(now, limit as usize);
        let gone = self.model.prune(limit as usize, retention_ms);
        gone.iter().for_each(|id| self.witness.forgotten(id));
        let expected = Reaped { expired, pruned: gone.len() as u32, unreported, ..expected };
        same("reap", reaped, expected)
    }

    /// A store may close a message past its time whenever it meets it; it must not close any other.
    pub(crate) async fn see_what_expired(&mut self) -> Result<u32, String> {
        let now = self.model.now;
        let past = self.model.messages.iter().filter(|(_, m)| m.waits() && m.is_past(now));
        let past: Vec<_> = past.map(|(id, _)| *id).collect();
        let mut expired = 0;
        for id in past {
            let view = self.subject.store.get(&id).await.unwrap().ok_or_else(|| format!("LOST: {id}"))?;
            if view.state == State::Expired {
                self.model.close_unsent(&id, State::Expired, "send-by-passed");
                expired += 1;
            }
        }
        Ok(expired)
    }
}
