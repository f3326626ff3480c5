//! The trait, call by call.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};

use super::{RedisStore, scripts};
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
    store::{MAX_BATCH, NewSession, Store, StoreError, TokenAsk},
    waiting::{Waiting, WaitingCursor},
    words::short,
};

/// So long a shard is waited for where another one will do.
const AT_ONCE: Duration = Duration::from_millis(300);

impl RedisStore {
    /// The fleet's time, not the server's own: it does not step back with it.
    async fn time_at(&self, tag: &str) -> Result<Millis, StoreError> {
        let mut call = self.prepare(&self.scripts.view, tag);
        call.arg("now");
        let now = self.link.run::<redis::Value>("now", &call).await?;
        scripts::number(&now).ok_or_else(|| scripts::unreadable("now", "no time"))
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn enqueue(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError> {
        self.enqueue_all(batch).await
    }
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.claim_from_shards(request).await
    }
    async fn begin_send(&self, sends: &[Intent], lease: Duration) -> Result<Vec<Begin>, StoreError> {
        self.begin_all(sends, lease).await
    }
    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        self.settle_all(batch, &[], Duration::MAX).await
    }
    async fn extend(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<bool>, StoreError> {
        self.extend_all(leases, lease).await
    }
    async fn reap(&self, limit: u32, retention: Duration) -> Result<Reaped, StoreError> {
        self.reap_all(limit, retention).await
    }
    async fn reconcile_take(&self, lanes: u32, lock: Duration) -> Result<Vec<UnknownSends>, StoreError> {
        self.take_unknown(lanes, lock).await
    }
    async fn decide(
        &self,
        evidence: &[Evidence],
        settle_time: Duration,
        max_attempts: u32,
    ) -> Result<Vec<Decided>, StoreError> {
        self.decide_all(evidence, settle_time, max_attempts).await
    }
    async fn resolve(&self, id: &MessageId, how: Resolution) -> Result<Cancelled, StoreError> {
        self.resolve_message(id, how).await
    }
    async fn watch(&self, worker: &WorkerId, told: Incarnation) -> Result<Incarnation, StoreError> {
        self.watch_shards(worker, told, false).await
    }
    async fn leave(&self, worker: &WorkerId, told: Incarnation) -> Result<Incarnation, StoreError> {
        self.watch_shards(worker, told, true).await
    }
    async fn reassert(&self, journal: &[Reassertion], retention: Duration) -> Result<Vec<Settled>, StoreError> {
        self.reassert_all(journal, retention).await
    }
    async fn acquire(&self, lane: &LaneId, hold: Duration) -> Result<Acquired, StoreError> {
        self.acquire_slot(lane, hold).await
    }
    async fn release(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Result<(), StoreError> {
        self.release_slot(lane, slot, how, age, seen).await
    }
    async fn set_paused(&self, lane: &LaneId, paused: bool) -> Result<(), StoreError> {
        self.control_lane("pause", lane, if paused { "1" } else { "0" }).await
    }
    async fn set_parked(&self, lane: &LaneId, reason: Option<&str>) -> Result<(), StoreError> {
        self.control_lane("park", lane, &reason.map(short).unwrap_or_default()).await
    }
    async fn unpark(&self, lane: &LaneId) -> Result<(), StoreError> {
        self.control_lane("unpark", lane, "").await
    }
    async fn set_gate(&self, gate: &Gate) -> Result<(), StoreError> {
        self.set_gate_everywhere(gate).await
    }
    async fn gate(&self) -> Result<Gate, StoreError> {
        self.read_gate().await
    }
    async fn cancel(&self, id: &MessageId) -> Result<Cancelled, StoreError> {
        self.cancel_message(id).await
    }
    async fn get(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        self.read_message(id).await
    }
    async fn list(&self, from: &ListFrom, limit: u32) -> Result<Listed, StoreError> {
        self.list_messages(from, limit).await
    }
    async fn changes(&self, shard: usize, after: Option<&ChangeCursor>, limit: u32) -> Result<Changes, StoreError> {
        self.read_changes(shard, after, limit).await
    }
    async fn waiting(&self, lane: &LaneId, from: WaitingCursor) -> Result<Waiting, StoreError> {
        self.list_waiting(lane, from).await
    }
    async fn explain(&self, id: &MessageId) -> Result<Option<Explained>, StoreError> {
        self.explain_message(id).await
    }
    async fn explain_lane(&self, lane: &LaneId) -> Result<LaneFacts, StoreError> {
        self.explain_lane_facts(lane).await
    }
    async fn lane(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        self.read_lane(lane).await
    }
    async fn lanes(&self, limit: u32) -> Result<Vec<LaneView>, StoreError> {
        self.list_lanes("lanes", &[limit.clamp(1, MAX_BATCH as u32)], limit as usize).await
    }

    async fn lanes_spread(&self, every: u32) -> Result<Vec<LaneView>, StoreError> {
        self.list_lanes("spread", &[every.max(1), MAX_BATCH as u32], usize::MAX).await
    }
    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read_stats().await
    }
    async fn memory(&self) -> Result<Option<Memory>, StoreError> {
        self.read_memory().await
    }
    async fn appendfsync(&self) -> Result<Option<String>, StoreError> {
        self.read_appendfsync().await
    }
    async fn due_soon(&self, within: Duration, skip: u32) -> Result<DueSoon, StoreError> {
        self.read_due_soon(within, skip).await
    }
    async fn token_lease(
        &self,
        extension: &str,
        worker: &WorkerId,
        ask: TokenAsk<'_>,
    ) -> Result<TokenLease, StoreError> {
        self.lease_token(extension, worker, ask).await
    }
    async fn token_store(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        session: NewSession<'_>,
    ) -> Result<Option<u64>, StoreError> {
        self.store_token(extension, worker, generation, session).await
    }
    async fn token_release(&self, extension: &str, worker: &WorkerId, again_in: Duration) -> Result<(), StoreError> {
        self.release_token(extension, worker, again_in).await
    }
    async fn token_refuse(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        refused: &RefusedCredential,
        age: Duration,
    ) -> Result<Heard, StoreError> {
        self.refuse_token(extension, worker, generation, refused, age).await
    }
    async fn sessions(&self, extensions: &[String]) -> Result<Vec<SessionView>, StoreError> {
        self.read_sessions(extensions).await
    }
    async fn doc_get(&self, kind: DocKind, key: &str) -> Result<Option<Doc>, StoreError> {
        self.get_doc(kind, key).await
    }
    async fn doc_put(
        &self,
        kind: DocKind,
        key: &str,
        expect: Expect,
        body: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Result<Put, StoreError> {
        self.put_doc(kind, key, expect, body, ttl).await
    }
    async fn docs_since(&self, kind: DocKind, cursor: &DocCursor, limit: u32) -> Result<DocChanges, StoreError> {
        self.doc_changes(kind, cursor, limit).await
    }
    async fn set_opt_outs(&self, extension: Option<&str>, changes: &[OptOut]) -> Result<(), StoreError> {
        self.opt_out_all(extension, changes).await
    }
    async fn lift_opt_outs(
        &self,
        extension: Option<&str>,
        opt_outs: &[OptOut],
        until: Millis,
    ) -> Result<(), StoreError> {
        self.lift_opt_outs_until(extension, opt_outs, until).await
    }
    async fn opted_out(&self, extension: &str, from: &Private, to: &Private) -> Result<bool, StoreError> {
        self.ask_opted_out(extension, from, to).await
    }
    async fn opt_outs(&self, cursor: &OptOutCursor, limit: u32) -> Result<OptOuts, StoreError> {
        self.list_opt_outs(cursor, limit).await
    }
    async fn delivery_take(&self, lanes: u32, lock: Duration) -> Result<Vec<AwaitedReports>, StoreError> {
        self.take_deliveries(lanes, lock).await
    }
    async fn record_delivery(&self, lane: &LaneId, reports: &[Delivery]) -> Result<Vec<Recorded>, StoreError> {
        self.record_reports(lane, reports).await
    }

    fn work_hint(&self) -> BoxFuture<'static, ()> {
        // Registered here and now: publications that arrive before the first poll count.
        Box::pin(self.heard.clone().notified_owned())
    }

    async fn time_of(&self, lane: &LaneId) -> Result<Millis, StoreError> {
        self.time_at(self.tag_of_lane(lane)).await
    }
    async fn now(&self) -> Result<Millis, StoreError> {
        if let Some(now) = self.clock.set_time() {
            return Ok(now);
        }
        // One shard's; where it does not answer at once the next one's too. Whoever answered is asked first the next time.
        let (shards, first) = (self.tags.len(), self.timekeeper.load(Ordering::Relaxed));
        let (mut asked, mut failed) = (FuturesUnordered::new(), None);
        let mut others = (0..shards).map(|step| (first + step) % shards);
        loop {
            let other = others.next();
            asked.extend(other.map(async |shard| (shard, self.time_at(&self.tags[shard]).await)));
            let patience = if other.is_some() { AT_ONCE } else { Duration::MAX };
            match tokio::time::timeout(patience, asked.next()).await {
                Ok(Some((_, Err(error)))) if error.is_transient() => failed = Some(error),
                Ok(Some((shard, answer))) => {
                    self.timekeeper.store(shard, Ordering::Relaxed);
                    return answer;
                }
                Ok(None) => return Err(failed.unwrap_or_else(|| scripts::unreadable("now", "no shard"))),
                Err(_) => {}
            }
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A server's PONG would say nothing of the data: the time is told by those that were begun with only.
        let mut asked: FuturesUnordered<_> =
            (0..self.tags.len()).map(|shard| self.time_at(&self.tags[shard])).collect();
        let (mut answered, mut failed, begun) = (false, None, Instant::now());
        loop {
            let patience = if answered { AT_ONCE.saturating_sub(begun.elapsed()) } else { Duration::MAX };
            match tokio::time::timeout(patience, asked.next()).await {
                Ok(Some(Err(error @ StoreError::Replaced { .. }))) => return Err(error),
                Ok(Some(Err(error))) => failed = Some(error),
                Ok(Some(Ok(_))) => answered = true,
                Ok(None) | Err(_) if answered => return Ok(()),
                Ok(None) | Err(_) => return Err(failed.unwrap_or_else(|| scripts::unreadable("ping", "no shard"))),
            }
        }
    }

    fn shards(&self) -> usize {
        self.tags.len()
    }

    fn shard_of_doc(&self, key: &str) -> usize {
        self.shard_of(key)
    }

    fn silent_shards(&self) -> usize {
        self.silent.count()
    }

    fn kind(&self) -> &'static str {
        "redis"
    }

    fn epoch(&self) -> String {
        self.epoch.clone()
    }
}
