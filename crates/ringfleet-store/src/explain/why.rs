//! What stands in a message's or a lane's way: every reason there is.

use super::{Explained, LaneFacts, Place, Stand};
use crate::{
    calls::{Gate, LaneView},
    ids::MessageId,
    message::{Millis, State},
};

/// A message whose recipient is busy comes back after a second, and some milliseconds for its place among those that do.
const PUT_OFF_MS: Millis = 2_000;

/// One thing that stands in the way. `Display` tells it in words, without times; those are in [`since`](Why::since) and
/// [`until`](Why::until).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The kill switch.
    Stopped {
        reason: String,
    },
    Parked {
        reason: String,
    },
    Paused,
    /// A penalty wider than a lane, or a store that has been restarted.
    Gate {
        until: Millis,
        reason: String,
    },
    Scheduled {
        until: Millis,
    },
    /// Scheduled for the end of its recipient's quiet hours.
    QuietHours {
        until: Millis,
    },
    /// Another message between the same two numbers is under way, or of unknown fate.
    PairBusy {
        with: MessageId,
        state: State,
    },
    Penalty {
        until: Millis,
    },
    /// After a penalty one message goes alone, until it was answered.
    Probe,
    /// So many of its lane go first.
    Behind {
        ahead: u64,
        at_least: bool,
    },
    /// All places of the window are in use; `until` the first of them is free, if that is known.
    Window {
        limit: u32,
        window_ms: u32,
        until: Option<Millis>,
    },
    /// As many of its lane are in flight as may be.
    LaneBusy {
        in_flight: u32,
    },
    /// Nothing is in its way: the next worker with a free hand takes it.
    Turn,
    Claimed {
        worker: String,
        since: Millis,
    },
    Sending {
        worker: String,
        since: Millis,
    },
    Unknown {
        since: Millis,
        reads: u32,
        next_look: Option<Millis>,
    },
    Held {
        since: Option<Millis>,
        reason: String,
        may_have_arrived: Option<Millis>,
    },
    /// `may_have_arrived` from that time on: of an earlier attempt nobody knows.
    Ended {
        state: State,
        at: Option<Millis>,
        reason: String,
        may_have_arrived: Option<Millis>,
    },
    /// Of a lane: no message of it is due.
    Idle,
    /// No worker has shown itself lately.
    NoWorkers,
}

impl Explained {
    /// All that stands in its way, what needs a person first. Never empty.
    pub fn why(&self) -> Vec<Why> {
        let one = match &self.stand {
            Stand::Waiting { due_at, quiet, place, busy } => {
                let busy = busy.map(|busy| Why::PairBusy { with: busy.with, state: busy.state });
                return self.lane.waits(*due_at, *quiet, place, busy);
            }
            Stand::InHand { worker, since } if self.state == State::Sending => {
                Why::Sending { worker: worker.clone(), since: *since }
            }
            Stand::InHand { worker, since } => Why::Claimed { worker: worker.clone(), since: *since },
            Stand::Unknown { since, reads, next_look } => {
                Why::Unknown { since: *since, reads: *reads, next_look: *next_look }
            }
            Stand::Over { at, reason, may_have_arrived } => {
                let (at, reason, may_have_arrived) = (*at, reason.clone(), *may_have_arrived);
                match self.state {
                    State::Held => Why::Held { since: at, reason, may_have_arrived },
                    state => Why::Ended { state, at, reason, may_have_arrived },
                }
            }
        };
        let moves = !matches!(self.stand, Stand::Over { .. });
        let looked_up = matches!(self.stand, Stand::Unknown { .. });
        // What keeps the fleet from looking it up. A pause does not.
        let stops = self.lane.stops().filter(|why| looked_up && *why != Why::Paused);
        let gate = self.lane.gate_opens().filter(|_| looked_up);
        stops.chain([one]).chain(gate).chain(self.lane.nobody().filter(|_| moves)).collect()
    }
}

impl LaneFacts {
    /// All that stands in the way of its next message, what needs a person first. Never empty.
    pub fn why(&self) -> Vec<Why> {
        if self.ready() == 0 {
            return self.stops().chain([Why::Idle]).collect();
        }
        self.waits(self.now, false, &Place::default(), None)
    }

    fn waits(&self, due_at: Millis, quiet: bool, place: &Place, busy: Option<Why>) -> Vec<Why> {
        let mut whys: Vec<Why> = self.stops().chain(self.nobody()).collect();
        // Put off for its recipient, it is no message of later.
        let put_off = if busy.is_some() { PUT_OFF_MS } else { 0 };
        if quiet && due_at > self.now {
            whys.push(Why::QuietHours { until: due_at });
        } else if due_at > self.now + put_off {
            whys.push(Why::Scheduled { until: due_at });
        }
        let late = due_at.max(self.now);
        if let Gate::Until { until, reason } = &self.gate
            && *until > late
        {
            whys.push(Why::Gate { until: *until, reason: reason.clone() });
        }
        if self.penalty_until > late {
            whys.push(Why::Penalty { until: self.penalty_until });
        }
        whys.extend(busy);
        let ahead = place.ahead + place.due_ahead.len() as u64;
        if ahead > 0 && (due_at <= self.now || self.turn(place, due_at) > due_at) {
            whys.push(Why::Behind { ahead, at_least: place.at_least });
        }
        if due_at <= self.now {
            whys.extend(self.full());
        }
        if whys.is_empty() {
            whys.push(Why::Turn);
        }
        whys
    }

    /// What lets nothing through until somebody acts.
    fn stops(&self) -> impl Iterator<Item = Why> {
        let stopped = match &self.gate {
            Gate::Stopped { reason } => Some(Why::Stopped { reason: reason.clone() }),
            Gate::Open | Gate::Until { .. } => None,
        };
        let parked = self.parked.clone().map(|reason| Why::Parked { reason });
        [stopped, parked, self.paused.then_some(Why::Paused)].into_iter().flatten()
    }

    /// What lets nothing through for a while.
    fn gate_opens(&self) -> Option<Why> {
        match &self.gate {
            Gate::Until { until, reason } if *until > self.now => {
                Some(Why::Gate { until: *until, reason: reason.clone() })
            }
            _ => None,
        }
    }

    fn nobody(&self) -> Option<Why> {
        (self.workers == 0).then_some(Why::NoWorkers)
    }

    /// Why not one more message of the lane may be claimed now.
    fn full(&self) -> Option<Why> {
        if self.probe && self.in_flight > 0 {
            return Some(Why::Probe);
        }
        if self.slots.len() >= self.plan.limit as usize {
            let first = self.slots.len() - self.plan.limit as usize;
            let until = self.slots.get(first).and_then(|slot| slot.free_at);
            return Some(Why::Window { limit: self.plan.limit, window_ms: self.plan.window_ms, until });
        }
        (self.in_flight >= self.cap).then_some(Why::LaneBusy { in_flight: self.in_flight })
    }
}

impl LaneView {
    /// What keeps the lane from sending, as far as a look at it tells.
    pub fn why(&self) -> Option<Why> {
        if let Some(reason) = &self.parked {
            return Some(Why::Parked { reason: reason.clone() });
        }
        if self.paused {
            return Some(Why::Paused);
        }
        if let Some(until) = self.penalty_until {
            return Some(Why::Penalty { until });
        }
        let plan = self.plan.filter(|plan| self.slots_in_use >= plan.limit)?;
        Some(Why::Window { limit: plan.limit, window_ms: plan.window_ms, until: None })
    }
}
