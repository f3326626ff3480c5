//! Which workers are there. A file has no moments to lose, so that is all that `watch` is for here.

use rusqlite::{Connection, params};

use super::{fault::Fault, fault::Step, tx::Tx};
use crate::{explain::WORKER_SEEN_MS, ids::WorkerId};

/// A worker is written down again no sooner, so that one that waits for work does not keep the disk awake.
const WRITE_EVERY_MS: i64 = 5_000;
/// The dead are forgotten after a day.
const FORGET_MS: i64 = 86_400_000;

/// A table of its own beside the schema: one without it is read as it always was.
pub(super) fn make_table(conn: &Connection) -> Result<(), Fault> {
    let sql = "CREATE TABLE IF NOT EXISTS workers (name TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT, WITHOUT ROWID";
    Ok(conn.execute_batch(sql)?)
}

impl Tx<'_> {
    pub(super) fn worker_is_there(&mut self, worker: &WorkerId) -> Step<()> {
        let sql = "SELECT 1 FROM workers WHERE name = ?1 AND seen > ?2";
        if self.row(sql, params![worker.as_str(), self.now - WRITE_EVERY_MS], |_| Ok(()))?.is_some() {
            return Ok(());
        }
        self.exec("INSERT OR REPLACE INTO workers (name, seen) VALUES (?1, ?2)", params![worker.as_str(), self.now])?;
        self.exec("DELETE FROM workers WHERE seen < ?1", [self.now - FORGET_MS]).map(drop)
    }

    pub(super) fn worker_leaves(&mut self, worker: &WorkerId) -> Step<()> {
        self.exec("DELETE FROM workers WHERE name = ?1", [worker.as_str()]).map(drop)
    }

    pub(super) fn workers(&self) -> Step<u32> {
        let sql = "SELECT count(*) FROM workers WHERE seen > ?1";
        Ok(self.row(sql, [self.now - WORKER_SEEN_MS], |row| row.get(0))?.unwrap_or(0))
    }
}
