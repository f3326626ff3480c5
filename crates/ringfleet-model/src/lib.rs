//! The life of a send as a model small enough to be searched completely: two workers, two messages, a store that can be
//! rolled back, a provider without idempotency keys. `tests/delivery.rs` asks the questions, docs/delivery-semantics.md tells
//! the same in words. A development crate. It shares no code with the fleet: it tests the design, not the code.
//!
//! There is no clock: steps are made in any order and as late as may be. A frozen worker is one that makes no step while its
//! lease ends, a late settle one that is made afterwards. Where the design leans on time, an *assumption* stands for it:
//!
//! - **A1**, half a lease: no POST begins after the end of its lease. What that hides: a process stopped between its last look
//!   at the clock and the first byte, for longer than the rest of the lease.
//! - **A2**, the settle time: a reading begun after it shows every text of that attempt and of older ones; nothing of them is
//!   on its way any more. A reading before it may miss anything.
//! - **A3**, the grace: after a rollback nothing is claimed, begun or reconciled before every worker has told what it did, one
//!   that died with an answer in hand and was started again included. No journal is lost together with the store's moment.
//! - **A4**: a producer hands a message in again that a rollback has removed.
//! - **A5**, no held twin, *which the fleet does not see to*: a single text that looks like a message counts for it only while its
//!   twin (same numbers, same text) is not held; else a person decides. The fleet counts the text: with [`Fleet::as_built`] A5 is
//!   left out, and it is proven that no more texts arrive than there are messages. Not that what is called sent was accepted:
//!   docs/delivery-semantics.md, *Where the promise ends*.
//!
//! Not in it: the usage plan, `send_by`, cancelling, poison, the order of pages, and a person's decisions on held messages.

mod rules;
mod steps;
mod world;

pub use crate::{
    steps::{FALSE_ALARM, NO_END, REPEATED, Step, TRUE_SENT, TWICE},
    world::{Fate, Hand, Record, Send, State, Store, Token, Worker, World},
};

/// One rule of the design left out. With any of these the checker must find a bad history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// The POST follows the claim, without an intent.
    NoIntent,
    /// What is unknown waits again at once.
    BlindRequeue,
    /// One reading is enough, settle time or not.
    OneRead,
    /// Nobody tells anything after a rollback.
    NoReassert,
    /// The gate opens by the clock, although a worker has not told yet (breaks A3).
    GateByClock,
    /// A worker's journal may be lost together with the store's moment (breaks A3).
    JournalLost,
    /// The journal is written when the answer is read, not before the POST.
    JournalAfterPost,
    /// A message that the store has forgotten counts as sent when its send had only begun.
    TombstoneByIntent,
    /// What is told of an attempt does not displace an older one that the rollback has brought back.
    OldAttemptStays,
    /// The reconciler works while the gate is closed.
    ReconcilesBehindGate,
    /// The reconciler overlooks a second message with the same numbers and text that is being sent, whose fate is open, or which
    /// is held (breaks A5).
    IgnoresRivals,
    /// A token may be given out again after a rollback.
    TokensRepeat,
    /// The POST starts without a look at the lease (breaks A1).
    NoLeaseCheck,
    /// A late `sent` that meets another attempt under way is an alarm and nothing more.
    EvidenceDropped,
}

#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Crashes, lost answers, refusals, leases that end under a living worker, unreadable message stores: so many in one
    /// history, of any kind.
    pub faults: u8,
    /// To any earlier moment, so many in one history.
    pub rollbacks: u8,
    /// Both messages have the same numbers and the same text, so that only one of them at a time is in hand.
    pub twins: bool,
    /// A5 is left out, as the fleet does.
    pub as_built: bool,
    /// The policy `resend` instead of `reconcile`.
    pub resend: bool,
    pub flaw: Option<Flaw>,
}
