//! Unknown sends, and what workers know of a moment that the store has lost.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use redis::Value;

use super::{
    RedisStore,
    blob::Blob,
    calls::{public_token, raw_token},
    millis,
    scripts::{bytes, number, text, unreadable},
    shards::Round,
};
use crate::{
    calls::{Decided, Evidence, Incarnation, Outcome, Reassertion, Settled, Settlement, UnknownSend, UnknownSends},
    ids::{LaneId, MessageId, WorkerId},
    message::LeaseRef,
    store::StoreError,
    words::short,
};

/// Evidence in one call; each may name several candidates.
const MOST_DECIDED: usize = 50;

/// Each shard's incarnation as last heard, and as the worker has told it.
pub(super) struct Seen {
    heard: Vec<Option<Incarnation>>,
    told: Vec<u64>,
}

impl Seen {
    pub(super) fn new(shards: u16) -> Self {
        Self { heard: vec![None; shards.into()], told: vec![0; shards.into()] }
    }

    /// `None` until all were heard.
    fn sum(&self) -> Option<Incarnation> {
        self.heard.iter().try_fold(Incarnation::default(), |sum, heard| {
            let heard = (*heard)?;
            Some(Incarnation {
                restarts: sum.restarts + heard.restarts,
                clock_steps: sum.clock_steps + heard.clock_steps,
            })
        })
    }

    /// The incarnation of each that was told; `told` is a sum that this worker was given.
    fn told_up_to(&mut self, told: Incarnation) -> Vec<u64> {
        if self.sum().is_some_and(|sum| sum.restarts == told.restarts) {
            self.told = self.heard.iter().flatten().map(|heard| heard.restarts).collect();
        }
        self.told.clone()
    }
}

impl RedisStore {
    pub(super) async fn take_unknown(&self, lanes: u32, lock: Duration) -> Result<Vec<UnknownSends>, StoreError> {
        let (mut taken, mut round) = (Vec::new(), Round::new(&self.silent));
        for shard in self.unknown_turn.of(self.tags.len()).filter(|shard| !self.silent.rests(*shard)) {
            let left = lanes.saturating_sub(taken.len() as u32);
            if left == 0 || round.has_waited() {
                break;
            }
            taken.extend(round.heard(shard, self.take_unknown_of(shard, left, lock).await).into_iter().flatten());
        }
        // What was taken is locked, and nobody else's now.
        if taken.is_empty() {
            round.end()?;
        }
        Ok(taken)
    }

    async fn take_unknown_of(&self, shard: usize, lanes: u32, lock: Duration) -> Result<Vec<UnknownSends>, StoreError> {
        let mut taken = Vec::new();
        let mut call = self.prepare(&self.scripts.reconcile, &self.tags[shard]);
        call.arg("take").arg(lanes).arg(millis(lock));
        let reply: Vec<Value> = self.link.run("reconcile_take", &call).await?;
        let mut rest = reply.as_slice();
        while let [name, count, tail @ ..] = rest {
            let bad = || unreadable("reconcile_take", "a wrong shape");
            let lane = text(name).and_then(|name| name.parse().ok()).ok_or_else(bad)?;
            let count = number(count).ok_or_else(bad)? as usize * 3;
            let (sends, next) = tail.split_at_checked(count).ok_or_else(bad)?;
            // One that can't be read must not take the others with it: it stays `unknown`.
            let sends = sends.chunks_exact(3).filter_map(|send| unknown_send(send, shard)).collect();
            taken.push(UnknownSends { lane, sends });
            rest = next;
        }
        Ok(taken)
    }

    pub(super) async fn decide_all(
        &self,
        evidence: &[Evidence],
        settle_time: Duration,
        max_attempts: u32,
    ) -> Result<Vec<Decided>, StoreError> {
        let mut answers = vec![Decided::Stale; evidence.len()];
        for (shard, places) in self.by_shard(evidence.iter().map(|one| one.lease.token)) {
            for places in places.chunks(MOST_DECIDED) {
                let mut call = self.prepare(&self.scripts.reconcile, &self.tags[shard]);
                call.arg("decide").arg(millis(settle_time)).arg(max_attempts);
                for &at in places {
                    let one = &evidence[at];
                    call.arg(one.lease.id.as_bytes()).arg(raw_token(one.lease.token));
                    match one.found.judged() {
                        Ok((ids, read_at)) => {
                            call.arg(read_at).arg("").arg(ids.len());
                            ids.iter().for_each(|id| {
                                call.arg(short(id));
                            });
                        }
                        Err(reason) => {
                            call.arg(0).arg(short(reason)).arg(0);
                        }
                    }
                }
                let reply: Vec<u8> =
                    self.link.run::<Vec<i64>>("decide", &call).await?.iter().map(|n| *n as u8).collect();
                if reply.len() != places.len() {
                    return Err(unreadable("decide", "a wrong number of answers"));
                }
                for (&at, code) in places.iter().zip(reply) {
                    answers[at] = match code {
                        1 => Decided::Sent,
                        2 => Decided::NotYet,
                        3 => Decided::Again,
                        4 => Decided::Held,
                        5 => Decided::Dead,
                        7 => Decided::Suppressed,
                        _ => Decided::Stale,
                    };
                }
            }
        }
        Ok(answers)
    }

    /// One handle serves one worker: what it has told is remembered by shard.
    pub(super) async fn watch_shards(
        &self,
        worker: &WorkerId,
        told: Incarnation,
        leaves: bool,
    ) -> Result<Incarnation, StoreError> {
        let done = self.seen().told_up_to(told);
        let ask = async |(tag, done): (&String, u64)| -> Result<Incarnation, StoreError> {
            let mut call = self.prepare(&self.scripts.watch, tag);
            call.arg(worker.as_str()).arg(done).arg(u8::from(leaves));
            let (restarts, clock_steps) = self.link.run("watch", &call).await?;
            Ok(Incarnation { restarts, clock_steps })
        };
        let answers = join_all(self.tags.iter().zip(done).map(ask)).await;
        let (mut round, mut seen) = (Round::new(&self.silent), self.seen());
        for (shard, answer) in answers.into_iter().enumerate() {
            // SEND-SAFETY: one that does not answer stays as it was heard last. Should it come back without its last moment it
            // is another, and that is told then: nothing passes for told to it meanwhile.
            if let Some(heard) = round.heard(shard, answer) {
                seen.heard[shard] = Some(heard);
            }
        }
        // SEND-SAFETY: one that was never heard does not know that this worker is there, and would not wait for it. One that has
        // not heard that it goes may be back without its last moment, of which nobody would be left to tell.
        match seen.sum() {
            Some(sum) if !leaves => round.end().map(|()| sum),
            sum => round.whole().map(|()| sum.unwrap_or_default()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn reassert_all(
        &self,
        journal: &[Reassertion],
        retention: Duration,
    ) -> Result<Vec<Settled>, StoreError> {
        let settlements: Vec<Settlement> = journal.iter().map(|entry| entry.settlement.clone()).collect();
        let lanes: Vec<&LaneId> = journal.iter().map(|entry| &entry.lane).collect();
        let answers = self.settle_all(&settlements, &lanes, retention).await?;
        let lost = journal.iter().zip(&answers).filter(|(_, answer)| **answer == Settled::Missing);
        let kept = lost
            .filter(|(entry, _)| matches!(entry.settlement.outcome, Outcome::Sent { .. } | Outcome::Unknown { .. }));
        let kept: Vec<_> = kept.map(|(entry, _)| (entry.settlement.lease.id, &entry.lane)).collect();
        self.reserve_ids(&kept).await?;
        Ok(answers)
    }
}

fn unknown_send(send: &[Value], shard: usize) -> Option<UnknownSend> {
    let [id, token, blob] = send else { return None };
    let id = MessageId::from_bytes(bytes(id)?.try_into().ok()?);
    let blob = Blob::parse(bytes(blob)?)?;
    let (intent_at, _) = blob.intent();
    let since = blob.noted_at()?;
    Some(UnknownSend {
        lease: LeaseRef { id, token: public_token(number(token)?, shard) },
        intent_at: intent_at.unwrap_or(since),
        since,
        from: blob.from,
        to: blob.to,
        text: blob.text,
    })
}
