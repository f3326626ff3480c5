//! enqueue: takes in messages.
//!
//! Invariant: the id of a keyed message comes from its key, so the record itself is the proof of a duplicate.

use rusqlite::params;

use super::{
    fault::{Fault, Step},
    messages::Message,
    tx::Tx,
};
use crate::{
    calls::Enqueued,
    ids::{Fingerprint, MessageId},
    message::{NewMessage, State},
};

/// See [`Tx::reassert`].
pub(super) const TOMBSTONE: Fingerprint = Fingerprint::from_bytes([0; 16]);

impl Tx<'_> {
    pub(super) fn enqueue(&mut self, batch: &[NewMessage]) -> Step<Vec<Enqueued>> {
        // Redis can't hold it, so no store takes it.
        if batch.iter().any(|new| [&new.from, &new.to].iter().any(|number| number.expose().contains('\0'))) {
            return Err(Fault::Refused("a number holds a zero byte"));
        }
        batch.iter().map(|new| self.enqueue_one(new)).collect()
    }

    fn enqueue_one(&mut self, new: &NewMessage) -> Step<Enqueued> {
        let id = new.key.as_ref().map_or_else(MessageId::random, MessageId::from_key);
        let fingerprint = new.fingerprint();
        // SEND-SAFETY: a repeated request must not become a second text; other content under one key is told apart.
        let known = self.row("SELECT fingerprint FROM messages WHERE id = ?1", [id.as_bytes()], |row| row.get(0))?;
        if let Some(known) = known.map(Fingerprint::from_bytes) {
            // A tombstone stands for any content.
            let same = known == fingerprint || known == TOMBSTONE;
            return Ok(if same { Enqueued::Duplicate(id) } else { Enqueued::Conflict(id) });
        }
        let at = self.lane_named(&new.lane)?;
        let mut m = Message {
            row: 0,
            id,
            lane: self.lanes[at].row,
            state: State::Ready,
            priority: new.priority,
            attempt: 0,
            recoveries: 0,
            created: self.now,
            send_at: new.send_at.unwrap_or(0).max(0),
            send_by: new.send_by.unwrap_or(0).max(0),
            token: 0,
            ended: None,
            on_unknown: new.on_unknown,
            intent: 0,
            reads: 0,
        };
        let sql = "INSERT INTO messages (id, lane, state, priority, created, send_at, send_by, fingerprint, sender, \
                   recipient, expire_at, text, on_unknown) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, nullif(?7, 0), ?11, ?12)";
        self.exec(
            sql,
            params![
                id.as_bytes(),
                m.lane,
                m.state as u8,
                m.priority as u8,
                m.created,
                m.send_at,
                m.send_by,
                fingerprint.as_bytes(),
                new.from.expose(),
                new.to.expose(),
                new.text.expose(),
                new.on_unknown as u8,
            ],
        )?;
        m.row = self.inserted_row();
        if self.is_out(new.lane.extension(), new.from.expose(), new.to.expose())? {
            // SEND-SAFETY: it never comes to a queue.
            self.close_unsent(&m, State::Suppressed, "opted-out")?;
            return Ok(Enqueued::Accepted(id));
        }
        if m.send_at > self.now {
            self.schedule(&m, m.send_at)?;
        } else {
            self.enqueue_back(at, &m)?;
            self.touch(at);
        }
        self.wake = true;
        Ok(Enqueued::Accepted(id))
    }
}
