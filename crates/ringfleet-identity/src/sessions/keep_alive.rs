//! Keeps connections alive that no message has needed for days: see [`crate::chain`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::ExtensionId;
use ringfleet_store::{RefusedCredential, StoreError, TokenLease};

use super::{
    NoSession, Sessions,
    fetch::{Given, Right},
    lock,
    login::{Granted, NotIn},
};
use crate::{chain::Chain, credential::Credential, metrics, moment::Moment, vault::VaultError};

/// What came of looking after a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptAlive {
    Refreshed,
    /// Another process was quicker, or it was taken away.
    NotDue,
    /// Another process has the right to renew at the moment.
    Elsewhere,
    /// Not now; tried again.
    Later,
    /// The provider will not take it any more: an alert was raised, and it is not tried again.
    Refused,
}

impl KeptAlive {
    fn as_str(self) -> &'static str {
        match self {
            KeptAlive::Refreshed => "refreshed",
            KeptAlive::NotDue => "not_due",
            KeptAlive::Elsewhere => "elsewhere",
            KeptAlive::Later => "later",
            KeptAlive::Refused => "refused",
        }
    }
}

impl Sessions {
    /// The connection of an extension that is to be kept alive, as this process knows it.
    pub fn chain(&self, extension: &str) -> Option<Chain> {
        self.roster
            .of(extension)
            .iter()
            .filter(|one| one.refused(&self.app_print).is_none())
            .find_map(Credential::chain)
    }

    /// Whether a login that no message waits for may be made now: none waits for its budget, and more than half of a budget that
    /// is the app's, or may be, is free.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn has_login_to_spare(&self) -> Result<bool, StoreError> {
        Ok(self.show_waiting() == 0 && self.login_budget().await?.spare)
    }

    /// Refreshes the connection of `extension` if it is due still. Nobody else renews its session meanwhile, and no POST begins
    /// with that; one that was made by another credential goes on afterwards.
    ///
    /// Cancel-safe like [`get`](Self::get).
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn keep_alive(self: &Arc<Self>, extension: &ExtensionId) -> Result<KeptAlive, StoreError> {
        let (sessions, extension) = (self.clone(), extension.clone());
        let kept = self.logins.spawn(async move { sessions.keep_alive_now(&extension).await });
        kept.await.unwrap_or(Ok(KeptAlive::Later))
    }

    async fn keep_alive_now(&self, extension: &ExtensionId) -> Result<KeptAlive, StoreError> {
        let name = extension.as_str();
        let turn = lock(&self.turns).entry(name.to_owned()).or_default().clone();
        let _turn = turn.lock().await;
        if self.logins.is_closed() {
            return Ok(KeptAlive::Later);
        }
        let credentials = self.roster.of(name);
        let Some((sends, prints)) = self.names(name, &credentials) else { return Ok(KeptAlive::NotDue) };
        let known_bad = self.trial(name, |trial| trial.refused);
        let ask = self.token_ask(&sends, &prints, known_bad, true);
        let asked_at = Moment::now();
        let kept = match self.store().token_lease(name, &self.worker, ask).await? {
            TokenLease::Valid(_) => KeptAlive::NotDue,
            TokenLease::Busy(_) => KeptAlive::Elsewhere,
            TokenLease::Dead { .. } => KeptAlive::Refused,
            TokenLease::Renew { generation, old, sending, refused } => {
                let right =
                    self.right(extension, ask, asked_at, known_bad, Given { generation, old, sending, refused });
                let kept = self.keeping_the_right(name, ask, self.refresh_if_due(right)).await;
                // Of no effect when a new session was stored.
                self.store().token_release(name, &self.worker, Duration::ZERO).await?;
                kept?
            }
        };
        metrics::kept_alive(kept.as_str());
        Ok(kept)
    }

    async fn refresh_if_due(&self, mut right: Right<'_>) -> Result<KeptAlive, StoreError> {
        let extension = right.extension;
        // What this process knows may be a moment behind: another one may have refreshed it.
        let known = match self.newest(extension).await {
            Ok(known) => known.filter(|known| known.enabled),
            Err(VaultError::Store(error)) => return Err(error),
            // Sealed with a key that this process lacks: not its business.
            Err(_) => None,
        };
        let now = self.store().now().await?;
        let due = |credential: &Credential| credential.chain().is_some_and(|chain| chain.due_at <= now);
        let Some(credential) = known.filter(due) else { return Ok(KeptAlive::NotDue) };
        let print = credential.login.print(&self.app_print);
        if right.refused.iter().any(|refused| refused.print == print) || credential.refused(&self.app_print).is_some() {
            return Ok(KeptAlive::Refused);
        }
        // The session of another credential lives on beside it, so its POSTs need not come to their end.
        let anothers = right.old_is_good && right.old.as_ref().is_some_and(|old| old.print != print);
        if anothers {
            right.drain_until = None;
        }
        let began = Instant::now();
        let refreshed = tokio::time::timeout(self.login_deadline(), self.next_of_chain(&right, &print)).await;
        match refreshed.unwrap_or(Err(NotIn::Unsure)) {
            Ok(_) if anothers => Ok(KeptAlive::Refreshed),
            Ok((token, since)) => {
                let login = credential.login.clone();
                // Its access token is as good as any, and the fleet's session until now may have ended with it.
                match self.keep(&right, Granted { token, since, login, print }).await {
                    Ok(Some(session)) if !self.know(extension.as_str(), &session) => Ok(KeptAlive::NotDue),
                    Ok(_) => Ok(KeptAlive::Refreshed),
                    Err(NoSession::Store(error)) => Err(error),
                    Err(_) => Ok(KeptAlive::Later),
                }
            }
            Err(NotIn::Refused { code }) => {
                let refused = RefusedCredential { print, reason: code };
                self.refuse(&right, &refused, began, Some(&credential)).await?;
                Ok(KeptAlive::Refused)
            }
            Err(NotIn::Later { .. } | NotIn::Unsure | NotIn::OfApp { .. }) => Ok(KeptAlive::Later),
            Err(NotIn::Store(error)) => Err(error),
        }
    }
}
