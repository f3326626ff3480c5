//! What goes into the store's calls and what comes out: closed enums, so that no answer is overlooked.

use std::time::Duration;

use crate::{
    ids::{LaneId, LeaseToken, MessageId, WorkerId},
    message::{Lease, LeaseRef, Millis, Private, State},
    plan::{Plan, PlanSeen},
};

/// What became of one message of an `enqueue`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Enqueued {
    /// It is in the store: from here on it ends in one final state or is visibly waiting.
    Accepted(MessageId),
    /// The same key with the same content was here before; nothing was added.
    Duplicate(MessageId),
    /// The same key was here before with *other* content; nothing was added.
    Conflict(MessageId),
}

/// Asks for work.
#[derive(Clone, Debug)]
pub struct ClaimRequest<'a> {
    pub worker: &'a WorkerId,
    /// Never more than the worker has hands for; at most 128 are given out at once.
    pub free_slots: u32,
    pub lease: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Claim {
    pub leases: Vec<Lease>,
    /// How long nothing can be claimed unless something changes: the worker sleeps exactly so long.
    /// `Some(0)` means "ask again", `None` that nothing waits for a known time.
    pub next_due: Option<Duration>,
}

/// A message whose POST is about to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intent {
    pub lease: LeaseRef,
    /// Generation of the session that it is sent with; 0 = the store need not look at sessions.
    pub session: u64,
}

impl From<LeaseRef> for Intent {
    fn from(lease: LeaseRef) -> Self {
        Self { lease, session: 0 }
    }
}

/// The answer to `begin_send`. Only [`Begin::Go`] permits a POST.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// The intent is written. The POST may start now.
    Go,
    /// The lease ended or belongs to somebody else. Send nothing, settle nothing.
    LeaseLost,
    /// Its `send_by` passed; the store has closed it.
    Expired,
    /// The recipient has opted out; the store has closed it.
    Suppressed,
    /// The lane is paused, parked or in a penalty, or the kill switch is on; the store has put the message back.
    PutBack,
    /// The session it was to be sent with was replaced, or is being renewed. Nothing has changed: ask for the newest
    /// session, then once more.
    SessionOver,
}

/// What a worker reports of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The provider accepted it under this id.
    Sent { provider_id: String },
    /// The provider refused it for good.
    Rejected { code: String },
    /// Fate unknown: the message's policy says what follows; see [`crate::OnUnknown`].
    Unknown { reason: String },
    /// 429: the message goes back to the head of its lane, its attempt untouched, and the lane waits.
    Throttled { retry_after: Duration },
    /// Certainly not sent (connection refused, token renewed): back to the head, the lane waits `delay`.
    NotSent { delay: Duration },
    /// Certainly not sent, as these are its recipient's quiet hours: it waits `delay` as scheduled, its attempt untouched, and
    /// its lane goes on.
    Later { delay: Duration },
    /// Certainly not sent, and the lane can't go on until somebody acts, e.g. a revoked credential.
    Parked { reason: String },
    /// Certainly not sent, but worth another attempt later: burns one; gives up after `max_attempts`.
    Retry { code: String, delay: Duration, max_attempts: u32 },
    /// Given back untouched (drain): as if it had never been claimed.
    Released,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    pub lease: LeaseRef,
    pub outcome: Outcome,
    /// How long ago the response was read (worker's monotonic clock), so that time spent on the way to the store
    /// is not added to the slot. The store counts from "now − age", which is never before the server saw the request.
    pub age: Duration,
    pub seen: PlanSeen,
}

/// What the store did with a settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    Done(State),
    /// Already settled with this token: the same call again.
    Again(State),
    /// The lease had ended, or the store had lost it, and the late report has decided the message all the same.
    LateEvidence(State),
    /// The lease had ended and the message went on without it, or is forgotten since; nothing was changed.
    Stale,
    /// It was sent under this lease, and under another one it was sent too or is being sent: a text went out twice.
    SentTwice,
    /// No such message.
    Missing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reaped {
    /// Claimed messages of dead workers that are ready again.
    pub requeued: u32,
    /// Messages whose worker died after the intent: fate unknown.
    pub unknown: u32,
    /// Messages that killed their worker too often, now dead.
    pub poisoned: u32,
    /// Waiting messages whose `send_by` passed.
    pub expired: u32,
    /// Final records older than the retention, removed.
    pub pruned: u32,
    /// Sent messages whose delivery report did not come in its time: they stay `sent`.
    pub unreported: u32,
    /// Things in the store that can't be read, all in all: put aside, so that they stop nothing else.
    pub unreadable: u32,
}

/// The answer to one who asks for a slot of a lane for a request that is no message: a login, a read of the message store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// The slot is taken; release it with this token.
    Granted(LeaseToken),
    /// No slot now; ask again after this time.
    Wait(Duration),
}

/// How a request under an acquired slot ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// An answer was read, or may have been made.
    Used,
    /// It certainly never reached the server.
    Unused,
    /// 429.
    Throttled { retry_after: Duration },
}

/// Where a lane stands: what waits in it, what its window holds, and what keeps it from sending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LaneView {
    pub lane: Option<LaneId>,
    /// Waiting in the lane's queues (a cancelled message may be counted until its turn comes).
    pub waiting: u64,
    pub in_flight: u32,
    /// Slots that count against the window now.
    pub slots_in_use: u32,
    pub plan: Option<Plan>,
    pub paused: bool,
    pub parked: Option<String>,
    /// End of the penalty, when one is running.
    pub penalty_until: Option<Millis>,
    pub oldest_due: Option<Millis>,
}

/// Lanes of scheduled messages that become due soon.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DueSoon {
    /// Each once, with the first of those times, the soonest first.
    pub lanes: Vec<(LaneId, Millis)>,
    /// There are more messages behind those that were looked at.
    pub more: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    Done,
    /// Too late: it is in a worker's hand or ended already.
    TooLate(State),
    Missing,
}

/// The reason of an [`Outcome::Unknown`] whose worker lives and has not read an answer yet: the message is not sent again beside
/// it, whatever its policy.
pub const UNDER_WAY: &str = "under-way";

/// The reason of a message that was put off to the end of its recipient's quiet hours; see [`Outcome::Later`].
pub const QUIET_HOURS: &str = "quiet-hours";

/// What a worker knows of a send when the store may have lost it: the journal's entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reassertion {
    pub settlement: Settlement,
    pub lane: LaneId,
}

/// How the store has fared since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Incarnation {
    /// 0 at first; another, greater number each time that another server, or the same one after a restart, holds the data:
    /// its last moments may be lost.
    pub restarts: u64,
    /// Steps back of the server's clock by more than a second; the fleet's time went on.
    pub clock_steps: u64,
}

/// Unknown sends of one lane, for one reading of the provider's message store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownSends {
    pub lane: LaneId,
    pub sends: Vec<UnknownSend>,
}

/// A send whose fate is unknown, with all that the provider's records can be compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownSend {
    pub lease: LeaseRef,
    pub from: Private,
    pub to: Private,
    pub text: Private,
    /// Before this time it had certainly not begun.
    pub intent_at: Millis,
    /// Since when its fate is unknown.
    pub since: Millis,
}

/// What one complete reading of the provider's message store says of one unknown send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    pub lease: LeaseRef,
    pub found: Found,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// The provider's ids of all texts that may be this one; none is a finding too. The store leaves out those that were
    /// counted for other messages.
    /// The time, of the store, at which the reading began.
    Candidates { ids: Vec<String>, read_at: Millis },
    /// It can't be decided, e.g. because nobody may read the extension's messages: a person must look.
    Undecidable { reason: String },
}

/// Texts that may be one message; so many can't be told apart.
const MOST_CANDIDATES: usize = 500;

impl Found {
    /// What there is to judge by, or why it can't be judged.
    pub(crate) fn judged(&self) -> Result<(&[String], Millis), &str> {
        match self {
            Found::Candidates { ids, .. } if ids.len() > MOST_CANDIDATES => Err("several-matches"),
            Found::Candidates { ids, read_at } => Ok((ids, *read_at)),
            Found::Undecidable { reason } if reason.trim().is_empty() => Err("undecidable"),
            Found::Undecidable { reason } => Err(reason),
        }
    }
}

/// What the store made of the evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decided {
    Sent,
    /// Not found, but too early to be sure.
    NotYet,
    /// Proven absent: it waits to be sent again.
    Again,
    Held,
    /// Proven absent, and sent too often already.
    Dead,
    /// Proven absent, and its recipient has opted out since.
    Suppressed,
    /// Decided meanwhile by somebody else.
    Stale,
}

/// A person's word on a held message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// It was not sent: it waits again, counted as an attempt. Also revives a dead message. One whose recipient has opted out
    /// ends as suppressed instead, and the answer is `TooLate`.
    Resend,
    /// It was sent.
    Sent,
    /// It shall not be sent, whether it was or not.
    Cancelled,
}

impl Resolution {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Resolution::Resend => "resend",
            Resolution::Sent => "sent",
            Resolution::Cancelled => "cancelled",
        }
    }
}

/// The totals that operators watch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Messages per state, in the order of [`State::ALL`].
    pub by_state: [u64; State::ALL.len()],
    /// Age of the oldest message that is due and not sent.
    pub oldest_due_age: Option<Duration>,
    /// Lanes that have a message due and may send now: none while the fleet's gate is closed.
    pub lanes_eligible: u64,
    /// Lanes that have messages waiting.
    pub lanes_waiting: u64,
    pub now: Millis,
}

impl Stats {
    pub fn count(&self, state: State) -> u64 {
        State::ALL.iter().position(|s| *s == state).map_or(0, |at| self.by_state[at])
    }

    pub(crate) fn add(&mut self, state: State, n: u64) {
        if let Some(at) = State::ALL.iter().position(|s| *s == state) {
            self.by_state[at] += n;
        }
    }

    /// Messages that the provider accepted, whatever is known of their delivery.
    pub fn sent(&self) -> u64 {
        State::ALL.iter().filter(|state| state.was_sent()).map(|state| self.count(*state)).sum()
    }

    /// Every message the store knows.
    pub fn total(&self) -> u64 {
        self.by_state.iter().sum()
    }
}

/// How full a store is that lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Bytes that count against the limit.
    pub used: u64,
    /// 0: there is none.
    pub limit: u64,
}

impl Memory {
    pub(crate) fn share(self) -> f64 {
        if self.limit == 0 { 0.0 } else { self.used as f64 / self.limit as f64 }
    }
}

/// A stop for the whole fleet, or for all lanes of a source that the provider throttles as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gate {
    Open,
    /// The kill switch: nothing is claimed or begun until it is opened again.
    Stopped {
        reason: String,
    },
    /// A penalty wider than a lane: nothing is claimed or begun until then.
    Until {
        until: Millis,
        reason: String,
    },
}
