//! Renewing, as the one process that may: by the credentials in their order, handed to the fleet before it is used.

use std::time::{Duration, Instant};

use ringfleet_store::{Heard, NewSession, RefusedCredential, StoreError};

use super::{
    NoSession, Session, Sessions,
    fetch::{NotRenewed, Right, dead, later},
    kept::Kept,
    login::{Granted, NotIn},
};
use crate::{
    credential::{Credential, Refused, Source},
    metrics,
};

/// A session is renewed at a part of its life between these, so that those which began together do not end together.
const RENEW_AT: std::ops::Range<f64> = 0.75..0.85;

/// When a session is to be renewed again after the provider has refused the app.
const AFTER_APP: Duration = Duration::from_secs(30);

impl Sessions {
    /// Every way out of here gives the right to renew back.
    pub(super) async fn renew(&self, mut right: Right<'_>, credentials: &[Credential]) -> Result<Session, NotRenewed> {
        let name = right.extension.as_str();
        self.give_up_fresh(&mut right).await?;
        let login = tokio::time::timeout(self.login_deadline(), self.log_in(&mut right, credentials)).await;
        let release = |again_in| self.store().token_release(name, &self.worker, again_in);
        match login.unwrap_or(Err(NotIn::Unsure)) {
            Ok(granted) => {
                let session = self.keep(&right, granted).await.map_err(NotRenewed::No)?;
                metrics::token("granted");
                // Too slow: somebody else renewed meanwhile, and theirs is the fleet's session.
                session.ok_or(NotRenewed::No(NoSession::Later { delay: Duration::from_millis(50) }))
            }
            Err(NotIn::Refused { .. }) => {
                let refused = std::mem::take(&mut right.refused);
                release(Duration::ZERO).await.map_err(|error| NotRenewed::No(NoSession::Store(error)))?;
                Err(NotRenewed::No(dead(&refused)))
            }
            // The old one, as long as it lives, is used on: its messages need not wait for the app.
            Err(NotIn::OfApp { code, of }) => {
                let again_in = if right.old_is_good { AFTER_APP } else { Duration::ZERO };
                release(again_in).await.map_err(|error| NotRenewed::No(NoSession::Store(error)))?;
                match right.old_is_good {
                    true => Err(NotRenewed::Unchanged { again_in }),
                    false => Err(NotRenewed::No(NoSession::Dead { reason: format!("{code} #app:{of}") })),
                }
            }
            Err(NotIn::Later { delay }) => {
                metrics::token("failed");
                let again_in = delay.max(Duration::from_millis(100));
                release(again_in).await.map_err(|error| NotRenewed::No(NoSession::Store(error)))?;
                Err(NotRenewed::Unchanged { again_in })
            }
            Err(NotIn::Unsure) => {
                metrics::token("failed");
                release(Duration::ZERO).await.map_err(|error| NotRenewed::No(NoSession::Store(error)))?;
                Err(NotRenewed::No(later(2)))
            }
            Err(NotIn::Store(error)) => {
                if let Err(error) = release(Duration::ZERO).await {
                    metrics::store_error("token_release", &error);
                }
                Err(NotRenewed::No(NoSession::Store(error)))
            }
        }
    }

    /// A credential whose sessions are refused again and again although they are fresh is given up: another login would make
    /// a loop.
    async fn give_up_fresh(&self, right: &mut Right<'_>) -> Result<(), NotRenewed> {
        let name = right.extension.as_str();
        let hopeless = self.trial(name, |trial| trial.hopeless_since());
        let Some((old, last)) = right.old.as_ref().zip(hopeless) else { return Ok(()) };
        let refused = RefusedCredential { print: old.print.clone(), reason: "refused-when-fresh".to_owned() };
        let heard = self.refuse(right, &refused, last, None).await;
        if heard.map_err(|error| NotRenewed::No(NoSession::Store(error)))? != Heard::No {
            right.refused.push(refused);
        }
        self.trial(name, |trial| trial.end_row());
        Ok(())
    }

    /// Remembers a refusal for the whole fleet; `began` is no later than the request that was refused. Whoever is the first to
    /// tell raises the alarm, and nobody else.
    pub(super) async fn refuse(
        &self,
        right: &Right<'_>,
        refused: &RefusedCredential,
        began: Instant,
        credential: Option<&Credential>,
    ) -> Result<Heard, StoreError> {
        let name = right.extension.as_str();
        let heard = self.store().token_refuse(name, &self.worker, right.generation, refused, began.elapsed()).await?;
        if heard == Heard::New {
            alarm(name, &refused.reason);
            if let Some(credential) = credential {
                self.write_down(credential, &refused.print, Some(&refused.reason)).await;
            }
        }
        Ok(heard)
    }

    /// Tells the operator whether a credential of the store was refused.
    pub(super) async fn write_down(&self, credential: &Credential, print: &str, reason: Option<&str>) {
        if credential.source == Source::File {
            return;
        }
        let Ok(at) = self.store().now().await else { return };
        let refused = reason.map(|code| Refused { print: print.to_owned(), code: code.to_owned(), at });
        let note = |known: &mut Credential| {
            let same = known.login.print(&self.app_print) == print;
            if same {
                known.facts.refused = refused.clone();
            }
            same
        };
        if let Err(error) = self.vault.change(&credential.extension, credential.login.method(), note).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refusal could not be written down");
        }
    }

    /// Hands the fleet a session that was granted; `None` when somebody else has put in another one. Asked more than once: a
    /// session that only the provider knows is one too many for the extension, and the next worker would log in again.
    pub(super) async fn keep(&self, right: &Right<'_>, granted: Granted) -> Result<Option<Session>, NoSession> {
        let Granted { token, since, login, print } = granted;
        let name = right.extension.as_str();
        let kept = Kept::new(&token, &login, &print);
        let sealed = kept.seal(self.vault.keys(), self.app(), name);
        let part = token.expires_in.mul_f64(rand::random_range(RENEW_AT));
        for pause in [50, 100, 200, 0] {
            // Counted from before the request, so that it never seems to live longer than it does.
            let (lives, renew_in) =
                (token.expires_in.saturating_sub(since.elapsed()), part.saturating_sub(since.elapsed()));
            let session = NewSession { sealed: &sealed, lives, renew_in };
            match self.store().token_store(name, &self.worker, right.generation, session).await {
                Ok(stored) => {
                    let session = |generation| Session {
                        token: token.access_token.clone(),
                        generation,
                        print: print.clone(),
                        until: since + part,
                        life: token.expires_in,
                    };
                    return Ok(stored.map(session));
                }
                Err(error) if pause == 0 => return Err(NoSession::Store(error)),
                Err(error) => metrics::store_error("token_store", &error),
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(None)
    }

    /// A refresh that fails and a login after it, each after the POSTs that it waits for.
    pub(super) fn login_deadline(&self) -> Duration {
        let config = self.client.config();
        (config.connect_timeout + config.total_timeout) * 3
    }
}

/// One alert for the fleet: its lanes are parked, and a person must act.
pub(super) fn alarm(extension: &str, reason: &str) {
    metrics::token("dead");
    tracing::error!(extension.id = extension, rc.error_code = %reason, "credential refused; a person must act");
}
