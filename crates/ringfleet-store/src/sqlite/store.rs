//! The trait, call by call: what a transition needs is owned, because it goes to the store's thread.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::{LOOK_EVERY, SqliteStore, look, tokens::Ask, tx::Tx};
use crate::{
    calls::{
        Acquired, Begin, Cancelled, Claim, ClaimRequest, Decided, DueSoon, Enqueued, Evidence, Gate, Incarnation,
        Intent, LaneView, Reaped, Reassertion, Release, Resolution, Settled, Settlement, Stats, UnknownSends,
    },
    changes::{ChangeCursor, Changes},
    delivery::{AwaitedReports, Delivery, Recorded},
    docs::{self, Doc, DocChanges, DocCursor, DocKind, Expect, Put},
    explain::{Explained, LaneFacts},
    ids::{LaneId, LeaseToken, MessageId, WorkerId},
    listing::{self, ListFrom, Listed},
    message::{LeaseRef, MessageView, Millis, NewMessage, Private},
    opt_out::{self, OptOut, OptOutCursor, OptOuts},
    plan::PlanSeen,
    session::{Heard, RefusedCredential, SessionView, TokenLease},
    store::{MAX_BATCH, NewSession, Store, StoreError, TokenAsk},
    waiting::{Waiting, WaitingCursor},
};

#[async_trait]
impl Store for SqliteStore {
    async fn enqueue(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError> {
        self.call_in_batches("enqueue", batch, |tx, batch| tx.enqueue(batch)).await
    }

    async fn claim(&self, request: ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let ClaimRequest { worker, free_slots, lease } = request;
        let worker = worker.clone();
        self.call("claim", move |tx| tx.claim(&worker, free_slots, lease)).await
    }

    async fn begin_send(&self, sends: &[Intent], lease: Duration) -> Result<Vec<Begin>, StoreError> {
        self.call_in_batches("begin_send", sends, move |tx, sends| tx.begin_send(sends, lease)).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        self.call_in_batches("settle", batch, |tx, batch| tx.settle(batch)).await
    }

    async fn extend(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<bool>, StoreError> {
        self.call_in_batches("extend", leases, move |tx, leases| tx.extend(leases, lease)).await
    }

    async fn reap(&self, limit: u32, retention: Duration) -> Result<Reaped, StoreError> {
        self.call("reap", move |tx| tx.reap(limit, retention)).await
    }

    async fn reconcile_take(&self, lanes: u32, lock: Duration) -> Result<Vec<UnknownSends>, StoreError> {
        self.call("reconcile_take", move |tx| tx.reconcile_take(lanes, lock)).await
    }

    async fn decide(
        &self,
        evidence: &[Evidence],
        settle_time: Duration,
        max_attempts: u32,
    ) -> Result<Vec<Decided>, StoreError> {
        let decide = move |tx: &mut Tx<'_>, evidence: &[Evidence]| tx.decide(evidence, settle_time, max_attempts);
        self.call_in_batches("decide", evidence, decide).await
    }

    async fn resolve(&self, id: &MessageId, how: Resolution) -> Result<Cancelled, StoreError> {
        let id = *id;
        self.call("resolve", move |tx| tx.resolve(&id, how)).await
    }

    async fn watch(&self, worker: &WorkerId, _: Incarnation) -> Result<Incarnation, StoreError> {
        let worker = worker.clone();
        // Nothing depends on it but what is told to those who ask, so a busy file stops no worker over it.
        let look = move |tx: &mut Tx<'_>| {
            tx.worker_is_there(&worker)?;
            tx.clock_steps()
        };
        // A file has no moments to lose: what was answered is on the disk (see [`Synchronous::Full`]).
        let seen = |clock_steps| Incarnation { clock_steps, ..Incarnation::default() };
        match self.call("watch", look).await {
            Err(error) if error.is_transient() => Ok(seen(0)),
            looked => looked.map(seen),
        }
    }

    async fn leave(&self, worker: &WorkerId, told: Incarnation) -> Result<Incarnation, StoreError> {
        let worker = worker.clone();
        // As with `watch`.
        match self.call("leave", move |tx| tx.worker_leaves(&worker)).await {
            Err(error) if error.is_transient() => Ok(told),
            left => left.map(|()| told),
        }
    }

    async fn reassert(&self, journal: &[Reassertion], retention: Duration) -> Result<Vec<Settled>, StoreError> {
        self.call_in_batches("reassert", journal, move |tx, journal| tx.reassert(journal, retention)).await
    }

    async fn acquire(&self, lane: &LaneId, hold: Duration) -> Result<Acquired, StoreError> {
        let lane = lane.clone();
        self.call("acquire", move |tx| tx.acquire(&lane, hold)).await
    }

    async fn release(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.call("release", move |tx| tx.release(&lane, slot, how, age, seen)).await
    }

    async fn set_paused(&self, lane: &LaneId, paused: bool) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.call("set_paused", move |tx| tx.set_paused(&lane, paused)).await
    }

    async fn set_parked(&self, lane: &LaneId, reason: Option<&str>) -> Result<(), StoreError> {
        let (lane, reason) = (lane.clone(), reason.map(str::to_owned));
        self.call("set_parked", move |tx| tx.set_parked(&lane, reason.as_deref())).await
    }

    async fn unpark(&self, lane: &LaneId) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.call("unpark", move |tx| tx.unpark(&lane)).await
    }

    async fn set_gate(&self, gate: &Gate) -> Result<(), StoreError> {
        let gate = gate.clone();
        self.call("set_gate", move |tx| tx.set_gate(&gate)).await
    }

    async fn gate(&self) -> Result<Gate, StoreError> {
        self.call("gate", |tx| tx.gate()).await
    }

    async fn cancel(&self, id: &MessageId) -> Result<Cancelled, StoreError> {
        let id = *id;
        self.call("cancel", move |tx| tx.cancel(&id)).await
    }

    async fn get(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        let id = *id;
        self.call("get", move |tx| tx.get(&id)).await
    }

    async fn list(&self, from: &ListFrom, limit: u32) -> Result<Listed, StoreError> {
        let (from, limit) = (*from, listing::limit(limit));
        let part = self.call("list", move |tx| tx.list(&from, limit)).await?;
        Ok(listing::page(&from, vec![part], limit))
    }

    async fn changes(&self, _shard: usize, after: Option<&ChangeCursor>, limit: u32) -> Result<Changes, StoreError> {
        let (after, limit) = (after.copied(), listing::limit(limit));
        self.call("changes", move |tx| tx.changes(after, limit)).await
    }

    async fn waiting(&self, lane: &LaneId, from: WaitingCursor) -> Result<Waiting, StoreError> {
        let lane = lane.clone();
        self.call("waiting", move |tx| tx.list_waiting(&lane, from)).await
    }

    async fn explain(&self, id: &MessageId) -> Result<Option<Explained>, StoreError> {
        self.explain_message(id).await
    }

    async fn explain_lane(&self, lane: &LaneId) -> Result<LaneFacts, StoreError> {
        let lane = lane.clone();
        self.call("explain_lane", move |tx| tx.explain_lane(&lane)).await
    }

    async fn lane(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        let lane = lane.clone();
        self.call("lane", move |tx| tx.lane(&lane)).await
    }

    async fn lanes(&self, limit: u32) -> Result<Vec<LaneView>, StoreError> {
        self.call("lanes", move |tx| tx.lanes(limit)).await
    }

    async fn lanes_spread(&self, every: u32) -> Result<Vec<LaneView>, StoreError> {
        self.call("lanes_spread", move |tx| tx.lanes_spread(every)).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.call("stats", |tx| tx.stats()).await
    }

    async fn due_soon(&self, within: Duration, skip: u32) -> Result<DueSoon, StoreError> {
        self.call("due_soon", move |tx| tx.due_soon(within, skip)).await
    }

    async fn token_lease(
        &self,
        extension: &str,
        worker: &WorkerId,
        ask: TokenAsk<'_>,
    ) -> Result<TokenLease, StoreError> {
        let TokenAsk { known_bad, credentials, lock, renew, sends } = ask;
        let ask = Ask { known_bad, credentials: credentials.to_vec(), lock, renew, sends: sends.clone() };
        let (extension, worker) = (extension.to_owned(), worker.clone());
        self.call("token_lease", move |tx| tx.token_lease(&extension, &worker, &ask)).await
    }

    async fn token_store(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        session: NewSession<'_>,
    ) -> Result<Option<u64>, StoreError> {
        let (extension, worker, sealed) = (extension.to_owned(), worker.clone(), session.sealed.to_vec());
        let NewSession { lives, renew_in, .. } = session;
        let store = move |tx: &mut Tx<'_>| tx.token_store(&extension, &worker, generation, &sealed, lives, renew_in);
        self.call("token_store", store).await
    }

    async fn token_release(&self, extension: &str, worker: &WorkerId, again_in: Duration) -> Result<(), StoreError> {
        let (extension, worker) = (extension.to_owned(), worker.clone());
        self.call("token_release", move |tx| tx.token_release(&extension, &worker, again_in)).await
    }

    async fn token_refuse(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        refused: &RefusedCredential,
        age: Duration,
    ) -> Result<Heard, StoreError> {
        let (extension, worker, refused) = (extension.to_owned(), worker.clone(), refused.clone());
        self.call("token_refuse", move |tx| tx.token_refuse(&extension, &worker, generation, &refused, age)).await
    }

    async fn sessions(&self, extensions: &[String]) -> Result<Vec<SessionView>, StoreError> {
        self.call_in_batches("sessions", extensions, |tx, extensions| tx.session_views(extensions)).await
    }

    async fn doc_get(&self, kind: DocKind, key: &str) -> Result<Option<Doc>, StoreError> {
        docs::check("doc_get", key, None)?;
        let key = key.to_owned();
        self.call("doc_get", move |tx| tx.doc_get(kind, &key)).await
    }

    async fn doc_put(
        &self,
        kind: DocKind,
        key: &str,
        expect: Expect,
        body: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Result<Put, StoreError> {
        docs::check("doc_put", key, body)?;
        let (key, body) = (key.to_owned(), body.map(<[u8]>::to_vec));
        self.call("doc_put", move |tx| tx.doc_put(kind, &key, expect, body.as_deref(), ttl)).await
    }

    async fn docs_since(&self, kind: DocKind, cursor: &DocCursor, limit: u32) -> Result<DocChanges, StoreError> {
        let cursor = cursor.clone();
        self.call("docs_since", move |tx| tx.docs_since(kind, &cursor, limit)).await
    }

    async fn set_opt_outs(&self, extension: Option<&str>, changes: &[OptOut]) -> Result<(), StoreError> {
        let numbers: Vec<_> = changes.iter().flat_map(|change| [&change.from, &change.to]).collect();
        opt_out::check("set_opt_outs", extension, &numbers)?;
        let extension = extension.unwrap_or_default().to_owned();
        for some in changes.chunks(MAX_BATCH) {
            let (extension, some) = (extension.clone(), some.to_vec());
            self.call("set_opt_outs", move |tx| tx.set_opt_outs(&extension, &some)).await?;
        }
        Ok(())
    }

    async fn lift_opt_outs(
        &self,
        extension: Option<&str>,
        opt_outs: &[OptOut],
        until: Millis,
    ) -> Result<(), StoreError> {
        let numbers: Vec<_> = opt_outs.iter().flat_map(|one| [&one.from, &one.to]).collect();
        opt_out::check("lift_opt_outs", extension, &numbers)?;
        let extension = extension.unwrap_or_default().to_owned();
        for some in opt_outs.chunks(MAX_BATCH) {
            let (extension, some) = (extension.clone(), some.to_vec());
            self.call("lift_opt_outs", move |tx| tx.lift_opt_outs(&extension, &some, until)).await?;
        }
        Ok(())
    }

    async fn opted_out(&self, extension: &str, from: &Private, to: &Private) -> Result<bool, StoreError> {
        opt_out::check("opted_out", Some(extension), &[from, to])?;
        let (extension, from, to) = (extension.to_owned(), from.clone(), to.clone());
        self.call("opted_out", move |tx| tx.is_out(&extension, from.expose(), to.expose())).await
    }

    async fn opt_outs(&self, cursor: &OptOutCursor, limit: u32) -> Result<OptOuts, StoreError> {
        let cursor = cursor.clone();
        self.call("opt_outs", move |tx| tx.opt_outs(&cursor, limit)).await
    }

    async fn delivery_take(&self, lanes: u32, lock: Duration) -> Result<Vec<AwaitedReports>, StoreError> {
        self.call("delivery_take", move |tx| tx.delivery_take(lanes, lock)).await
    }

    async fn record_delivery(&self, lane: &LaneId, reports: &[Delivery]) -> Result<Vec<Recorded>, StoreError> {
        let mut answers = Vec::with_capacity(reports.len());
        for some in reports.chunks(MAX_BATCH) {
            let (lane, some) = (lane.clone(), some.to_vec());
            answers.extend(self.call("record_delivery", move |tx| tx.record_delivery(&lane, &some)).await?);
        }
        Ok(answers)
    }

    fn work_hint(&self) -> BoxFuture<'static, ()> {
        let mut woken = self.woken.clone();
        woken.mark_unchanged();
        // A hint that is still awaited must not keep the thread alive.
        let (commands, looking) = (self.commands.downgrade(), self.looking.clone());
        Box::pin(async move {
            loop {
                match tokio::time::timeout(LOOK_EVERY, woken.changed()).await {
                    Ok(Ok(())) => return,
                    Ok(Err(_)) => return std::future::pending().await,
                    Err(_) => look(&commands, &looking),
                }
            }
        })
    }

    async fn time_of(&self, _lane: &LaneId) -> Result<Millis, StoreError> {
        self.now().await
    }
    async fn now(&self) -> Result<Millis, StoreError> {
        self.call("now", |tx| Ok(tx.now)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call("ping", |tx| tx.gate().map(drop)).await
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn epoch(&self) -> String {
        self.name.clone()
    }
}
