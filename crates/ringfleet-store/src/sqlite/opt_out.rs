//! opt_out: who wants no texts. Every entry stands for itself: lifting one lifts no wider and no narrower one.

use rusqlite::params;

use super::{fault::Step, raw_number, tx::Tx};
use crate::{
    message::{Millis, Private},
    opt_out::{self, OptOut, OptOutCursor, OptOuts, OptedOut},
};

impl Tx<'_> {
    pub(super) fn set_opt_outs(&mut self, extension: &str, changes: &[OptOut]) -> Step<()> {
        for change in changes {
            let (from, to) = (change.from.expose(), change.to.expose());
            let known = "SELECT 1 FROM opt_outs WHERE extension = ?1 AND sender = ?2 AND recipient = ?3";
            let known = self.row(known, params![extension, from, to], |_| Ok(()))?.is_some();
            if !change.out {
                let sql = "DELETE FROM opt_outs WHERE extension = ?1 AND sender = ?2 AND recipient = ?3";
                self.exec(sql, params![extension, from, to])?;
            } else if !known {
                let rev = self.next_token()?;
                let sql = "INSERT INTO opt_outs (extension, sender, recipient, rev) VALUES (?1, ?2, ?3, ?4)";
                self.exec(sql, params![extension, from, to, rev])?;
            }
        }
        Ok(())
    }

    /// SEND-SAFETY: what was entered after `until` stays, because who asked for texts then has not heard of it.
    pub(super) fn lift_opt_outs(&mut self, extension: &str, opt_outs: &[OptOut], until: Millis) -> Step<()> {
        // The first revision of a later time.
        let later = opt_out::first_rev(until.saturating_add(1));
        for one in opt_outs {
            let sql = "DELETE FROM opt_outs WHERE extension = ?1 AND sender = ?2 AND recipient = ?3 AND rev < ?4";
            self.exec(sql, params![extension, one.from.expose(), one.to.expose(), later])?;
        }
        Ok(())
    }

    /// SEND-SAFETY: nothing is sent to a number that has opted out of its sender's texts. A fleet without opt-outs pays for one
    /// look a transition, not for one a message.
    pub(super) fn is_out(&mut self, extension: &str, from: &str, to: &str) -> Step<bool> {
        let any = match self.any_out {
            Some(any) => any,
            None => self.row("SELECT 1 FROM opt_outs LIMIT 1", [], |_| Ok(()))?.is_some(),
        };
        self.any_out = Some(any);
        let sql = "SELECT 1 FROM opt_outs WHERE extension IN ('', ?1) AND sender IN ('*', ?2) AND recipient = ?3";
        Ok(any && self.row(sql, params![extension, from, to], |_| Ok(()))?.is_some())
    }

    /// The same of a message of the lane at `at`.
    pub(super) fn message_is_out(&mut self, at: usize, message: i64) -> Step<bool> {
        if self.any_out == Some(false) {
            return Ok(false);
        }
        let sql = "SELECT sender, recipient FROM messages WHERE n = ?1";
        let Some((from, to)) =
            self.row(sql, [message], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        else {
            return Ok(false);
        };
        let extension = self.lanes[at].id.extension().to_owned();
        self.is_out(&extension, &from, &to)
    }

    pub(super) fn opt_outs(&self, cursor: &OptOutCursor, limit: u32) -> Step<OptOuts> {
        let limit = opt_out::limit(limit);
        let sql = "SELECT rev, extension, sender, recipient FROM opt_outs WHERE rev > ?1 ORDER BY rev LIMIT ?2";
        let mut found: Vec<(u64, OptedOut)> =
            self.rows(sql, params![raw_number(cursor.rev), limit as i64 + 1], |row| {
                let rev = row.get::<_, i64>(0)?.unsigned_abs();
                let extension = Some(row.get(1)?).filter(|extension: &String| !extension.is_empty());
                let [from, to] = [row.get::<_, String>(2)?, row.get(3)?].map(Private::new);
                Ok((rev, OptedOut { extension, from, to, since: opt_out::since(rev) }))
            })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let rev = found.last().map_or(cursor.rev, |(rev, _)| *rev);
        let opted_out = found.into_iter().map(|(_, entry)| entry).collect();
        Ok(OptOuts { opted_out, cursor: OptOutCursor { shard: 0, rev }, more })
    }
}
