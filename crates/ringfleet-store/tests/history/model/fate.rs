//! What reports and readings make of a message, and a person's word.

use ringfleet_store::{
    Cancelled, Decided, Evidence, Found, LaneId, LeaseRef, LeaseToken, MessageId, Millis, OnUnknown, Outcome,
    Resolution, Settled, Settlement, State, UNDER_WAY,
};

use super::{Lane, Message, Model, Use};

const FIRST_LOOK: Millis = 500;
pub(super) const LONGEST_SEND: Millis = 360_000;
const MOST_SENDS: u32 = 5;
const MOST_OF_A_LANE: usize = 100;

impl Model {
    pub(crate) fn settle(&mut self, s: &Settlement) -> Settled {
        self.settle_told(s, false)
    }

    /// `again`: by a journal, which knows no more of a send without an answer than that it was about to begin.
    pub(super) fn settle_told(&mut self, s: &Settlement, again: bool) -> Settled {
        let (id, token) = (s.lease.id, s.lease.token);
        let Some(m) = self.messages.get(&id) else { return Settled::Missing };
        let (lane, age) = (m.new.lane.clone(), s.age.as_millis() as Millis);
        let begun = m.state == State::Sending;
        if m.hand.as_ref().is_some_and(|hand| hand.token == token) {
            // The store may have lost an intent; but who gives a message back did not use it. A journal tells of requests.
            let unused = match s.outcome {
                Outcome::Released => true,
                Outcome::NotSent { .. } | Outcome::Later { .. } | Outcome::Parked { .. } => !again,
                _ => false,
            };
            let counts = begun || !unused;
            let unanswered = again && matches!(s.outcome, Outcome::Unknown { .. });
            let hand = self.let_go(&id, counts.then_some(if unanswered { 0 } else { age }));
            let now = self.now;
            let l = self.lane(&lane);
            if counts {
                l.learn(&hand, now, s.seen);
            }
            let after_penalty = begun && hand.since >= l.penalty;
            if after_penalty && matches!(s.outcome, Outcome::Sent { .. } | Outcome::Rejected { .. }) {
                l.probing = false;
            }
            self.heed(&lane, s);
            if !matches!(s.outcome, Outcome::Sent { .. }) && self.close_sent_before(&id) {
                return Settled::Done(State::Sent);
            }
            return Settled::Done(self.conclude(s, begun, Some(hand.since)));
        }
        let told = m.hand.is_none() && m.closed == token;
        // Neither says what became of a request that was begun; and nothing sends a message without a text again.
        let no_evidence = matches!(s.outcome, Outcome::Unknown { .. } | Outcome::Released);
        let sends_again = !no_evidence && !matches!(s.outcome, Outcome::Sent { .. } | Outcome::Rejected { .. });
        let evidence = !(no_evidence || sends_again && m.tombstone);
        if told && matches!(m.state, State::Held | State::Unknown) && evidence {
            self.retime(&lane, token, age);
            self.heed(&lane, s);
            self.leave_unknown(&id);
            if sends_again && self.messages[&id].reason == "cancelled-under-way" {
                self.close(&id, State::Cancelled, "cancelled", token, None);
                return Settled::LateEvidence(State::Cancelled);
            }
            return Settled::LateEvidence(self.conclude(s, true, None));
        }
        let state = m.state;
        self.heard_late(&lane, s);
        if told && !matches!(s.outcome, Outcome::Sent { .. }) {
            return Settled::Again(state);
        }
        self.settle_stale(s).unwrap_or(if told { Settled::Again(state) } else { Settled::Stale })
    }

    /// A report of a lease that is history.
    fn settle_stale(&mut self, s: &Settlement) -> Option<Settled> {
        let (id, token, age) = (s.lease.id, s.lease.token, s.age.as_millis() as Millis);
        let m = &self.messages[&id];
        let lane = m.new.lane.clone();
        let newer_is_under_way = m.state == State::Sending && m.hand.as_ref().is_some_and(|hand| hand.token > token);
        match &s.outcome {
            Outcome::Sent { provider_id } => {
                let known = m.provider_id.clone().filter(|_| m.state.was_sent());
                if known.as_ref() == Some(provider_id) {
                    return Some(Settled::Again(m.state));
                }
                self.retime(&lane, token, age);
                if newer_is_under_way || known.is_some() {
                    self.credit(&lane, provider_id.clone());
                    if newer_is_under_way {
                        let m = self.message(&id);
                        (m.reason, m.provider_id, m.closed) = ("sent-before".into(), Some(provider_id.clone()), token);
                    }
                    return Some(Settled::SentTwice);
                }
                self.take_out(&id);
                self.close(&id, State::Sent, "accepted", token, Some(provider_id.clone()));
                Some(Settled::LateEvidence(State::Sent))
            }
            Outcome::Unknown { reason } => {
                let open = m.waits() || m.hand.is_some() || m.state == State::Unknown;
                let ended = matches!(m.state, State::Expired | State::Suppressed | State::Cancelled | State::Dead);
                let taken_back = m.state == State::Cancelled;
                if newer_is_under_way || !(open || ended) || token <= m.closed {
                    return None;
                }
                self.retime(&lane, token, age);
                self.take_out(&id);
                if self.close_sent_before(&id) {
                    return Some(Settled::LateEvidence(State::Sent));
                }
                let claimed = self.claimed.get(&token).copied().unwrap_or(Millis::MAX);
                let intent = (self.now - age - LONGEST_SEND).min(claimed);
                if taken_back {
                    let m = self.message(&id);
                    (m.intent, m.reads) = (Some(m.intent.map_or(intent, |first| first.min(intent))), 0);
                    self.close(&id, State::Held, "cancelled-under-way", token, None);
                    return Some(Settled::LateEvidence(State::Held));
                }
                Some(Settled::LateEvidence(self.unknown_now(&id, reason, token, intent, ended)))
            }
            _ => None,
        }
    }

    pub(super) fn retime(&mut self, lane: &LaneId, token: LeaseToken, age: Millis) {
        let now = self.now;
        self.lane(lane).retime_slot(Use::Message(token), now, age);
    }

    /// From wherever it is: a hand, a queue, the schedule, or among those of unknown fate.
    fn take_out(&mut self, id: &MessageId) {
        let m = &self.messages[id];
        if m.hand.is_some() {
            let begun = m.state == State::Sending;
            self.let_go(id, begun.then_some(0));
        }
        self.leave_queue(id);
        self.leave_unknown(id);
    }

    /// An older send arrived while a newer one was under way: whatever became of that, it is sent.
    pub(super) fn close_sent_before(&mut self, id: &MessageId) -> bool {
        let m = &self.messages[id];
        let before = m.reason == "sent-before";
        if before {
            self.close(id, State::Sent, "accepted", m.closed, m.provider_id.clone());
        }
        before
    }

    /// Where a report leads. `since` is `None` for one that comes late.
    fn conclude(&mut self, s: &Settlement, begun: bool, since: Option<Millis>) -> State {
        let (id, token, now) = (s.lease.id, s.lease.token, self.now);
        let lane = self.messages[&id].new.lane.clone();
        let late = since.is_none();
        match &s.outcome {
            Outcome::Sent { provider_id } => {
                self.close(&id, State::Sent, "accepted", token, Some(provider_id.clone()));
            }
            Outcome::Rejected { code } => self.close(&id, State::Rejected, code, token, None),
            Outcome::Unknown { reason } => {
                self.fate_unknown(&id, reason, token, since.expect("it is no evidence, so it is not late"));
            }
            Outcome::Released if begun => {
                self.fate_unknown(&id, "released-after-intent", token, since.expect("it is no evidence"));
            }
            Outcome::Released => self.put_back(&id),
            Outcome::Throttled { .. } | Outcome::NotSent { .. } => {
                self.was_not_sent(&id, token, late);
                self.put_back(&id);
            }
            Outcome::Parked { reason } => {
                if self.resumed.get(lane.extension()).is_none_or(|resumed| token > *resumed) {
                    self.lane(&lane).parked = Some(reason.clone());
                }
                self.was_not_sent(&id, token, late);
                self.put_back(&id);
            }
            Outcome::Later { delay } => {
                self.was_not_sent(&id, token, late);
                self.put_off_for(&id, delay.as_millis() as Millis, s.age.as_millis() as Millis);
            }
            Outcome::Retry { code, delay, max_attempts } => {
                let m = self.message(&id);
                m.attempt += 1;
                if m.attempt >= *max_attempts {
                    self.close(&id, State::Dead, code, token, None);
                    return State::Dead;
                }
                self.was_not_sent(&id, token, late);
                if delay.is_zero() {
                    self.put_back(&id);
                } else {
                    let m = self.message(&id);
                    let due = now + delay.as_millis() as Millis;
                    (m.state, m.due, m.due_from, m.rank) = (State::Scheduled, due, due, 0);
                }
            }
        }
        self.messages[&id].state
    }

    /// A fate that was unknown is known now. Of a report that came in time nothing is noted.
    fn was_not_sent(&mut self, id: &MessageId, token: LeaseToken, late: bool) {
        if late {
            let m = self.message(id);
            (m.reason, m.closed, m.finished_at, m.reads) = ("not-sent".into(), token, None, 0);
            m.provider_id = None;
        }
    }

    pub(super) fn fate_unknown(&mut self, id: &MessageId, reason: &str, token: LeaseToken, intent: Millis) -> State {
        self.unknown_now(id, reason, token, intent, false)
    }

    /// `asks`: nothing is sent again before the provider was asked.
    fn unknown_now(&mut self, id: &MessageId, reason: &str, token: LeaseToken, intent: Millis, asks: bool) -> State {
        let now = self.now;
        let out = self.is_out(&self.messages[id].new);
        let asks = asks || reason == UNDER_WAY;
        let m = self.message(id);
        let again = m.new.on_unknown == OnUnknown::Resend && (m.attempt + 1 < MOST_SENDS || asks);
        (m.intent, m.reads) = (Some(m.intent.map_or(intent, |first| first.min(intent))), 0);
        if again && !out && !asks {
            m.attempt += 1;
            self.wait_again(id, "resent", token);
            return State::Ready;
        }
        let (lane, asked) = (m.new.lane.clone(), m.new.on_unknown == OnUnknown::Reconcile || again);
        let state = if asked { State::Unknown } else { State::Held };
        self.close(id, state, reason, token, None);
        if asked {
            let lane = self.lane(&lane);
            let soon = lane.locked.max(now + FIRST_LOOK);
            lane.look = Some(lane.look.map_or(soon, |look| look.min(soon)));
        }
        state
    }

    /// It waits at the head of its lane, and the story of `token` is closed.
    fn wait_again(&mut self, id: &MessageId, reason: &str, token: LeaseToken) {
        let m = self.message(id);
        (m.reason, m.closed, m.finished_at, m.reads) = (reason.to_owned(), token, None, 0);
        m.provider_id = None;
        self.put_back(id);
    }

    /// It is about to leave those of unknown fate, if it is one.
    fn leave_unknown(&mut self, id: &MessageId) {
        let m = &self.messages[id];
        let lane = m.new.lane.clone();
        if m.state == State::Unknown && self.unknown_of(&lane).len() == 1 {
            let lane = self.lane(&lane);
            (lane.look, lane.locked) = (None, 0);
        }
    }

    /// The longest unknown first.
    pub(crate) fn unknown_of(&self, lane: &LaneId) -> Vec<LeaseRef> {
        let of_lane = |m: &Message| m.state == State::Unknown && m.new.lane == *lane;
        let mut all: Vec<_> = self.messages.iter().filter(|(_, m)| of_lane(m)).collect();
        all.sort_by_key(|(id, m)| (m.finished_at, **id));
        all.into_iter().map(|(id, m)| LeaseRef { id: *id, token: m.closed }).collect()
    }

    fn gate_is_closed(&self) -> bool {
        self.gate_opens() != Some(self.now)
    }

    /// The lanes that a reconciler is given, each with the sends that are to be looked up.
    pub(crate) fn reconcile_take(&mut self, lanes: usize, lock_ms: Millis) -> Vec<(LaneId, Vec<LeaseRef>)> {
        if self.gate_is_closed() {
            return Vec::new();
        }
        let now = self.now;
        let look = |(id, lane): (&LaneId, &Lane)| Some((lane.look.filter(|at| *at <= now)?, id.clone()));
        let mut due: Vec<_> = self.lanes.iter().filter_map(look).collect();
        due.sort();
        let mut taken = Vec::new();
        for (_, id) in due.into_iter().take(lanes) {
            let lane = self.lane(&id);
            (lane.look, lane.locked) = (Some(now + lock_ms), now + lock_ms);
            let mut sends = self.unknown_of(&id);
            sends.truncate(MOST_OF_A_LANE);
            taken.push((id, sends));
        }
        taken
    }

    pub(crate) fn decide(&mut self, evidence: &[Evidence], settle_ms: Millis, max_attempts: u32) -> Vec<Decided> {
        let mut read = Vec::new();
        let answers = evidence.iter().map(|one| self.decide_one(one, settle_ms, max_attempts, &mut read)).collect();
        for lane in read {
            self.plan_look(&lane, settle_ms);
        }
        answers
    }

    fn decide_one(&mut self, one: &Evidence, settle_ms: Millis, max_attempts: u32, read: &mut Vec<LaneId>) -> Decided {
        let LeaseRef { id, token } = one.lease;
        let open = self.messages.get(&id).filter(|m| m.state == State::Unknown && m.closed == token);
        let Some(m) = open else { return Decided::Stale };
        if self.gate_is_closed() {
            return Decided::NotYet;
        }
        let (lane, since) = (m.new.lane.clone(), m.finished_at.expect("its fate is unknown since then"));
        if !read.contains(&lane) {
            read.push(lane.clone());
        }
        let (ids, read_at) = match &one.found {
            Found::Candidates { ids, read_at } => (ids, *read_at),
            Found::Undecidable { reason } => {
                self.leave_unknown(&id);
                self.close(&id, State::Held, reason, token, None);
                return Decided::Held;
            }
        };
        let mut free: Vec<_> = ids.iter().filter(|id| !self.lanes[&lane].credits.contains_key(*id)).collect();
        free.sort();
        free.dedup();
        let m = &self.messages[&id];
        let others = || self.messages.iter().filter(|(other, o)| **other != id && o.pair() == m.pair());
        let wait = !free.is_empty() && others().any(|(_, o)| o.state == State::Sending);
        let either = others().any(|(_, o)| o.state == State::Unknown && o.new.text == m.new.text);
        match free.as_slice() {
            _ if wait => {}
            [] => {}
            [provider_id] if !either => {
                self.leave_unknown(&id);
                self.close(&id, State::Sent, "reconciled", token, Some((*provider_id).clone()));
                return Decided::Sent;
            }
            _ => {
                self.leave_unknown(&id);
                self.close(&id, State::Held, "several-matches", token, None);
                return Decided::Held;
            }
        }
        let m = self.message(&id);
        m.reads += 1;
        if wait || m.reads < 2 || read_at < since + settle_ms {
            return Decided::NotYet;
        }
        m.attempt += 1;
        let last = m.attempt >= max_attempts;
        self.leave_unknown(&id);
        if self.is_out(&self.messages[&id].new) {
            self.close(&id, State::Suppressed, "opted-out", token, None);
            return Decided::Suppressed;
        }
        if last {
            self.close(&id, State::Dead, "never-arrived", token, None);
            return Decided::Dead;
        }
        self.wait_again(&id, "not-sent", token);
        Decided::Again
    }

    fn plan_look(&mut self, lane: &LaneId, settle_ms: Millis) {
        let now = self.now;
        let look = |lease: LeaseRef| {
            let m = &self.messages[&lease.id];
            let since = m.finished_at.unwrap_or(0);
            if m.reads == 0 { since + FIRST_LOOK } else { (now + 1_000).max(since + settle_ms) }
        };
        let next = self.unknown_of(lane).into_iter().take(MOST_OF_A_LANE).map(look).min();
        let lane = self.lane(lane);
        (lane.look, lane.locked) = (next, 0);
    }

    pub(super) fn credit(&mut self, lane: &LaneId, provider_id: String) {
        let now = self.now;
        self.lane(lane).credits.insert(provider_id, now);
    }

    pub(crate) fn resolve(&mut self, id: &MessageId, how: Resolution) -> Cancelled {
        let Some(m) = self.messages.get(id) else { return Cancelled::Missing };
        let again = how == Resolution::Resend;
        let open = m.state == State::Held || (m.state == State::Dead && again);
        if !open || (again && m.tombstone) {
            return Cancelled::TooLate(m.state);
        }
        let closed = m.closed;
        match how {
            Resolution::Resend if self.is_out(&self.messages[id].new) => {
                self.close(id, State::Suppressed, "opted-out", closed, None);
                return Cancelled::TooLate(State::Suppressed);
            }
            Resolution::Resend => {
                let m = self.message(id);
                (m.attempt, m.recoveries, m.intent) = (m.attempt + 1, 0, None);
                self.wait_again(id, "resent-by-operator", closed);
            }
            Resolution::Sent => self.close(id, State::Sent, "closed-by-operator", closed, None),
            Resolution::Cancelled => self.close(id, State::Cancelled, "closed-by-operator", closed, None),
        }
        Cancelled::Done
    }
}
