//! Messages, lanes and sessions of a Ringfleet, kept in Redis or in an embedded SQLite file.
//!
//! [`Store`] is the whole interface: every transition of a message's life is one of its calls, atomic, bounded, judged by
//! the store's own clock, and answered with a closed enum. [`RedisStore`] and [`SqliteStore`] behave alike: one
//! conformance suite and one property test against an in-memory model hold them together (`tests/`).
//!
//! - [`ids`], [`message`], [`plan`]: the nouns
//! - [`calls`]: what goes into a call and what comes out
//! - [`docs`]: small records beside the messages, which the fleet shares
//! - [`explain`]: why a message isn't moving, and when it will
//! - [`opt_out`]: who wants no texts
//! - [`delivery`]: what becomes of a text after it was sent
//! - [`redis`]: one Lua file a transition (`lua/`)
//! - [`sqlite`]: one transaction a transition
//!
//! **Invariant:** a lane stands in the ready index exactly when it has a message due, is neither paused nor parked, and
//! has fewer than its cap in flight; its score is the first instant at which it may send.

pub mod calls;
mod changes;
pub mod clock;
pub mod delivery;
pub mod docs;
pub mod explain;
pub mod ids;
mod listing;
pub mod message;
pub mod opt_out;
pub mod plan;
pub mod redis;
mod session;
pub mod sqlite;
mod store;
mod waiting;
mod words;

pub use crate::{
    calls::{
        Acquired, Begin, Cancelled, Claim, ClaimRequest, Decided, DueSoon, Enqueued, Evidence, Found, Gate,
        Incarnation, Intent, LaneView, Memory, Outcome, QUIET_HOURS, Reaped, Reassertion, Release, Resolution, Settled,
        Settlement, Stats, UNDER_WAY, UnknownSend, UnknownSends,
    },
    changes::{Change, ChangeCursor, Changes, SETTLED_MS},
    clock::Clock,
    delivery::{AwaitedReports, Delivery, DeliveryReport, Recorded},
    docs::{Doc, DocChanges, DocCursor, DocKind, Expect, Put},
    explain::{Busy, Eta, Explained, LaneFacts, Place, Slot, Stand, Until, Why},
    ids::{Fingerprint, Group, IdError, IdempotencyKey, LaneId, LeaseToken, MessageId, WorkerId},
    listing::{ListFrom, Listed},
    message::{Lease, LeaseRef, MessageView, Millis, NewMessage, OnUnknown, Priority, Private, State},
    opt_out::{OptOut, OptOutCursor, OptOuts, OptedOut},
    plan::{LaneRules, Plan, PlanSeen},
    redis::RedisStore,
    session::{Heard, RefusedCredential, SessionView, TokenLease, TokenRecord},
    sqlite::SqliteStore,
    store::{MAX_BATCH, MAX_RECOVERIES, NewSession, SharedStore, Store, StoreError, TokenAsk},
    waiting::{Waiting, WaitingCursor},
};
