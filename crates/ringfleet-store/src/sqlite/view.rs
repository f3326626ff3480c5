//! view: reads, changes nothing.

use std::time::Duration;

use rusqlite::params;

use super::{
    fault::{Fault, Step},
    lanes::Lane,
    messages::Message,
    millis, raw_number,
    tx::Tx,
};
use crate::{
    calls::{DueSoon, Gate, LaneView, Stats},
    delivery::DeliveryReport,
    ids::{LaneId, MessageId},
    listing::{ListFrom, Part},
    message::{MessageView, Millis, Private, State},
    store::MAX_BATCH,
    waiting::{LookedAt, SCHEDULE, Waiting, WaitingCursor},
};

impl Tx<'_> {
    pub(super) fn get(&mut self, id: &MessageId) -> Step<Option<MessageView>> {
        self.message(id)?.map(|m| self.message_view(m)).transpose()
    }

    pub(super) fn list(&mut self, from: &ListFrom, limit: usize) -> Step<Part> {
        let places = from.places(limit);
        // Each goes by the index whose states it names.
        let sql = if from.has_own_index() {
            "SELECT n, ended, id, state = ?5 FROM messages WHERE state IN (9, 10, 11) AND state = ?5 \
             AND (ended, id) < (?1, ?2) AND ended >= ?3 ORDER BY ended DESC, id DESC LIMIT ?4"
        } else {
            "SELECT n, coalesce(reported, ended), id, state = ?5 FROM messages WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14) \
             AND (coalesce(reported, ended), id) < (?1, ?2) AND coalesce(reported, ended) >= ?3 \
             ORDER BY coalesce(reported, ended) DESC, id DESC LIMIT ?4"
        };
        let (at, id) = from.after.unwrap_or((Millis::MAX, MessageId::from_bytes([u8::MAX; 16])));
        let wanted = params![at, id.as_bytes(), from.since, places as i64, from.state as u8];
        let looked_at: Vec<(i64, Millis, MessageId, bool)> = self
            .rows(sql, wanted, |row| Ok((row.get(0)?, row.get(1)?, MessageId::from_bytes(row.get(2)?), row.get(3)?)))?;
        let (mut found, mut looked_to, whole) = (Vec::new(), None, looked_at.len() < places);
        for (row, at, id, is_meant) in looked_at {
            looked_to = Some((at, id));
            if is_meant {
                let m = self.message_at_row(row)?;
                found.push((at, self.message_view(m)?));
            }
            if found.len() == limit {
                return Ok(Part { found, looked_to });
            }
        }
        Ok(Part { found, looked_to: looked_to.filter(|_| !whole) })
    }

    pub(super) fn list_waiting(&mut self, lane: &LaneId, from: WaitingCursor) -> Step<Waiting> {
        let places = MAX_BATCH as u32;
        let found: Vec<(i64, u64)> = match from.part {
            SCHEDULE => {
                let sql = "SELECT message, due FROM schedule WHERE due >= ?1 ORDER BY due, id LIMIT ?2 OFFSET ?3";
                let from = params![raw_number(from.at), places, from.skip];
                self.rows(sql, from, |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
            }
            priority => {
                let sql = "SELECT message FROM queue WHERE lane = (SELECT n FROM lanes WHERE name = ?3) AND priority = ?4 \
                           ORDER BY place LIMIT ?2 OFFSET ?1";
                let from = params![raw_number(from.at), places, lane.as_str(), priority];
                self.rows(sql, from, |row| Ok((row.get(0)?, 0)))?
            }
        };
        let last = found.last().map_or(0, |(_, due)| *due);
        let same = found.iter().filter(|(_, due)| *due == last).count() as u32;
        let next = from.next(places, &LookedAt { places: found.len() as u32, last, same });
        let views = found.into_iter().map(|(row, _)| self.message_at_row(row).and_then(|m| self.message_view(m)));
        let mut messages = views.collect::<Step<Vec<_>>>()?;
        messages.retain(|view| view.lane == *lane && matches!(view.state, State::Ready | State::Scheduled));
        Ok(Waiting { messages, next })
    }

    pub(super) fn message_view(&mut self, m: Message) -> Step<MessageView> {
        let at = self.lane_at_row(m.lane)?;
        let state = self.state_now(&m)?;
        let sql = "SELECT sender, recipient, text, code, provider_id, report, reported FROM messages WHERE n = ?1";
        let words = self.row(sql, [m.row], |row| {
            let words = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
            Ok((words, row.get::<_, Option<Millis>>(6)?))
        })?;
        let ([from, to, text, reason, provider_id, code], reported): ([String; 6], _) =
            words.ok_or(Fault::Unreadable("a message without its text"))?;
        let time = |at: Millis| (at > 0).then_some(at);
        Ok(MessageView {
            id: m.id,
            lane: self.lanes[at].id.clone(),
            state,
            from: Private::new(from),
            to: Private::new(to),
            text: Private::new(text),
            priority: m.priority,
            attempt: m.attempt,
            recoveries: m.recoveries,
            created_at: m.created,
            send_at: time(m.send_at),
            send_by: time(m.send_by),
            on_unknown: m.on_unknown,
            reason,
            provider_id: Some(provider_id).filter(|id| !id.is_empty()),
            finished_at: m.ended.filter(|_| m.state != State::Ready),
            intent_at: time(m.intent),
            reads: m.reads,
            delivery: reported.map(|at| DeliveryReport { code, at }),
        })
    }

    pub(super) fn lane(&mut self, lane: &LaneId) -> Step<LaneView> {
        Ok(self.lane_view(&self.peek_lane(lane)?))
    }

    pub(super) fn lanes(&mut self, limit: u32) -> Step<Vec<LaneView>> {
        let sql = "SELECT n FROM lanes WHERE oldest_due IS NOT NULL ORDER BY oldest_due, name LIMIT ?1";
        let found: Vec<i64> = self.rows(sql, [limit.min(MAX_BATCH as u32)], |row| row.get(0))?;
        found.into_iter().map(|row| self.lane_at_row(row).map(|at| self.lane_view(&self.lanes[at]))).collect()
    }

    pub(super) fn lanes_spread(&mut self, every: u32) -> Step<Vec<LaneView>> {
        let every = every.max(1);
        // From the middle of the first ones on: those that stand are the oldest, and are counted neither too often nor too
        // seldom.
        let sql = "SELECT n FROM (SELECT n, row_number() OVER (ORDER BY oldest_due, name) - 1 AS rank FROM lanes \
                   WHERE oldest_due IS NOT NULL) WHERE rank % ?1 = ?2 ORDER BY rank LIMIT ?3";
        let found: Vec<i64> = self.rows(sql, params![every, every / 2, MAX_BATCH as i64], |row| row.get(0))?;
        found.into_iter().map(|row| self.lane_at_row(row).map(|at| self.lane_view(&self.lanes[at]))).collect()
    }

    fn lane_view(&self, lane: &Lane) -> LaneView {
        LaneView {
            lane: Some(lane.id.clone()),
            waiting: lane.waiting.unsigned_abs(),
            in_flight: u32::try_from(lane.in_flight).unwrap_or(0),
            slots_in_use: lane.slots.count_after(self.now) as u32,
            plan: Some(lane.plan()),
            paused: lane.paused,
            parked: lane.parked.clone().filter(|reason| !reason.is_empty()),
            penalty_until: Some(lane.penalty).filter(|until| *until > self.now),
            oldest_due: lane.oldest_due,
        }
    }

    pub(super) fn due_soon(&mut self, within: Duration, skip: u32) -> Step<DueSoon> {
        let until = self.now.saturating_add(millis(within));
        let sql = "SELECT l.name, min(s.due), count(*) FROM \
                   (SELECT due, message FROM schedule WHERE due > ?1 AND due <= ?2 ORDER BY due, id LIMIT ?3 OFFSET ?4) s \
                   JOIN messages m ON m.n = s.message JOIN lanes l ON l.n = m.lane GROUP BY l.n ORDER BY 2, 1";
        let found: Vec<(String, Millis, i64)> =
            self.rows(sql, params![self.now, until, MAX_BATCH as i64, skip], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let looked_at: i64 = found.iter().map(|(.., messages)| messages).sum();
        let lanes = found.into_iter().filter_map(|(name, due, _)| Some((name.parse().ok()?, due))).collect();
        Ok(DueSoon { lanes, more: looked_at >= MAX_BATCH as i64 })
    }

    pub(super) fn gate(&self) -> Step<Gate> {
        let sql = "SELECT gate_stopped, gate_until, gate_reason, gate_why FROM store";
        let gate = self.row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let (stopped, until, reason, why): (bool, Option<Millis>, String, String) =
            gate.ok_or(Fault::Unreadable("the store's own row is missing"))?;
        Ok(match until.filter(|until| *until > self.now) {
            _ if stopped => Gate::Stopped { reason },
            Some(until) => Gate::Until { until, reason: why },
            None => Gate::Open,
        })
    }

    pub(super) fn stats(&mut self) -> Step<Stats> {
        let mut stats = Stats { now: self.now, ..Stats::default() };
        for (code, n) in self.rows("SELECT state, n FROM counters", [], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (code, n): (u8, i64) = (code, n);
            if let Some(state) = State::from_code(code) {
                stats.add(state, u64::try_from(n).unwrap_or(0));
            }
        }
        let sql = "SELECT (SELECT count(*) FROM lanes WHERE ready_at <= ?1), \
                   (SELECT count(*) FROM lanes WHERE oldest_due IS NOT NULL), \
                   (SELECT min(oldest_due) FROM lanes WHERE oldest_due IS NOT NULL), \
                   (SELECT min(due) FROM schedule WHERE due <= ?1)";
        let totals = self.row(sql, [self.now], |row| Ok((row.get(0)?, row.get(1)?, [row.get(2)?, row.get(3)?])))?;
        let (eligible, waiting, first): (i64, i64, [Option<Millis>; 2]) =
            totals.ok_or(Fault::Unreadable("no totals"))?;
        stats.lanes_eligible = if self.gate_until()?.is_some() { 0 } else { eligible.unsigned_abs() };
        stats.lanes_waiting = waiting.unsigned_abs();
        let oldest = first.into_iter().flatten().min();
        stats.oldest_due_age = oldest.map(|due| Duration::from_millis(u64::try_from(self.now - due).unwrap_or(0)));
        Ok(stats)
    }
}
