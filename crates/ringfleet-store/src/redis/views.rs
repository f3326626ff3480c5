//! What operators and producers ask and order: single messages, lanes, totals, the gate.

use std::{collections::HashMap, time::Duration};

use futures::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};
use redis::Value;

use super::{
    RedisStore,
    blob::Blob,
    link::Connection,
    millis,
    scripts::{bytes, number, text, unreadable},
    shards::Round,
};
use crate::{
    calls::{Cancelled, DueSoon, Gate, LaneView, Memory, Resolution, Stats},
    ids::{LaneId, MessageId},
    listing::{self, ListFrom, Listed, Part},
    message::{MessageView, Millis, State},
    plan::Plan,
    store::{MAX_BATCH, StoreError},
    waiting::{LookedAt, Waiting, WaitingCursor},
    words::short,
};

impl RedisStore {
    pub(super) async fn control_lane(&self, what: &str, lane: &LaneId, value: &str) -> Result<(), StoreError> {
        let mut call = self.prepare(&self.scripts.control, self.tag_of_lane(lane));
        call.arg(what).arg(lane.as_str()).arg(value);
        self.link.run::<Value>("control", &call).await.map(drop)
    }

    /// SEND-SAFETY: a stop must reach as far as it can, and a penalty at once: all shards are told together, so that none texts on
    /// while another is waited for.
    pub(super) async fn set_gate_everywhere(&self, gate: &Gate) -> Result<(), StoreError> {
        let tell = async |tag: &String| {
            let mut call = self.prepare(&self.scripts.control, tag);
            call.arg("gate");
            match gate {
                Gate::Open => call.arg("open"),
                Gate::Stopped { reason } => call.arg("stop").arg(short(reason)),
                Gate::Until { until, reason } => call.arg("until").arg(*until).arg(short(reason)),
            };
            self.link.run::<Value>("set_gate", &call).await.map(drop)
        };
        self.all_took(join_all(self.tags.iter().map(tell)).await)
    }

    /// An error unless every shard has taken what it was told, each by its own answer.
    pub(super) fn all_took(&self, answers: Vec<Result<(), StoreError>>) -> Result<(), StoreError> {
        let mut round = Round::new(&self.silent);
        answers.into_iter().enumerate().for_each(|(shard, answer)| {
            round.heard(shard, answer);
        });
        round.whole()
    }

    /// The strictest of all shards that answer: one that does not must not keep the others' lanes from being read for. A stop of
    /// some of them only, after a call that failed half way, says so.
    pub(super) async fn read_gate(&self) -> Result<Gate, StoreError> {
        let ask = async |tag: &String| -> Result<Vec<String>, StoreError> {
            let mut call = self.prepare(&self.scripts.view, tag);
            call.arg("gate");
            self.link.run("gate", &call).await
        };
        let asked = self.tags.iter().enumerate().filter(|(shard, _)| !self.silent.rests(*shard));
        let answers = join_all(asked.map(async |(shard, tag)| (shard, ask(tag).await))).await;
        let mut round = Round::new(&self.silent);
        let heard = answers.into_iter().filter_map(|(shard, answer)| round.heard(shard, answer));
        let heard: Vec<_> = heard.collect();
        round.end()?;
        let (mut stopped, mut stop, mut penalty) = (0, String::new(), None);
        for reply in &heard {
            let [is_stopped, until, reason] = reply.as_slice() else { continue };
            if is_stopped.is_empty() {
                let until: Millis = until.parse().map_err(|_| unreadable("gate", "a wrong shape"))?;
                penalty = penalty.max(Some((until, reason.clone())));
            } else {
                stopped += 1;
                stop.clone_from(reason);
            }
        }
        let all = heard.len();
        Ok(match penalty {
            _ if stopped == all => Gate::Stopped { reason: stop },
            _ if stopped > 0 => {
                let reason =
                    format!("only {stopped} of {all} shards, the others go on until it is stopped again: {stop}");
                Gate::Stopped { reason }
            }
            Some((until, reason)) => Gate::Until { until, reason },
            None => Gate::Open,
        })
    }

    pub(super) async fn cancel_message(&self, id: &MessageId) -> Result<Cancelled, StoreError> {
        self.control_message("cancel", id, "").await
    }

    pub(super) async fn resolve_message(&self, id: &MessageId, how: Resolution) -> Result<Cancelled, StoreError> {
        self.control_message("resolve", id, how.as_str()).await
    }

    /// SEND-SAFETY: a message lives on one shard, so of all that are asked one acts at most.
    async fn control_message(&self, what: &'static str, id: &MessageId, how: &str) -> Result<Cancelled, StoreError> {
        let ask = async |tag: &String| {
            let mut call = self.prepare(&self.scripts.control, tag);
            call.arg(what).arg(id.as_bytes()).arg(how);
            let (what, state): (u8, u8) = self.link.run(what, &call).await?;
            Ok(match (what, State::from_code(state)) {
                (1, _) => Some(Cancelled::Done),
                (2, Some(state)) => Some(Cancelled::TooLate(state)),
                _ => None,
            })
        };
        let known = self.first_known(self.tags.iter().map(ask)).await?;
        Ok(known.unwrap_or(Cancelled::Missing))
    }

    pub(super) async fn read_message(&self, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        let ask = async |tag: &String| {
            let mut call = self.prepare(&self.scripts.view, tag);
            call.arg("message").arg(id.as_bytes());
            let reply: Vec<Value> = self.link.run("get", &call).await?;
            let [blob, state] = reply.as_slice() else { return Ok(None) };
            let state = number(state).and_then(|code| State::from_code(code as u8));
            let view = bytes(blob).and_then(Blob::parse).zip(state).map(|(blob, state)| blob.into_view(*id, state));
            view.map(Some).ok_or_else(|| unreadable("get", "a record that is no message"))
        };
        self.first_known(self.tags.iter().map(ask)).await
    }

    /// What the first shard says that knows of it; nothing only if all say so. All are asked at once, each by one of `asked`.
    pub(super) async fn first_known<T>(
        &self,
        asked: impl Iterator<Item = impl Future<Output = Result<Option<T>, StoreError>>>,
    ) -> Result<Option<T>, StoreError> {
        let in_turn = asked.enumerate().map(|(shard, ask)| ask.map(move |answer| (shard, answer)));
        let mut answers: FuturesUnordered<_> = in_turn.collect();
        let mut round = Round::new(&self.silent);
        while let Some((shard, answer)) = answers.next().await {
            if let Some(Some(known)) = round.heard(shard, answer) {
                return Ok(Some(known));
            }
        }
        round.whole().map(|()| None)
    }

    pub(super) async fn list_messages(&self, from: &ListFrom, limit: u32) -> Result<Listed, StoreError> {
        if !from.state.is_listed() {
            return Ok(Listed::default());
        }
        let limit = listing::limit(limit);
        let parts = join_all(self.tags.iter().map(|tag| self.list_part(tag, from, limit))).await;
        Ok(listing::page(from, parts.into_iter().collect::<Result<_, _>>()?, limit))
    }

    async fn list_part(&self, tag: &str, from: &ListFrom, limit: usize) -> Result<Part, StoreError> {
        let mut call = self.prepare(&self.scripts.view, tag);
        call.arg("list").arg(from.state as u8).arg(limit).arg(from.places(limit)).arg(from.since);
        if let Some((at, id)) = &from.after {
            call.arg(*at).arg(id.as_bytes());
        }
        let reply: Vec<Value> = self.link.run("list", &call).await?;
        let bad = || unreadable("list", "a wrong shape");
        let at = |at, id| Some((number(at)?, MessageId::from_bytes(bytes(id)?.try_into().ok()?)));
        let [more, last_at, last_id, rows @ ..] = reply.as_slice() else { return Err(bad()) };
        let more = number(more).ok_or_else(bad)? == 1;
        let looked_to = more.then(|| at(last_at, last_id).ok_or_else(bad)).transpose()?;
        let mut found = Vec::new();
        for row in rows.chunks_exact(3) {
            match (at(&row[0], &row[1]), bytes(&row[2]).and_then(Blob::parse)) {
                (Some((at, id)), Some(blob)) => found.push((at, blob.into_view(id, from.state))),
                // It must not keep the others from whoever looks.
                _ => tracing::warn!("a record that is no message is left out of a list"),
            }
        }
        Ok(Part { found, looked_to })
    }

    pub(super) async fn list_waiting(&self, lane: &LaneId, from: WaitingCursor) -> Result<Waiting, StoreError> {
        let mut call = self.prepare(&self.scripts.view, self.tag_of_lane(lane));
        call.arg("waiting").arg(lane.as_str()).arg(from.part).arg(from.at).arg(from.skip).arg(MAX_BATCH);
        let reply: Vec<Value> = self.link.run("waiting", &call).await?;
        let bad = || unreadable("waiting", "a wrong shape");
        let [places, last, same, found @ ..] = reply.as_slice() else { return Err(bad()) };
        let count = |value| number(value).map(i64::unsigned_abs).ok_or_else(bad);
        let looked_at = LookedAt { places: count(places)? as u32, last: count(last)?, same: count(same)? as u32 };
        let view = |row: &[Value]| {
            let id = MessageId::from_bytes(bytes(&row[1])?.try_into().ok()?);
            Some(Blob::parse(bytes(&row[0])?)?.into_view(id, State::from_code(number(&row[2])? as u8)?))
        };
        let messages = found.chunks_exact(3).map(view).collect::<Option<_>>().ok_or_else(bad)?;
        Ok(Waiting { messages, next: from.next(MAX_BATCH as u32, &looked_at) })
    }

    pub(super) async fn read_lane(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        let mut call = self.prepare(&self.scripts.view, self.tag_of_lane(lane));
        call.arg("lane").arg(lane.as_str());
        let reply: Vec<Vec<Value>> = self.link.run("lane", &call).await?;
        reply.first().and_then(|row| lane_view(row)).ok_or_else(|| unreadable("lane", "a wrong shape"))
    }

    pub(super) async fn list_lanes(
        &self,
        which: &str,
        how_many: &[u32],
        at_most: usize,
    ) -> Result<Vec<LaneView>, StoreError> {
        let mut views = Vec::new();
        for tag in &self.tags {
            let mut call = self.prepare(&self.scripts.view, tag);
            call.arg(which);
            for number in how_many {
                call.arg(*number);
            }
            let reply: Vec<Vec<Value>> = self.link.run("lanes", &call).await?;
            for row in &reply {
                views.push(lane_view(row).ok_or_else(|| unreadable("lanes", "a wrong shape"))?);
            }
        }
        views.sort_by(|a, b| (a.oldest_due, &a.lane).cmp(&(b.oldest_due, &b.lane)));
        views.truncate(at_most);
        Ok(views)
    }

    pub(super) async fn read_due_soon(&self, within: Duration, skip: u32) -> Result<DueSoon, StoreError> {
        let mut soon = DueSoon::default();
        for tag in &self.tags {
            let mut call = self.prepare(&self.scripts.view, tag);
            call.arg("soon").arg(millis(within)).arg(skip).arg(MAX_BATCH);
            let reply: Vec<Value> = self.link.run("due_soon", &call).await?;
            let bad = || unreadable("due_soon", "a wrong shape");
            let (looked_at, lanes) = reply.split_first().ok_or_else(bad)?;
            soon.more |= number(looked_at).ok_or_else(bad)? >= MAX_BATCH as i64;
            for pair in lanes.chunks_exact(2) {
                let lane = text(&pair[0]).and_then(|name| name.parse::<LaneId>().ok());
                soon.lanes.push(lane.zip(number(&pair[1])).ok_or_else(bad)?);
            }
        }
        soon.lanes.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(soon)
    }

    pub(super) async fn read_stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        for tag in &self.tags {
            let mut call = self.prepare(&self.scripts.view, tag);
            call.arg("stats");
            let reply: Vec<Value> = self.link.run("stats", &call).await?;
            let [now, ready, waiting, oldest, counts @ ..] = reply.as_slice() else {
                return Err(unreadable("stats", "a wrong shape"));
            };
            stats.now = number(now).unwrap_or(0);
            stats.lanes_eligible += number(ready).unwrap_or(0).max(0) as u64;
            stats.lanes_waiting += number(waiting).unwrap_or(0).max(0) as u64;
            if let Some(due) = number(oldest) {
                let age = Duration::from_millis((stats.now - due).max(0) as u64);
                stats.oldest_due_age = stats.oldest_due_age.max(Some(age));
            }
            for pair in counts.chunks_exact(2) {
                if let (Some(code), Some(n)) = (number(&pair[0]), number(&pair[1]))
                    && let Some(state) = State::from_code(code as u8)
                {
                    stats.add(state, n.max(0) as u64);
                }
            }
        }
        Ok(stats)
    }

    /// A shard of each server, or more of one that has several.
    fn servers(&self) -> &[String] {
        match self.link {
            Connection::One(_) => &self.tags[..1],
            Connection::Cluster(_) => &self.tags,
        }
    }

    pub(super) async fn read_memory(&self) -> Result<Option<Memory>, StoreError> {
        let ask = async |tag: &String| {
            let mut info = redis::cmd("INFO");
            info.arg("memory");
            let told: String = self.link.query("memory", tag, &info).await?;
            let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            // What replicas and the append-only file are still to be given makes no server full.
            let besides = field("mem_not_counted_for_evict:").unwrap_or(0);
            match (field("used_memory:"), field("maxmemory:")) {
                (Some(used), Some(limit)) => Ok(Memory { used: used.saturating_sub(besides), limit }),
                _ => Err(unreadable("memory", "no figures")),
            }
        };
        let told: Vec<Memory> = join_all(self.servers().iter().map(ask)).await.into_iter().collect::<Result<_, _>>()?;
        let fullest = |a: &Memory, b: &Memory| a.share().total_cmp(&b.share()).then(a.used.cmp(&b.used));
        Ok(told.into_iter().max_by(fullest))
    }

    pub(super) async fn read_appendfsync(&self) -> Result<Option<String>, StoreError> {
        let ask = async |tag: &String| {
            let mut get = redis::cmd("CONFIG");
            get.arg("GET").arg("appendfsync");
            let mut told: HashMap<String, String> = self.link.query("CONFIG GET", tag, &get).await?;
            told.remove("appendfsync").ok_or_else(|| unreadable("CONFIG GET", "another setting"))
        };
        let told: Vec<String> = join_all(self.servers().iter().map(ask)).await.into_iter().collect::<Result<_, _>>()?;
        Ok(told.iter().find(|how| *how != "always").or(told.first()).cloned())
    }
}

fn lane_view(row: &[Value]) -> Option<LaneView> {
    let [name, waiting, in_flight, used, limit, window, paused, parked, penalty, due] = row else { return None };
    Some(LaneView {
        lane: Some(text(name)?.parse::<LaneId>().ok()?),
        waiting: number(waiting)? as u64,
        in_flight: number(in_flight)? as u32,
        slots_in_use: number(used)? as u32,
        plan: Some(Plan { limit: number(limit)? as u32, window_ms: number(window)? as u32 }),
        paused: number(paused)? == 1,
        parked: text(parked).filter(|reason| !reason.is_empty()),
        penalty_until: number(penalty),
        oldest_due: number(due),
    })
}
