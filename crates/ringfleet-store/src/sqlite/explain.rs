//! explain: why a message or a lane isn't moving. Reads, changes nothing.
//!
//! Bounded: 50,000 rows of a queue; the schedule in steps of 500; what its window holds.

use rusqlite::params;

use super::{
    SqliteStore,
    fault::{Fault, Step},
    lanes::Lane,
    messages::Message,
    slots::IN_USE,
    tx::Tx,
};
use crate::{
    explain::{Busy, Explained, LaneFacts, MOST_COUNTED, Place, SCHEDULE_PAGE, SCHEDULE_PAGES, Slot, Stand},
    ids::{LaneId, MessageId},
    message::{Millis, Priority, State, may_have_arrived},
    store::StoreError,
};

/// How many of a lane go before any of a priority.
pub(super) const COUNT_ABOVE: &str =
    "SELECT count(*) FROM (SELECT 1 FROM queue WHERE lane = ?1 AND priority < ?2 LIMIT ?3)";
/// How many of a message's own priority go before it; all of them, if it is not in the queue.
pub(super) const COUNT_BEFORE: &str = "SELECT count(*) FROM (SELECT 1 FROM queue WHERE lane = ?1 AND priority = ?2 AND \
     place < coalesce((SELECT place FROM queue WHERE message = ?3), 9223372036854775807) LIMIT ?4)";

impl SqliteStore {
    pub(super) async fn explain_message(&self, id: &MessageId) -> Result<Option<Explained>, StoreError> {
        let id = *id;
        let Some(mut explained) = self.call("explain", move |tx| tx.explain(&id)).await? else { return Ok(None) };
        if explained.state == State::Scheduled
            && let Stand::Waiting { place, .. } = &mut explained.stand
        {
            place.at_least = true;
            let mut looked_at = 0;
            for _ in 0..SCHEDULE_PAGES {
                let page = move |tx: &mut Tx<'_>| tx.scheduled_before(&id, looked_at);
                let (seen, dues) = self.call("explain", page).await?;
                place.due_ahead.extend(dues);
                looked_at += seen;
                if seen < SCHEDULE_PAGE {
                    place.at_least = false;
                    break;
                }
            }
            place.due_ahead.sort_unstable();
        }
        Ok(Some(explained))
    }
}

impl Tx<'_> {
    pub(super) fn explain_lane(&mut self, lane: &LaneId) -> Step<LaneFacts> {
        self.lane_facts(&self.peek_lane(lane)?)
    }

    fn explain(&mut self, id: &MessageId) -> Step<Option<Explained>> {
        let Some(m) = self.message(id)? else { return Ok(None) };
        let at = self.lane_at_row(m.lane)?;
        let state = self.state_now(&m)?;
        let stand = match state {
            State::Claimed | State::Sending => self.in_hand(&m)?,
            State::Scheduled | State::Ready => self.waiting(&m, state)?,
            State::Unknown => Stand::Unknown {
                since: m.ended.unwrap_or(self.now),
                reads: m.reads,
                next_look: self.row("SELECT look_at FROM lanes WHERE n = ?1", [m.lane], |row| row.get(0))?.flatten(),
            },
            _ => Stand::Over {
                at: m.ended,
                reason: self
                    .row("SELECT code FROM messages WHERE n = ?1", [m.row], |row| row.get(0))?
                    .unwrap_or_default(),
                may_have_arrived: may_have_arrived(state, m.on_unknown, Some(m.intent).filter(|at| *at > 0), m.reads),
            },
        };
        let send_by = Some(m.send_by).filter(|at| *at > 0);
        let lane = self.lane_facts(&self.lanes[at])?;
        Ok(Some(Explained { id: m.id, state, priority: m.priority, send_by, stand, lane }))
    }

    fn in_hand(&self, m: &Message) -> Step<Stand> {
        let sql = "SELECT worker, since FROM flight WHERE id = ?1";
        let hand =
            self.row(sql, [m.id.as_bytes()], |row| Ok(Stand::InHand { worker: row.get(0)?, since: row.get(1)? }))?;
        hand.ok_or(Fault::Unreadable("a message in hand without its worker"))
    }

    fn waiting(&self, m: &Message, state: State) -> Step<Stand> {
        let scheduled = "SELECT due FROM schedule WHERE message = ?1";
        let due = self.row(scheduled, [m.row], |row| row.get(0))?;
        let priority = m.priority as u8;
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
        let most = MOST_COUNTED as i64;
        // Two questions: in one, with OR, all of its priority would be walked over, not only those before it.
        let above = self.row(COUNT_ABOVE, params![m.lane, priority, most], count)?.unwrap_or(0);
        let before = self.row(COUNT_BEFORE, params![m.lane, priority, m.row, most], count)?.unwrap_or(0);
        let ahead = (above + before).min(MOST_COUNTED);
        let sql = "SELECT count(*) FROM (SELECT 1 FROM queue WHERE lane = ?1 AND priority > ?2 LIMIT ?3)";
        let below = self.row(sql, params![m.lane, priority, most], count)?.unwrap_or(0);
        let place = Place { ahead, below, due_ahead: Vec::new(), at_least: ahead == MOST_COUNTED };
        let due_at = due.filter(|_| state == State::Scheduled).unwrap_or(m.due());
        let quiet = due.is_some_and(|due: Millis| m.put_off_to() == Some(due));
        Ok(Stand::Waiting { due_at, quiet, place, busy: self.busy(m)? })
    }

    fn busy(&self, m: &Message) -> Step<Option<Busy>> {
        let sql = "SELECT p.message FROM messages m JOIN pairs p ON p.sender = m.sender AND p.recipient = m.recipient \
                   WHERE m.n = ?1 AND p.message <> ?1 LIMIT 1";
        let Some(holder) = self.row(sql, [m.row], |row| row.get(0))? else { return Ok(None) };
        let holder = self.message_at_row(holder)?;
        Ok(Some(Busy { with: holder.id, state: self.state_now(&holder)? }))
    }

    /// Of so many entries of the schedule, from the message towards the head: how many there were, and when those become
    /// due that go before it.
    fn scheduled_before(&self, id: &MessageId, looked_at: u32) -> Step<(u32, Vec<Millis>)> {
        let sql = "SELECT s.due, m.lane = o.lane AND m.priority <= o.priority FROM \
                   (SELECT due, message FROM schedule WHERE (due, id) < \
                    (SELECT s.due, s.id FROM schedule s JOIN messages m ON m.n = s.message WHERE m.id = ?1) \
                    ORDER BY due DESC, id DESC LIMIT ?2 OFFSET ?3) s \
                   JOIN messages m ON m.n = s.message JOIN messages o ON o.id = ?1";
        let found: Vec<(Millis, bool)> =
            self.rows(sql, params![id.as_bytes(), SCHEDULE_PAGE, looked_at], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let dues = found.iter().filter(|(_, before)| *before).map(|(due, _)| *due).collect();
        Ok((found.len() as u32, dues))
    }

    fn lane_facts(&self, lane: &Lane) -> Step<LaneFacts> {
        let mut waiting = [0; Priority::ALL.len()];
        if lane.waiting > 0 {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM queue WHERE lane = ?1 AND priority = ?2 LIMIT ?3)";
            let rest = lane.waiting.unsigned_abs();
            for priority in Priority::ALL {
                let count =
                    self.row(sql, params![lane.row, priority as u8, MOST_COUNTED as i64], |row| row.get::<_, i64>(0))?;
                waiting[priority as usize] = count.unwrap_or(0).unsigned_abs();
            }
            // What the bound has cut off is in the longest of them.
            let counted: u64 = waiting.iter().sum();
            if let Some(longest) = waiting.iter_mut().find(|count| **count == MOST_COUNTED) {
                *longest += rest.saturating_sub(counted);
            }
        }
        Ok(LaneFacts {
            lane: lane.id.clone(),
            now: self.now,
            plan: lane.plan(),
            slots: lane.slots.after(self.now).into_iter().map(|(token, at)| Slot::of(token, at, IN_USE)).collect(),
            penalty_until: lane.penalty,
            probe: lane.probe,
            paused: lane.paused,
            parked: lane.parked.clone().filter(|reason| !reason.is_empty()),
            in_flight: u32::try_from(lane.in_flight).unwrap_or(0),
            cap: self.rules.in_flight_cap.max(1),
            waiting,
            oldest_due: lane.oldest_due,
            gate: self.gate()?,
            workers: self.workers()?,
        })
    }
}
