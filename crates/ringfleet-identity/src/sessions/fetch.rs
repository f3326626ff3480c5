//! A session from the store, or the right to make one: asked for until one of both is there.

use std::time::{Duration, Instant};

use ringcentral::{AccessToken, ExtensionId, Token};
use ringfleet_store::{TokenAsk, TokenLease, TokenRecord};

use super::{NoSession, Session, Sessions, kept::Kept, lock};
use crate::{credential::Credential, metrics};

/// How long one who needs a session waits for another process that renews it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Sessions {
    pub(super) async fn fetch(
        &self,
        extension: &ExtensionId,
        credentials: &[Credential],
    ) -> Result<Session, NoSession> {
        let name = extension.as_str();
        let prints = self.prints_of(credentials);
        let mut known_bad = lock(&self.trials).get(name).map(|trial| trial.refused);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let ask = TokenAsk { needed: self.needed, known_bad, credential: &prints, lock: self.lock };
            let lease = self.store().token_lease(name, &self.worker, ask).await.map_err(NoSession::Store)?;
            match lease {
                TokenLease::Valid(record) => {
                    if let Some(session) = self.open(extension, &record).await? {
                        return Ok(session);
                    }
                    // Unreadable: as good as none, so it is renewed.
                    known_bad = Some(record.generation);
                }
                TokenLease::Dead { reason } => return Err(NoSession::Dead { reason }),
                TokenLease::Busy(_) if Instant::now() >= give_up => {
                    return Err(NoSession::Later { delay: Duration::from_secs(1) });
                }
                // The other one's answer usually comes long before its lock ends.
                TokenLease::Busy(wait) => tokio::time::sleep(wait.min(Duration::from_millis(50))).await,
                TokenLease::Renew { generation, old } => {
                    if let Some(session) = self.still_good(extension, &prints, known_bad, old.as_ref()).await? {
                        return Ok(session);
                    }
                    let keep_the_right = self.keep_the_right(name, ask);
                    return tokio::select! {
                        renewed = self.renew(extension, credentials, &prints, generation, old) => renewed,
                        () = keep_the_right => Err(NoSession::Later { delay: Duration::from_secs(1) }),
                    };
                }
            }
        }
    }

    /// Logs in as the one process that may. Every way out of here gives the right to renew back.
    async fn renew(
        &self,
        extension: &ExtensionId,
        credentials: &[Credential],
        prints: &str,
        generation: u64,
        old: Option<TokenRecord>,
    ) -> Result<Session, NoSession> {
        let name = extension.as_str();
        let old = old.and_then(|record| self.unseal(extension, &record));
        let login = tokio::time::timeout(self.login_deadline(), self.log_in(extension, credentials, old));
        let renewed = login.await.unwrap_or(Err(NoSession::Later { delay: Duration::from_secs(2) }));
        let failed = |dead| async move {
            self.store().token_failed(name, &self.worker, prints, dead).await.map_err(NoSession::Store)
        };
        match renewed {
            Ok((token, kept)) => {
                let stored = self.keep(extension, generation, &kept, &token).await?;
                metrics::token("granted");
                if !stored {
                    // Too slow: somebody else renewed meanwhile, and theirs is the fleet's session.
                    return Err(NoSession::Later { delay: Duration::from_millis(50) });
                }
                Ok(self.session(token.access_token, generation + 1, token.expires_in))
            }
            Err(NoSession::Dead { reason }) => {
                let reason = format!("{reason} #{prints}");
                failed(Some(&reason)).await?;
                Err(NoSession::Dead { reason })
            }
            Err(later) => {
                metrics::token("failed");
                failed(None).await?;
                Err(later)
            }
        }
    }

    /// Hands the fleet a session that was granted. Asked more than once: a session that only the provider knows is one too
    /// many for the extension, and the next worker would log in again.
    async fn keep(
        &self,
        extension: &ExtensionId,
        generation: u64,
        kept: &Kept,
        token: &Token,
    ) -> Result<bool, NoSession> {
        let name = extension.as_str();
        let sealed = kept.seal(self.vault.keys(), self.app(), name);
        for pause in [50, 100, 200, 0] {
            match self.store().token_store(name, &self.worker, generation, &sealed, token.expires_in).await {
                Ok(stored) => return Ok(stored),
                Err(error) if pause == 0 => return Err(NoSession::Store(error)),
                Err(error) => metrics::store_error("token_store", &error),
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(false)
    }

    /// A token that never lived as long as is asked for is good for half of its life: renewed earlier, by each worker in turn,
    /// every renewal would end the token that the others send with. Gives the right to renew back then.
    async fn still_good(
        &self,
        extension: &ExtensionId,
        prints: &str,
        known_bad: Option<u64>,
        old: Option<&TokenRecord>,
    ) -> Result<Option<Session>, NoSession> {
        let Some(record) = old.filter(|record| known_bad.is_none_or(|bad| record.generation > bad)) else {
            return Ok(None);
        };
        let Some(kept) = self.unseal(extension, record) else { return Ok(None) };
        let left = self.left_of(record).await?;
        if kept.life.is_zero() || left < self.needed.min(kept.life / 2) {
            return Ok(None);
        }
        let name = extension.as_str();
        self.store().token_failed(name, &self.worker, prints, None).await.map_err(NoSession::Store)?;
        Ok(Some(self.session(kept.access, record.generation, left)))
    }

    /// Asks for the right to renew again and again, as long as the login takes. Never ends.
    async fn keep_the_right(&self, extension: &str, ask: TokenAsk<'_>) {
        loop {
            tokio::time::sleep(self.lock / 3).await;
            if let Err(error) = self.store().token_lease(extension, &self.worker, ask).await {
                metrics::store_error("token_lease", &error);
            }
        }
    }

    /// Reads a record of the store.
    async fn open(&self, extension: &ExtensionId, record: &TokenRecord) -> Result<Option<Session>, NoSession> {
        let Some(kept) = self.unseal(extension, record) else { return Ok(None) };
        let left = self.left_of(record).await?;
        Ok(Some(self.session(kept.access, record.generation, left)))
    }

    fn unseal(&self, extension: &ExtensionId, record: &TokenRecord) -> Option<Kept> {
        Kept::open(self.vault.keys(), self.app(), extension.as_str(), &record.sealed)
    }

    /// What is left of a token's life, by the store's clock.
    async fn left_of(&self, record: &TokenRecord) -> Result<Duration, NoSession> {
        let now = self.store().now().await.map_err(NoSession::Store)?;
        Ok(Duration::from_millis((record.expires_at - now).max(0) as u64))
    }

    fn session(&self, token: AccessToken, generation: u64, left: Duration) -> Session {
        // One that lives shorter than two sends and their margin is used for half of what is left.
        let margin = self.needed.min(left / 2);
        Session { token, generation, until: Instant::now() + left.saturating_sub(margin) }
    }
}
