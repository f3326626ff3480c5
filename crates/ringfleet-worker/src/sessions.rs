//! One session of an extension for the whole fleet: the token lives in the store, one worker renews it at a time, and
//! this process keeps a copy only as long as it is good.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ringcentral::{
    AccessToken, Answer, AuthBudget, CallError, Client, RefreshToken, Token, TokenOptions, TokenOutcome, classify_token,
};
use ringfleet_store::{
    Acquired, Group, LaneId, PlanSeen, Release, SharedStore, StoreError, TokenAsk, TokenLease, TokenRecord, WorkerId,
};
use serde::{Deserialize, Serialize};

use crate::options::{Credential, Credentials};

/// After a login that did not work, the messages that waited for it don't each try another.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Sessions refused in a row, none of which was ever good, before the lane is parked.
const MOST_REFUSED: u32 = 2;
/// How long a message waits in a worker's hand for a login before it goes back to its lane.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands for the extension in the lane of logins that the whole app shares.
const ALL_EXTENSIONS: &str = "*";
/// The reason of a lane whose extension nobody here can log in for.
pub(crate) const NO_CREDENTIAL: &str = "no-credential";

/// A token with its place in the succession of the extension's tokens.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) token: AccessToken,
    pub(crate) generation: u64,
    /// Use it no longer than this.
    until: Instant,
}

/// Why there is no session now.
#[derive(Debug)]
pub(crate) enum NoSession {
    /// Nobody can log in until somebody acts.
    Dead { reason: String },
    /// Ask again after this time.
    Later { delay: Duration },
    /// The worker is about to stop, or the store is away.
    Store(StoreError),
}

/// What the store keeps for the fleet, opaque to it.
#[derive(Serialize, Deserialize)]
struct Kept {
    access: String,
    refresh: Option<String>,
}

pub(crate) struct Sessions {
    store: SharedStore,
    client: Client,
    worker: WorkerId,
    app: String,
    credentials: Credentials,
    /// How long a token must live yet to be worth using: a whole send and some more.
    needed: Duration,
    known: Mutex<HashMap<String, Session>>,
    trials: Mutex<HashMap<String, Trial>>,
    /// One renewal at a time in this process, so that the fleet's lock is not asked by every message.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// How the provider took the sessions of one extension.
#[derive(Default)]
struct Trial {
    /// The newest generation that was answered with 401.
    refused: u64,
    /// Generations refused in a row.
    in_a_row: u32,
    /// No login before this, after one that failed.
    quiet_until: Option<Instant>,
}

impl Sessions {
    pub(crate) fn new(
        store: SharedStore,
        client: Client,
        worker: WorkerId,
        app: String,
        credentials: Credentials,
    ) -> Self {
        let needed = client.config().total_timeout + Duration::from_secs(5);
        Self {
            store,
            client,
            worker,
            app,
            credentials,
            needed,
            known: Mutex::default(),
            trials: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    /// A token of `extension` that outlives a send. Cancel-safe: a login under way is finished by the next who asks, or by
    /// another worker when the lock ends.
    pub(crate) async fn get(&self, extension: &str) -> Result<Session, NoSession> {
        if let Some(session) = self.remembered(extension) {
            return Ok(session);
        }
        let Some(credential) = self.credentials.get(extension) else {
            return Err(NoSession::Dead { reason: NO_CREDENTIAL.to_owned() });
        };
        let turn = lock(&self.turns).entry(extension.to_owned()).or_default().clone();
        let _turn = turn.lock().await;
        // Another message may have fetched it meanwhile.
        if let Some(session) = self.remembered(extension) {
            return Ok(session);
        }
        let quiet = lock(&self.trials).get(extension).and_then(|trial| trial.quiet_until);
        if let Some(delay) = quiet.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(NoSession::Later { delay });
        }
        let fetched = self.fetch(credential).await;
        let mut trials = lock(&self.trials);
        let trial = trials.entry(extension.to_owned()).or_default();
        trial.quiet_until = fetched.is_err().then(|| Instant::now() + AFTER_FAILURE);
        drop(trials);
        let session = fetched?;
        lock(&self.known).insert(extension.to_owned(), session.clone());
        Ok(session)
    }

    /// The provider took this session.
    pub(crate) fn proven(&self, extension: &str, session: &Session) {
        if let Some(trial) = lock(&self.trials).get_mut(extension)
            && session.generation > trial.refused
        {
            trial.in_a_row = 0;
        }
    }

    /// The provider answered 401 to this session: it is not used again, here or by what the store gives out. Gives a reason
    /// to park the lane when the sessions after it would be refused as well, which would make a login loop.
    pub(crate) fn refused(&self, extension: &str, session: &Session) -> Option<String> {
        let mut known = lock(&self.known);
        if known.get(extension).is_some_and(|newest| newest.generation <= session.generation) {
            known.remove(extension);
        }
        let mut trials = lock(&self.trials);
        let trial = trials.entry(extension.to_owned()).or_default();
        if session.generation > trial.refused {
            trial.refused = session.generation;
            trial.in_a_row += 1;
        }
        if trial.in_a_row <= MOST_REFUSED {
            return None;
        }
        trial.in_a_row = 0;
        let print = self.credentials.get(extension).map(|credential| fingerprint(&self.client, credential));
        Some(format!("refused-when-fresh #{}", print.unwrap_or_default()))
    }

    /// The session that needs no asking, if there is one.
    pub(crate) fn remembered(&self, extension: &str) -> Option<Session> {
        let known = lock(&self.known);
        known.get(extension).filter(|session| session.until > Instant::now()).cloned()
    }

    async fn fetch(&self, credential: &Credential) -> Result<Session, NoSession> {
        let extension = credential.extension.as_str();
        let print = fingerprint(&self.client, credential);
        let mut known_bad = lock(&self.trials).get(extension).map(|trial| trial.refused);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let lock = self.login_deadline() + Duration::from_secs(5);
            let ask = TokenAsk { needed: self.needed, known_bad, credential: &print, lock };
            let lease = self.store.token_lease(extension, &self.worker, ask).await.map_err(NoSession::Store)?;
            match lease {
                TokenLease::Valid(record) => {
                    if let Some(session) = self.open(&record).await? {
                        return Ok(session);
                    }
                    // Unreadable: as good as none, so it is renewed.
                    known_bad = Some(record.generation);
                }
                TokenLease::Dead { reason } => return Err(NoSession::Dead { reason }),
                TokenLease::Busy(_) if Instant::now() >= give_up => {
                    return Err(NoSession::Later { delay: Duration::from_secs(1) });
                }
                // The other worker's answer usually comes long before its lock ends.
                TokenLease::Busy(wait) => tokio::time::sleep(wait.min(Duration::from_millis(50))).await,
                TokenLease::Renew { generation, old } => {
                    return self.renew(credential, &print, generation, old).await;
                }
            }
        }
    }

    /// Reads a record of the store; the time left is counted from the store's clock.
    async fn open(&self, record: &TokenRecord) -> Result<Option<Session>, NoSession> {
        let Ok(kept) = serde_json::from_slice::<Kept>(&record.sealed) else { return Ok(None) };
        let Ok(token) = AccessToken::try_new(&kept.access) else { return Ok(None) };
        let now = self.store.now().await.map_err(NoSession::Store)?;
        let left = Duration::from_millis((record.expires_at - now).max(0) as u64);
        Ok(Some(self.session(token, record.generation, left)))
    }

    fn session(&self, token: AccessToken, generation: u64, left: Duration) -> Session {
        let since = Instant::now();
        Session { token, generation, until: since + left.saturating_sub(self.needed) }
    }

    /// Logs in as the one worker that may. Every way out of here gives the right to renew back.
    async fn renew(
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
                let kept = Kept {
                    access: token.access_token.expose().to_owned(),
                    refresh: token.refresh_token.as_ref().map(|refresh| refresh.expose().to_owned()),
                };
                let sealed = serde_json::to_vec(&kept).unwrap_or_default();
                let stored = self
                    .store
                    .token_store(extension, &self.worker, generation, &sealed, token.expires_in)
                    .await
                    .map_err(NoSession::Store)?;
                crate::metrics::token("granted");
                if !stored {
                    // Too slow: somebody else renewed meanwhile, and theirs is the fleet's session.
                    return Err(NoSession::Later { delay: Duration::from_millis(50) });
                }
                // A token that lives shorter than a send and its margin is used for half of its life at least.
                let left = token.expires_in.max(self.needed + token.expires_in / 2);
                Ok(self.session(token.access_token, generation + 1, left))
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
            (TokenOutcome::Granted | TokenOutcome::Transient { .. }, _) => {
                Err(NoSession::Later { delay: Duration::from_secs(2) })
            }
        }
    }

    /// A refresh that fails and a login after it.
    fn login_deadline(&self) -> Duration {
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
        config.client_secret.expose().as_bytes(),
        credential.jwt.expose().as_bytes(),
    ]);
    print.as_bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The maps are whole at every step, so a panic elsewhere did not break them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
