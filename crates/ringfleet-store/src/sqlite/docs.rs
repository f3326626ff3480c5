//! doc: small records that the fleet shares, changed by compare-and-set, and noticed by those who keep copies.
//!
//! Invariant: every key that was ever put has a row with the revision of its last change, a removed one (without a body)
//! until its removal is forgotten.

use std::time::Duration;

use rusqlite::params;

use super::{fault::Step, millis, raw_number, tx::Tx};
use crate::{
    docs::{ANSWER_BYTES, Doc, DocChanges, DocCursor, DocKind, Expect, MAX_CHANGES, MOST_GONE, Put, REMEMBER_MS, Read},
    message::Millis,
};

impl Tx<'_> {
    /// One whose time is over is gone, also before the reaper came.
    pub(super) fn doc_get(&self, kind: DocKind, key: &str) -> Step<Option<Doc>> {
        let sql = "SELECT rev, body, changed FROM docs WHERE kind = ?1 AND key = ?2 AND body IS NOT NULL \
                   AND coalesce(ends > ?3, 1)";
        self.row(sql, params![kind.as_str(), key, self.now], |row| {
            let rev: i64 = row.get(0)?;
            Ok(Doc { key: key.to_owned(), rev: rev.unsigned_abs(), body: row.get(1)?, changed_at: row.get(2)? })
        })
    }

    pub(super) fn doc_put(
        &mut self,
        kind: DocKind,
        key: &str,
        expect: Expect,
        body: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Step<Put> {
        let known = self.doc_get(kind, key)?;
        let fits = match expect {
            Expect::Anything => true,
            Expect::Absent => known.is_none(),
            Expect::Rev(rev) => known.as_ref().is_some_and(|doc| doc.rev == rev),
        };
        if !fits {
            return Ok(Put::Conflict(known));
        }
        if body.is_none() && known.is_none() {
            return Ok(Put::Stored(0));
        }
        let rev = self.next_token()?;
        let ends = ttl.filter(|_| body.is_some()).map(|ttl| self.now.saturating_add(millis(ttl).max(1)));
        let sql = "INSERT INTO docs (kind, key, rev, changed, ends, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   ON CONFLICT (kind, key) DO UPDATE SET rev = ?3, changed = ?4, ends = ?5, body = ?6";
        self.exec(sql, params![kind.as_str(), key, rev, self.now, ends, body])?;
        Ok(Put::Stored(rev.unsigned_abs()))
    }

    pub(super) fn docs_since(&self, kind: DocKind, cursor: &DocCursor, limit: u32) -> Step<DocChanges> {
        let limit = limit.clamp(1, MAX_CHANGES) as usize;
        let read = cursor.shards.first().copied().unwrap_or_default();
        let from = raw_number(read.rev);
        let begun = if from > 0 { raw_number(read.begun) } else { self.last_token()? };
        let floor = self.row("SELECT rev FROM doc_floors WHERE kind = ?1", [kind.as_str()], |row| row.get(0))?;
        // What was removed before the reading began was never read.
        if from > 0 && floor.is_some_and(|floor: i64| floor > from.max(begun)) {
            return Ok(DocChanges::reset());
        }
        // The bodies are read once it is known how many of them fit.
        let sql = "SELECT rev, iif(coalesce(ends > ?3, 1), length(body), NULL) FROM docs WHERE kind = ?1 AND rev > ?2 \
                   ORDER BY rev LIMIT ?4";
        let found: Vec<(i64, Option<i64>)> =
            self.rows(sql, params![kind.as_str(), from, self.now, limit as i64 + 1], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let (mut last, mut taken, mut bytes) = (from, 0, 0);
        for (rev, length) in found.iter().take(limit) {
            if bytes >= ANSWER_BYTES {
                break;
            }
            (last, taken, bytes) = (*rev, taken + 1, bytes + length.unwrap_or(0));
        }
        let mut changes = DocChanges { more: taken < found.len(), ..DocChanges::default() };
        changes.cursor.shards = vec![Read { rev: last.unsigned_abs(), incarnation: 0, begun: begun.unsigned_abs() }];
        let sql = "SELECT key, rev, changed, iif(coalesce(ends > ?4, 1), body, NULL) FROM docs WHERE kind = ?1 AND rev > ?2 \
                   AND rev <= ?3 ORDER BY rev";
        let told: Vec<(String, i64, Millis, Option<Vec<u8>>)> =
            self.rows(sql, params![kind.as_str(), from, last, self.now], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
        for (key, rev, changed_at, body) in told {
            match body {
                Some(body) => changes.changed.push(Doc { key, rev: rev.unsigned_abs(), body, changed_at }),
                None => changes.removed.push(key),
            }
        }
        Ok(changes)
    }

    /// Documents whose time is over, and removals that need not be remembered any more.
    pub(super) fn reap_docs(&mut self, limit: u32) -> Step<()> {
        let sql = "SELECT n FROM docs WHERE ends <= ?1 ORDER BY ends, kind || '/' || key LIMIT ?2";
        let over: Vec<i64> = self.rows(sql, params![self.now, limit], |row| row.get(0))?;
        for row in over {
            let rev = self.next_token()?;
            let sql = "UPDATE docs SET rev = ?2, changed = ?3, ends = NULL, body = NULL WHERE n = ?1";
            self.exec(sql, params![row, rev, self.now])?;
        }
        let gone: i64 =
            self.row("SELECT count(*) FROM docs WHERE body IS NULL", [], |row| row.get(0))?.unwrap_or_default();
        // A revision is made of its time, so it tells how old the removal is.
        let remembered = (self.now - REMEMBER_MS + 1).saturating_mul(2_048);
        let sql = "SELECT n, kind, rev FROM docs WHERE body IS NULL ORDER BY rev LIMIT ?1";
        let oldest: Vec<(i64, String, i64)> =
            self.rows(sql, [limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for ((row, kind, rev), place) in oldest.into_iter().zip(0..) {
            if rev >= remembered && place >= gone - MOST_GONE {
                break;
            }
            self.exec("DELETE FROM docs WHERE n = ?1", [row])?;
            self.exec("INSERT OR REPLACE INTO doc_floors (kind, rev) VALUES (?1, ?2)", params![kind, rev])?;
        }
        Ok(())
    }
}
