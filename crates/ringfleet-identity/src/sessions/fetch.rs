//! A session from the store, or the right to make one: asked for until one of both is there.

use std::time::{Duration, Instant};

use ringcentral::ExtensionId;
use ringfleet_store::{Group, LaneId, RefusedCredential, TokenAsk, TokenLease, TokenRecord};

use super::{NoSession, Session, Sessions, kept::Kept};
use crate::{credential::Credential, metrics, moment::Moment, seal::OpenError};

/// How long one who needs a session waits for another process that renews it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The right to renew: nobody else has it, and no POST begins with the old token.
pub(super) struct Right<'a> {
    pub(super) extension: &'a ExtensionId,
    pub(super) generation: u64,
    pub(super) old: Option<Kept>,
    /// The old token is not known to be bad, and lives.
    pub(super) old_is_good: bool,
    /// POSTs under way with the old token are waited for until then.
    pub(super) drain_until: Option<Instant>,
    /// No later than the moment at which it was given.
    since: Moment,
    /// Not to be tried.
    pub(super) refused: Vec<RefusedCredential>,
    ask: TokenAsk<'a>,
}

/// What [`TokenLease::Renew`] holds.
pub(super) struct Given {
    pub(super) generation: u64,
    pub(super) old: Option<TokenRecord>,
    pub(super) sending: u32,
    pub(super) refused: Vec<RefusedCredential>,
}

/// Why a renewal gave no session.
pub(super) enum NotRenewed {
    No(NoSession),
    /// As it was before: the old token is as good as it was.
    Unchanged {
        again_in: Duration,
    },
}

impl Sessions {
    pub(super) async fn fetch(
        &self,
        extension: &ExtensionId,
        credentials: &[Credential],
        newer_than: u64,
    ) -> Result<Session, NoSession> {
        let name = extension.as_str();
        let Some((sends, prints)) = self.names(name, credentials) else {
            return Err(NoSession::Dead { reason: "its name makes no lane".to_owned() });
        };
        let mut known_bad = self.trial(name, |trial| trial.refused);
        let give_up = Instant::now() + PATIENCE;
        loop {
            // One that is to be replaced ahead of its time is asked for as a bad one, so that of two who do so one renews it.
            let ask = self.token_ask(&sends, &prints, known_bad.max(newer_than), false);
            let asked_at = Moment::now();
            let lease = self.store().token_lease(name, &self.worker, ask).await.map_err(NoSession::Store)?;
            match lease {
                TokenLease::Valid(record) => match self.unseal(extension, &record) {
                    Some(kept) if !self.is_retired(name, &kept.print) => {
                        let until = asked_at.instant() + record.renew_in;
                        return Ok(Session {
                            token: kept.access,
                            generation: record.generation,
                            print: kept.print,
                            until,
                            life: kept.life,
                        });
                    }
                    // Unreadable, or made with a credential that was taken away: as good as none, so it is renewed.
                    _ => known_bad = record.generation,
                },
                TokenLease::Dead { refused } => return Err(dead(&refused)),
                TokenLease::Busy(_) if Instant::now() >= give_up => {
                    return Err(NoSession::Later { delay: Duration::from_secs(1) });
                }
                // The other one's answer usually comes long before its lock ends.
                TokenLease::Busy(wait) => tokio::time::sleep(wait.min(Duration::from_millis(30))).await,
                TokenLease::Renew { generation, old, sending, refused } => {
                    let right =
                        self.right(extension, ask, asked_at, known_bad, Given { generation, old, sending, refused });
                    let old_is_good = right.old_is_good;
                    match self.keeping_the_right(name, ask, self.renew(right, credentials)).await {
                        Ok(session) => return Ok(session),
                        Err(NotRenewed::No(no)) => return Err(no),
                        // The old token is given out again meanwhile, to whoever did not ask for a newer one.
                        Err(NotRenewed::Unchanged { .. })
                            if old_is_good && newer_than == 0 && Instant::now() < give_up => {}
                        Err(NotRenewed::Unchanged { again_in }) => {
                            return Err(NoSession::Later { delay: again_in });
                        }
                    }
                }
            }
        }
    }

    /// The lane of an extension's sends, and what names its credentials; `None` for an extension whose name makes no lane.
    pub(super) fn names(&self, extension: &str, credentials: &[Credential]) -> Option<(LaneId, Vec<String>)> {
        let sends = LaneId::try_new(self.app(), extension, Group::Medium).ok()?;
        Some((sends, credentials.iter().map(|one| one.login.print(&self.app_print)).collect()))
    }

    pub(super) fn token_ask<'a>(
        &self,
        sends: &'a LaneId,
        credentials: &'a [String],
        known_bad: u64,
        renew: bool,
    ) -> TokenAsk<'a> {
        TokenAsk { known_bad: Some(known_bad), credentials, lock: self.lock, renew, sends }
    }

    /// What the store gave with the right to renew, made into that right.
    pub(super) fn right<'a>(
        &self,
        extension: &'a ExtensionId,
        ask: TokenAsk<'a>,
        asked_at: Moment,
        known_bad: u64,
        given: Given,
    ) -> Right<'a> {
        let Given { generation, old, sending, refused } = given;
        let good = |record: &TokenRecord| record.generation > known_bad && !record.lives.is_zero();
        let old_is_good = old.as_ref().is_some_and(good);
        let most = self.client.config().total_timeout + self.client.config().connect_timeout;
        let lives = old.as_ref().map(|record| record.lives).unwrap_or_default();
        Right {
            extension,
            generation,
            old: old.and_then(|record| self.unseal(extension, &record)),
            old_is_good,
            drain_until: (old_is_good && sending > 0).then(|| asked_at.instant() + lives.min(most)),
            since: asked_at,
            refused,
            ask,
        }
    }

    /// Waits for the POSTs that are under way with the old token, because a refresh ends it at once. Gives whether the right to
    /// renew is held still.
    ///
    /// SEND-SAFETY: a refresh by one who has lost that right ends the session of whoever has it, with POSTs under way. So the store
    /// is asked last of all, and one that does not answer is believed no longer than the right lasts without being asked for.
    pub(super) async fn drain(&self, right: &Right<'_>) -> bool {
        let (mut held, mut pause) = (right.since, Duration::from_millis(5));
        loop {
            let asked = Moment::now();
            let waits = match self.store().token_lease(right.extension.as_str(), &self.worker, right.ask).await {
                // Of a later generation another one has renewed meanwhile.
                Ok(TokenLease::Renew { generation, sending, .. }) if generation == right.generation => {
                    held = asked;
                    sending > 0
                }
                Ok(_) => return false,
                Err(error) => {
                    metrics::store_error("token_lease", &error);
                    true
                }
            };
            if held.elapsed() >= self.lock {
                return false;
            }
            if !waits || right.drain_until.is_none_or(|until| Instant::now() >= until) {
                return true;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Does `work` and prolongs the right to renew meanwhile: it is as short as a lease, so that one who dies holds the others
    /// up no longer than that.
    pub(super) async fn keeping_the_right<T>(
        &self,
        extension: &str,
        ask: TokenAsk<'_>,
        work: impl Future<Output = T>,
    ) -> T {
        let prolong = async {
            loop {
                tokio::time::sleep(self.lock / 3).await;
                if let Err(error) = self.store().token_lease(extension, &self.worker, ask).await {
                    metrics::store_error("token_lease", &error);
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = prolong => never,
        }
    }

    /// `None` for what can't be read: it is as good as no session, because another can be had.
    pub(super) fn unseal(&self, extension: &ExtensionId, record: &TokenRecord) -> Option<Kept> {
        let opened = Kept::open(self.vault.keys(), self.app(), extension.as_str(), &record.sealed);
        if let Err(OpenError::UnknownKey { id }) = &opened {
            self.tell_of_key(*id);
        }
        opened.ok()
    }
}

pub(super) fn later(seconds: u64) -> NoSession {
    NoSession::Later { delay: Duration::from_secs(seconds) }
}

/// The reasons, then after a `#` the names of the credentials.
pub(super) fn dead(refused: &[RefusedCredential]) -> NoSession {
    let mut reasons: Vec<&str> = refused.iter().map(|one| one.reason.as_str()).collect();
    reasons.dedup();
    let prints: Vec<&str> = refused.iter().map(|one| one.print.as_str()).collect();
    NoSession::Dead { reason: format!("{} #{}", reasons.join(", "), prints.join(",")) }
}
