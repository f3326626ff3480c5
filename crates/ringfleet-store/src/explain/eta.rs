//! When a message goes, as far as anybody can know.

use super::{
    Explained, LaneFacts, Place, Stand,
    course::{Course, Queue},
};
use crate::{
    calls::Gate,
    message::{Millis, State},
};

/// The answer to "when will it go". Times are the store's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eta {
    /// At about this time its request begins, if there is a worker.
    At(Millis),
    /// Not before; how much later depends on something that has no known time.
    NotBefore(Millis),
    /// Its turn would come at `turn`; its `send_by` passes before.
    Expires { at: Millis, turn: Millis },
    /// Nothing moves until somebody acts, and its `send_by` passes at `at`: whoever acts before lets it go.
    ExpiresUnless { at: Millis, until: Until },
    /// Nothing moves until somebody acts.
    Never { until: Until },
    /// Its request is under way.
    UnderWay,
    /// Nobody knows whether it was sent; the provider's message store is asked, next at this time.
    LookedUp { next: Option<Millis> },
    /// It is at its end, or there is nothing to go.
    Over,
}

/// What somebody has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// The kill switch is opened.
    FleetResumed,
    /// The lane was paused by an operator, who lets it go on.
    LaneResumed,
    /// The lane was parked: the cause is mended, and it is told to go on.
    CauseMended,
    /// A person says what became of a held message.
    Decided,
}

impl Explained {
    pub fn eta(&self) -> Eta {
        let now = self.lane.now;
        match &self.stand {
            Stand::Over { .. } if self.state == State::Held => Eta::Never { until: Until::Decided },
            Stand::Over { .. } => Eta::Over,
            Stand::Unknown { next_look, .. } => match self.lane.gate {
                Gate::Stopped { .. } => Eta::Never { until: Until::FleetResumed },
                Gate::Until { until, .. } => Eta::LookedUp { next: next_look.map(|look| look.max(until)) },
                Gate::Open => Eta::LookedUp { next: *next_look },
            },
            Stand::InHand { .. } if self.state == State::Sending => Eta::UnderWay,
            Stand::InHand { .. } => self.lane.stop().map_or(Eta::At(now), |until| self.stays(until)),
            Stand::Waiting { due_at, place, busy, .. } => {
                // Of a lane that stands still: so late at the earliest.
                let turn = self.lane.turn(place, *due_at);
                match (self.send_by, self.lane.stop()) {
                    (Some(by), _) if turn > by => Eta::Expires { at: by, turn },
                    (_, Some(until)) => self.stays(until),
                    _ if place.at_least => Eta::NotBefore(turn),
                    _ if busy.is_some_and(|busy| busy.state == State::Unknown) => Eta::NotBefore(turn),
                    _ => Eta::At(turn),
                }
            }
        }
    }

    /// The same of a message whose recipient has quiet hours: `put_off_until` tells the end of those for which a turn at a moment
    /// passes. How many go first after it can't be known.
    pub fn eta_outside(&self, put_off_until: impl Fn(Millis) -> Option<Millis>) -> Eta {
        let eta = self.eta();
        let (Eta::At(turn) | Eta::NotBefore(turn)) = eta else { return eta };
        match (put_off_until(turn), self.send_by) {
            (None, _) => eta,
            // One that was put off goes a moment after that.
            (Some(end), Some(by)) if end >= by => Eta::Expires { at: by, turn: end },
            (Some(end), _) => Eta::NotBefore(end),
        }
    }

    /// What becomes of it if nobody acts.
    fn stays(&self, until: Until) -> Eta {
        self.send_by.map_or(Eta::Never { until }, |at| Eta::ExpiresUnless { at, until })
    }
}

impl LaneFacts {
    /// When the first of its ready messages goes.
    pub fn next_goes(&self) -> Eta {
        self.ready_goes(0)
    }

    /// When the last of them goes.
    pub fn last_goes(&self) -> Eta {
        self.ready_goes(self.ready().saturating_sub(1))
    }

    fn ready_goes(&self, ahead: u64) -> Eta {
        match self.stop() {
            _ if self.ready() == 0 => Eta::Over,
            Some(until) => Eta::Never { until },
            None => Eta::At(self.turn(&Place { ahead, ..Place::default() }, self.now)),
        }
    }

    /// What keeps the lane from moving until somebody acts.
    fn stop(&self) -> Option<Until> {
        match (&self.gate, &self.parked) {
            (Gate::Stopped { .. }, _) => Some(Until::FleetResumed),
            (_, Some(_)) => Some(Until::CauseMended),
            _ if self.paused => Some(Until::LaneResumed),
            _ => None,
        }
    }

    /// When the turn of a message at `place` comes that is due at `due_at`.
    pub(super) fn turn(&self, place: &Place, due_at: Millis) -> Millis {
        let gate = match self.gate {
            Gate::Until { until, .. } => until,
            Gate::Open | Gate::Stopped { .. } => self.now,
        };
        let open_at = gate.max(self.penalty_until);
        let queue = Queue { ahead: place.ahead, below: place.below, due_ahead: &place.due_ahead, due_at };
        Course::of(self, open_at).turn(&queue)
    }
}

#[cfg(test)]
mod tests;
