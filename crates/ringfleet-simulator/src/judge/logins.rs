//! Logins and sessions, from the token requests.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Report;
use crate::clock::Nanos;
use crate::ledger::{TokenEntry, TokenOutcome};
use crate::world::{Sessions, World};

/// What one extension did with its credentials, and how many of its texts were accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionReport {
    pub extension: String,
    pub accepted: u64,
    pub logins: u64,
    pub refreshes: u64,
    pub auth_refused: u64,
    pub auth_429: u64,
    /// Sessions now.
    pub sessions: u64,
    /// The most at once.
    pub sessions_max: u64,
}

#[derive(Default)]
struct Figures {
    requests: u64,
    logins: u64,
    refreshes: u64,
    refused: u64,
    throttled: u64,
}

impl Figures {
    fn add(&mut self, entry: &TokenEntry) {
        self.requests += 1;
        match entry.outcome {
            TokenOutcome::Issued if entry.grant == "refresh_token" => self.refreshes += 1,
            TokenOutcome::Issued => self.logins += 1,
            TokenOutcome::Refused(_) => self.refused += 1,
            TokenOutcome::Throttled => self.throttled += 1,
            TokenOutcome::Revoked | TokenOutcome::Faulted => {}
        }
    }
}

pub(super) struct Logins {
    all: Figures,
    of: HashMap<u64, Figures>,
}

impl Logins {
    pub(super) fn of(world: &World) -> Self {
        let mut logins = Self { all: Figures::default(), of: HashMap::new() };
        for entry in &world.app().token_log {
            logins.all.add(entry);
            if let Some(id) = entry.extension_id {
                logins.of.entry(id).or_default().add(entry);
            }
        }
        logins
    }

    pub(super) fn of_extension(&mut self, id: u64, sessions: &Sessions, now: Nanos) -> ExtensionReport {
        let figures = self.of.remove(&id).unwrap_or_default();
        ExtensionReport {
            extension: id.to_string(),
            accepted: 0,
            logins: figures.logins,
            refreshes: figures.refreshes,
            auth_refused: figures.refused,
            auth_429: figures.throttled,
            sessions: sessions.live(now) as u64,
            sessions_max: sessions.peak as u64,
        }
    }

    pub(super) fn add_to(&self, report: &mut Report) {
        report.auth_requests = self.all.requests;
        report.logins = self.all.logins;
        report.refreshes = self.all.refreshes;
        report.auth_refused = self.all.refused;
        report.auth_429 = self.all.throttled;
    }
}
