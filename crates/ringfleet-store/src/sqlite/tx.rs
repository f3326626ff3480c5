//! One transition at work: the transaction it runs in, its instant, and what it has changed of lanes and counts so far.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{
    fault::{Fault, Step},
    lanes::Lane,
};
use crate::{message::Millis, message::State, plan::LaneRules};

/// A token tells the time at which it was given out.
pub(super) const TOKENS_A_MS: i64 = 2_048;

pub(super) struct Tx<'a> {
    conn: &'a Connection,
    pub(super) rules: &'a LaneRules,
    /// Read once: a transition judges everything by one instant.
    pub(super) now: Millis,
    /// How long the call waited for its turn. An answer's age grows by it.
    pub(super) waited: Millis,
    /// Set by what other workers should wake up for.
    pub(super) wake: bool,
    pub(super) lanes: Vec<Lane>,
    pub(super) lane_by_name: HashMap<String, usize>,
    pub(super) lane_by_row: HashMap<i64, usize>,
    pub(super) touched: Vec<usize>,
    moved: [i64; State::ALL.len()],
    token: Option<i64>,
    /// Whether anybody has opted out of anything, once it was asked.
    pub(super) any_out: Option<bool>,
    /// Lanes with new delivery reports to wait for, and the earliest time of those.
    pub(super) awaited: HashMap<i64, Millis>,
    /// Messages put off in this transition because their recipient is busy.
    pub(super) put_off: Millis,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Connection, rules: &'a LaneRules, now: Millis, waited: Millis) -> Self {
        Self {
            conn,
            rules,
            now,
            waited,
            wake: false,
            lanes: Vec::new(),
            lane_by_name: HashMap::new(),
            lane_by_row: HashMap::new(),
            touched: Vec::new(),
            moved: [0; State::ALL.len()],
            token: None,
            any_out: None,
            awaited: HashMap::new(),
            put_off: 0,
        }
    }

    pub(super) fn exec(&self, sql: &'static str, values: impl Params) -> Step<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(values)?)
    }

    pub(super) fn row<T>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Step<Option<T>> {
        Ok(self.conn.prepare_cached(sql)?.query_row(values, read).optional()?)
    }

    /// Rows are read to the end before anything else happens, so that a transition may change what it walks over.
    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Step<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_map(values, read)?.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn inserted_row(&self) -> i64 {
        self.conn.last_insert_rowid()
    }

    pub(super) fn count(&mut self, state: State, by: i64) {
        self.moved[state as usize - 1] += by;
    }

    /// SEND-SAFETY: a token is never given out twice: the counter is committed together with the lease that carries it.
    pub(super) fn next_token(&mut self) -> Step<i64> {
        let last = self.last_token()?;
        // Made of the time too, so that a file brought back from an old copy gives none out twice.
        let token = (last + 1).max(self.now.saturating_mul(TOKENS_A_MS));
        self.token = Some(token);
        Ok(token)
    }

    /// The newest token there is.
    pub(super) fn last_token(&self) -> Step<i64> {
        match self.token {
            Some(last) => Ok(last),
            None => self
                .row("SELECT token FROM store", [], |row| row.get(0))?
                .ok_or(Fault::Unreadable("the store's own row is missing")),
        }
    }

    /// Ends every transition: writes what changed of the lanes with their place in the indexes, the counts, the tokens.
    pub(super) fn save(&mut self) -> Step<()> {
        for at in std::mem::take(&mut self.touched) {
            self.reindex(at)?;
            self.write_lane(at)?;
            self.lanes[at].untouch();
        }
        self.save_awaited()?;
        for (at, by) in std::mem::take(&mut self.moved).into_iter().enumerate().filter(|(_, by)| *by != 0) {
            self.exec("UPDATE counters SET n = n + ?2 WHERE state = ?1", params![State::ALL[at] as u8, by])?;
        }
        if let Some(token) = self.token.take() {
            self.exec("UPDATE store SET token = ?1", [token])?;
        }
        Ok(())
    }

    /// The gate: `None` when open, else the time at which to ask again (`IN_USE` for a stop without an end).
    pub(super) fn gate_until(&self) -> Step<Option<Millis>> {
        self.gate_of(false)
    }

    /// The kill switch lets a login through: it sends nothing, and a connection that nobody renews for days is lost.
    pub(super) fn gate_of(&self, login: bool) -> Step<Option<Millis>> {
        let gate = self.row("SELECT gate_stopped, gate_until FROM store", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (stopped, until): (bool, Option<Millis>) =
            gate.ok_or(Fault::Unreadable("the store's own row is missing"))?;
        if stopped && !login {
            return Ok(Some(super::slots::IN_USE));
        }
        Ok(until.filter(|until| *until > self.now))
    }
}
