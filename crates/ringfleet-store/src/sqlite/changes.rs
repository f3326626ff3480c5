//! changes: what has ended or is held, the oldest first.

use rusqlite::params;

use super::{fault::Step, tx::Tx};
use crate::{
    changes::{Change, ChangeCursor, Changes, SETTLED_MS},
    ids::MessageId,
    message::Millis,
};

impl Tx<'_> {
    pub(super) fn changes(&mut self, after: Option<ChangeCursor>, limit: usize) -> Step<Changes> {
        let Some(after) = after else {
            // Nothing may be noted later at a time that is said to be over.
            self.pin_time()?;
            return Ok(Changes::begin(self.now));
        };
        // Each goes by the index whose states it names.
        let ended = "SELECT coalesce(reported, ended), id, n FROM messages WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14) \
             AND (coalesce(reported, ended), id) > (?1, ?2) AND coalesce(reported, ended) <= ?3 \
             ORDER BY coalesce(reported, ended), id LIMIT ?4";
        let held = "SELECT ended, id, n FROM messages WHERE state IN (9, 10, 11) AND state = 10 \
             AND (ended, id) > (?1, ?2) AND ended <= ?3 ORDER BY ended, id LIMIT ?4";
        let mut found: Vec<(Millis, [u8; 16], i64)> = Vec::new();
        for sql in [ended, held] {
            let behind = params![after.at, after.id.as_bytes(), self.now - SETTLED_MS, limit as i64];
            found.extend(self.rows(sql, behind, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?);
        }
        found.sort_unstable();
        found.truncate(limit);
        if !found.is_empty() {
            self.pin_time()?;
        }
        let (more, mut next) = (found.len() == limit, after);
        let mut changes = Vec::with_capacity(found.len());
        for (at, id, row) in found {
            next = ChangeCursor { at, id: MessageId::from_bytes(id) };
            match self.message_at_row(row).and_then(|m| self.message_view(m)) {
                Ok(message) => changes.push(Change { cursor: next, message }),
                // It must not keep the others from whoever follows them.
                Err(fault) if fault.is_of_the_row() => {
                    tracing::warn!("a record that is no message is left out of the changes");
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(Changes { changes, next, more, now: self.now })
    }
}
