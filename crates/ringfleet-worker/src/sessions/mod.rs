//! One session of an extension for the whole fleet: the token lives in the store, one worker renews it at a time, and
//! this process keeps a copy only as long as it is good.

mod login;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ringcentral::{AccessToken, Client};
use ringfleet_store::{SharedStore, StoreError, TokenAsk, TokenLease, TokenRecord, WorkerId};
use serde::{Deserialize, Serialize};

pub(crate) use self::login::fingerprint;
use crate::options::{Credential, Credentials};

/// After a login that did not work, the messages that waited for it don't each try another.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Sessions refused in a row, none of which was ever good, before the lane is parked.
const MOST_REFUSED: u32 = 2;
/// How long a message waits in a worker's hand for a login before it goes back to its lane.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// How long it lived when it was new, in ms.
    #[serde(default)]
    life: u64,
}

pub(crate) struct Sessions {
    store: SharedStore,
    client: Client,
    worker: WorkerId,
    app: String,
    credentials: Credentials,
    /// How long a token must live yet to be worth using: a whole send and some more.
    needed: Duration,
    /// How long the right to renew lasts without being asked for again: as with a message, a dead worker's passes on.
    lock: Duration,
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
        lock: Duration,
    ) -> Self {
        let needed = client.config().total_timeout + Duration::from_secs(5);
        Self {
            store,
            client,
            worker,
            app,
            credentials,
            needed,
            lock,
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
            let ask = TokenAsk { needed: self.needed, known_bad, credential: &print, lock: self.lock };
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
                    if let Some(session) = self.still_good(extension, &print, known_bad, old.as_ref()).await? {
                        return Ok(session);
                    }
                    let keep_the_right = self.keep_the_right(extension, ask);
                    return tokio::select! {
                        renewed = self.renew(credential, &print, generation, old) => renewed,
                        () = keep_the_right => Err(NoSession::Later { delay: Duration::from_secs(1) }),
                    };
                }
            }
        }
    }

    /// A token that never lived as long as is asked for is good for half of its life: renewed earlier, by each worker in turn,
    /// every renewal would end the token that the others send with. Gives the right to renew back then.
    async fn still_good(
        &self,
        extension: &str,
        print: &str,
        known_bad: Option<u64>,
        old: Option<&TokenRecord>,
    ) -> Result<Option<Session>, NoSession> {
        let Some(record) = old.filter(|record| known_bad.is_none_or(|bad| record.generation > bad)) else {
            return Ok(None);
        };
        let Ok(kept) = serde_json::from_slice::<Kept>(&record.sealed) else { return Ok(None) };
        let now = self.store.now().await.map_err(NoSession::Store)?;
        let left = Duration::from_millis((record.expires_at - now).max(0) as u64);
        if kept.life == 0 || left < self.needed.min(Duration::from_millis(kept.life / 2)) {
            return Ok(None);
        }
        self.store.token_failed(extension, &self.worker, print, None).await.map_err(NoSession::Store)?;
        self.open(record).await
    }

    /// Asks for the right to renew again and again, as long as the login takes. Never ends.
    async fn keep_the_right(&self, extension: &str, ask: TokenAsk<'_>) {
        loop {
            tokio::time::sleep(self.lock / 3).await;
            if let Err(error) = self.store.token_lease(extension, &self.worker, ask).await {
                crate::metrics::store_error("token_lease", &error);
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
        // One that lives shorter than two sends and their margin is used for half of what is left.
        let margin = self.needed.min(left / 2);
        Session { token, generation, until: Instant::now() + left.saturating_sub(margin) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The maps are whole at every step, so a panic elsewhere did not break them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
