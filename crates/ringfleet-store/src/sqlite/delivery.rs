//! delivery: what became of sent messages, which the provider tells later.

use std::time::Duration;

use rusqlite::params;

use super::{fault::Step, messages::Message, millis, short, tx::Tx};
use crate::{
    delivery::{AwaitedReports, Delivery, FIRST_LOOK_MS, RAREST_LOOK_MS, REMEMBER_MS, Recorded},
    ids::{LaneId, MessageId},
    message::{Millis, Private, State},
    opt_out::OptOut,
    plan::LONGEST_DELIVERY_WAIT,
    store::MAX_BATCH,
};

impl Tx<'_> {
    fn report_wait(&self) -> Millis {
        millis(self.rules.delivery_wait)
    }

    /// Reports of older sends are given up. A process that waits for none leaves those of others alone, as long as any of them may
    /// wait; should nobody wait any more, they end all the same.
    fn reports_given_up(&self) -> Millis {
        self.now - if self.report_wait() > 0 { self.report_wait() } else { millis(LONGEST_DELIVERY_WAIT) }
    }

    /// A token is made of its time: before that of its lease a text was certainly not sent, nor before the first intent.
    pub(super) fn await_report(&mut self, m: &Message, provider_id: &str, token: i64) -> Step<()> {
        if self.report_wait() == 0 {
            return Ok(());
        }
        let claimed = token / 2_048;
        let since = if m.intent > 0 { m.intent.min(claimed) } else { claimed };
        let sql = "INSERT OR REPLACE INTO reports_due (lane, provider_id, message, since) VALUES (?1, ?2, ?3, ?4)";
        self.exec(sql, params![m.lane, provider_id, m.id.as_bytes(), since])?;
        self.awaited.entry(m.lane).and_modify(|first| *first = since.min(*first)).or_insert(since);
        Ok(())
    }

    pub(super) fn save_awaited(&mut self) -> Step<()> {
        for (lane, since) in std::mem::take(&mut self.awaited) {
            // A moment later, so that one look serves those that go together; not while somebody looks for the others.
            let sql = "UPDATE lanes SET report_since = min(coalesce(report_since, ?2), ?2), report_look = \
                       min(coalesce(report_look, max(?3, report_locked)), max(?3, report_locked)) WHERE n = ?1";
            self.exec(sql, params![lane, since, self.now + FIRST_LOOK_MS])?;
        }
        Ok(())
    }

    pub(super) fn delivery_take(&mut self, lanes: u32, lock: Duration) -> Step<Vec<AwaitedReports>> {
        if self.report_wait() == 0 {
            return Ok(Vec::new());
        }
        let (now, locked) = (self.now, self.now.saturating_add(millis(lock)));
        let sql = "SELECT n FROM lanes WHERE report_look <= ?1 ORDER BY report_look, name LIMIT ?2";
        let due: Vec<i64> = self.rows(sql, params![now, lanes.min(MAX_BATCH as u32)], |row| row.get(0))?;
        let mut taken = Vec::with_capacity(due.len());
        for row in due {
            // However many wait, a look costs no more than a count of so many.
            let sql = "SELECT (SELECT min(since) FROM reports_due WHERE lane = ?1 AND since > ?2), \
                (SELECT max(since) FROM reports_due WHERE lane = ?1), \
                (SELECT count(*) FROM (SELECT 1 FROM reports_due WHERE lane = ?1 AND since > ?2 LIMIT 10000))";
            let open = params![row, self.reports_given_up()];
            let found = self.row(sql, open, |row| {
                Ok((row.get::<_, Option<Millis>>(0)?, row.get::<_, Option<Millis>>(1)?, row.get(2)?))
            })?;
            let Some((Some(since), Some(last), waiting)) = found else {
                // The reaper forgets them.
                self.exec("UPDATE lanes SET report_look = NULL WHERE n = ?1", [row])?;
                continue;
            };
            // Soon after the last send, then ever rarer: after as long again as it is ago.
            let next = locked.max(now + (now - last).clamp(FIRST_LOOK_MS, RAREST_LOOK_MS));
            let sql = "UPDATE lanes SET report_look = ?2, report_locked = ?3 WHERE n = ?1";
            self.exec(sql, params![row, next, locked])?;
            let at = self.lane_at_row(row)?;
            taken.push(AwaitedReports { lane: self.lanes[at].id.clone(), since, waiting });
        }
        Ok(taken)
    }

    pub(super) fn record_delivery(&mut self, lane: &LaneId, reports: &[Delivery]) -> Step<Vec<Recorded>> {
        let row = self.peek_lane(lane)?.row;
        let answers = reports.iter().map(|report| self.record_one(row, report)).collect::<Step<_>>()?;
        self.index_reports(row)?;
        self.exec("DELETE FROM reports_told WHERE at <= ?1", [self.now - REMEMBER_MS])?;
        Ok(answers)
    }

    fn record_one(&mut self, lane: i64, report: &Delivery) -> Step<Recorded> {
        let provider_id = short(&report.provider_id);
        let sql = "SELECT since, message FROM reports_due WHERE lane = ?1 AND provider_id = ?2";
        let due: Option<(Millis, [u8; 16])> =
            self.row(sql, params![lane, provider_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((since, id)) = due else {
            let sql = "SELECT 1 FROM reports_told WHERE lane = ?1 AND provider_id = ?2 AND at > ?3";
            let told = self.row(sql, params![lane, provider_id, self.now - REMEMBER_MS], |_| Ok(()))?;
            return Ok(if told.is_some() { Recorded::Again } else { Recorded::Unknown });
        };
        if since <= self.reports_given_up() {
            return Ok(Recorded::Late);
        }
        self.exec("DELETE FROM reports_due WHERE lane = ?1 AND provider_id = ?2", params![lane, provider_id])?;
        let state = if report.delivered { State::Delivered } else { State::DeliveryFailed };
        // A record that is gone, or another one under the same key, is none of this text.
        let sql = "UPDATE messages SET state = ?2, reported = ?3, report = ?4 \
                   WHERE id = ?1 AND state = 5 AND lane = ?5 AND provider_id = ?6";
        let told = params![id, state as u8, self.now, short(&report.code), lane, provider_id];
        if self.exec(sql, told)? == 0 {
            return Ok(Recorded::Unknown);
        }
        self.count(State::Sent, -1);
        self.count(state, 1);
        let sql = "INSERT OR REPLACE INTO reports_told (lane, provider_id, at) VALUES (?1, ?2, ?3)";
        self.exec(sql, params![lane, provider_id, self.now])?;
        if report.opted_out {
            self.opt_out_of(lane, &id)?;
        }
        Ok(Recorded::Done(MessageId::from_bytes(id)))
    }

    /// SEND-SAFETY: noted with the first report alone, so that one that is read again does not undo an opt-in that came since. A
    /// record made of what a worker knew has no numbers.
    fn opt_out_of(&mut self, lane: i64, message: &[u8; 16]) -> Step<()> {
        let sql = "SELECT sender, recipient FROM messages WHERE id = ?1 AND recipient <> ''";
        let parties: Option<[String; 2]> = self.row(sql, [message], |row| Ok([row.get(0)?, row.get(1)?]))?;
        let Some([from, to]) = parties.map(|both| both.map(Private::new)) else { return Ok(()) };
        let at = self.lane_at_row(lane)?;
        let extension = self.lanes[at].id.extension().to_owned();
        self.set_opt_outs(&extension, &[OptOut { from, to, out: true }])
    }

    /// After some of a lane's reports are no longer waited for.
    fn index_reports(&self, lane: i64) -> Step<()> {
        let sql = "UPDATE lanes SET report_since = first, report_look = iif(first IS NULL, NULL, report_look) FROM \
                   (SELECT min(since) AS first FROM reports_due WHERE lane = ?1) WHERE n = ?1";
        self.exec(sql, [lane]).map(drop)
    }

    /// Forgets reports that did not come in their time, the longest waiting lane first; how many.
    pub(super) fn reap_reports(&mut self, limit: u32) -> Step<u32> {
        let before = self.reports_given_up();
        let sql = "SELECT n FROM lanes WHERE report_since <= ?1 ORDER BY report_since, name LIMIT ?2";
        let mut forgotten = 0;
        for lane in self.rows(sql, params![before, limit], |row| row.get::<_, i64>(0))? {
            let sql = "DELETE FROM reports_due WHERE lane = ?1 AND provider_id IN (SELECT provider_id FROM reports_due \
                       WHERE lane = ?1 AND since <= ?2 ORDER BY since, provider_id LIMIT ?3)";
            forgotten += self.exec(sql, params![lane, before, limit - forgotten])? as u32;
            self.index_reports(lane)?;
            if forgotten == limit {
                break;
            }
        }
        Ok(forgotten)
    }
}
