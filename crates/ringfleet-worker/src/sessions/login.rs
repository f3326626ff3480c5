//! Logging in: by the one worker that may, under a slot of the Auth lane, with what the fleet keeps of the session before.

use std::time::{Duration, Instant};

use ringcentral::{
    Answer, AuthBudget, CallError, Client, RefreshToken, Token, TokenOptions, TokenOutcome, classify_token,
};
use ringfleet_store::{Acquired, Group, LaneId, PlanSeen, Release, StoreError, TokenRecord};

use super::{Kept, NoSession, Session, Sessions};
use crate::{backoff::Backoff, options::Credential};

/// Stands for the extension in the lane of logins that the whole app shares.
const ALL_EXTENSIONS: &str = "*";

impl Sessions {
    /// Logs in as the one worker that may. Every way out of here gives the right to renew back.
    pub(super) async fn renew(
        &self,
        credential: &Credential,
        print: &str,
        generation: u64,
        old: Option<TokenRecord>,
    ) -> Result<Session, NoSession> {
        let extension = credential.extension.as_str();
        let login = tokio::time::timeout(self.login_deadline(), self.log_in(credential, old));
        let renewed = login.await.unwrap_or(Err(NoSession::Later { delay: Duration::from_secs(2) }));
        let failed = |dead| async move {
            self.store.token_failed(extension, &self.worker, print, dead).await.map_err(NoSession::Store)
        };
        match renewed {
            Ok(token) => {
                crate::failpoint::hit("refresh.after_response");
                let kept = Kept {
                    access: token.access_token.expose().to_owned(),
                    refresh: token.refresh_token.as_ref().map(|refresh| refresh.expose().to_owned()),
                    life: token.expires_in.as_millis() as u64,
                };
                let sealed = serde_json::to_vec(&kept).unwrap_or_default();
                let stored = self.keep(extension, generation, &sealed, token.expires_in).await?;
                crate::metrics::token("granted");
                if !stored {
                    // Too slow: somebody else renewed meanwhile, and theirs is the fleet's session.
                    return Err(NoSession::Later { delay: Duration::from_millis(50) });
                }
                Ok(self.session(token.access_token, generation + 1, token.expires_in))
            }
            Err(NoSession::Dead { reason }) => {
                crate::metrics::token("dead");
                tracing::error!(extension.id = extension, rc.error_code = %reason, "credential refused; lane parked");
                failed(Some(&reason)).await?;
                Err(NoSession::Dead { reason })
            }
            Err(later) => {
                crate::metrics::token("failed");
                failed(None).await?;
                Err(later)
            }
        }
    }

    /// Hands the fleet a session that was granted. Asked more than once: a session that only the provider knows is one too
    /// many for the extension, and the next worker would log in again.
    async fn keep(&self, extension: &str, generation: u64, sealed: &[u8], lives: Duration) -> Result<bool, NoSession> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(400));
        for _ in 0..3 {
            match self.store.token_store(extension, &self.worker, generation, sealed, lives).await {
                Ok(stored) => return Ok(stored),
                Err(error) => crate::metrics::store_error("token_store", &error),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
        self.store.token_store(extension, &self.worker, generation, sealed, lives).await.map_err(NoSession::Store)
    }

    async fn log_in(&self, credential: &Credential, old: Option<TokenRecord>) -> Result<Token, NoSession> {
        let refresh = old
            .and_then(|record| serde_json::from_slice::<Kept>(&record.sealed).ok())
            .and_then(|kept| kept.refresh)
            .and_then(|refresh| RefreshToken::try_new(&refresh).ok());
        let budget = AuthBudget::Extension(&credential.extension);
        let options = TokenOptions::default();
        if let Some(refresh) = refresh {
            let answer = self.with_slot(credential, self.client.token_by_refresh(budget, &refresh, &options)).await?;
            // A refresh token that is no longer good says nothing of the JWT.
            if let TokenOutcome::Granted = classify_token(&answer)
                && let Ok(answer) = answer
            {
                return Ok(answer.value);
            }
        }
        let answer = self.with_slot(credential, self.client.token_by_jwt(budget, &credential.jwt, &options)).await?;
        let outcome = classify_token(&answer);
        match (outcome, answer) {
            (TokenOutcome::Granted, Ok(answer)) => {
                let owner = answer.value.owner_id.as_ref();
                if owner.is_some_and(|owner| owner.as_str() != credential.extension.as_str()) {
                    // SEND-SAFETY: texts of this lane would leave from somebody else's extension.
                    return Err(NoSession::Dead {
                        reason: format!("jwt-of-another-extension #{}", fingerprint(&self.client, credential)),
                    });
                }
                Ok(answer.value)
            }
            (TokenOutcome::CredentialDead { code } | TokenOutcome::AppDead { code }, _) => Err(NoSession::Dead {
                reason: format!("{} #{}", crate::outcome::word(code.as_ref()), fingerprint(&self.client, credential)),
            }),
            (TokenOutcome::Throttled { after, .. }, _) => Err(NoSession::Later { delay: after }),
            (TokenOutcome::Granted, Err(_)) => Err(NoSession::Later { delay: Duration::from_secs(2) }),
            (TokenOutcome::Transient { reason }, _) => {
                tracing::warn!(extension.id = credential.extension.as_str(), %reason, "no login; it is tried again");
                Err(NoSession::Later { delay: Duration::from_secs(2) })
            }
        }
    }

    /// A refresh that fails and a login after it.
    pub(super) fn login_deadline(&self) -> Duration {
        let config = self.client.config();
        (config.connect_timeout + config.total_timeout) * 2
    }

    /// Whose budget a login spends. RingCentral documents one per user; a platform announcement says one per app. It begins
    /// with the user's, and the first 429 of the token endpoint makes it the app's, for the whole fleet and for good.
    async fn auth_lane(&self, extension: &str) -> Result<LaneId, NoSession> {
        let lane = |whose| {
            LaneId::try_new(&self.app, whose, Group::Auth).map_err(|e| NoSession::Dead { reason: e.to_string() })
        };
        let shared = lane(ALL_EXTENSIONS)?;
        let view = self.store.lane(&shared).await.map_err(NoSession::Store)?;
        if view.parked.is_some() { Ok(shared) } else { lane(extension) }
    }

    async fn share_auth_budget(&self, throttled: &LaneId, retry_after: Duration) {
        let Ok(shared) = LaneId::try_new(&self.app, ALL_EXTENSIONS, Group::Auth) else { return };
        if *throttled == shared {
            return;
        }
        tracing::warn!("the token endpoint throttles; logins of this app now share one budget");
        let hold = Duration::from_secs(1);
        let shared_it = async {
            // "Parked" is how a lane remembers; nothing is queued in this one.
            self.store.set_parked(&shared, Some("logins share one budget")).await?;
            if let Acquired::Granted(slot) = self.store.acquire(&shared, hold).await? {
                let how = Release::Throttled { retry_after };
                self.store.release(&shared, slot, how, Duration::ZERO, PlanSeen::default()).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = shared_it.await {
            crate::metrics::store_error("release", &error);
        }
    }

    /// Makes one request of the Auth lane, under a slot of its window; `call` is not polled before it has one.
    async fn with_slot(
        &self,
        credential: &Credential,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<Result<Answer<Token>, CallError>, NoSession> {
        let lane = self.auth_lane(credential.extension.as_str()).await?;
        let hold = self.client.config().total_timeout + self.client.config().connect_timeout;
        let slot = match self.store.acquire(&lane, hold).await.map_err(NoSession::Store)? {
            Acquired::Granted(slot) => slot,
            Acquired::Wait(delay) => return Err(NoSession::Later { delay }),
        };
        let answer = call.await;
        let read_at = Instant::now();
        let (how, seen) = match &answer {
            Err(CallError::Connect { .. } | CallError::Guard { .. }) => (Release::Unused, PlanSeen::default()),
            other => {
                let rate = match other {
                    Ok(answer) => Some(&answer.rate),
                    Err(error) => error.rate(),
                };
                let how = match classify_token(other) {
                    TokenOutcome::Throttled { after, .. } => {
                        crate::metrics::throttled("auth", "lane");
                        Release::Throttled { retry_after: after }
                    }
                    _ => Release::Used,
                };
                (how, rate.map(crate::outcome::plan_seen).unwrap_or_default())
            }
        };
        if let Err(error) = self.store.release(&lane, slot, how, read_at.elapsed(), seen).await {
            // The slot frees itself later than it might; a session that was granted must not be thrown away for that.
            crate::metrics::store_error("release", &error);
        }
        if let Release::Throttled { retry_after } = how {
            self.share_auth_budget(&lane, retry_after).await;
        }
        Ok(answer)
    }
}

/// Names a credential without giving it away: so a dead one stays dead and a changed one does not. The app's own id and
/// secret belong to it, because a login fails with wrong ones as well.
pub(crate) fn fingerprint(client: &Client, credential: &Credential) -> String {
    let config = client.config();
    let print = ringfleet_store::Fingerprint::of(&[
        config.client_id.as_str().as_bytes(),
        config.client_secret.as_ref().map_or(&[][..], |secret| secret.expose().as_bytes()),
        credential.jwt.expose().as_bytes(),
    ]);
    print.as_bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
