//! reconcile: sends whose fate is unknown, and what workers know of a moment that the store has lost.
//!
//! Bounded: 100 sends of a lane at a time, the longest unknown first.

use std::time::Duration;

use rusqlite::params;

use super::{
    enqueue::TOMBSTONE,
    fault::Step,
    messages::Message,
    millis, raw_token, short,
    tx::{TOKENS_A_MS, Tx},
};
use crate::{
    calls::{Decided, Evidence, Found, Outcome, Reassertion, Settled, UnknownSend, UnknownSends},
    ids::{LeaseToken, MessageId},
    message::{LeaseRef, Millis, OnUnknown, Priority, Private, State},
};

const MOST_OF_A_LANE: u32 = 100;
/// Of one message that is sent again because its policy says so.
const MOST_SENDS: u32 = 5;
/// A moment, so that one read serves those that come together.
const FIRST_LOOK: Millis = 500;

impl Tx<'_> {
    /// SEND-SAFETY: of the messages between one sender and one recipient only one is in flight or of unknown fate, so that
    /// what the provider's message store shows can be told apart.
    pub(super) fn take_pair(&self, message: i64) -> Step<()> {
        let sql = "INSERT OR IGNORE INTO pairs (sender, recipient, message) \
                   SELECT sender, recipient, n FROM messages WHERE n = ?1";
        self.exec(sql, [message]).map(drop)
    }

    pub(super) fn free_pair(&self, message: i64) -> Step<()> {
        let sql = "DELETE FROM pairs WHERE (sender, recipient) = (SELECT sender, recipient FROM messages WHERE n = ?1) \
                   AND message = ?1";
        self.exec(sql, [message]).map(drop)
    }

    /// Whether another message between the two is in flight or of unknown fate.
    pub(super) fn pair_is_busy(&self, message: i64) -> Step<bool> {
        let sql = "SELECT 1 FROM messages m JOIN pairs p ON p.sender = m.sender AND p.recipient = m.recipient \
                   WHERE m.n = ?1 AND p.message <> ?1 LIMIT 1";
        Ok(self.row(sql, [message], |_| Ok(()))?.is_some())
    }

    /// SEND-SAFETY: nobody knows whether the provider took it. Never back to a queue from here, unless its policy says so.
    /// `intent` is the time before which it certainly was not sent.
    pub(super) fn fate_unknown(
        &mut self,
        at: usize,
        mut m: Message,
        code: &str,
        token: i64,
        intent: Millis,
    ) -> Step<State> {
        let intent = if m.intent > 0 { m.intent.min(intent) } else { intent };
        (m.intent, m.reads) = (intent.max(1), 0);
        let again = m.on_unknown == OnUnknown::Resend && m.attempt + 1 < MOST_SENDS;
        // SEND-SAFETY: its policy would send it again, but its recipient has opted out since. Whether the first one arrived is
        // asked.
        let never_again = again && self.message_is_out(at, m.row)?;
        if again && !never_again {
            m.attempt += 1;
            self.wait_once_more(at, &m, "resent", token)?;
            return Ok(State::Ready);
        }
        if m.on_unknown != OnUnknown::Reconcile && !never_again {
            self.close(&m, State::Held, code, "", token)?;
            return Ok(State::Held);
        }
        self.close(&m, State::Unknown, code, "", token)?;
        self.take_pair(m.row)?;
        self.look_before(at, self.now + FIRST_LOOK)?;
        Ok(State::Unknown)
    }

    fn look_before(&self, at: usize, time: Millis) -> Step<()> {
        // Not while somebody reads for the others.
        let sql =
            "UPDATE lanes SET look_at = min(coalesce(look_at, max(?2, looked_at)), max(?2, looked_at)) WHERE n = ?1";
        self.exec(sql, params![self.lanes[at].row, time]).map(drop)
    }

    /// Its fate is known, or it is given to a person.
    pub(super) fn leave_unknown(&mut self, at: usize, m: &Message) -> Step<()> {
        self.free_pair(m.row)?;
        self.count(State::Unknown, -1);
        let sql = "UPDATE lanes SET look_at = NULL, looked_at = 0 WHERE n = ?1 AND NOT EXISTS \
                   (SELECT 1 FROM messages WHERE lane = ?1 AND state = 11 AND n <> ?2)";
        self.exec(sql, params![self.lanes[at].row, m.row]).map(drop)
    }

    /// It waits again, at the head of its lane, and the story of `token` is closed.
    pub(super) fn wait_once_more(&mut self, at: usize, m: &Message, code: &str, token: i64) -> Step<()> {
        let sql = "UPDATE messages SET state = ?2, attempt = ?3, recoveries = ?4, code = ?5, provider_id = '', token = ?6, \
                   ended = NULL, intent = ?7, reads = 0, expire_at = nullif(send_by, 0) WHERE n = ?1";
        // SEND-SAFETY: the intent stays that of its first send: a text of that which shows up late is found as well, and whoever
        // sends the message again by hand is told from when on to look.
        self.exec(sql, params![m.row, State::Ready as u8, m.attempt, m.recoveries, code, token, m.intent])?;
        self.enqueue_front(at, m)
    }

    pub(super) fn reconcile_take(&mut self, lanes: u32, lock: Duration) -> Step<Vec<UnknownSends>> {
        if self.gate_until()?.is_some() {
            return Ok(Vec::new());
        }
        let sql = "SELECT n FROM lanes WHERE look_at <= ?1 ORDER BY look_at, name LIMIT ?2";
        let due: Vec<i64> = self.rows(sql, params![self.now, lanes], |row| row.get(0))?;
        let until = self.now.saturating_add(millis(lock));
        let mut taken = Vec::with_capacity(due.len());
        for row in due {
            self.exec("UPDATE lanes SET look_at = ?2, looked_at = ?2 WHERE n = ?1", params![row, until])?;
            let sql = "SELECT id, token, sender, recipient, text, intent, ended FROM messages \
                       WHERE lane = ?1 AND state = 11 ORDER BY ended, id LIMIT ?2";
            let sends = self.rows(sql, params![row, MOST_OF_A_LANE], |row| {
                let private = |at| row.get(at).map(|text: String| Private::new(text));
                let token: i64 = row.get(1)?;
                Ok(UnknownSend {
                    lease: LeaseRef { id: MessageId::from_bytes(row.get(0)?), token: LeaseToken(token.unsigned_abs()) },
                    from: private(2)?,
                    to: private(3)?,
                    text: private(4)?,
                    intent_at: row.get(5)?,
                    since: row.get(6)?,
                })
            })?;
            let at = self.lane_at_row(row)?;
            taken.push(UnknownSends { lane: self.lanes[at].id.clone(), sends });
        }
        Ok(taken)
    }

    pub(super) fn decide(
        &mut self,
        evidence: &[Evidence],
        settle_time: Duration,
        max_attempts: u32,
    ) -> Step<Vec<Decided>> {
        let closed = self.gate_until()?.is_some();
        let mut answers = Vec::with_capacity(evidence.len());
        let mut lanes = Vec::new();
        for one in evidence {
            let m = self.message(&one.lease.id)?;
            let Some(m) = m.filter(|m| m.state == State::Unknown && m.token == raw_token(one.lease.token)) else {
                answers.push(Decided::Stale);
                continue;
            };
            if closed {
                answers.push(Decided::NotYet);
                continue;
            }
            let at = self.lane_at_row(m.lane)?;
            if !lanes.contains(&at) {
                lanes.push(at);
            }
            answers.push(self.decide_one(at, m, &one.found, millis(settle_time), max_attempts)?);
        }
        for at in lanes {
            self.plan_look(at, millis(settle_time))?;
        }
        self.wake |= answers.contains(&Decided::Again);
        Ok(answers)
    }

    fn decide_one(
        &mut self,
        at: usize,
        mut m: Message,
        found: &Found,
        settle_ms: Millis,
        max_attempts: u32,
    ) -> Step<Decided> {
        self.touch(at);
        let token = m.token;
        let (free, read_at) = match found.judged() {
            Err(reason) => {
                self.leave_unknown(at, &m)?;
                self.close(&m, State::Held, &short(reason), "", token)?;
                return Ok(Decided::Held);
            }
            Ok((ids, read_at)) => (self.not_credited(ids)?, read_at),
        };
        let (wait, either) = if free.is_empty() { (false, false) } else { self.twins(m.row)? };
        match free.as_slice() {
            _ if wait => {}
            [id] if !either => {
                self.leave_unknown(at, &m)?;
                self.close(&m, State::Sent, "reconciled", id, token)?;
                return Ok(Decided::Sent);
            }
            [] => {}
            _ => {
                self.leave_unknown(at, &m)?;
                self.close(&m, State::Held, "several-matches", "", token)?;
                return Ok(Decided::Held);
            }
        }
        m.reads += 1;
        // SEND-SAFETY: absent only by two complete reads, the last of them begun when what was under way must be on record.
        let since = m.ended.unwrap_or(self.now);
        if wait || m.reads < 2 || read_at < since.saturating_add(settle_ms) {
            self.exec("UPDATE messages SET reads = ?2 WHERE n = ?1", params![m.row, m.reads])?;
            return Ok(Decided::NotYet);
        }
        self.leave_unknown(at, &m)?;
        m.attempt = (m.attempt + 1).min(255);
        if self.message_is_out(at, m.row)? {
            self.close(&m, State::Suppressed, "opted-out", "", token)?;
            return Ok(Decided::Suppressed);
        }
        if m.attempt >= max_attempts.min(255) {
            self.close(&m, State::Dead, "never-arrived", "", token)?;
            return Ok(Decided::Dead);
        }
        self.wait_once_more(at, &m, "not-sent", token)?;
        Ok(Decided::Again)
    }

    /// SEND-SAFETY: late evidence may have found a second one of the pair. While that is being sent, what is found may be its
    /// text, until its own report has counted it; while its fate is unknown too, nobody can tell whose a text is that is both
    /// of theirs. Returns whether one is being sent, and whether one with the same text is unknown.
    fn twins(&self, message: i64) -> Step<(bool, bool)> {
        let sql = "SELECT max(coalesce(f.state = 4, 0)), max(twin.state = 11 AND twin.text = m.text) FROM messages m \
                   JOIN pairs p ON p.sender = m.sender AND p.recipient = m.recipient \
                   JOIN messages twin ON twin.n = p.message LEFT JOIN flight f ON f.id = twin.id \
                   WHERE m.n = ?1 AND p.message <> ?1";
        let found =
            self.row(sql, [message], |row| Ok((row.get::<_, Option<bool>>(0)?, row.get::<_, Option<bool>>(1)?)))?;
        let (sending, unknown) = found.unwrap_or_default();
        Ok((sending.unwrap_or(false), unknown.unwrap_or(false)))
    }

    /// SEND-SAFETY: a text that proved another message's sending proves nothing about this one.
    fn not_credited(&self, ids: &[String]) -> Step<Vec<String>> {
        let mut free = Vec::new();
        for id in ids.iter().map(|id| short(id)) {
            let sql = "SELECT 1 FROM messages WHERE provider_id <> '' AND provider_id = ?1 \
                       UNION ALL SELECT 1 FROM spare_credits WHERE provider_id = ?1 LIMIT 1";
            if self.row(sql, [&id], |_| Ok(()))?.is_none() && !free.contains(&id) {
                free.push(id);
            }
        }
        Ok(free)
    }

    /// When the lane is to be looked at next: one never read soon, one that was read when its settle time is over.
    fn plan_look(&mut self, at: usize, settle_ms: Millis) -> Step<()> {
        let sql = "UPDATE lanes SET looked_at = 0, look_at = (SELECT min(iif(reads = 0, ended + ?3, max(?2 + 1000, ended + ?4))) FROM \
                   (SELECT reads, ended FROM messages WHERE lane = ?1 AND state = 11 ORDER BY ended, id LIMIT ?5)) \
                   WHERE n = ?1";
        self.exec(sql, params![self.lanes[at].row, self.now, FIRST_LOOK, settle_ms, MOST_OF_A_LANE]).map(drop)
    }

    pub(super) fn reassert(&mut self, journal: &[Reassertion], retention: Duration) -> Step<Vec<Settled>> {
        let mut answers = Vec::with_capacity(journal.len());
        for entry in journal {
            let lease = entry.settlement.lease;
            // By the store's own time, whatever the clock of the machine that tells it says.
            let claimed = raw_token(lease.token) / TOKENS_A_MS;
            let kept_until = claimed.saturating_add(millis(retention));
            // SEND-SAFETY: its record would have kept the key until then. What came in before is that message, whenever it is told: a
            // store that went back believes it unsent, or was given it again. What came in later is another.
            let is_another = self.message(&lease.id)?.is_some_and(|m| m.created > claimed && m.created >= kept_until);
            let mut answer = if is_another { Settled::Missing } else { self.settle_one(&entry.settlement, true)? };
            if answer == Settled::Missing {
                if is_another || self.now >= kept_until {
                    // Its record was most likely forgotten in its turn; another one would keep its key from the next message.
                    answer = Settled::Stale;
                } else {
                    self.write_tombstone(entry)?;
                }
                let at = self.lane_named(&entry.lane)?;
                self.touch(at);
                self.heard_again(at, &entry.settlement);
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    /// SEND-SAFETY: a message that was lost together with the moment in which it was sent may be handed in again, with the
    /// same key. The record says that it was sent, or held, and stands for any content.
    fn write_tombstone(&mut self, entry: &Reassertion) -> Step<()> {
        let lease = entry.settlement.lease;
        let (state, provider_id) = match &entry.settlement.outcome {
            Outcome::Sent { provider_id } => (State::Sent, short(provider_id)),
            Outcome::Unknown { .. } => (State::Held, String::new()),
            _ => return Ok(()),
        };
        let at = self.lane_named(&entry.lane)?;
        let sql = "INSERT INTO messages (id, lane, state, priority, created, send_at, send_by, fingerprint, sender, \
                   recipient, text, on_unknown, code, provider_id, token, ended) \
                   VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, '', '', '', ?7, 'rolled-back', ?8, ?9, ?5)";
        let values = params![
            lease.id.as_bytes(),
            self.lanes[at].row,
            state as u8,
            Priority::Normal as u8,
            self.now,
            TOMBSTONE.as_bytes(),
            OnUnknown::Hold as u8,
            &provider_id,
            raw_token(lease.token),
        ];
        self.exec(sql, values)?;
        self.touch(at);
        self.count(state, 1);
        let tombstone = self.message(&lease.id)?.filter(|_| !provider_id.is_empty());
        tombstone.map_or(Ok(()), |m| self.await_report(&m, &provider_id, m.token))
    }
}
