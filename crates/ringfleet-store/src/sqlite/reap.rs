//! reap: looks after what nobody holds any more: ended leases, passed `send_by`, old records, old documents.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::{
    fault::{Fault, Step},
    messages::Flight,
    millis,
    tx::Tx,
};
use crate::{
    calls::Reaped,
    message::{Millis, State},
    store::{MAX_BATCH, MAX_RECOVERIES},
};

/// How long a text counts as another message's, beyond that one's record; without end while the lane has sends under way,
/// unknown ones, or messages that are to be sent again.
const CREDIT_MS: Millis = 900_000;

/// Of the messages that are, or are to be, sent again: they ask for texts from their first intent on. And of those that have ended,
/// by the time at which they came into their state: of a delivered one its report came later than its end. Made with each
/// opening, as files of this format have been without.
pub(super) fn make_indexes(conn: &Connection) -> Result<(), Fault> {
    let sql = "CREATE INDEX IF NOT EXISTS messages_again ON messages (lane, intent) WHERE state = 2 AND intent > 0; \
               CREATE INDEX IF NOT EXISTS messages_ended ON messages (coalesce(reported, ended), id) \
               WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14)";
    Ok(conn.execute_batch(sql)?)
}

impl Tx<'_> {
    pub(super) fn reap(&mut self, limit: u32, retention: Duration) -> Step<Reaped> {
        let limit = limit.min(MAX_BATCH as u32);
        let mut sum = Reaped { unreported: self.reap_reports(limit)?, ..Reaped::default() };
        for flight in self.ended_flights(limit)? {
            self.reap_flight(&flight, &mut sum)?;
        }
        sum.expired = self.expire(limit)?;
        sum.pruned = self.prune(limit, retention)?;
        self.reap_docs(limit)?;
        self.wake |= sum.requeued > 0;
        Ok(sum)
    }

    fn reap_flight(&mut self, flight: &Flight, sum: &mut Reaped) -> Step<()> {
        let mut m = self.message_at_row(flight.message)?;
        let at = self.lane_at_row(flight.lane)?;
        self.touch(at);
        self.leave_flight(at, flight)?;
        if flight.state == State::Sending {
            // SEND-SAFETY: its worker died after the intent; the POST may have arrived.
            self.lanes[at].time_slot(flight.token, self.now, 0);
            if self.close_sent_before(&m)? {
                sum.unknown += 1;
                return Ok(());
            }
            self.wake |= self.fate_unknown(at, m, "worker-lost", flight.token, flight.since)? == State::Ready;
            sum.unknown += 1;
            return Ok(());
        }
        // SEND-SAFETY: no intent, hence no POST, and begin_send refuses the old token from now on.
        self.lanes[at].slots.drop(flight.token);
        m.recoveries += 1;
        if m.recoveries > MAX_RECOVERIES {
            // SEND-SAFETY: the story of its lease is not closed: a store that has lost the intent may be told yet that it was sent.
            self.close_unsent(&m, State::Dead, "poison")?;
            sum.poisoned += 1;
        } else {
            self.exec("UPDATE messages SET recoveries = ?2 WHERE n = ?1", params![m.row, m.recoveries])?;
            self.enqueue_front(at, &m)?;
            sum.requeued += 1;
        }
        Ok(())
    }

    fn expire(&mut self, limit: u32) -> Step<u32> {
        let sql = "SELECT n FROM messages WHERE expire_at < ?1 ORDER BY expire_at, id LIMIT ?2";
        let mut expired = 0;
        for row in self.rows(sql, params![self.now, limit], |row| row.get(0))? {
            let m = self.message_at_row(row)?;
            if self.flight(&m.id)?.is_some() {
                // In a worker's hand: begin_send judges it, or settle puts it back and it is looked at again.
                self.exec("UPDATE messages SET expire_at = ?2 WHERE n = ?1", params![row, self.now + 1_000])?;
                continue;
            }
            self.stop_waiting(&m)?;
            self.close_unsent(&m, State::Expired, "send-by-passed")?;
            expired += 1;
        }
        Ok(expired)
    }

    fn prune(&mut self, limit: u32, retention: Duration) -> Step<u32> {
        let sql = "SELECT n, state FROM messages WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14) AND coalesce(reported, ended) <= ?1 \
                   ORDER BY coalesce(reported, ended), id LIMIT ?2";
        let before = self.now.saturating_sub(millis(retention));
        let old: Vec<(i64, u8)> = self.rows(sql, params![before, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (row, state) in &old {
            // SEND-SAFETY: what its text proves must not prove another message's sending. For one that began long after it nobody
            // looks at so old a text.
            let sql = "INSERT OR IGNORE INTO spare_credits (provider_id, lane, at) \
                       SELECT provider_id, lane, ended FROM messages AS old WHERE n = ?1 AND provider_id <> '' \
                       AND ended > (SELECT min(began) FROM (SELECT ?2 AS began \
                       UNION ALL SELECT min(intent) FROM messages WHERE lane = old.lane AND state = 11 \
                       UNION ALL SELECT min(intent) FROM messages WHERE lane = old.lane AND state = 2 AND intent > 0 \
                       UNION ALL SELECT min(since) FROM flight WHERE lane = old.lane)) - ?3";
            self.exec(sql, params![row, self.now, CREDIT_MS])?;
            self.exec("DELETE FROM messages WHERE n = ?1", [row])?;
            if let Some(state) = State::from_code(*state) {
                self.count(state, -1);
            }
        }
        let sql = "DELETE FROM spare_credits WHERE at <= ?1 AND NOT EXISTS \
                   (SELECT 1 FROM messages WHERE messages.lane = spare_credits.lane AND state = 11) \
                   AND NOT EXISTS \
                   (SELECT 1 FROM messages WHERE messages.lane = spare_credits.lane AND state = 2 AND intent > 0) \
                   AND NOT EXISTS (SELECT 1 FROM flight WHERE flight.lane = spare_credits.lane)";
        self.exec(sql, [self.now - CREDIT_MS])?;
        Ok(old.len() as u32)
    }
}
