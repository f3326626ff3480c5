//! What the store promises, as simple as it can be told: lists and maps, walked through from end to end.
//!
//! The model is told what only the store can know (new ids and tokens, and which of two allowed things it did) and says
//! whether that was right. It has no ready index: whether a lane may send is worked out anew whenever somebody asks.
//!
//! - [`fate`]: what reports and readings make of a message; [`journal`]: the reports that are told again
//! - [`control`]: what operators do, and requests that are no messages
//! - [`delivery`]: what becomes of a text after it was sent
//! - [`docs`]: documents, and who has read them
//! - [`opt_out`]: who wants no texts
//! - [`lane`]: a lane, its plan and its window
//! - [`upkeep`]: what the reaper does

mod control;
mod delivery;
mod docs;
mod fate;
mod journal;
mod lane;
mod opt_out;
mod put_off;
mod refused;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};

use ringfleet_store::{
    Begin, DeliveryReport, LaneId, LaneRules, Lease, LeaseRef, LeaseToken, MessageId, Millis, NewMessage, OptedOut,
    State,
};

pub(crate) use self::{
    docs::{Docs, HasRead, Told},
    lane::{Lane, Use},
};

pub(crate) struct Hand {
    pub(crate) token: LeaseToken,
    pub(crate) ends: Millis,
    /// Which slot of its lane it was, and how many were in use with it.
    nth: u64,
    used: u64,
    /// When it was claimed or, once it is sending, when the intent was written.
    since: Millis,
}

pub(crate) struct Message {
    pub(crate) new: NewMessage,
    pub(crate) created: Millis,
    pub(crate) state: State,
    /// While scheduled: due at the latest, and at the earliest, where only the store knows after how many it was put off.
    pub(crate) due: Millis,
    pub(crate) due_from: Millis,
    /// Its place among those with the same due time, if that is known better than by its id.
    rank: usize,
    pub(crate) attempt: u32,
    pub(crate) recoveries: u32,
    pub(crate) reason: String,
    /// While `reason` is `quiet-hours`: their end.
    pub(crate) put_off_to: Millis,
    pub(crate) provider_id: Option<String>,
    pub(crate) finished_at: Option<Millis>,
    /// The last lease whose story is closed: an older one says nothing new. 0 = none.
    pub(crate) closed: LeaseToken,
    /// The earliest time at which any of its sends of unknown fate may have begun.
    pub(crate) intent: Option<Millis>,
    pub(crate) reads: u32,
    /// Made of what a worker knew; it stands for any content, and has none.
    pub(crate) tombstone: bool,
    pub(crate) delivery: Option<DeliveryReport>,
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
    /// Of each extension whose lane was let go on: the newest lease there was then.
    resumed: BTreeMap<String, LeaseToken>,
    pub(crate) stopped: Option<String>,
    pub(crate) penalty: Option<(Millis, String)>,
    pub(crate) accepted: u64,
    pub(crate) pruned: u64,
    /// Messages that were taken out of the middle of a queue.
    pub(crate) left_a_gap: BTreeSet<MessageId>,
    /// In the order in which they came.
    pub(crate) opted_out: Vec<OptedOut>,
    pub(crate) docs: Docs,
    /// When each lease was given out.
    claimed: BTreeMap<LeaseToken, Millis>,
}

impl Message {
    pub(crate) fn waits(&self) -> bool {
        matches!(self.state, State::Ready | State::Scheduled)
    }

    pub(crate) fn pair(&self) -> (&str, &str) {
        (self.new.from.expose(), self.new.to.expose())
    }

    /// Another one between the same two numbers has to wait for it.
    fn holds_its_pair(&self) -> bool {
        self.hand.is_some() || self.state == State::Unknown
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
            resumed: BTreeMap::new(),
            stopped: None,
            penalty: None,
            accepted: 0,
            pruned: 0,
            left_a_gap: BTreeSet::new(),
            opted_out: Vec::new(),
            docs: Docs::default(),
            claimed: BTreeMap::new(),
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
        if self.is_out(&new) {
            let message = self.blank(new);
            self.messages.insert(id, message);
            self.close_unsent(&id, State::Suppressed, "opted-out");
            return;
        }
        let later = new.send_at.filter(|at| *at > self.now);
        if later.is_none() {
            self.lane(&new.lane).queue.push(id);
        }
        let message = Message {
            state: if later.is_some() { State::Scheduled } else { State::Ready },
            due: later.unwrap_or(0),
            due_from: later.unwrap_or(0),
            may_jump: self.left_a_gap.contains(&id),
            ..self.blank(new)
        };
        self.messages.insert(id, message);
    }

    fn blank(&self, new: NewMessage) -> Message {
        Message {
            new,
            created: self.now,
            state: State::Ready,
            due: 0,
            due_from: 0,
            rank: 0,
            attempt: 0,
            recoveries: 0,
            reason: String::new(),
            put_off_to: 0,
            provider_id: None,
            finished_at: None,
            closed: LeaseToken(0),
            intent: None,
            reads: 0,
            tombstone: false,
            delivery: None,
            hand: None,
            expiry_put_off: false,
            may_jump: false,
        }
    }

    /// What has become due goes behind those that are ready.
    pub(crate) fn promote(&mut self) {
        let is_due = |m: &&Message| m.state == State::Scheduled && m.due <= self.now;
        let mut due: Vec<_> =
            self.messages.iter().filter(|(_, m)| is_due(m)).map(|(id, m)| (m.due, m.rank, *id)).collect();
        due.sort_unstable();
        for (.., id) in due {
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

    /// Whether another message between its two numbers is under way or of unknown fate.
    pub(crate) fn pair_is_busy(&self, id: &MessageId) -> bool {
        let pair = self.messages[id].pair();
        self.messages.iter().any(|(other, m)| other != id && m.holds_its_pair() && m.pair() == pair)
    }

    /// Of those in turn the first of each pair that is free.
    pub(crate) fn takeable(&self, lane: &LaneId) -> Vec<MessageId> {
        let mut pairs = BTreeSet::new();
        let mut free = self.in_turn(lane);
        free.retain(|id| !self.pair_is_busy(id) && pairs.insert(self.messages[id].pair()));
        free
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
        self.room(lane).min(self.takeable(lane).len())
    }

    /// How many more the lane's window and its cap allow.
    pub(crate) fn room(&self, lane: &LaneId) -> usize {
        let free = (self.lanes[lane].plan.limit as usize).saturating_sub(self.lanes[lane].used(self.now));
        free.min(self.hands_free(lane))
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
        self.claimed.insert(lease.token, now);
        let lane = self.lane(&lease.lane);
        lane.queue.retain(|id| *id != lease.id);
        lane.take(Use::Message(lease.token), None);
        let (nth, used) = (lane.taken, lane.used(now) as u64);
        let m = self.message(&lease.id);
        m.state = State::Claimed;
        m.hand = Some(Hand { token: lease.token, ends, nth, used, since: now });
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
            self.close(&lease.id, State::Expired, "send-by-passed", lease.token, None);
            Begin::Expired
        } else if self.is_out(&m.new) {
            self.let_go(&lease.id, None);
            self.close(&lease.id, State::Suppressed, "opted-out", lease.token, None);
            Begin::Suppressed
        } else if stopped || self.gate_opens() != Some(self.now) {
            self.let_go(&lease.id, None);
            self.put_back(&lease.id);
            Begin::PutBack
        } else {
            let (begun, ends) = (self.now, self.now + lease_ms);
            let m = self.message(&lease.id);
            m.state = State::Sending;
            let hand = m.hand.as_mut().expect("it is in a hand");
            (hand.since, hand.ends) = (begun, ends);
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

    /// Its place in a queue may stay behind (Redis), and it may go there when it waits again.
    pub(super) fn leave_queue(&mut self, id: &MessageId) {
        let lane = self.messages[id].new.lane.clone();
        let queue = &mut self.lane(&lane).queue;
        let before = queue.len();
        queue.retain(|waiting| waiting != id);
        if queue.len() < before {
            self.left_a_gap.insert(*id);
            self.message(id).may_jump = true;
        }
    }

    /// `closed` is the lease whose story ends with it.
    pub(crate) fn close(
        &mut self,
        id: &MessageId,
        state: State,
        reason: &str,
        closed: LeaseToken,
        provider_id: Option<String>,
    ) {
        self.leave_queue(id);
        let now = self.now;
        let m = self.message(id);
        (m.state, m.closed, m.finished_at) = (state, closed, Some(now));
        m.reason = reason.to_owned();
        let lane = m.new.lane.clone();
        m.provider_id = provider_id.clone();
        if let Some(provider_id) = provider_id {
            self.await_report(id, &provider_id, closed);
            self.credit(&lane, provider_id);
        }
    }
}
