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
    tx::{TOKENS_A_MS, Tx},
};
use crate::{
    calls::{Outcome, Settled, Settlement, UNDER_WAY},
    message::{OnUnknown, State},
    plan::PlanSeen,
};

/// No send takes longer: its intent lies within this time before its report.
const LONGEST_SEND: i64 = 360_000;

impl Tx<'_> {
    pub(super) fn settle(&mut self, batch: &[Settlement]) -> Step<Vec<Settled>> {
        batch.iter().map(|settlement| self.settle_one(settlement, false)).collect()
    }

    /// `told_again`: from a journal, to a store that may have lost a moment.
    pub(super) fn settle_one(&mut self, settlement: &Settlement, told_again: bool) -> Step<Settled> {
        let token = raw_token(settlement.lease.token);
        let Some(mut m) = self.message(&settlement.lease.id)? else { return Ok(Settled::Missing) };
        let under_way = matches!(&settlement.outcome, Outcome::Unknown { reason } if reason == UNDER_WAY);
        if under_way && m.on_unknown == OnUnknown::Resend {
            // SEND-SAFETY: not sent again beside a POST that is still under way, but asked for first, as the default is.
            m.on_unknown = OnUnknown::Reconcile;
        }
        let at = self.lane_at_row(m.lane)?;
        self.touch(at);
        let flight = self.flight(&m.id)?;
        if let Some(flight) = flight.as_ref().filter(|f| f.token == token) {
            self.land(at, flight, settlement, told_again)?;
            self.heed(at, settlement);
            if !matches!(settlement.outcome, Outcome::Sent { .. }) && self.close_sent_before(&m)? {
                return Ok(Settled::Done(State::Sent));
            }
            return self.decide_settled(at, m, settlement, Some(flight)).map(Settled::Done);
        }
        let closed_by_it = flight.is_none() && m.token == token;
        let outcome = &settlement.outcome;
        // SEND-SAFETY: "unknown" and "released" are no evidence. Who gives a message back after the intent doesn't say
        // that nothing was sent.
        let evidence = !matches!(outcome, Outcome::Unknown { .. } | Outcome::Released);
        // A message without its text can't be sent again, whatever is told of it.
        let closing = matches!(outcome, Outcome::Sent { .. } | Outcome::Rejected { .. });
        let evidence = evidence && (closing || self.has_text(m.row)?);
        if closed_by_it && matches!(m.state, State::Held | State::Unknown) && evidence {
            // It may tell of a request that arrived after its slot was timed for a dead worker: the later counts.
            self.retime(at, settlement);
            self.heed(at, settlement);
            if m.state == State::Unknown {
                self.leave_unknown(at, &m)?;
            } else {
                self.count(State::Held, -1);
            }
            if !closing && self.was_taken_back(&m)? {
                // SEND-SAFETY: certainly not sent, and somebody has taken it back.
                self.close(&m, State::Cancelled, "cancelled", "", token)?;
                return Ok(Settled::LateEvidence(State::Cancelled));
            }
            return self.decide_settled(at, m, settlement, None).map(Settled::LateEvidence);
        }
        if told_again {
            self.heard_again(at, settlement);
        } else {
            self.heard_late(at, settlement);
        }
        let now = self.state_now(&m)?;
        if !closed_by_it || matches!(outcome, Outcome::Sent { .. }) {
            if let Some(settled) = self.settle_stale(at, m, flight, settlement)? {
                return Ok(settled);
            }
            return Ok(if closed_by_it { Settled::Again(now) } else { Settled::Stale });
        }
        Ok(Settled::Again(now))
    }

    /// A message of which an older send turned out to have arrived while a newer one was under way: it is sent, whatever
    /// became of that one.
    pub(super) fn close_sent_before(&mut self, m: &Message) -> Step<bool> {
        let sql = "SELECT provider_id FROM messages WHERE n = ?1 AND code = 'sent-before'";
        let Some(provider_id) = self.row(sql, [m.row], |row| row.get::<_, String>(0))? else { return Ok(false) };
        self.close(m, State::Sent, "accepted", &provider_id, m.token)?;
        Ok(true)
    }

    /// It was cancelled while the store did not know that it was being sent.
    fn was_taken_back(&mut self, m: &Message) -> Step<bool> {
        let sql = "SELECT 1 FROM messages WHERE n = ?1 AND code = 'cancelled-under-way'";
        Ok(self.row(sql, [m.row], |row| row.get::<_, i64>(0))?.is_some())
    }

    fn retime(&mut self, at: usize, settlement: &Settlement) {
        let age = millis(settlement.age).saturating_add(self.waited);
        self.lanes[at].retime_slot(raw_token(settlement.lease.token), self.now, age);
    }

    /// A report of a lease that ended, and whose story is not closed: the store has lost the moment in which it was, or has
    /// put the message back since. `None` when it changes nothing.
    fn settle_stale(
        &mut self,
        at: usize,
        m: Message,
        flight: Option<Flight>,
        settlement: &Settlement,
    ) -> Step<Option<Settled>> {
        let token = raw_token(settlement.lease.token);
        let newer = flight.as_ref().is_some_and(|f| f.state == State::Sending && f.token > token);
        match &settlement.outcome {
            Outcome::Sent { provider_id } => {
                let provider_id = short(provider_id);
                let known = "SELECT provider_id FROM messages WHERE n = ?1 AND state IN (5, 13, 14)";
                let known: String = self.row(known, [m.row], |row| row.get(0))?.unwrap_or_default();
                if m.state.was_sent() && (known == provider_id || provider_id.is_empty()) {
                    return Ok(Some(Settled::Again(m.state)));
                }
                self.retime(at, settlement);
                if newer || !known.is_empty() {
                    // SEND-SAFETY: two texts went out, or are about to. It can't be undone; it is told, never dropped.
                    // Whatever becomes of the later send, the message is sent.
                    if !provider_id.is_empty() {
                        let sql = "INSERT OR REPLACE INTO spare_credits (provider_id, lane, at) VALUES (?1, ?2, ?3)";
                        self.exec(sql, params![provider_id, m.lane, self.now])?;
                    }
                    if newer {
                        let sql = "UPDATE messages SET code = 'sent-before', provider_id = ?2, token = ?3 WHERE n = ?1";
                        self.exec(sql, params![m.row, provider_id, token])?;
                    }
                    return Ok(Some(Settled::SentTwice));
                }
                // SEND-SAFETY: it was sent, whatever was believed of it: it must not be sent again. A send of an older token is
                // one that was over, and that a store which lost its last moments believes to be under way.
                self.take_out(at, &m, flight.as_ref())?;
                self.close(&m, State::Sent, "accepted", &provider_id, token)?;
                Ok(Some(Settled::LateEvidence(State::Sent)))
            }
            Outcome::Unknown { reason } if !newer && token > m.token && may_be_lost(m.state) => {
                // SEND-SAFETY: it may have been sent in a moment that the store has lost. That an older send of it arrived
                // stays known.
                self.retime(at, settlement);
                self.take_out(at, &m, flight.as_ref())?;
                if self.close_sent_before(&m)? {
                    return Ok(Some(Settled::LateEvidence(State::Sent)));
                }
                let age = millis(settlement.age).saturating_add(self.waited);
                // SEND-SAFETY: the age is by the clock of the machine whose journal tells it, which may be wrong by more than a
                // send takes. A token is made of the store's own time, and no send begins before its claim.
                let intent = (self.now - age - LONGEST_SEND).min(token / TOKENS_A_MS);
                let mut m = m;
                if m.state == State::Cancelled {
                    // SEND-SAFETY: whoever found out that it was not sent would send what somebody has taken back.
                    let first = if m.intent > 0 { m.intent.min(intent) } else { intent };
                    (m.intent, m.reads) = (first.max(1), 0);
                    self.close(&m, State::Held, "cancelled-under-way", "", token)?;
                    return Ok(Some(Settled::LateEvidence(State::Held)));
                }
                if !matches!(m.state, State::Ready | State::Unknown) && m.on_unknown == OnUnknown::Resend {
                    // SEND-SAFETY: what has ended is asked for first, whatever its policy says. The record keeps its policy.
                    m.on_unknown = OnUnknown::Reconcile;
                }
                self.fate_unknown(at, m, &short(reason), token, intent).map(|state| Some(Settled::LateEvidence(state)))
            }
            _ => Ok(None),
        }
    }

    /// Undoes the end, or the waiting, of a message that was, or may have been, sent under another lease.
    fn take_out(&mut self, at: usize, m: &Message, flight: Option<&Flight>) -> Step<()> {
        if let Some(flight) = flight {
            self.leave_flight(at, flight)?;
            if flight.state == State::Claimed {
                self.lanes[at].slots.drop(flight.token);
            } else {
                self.lanes[at].time_slot(flight.token, self.now, 0);
            }
            return Ok(());
        }
        match m.state {
            State::Ready => self.stop_waiting(m),
            State::Unknown => self.leave_unknown(at, m),
            ended => {
                self.count(ended, -1);
                Ok(())
            }
        }
    }

    /// Takes the message out of its worker's hand, and gives its slot the time that the answer allows.
    fn land(&mut self, at: usize, flight: &Flight, settlement: &Settlement, told_again: bool) -> Step<()> {
        self.leave_flight(at, flight)?;
        let unused = match settlement.outcome {
            Outcome::Released => true,
            // A journal tells of requests only: there the intent was lost.
            Outcome::NotSent { .. } | Outcome::Later { .. } | Outcome::Parked { .. } => !told_again,
            _ => false,
        };
        if flight.state == State::Claimed && unused {
            // No intent, so no POST: the slot was never used.
            self.lanes[at].slots.drop(flight.token);
        } else {
            // SEND-SAFETY: (of the plan) a journal knows when a send was about to begin, and not when its request arrived: perhaps
            // just now. As of a dead worker's that nobody tells of, its slot counts from here.
            let unanswered = told_again && matches!(settlement.outcome, Outcome::Unknown { .. });
            let age = if unanswered { 0 } else { millis(settlement.age).saturating_add(self.waited) };
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
    fn decide_settled(
        &mut self,
        at: usize,
        mut m: Message,
        settlement: &Settlement,
        flight: Option<&Flight>,
    ) -> Step<State> {
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
                let intent = flight.map_or(m.intent, |flight| flight.since);
                self.fate_unknown(at, m, &short(reason), token, intent)
            }
            Outcome::Released if flight.is_some_and(|f| f.state == State::Sending) => {
                // SEND-SAFETY: an intent was written, so a POST may have left.
                let intent = flight.map_or(m.intent, |flight| flight.since);
                self.fate_unknown(at, m, "released-after-intent", token, intent)
            }
            // As on Redis, whose records count to 255.
            Outcome::Retry { code, max_attempts, .. } if m.attempt + 1 >= (*max_attempts).min(255) => {
                m.attempt = (m.attempt + 1).min(255);
                self.close(&m, State::Dead, &short(code), "", token)?;
                Ok(State::Dead)
            }
            Outcome::Retry { delay, .. } => {
                m.attempt += 1;
                self.wait_again(at, &m, flight.is_none(), *delay)
            }
            Outcome::Throttled { .. } | Outcome::NotSent { .. } => {
                self.wait_again(at, &m, flight.is_none(), Duration::ZERO)
            }
            Outcome::Later { delay } if millis(*delay) > 0 => {
                // The delay was reckoned when the worker looked.
                let age = millis(settlement.age).saturating_add(self.waited);
                let left = (millis(*delay) - age).max(1);
                self.wait_again(at, &m, flight.is_none(), Duration::from_millis(left.unsigned_abs()))?;
                // SEND-SAFETY: nothing but the word and the time: what is known of earlier sends, and the lease whose story is
                // closed, stay. A journal that tells of one of those would else go unheard, and the text be sent again.
                let sql = "UPDATE messages SET code = 'quiet-hours', ended = ?2 WHERE n = ?1";
                self.exec(sql, params![m.row, self.now.saturating_add(left)])?;
                Ok(State::Scheduled)
            }
            Outcome::Later { .. } => self.wait_again(at, &m, flight.is_none(), Duration::ZERO),
            Outcome::Parked { reason } => {
                // Told of a lease of before the lane was let go on, it may be of a cause that is gone: the message's next
                // attempt tells.
                if !self.was_resumed_since(self.lanes[at].id.extension(), token)? {
                    self.lanes[at].parked = Some(short(reason));
                }
                self.wait_again(at, &m, flight.is_none(), Duration::ZERO)
            }
            Outcome::Released => self.wait_again(at, &m, flight.is_none(), Duration::ZERO),
        }
    }

    /// SEND-SAFETY: (of the plan) by deadline, never by a resume message, so that nothing can be forgotten.
    fn heed(&mut self, at: usize, settlement: &Settlement) {
        let from = self.now - millis(settlement.age).saturating_add(self.waited);
        let (from, delay) = match settlement.outcome {
            Outcome::Throttled { retry_after } => (from, retry_after),
            Outcome::NotSent { delay } if millis(delay) > 0 => (self.now, delay),
            _ => return,
        };
        self.lanes[at].penalise(from.saturating_add(millis(delay)));
        self.lanes[at].probe = true;
    }

    /// SEND-SAFETY: (of the plan) told of a request that the store may have forgotten: the provider's window has it. A journal
    /// knows when one without an answer was about to begin, and not when it arrived: no later than now, and than its longest time.
    pub(super) fn heard_again(&mut self, at: usize, settlement: &Settlement) {
        self.heard_late(at, settlement);
        let age = millis(settlement.age).saturating_add(self.waited);
        let hold = self.lanes[at].hold();
        match settlement.outcome {
            Outcome::Unknown { .. } if age < hold + LONGEST_SEND => {
                self.lanes[at].retime_slot(raw_token(settlement.lease.token), self.now, 0);
            }
            Outcome::Unknown { .. } | Outcome::Released => {}
            _ if age < hold => self.retime(at, settlement),
            _ => {}
        }
    }

    /// SEND-SAFETY: (of the plan) whatever is known of the message by now, its lane was refused. Said again it changes nothing.
    fn heard_late(&mut self, at: usize, settlement: &Settlement) {
        if let Outcome::Throttled { retry_after } = settlement.outcome {
            let age = millis(settlement.age).saturating_add(self.waited);
            let until = (self.now - age).saturating_add(millis(retry_after));
            if until > self.lanes[at].penalty.max(self.now) {
                self.retime(at, settlement);
                self.lanes[at].penalise(until);
                self.lanes[at].probe = true;
            }
        }
    }

    /// Certainly not sent: it waits again, at the head of its lane or for its delay.
    fn wait_again(&mut self, at: usize, m: &Message, was_held: bool, delay: Duration) -> Step<State> {
        if was_held {
            let sql = "UPDATE messages SET state = ?2, attempt = ?3, code = 'not-sent', provider_id = '', ended = NULL, \
                       reads = 0, expire_at = nullif(send_by, 0) WHERE n = ?1";
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

/// Whether a message in this state may have been sent in a moment that the store has lost: it waits, or has ended unsent.
fn may_be_lost(state: State) -> bool {
    use State::{Cancelled, Dead, Expired, Ready, Suppressed, Unknown};
    matches!(state, Ready | Unknown | Expired | Suppressed | Cancelled | Dead)
}
