//! Why a message or a lane isn't moving, and when it will.
//!
//! The store reads the facts in one step ([`Store::explain`], [`Store::explain_lane`]); what they mean is decided here,
//! by pure functions: [`Why`] names what stands in the way, [`Eta`] when it is over. Nothing private is among them.
//!
//! - `why`: what stands in the way; `words`: how it is told
//! - `eta`: when a message goes
//! - `course`: the arithmetic of the exact window
//!
//! [`Store::explain`]: crate::Store::explain
//! [`Store::explain_lane`]: crate::Store::explain_lane

mod course;
mod eta;
mod why;
mod words;

pub use self::{
    eta::{Eta, Until},
    why::Why,
};
use crate::{
    calls::Gate,
    ids::{LaneId, MessageId},
    message::{Millis, Priority, State},
    plan::{Plan, slot_hold_ms},
};

/// A worker that has not shown itself for so long is not there. It does so twice a second; one of an embedded store
/// every five seconds.
pub(crate) const WORKER_SEEN_MS: Millis = 15_000;
/// Entries of a queue that are counted one by one, from each end.
pub(crate) const MOST_COUNTED: u64 = 50_000;
/// Entries of the schedule that are looked at in one step, and steps.
pub(crate) const SCHEDULE_PAGE: u32 = 500;
pub(crate) const SCHEDULE_PAGES: u32 = 20;

/// Everything that decides when a message goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    pub id: MessageId,
    pub state: State,
    pub priority: Priority,
    pub send_by: Option<Millis>,
    pub stand: Stand,
    pub lane: LaneFacts,
}

/// Where a message stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stand {
    /// `Scheduled` or `Ready`. It is or was due at this time: `send_at`, when it came in, or the end of a delay.
    /// `quiet`: it was put off to then, the end of its recipient's quiet hours.
    Waiting { due_at: Millis, quiet: bool, place: Place, busy: Option<Busy> },
    /// `Claimed` or `Sending`, in this worker's hand.
    InHand { worker: String, since: Millis },
    /// `Unknown`; looked up in the provider's message store so often, and next at this time.
    Unknown { since: Millis, reads: u32, next_look: Option<Millis> },
    /// Held, or at its end; from when on it may have arrived all the same.
    Over { at: Option<Millis>, reason: String, may_have_arrived: Option<Millis> },
}

/// What goes before a waiting message, of its own lane. Messages of a higher priority that come in later go before it too.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Ready messages that go first. On Redis cancelled and expired ones leave shadows in the queue, which cost no slot:
    /// they are left out of the first 256 entries and counted beyond, so that this is an upper bound there.
    pub ahead: u64,
    /// Ready ones of a lower priority: they go first only while this one is not due.
    pub below: u64,
    /// When those become due that stand before it in the schedule, ascending.
    pub due_ahead: Vec<Millis>,
    /// There are too many to be counted: at least so many.
    pub at_least: bool,
}

/// Another message between the same sender and recipient that is under way or of unknown fate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy {
    pub with: MessageId,
    pub state: State,
}

/// What a lane's messages wait for, and the fleet with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneFacts {
    pub lane: LaneId,
    /// The store's time at which all this was so.
    pub now: Millis,
    pub plan: Plan,
    /// Those that count against the window now, in the order in which they become free; those of requests under way last.
    pub slots: Vec<Slot>,
    /// The end of the last penalty, past or to come; 0 = there was none.
    pub penalty_until: Millis,
    /// After a penalty one message goes alone, until it was answered.
    pub probe: bool,
    pub paused: bool,
    pub parked: Option<String>,
    pub in_flight: u32,
    /// In flight at once, at most.
    pub cap: u32,
    /// Ready messages by priority, the highest first. Cancelled ones may be counted until their turn comes.
    pub waiting: [u64; Priority::ALL.len()],
    pub oldest_due: Option<Millis>,
    pub gate: Gate,
    /// Workers that have shown themselves lately.
    pub workers: u32,
}

/// One place of the window that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub taken_at: Millis,
    /// `None` while its request is under way.
    pub free_at: Option<Millis>,
}

impl Slot {
    /// A slot's token is made of the time at which it was taken; see `next_token`.
    pub(crate) fn of(token: i64, free_at: Millis, never: Millis) -> Self {
        Self { taken_at: token / 2_048, free_at: (free_at < never).then_some(free_at) }
    }
}

impl LaneFacts {
    pub fn ready(&self) -> u64 {
        self.waiting.iter().sum()
    }

    /// From a response until its slot is free again.
    fn hold(&self) -> Millis {
        slot_hold_ms(self.plan.window_ms.into()) + 1
    }
}
