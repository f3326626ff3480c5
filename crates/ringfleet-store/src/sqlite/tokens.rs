//! token: one session of an extension for the whole fleet.
//!
//! Invariant: a token is renewed by one worker at a time, nobody is given one whose renewal has begun, and a slow worker never
//! overwrites a newer session. A generation is made like a lease token: none comes twice.

use std::time::Duration;

use rusqlite::params;

use super::{
    fault::Step,
    millis, raw_number, short,
    tx::{TOKENS_A_MS, Tx},
};
use crate::{
    ids::{LaneId, WorkerId},
    message::{Millis, State},
    session::{Heard, RefusedCredential, SessionView, TokenLease, TokenRecord},
};

/// Refused credentials that are remembered; they come and go.
const MOST_REFUSED: usize = 8;

#[derive(Default)]
struct Session {
    generation: i64,
    sealed: Option<Vec<u8>>,
    expires: Millis,
    renew: Millis,
    renewer: Option<String>,
    locked: Millis,
    refused: Vec<RefusedCredential>,
    /// The newest token when its lane was let go on last.
    resumed: i64,
}

/// [`crate::TokenAsk`], owned.
pub(super) struct Ask {
    pub(super) known_bad: Option<u64>,
    pub(super) credentials: Vec<String>,
    pub(super) lock: Duration,
    pub(super) renew: bool,
    pub(super) sends: LaneId,
}

fn lines(refused: &[RefusedCredential]) -> String {
    let lines: Vec<_> = refused.iter().map(|one| format!("{} {}", one.print, one.reason)).collect();
    lines.join("\n")
}

fn of_lines(text: &str) -> Vec<RefusedCredential> {
    let one = |line: &str| {
        let (print, reason) = line.split_once(' ').unwrap_or((line, ""));
        RefusedCredential { print: print.to_owned(), reason: reason.to_owned() }
    };
    text.lines().map(one).collect()
}

impl Session {
    fn is_held(&self, now: Millis) -> bool {
        self.renewer.is_some() && self.locked > now
    }
}

impl Tx<'_> {
    fn session(&self, extension: &str) -> Step<Session> {
        let sql = "SELECT generation, sealed, expires, renew, renewer, locked, refused, resumed FROM sessions WHERE extension = ?1";
        let session = self.row(sql, [extension], |row| {
            Ok(Session {
                generation: row.get(0)?,
                sealed: row.get(1)?,
                expires: row.get(2)?,
                renew: row.get(3)?,
                renewer: row.get(4)?,
                locked: row.get(5)?,
                refused: of_lines(&row.get::<_, String>(6)?),
                resumed: row.get(7)?,
            })
        })?;
        Ok(session.unwrap_or_default())
    }

    pub(super) fn session_views(&mut self, extensions: &[String]) -> Step<Vec<SessionView>> {
        let view = |session: Session| SessionView {
            generation: session.generation.unsigned_abs(),
            lives: self.until(session.expires),
            renew_in: self.until(session.renew),
            renewing: session.is_held(self.now),
            refused: session.refused,
        };
        extensions.iter().map(|extension| self.session(extension).map(view)).collect()
    }

    /// Whether a session of this generation was replaced, or is being renewed.
    pub(super) fn session_is_over(&self, extension: &str, generation: u64) -> Step<bool> {
        if generation == 0 {
            return Ok(false);
        }
        let (session, generation) = (self.session(extension)?, raw_number(generation));
        let renewed = generation == session.generation && session.is_held(self.now);
        Ok(generation < session.generation || renewed)
    }

    pub(super) fn token_lease(&mut self, extension: &str, worker: &WorkerId, ask: &Ask) -> Step<TokenLease> {
        let mut session = self.session(extension)?;
        let known = std::mem::take(&mut session.refused);
        let refused: Vec<_> = known.into_iter().filter(|one| ask.credentials.contains(&one.print)).collect();
        let usable = refused.len() < ask.credentials.len();
        // One that nobody can renew is used to its end.
        let due = if usable { session.renew } else { session.expires };
        let (held, generation) = (session.is_held(self.now), session.generation);
        let others = session.renewer.as_deref().is_some_and(|renewer| renewer != worker.as_str());
        let good = generation > ask.known_bad.map_or(0, raw_number) && session.expires > self.now;
        let record = session.sealed.filter(|sealed| !sealed.is_empty()).map(|sealed| TokenRecord {
            generation: generation.unsigned_abs(),
            sealed,
            lives: self.until(session.expires),
            renew_in: self.until(due),
        });
        if good
            && due > self.now
            && !held
            && !ask.renew
            && let Some(record) = record
        {
            return Ok(TokenLease::Valid(record));
        }
        if held && others {
            return Ok(TokenLease::Busy(self.until(session.locked)));
        }
        if !usable {
            return Ok(TokenLease::Dead { refused });
        }
        let sql = "INSERT INTO sessions (extension, renewer, locked) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (extension) DO UPDATE SET renewer = ?2, locked = ?3";
        self.exec(sql, params![extension, worker.as_str(), self.now.saturating_add(millis(ask.lock))])?;
        let sql = "SELECT count(*) FROM flight WHERE state = ?2 AND lane = (SELECT n FROM lanes WHERE name = ?1)";
        let under_way: Option<i64> =
            self.row(sql, params![ask.sends.as_str(), State::Sending as u8], |row| row.get(0))?;
        let sending = under_way.unwrap_or(0) as u32;
        Ok(TokenLease::Renew { generation: generation.unsigned_abs(), old: record, sending, refused })
    }

    pub(super) fn token_store(
        &mut self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        sealed: &[u8],
        lives: Duration,
        renew_in: Duration,
    ) -> Step<Option<u64>> {
        let new = self.next_token()?.max(raw_number(generation) + 1);
        let sql = "UPDATE sessions SET generation = ?4, sealed = ?5, expires = ?6, renew = ?7, renewer = NULL, \
                   locked = 0 WHERE extension = ?1 AND renewer = ?2 AND generation = ?3";
        let at = |time: Duration| self.now.saturating_add(millis(time));
        let (expires, renew) = (at(lives), at(renew_in));
        let held = params![extension, worker.as_str(), raw_number(generation), new, sealed, expires, renew];
        let stored = self.exec(sql, held)? > 0;
        Ok(stored.then_some(new.unsigned_abs()))
    }

    pub(super) fn token_release(&mut self, extension: &str, worker: &WorkerId, again_in: Duration) -> Step<()> {
        let sql = "UPDATE sessions SET renewer = NULL, locked = 0, renew = max(renew, ?3) \
                   WHERE extension = ?1 AND renewer = ?2";
        let again = self.now.saturating_add(millis(again_in));
        self.exec(sql, params![extension, worker.as_str(), again])?;
        Ok(())
    }

    pub(super) fn token_refuse(
        &mut self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        refused: &RefusedCredential,
        age: Duration,
    ) -> Step<Heard> {
        let session = self.session(extension)?;
        let others = session.renewer.as_deref().is_some_and(|renewer| renewer != worker.as_str());
        // One who lost the renewal may have been refused only because the winner's refresh ended its token: not heard.
        if session.generation != raw_number(generation) || (others && session.is_held(self.now)) {
            return Ok(Heard::No);
        }
        // Asked before the lane was let go on: the cause may be gone, and the next login tells.
        let age = millis(age).saturating_add(self.waited);
        if self.now.saturating_sub(age) < session.resumed / TOKENS_A_MS {
            return Ok(Heard::No);
        }
        let mut all = session.refused;
        if all.iter().any(|one| one.print == refused.print) {
            return Ok(Heard::Known);
        }
        all.push(RefusedCredential { print: refused.print.clone(), reason: short(&refused.reason) });
        let newest = &all[all.len().saturating_sub(MOST_REFUSED)..];
        let sql = "INSERT INTO sessions (extension, refused) VALUES (?1, ?2) \
                   ON CONFLICT (extension) DO UPDATE SET refused = ?2";
        self.exec(sql, params![extension, lines(newest)])?;
        Ok(Heard::New)
    }

    /// The extension's lane goes on: what was learnt under a lease of before speaks of a cause that is said to be gone.
    pub(super) fn session_resumes(&mut self, extension: &str) -> Step<()> {
        let token = self.next_token()?;
        let sql = "INSERT INTO sessions (extension, resumed) VALUES (?1, ?2) \
                   ON CONFLICT (extension) DO UPDATE SET resumed = ?2";
        self.exec(sql, params![extension, token])?;
        Ok(())
    }

    /// Whether what was learnt under this lease is of before the extension's lane was let go on.
    pub(super) fn was_resumed_since(&self, extension: &str, token: i64) -> Step<bool> {
        let resumed: Option<i64> =
            self.row("SELECT resumed FROM sessions WHERE extension = ?1", [extension], |row| row.get(0))?;
        Ok(resumed.is_some_and(|resumed| token <= resumed))
    }
}
