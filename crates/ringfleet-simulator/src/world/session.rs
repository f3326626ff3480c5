//! OAuth sessions of one extension: at most five, each with one live access token.

use super::Counters;
use super::directory::{Directory, TokenKind};
use crate::app::AppSettings;
use crate::clock::{Nanos, nanos};
use crate::config::SimulatorConfig;

/// "Usually five" parallel sessions per user and app (documented).
const MAX_SESSIONS: usize = 5;

/// What sessions need from the world around them.
pub(crate) struct SessionRules<'a> {
    pub(crate) config: &'a SimulatorConfig,
    pub(crate) app: &'a AppSettings,
    pub(crate) directory: &'a Directory,
    pub(crate) counters: &'a Counters,
}

impl SessionRules<'_> {
    fn token(&self, kind: TokenKind, index: usize) -> Token {
        Token(self.directory.token(kind, index, self.counters.next_secret()))
    }
}

/// What a login brings along.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) lifetimes: Lifetimes,
    pub(crate) endpoint_id: Option<&'a str>,
    /// The permissions it wants, if not all.
    pub(crate) scope: Option<&'a str>,
}

/// Lifetimes that the client asked for, already clamped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) access: Nanos,
    pub(crate) refresh: Nanos,
}

#[derive(Clone, PartialEq, Eq)]
struct Token(String);

pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) endpoint_id: String,
    /// The app that it belongs to.
    client_id: String,
    scope: Option<Box<str>>,
    access: Token,
    pub(crate) access_expires: Nanos,
    refresh: Option<Token>,
    pub(crate) refresh_expires: Nanos,
    first_used: Option<Nanos>,
    replaced: Option<Replaced>,
}

/// The pair that the last refresh put out of use.
struct Replaced {
    access: Token,
    refresh: Token,
    at: Nanos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenProblem {
    Expired,
    /// Just replaced by a refresh.
    Corrupted,
    NotFound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshProblem {
    Expired,
    NotFound,
    OtherApp,
}

impl Session {
    pub(crate) fn access(&self) -> &str {
        &self.access.0
    }

    pub(crate) fn refresh(&self) -> Option<&str> {
        self.refresh.as_ref().map(|token| token.0.as_str())
    }

    /// The permissions that the login wanted, if not all.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(crate) fn permits(&self, app: &AppSettings, permission: &str) -> bool {
        app.permissions.iter().any(|one| one == permission)
            && self.scope().is_none_or(|scope| scope.split(' ').any(|one| one == permission))
    }

    /// Without a refresh token a session ends with its access token.
    fn ends(&self) -> Nanos {
        match self.refresh {
            Some(_) => self.refresh_expires.max(self.access_expires),
            None => self.access_expires,
        }
    }

    fn replayable(&self, config: &SimulatorConfig, token: &str, now: Nanos) -> bool {
        self.replaced.as_ref().is_some_and(|old| {
            old.refresh.0 == token
                && match self.first_used {
                    None => now < old.at + nanos(config.replay_while_unused),
                    Some(used) => now < used + nanos(config.replay_after_use),
                }
        })
    }
}

#[derive(Default)]
pub(crate) struct Sessions {
    live: Vec<Session>,
    /// The most sessions alive at once.
    pub(crate) peak: usize,
}

impl Sessions {
    pub(crate) fn live(&self, now: Nanos) -> usize {
        self.live.iter().filter(|session| session.ends() > now).count()
    }

    /// A login. The oldest session falls out when there are too many (seen by users: OAU-213 long before expiry).
    pub(crate) fn open(
        &mut self,
        rules: &SessionRules<'_>,
        index: usize,
        opening: Opening<'_>,
        now: Nanos,
    ) -> &Session {
        self.live.retain(|session| session.ends() > now);
        if self.live.len() >= MAX_SESSIONS {
            self.live.remove(0);
        }
        let id = rules.counters.next_secret();
        self.live.push(Session {
            id,
            endpoint_id: opening.endpoint_id.map_or_else(|| format!("ep{id:020x}"), str::to_owned),
            client_id: rules.app.client_id.clone(),
            scope: opening.scope.map(Into::into),
            access: rules.token(TokenKind::Access, index),
            access_expires: now + opening.lifetimes.access,
            refresh: (rules.app.refresh_tokens).then(|| rules.token(TokenKind::Refresh, index)),
            refresh_expires: now + opening.lifetimes.refresh,
            first_used: None,
            replaced: None,
        });
        self.peak = self.peak.max(self.live.len());
        &self.live[self.live.len() - 1]
    }

    /// Judges the access token of an API call and remembers that it was used.
    pub(crate) fn check(
        &mut self,
        config: &SimulatorConfig,
        token: &str,
        now: Nanos,
    ) -> Result<&Session, TokenProblem> {
        for session in &mut self.live {
            if session.access.0 == token {
                if session.access_expires <= now {
                    return Err(TokenProblem::Expired);
                }
                session.first_used.get_or_insert(now);
                return Ok(session);
            }
            if let Some(old) = &session.replaced
                && old.access.0 == token
                && now < old.at + nanos(config.corrupted_for)
            {
                return Err(TokenProblem::Corrupted);
            }
        }
        Err(TokenProblem::NotFound)
    }

    /// Rotates, or repeats the last answer inside the grace. The old access token is dead when this returns.
    pub(crate) fn refresh(
        &mut self,
        rules: &SessionRules<'_>,
        index: usize,
        token: &str,
        lifetimes: Lifetimes,
        now: Nanos,
    ) -> Result<&Session, RefreshProblem> {
        let found = self
            .live
            .iter_mut()
            .find(|session| session.refresh() == Some(token) || session.replayable(rules.config, token, now));
        let session = found.ok_or(RefreshProblem::NotFound)?;
        if session.client_id != rules.app.client_id {
            return Err(RefreshProblem::OtherApp);
        }
        if session.refresh() != Some(token) {
            return Ok(session);
        }
        if session.refresh_expires <= now {
            return Err(RefreshProblem::Expired);
        }
        let fresh = rules.token(TokenKind::Access, index);
        session.replaced = Some(Replaced {
            access: std::mem::replace(&mut session.access, fresh),
            refresh: Token(token.to_owned()),
            at: now,
        });
        session.refresh = Some(rules.token(TokenKind::Refresh, index));
        session.access_expires = now + lifetimes.access;
        session.refresh_expires = now + lifetimes.refresh;
        session.first_used = None;
        Ok(session)
    }

    /// Ends the session that any of its tokens names.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let before = self.live.len();
        self.live.retain(|session| session.access() != token && session.refresh() != Some(token));
        self.live.len() < before
    }

    pub(crate) fn revoke_all(&mut self) -> usize {
        std::mem::take(&mut self.live).len()
    }
}
