//! What the store promises, as simple as it can be told: lists and maps, walked through from end to end.
//!
//! The model is told what only the store can know (new ids and tokens, and which of two allowed things it did) and says
//! whether that was right. It has no ready index: whether a lane may send is worked out anew whenever somebody asks.

mod lane;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};

use ringfleet_store::{
    Begin, Cancelled, Gate, LaneId, LaneRules, Lease, LeaseRef, LeaseToken, MessageId, Millis, NewMessage, Outcome,
    Settled, Settlement, State,
};

pub(crate) use self::lane::{Lane, Use};

pub(crate) struct Hand {
    pub(crate) token: LeaseToken,
    pub(crate) ends: Millis,
    /// Which slot of its lane it was, and how many were in use with it.
    nth: u64,
    used: u64,
    /// When the intent was written.
    begun: Millis,
}

pub(crate) struct Message {
    pub(crate) new: NewMessage,
    pub(crate) created: Millis,
    pub(crate) state: State,
    /// While scheduled.
    pub(crate) due: Millis,
    pub(crate) attempt: u32,
    pub(crate) recoveries: u32,
    pub(crate) reason: String,
    pub(crate) provider_id: Option<String>,
    pub(crate) finished_at: Option<Millis>,
    /// The lease whose report, or whose end, decided it.
    pub(crate) decided_by: Option<LeaseToken>,
    pub(crate) hand: Option<Hand>,
    /// The reaper met it in a worker's hand after its `send_by`, and need not look again at once.
    pub(crate) expiry_put_off: bool,
    /// An older message of this id may still have its place in a queue (Redis), and this one may go there instead.
    pub(crate) may_jump: bool,
}

pub(crate) struct Model {
    pub(crate) now: Millis,
    rules: LaneRules,
    pub(crate) lanes: BTreeMap<LaneId, Lane>,
    pub(crate) messages: BTreeMap<MessageId, Message>,
    pub(crate) stopped: Option<String>,
    pub(crate) penalty: Option<(Millis, String)>,
    pub(crate) accepted: u64,
    pub(crate) pruned: u64,
    /// Messages that were taken out of the middle of a queue.
    pub(crate) left_a_gap: BTreeSet<MessageId>,
}

impl Message {
    pub(crate) fn waits(&self) -> bool {
        matches!(self.state, State::Ready | State::Scheduled)
    }

    pub(crate) fn is_past(&self, now: Millis) -> bool {
        self.new.send_by.is_some_and(|last| now > last)
    }
}

impl Model {
    pub(crate) fn new(now: Millis, rules: LaneRules, lanes: &[LaneId]) -> Self {
        Self {
            now,
            rules,
            lanes: lanes.iter().map(|id| (id.clone(), Lane::new(rules.plan(id.group())))).collect(),
            messages: BTreeMap::new(),
            stopped: None,
            penalty: None,
            accepted: 0,
            pruned: 0,
            left_a_gap: BTreeSet::new(),
        }
    }

    pub(crate) fn lane(&mut self, id: &LaneId) -> &mut Lane {
        self.lanes.get_mut(id).expect("histories use lanes that the model knows")
    }

    fn message(&mut self, id: &MessageId) -> &mut Message {
        self.messages.get_mut(id).expect("histories use messages that the model knows")
    }

    pub(crate) fn accept(&mut self, id: MessageId, new: NewMessage) {
        self.accepted += 1;
        let later = new.send_at.filter(|at| *at > self.now);
        if later.is_none() {
            self.lane(&new.lane).queue.push(id);
        }
        let message = Message {
            new,
            created: self.now,
            state: if later.is_some() { State::Scheduled } else { State::Ready },
            due: later.unwrap_or(0),
            attempt: 0,
            recoveries: 0,
            reason: String::new(),
            provider_id: None,
            finished_at: None,
            decided_by: None,
            hand: None,
            expiry_put_off: false,
            may_jump: self.left_a_gap.contains(&id),
        };
        self.messages.insert(id, message);
    }

    /// What has become due goes behind those that are ready.
    pub(crate) fn promote(&mut self) {
        let is_due = |m: &&Message| m.state == State::Scheduled && m.due <= self.now;
        let mut due: Vec<_> = self.messages.iter().filter(|(_, m)| is_due(m)).map(|(id, m)| (m.due, *id)).collect();
        due.sort_unstable();
        for (_, id) in due {
            self.message(&id).state = State::Ready;
            let lane = self.messages[&id].new.lane.clone();
            self.lane(&lane).queue.push(id);
        }
    }

    pub(crate) fn in_flight(&self, lane: &LaneId) -> usize {
        self.messages.values().filter(|m| m.hand.is_some() && m.new.lane == *lane).count()
    }

    /// Messages of the lane that a claim may give out, in the order in which it must.
    pub(crate) fn in_turn(&self, lane: &LaneId) -> Vec<MessageId> {
        let queue = self.lanes[lane].queue.iter().filter(|id| !self.messages[id].is_past(self.now));
        let mut living: Vec<_> = queue.copied().collect();
        living.sort_by_key(|id| self.messages[id].new.priority);
        living
    }

    /// How many more may be in flight, whatever the window says.
    pub(crate) fn hands_free(&self, lane: &LaneId) -> usize {
        let cap = if self.lanes[lane].probing { 1 } else { self.rules.in_flight_cap.max(1) as usize };
        cap.saturating_sub(self.in_flight(lane))
    }

    pub(crate) fn gate_opens(&self) -> Option<Millis> {
        let penalty = self.penalty.as_ref().map_or(0, |(until, _)| *until);
        self.stopped.is_none().then_some(penalty.max(self.now))
    }

    /// The first instant at which the lane may send, if nothing else happens.
    pub(crate) fn may_send_at(&self, lane: &LaneId) -> Option<Millis> {
        let l = &self.lanes[lane];
        if l.paused || l.parked.is_some() || self.hands_free(lane) == 0 {
            return None;
        }
        Some(l.window_opens(self.now)?.max(l.penalty).max(self.gate_opens()?))
    }

    /// How many messages of the lane a claim could give out now.
    pub(crate) fn claimable(&self, lane: &LaneId) -> usize {
        if self.may_send_at(lane) != Some(self.now) {
            return 0;
        }
        let room = self.lanes[lane].plan.limit as usize - self.lanes[lane].used(self.now);
        room.min(self.hands_free(lane)).min(self.in_turn(lane).len())
    }

    /// The first instant at which a claim could give out anything, if nothing else happens.
    pub(crate) fn next_instant(&self) -> Option<Millis> {
        let of_lane = |lane: &LaneId| {
            let scheduled = self.messages.values().filter(|m| m.state == State::Scheduled && m.new.lane == *lane);
            let ready = self.in_turn(lane).first().map(|_| self.now);
            let due = scheduled.map(|m| m.due).chain(ready).min()?;
            Some(self.may_send_at(lane)?.max(due))
        };
        self.lanes.keys().filter_map(of_lane).min()
    }

    pub(crate) fn take(&mut self, lease: &Lease, ends: Millis) {
        let now = self.now;
        let lane = self.lane(&lease.lane);
        lane.queue.retain(|id| *id != lease.id);
        lane.take(Use::Message(lease.token), None);
        let (nth, used) = (lane.taken, lane.used(now) as u64);
        let m = self.message(&lease.id);
        m.state = State::Claimed;
        m.hand = Some(Hand { token: lease.token, ends, nth, used, begun: 0 });
    }

    fn holds(&self, lease: &LeaseRef) -> bool {
        let hand = self.messages.get(&lease.id).and_then(|m| m.hand.as_ref());
        hand.is_some_and(|hand| hand.token == lease.token && hand.ends > self.now)
    }

    pub(crate) fn begin(&mut self, lease: &LeaseRef, lease_ms: Millis) -> Begin {
        if !self.holds(lease) {
            return Begin::LeaseLost;
        }
        let m = &self.messages[&lease.id];
        if m.state == State::Sending {
            return Begin::Go;
        }
        let lane = &self.lanes[&m.new.lane];
        let stopped = lane.paused || lane.parked.is_some() || lane.penalty > self.now;
        if m.is_past(self.now) {
            self.let_go(&lease.id, None);
            self.close(&lease.id, State::Expired, "send-by-passed", Some(lease.token));
            Begin::Expired
        } else if stopped || self.gate_opens() != Some(self.now) {
            self.let_go(&lease.id, None);
            self.put_back(&lease.id);
            Begin::PutBack
        } else {
            let (begun, ends) = (self.now, self.now + lease_ms);
            let m = self.message(&lease.id);
            m.state = State::Sending;
            let hand = m.hand.as_mut().expect("it is in a hand");
            (hand.begun, hand.ends) = (begun, ends);
            Begin::Go
        }
    }

    pub(crate) fn extend(&mut self, lease: &LeaseRef, lease_ms: Millis) -> bool {
        let kept = self.holds(lease);
        if kept {
            let ends = self.now + lease_ms;
            self.message(&lease.id).hand.as_mut().expect("it is in a hand").ends = ends;
        }
        kept
    }

    /// Takes a message out of its worker's hand. Its slot gets the time of the answer, or is free if there was no request.
    fn let_go(&mut self, id: &MessageId, answer_age: Option<Millis>) -> Hand {
        let now = self.now;
        let m = self.message(id);
        let hand = m.hand.take().expect("it is in a hand");
        let (of, lane) = (Use::Message(hand.token), m.new.lane.clone());
        match answer_age {
            Some(age) => self.lane(&lane).time_slot(of, now, age),
            None => self.lane(&lane).drop_slot(of),
        }
        hand
    }

    fn put_back(&mut self, id: &MessageId) {
        let m = self.message(id);
        m.state = State::Ready;
        let lane = m.new.lane.clone();
        self.lane(&lane).queue.insert(0, *id);
    }

    pub(crate) fn close(&mut self, id: &MessageId, state: State, reason: &str, by: Option<LeaseToken>) {
        let now = self.now;
        let m = self.message(id);
        (m.state, m.decided_by, m.finished_at) = (state, by, Some(now));
        m.reason = reason.to_owned();
        let lane = m.new.lane.clone();
        let queue = &mut self.lane(&lane).queue;
        let before = queue.len();
        queue.retain(|waiting| waiting != id);
        if queue.len() < before {
            self.left_a_gap.insert(*id);
        }
    }

    pub(crate) fn settle(&mut self, s: &Settlement) -> Settled {
        let Some(m) = self.messages.get(&s.lease.id) else { return Settled::Missing };
        let lane = m.new.lane.clone();
        let live = m.hand.as_ref().is_some_and(|hand| hand.token == s.lease.token);
        let decided = m.hand.is_none() && m.decided_by == Some(s.lease.token);
        let begun = m.state == State::Sending;
        // Neither says what became of a request that was begun.
        let evidence = !matches!(s.outcome, Outcome::Unknown { .. } | Outcome::Released);
        if live {
            let hand = self.let_go(&s.lease.id, begun.then_some(s.age.as_millis() as Millis));
            let now = self.now;
            let lane = self.lane(&lane);
            if begun {
                lane.learn(&hand, now, s.seen);
            }
            let after_penalty = begun && hand.begun >= lane.penalty;
            if after_penalty && matches!(s.outcome, Outcome::Sent { .. } | Outcome::Rejected { .. }) {
                lane.probing = false;
            }
            Settled::Done(self.decide(s, begun))
        } else if decided && m.state == State::Held && evidence {
            let (now, age) = (self.now, s.age.as_millis() as Millis);
            self.lane(&lane).retime_slot(Use::Message(s.lease.token), now, age);
            Settled::LateEvidence(self.decide(s, true))
        } else if decided {
            Settled::Again(m.state)
        } else {
            Settled::Stale
        }
    }

    fn decide(&mut self, s: &Settlement, begun: bool) -> State {
        let (id, by, now) = (s.lease.id, Some(s.lease.token), self.now);
        let m = self.message(&id);
        (m.reason, m.finished_at, m.decided_by) = (String::new(), None, None);
        let lane = m.new.lane.clone();
        match &s.outcome {
            Outcome::Sent { provider_id } => {
                m.provider_id = Some(provider_id.clone());
                self.close(&id, State::Sent, "accepted", by);
            }
            Outcome::Rejected { code } => self.close(&id, State::Rejected, code, by),
            Outcome::Unknown { reason } => self.close(&id, State::Held, reason, by),
            Outcome::Released if begun => self.close(&id, State::Held, "released-after-intent", by),
            Outcome::Released => self.put_back(&id),
            Outcome::Throttled { retry_after: wait } | Outcome::NotSent { delay: wait } => {
                let wait = wait.as_millis() as Millis;
                if wait > 0 || matches!(s.outcome, Outcome::Throttled { .. }) {
                    let lane = self.lane(&lane);
                    lane.penalty = lane.penalty.max(now + wait);
                    lane.probing = true;
                }
                self.put_back(&id);
            }
            Outcome::Parked { reason } => {
                self.lane(&lane).parked = Some(reason.clone());
                self.put_back(&id);
            }
            Outcome::Retry { code, delay, max_attempts } => {
                m.attempt += 1;
                if m.attempt >= *max_attempts {
                    self.close(&id, State::Dead, code, by);
                } else if delay.is_zero() {
                    self.put_back(&id);
                } else {
                    (m.state, m.due) = (State::Scheduled, now + delay.as_millis() as Millis);
                }
            }
        }
        self.messages[&id].state
    }

    pub(crate) fn cancel(&mut self, id: &MessageId) -> Cancelled {
        match self.messages.get(id) {
            None => Cancelled::Missing,
            Some(m) if !m.waits() => Cancelled::TooLate(m.state),
            Some(_) => {
                self.close(id, State::Cancelled, "cancelled", None);
                Cancelled::Done
            }
        }
    }

    pub(crate) fn set_gate(&mut self, gate: &Gate) {
        match gate {
            Gate::Open => self.stopped = None,
            Gate::Stopped { reason } => self.stopped = Some(reason.clone()),
            Gate::Until { until, reason } => {
                if self.penalty.as_ref().is_none_or(|(known, _)| known < until) {
                    self.penalty = Some((*until, reason.clone()));
                }
            }
        }
    }

    pub(crate) fn gate(&self) -> Gate {
        match (&self.stopped, &self.penalty) {
            (Some(reason), _) => Gate::Stopped { reason: reason.clone() },
            (None, Some((until, reason))) if *until > self.now => Gate::Until { until: *until, reason: reason.clone() },
            _ => Gate::Open,
        }
    }

    /// `None` = granted.
    pub(crate) fn must_wait(&self, lane: &LaneId) -> Option<Millis> {
        const LONGEST: Millis = 60_000;
        let l = &self.lanes[lane];
        let at = l.window_opens(self.now).zip(self.gate_opens()).map(|(window, gate)| window.max(gate).max(l.penalty));
        let wait = at.map_or(LONGEST, |at| (at - self.now).min(LONGEST));
        (wait > 0).then_some(wait)
    }

    pub(crate) fn grant(&mut self, lane: &LaneId, slot: LeaseToken, hold_ms: Millis) {
        let now = self.now;
        let lane = self.lane(lane);
        let free_at = now + hold_ms + lane.hold();
        lane.take(Use::Request(slot), Some(free_at));
    }

    pub(crate) fn drop_request(&mut self, lane: &LaneId, slot: LeaseToken) {
        self.lane(lane).drop_slot(Use::Request(slot));
    }
}
