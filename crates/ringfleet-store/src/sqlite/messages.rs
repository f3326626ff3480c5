//! Messages and their moves: into a queue, out of a worker's hand, to their end.

use rusqlite::{Row, params};

use super::{
    fault::{Fault, Step},
    tx::Tx,
};
use crate::{
    ids::MessageId,
    message::{Millis, OnUnknown, Priority, State},
};

/// A message without its private parts, which most transitions have no business with.
pub(super) struct Message {
    pub(super) row: i64,
    pub(super) id: MessageId,
    pub(super) lane: i64,
    /// `Ready` for all that wait; see [`Tx::state_now`].
    pub(super) state: State,
    pub(super) priority: Priority,
    pub(super) attempt: u32,
    pub(super) recoveries: u32,
    pub(super) created: Millis,
    pub(super) send_at: Millis,
    pub(super) send_by: Millis,
    /// Of the lease that ended it, or the last whose story is closed.
    pub(super) token: i64,
    /// Of one that waits: the end of the quiet hours that it was put off to.
    pub(super) ended: Option<Millis>,
    pub(super) on_unknown: OnUnknown,
    pub(super) intent: Millis,
    pub(super) reads: u32,
}

impl Message {
    pub(super) fn due(&self) -> Millis {
        self.created.max(self.send_at).max(self.put_off_to().unwrap_or(0))
    }

    pub(super) fn put_off_to(&self) -> Option<Millis> {
        self.ended.filter(|_| self.state == State::Ready)
    }

    pub(super) fn is_past(&self, now: Millis) -> bool {
        self.send_by > 0 && now > self.send_by
    }
}

/// A message in a worker's hand.
pub(super) struct Flight {
    pub(super) id: MessageId,
    pub(super) message: i64,
    pub(super) lane: i64,
    pub(super) send_by: Millis,
    pub(super) state: State,
    pub(super) token: i64,
    pub(super) claim: i64,
    pub(super) used: i64,
    pub(super) lease_until: Millis,
    /// When it was claimed or, once it is sending, begun.
    pub(super) since: Millis,
}

const MESSAGE_BY_ID: &str = "SELECT n, id, lane, state, priority, attempt, recoveries, created, send_at, send_by, \
                             token, ended, on_unknown, intent, reads FROM messages WHERE id = ?1";
const MESSAGE_BY_ROW: &str = "SELECT n, id, lane, state, priority, attempt, recoveries, created, send_at, send_by, \
                              token, ended, on_unknown, intent, reads FROM messages WHERE n = ?1";

fn read_message(row: &Row<'_>) -> rusqlite::Result<Option<Message>> {
    let (state, priority) = (State::from_code(row.get(3)?), Priority::from_code(row.get(4)?));
    let on_unknown = OnUnknown::from_code(row.get(12)?);
    let (Some(state), Some(priority), Some(on_unknown)) = (state, priority, on_unknown) else { return Ok(None) };
    Ok(Some(Message {
        row: row.get(0)?,
        id: MessageId::from_bytes(row.get(1)?),
        lane: row.get(2)?,
        state,
        priority,
        attempt: row.get(5)?,
        recoveries: row.get(6)?,
        created: row.get(7)?,
        send_at: row.get(8)?,
        send_by: row.get(9)?,
        token: row.get(10)?,
        ended: row.get(11)?,
        on_unknown,
        intent: row.get(13)?,
        reads: row.get(14)?,
    }))
}

fn read_flight(row: &Row<'_>) -> rusqlite::Result<Option<Flight>> {
    let Some(state) = State::from_code(row.get(4)?) else { return Ok(None) };
    Ok(Some(Flight {
        id: MessageId::from_bytes(row.get(0)?),
        message: row.get(1)?,
        lane: row.get(2)?,
        send_by: row.get(3)?,
        state,
        token: row.get(5)?,
        claim: row.get(6)?,
        used: row.get(7)?,
        lease_until: row.get(8)?,
        since: row.get(9)?,
    }))
}

const UNKNOWN: Fault = Fault::Unreadable("a message with an unknown state or priority");

impl Tx<'_> {
    pub(super) fn message(&self, id: &MessageId) -> Step<Option<Message>> {
        self.row(MESSAGE_BY_ID, [id.as_bytes()], read_message)?.map(|message| message.ok_or(UNKNOWN)).transpose()
    }

    pub(super) fn message_at_row(&self, row: i64) -> Step<Message> {
        let message = self.row(MESSAGE_BY_ROW, [row], read_message)?;
        message.flatten().ok_or(Fault::Unreadable("a message that is waited for is missing or of an unknown state"))
    }

    pub(super) fn flight(&self, id: &MessageId) -> Step<Option<Flight>> {
        let sql = "SELECT id, message, lane, send_by, state, token, claim, used, lease_until, since FROM flight WHERE id = ?1";
        self.row(sql, [id.as_bytes()], read_flight)?.map(|flight| flight.ok_or(UNKNOWN)).transpose()
    }

    /// Flights whose lease ended, the longest ended first.
    pub(super) fn ended_flights(&self, limit: u32) -> Step<Vec<Flight>> {
        let sql = "SELECT id, message, lane, send_by, state, token, claim, used, lease_until, since FROM flight \
                   WHERE lease_until <= ?1 ORDER BY lease_until, id LIMIT ?2";
        self.rows(sql, params![self.now, limit], read_flight)?.into_iter().map(|f| f.ok_or(UNKNOWN)).collect()
    }

    pub(super) fn is_scheduled(&self, message: i64) -> Step<bool> {
        Ok(self.row("SELECT 1 FROM schedule WHERE message = ?1", [message], |_| Ok(()))?.is_some())
    }

    /// A text is gone once it was sent; a record made of what a worker knew never had one.
    pub(super) fn has_text(&self, message: i64) -> Step<bool> {
        let sql = "SELECT 1 FROM messages WHERE n = ?1 AND text <> ''";
        Ok(self.row(sql, [message], |_| Ok(()))?.is_some())
    }

    /// Where a message really is: waiting ones are told apart by the table they stand in.
    pub(super) fn state_now(&self, m: &Message) -> Step<State> {
        if m.state != State::Ready {
            return Ok(m.state);
        }
        if let Some(flight) = self.flight(&m.id)? {
            return Ok(flight.state);
        }
        Ok(if self.is_scheduled(m.row)? { State::Scheduled } else { State::Ready })
    }

    pub(super) fn enqueue_back(&mut self, at: usize, m: &Message) -> Step<()> {
        let sql = "INSERT INTO queue (lane, priority, message, due, place) VALUES (?1, ?2, ?3, ?4, \
                   (SELECT coalesce(max(place) + 1, 0) FROM queue WHERE lane = ?1 AND priority = ?2))";
        self.enter_queue(sql, at, m)
    }

    pub(super) fn enqueue_front(&mut self, at: usize, m: &Message) -> Step<()> {
        let sql = "INSERT INTO queue (lane, priority, message, due, place) VALUES (?1, ?2, ?3, ?4, \
                   (SELECT coalesce(min(place) - 1, 0) FROM queue WHERE lane = ?1 AND priority = ?2))";
        self.enter_queue(sql, at, m)
    }

    fn enter_queue(&mut self, sql: &'static str, at: usize, m: &Message) -> Step<()> {
        self.exec(sql, params![self.lanes[at].row, m.priority as u8, m.row, m.due()])?;
        self.lanes[at].waiting += 1;
        self.count(State::Ready, 1);
        Ok(())
    }

    pub(super) fn schedule(&mut self, m: &Message, due: Millis) -> Step<()> {
        self.exec("INSERT INTO schedule (due, id, message) VALUES (?1, ?2, ?3)", params![due, m.id.as_bytes(), m.row])?;
        self.count(State::Scheduled, 1);
        Ok(())
    }

    /// Takes a waiting message out of the schedule or its queue. Redis leaves a shadow in the queue; a row is just removed.
    pub(super) fn stop_waiting(&mut self, m: &Message) -> Step<()> {
        if self.exec("DELETE FROM schedule WHERE message = ?1", [m.row])? > 0 {
            self.count(State::Scheduled, -1);
            return Ok(());
        }
        self.exec("DELETE FROM queue WHERE message = ?1", [m.row])?;
        let at = self.lane_at_row(m.lane)?;
        self.lanes[at].waiting -= 1;
        self.touch(at);
        self.count(State::Ready, -1);
        Ok(())
    }

    /// Takes a message out of its worker's hand.
    pub(super) fn leave_flight(&mut self, at: usize, flight: &Flight) -> Step<()> {
        self.exec("DELETE FROM flight WHERE id = ?1", [flight.id.as_bytes()])?;
        self.free_pair(flight.message)?;
        self.lanes[at].in_flight -= 1;
        self.count(flight.state, -1);
        Ok(())
    }

    /// SEND-SAFETY: it ends without a send that this would be the end of. Whose story was closed before stays known: a journal
    /// tells of that send once more, and it must not open the message again.
    pub(super) fn close_unsent(&mut self, m: &Message, state: State, code: &str) -> Step<()> {
        self.close(m, state, code, "", m.token)
    }

    pub(super) fn close(&mut self, m: &Message, state: State, code: &str, provider_id: &str, token: i64) -> Step<()> {
        // A text is kept no longer than it is needed.
        let sql = "UPDATE messages SET state = ?2, code = ?3, provider_id = ?4, token = ?5, ended = ?6, attempt = ?7, \
                   recoveries = ?8, intent = ?9, reads = ?10, expire_at = NULL, text = iif(?2 = 5, '', text) \
                   WHERE n = ?1";
        let end =
            params![m.row, state as u8, code, provider_id, token, self.now, m.attempt, m.recoveries, m.intent, m.reads];
        self.exec(sql, end)?;
        self.count(state, 1);
        if state == State::Sent && !provider_id.is_empty() {
            self.await_report(m, provider_id, token)?;
        }
        Ok(())
    }
}
