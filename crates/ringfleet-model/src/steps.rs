//! What can happen next, what follows from it, and what must hold.

use stateright::{Model, Property};

use crate::{Fate, Flaw, Fleet, Hand, Record, Send, State, Store, Worker, World, world::MESSAGES};
use State::{Absent, Claimed, Held, Ready, Sending, Sent, Unknown};

pub const TWICE: &str = "accepted at most once";
pub const TRUE_SENT: &str = "what is called sent was accepted";
pub const NO_END: &str = "nothing gets stuck";
pub const FALSE_ALARM: &str = "no false alarm";
pub const REPEATED: &str = "never begun again once known as sent";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Enqueue(usize),
    Claim(usize, usize),
    /// The journal has it: on disk before the POST, in memory before the store is asked.
    Note(usize),
    Begin(usize),
    Post(usize),
    /// Half a lease is over, or the answer to `begin_send` was lost: nothing is sent.
    GiveUp(usize),
    Arrive(Send),
    Vanish(Send),
    Answer(usize),
    /// 429, 401, no connection: certainly not sent.
    Refuse(usize),
    TimeOut(usize),
    Settle {
        worker: usize,
        heard: bool,
    },
    Crash {
        worker: usize,
        journal: bool,
    },
    LeaseEnds(usize),
    /// A read shows this one text, uncredited and like ours.
    Found(usize, Send),
    FoundSeveral(usize),
    /// A read before the settle time shows nothing, whatever the provider has.
    MissedEarly(usize),
    MissedLate(usize),
    Unreadable(usize),
    /// What is written from here on will be lost.
    Mark,
    Rollback,
    Tell(usize),
}

impl Model for Fleet {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let record = Record { state: Absent, closed: 0, evidence: 0, twice: false };
        let worker = Worker { hand: Hand::Free, journal: Vec::new(), told: true };
        vec![World {
            store: Store { records: [record; MESSAGES], seq: 0 },
            mark: None,
            rollbacks_left: self.rollbacks,
            gate: false,
            workers: [worker.clone(), worker],
            wire: Vec::new(),
            texts: Vec::new(),
            lapsed: 0,
            token: 0,
            faults_left: self.faults,
            known: [false; MESSAGES],
            begun_after_sent: false,
        }]
    }

    fn actions(&self, w: &World, out: &mut Vec<Step>) {
        let fault = w.faults_left > 0;
        for (i, worker) in w.workers.iter().enumerate() {
            match worker.hand {
                Hand::Free if worker.told && !w.gate => {
                    let busy = |m: usize| {
                        self.twins && matches!(w.store.records[1 - m].state, Claimed(_) | Sending(_) | Unknown { .. })
                    };
                    out.extend(
                        (0..MESSAGES)
                            .filter(|&m| w.store.records[m].state == Ready && !busy(m))
                            .map(|m| Step::Claim(i, m)),
                    );
                }
                Hand::Free => {}
                Hand::Claimed(_) if self.has(Flaw::NoIntent) => out.push(Step::Post(i)),
                Hand::Claimed(_) => out.push(Step::Note(i)),
                Hand::Noted(_) => out.push(Step::Begin(i)),
                Hand::Cleared((_, token)) => {
                    if !w.lapsed(token) || self.has(Flaw::NoLeaseCheck) {
                        out.push(Step::Post(i));
                    }
                    if fault || w.lapsed(token) {
                        out.push(Step::GiveUp(i));
                    }
                }
                Hand::Waiting(send) => {
                    if w.texts.contains(&send) {
                        out.push(Step::Answer(i));
                    }
                    if fault {
                        out.push(Step::TimeOut(i));
                        if w.wire.contains(&send) {
                            out.push(Step::Refuse(i));
                        }
                    }
                }
                Hand::Knows(..) => {
                    out.push(Step::Settle { worker: i, heard: true });
                    if fault {
                        out.push(Step::Settle { worker: i, heard: false });
                    }
                }
            }
            if fault && worker.hand != Hand::Free {
                out.push(Step::Crash { worker: i, journal: true });
                // A3: the moment that the store loses, and the journal that knows it, are not lost together.
                if (w.mark.is_none() && w.workers.iter().all(|w| w.told)) || self.has(Flaw::JournalLost) {
                    out.push(Step::Crash { worker: i, journal: false });
                }
            }
            if !worker.told {
                out.push(Step::Tell(i));
            }
        }
        for &send in &w.wire {
            out.push(Step::Arrive(send));
            if !w.workers.iter().any(|worker| worker.hand == Hand::Waiting(send)) {
                out.push(Step::Vanish(send));
            }
        }
        for (m, r) in w.store.records.iter().enumerate() {
            match r.state {
                Absent => out.push(Step::Enqueue(m)),
                Claimed(t) | Sending(t) if fault || w.lapsed(t) || !w.holder((m, t)) => out.push(Step::LeaseEnds(m)),
                Unknown { token, reads } if !w.gate || self.has(Flaw::ReconcilesBehindGate) => {
                    let candidates = self.candidates(w, m);
                    if !self.shared(w, m) {
                        out.extend(candidates.iter().map(|&text| Step::Found(m, text)));
                        if candidates.len() > 1 {
                            out.push(Step::FoundSeveral(m));
                        }
                    }
                    if reads == 0 {
                        out.push(Step::MissedEarly(m));
                    }
                    // A2: only a text of a later send can still be hidden.
                    if w.settled(m, token) && candidates.iter().all(|text| text.1 > token) {
                        out.push(Step::MissedLate(m));
                    }
                    if fault {
                        out.push(Step::Unreadable(m));
                    }
                }
                _ => {}
            }
        }
        match w.mark {
            None if w.rollbacks_left > 0 => out.push(Step::Mark),
            Some(mark) if mark != w.store => out.push(Step::Rollback),
            _ => {}
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut next = last.clone();
        let w = &mut next;
        match step {
            Step::Enqueue(m) => w.store.records[m].state = Ready,
            Step::Claim(i, m) => {
                w.token += 1;
                if self.has(Flaw::TokensRepeat) {
                    w.store.seq += 1;
                    w.token = w.store.seq;
                }
                w.store.records[m].state = Claimed(w.token);
                w.workers[i].hand = Hand::Claimed((m, w.token));
            }
            Step::Note(i) => {
                let send = last.workers[i].hand.send()?;
                w.workers[i].hand = Hand::Noted(send);
                if !self.has(Flaw::JournalAfterPost) {
                    w.workers[i].note(send, Fate::Unknown);
                }
            }
            Step::Begin(i) => {
                let (m, t) = last.workers[i].hand.send()?;
                let r = &mut w.store.records[m];
                let (state, worker) = (r.state, &mut w.workers[i]);
                if (state == Claimed(t) || state == Sending(t)) && !last.lapsed(t) {
                    if state == Claimed(t) && w.gate {
                        r.state = Ready;
                        worker.note((m, t), Fate::NotSent);
                        worker.hand = Hand::Free;
                    } else {
                        r.state = Sending(t);
                        w.begun_after_sent |= w.known[m];
                        worker.hand = Hand::Cleared((m, t));
                    }
                } else {
                    // Its lease is lost, perhaps because the store was told of it as begun.
                    worker.note((m, t), Fate::NotSent);
                    worker.hand = Hand::Knows((m, t), Fate::NotSent);
                }
            }
            Step::Post(i) => {
                let send = last.workers[i].hand.send()?;
                w.wire.push(send);
                w.workers[i].hand = Hand::Waiting(send);
            }
            Step::GiveUp(i) | Step::Refuse(i) | Step::Answer(i) | Step::TimeOut(i) => {
                let send = last.workers[i].hand.send()?;
                let fate = match step {
                    Step::Answer(_) => Fate::Sent,
                    Step::TimeOut(_) => Fate::Unknown,
                    _ => Fate::NotSent,
                };
                if let Step::Refuse(_) = step {
                    w.wire.retain(|s| *s != send);
                }
                let free = matches!(step, Step::Answer(_)) || (matches!(step, Step::GiveUp(_)) && last.lapsed(send.1));
                w.faults_left -= u8::from(!free);
                w.workers[i].note(send, fate);
                w.workers[i].hand = Hand::Knows(send, fate);
            }
            Step::Arrive(send) => {
                w.wire.retain(|s| *s != send);
                w.texts.push(send);
                w.texts.sort_unstable();
            }
            Step::Vanish(send) => w.wire.retain(|s| *s != send),
            Step::Settle { worker, heard } => {
                let Hand::Knows((m, t), fate) = last.workers[worker].hand else { return None };
                self.settle(&mut w.store.records[m], t, fate);
                w.known[m] |= fate == Fate::Sent;
                if heard {
                    w.workers[worker].hand = Hand::Free;
                } else {
                    w.faults_left -= 1;
                }
            }
            Step::Crash { worker, journal } => {
                w.faults_left -= 1;
                w.workers[worker].hand = Hand::Free;
                if journal {
                    w.workers[worker].told = false;
                } else {
                    w.workers[worker].journal.clear();
                }
            }
            Step::LeaseEnds(m) => {
                let (Claimed(t) | Sending(t)) = last.store.records[m].state else { return None };
                w.faults_left -= u8::from(!last.lapsed(t) && last.holder((m, t)));
                w.lapsed |= 1 << t;
                match last.store.records[m].state {
                    Sending(_) => self.unknown(&mut w.store.records[m], t),
                    _ => w.store.records[m].state = Ready,
                }
            }
            Step::Found(m, text) => {
                w.store.records[m].state = if self.rival(last, m) { Held } else { Sent(text.1) };
            }
            Step::FoundSeveral(m) => w.store.records[m].state = Held,
            Step::MissedEarly(m) | Step::MissedLate(m) => {
                let r = &mut w.store.records[m];
                let Unknown { token, reads } = r.state else { return None };
                if self.has(Flaw::OneRead) || (reads > 0 && step == Step::MissedLate(m)) {
                    self.requeue(r, token);
                } else {
                    r.state = Unknown { token, reads: 1 };
                }
            }
            Step::Unreadable(m) => {
                w.faults_left -= 1;
                w.store.records[m].state = Held;
            }
            Step::Mark => w.mark = Some(w.store),
            Step::Rollback => {
                w.store = w.mark.take()?;
                w.rollbacks_left -= 1;
                if !self.has(Flaw::NoReassert) {
                    w.gate = !self.has(Flaw::GateByClock);
                    w.workers.iter_mut().for_each(|worker| worker.told = false);
                }
            }
            Step::Tell(i) => {
                for &(send, fate) in &last.workers[i].journal {
                    let hand = last.workers[i].hand;
                    let under_way = hand.send() == Some(send) && !matches!(hand, Hand::Knows(..));
                    self.told_again(&mut w.store.records[send.0], send.1, fate, under_way);
                    w.known[send.0] |= fate == Fate::Sent;
                }
                w.workers[i].told = true;
                w.gate &= !w.workers.iter().all(|worker| worker.told);
            }
        }
        if self.flaw.is_none() {
            next.tidy();
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn all(w: &World, holds: impl Fn(usize, &Record) -> bool) -> bool {
            w.store.records.iter().enumerate().all(|(m, r)| holds(m, r))
        }
        let mut properties = vec![
            Property::always(TRUE_SENT, |fleet: &Fleet, w: &World| {
                fleet.as_built || all(w, |m, r| !matches!(r.state, Sent(_)) || w.accepted(m) > 0)
            }),
            Property::always(REPEATED, |_, w: &World| !w.begun_after_sent),
            // No history is endless, so it is enough that none stands still without another fault.
            Property::always(NO_END, |fleet: &Fleet, w: &World| {
                if all(w, |_, r| matches!(r.state, Sent(_) | Held)) {
                    return true;
                }
                let (mut calm, mut steps) = (w.clone(), Vec::new());
                (calm.faults_left, calm.rollbacks_left, calm.mark) = (0, 0, None);
                fleet.actions(&calm, &mut steps);
                !steps.is_empty()
            }),
            Property::sometimes("all sent in the end", |_, w: &World| {
                w.rollbacks_left == 0 && all(w, |_, r| matches!(r.state, Sent(_)))
            }),
        ];
        if self.faults > 0 {
            properties.push(Property::sometimes("sent after an attempt that was not", |_, w: &World| {
                !all(w, |_, r| !matches!(r.state, Sent(t) if t > r.closed && r.closed > 0))
            }));
        }
        // Whoever chooses `resend` chooses to text twice now and then.
        if !self.resend {
            properties.extend([
                Property::always(TWICE, |fleet: &Fleet, w: &World| {
                    if fleet.as_built { w.texts.len() <= MESSAGES } else { all(w, |m, _| w.accepted(m) <= 1) }
                }),
                Property::always(FALSE_ALARM, |fleet: &Fleet, w: &World| {
                    fleet.as_built || all(w, |m, r| !r.twice || w.accepted(m) > 1)
                }),
                Property::sometimes("a person must look", |_, w: &World| !all(w, |_, r| r.state != Held)),
            ]);
        }
        properties
    }
}
