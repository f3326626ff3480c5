//! settle: what became of leased messages.
//!
//! Invariant: idempotent by token.

use std::time::Duration;

use rusqlite::params;

use super::{
    fault::Step,
    messages::{Flight, Message},
    millis, raw_token, short,
    slots::IN_USE,
    tx::Tx,
};
use crate::{
    calls::{Outcome, Settled, Settlement},
    message::State,
    plan::PlanSeen,
};

impl Tx<'_> {
    pub(super) fn settle(&mut self, batch: &[Settlement]) -> Step<Vec<Settled>> {
        batch.iter().map(|settlement| self.settle_one(settlement)).collect()
    }

    fn settle_one(&mut self, settlement: &Settlement) -> Step<Settled> {
        let token = raw_token(settlement.lease.token);
        let Some(m) = self.message(&settlement.lease.id)? else { return Ok(Settled::Missing) };
        let flight = self.flight(&m.id)?;
        let ended_by_it = flight.is_none() && m.ended.is_some() && m.token == token;
        if let Some(flight) = flight.filter(|f| f.token == token) {
            let at = self.lane_at_row(m.lane)?;
            self.touch(at);
            self.land(at, &flight, settlement)?;
            return self.decide(at, m, settlement, Some(&flight)).map(Settled::Done);
        }
        if !ended_by_it {
            return Ok(Settled::Stale);
        }
        // SEND-SAFETY: "unknown" and "released" are no evidence. Who gives a message back after the intent doesn't say
        // that nothing was sent.
        let evidence = !matches!(settlement.outcome, Outcome::Unknown { .. } | Outcome::Released);
        if m.state != State::Held || !evidence {
            return Ok(Settled::Again(m.state));
        }
        let at = self.lane_at_row(m.lane)?;
        self.touch(at);
        // It may tell of a request that arrived after its slot was timed for a dead worker: the later counts.
        let age = millis(settlement.age).saturating_add(self.waited);
        self.lanes[at].retime_slot(token, self.now, age);
        self.count(State::Held, -1);
        self.decide(at, m, settlement, None).map(Settled::LateEvidence)
    }

    /// Takes the message out of its worker's hand, and gives its slot the time that the answer allows.
    fn land(&mut self, at: usize, flight: &Flight, settlement: &Settlement) -> Step<()> {
        self.leave_flight(at, flight)?;
        if flight.state == State::Claimed {
            // No intent, so no POST: the slot was never used.
            self.lanes[at].slots.drop(flight.token);
        } else {
            let age = millis(settlement.age).saturating_add(self.waited);
            self.lanes[at].time_slot(flight.token, self.now, age);
            self.learn(at, flight, settlement.seen)?;
        }
        // Only an answer to a request that began after the penalty speaks of the time after it.
        let after_penalty = flight.state == State::Sending && flight.since >= self.lanes[at].penalty;
        if after_penalty && matches!(settlement.outcome, Outcome::Sent { .. } | Outcome::Rejected { .. }) {
            self.lanes[at].probe = false;
        }
        Ok(())
    }

    /// The plan that the answer's headers tell. Answers that arrive out of order are not listened to.
    fn learn(&mut self, at: usize, flight: &Flight, seen: PlanSeen) -> Step<()> {
        let lane = &mut self.lanes[at];
        if flight.claim <= lane.heard {
            return Ok(());
        }
        lane.heard = flight.claim;
        lane.learn_plan(seen);
        if let (Some(limit), Some(remaining)) = (seen.limit, seen.remaining) {
            // Ours can't be more than what was in use at the claim plus every claim since. More than that at the server
            // means that somebody else spends this quota: phantom slots stand for it.
            let ours = flight.used + (lane.claims - flight.claim);
            let foreign = (i64::from(limit) - i64::from(remaining) - ours).min(lane.limit);
            // They count like claims, so that answers already under way don't tell the same ones a second time.
            for _ in 0..foreign {
                let phantom = self.take_slot(at, IN_USE)?;
                self.lanes[at].time_slot(phantom, self.now, 0);
            }
        }
        Ok(())
    }

    /// Where the message goes. `flight` is `None` for late evidence about one that was held.
    fn decide(&mut self, at: usize, mut m: Message, settlement: &Settlement, flight: Option<&Flight>) -> Step<State> {
        let token = raw_token(settlement.lease.token);
        match &settlement.outcome {
            Outcome::Sent { provider_id } => {
                self.close(&m, State::Sent, "accepted", &short(provider_id), token)?;
                Ok(State::Sent)
            }
            Outcome::Rejected { code } => {
                self.close(&m, State::Rejected, &short(code), "", token)?;
                Ok(State::Rejected)
            }
            Outcome::Unknown { reason } => {
                // SEND-SAFETY: the provider may have taken it. It never goes back to a queue from here.
                self.close(&m, State::Held, &short(reason), "", token)?;
                Ok(State::Held)
            }
            Outcome::Released if flight.is_some_and(|f| f.state == State::Sending) => {
                // SEND-SAFETY: an intent was written, so a POST may have left.
                self.close(&m, State::Held, "released-after-intent", "", token)?;
                Ok(State::Held)
            }
            Outcome::Retry { code, max_attempts, .. } if m.attempt + 1 >= *max_attempts => {
                m.attempt += 1;
                self.close(&m, State::Dead, &short(code), "", token)?;
                Ok(State::Dead)
            }
            Outcome::Retry { delay, .. } => {
                m.attempt += 1;
                self.wait_again(at, &m, flight.is_none(), *delay)
            }
            Outcome::Throttled { retry_after } => {
                self.penalise(at, *retry_after);
                self.wait_again(at, &m, flight.is_none(), Duration::ZERO)
            }
            Outcome::NotSent { delay } => {
                if millis(*delay) > 0 {
                    self.penalise(at, *delay);
                }
                self.wait_again(at, &m, flight.is_none(), Duration::ZERO)
            }
            Outcome::Parked { reason } => {
                self.lanes[at].parked = Some(short(reason));
                self.wait_again(at, &m, flight.is_none(), Duration::ZERO)
            }
            Outcome::Released => self.wait_again(at, &m, flight.is_none(), Duration::ZERO),
        }
    }

    /// By deadline, never by a resume message, so that nothing can be forgotten.
    fn penalise(&mut self, at: usize, delay: Duration) {
        let until = self.now.saturating_add(millis(delay));
        self.lanes[at].penalise(until);
        self.lanes[at].probe = true;
    }

    /// Certainly not sent: it waits again, at the head of its lane or for its delay.
    fn wait_again(&mut self, at: usize, m: &Message, was_held: bool, delay: Duration) -> Step<State> {
        if was_held {
            let sql = "UPDATE messages SET state = ?2, attempt = ?3, code = '', provider_id = '', token = 0, \
                       ended = NULL, expire_at = nullif(send_by, 0) WHERE n = ?1";
            self.exec(sql, params![m.row, State::Ready as u8, m.attempt])?;
        } else {
            self.exec("UPDATE messages SET attempt = ?2 WHERE n = ?1 AND attempt <> ?2", params![m.row, m.attempt])?;
        }
        if millis(delay) > 0 {
            self.schedule(m, self.now.saturating_add(millis(delay)))?;
            return Ok(State::Scheduled);
        }
        self.enqueue_front(at, m)?;
        Ok(State::Ready)
    }
}
