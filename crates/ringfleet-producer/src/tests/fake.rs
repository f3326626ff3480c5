//! A store in memory that fails to order: only what a producer calls is there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use ringfleet_store::{
    Acquired, AwaitedReports, Begin, Cancelled, ChangeCursor, Changes, Claim, ClaimRequest, Decided, Delivery, Doc,
    DocChanges, DocCursor, DocKind, DueSoon, Enqueued, Evidence, Expect, Explained, Fingerprint, Gate, Heard,
    Incarnation, Intent, LaneFacts, LaneId, LaneView, LeaseRef, LeaseToken, ListFrom, Listed, MessageId, MessageView,
    Millis, NewMessage, NewSession, OptOut, OptOutCursor, OptOuts, OptedOut, Place, Plan, PlanSeen, Private, Put,
    Reaped, Reassertion, Recorded, RefusedCredential, Release, Resolution, SessionView, Settled, Settlement,
    SharedStore, Stand, State, Stats, Store, StoreError, TokenAsk, TokenLease, UnknownSends, Waiting, WaitingCursor,
    WorkerId,
};

/// How one `enqueue` goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Takes the batch and loses the answer.
    LoseReply,
    /// Takes the batch and never answers.
    Hang,
    /// Takes nothing.
    Away,
    Full,
    /// Takes the first half, as one of two shards would.
    HalfFull,
    Refuse,
    /// Flushed or exchanged.
    Replaced,
}

#[derive(Default)]
pub(crate) struct FakeStore {
    messages: Mutex<HashMap<MessageId, (Fingerprint, NewMessage)>>,
    /// What happens to the next calls; `None` is a good one.
    faults: Mutex<VecDeque<Option<Fault>>>,
    pub(super) keyless_seen: AtomicUsize,
    pub(super) calls: AtomicUsize,
    pub(super) largest_batch: AtomicUsize,
    in_flight: AtomicUsize,
    pub(super) most_in_flight: AtomicUsize,
    delay: Duration,
    /// What each look for a message takes.
    looks_take: Duration,
    pub(super) looks_fail: AtomicBool,
    pub(super) looks: AtomicUsize,
    /// As of messages that are `sent`.
    pub(super) texts_forgotten: AtomicBool,
    /// How many messages were there at the first look.
    pub(super) at_first_look: OnceLock<usize>,
    /// On two shards: they are listed from the first, and the texts wait in the second.
    opt_outs: [Mutex<Vec<OptOut>>; 2],
    pub(super) second_shard_away: AtomicBool,
    /// Whose its documents and changes are, and what each write of a document takes.
    documents: Option<(SharedStore, Duration)>,
}

impl FakeStore {
    pub(super) fn with_faults(faults: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Self { faults: Mutex::new(faults.into_iter().map(Some).collect()), ..Self::default() })
    }

    pub(super) fn slow(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay, ..Self::default() })
    }

    pub(super) fn slow_to_tell(looks_take: Duration) -> Arc<Self> {
        Arc::new(Self { looks_take, ..Self::default() })
    }

    /// The documents and changes of another store.
    pub(crate) fn slow_to_write(store: SharedStore, writes_take: Duration) -> Arc<Self> {
        Arc::new(Self { documents: Some((store, writes_take)), ..Self::default() })
    }

    /// After `good` more calls, one fails.
    pub(super) fn fail_after(&self, good: usize, fault: Fault) {
        let mut faults = self.faults.lock().unwrap();
        faults.extend(std::iter::repeat_n(None, good));
        faults.push_back(Some(fault));
    }

    pub(super) fn len(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    fn opt_out(&self, shard: usize, changes: &[OptOut]) {
        let mut noted = self.opt_outs[shard].lock().unwrap();
        for change in changes {
            noted.retain(|one| (&one.from, &one.to) != (&change.from, &change.to));
            noted.extend(change.out.then(|| change.clone()));
        }
    }

    fn take(&self, batch: &[NewMessage]) -> Vec<Enqueued> {
        let mut messages = self.messages.lock().unwrap();
        let mut answers = Vec::new();
        for message in batch {
            let id = message.key.as_ref().map_or_else(MessageId::random, MessageId::from_key);
            let new = message.fingerprint();
            answers.push(match messages.get(&id) {
                Some((old, _)) if *old == new => Enqueued::Duplicate(id),
                Some(_) => Enqueued::Conflict(id),
                None => {
                    messages.insert(id, (new, message.clone()));
                    Enqueued::Accepted(id)
                }
            });
        }
        answers
    }
}

fn away(call: &'static str) -> StoreError {
    StoreError::Unavailable { call, source: "connection reset".into() }
}

fn absent<T>(call: &'static str) -> Result<T, StoreError> {
    Err(StoreError::Refused { call, reason: "the fake store has no such call".into() })
}

#[async_trait]
impl Store for FakeStore {
    async fn enqueue(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.largest_batch.fetch_max(batch.len(), Ordering::SeqCst);
        self.keyless_seen.fetch_add(batch.iter().filter(|m| m.key.is_none()).count(), Ordering::SeqCst);
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let fault = self.faults.lock().unwrap().pop_front().flatten();
        match fault {
            None => Ok(self.take(batch)),
            Some(Fault::Away) => Err(away("enqueue")),
            Some(Fault::Full) => Err(StoreError::Full { call: "enqueue" }),
            Some(Fault::Refuse) => Err(StoreError::Refused { call: "enqueue", reason: "NOPERM".into() }),
            Some(Fault::Replaced) => Err(StoreError::Replaced { call: "enqueue" }),
            Some(Fault::LoseReply) => {
                self.take(batch);
                Err(away("enqueue"))
            }
            Some(Fault::HalfFull) => {
                self.take(&batch[..batch.len() / 2]);
                Err(StoreError::Full { call: "enqueue" })
            }
            Some(Fault::Hang) => {
                self.take(batch);
                std::future::pending().await
            }
        }
    }

    async fn get(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.at_first_look.get_or_init(|| self.len());
        if !self.looks_take.is_zero() {
            tokio::time::sleep(self.looks_take).await;
        }
        if self.looks_fail.load(Ordering::SeqCst) {
            return Err(away("get"));
        }
        let forgotten = self.texts_forgotten.load(Ordering::SeqCst);
        let messages = self.messages.lock().unwrap();
        Ok(messages.get(id).map(|(_, message)| MessageView {
            id: *id,
            lane: message.lane.clone(),
            state: State::Ready,
            from: message.from.clone(),
            to: message.to.clone(),
            text: if forgotten { Private::default() } else { message.text.clone() },
            priority: message.priority,
            attempt: 0,
            recoveries: 0,
            created_at: 1,
            send_at: message.send_at,
            send_by: message.send_by,
            reason: String::new(),
            provider_id: None,
            finished_at: None,
            on_unknown: message.on_unknown,
            intent_at: None,
            reads: 0,
            delivery: None,
        }))
    }

    async fn waiting(&self, _: &LaneId, _: WaitingCursor) -> Result<Waiting, StoreError> {
        absent("waiting")
    }
    async fn time_of(&self, _: &LaneId) -> Result<Millis, StoreError> {
        absent("time_of")
    }
    async fn claim(&self, _: ClaimRequest<'_>) -> Result<Claim, StoreError> {
        absent("claim")
    }
    async fn begin_send(&self, _: &[Intent], _: Duration) -> Result<Vec<Begin>, StoreError> {
        absent("begin_send")
    }
    async fn settle(&self, _: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        absent("settle")
    }
    async fn extend(&self, _: &[LeaseRef], _: Duration) -> Result<Vec<bool>, StoreError> {
        absent("extend")
    }
    async fn reap(&self, _: u32, _: Duration) -> Result<Reaped, StoreError> {
        absent("reap")
    }
    async fn reconcile_take(&self, _: u32, _: Duration) -> Result<Vec<UnknownSends>, StoreError> {
        absent("reconcile_take")
    }
    async fn decide(&self, _: &[Evidence], _: Duration, _: u32) -> Result<Vec<Decided>, StoreError> {
        absent("decide")
    }
    async fn resolve(&self, _: &MessageId, _: Resolution) -> Result<Cancelled, StoreError> {
        absent("resolve")
    }
    async fn watch(&self, _: &WorkerId, _: Incarnation) -> Result<Incarnation, StoreError> {
        absent("watch")
    }
    async fn leave(&self, _: &WorkerId, _: Incarnation) -> Result<Incarnation, StoreError> {
        absent("leave")
    }
    async fn reassert(&self, _: &[Reassertion], _: Duration) -> Result<Vec<Settled>, StoreError> {
        absent("reassert")
    }
    async fn acquire(&self, _: &LaneId, _: Duration) -> Result<Acquired, StoreError> {
        absent("acquire")
    }
    async fn release(&self, _: &LaneId, _: LeaseToken, _: Release, _: Duration, _: PlanSeen) -> Result<(), StoreError> {
        absent("release")
    }
    async fn set_paused(&self, _: &LaneId, _: bool) -> Result<(), StoreError> {
        absent("set_paused")
    }
    async fn unpark(&self, _: &LaneId) -> Result<(), StoreError> {
        absent("unpark")
    }
    async fn set_parked(&self, _: &LaneId, _: Option<&str>) -> Result<(), StoreError> {
        absent("set_parked")
    }
    async fn set_gate(&self, _: &Gate) -> Result<(), StoreError> {
        absent("set_gate")
    }
    async fn gate(&self) -> Result<Gate, StoreError> {
        absent("gate")
    }
    async fn cancel(&self, _: &MessageId) -> Result<Cancelled, StoreError> {
        Err(away("cancel"))
    }
    async fn list(&self, _: &ListFrom, _: u32) -> Result<Listed, StoreError> {
        absent("list")
    }
    async fn changes(&self, shard: usize, after: Option<&ChangeCursor>, limit: u32) -> Result<Changes, StoreError> {
        let Some((store, _)) = &self.documents else { return absent("changes") };
        store.changes(shard, after, limit).await
    }
    async fn explain(&self, id: &MessageId) -> Result<Option<Explained>, StoreError> {
        let messages = self.messages.lock().unwrap();
        Ok(messages.get(id).map(|(_, message)| Explained {
            id: *id,
            state: State::Ready,
            priority: message.priority,
            send_by: message.send_by,
            stand: Stand::Waiting { due_at: 1, quiet: false, place: Place::default(), busy: None },
            lane: one_waits(message.lane.clone(), 1),
        }))
    }
    async fn explain_lane(&self, _: &LaneId) -> Result<LaneFacts, StoreError> {
        absent("explain_lane")
    }
    async fn lane(&self, _: &LaneId) -> Result<LaneView, StoreError> {
        absent("lane")
    }
    async fn lanes(&self, _: u32) -> Result<Vec<LaneView>, StoreError> {
        absent("lanes")
    }
    async fn lanes_spread(&self, _: u32) -> Result<Vec<LaneView>, StoreError> {
        absent("lanes_spread")
    }
    async fn stats(&self) -> Result<Stats, StoreError> {
        absent("stats")
    }
    async fn due_soon(&self, _: Duration, _: u32) -> Result<DueSoon, StoreError> {
        absent("due_soon")
    }
    async fn sessions(&self, _: &[String]) -> Result<Vec<SessionView>, StoreError> {
        absent("sessions")
    }
    async fn token_lease(&self, _: &str, _: &WorkerId, _: TokenAsk<'_>) -> Result<TokenLease, StoreError> {
        absent("token_lease")
    }
    async fn token_store(&self, _: &str, _: &WorkerId, _: u64, _: NewSession<'_>) -> Result<Option<u64>, StoreError> {
        absent("token_store")
    }
    async fn token_release(&self, _: &str, _: &WorkerId, _: Duration) -> Result<(), StoreError> {
        absent("token_release")
    }
    async fn token_refuse(
        &self,
        _: &str,
        _: &WorkerId,
        _: u64,
        _: &RefusedCredential,
        _: Duration,
    ) -> Result<Heard, StoreError> {
        absent("token_refuse")
    }
    async fn doc_get(&self, kind: DocKind, key: &str) -> Result<Option<Doc>, StoreError> {
        let Some((store, _)) = &self.documents else { return absent("doc_get") };
        store.doc_get(kind, key).await
    }
    async fn doc_put(
        &self,
        kind: DocKind,
        key: &str,
        expect: Expect,
        body: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Result<Put, StoreError> {
        let Some((store, takes)) = &self.documents else { return absent("doc_put") };
        tokio::time::sleep(*takes).await;
        store.doc_put(kind, key, expect, body, ttl).await
    }
    async fn docs_since(&self, _: DocKind, _: &DocCursor, _: u32) -> Result<DocChanges, StoreError> {
        absent("docs_since")
    }
    async fn set_opt_outs(&self, _: Option<&str>, changes: &[OptOut]) -> Result<(), StoreError> {
        self.opt_out(0, changes);
        if self.second_shard_away.load(Ordering::SeqCst) {
            return Err(away("set_opt_outs"));
        }
        self.opt_out(1, changes);
        Ok(())
    }
    async fn lift_opt_outs(&self, _: Option<&str>, _: &[OptOut], _: Millis) -> Result<(), StoreError> {
        absent("lift_opt_outs")
    }
    async fn opted_out(&self, _: &str, _: &Private, to: &Private) -> Result<bool, StoreError> {
        Ok(self.opt_outs[1].lock().unwrap().iter().any(|one| one.to == *to))
    }
    async fn opt_outs(&self, _: &OptOutCursor, _: u32) -> Result<OptOuts, StoreError> {
        let listed = self.opt_outs[0].lock().unwrap().clone();
        let listed = listed.into_iter().map(|one| OptedOut { extension: None, from: one.from, to: one.to, since: 1 });
        Ok(OptOuts { opted_out: listed.collect(), ..OptOuts::default() })
    }
    async fn delivery_take(&self, _: u32, _: Duration) -> Result<Vec<AwaitedReports>, StoreError> {
        absent("delivery_take")
    }
    async fn record_delivery(&self, _: &LaneId, _: &[Delivery]) -> Result<Vec<Recorded>, StoreError> {
        absent("record_delivery")
    }
    fn work_hint(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
    async fn now(&self) -> Result<Millis, StoreError> {
        absent("now")
    }
    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn epoch(&self) -> String {
        "fake".into()
    }
    fn kind(&self) -> &'static str {
        "fake"
    }
}

/// A lane in whose way nothing stands, and of which one message waits.
pub(crate) fn one_waits(lane: LaneId, now: Millis) -> LaneFacts {
    LaneFacts {
        lane,
        now,
        plan: Plan { limit: 40, window_ms: 60_000 },
        slots: Vec::new(),
        penalty_until: 0,
        probe: false,
        paused: false,
        parked: None,
        in_flight: 0,
        cap: 8,
        waiting: [0, 1, 0],
        oldest_due: None,
        gate: Gate::Open,
        workers: 1,
    }
}
