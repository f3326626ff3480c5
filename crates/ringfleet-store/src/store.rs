//! The store: every transition of a message, a lane and a session. Two implementations, one behaviour.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    calls::{
        Acquired, Begin, Cancelled, Claim, ClaimRequest, Decided, DueSoon, Enqueued, Evidence, Gate, Incarnation,
        Intent, LaneView, Memory, Reaped, Reassertion, Release, Resolution, Settled, Settlement, Stats, UnknownSends,
    },
    changes::{ChangeCursor, Changes},
    delivery::{AwaitedReports, Delivery, Recorded},
    docs::{Doc, DocChanges, DocCursor, DocKind, Expect, Put},
    explain::{Explained, LaneFacts},
    ids::{LaneId, LeaseToken, MessageId, WorkerId},
    listing::{ListFrom, Listed},
    message::{LeaseRef, MessageView, Millis, NewMessage, Private},
    opt_out::{OptOut, OptOutCursor, OptOuts},
    plan::PlanSeen,
    session::{Heard, RefusedCredential, SessionView, TokenLease},
    waiting::{Waiting, WaitingCursor},
};

/// The most items that one script or transaction takes. A longer slice is cut: by the callers where the call says so, else here.
pub const MAX_BATCH: usize = 500;
/// One claim gives out no more than this in a shard, so that no script and no transaction runs long.
pub(crate) const MAX_CLAIM: u32 = 128;
/// So many times a message is taken back from a dead worker; the next time it is dead. See [`Store::reap`].
pub const MAX_RECOVERIES: u32 = 3;

/// All times are judged by the store's clock, never by the caller's.
///
/// A call is made of atomic steps of bounded work (one script, one transaction): one for each shard that it concerns and each
/// [`MAX_BATCH`] items of it. Every call that carries a lease token gives the same answer when it is repeated with it. Dropping
/// a future of these calls never leaves a half-made transition, but the transition may have happened: repeat it with the same
/// token.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes in messages, one answer each, in order. At most [`MAX_BATCH`]. One whose recipient has opted out is accepted too,
    /// and ends at once as `suppressed`.
    async fn enqueue(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError>;

    /// Leases messages whose lanes may send *now*, oldest lane first, one message a lane in turn, and takes a slot of the
    /// lane's window for each in the same step.
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<Claim, StoreError>;

    /// Writes the intent. Only `Go` permits the POST; every other answer means that nothing may be sent.
    async fn begin_send(&self, sends: &[Intent], lease: Duration) -> Result<Vec<Begin>, StoreError>;

    /// Reports outcomes: closes or requeues the message, gives the slot its time, learns the lane's plan.
    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, StoreError>;

    /// Keeps leases of a living worker; `false` for one that is no longer held.
    async fn extend(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<bool>, StoreError>;

    /// Looks after what nobody holds any more: ended leases, passed `send_by`, old records. At most `limit` of each.
    async fn reap(&self, limit: u32, retention: Duration) -> Result<Reaped, StoreError>;

    /// Lanes whose unknown sends are to be looked up now, at most `lanes`; nobody else is given them for `lock`.
    async fn reconcile_take(&self, lanes: u32, lock: Duration) -> Result<Vec<UnknownSends>, StoreError>;

    /// Decides unknown sends by what the provider's message store shows: one match is `sent`; none in two readings, the
    /// last of them begun `settle_time` after the fate became unknown, is sent again until `max_attempts`; several are held.
    async fn decide(
        &self,
        evidence: &[Evidence],
        settle_time: Duration,
        max_attempts: u32,
    ) -> Result<Vec<Decided>, StoreError>;

    /// A person's word on a held (or, to send it again, a dead) message.
    async fn resolve(&self, id: &MessageId, how: Resolution) -> Result<Cancelled, StoreError>;

    /// Says that `worker` is there, and asks whether the store has lost its last moments. When it has, the fleet's gate is
    /// closed until every worker that was there has told it what it has sent ([`reassert`](Store::reassert)): `told` is
    /// the newest incarnation for which this one has.
    async fn watch(&self, worker: &WorkerId, told: Incarnation) -> Result<Incarnation, StoreError>;

    /// `worker` goes for good, and is waited for no longer, if the store has lost nothing since `told`. Otherwise it has to tell
    /// first, as after [`watch`](Store::watch), and nobody has gone.
    async fn leave(&self, worker: &WorkerId, told: Incarnation) -> Result<Incarnation, StoreError>;

    /// Settles once more what a worker has sent, for a store that may have lost it. What it knows already is not changed;
    /// a message that is gone altogether gets a record, so that its producer's repeat is recognised. What was
    /// requested has its place in the lane's window, also if the store has forgotten the message.
    ///
    /// `retention` is that of [`reap`](Store::reap). For that long after a send's claim, told by its token, its record would have
    /// kept its key: a message that came in later is another, and is not changed. A send of so long ago makes no record, as its
    /// own may have been forgotten in its turn (both [`Settled::Stale`]).
    async fn reassert(&self, journal: &[Reassertion], retention: Duration) -> Result<Vec<Settled>, StoreError>;

    /// A slot of `lane` for a request that is no message. `hold` bounds the request's whole time.
    async fn acquire(&self, lane: &LaneId, hold: Duration) -> Result<Acquired, StoreError>;

    /// Gives an acquired slot its time; see [`Settlement::age`].
    async fn release(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Result<(), StoreError>;

    /// An operator's stop of one lane. Messages keep waiting; one that is claimed goes back.
    async fn set_paused(&self, lane: &LaneId, paused: bool) -> Result<(), StoreError>;

    /// A stop that ends when its cause does, e.g. `credential OAU-211`; `None` lets the lane go on, and its extension's
    /// credential, should it have been refused, be tried again. What was learnt before is history from then on:
    /// [`Outcome::Parked`](crate::Outcome::Parked) of a lease of before parks nothing any more.
    async fn set_parked(&self, lane: &LaneId, reason: Option<&str>) -> Result<(), StoreError>;

    /// Lets a parked lane go on with another credential, in the same way; those that were refused stay so, and are not tried
    /// again.
    async fn unpark(&self, lane: &LaneId) -> Result<(), StoreError>;

    /// The fleet's gate. `Open` ends the kill switch, not a penalty. A penalty never shortens one that is longer, and
    /// never opens the kill switch; under it, it is remembered. With several shards it is one step each, all at once, and fails
    /// if one of them does not take it: repeat it then.
    async fn set_gate(&self, gate: &Gate) -> Result<(), StoreError>;
    /// A stop that did not reach the whole fleet says so in its reason. Of several shards those tell that answer.
    async fn gate(&self) -> Result<Gate, StoreError>;

    /// With several shards one that does not answer hides its own messages only: here, and of [`resolve`](Store::resolve),
    /// [`get`](Store::get) and [`explain`](Store::explain), that there is none is said if all have answered.
    async fn cancel(&self, id: &MessageId) -> Result<Cancelled, StoreError>;
    async fn get(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError>;

    /// Messages of a state that [is listed](crate::State::is_listed), of another one none; newest first, at most `limit` (1 to
    /// [`MAX_BATCH`]). A page looks at [`MAX_BATCH`] records of each shard at most, so it may have none although more follow.
    async fn list(&self, from: &ListFrom, limit: u32) -> Result<Listed, StoreError>;

    /// What has ended or is held on this shard, of [`shards`](Store::shards), behind `after`: the oldest first, at most `limit` (1 to
    /// [`MAX_BATCH`]), and nothing younger than three seconds. `None` tells nothing but where to read on from now.
    async fn changes(&self, shard: usize, after: Option<&ChangeCursor>, limit: u32) -> Result<Changes, StoreError>;

    /// What waits in a lane. A page looks at [`MAX_BATCH`] places of a queue at most, or of its shard's schedule.
    async fn waiting(&self, lane: &LaneId, from: WaitingCursor) -> Result<Waiting, StoreError>;

    /// Where a message stands and what is in its way: see [`crate::explain`]. Reads a few things more than
    /// [`get`](Store::get), nothing private; a long queue or schedule is counted up to a bound.
    async fn explain(&self, id: &MessageId) -> Result<Option<Explained>, StoreError>;
    /// What the messages of a lane wait for.
    async fn explain_lane(&self, lane: &LaneId) -> Result<LaneFacts, StoreError>;

    async fn lane(&self, lane: &LaneId) -> Result<LaneView, StoreError>;
    /// Lanes that have messages waiting, the longest waiting first: [`MAX_BATCH`] of a shard at most.
    async fn lanes(&self, limit: u32) -> Result<Vec<LaneView>, StoreError>;
    /// Each `every`-th of them, as a sample for figures of all: 500 of a shard at most.
    async fn lanes_spread(&self, every: u32) -> Result<Vec<LaneView>, StoreError>;
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Of the server that is nearest to its limit; `None` where the store is no server's memory.
    async fn memory(&self) -> Result<Option<Memory>, StoreError> {
        Ok(None)
    }
    /// Redis' `appendfsync`: how soon what was accepted is on the disk; of several servers the first that is not `always`. `None` for
    /// another store.
    async fn appendfsync(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Lanes of scheduled messages that become due within `within`. Looks at [`MAX_BATCH`] messages of each shard, in the order
    /// of their times, after the first `skip`.
    async fn due_soon(&self, within: Duration, skip: u32) -> Result<DueSoon, StoreError>;

    /// The session of `extension` (a lane-safe name), or the right to renew it.
    async fn token_lease(
        &self,
        extension: &str,
        worker: &WorkerId,
        ask: TokenAsk<'_>,
    ) -> Result<TokenLease, StoreError>;

    /// Stores a renewed session and says its generation, if `worker` still holds the renewal of `generation`; else changes
    /// nothing (`None`).
    async fn token_store(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        session: NewSession<'_>,
    ) -> Result<Option<u64>, StoreError>;

    /// Ends a renewal without a token. The old one, if it lives, is used on, and nobody tries again before `again_in`.
    async fn token_release(&self, extension: &str, worker: &WorkerId, again_in: Duration) -> Result<(), StoreError>;

    /// Remembers that the provider refuses a credential, so that nobody tries it again. Not heard if the session is another
    /// one than `generation` by now, if somebody else renews it, or if the extension's lane was let go on after the request
    /// began, `age` ago.
    async fn token_refuse(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        refused: &RefusedCredential,
        age: Duration,
    ) -> Result<Heard, StoreError>;

    /// How the sessions of these extensions stand, in their order. Any number of them.
    async fn sessions(&self, extensions: &[String]) -> Result<Vec<SessionView>, StoreError>;

    /// One document; one whose time is over is gone.
    async fn doc_get(&self, kind: DocKind, key: &str) -> Result<Option<Doc>, StoreError>;

    /// Changes a document if it is as expected. `body: None` removes it; with `ttl` it vanishes by itself, without one it stays
    /// for good. A key has 1 to 200 of `A-Z a-z 0-9 _ . ~ * + / : @ -`, a body 64 KiB at most; beyond that it is refused.
    /// A full Redis takes no new document, but changes and removes those that are there.
    async fn doc_put(
        &self,
        kind: DocKind,
        key: &str,
        expect: Expect,
        body: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Result<Put, StoreError>;

    /// What has changed since `cursor`, which belongs to `kind` (a default one: everything there is). At most `limit` documents
    /// and removals, 1 to 500, fewer where bodies are large. A removal is told for a day; see [`DocChanges::reset`]. Who has read all
    /// there was is told what the shards that answer have; until then it fails if one does not.
    async fn docs_since(&self, kind: DocKind, cursor: &DocCursor, limit: u32) -> Result<DocChanges, StoreError>;

    /// Takes note of who wants no texts, and of who wants them again, of one extension or of every one. With several shards a
    /// change for every extension is one step each, all at once: repeat it if it fails. Any number of changes.
    async fn set_opt_outs(&self, extension: Option<&str>, changes: &[OptOut]) -> Result<(), StoreError>;

    /// Lifts of these opt-outs, whatever their `out`, those that stand since `until` or before: who asked for texts then has said
    /// nothing of what was entered later. Else as [`set_opt_outs`](Store::set_opt_outs).
    async fn lift_opt_outs(
        &self,
        extension: Option<&str>,
        opt_outs: &[OptOut],
        until: Millis,
    ) -> Result<(), StoreError>;

    /// Whether a text from `from` of `extension` to `to` would be suppressed.
    async fn opted_out(&self, extension: &str, from: &Private, to: &Private) -> Result<bool, StoreError>;

    /// Who has opted out, at most `limit` (1 to 500) at once, for operators.
    async fn opt_outs(&self, cursor: &OptOutCursor, limit: u32) -> Result<OptOuts, StoreError>;

    /// Lanes whose delivery reports are to be looked for now, at most `lanes`; nobody else is given them for `lock`. Soon after a
    /// send, then ever rarer, until [`delivery_wait`](crate::LaneRules::delivery_wait) is over.
    async fn delivery_take(&self, lanes: u32, lock: Duration) -> Result<Vec<AwaitedReports>, StoreError>;

    /// Notes what the provider says of texts of `lane` that it had accepted, one answer each, in order. A report that is
    /// repeated changes nothing.
    async fn record_delivery(&self, lane: &LaneId, reports: &[Delivery]) -> Result<Vec<Recorded>, StoreError>;

    /// Resolves when work may have come in since *this call* (not since the first poll): take it before a claim and await
    /// it after an empty one, and nothing that came in between is overlooked. A hint may be lost with a connection, so
    /// await it beside a timer. Dropping it is free.
    fn work_hint(&self) -> BoxFuture<'static, ()>;

    /// The time that the store judges by; of several shards one's, which can differ from another's as their machines' clocks do.
    async fn now(&self) -> Result<Millis, StoreError>;
    /// The time by which the lane is judged.
    async fn time_of(&self, lane: &LaneId) -> Result<Millis, StoreError>;
    /// Whether the store answers and is the one that was begun with, for readiness. Of several shards one will do, but an
    /// exchange of any that answers is told.
    async fn ping(&self) -> Result<(), StoreError>;
    /// How many parts it has, each of which may stop answering by itself. A call for leases of several fails as a whole when one
    /// of them does not answer, so callers ask for those of each [`shard`](LeaseToken::shard) apart.
    fn shards(&self) -> usize {
        1
    }
    /// The one of them on which the documents of this key lie.
    fn shard_of_doc(&self, _key: &str) -> usize {
        0
    }
    /// How many of them did not answer lately. What asks all of them (`claim`, `reap`, `watch`, `reconcile_take`, `delivery_take`,
    /// `docs_since`) leaves those out, and fails if none answers.
    fn silent_shards(&self) -> usize {
        0
    }
    /// `redis` or `sqlite`.
    fn kind(&self) -> &'static str;
    /// Names these data: other data, or none, at the same address have another name.
    fn epoch(&self) -> String;
}

pub type SharedStore = Arc<dyn Store>;

#[derive(Clone, Copy, Debug)]
pub struct TokenAsk<'a> {
    /// The newest generation that the provider refused.
    pub known_bad: Option<u64>,
    /// Fingerprints of the login data that there is, so that a refused credential stays refused and a changed one does not.
    pub credentials: &'a [String],
    /// How long the renewal may take before another worker may try.
    pub lock: Duration,
    /// Renew it although it is good.
    pub renew: bool,
    /// The lane whose messages are sent with it.
    pub sends: &'a LaneId,
}

#[derive(Clone, Copy)]
pub struct NewSession<'a> {
    pub sealed: &'a [u8],
    pub lives: Duration,
    /// When it is to be renewed.
    pub renew_in: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("store can't be reached during {call}")]
    Unavailable {
        call: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "store is full and refuses new messages during {call}; Redis: raise its memory limit or let the fleet drain it; \
         SQLite: free space on its disk"
    )]
    Full { call: &'static str },
    #[error("store refused {call}: {reason}")]
    Refused { call: &'static str, reason: String },
    #[error("store answered {call} with something unreadable: {what}")]
    Unreadable { call: &'static str, what: String },
    #[error("store can't be used: {reason}")]
    Unfit { reason: String },
    /// Nothing may go on with it: what was sent is forgotten.
    #[error(
        "store was flushed or exchanged (seen during {call}): what it held is gone, and with it the knowledge of what was \
         sent; stop the fleet, bring the data back or make sure that nothing is handed in again, then start the fleet anew"
    )]
    Replaced { call: &'static str },
}

impl StoreError {
    /// Worth another try without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. } | StoreError::Full { .. })
    }

    /// One word, for a metric's label.
    pub fn kind(&self) -> &'static str {
        match self {
            StoreError::Unavailable { .. } => "unavailable",
            StoreError::Full { .. } => "full",
            StoreError::Refused { .. } => "refused",
            StoreError::Unreadable { .. } => "unreadable",
            StoreError::Unfit { .. } => "unfit",
            StoreError::Replaced { .. } => "replaced",
        }
    }
}
