//! The transitions: one function a script, arguments in, closed enums out.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use redis::{ScriptInvocation, Value};

use super::{
    RedisStore,
    blob::{self, Blob},
    keys::RESERVED,
    millis,
    scripts::{bytes, number, unreadable},
    shards::Round,
};
use crate::{
    calls::{Acquired, Begin, Claim, ClaimRequest, Enqueued, Intent, Outcome, Reaped, Release, Settled, Settlement},
    docs::{MOST_GONE, REMEMBER_MS},
    ids::{LaneId, LeaseToken, MessageId},
    message::{LeaseRef, NewMessage, State},
    plan::PlanSeen,
    store::{MAX_BATCH, MAX_CLAIM, MAX_RECOVERIES, StoreError},
    words::short,
};

/// After a claim that left a shard out.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// As it is outside of Redis.
pub(super) fn public_token(raw: i64, shard: usize) -> LeaseToken {
    LeaseToken((raw as u64) << LeaseToken::SHARD_BITS | shard as u64)
}

pub(super) fn raw_token(token: LeaseToken) -> u64 {
    token.0 >> LeaseToken::SHARD_BITS
}

impl RedisStore {
    pub(super) async fn enqueue_all(&self, batch: &[NewMessage]) -> Result<Vec<Enqueued>, StoreError> {
        let ids: Vec<MessageId> =
            batch.iter().map(|m| m.key.as_ref().map_or_else(MessageId::random, MessageId::from_key)).collect();
        let reserved = Instant::now();
        let foreign = self.reserve_keys(batch, &ids).await?;
        self.hand_in(batch, &ids, &foreign, reserved).await
    }

    /// Brings the messages to their lanes, but for those whose key belongs to a `foreign` one, which was asked at `reserved`.
    pub(super) async fn hand_in(
        &self,
        batch: &[NewMessage],
        ids: &[MessageId],
        foreign: &[bool],
        reserved: Instant,
    ) -> Result<Vec<Enqueued>, StoreError> {
        let mut answers = vec![None; batch.len()];
        let mut by_tag: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, message) in batch.iter().enumerate() {
            if foreign[at] {
                answers[at] = Some(Enqueued::Conflict(ids[at]));
            } else {
                by_tag.entry(self.tag_of_lane(&message.lane)).or_default().push(at);
            }
        }
        for (tag, places) in by_tag {
            for places in places.chunks(MAX_BATCH) {
                // SEND-SAFETY: the homes of the keys may have forgotten them again, and given them to another lane.
                if self.tags.len() > 1 && reserved.elapsed() > RESERVED / 2 {
                    return Err(StoreError::Unavailable { call: "enqueue", source: "its shards took too long".into() });
                }
                let mut call = self.prepare(&self.scripts.enqueue, tag);
                for &at in places {
                    let m = &batch[at];
                    let (head, tail) = blob::of_new(m)?;
                    call.arg(ids[at].as_bytes()).arg(&head[..]).arg(tail);
                }
                let reply: Vec<i64> = self.link.run("enqueue", &call).await?;
                if reply.len() != places.len() {
                    return Err(unreadable("enqueue", "a wrong number of answers"));
                }
                for (&at, code) in places.iter().zip(reply) {
                    answers[at] = Some(match code {
                        1 => Enqueued::Accepted(ids[at]),
                        2 => Enqueued::Duplicate(ids[at]),
                        _ => Enqueued::Conflict(ids[at]),
                    });
                }
            }
        }
        answers.into_iter().collect::<Option<_>>().ok_or_else(|| unreadable("enqueue", "a message without an answer"))
    }

    pub(super) async fn claim_from_shards(&self, request: ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let mut claim = Claim::default();
        let (mut round, mut unasked) = (Round::new(&self.silent), false);
        let mut turn = self.claim_turn.of(self.tags.len());
        while let Some(shard) = turn.next() {
            let free = request.free_slots.min(MAX_CLAIM).saturating_sub(claim.leases.len() as u32);
            if free == 0 {
                claim.next_due = Some(Duration::ZERO);
                break;
            }
            let asked = match self.silent.rests(shard) {
                true => None,
                false => round.heard(shard, self.claim_from(shard, &request, free).await),
            };
            let Some(reply) = asked else {
                if round.has_waited() {
                    // Leases that were given run already, and free hands wait.
                    claim.next_due = Some(Duration::ZERO);
                    unasked = turn.any(|shard| !self.silent.rests(shard));
                    break;
                }
                claim.next_due = Some(claim.next_due.map_or(ASK_AGAIN, |known| known.min(ASK_AGAIN)));
                continue;
            };
            let (due, rest) = reply.split_first().ok_or_else(|| unreadable("claim", "an empty answer"))?;
            if let Some(due) = number(due) {
                let due = Duration::from_millis(due.max(0) as u64);
                claim.next_due = Some(claim.next_due.map_or(due, |known| known.min(due)));
            }
            for lease in rest.chunks_exact(3) {
                let parsed = (|| {
                    let id = MessageId::from_bytes(bytes(&lease[0])?.try_into().ok()?);
                    Some(Blob::parse(bytes(&lease[2])?)?.into_lease(id, public_token(number(&lease[1])?, shard)))
                })();
                match parsed {
                    Some(lease) => claim.leases.push(lease),
                    // A junk record must not take the batch with it: its lease ends, and after three it is dead.
                    None => tracing::error!("a claimed record can't be read; it will be dead after three recoveries"),
                }
            }
        }
        // What other shards gave is kept: the leases exist, and the worker must learn of them. Where some were not asked, it asks
        // them at once.
        if claim.leases.is_empty() && !unasked {
            round.end()?;
        }
        Ok(claim)
    }

    /// One claim of one shard. When its answer does not come, the leases exist all the same; the worker's next claim of that
    /// shard names it and gets them.
    async fn claim_from(&self, shard: usize, request: &ClaimRequest<'_>, free: u32) -> Result<Vec<Value>, StoreError> {
        let number = self.claims.fetch_add(1, Ordering::Relaxed) + 1;
        let place = (request.worker.as_str().to_owned(), shard);
        let lost = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).get(&place).copied();
        let mut call = self.prepare(&self.scripts.claim, &self.tags[shard]);
        call.arg(request.worker.as_str()).arg(free).arg(millis(request.lease)).arg(number).arg(lost.unwrap_or(0));
        let answer = self.link.run::<Vec<Value>>("claim", &call).await;
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            // An earlier one that is still unanswered comes first: while its answer was lost nothing else can have run.
            Err(StoreError::Unavailable { .. }) => {
                unanswered.entry(place).or_insert(number);
            }
            _ if lost.is_some() => {
                unanswered.remove(&place);
            }
            _ => {}
        }
        answer
    }

    /// Runs a script over leases shard by shard and gives one answer to each, in order. `tell` says what it is told of one.
    async fn over_leases(
        &self,
        call: &'static str,
        script: &redis::Script,
        leases: &[LeaseRef],
        lease: Duration,
        tell: impl Fn(&mut ScriptInvocation<'_>, usize),
    ) -> Result<Vec<i64>, StoreError> {
        let mut answers = vec![0; leases.len()];
        for (shard, places) in self.by_shard(leases.iter().map(|lease| lease.token)) {
            for places in places.chunks(MAX_BATCH) {
                let mut invocation = self.prepare(script, &self.tags[shard]);
                invocation.arg(millis(lease));
                for &at in places {
                    tell(&mut invocation, at);
                }
                let reply: Vec<i64> = self.link.run(call, &invocation).await?;
                if reply.len() != places.len() {
                    return Err(unreadable(call, "a wrong number of answers"));
                }
                for (&at, code) in places.iter().zip(reply) {
                    answers[at] = code;
                }
            }
        }
        Ok(answers)
    }

    pub(super) fn by_shard(&self, tokens: impl Iterator<Item = LeaseToken>) -> BTreeMap<usize, Vec<usize>> {
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, token) in tokens.enumerate() {
            places.entry(token.shard(self.tags.len())).or_default().push(at);
        }
        places
    }

    pub(super) async fn begin_all(&self, sends: &[Intent], lease: Duration) -> Result<Vec<Begin>, StoreError> {
        let leases: Vec<LeaseRef> = sends.iter().map(|send| send.lease).collect();
        let tell = |call: &mut ScriptInvocation<'_>, at: usize| {
            let (lease, session) = (leases[at], sends[at].session.to_be_bytes());
            call.arg([lease.id.as_bytes(), &raw_token(lease.token).to_be_bytes()[..], &session].concat());
        };
        let answers = self.over_leases("begin_send", &self.scripts.begin_send, &leases, lease, tell).await?;
        let begin = |code| match code {
            1 => Begin::Go,
            3 => Begin::Expired,
            4 => Begin::PutBack,
            5 => Begin::Suppressed,
            6 => Begin::SessionOver,
            // SEND-SAFETY: whatever is not a clear "go" sends nothing.
            _ => Begin::LeaseLost,
        };
        Ok(answers.into_iter().map(begin).collect())
    }

    pub(super) async fn extend_all(&self, leases: &[LeaseRef], lease: Duration) -> Result<Vec<bool>, StoreError> {
        let tell = |call: &mut ScriptInvocation<'_>, at: usize| {
            call.arg(leases[at].id.as_bytes()).arg(raw_token(leases[at].token));
        };
        let answers = self.over_leases("extend", &self.scripts.extend, leases, lease, tell).await?;
        Ok(answers.into_iter().map(|code| code == 1).collect())
    }

    /// `lanes` are given where messages may be lost, one for each settlement; only then `retention` counts.
    pub(super) async fn settle_all(
        &self,
        batch: &[Settlement],
        lanes: &[&LaneId],
        retention: Duration,
    ) -> Result<Vec<Settled>, StoreError> {
        let mut answers = vec![Settled::Missing; batch.len()];
        for (shard, places) in self.by_shard(batch.iter().map(|s| s.lease.token)) {
            for places in places.chunks(MAX_BATCH) {
                let mut call = self.prepare(&self.scripts.settle, &self.tags[shard]);
                call.arg(millis(retention));
                for &at in places {
                    let s = &batch[at];
                    let none = Duration::ZERO;
                    let (kind, word, delay, attempts) = match &s.outcome {
                        Outcome::Sent { provider_id } => ("sent", provider_id.as_str(), none, 0),
                        Outcome::Rejected { code } => ("rejected", code.as_str(), none, 0),
                        Outcome::Unknown { reason } => ("unknown", reason.as_str(), none, 0),
                        Outcome::Throttled { retry_after } => ("throttled", "", *retry_after, 0),
                        Outcome::NotSent { delay } => ("not-sent", "", *delay, 0),
                        Outcome::Later { delay } => ("later", "", *delay, 0),
                        Outcome::Parked { reason } => ("parked", reason.as_str(), none, 0),
                        Outcome::Retry { code, delay, max_attempts } => ("retry", code.as_str(), *delay, *max_attempts),
                        Outcome::Released => ("released", "released-after-intent", none, 0),
                    };
                    // SEND-SAFETY: without a zero byte, as the words in a report end with one: what follows would be read as
                    // another word.
                    let word = short(word);
                    let header = |n: Option<u32>| n.map_or(0, |n| n.saturating_add(1)).to_be_bytes();
                    let report: [&[u8]; 14] = [
                        s.lease.id.as_bytes(),
                        &raw_token(s.lease.token).to_be_bytes(),
                        &millis(s.age).to_be_bytes(),
                        &millis(delay).to_be_bytes(),
                        &attempts.to_be_bytes(),
                        &header(s.seen.limit),
                        &header(s.seen.window_ms),
                        &header(s.seen.remaining),
                        kind.as_bytes(),
                        b"\0",
                        word.as_bytes(),
                        b"\0",
                        lanes.get(at).map_or("", |lane| lane.as_str()).as_bytes(),
                        b"\0",
                    ];
                    call.arg(report.concat());
                }
                let reply: Vec<u8> =
                    self.link.run::<Vec<i64>>("settle", &call).await?.into_iter().map(|n| n as u8).collect();
                if reply.len() != places.len() * 2 {
                    return Err(unreadable("settle", "a wrong number of answers"));
                }
                for (&at, pair) in places.iter().zip(reply.chunks_exact(2)) {
                    let state = || State::from_code(pair[1]).ok_or_else(|| unreadable("settle", "an unknown state"));
                    answers[at] = match pair[0] {
                        1 => Settled::Done(state()?),
                        2 => Settled::Again(state()?),
                        3 => Settled::LateEvidence(state()?),
                        4 => Settled::Stale,
                        6 => Settled::SentTwice,
                        _ => Settled::Missing,
                    };
                }
            }
        }
        Ok(answers)
    }

    pub(super) async fn reap_all(&self, limit: u32, retention: Duration) -> Result<Reaped, StoreError> {
        let (mut sum, mut round) = (Reaped::default(), Round::new(&self.silent));
        // All at once: what a dead worker had in hand must not wait for shards that do not answer.
        let awake = (0..self.tags.len()).filter(|shard| !self.silent.rests(*shard));
        let reap = async |shard| {
            let asked = Instant::now();
            (shard, asked, self.reap_shard(shard, limit, retention).await)
        };
        let mut pruned_of = Vec::new();
        for (shard, asked, reaped) in join_all(awake.map(reap)).await {
            let Some(([requeued, unknown, poisoned, expired, pruned, unreported, unreadable], gone)) =
                round.heard(shard, reaped)
            else {
                continue;
            };
            sum.requeued += requeued;
            sum.unknown += unknown;
            sum.poisoned += poisoned;
            sum.expired += expired;
            sum.pruned += pruned;
            sum.unreported += unreported;
            sum.unreadable += unreadable;
            pruned_of.push((shard, gone, asked));
        }
        // When it is known which homes don't answer.
        for (shard, gone, asked) in pruned_of {
            self.forget_keys(shard, &gone, asked, &mut round).await;
        }
        round.end().map(|()| sum)
    }

    /// What it did, and the keys that it names as gone.
    async fn reap_shard(
        &self,
        shard: usize,
        limit: u32,
        retention: Duration,
    ) -> Result<([u32; 7], Vec<Vec<u8>>), StoreError> {
        let mut call = self.prepare(&self.scripts.reap, &self.tags[shard]);
        call.arg(limit.min(MAX_BATCH as u32)).arg(millis(retention)).arg(MAX_RECOVERIES);
        call.arg(REMEMBER_MS).arg(MOST_GONE).arg(if self.tags.len() > 1 { millis(RESERVED) } else { 0 });
        let (done, gone): (Vec<u32>, Vec<Vec<u8>>) = self.link.run("reap", &call).await?;
        let done = done.try_into().map_err(|_| unreadable("reap", "a wrong number of answers"))?;
        Ok((done, gone))
    }

    pub(super) async fn acquire_slot(&self, lane: &LaneId, hold: Duration) -> Result<Acquired, StoreError> {
        let mut call = self.prepare(&self.scripts.slot, self.tag_of_lane(lane));
        call.arg("acquire").arg(lane.as_str()).arg(millis(hold));
        let (token, wait): (u64, u64) = self.link.run("acquire", &call).await?;
        Ok(match token {
            0 => Acquired::Wait(Duration::from_millis(wait)),
            token => Acquired::Granted(LeaseToken(token)),
        })
    }

    pub(super) async fn release_slot(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        age: Duration,
        seen: PlanSeen,
    ) -> Result<(), StoreError> {
        let (kind, delay) = match how {
            Release::Used => ("used", Duration::ZERO),
            Release::Unused => ("unused", Duration::ZERO),
            Release::Throttled { retry_after } => ("throttled", retry_after),
        };
        let mut call = self.prepare(&self.scripts.slot, self.tag_of_lane(lane));
        call.arg("release").arg(lane.as_str()).arg(slot.0).arg(kind).arg(millis(age)).arg(millis(delay));
        for header in [seen.limit, seen.window_ms] {
            call.arg(header.map(|n| n.to_string()).unwrap_or_default());
        }
        self.link.run::<Value>("release", &call).await.map(drop)
    }
}
