//! claim: leases due messages of lanes that may send now, and takes a slot of the window for each.
//!
//! Bounded: 256 promotions; at most `free_slots` lanes, and at most 32 entries that can't go (expired, its recipient is
//! busy) of each queue a pass.

use std::time::Duration;

use rusqlite::params;

use super::{
    fault::{Fault, Step},
    messages::Message,
    millis,
    slots::IN_USE,
    tx::Tx,
};
use crate::{
    calls::Claim,
    ids::{LeaseToken, WorkerId},
    message::{Lease, Millis, Private, State},
    store::MAX_CLAIM,
};

const MAX_PROMOTED: u32 = 256;
const MAX_PASSED_OVER: u32 = 32;

impl Tx<'_> {
    pub(super) fn claim(&mut self, worker: &WorkerId, free_slots: u32, lease: Duration) -> Step<Claim> {
        let want = free_slots.min(MAX_CLAIM) as usize;
        self.promote()?;
        if let Some(gate) = self.gate_until()? {
            let next_due = (gate < IN_USE).then(|| self.until(gate));
            return Ok(Claim { leases: Vec::new(), next_due });
        }
        let leases = self.serve(worker, want, self.now.saturating_add(millis(lease)))?;
        self.save()?;
        let next_due = if leases.len() >= want { Some(Duration::ZERO) } else { self.next_due()? };
        Ok(Claim { leases, next_due })
    }

    /// Moves what has become due from the schedule to the queues; in order of due time, then id.
    fn promote(&mut self) -> Step<()> {
        let sql = "SELECT message FROM schedule WHERE due <= ?1 ORDER BY due, id LIMIT ?2";
        let due: Vec<i64> = self.rows(sql, params![self.now, MAX_PROMOTED], |row| row.get(0))?;
        for row in &due {
            let m = self.message_at_row(*row)?;
            self.exec("DELETE FROM schedule WHERE message = ?1", [row])?;
            self.count(State::Scheduled, -1);
            let at = self.lane_at_row(m.lane)?;
            self.enqueue_back(at, &m)?;
            self.touch(at);
        }
        self.save()
    }

    /// One message a lane in turn, until nobody has one that may go.
    fn serve(&mut self, worker: &WorkerId, want: usize, lease_until: Millis) -> Step<Vec<Lease>> {
        let sql = "SELECT n FROM lanes WHERE ready_at <= ?1 ORDER BY ready_at, name LIMIT ?2";
        let ready: Vec<i64> = self.rows(sql, params![self.now, want as i64], |row| row.get(0))?;
        let mut turn = Vec::with_capacity(ready.len());
        for row in ready {
            let at = self.lane_at_row(row)?;
            self.touch_in_turn(at);
            turn.push(at);
        }
        let mut leases = Vec::new();
        while leases.len() < want && !turn.is_empty() {
            let mut again = Vec::with_capacity(turn.len());
            for at in turn {
                if leases.len() >= want {
                    break;
                }
                if let Some(lease) = self.serve_lane(at, worker, lease_until)? {
                    leases.push(lease);
                    again.push(at);
                }
            }
            turn = again;
        }
        Ok(leases)
    }

    fn serve_lane(&mut self, at: usize, worker: &WorkerId, lease_until: Millis) -> Step<Option<Lease>> {
        let (now, rules) = (self.now, self.rules);
        let lane = &mut self.lanes[at];
        // SEND-SAFETY: (of the plan) judged here once more, whatever the index says.
        let may = lane.slots.in_use(now) < usize::try_from(lane.limit).unwrap_or(0)
            && lane.in_flight < lane.cap(rules)
            && lane.penalty <= now
            && !lane.stopped();
        if !may {
            return Ok(None);
        }
        let Some(m) = self.pop(at)? else { return Ok(None) };
        let token = self.take_slot(at, IN_USE)?;
        let lane = &mut self.lanes[at];
        lane.in_flight += 1;
        let (claim, used) = (lane.claims, lane.slots.in_use(now) as i64);
        let sql = "INSERT INTO flight (id, message, lane, send_by, state, token, since, claim, used, lease_until, \
                   worker) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        // SEND-SAFETY: the id is the table's key, so a message that is in a worker's hand can't be handed out again.
        self.exec(
            sql,
            params![
                m.id.as_bytes(),
                m.row,
                m.lane,
                m.send_by,
                State::Claimed as u8,
                token,
                now,
                claim,
                used,
                lease_until,
                worker.as_str(),
            ],
        )?;
        self.take_pair(m.row)?;
        self.count(State::Claimed, 1);
        self.lease_of(at, m, token).map(Some)
    }

    /// Takes the lane's next living message out of its queue.
    fn pop(&mut self, at: usize) -> Step<Option<Message>> {
        let head = "SELECT priority, place, message FROM queue WHERE lane = ?1 AND priority >= ?2 \
                    ORDER BY priority, place LIMIT 1";
        let lane = self.lanes[at].row;
        let (mut from, mut priority, mut passes) = (0, 0, 0);
        while let Some(entry) =
            self.row(head, params![lane, from], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        {
            let (found, place, message): (u8, i64, i64) = entry;
            if found != priority {
                (priority, passes) = (found, 0);
            }
            if passes == MAX_PASSED_OVER {
                from = priority + 1;
                continue;
            }
            passes += 1;
            self.exec(
                "DELETE FROM queue WHERE lane = ?1 AND priority = ?2 AND place = ?3",
                params![lane, priority, place],
            )?;
            self.lanes[at].waiting -= 1;
            self.count(State::Ready, -1);
            let m = self.message_at_row(message)?;
            if m.is_past(self.now) {
                self.close_unsent(&m, State::Expired, "send-by-passed")?;
            } else if !self.is_busy(&m)? {
                return Ok(Some(m));
            }
        }
        Ok(None)
    }

    /// SEND-SAFETY: see [`Tx::take_pair`]. A message whose recipient is busy with another one of this sender comes back a
    /// second later, by deadline and not by a call, so that nothing can be forgotten. Those that wait keep their order.
    fn is_busy(&mut self, m: &Message) -> Step<bool> {
        if !self.pair_is_busy(m.row)? {
            return Ok(false);
        }
        self.put_off += 1;
        self.schedule(m, self.now + 999 + self.put_off)?;
        Ok(true)
    }

    fn lease_of(&self, at: usize, m: Message, token: i64) -> Step<Lease> {
        let sql = "SELECT sender, recipient, text FROM messages WHERE n = ?1";
        let [from, to, text] =
            self.row(sql, [m.row], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get(2)?].map(|part: String| Private::new(part)))
            })?
            .ok_or(Fault::Unreadable("a message without its text"))?;
        Ok(Lease {
            id: m.id,
            token: LeaseToken(token.unsigned_abs()),
            lane: self.lanes[at].id.clone(),
            from,
            to,
            text,
            priority: m.priority,
            attempt: m.attempt,
            recoveries: m.recoveries,
            created_at: m.created,
            due_at: m.due(),
        })
    }

    /// How long nothing can be claimed unless something changes.
    fn next_due(&self) -> Step<Option<Duration>> {
        let sql =
            "SELECT (SELECT min(ready_at) FROM lanes WHERE ready_at IS NOT NULL), (SELECT min(due) FROM schedule)";
        let first: Option<[Option<Millis>; 2]> = self.row(sql, [], |row| Ok([row.get(0)?, row.get(1)?]))?;
        let next = first.into_iter().flatten().flatten().min();
        Ok(next.filter(|at| *at < IN_USE).map(|at| self.until(at)))
    }

    pub(super) fn until(&self, at: Millis) -> Duration {
        Duration::from_millis(u64::try_from(at - self.now).unwrap_or(0))
    }
}
