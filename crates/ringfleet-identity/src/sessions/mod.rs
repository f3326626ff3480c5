//! One session of an extension for the whole fleet: the token lives in the store, sealed; one process renews it at a time,
//! and this one keeps a copy only as long as it is good.

mod budget;
mod fetch;
mod kept;
mod login;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ringcentral::{AccessToken, Client, ExtensionId};
use ringfleet_store::{SharedStore, StoreError, WorkerId};

use crate::{
    credential::{AppPrint, Credential},
    roster::Roster,
    vault::Vault,
};

/// After a login that did not work, the messages that waited for it don't each try another.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Sessions refused in a row, none of which was ever good, before the extension is given up.
const MOST_REFUSED: u32 = 2;

/// The reason for an extension that nobody here can log in for.
pub const NO_CREDENTIAL: &str = "no-credential";

/// A token with its place in the succession of the extension's tokens.
#[derive(Clone)]
pub struct Session {
    pub token: AccessToken,
    pub generation: u64,
    /// Use it no longer than this.
    until: Instant,
}

/// Why there is no session now.
#[derive(Debug)]
pub enum NoSession {
    /// Nobody can log in until somebody acts. After a `#` the reason names the credentials that were refused.
    Dead { reason: String },
    /// Ask again after this time.
    Later { delay: Duration },
    /// The process is about to stop, or the store is away.
    Store(StoreError),
}

/// The fleet's sessions, as one process uses them.
pub struct Sessions {
    vault: Vault,
    roster: Roster,
    client: Client,
    worker: WorkerId,
    app_print: AppPrint,
    /// How long a token must live yet to be worth using: a whole send and some more.
    needed: Duration,
    /// How long the right to renew lasts without being asked for again: as with a message, a dead worker's passes on.
    lock: Duration,
    known: Mutex<HashMap<String, Session>>,
    trials: Mutex<HashMap<String, Trial>>,
    /// Credentials that were refused, by their print.
    refused: Mutex<HashMap<String, String>>,
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
    /// `worker` names this process to the others; `lock` is how long a dead one's renewal keeps them waiting.
    pub fn new(vault: Vault, roster: Roster, client: Client, worker: WorkerId, lock: Duration) -> Self {
        let config = client.config();
        let secret = config.client_secret.as_ref().map(|secret| secret.expose()).unwrap_or_default();
        Self {
            app_print: AppPrint::of(config.client_id.as_str(), secret),
            needed: config.total_timeout + Duration::from_secs(5),
            vault,
            roster,
            client,
            worker,
            lock,
            known: Mutex::default(),
            trials: Mutex::default(),
            refused: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn store(&self) -> &SharedStore {
        self.vault.store()
    }

    /// The app whose lanes these sessions are for.
    pub fn app(&self) -> &str {
        self.vault.app()
    }

    /// A token of `extension` that outlives a send. Cancel-safe: a login under way is finished by the next who asks, or by
    /// another process when the lock ends.
    ///
    /// # Errors
    /// [`NoSession`] says when, or after what, to ask again.
    pub async fn get(&self, extension: &ExtensionId) -> Result<Session, NoSession> {
        let name = extension.as_str();
        if let Some(session) = self.remembered(name) {
            return Ok(session);
        }
        let credentials = self.roster.of(name);
        if credentials.is_empty() {
            return Err(NoSession::Dead { reason: NO_CREDENTIAL.to_owned() });
        }
        let turn = lock(&self.turns).entry(name.to_owned()).or_default().clone();
        let _turn = turn.lock().await;
        // Another message may have fetched it meanwhile.
        if let Some(session) = self.remembered(name) {
            return Ok(session);
        }
        let quiet = lock(&self.trials).get(name).and_then(|trial| trial.quiet_until);
        if let Some(delay) = quiet.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(NoSession::Later { delay });
        }
        let fetched = self.fetch(extension, &credentials).await;
        let mut trials = lock(&self.trials);
        let trial = trials.entry(name.to_owned()).or_default();
        trial.quiet_until = fetched.is_err().then(|| Instant::now() + AFTER_FAILURE);
        drop(trials);
        let session = fetched?;
        lock(&self.known).insert(name.to_owned(), session.clone());
        Ok(session)
    }

    /// The session that needs no asking, if there is one.
    pub fn remembered(&self, extension: &str) -> Option<Session> {
        let known = lock(&self.known);
        known.get(extension).filter(|session| session.until > Instant::now()).cloned()
    }

    /// The provider took this session.
    pub fn proven(&self, extension: &str, session: &Session) {
        if let Some(trial) = lock(&self.trials).get_mut(extension)
            && session.generation > trial.refused
        {
            trial.in_a_row = 0;
        }
    }

    /// The provider answered 401 to this session: it is not used again, here or by what the store gives out. Gives a reason
    /// to give the extension up when the sessions after it would be refused as well, which would make a login loop.
    pub fn refused(&self, extension: &str, session: &Session) -> Option<String> {
        let mut known = lock(&self.known);
        if known.get(extension).is_some_and(|newest| newest.generation <= session.generation) {
            known.remove(extension);
        }
        drop(known);
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
        drop(trials);
        Some(format!("refused-when-fresh #{}", self.prints(extension)))
    }

    /// Names the credentials that an extension has in this process; changes when one of them does.
    pub fn prints(&self, extension: &str) -> String {
        self.prints_of(&self.roster.of(extension))
    }

    fn prints_of(&self, credentials: &[Credential]) -> String {
        let prints: Vec<_> = credentials.iter().map(|credential| credential.login.print(&self.app_print)).collect();
        prints.join(",")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The maps are whole at every step, so a panic elsewhere did not break them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
