//! token: one session of an extension for the whole fleet.
//!
//! Invariant: a token is renewed by one worker at a time, and a slow one never overwrites a newer session.

use std::time::Duration;

use rusqlite::params;

use super::{fault::Step, millis, raw_number, short, tx::Tx};
use crate::{
    calls::{TokenLease, TokenRecord},
    ids::WorkerId,
    message::Millis,
};

#[derive(Default)]
struct Session {
    generation: i64,
    sealed: Option<Vec<u8>>,
    expires: Millis,
    renewer: Option<String>,
    locked: Millis,
    dead: Option<String>,
    why: Option<String>,
}

/// [`crate::TokenAsk`], owned.
pub(super) struct Ask {
    pub(super) needed: Duration,
    pub(super) known_bad: Option<u64>,
    pub(super) credential: String,
    pub(super) lock: Duration,
}

impl Session {
    fn record(self) -> Option<TokenRecord> {
        let sealed = self.sealed.filter(|sealed| !sealed.is_empty())?;
        Some(TokenRecord { generation: self.generation.unsigned_abs(), sealed, expires_at: self.expires })
    }
}

impl Tx<'_> {
    fn session(&self, extension: &str) -> Step<Session> {
        let sql = "SELECT generation, sealed, expires, renewer, locked, dead, why FROM sessions WHERE extension = ?1";
        let session = self.row(sql, [extension], |row| {
            Ok(Session {
                generation: row.get(0)?,
                sealed: row.get(1)?,
                expires: row.get(2)?,
                renewer: row.get(3)?,
                locked: row.get(4)?,
                dead: row.get(5)?,
                why: row.get(6)?,
            })
        })?;
        Ok(session.unwrap_or_default())
    }

    pub(super) fn token_lease(&mut self, extension: &str, worker: &WorkerId, ask: &Ask) -> Step<TokenLease> {
        let session = self.session(extension)?;
        if session.dead.as_deref() == Some(ask.credential.as_str()) {
            return Ok(TokenLease::Dead { reason: session.why.unwrap_or_default() });
        }
        let other = session.renewer.as_deref().is_some_and(|renewer| renewer != worker.as_str());
        let (locked, generation) = (session.locked, session.generation);
        let known_bad = ask.known_bad.map(raw_number) == Some(generation);
        let lives = session.expires - self.now >= millis(ask.needed);
        let record = session.record();
        if let Some(record) = record.clone().filter(|_| lives && !known_bad) {
            return Ok(TokenLease::Valid(record));
        }
        if other && locked > self.now {
            return Ok(TokenLease::Busy(self.until(locked)));
        }
        let sql = "INSERT INTO sessions (extension, renewer, locked) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (extension) DO UPDATE SET renewer = ?2, locked = ?3";
        self.exec(sql, params![extension, worker.as_str(), self.now.saturating_add(millis(ask.lock))])?;
        Ok(TokenLease::Renew { generation: generation.unsigned_abs(), old: record })
    }

    pub(super) fn token_store(
        &mut self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        sealed: &[u8],
        expires_in: Duration,
    ) -> Step<bool> {
        let sql = "UPDATE sessions SET generation = generation + 1, sealed = ?4, expires = ?5, renewer = NULL, \
                   locked = 0, dead = NULL, why = NULL WHERE extension = ?1 AND renewer = ?2 AND generation = ?3";
        let expires = self.now.saturating_add(millis(expires_in));
        Ok(self.exec(sql, params![extension, worker.as_str(), raw_number(generation), sealed, expires])? > 0)
    }

    pub(super) fn token_failed(
        &mut self,
        extension: &str,
        worker: &WorkerId,
        credential: &str,
        dead: Option<&str>,
    ) -> Step<()> {
        let why = dead.map(short).filter(|why| !why.is_empty());
        // One who lost the renewal may have been refused only because the winner's refresh ended its token: not heard.
        let sql = "UPDATE sessions SET renewer = NULL, locked = 0, dead = iif(?4 IS NULL, dead, ?3), \
                   why = coalesce(?4, why) WHERE extension = ?1 AND renewer = ?2";
        self.exec(sql, params![extension, worker.as_str(), credential, why])?;
        Ok(())
    }
}
