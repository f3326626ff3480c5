//! One session of an extension for the whole fleet: the token lives in the store, sealed; one process renews it at a time,
//! and this one keeps a copy only as long as it is good.

mod app;
mod budget;
mod doubt;
mod fetch;
mod foreign;
mod fresh;
mod keep_alive;
mod kept;
mod login;
mod prepare;
mod probe;
mod renew;
mod slots;
mod trial;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use self::slots::Slot;
use self::trial::Trial;
pub use self::{
    app::{AppRefusal, AppStanding},
    budget::LoginBudget,
    keep_alive::KeptAlive,
    probe::{Granted, Tried},
};
use ringcentral::{AccessToken, Client, ExtensionId, UnauthorisedKind};
use ringfleet_store::{Heard, RefusedCredential, SharedStore, StoreError, WorkerId};
use tokio_util::task::TaskTracker;

use crate::{
    credential::{AppPrint, Credential},
    health::Health,
    key::KeyId,
    metrics,
    roster::Roster,
    told::{EachMinute, Told},
    vault::Vault,
};

/// After a login that did not work, the messages that waited for it don't each try another.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A login that has been under way for so long is waited for no more: each that waits has other lanes to serve.
const HANGS: Duration = Duration::from_secs(5);
/// Of a login that hangs, or a process that is about to stop.
const NOT_NOW: NoSession = NoSession::Later { delay: AFTER_FAILURE };

/// The reason for an extension that nobody here can log in for.
pub const NO_CREDENTIAL: &str = "no-credential";
/// The credential logs in as somebody else.
pub(crate) const LOGIN_OF_ANOTHER: &str = "login-of-another-extension";

/// A token with its place in the succession of the extension's tokens.
#[derive(Clone)]
pub struct Session {
    pub token: AccessToken,
    pub generation: u64,
    /// Names the credential that it was made with.
    print: String,
    /// Use it no longer than this: then it is time to renew it.
    until: Instant,
    /// How long it lived when it was new.
    life: Duration,
}

/// One credential, and whether it was refused. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub print: String,
    pub refused: bool,
}

/// Why there is no session now.
#[derive(Debug)]
pub enum NoSession {
    /// Nobody can log in until somebody acts. After a `#` the reason names the credentials that were refused, or after `#app:`
    /// the app ([`Sessions::app_standing`]).
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
    /// How long the right to renew lasts without being asked for again: as with a message, a dead worker's passes on.
    lock: Duration,
    known: Mutex<HashMap<String, Session>>,
    trials: Mutex<HashMap<String, Trial>>,
    /// Credentials that were taken away while this process ran: extension and print.
    retired: Mutex<HashSet<(String, String)>>,
    /// Extensions that wait for a login, and until when that is believed.
    waiting: Mutex<HashMap<String, Instant>>,
    /// The last refresh of each connection that this process has refreshed.
    fresh: Mutex<HashMap<String, fresh::Fresh>>,
    /// Logins and reads under way, and of the last seconds.
    slots: Mutex<slots::Slots>,
    /// [`slots::LATE`], but in tests.
    late_after: Duration,
    /// Keys that others have, and this process has not.
    foreign: Mutex<HashSet<KeyId>>,
    told_of_no_login: EachMinute,
    told_of_failing: Told<ExtensionId>,
    auth_turn: Arc<tokio::sync::Mutex<()>>,
    /// Logins under way.
    logins: TaskTracker,
    /// What the store has not taken yet, and must.
    pub(crate) telling: TaskTracker,
    /// Since when logins are under way.
    under_way: Mutex<HashMap<String, Instant>>,
    /// One renewal at a time in this process, so that the fleet's lock is not asked by every message.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Sessions {
    /// `worker` names this process to the others; `lock` is how long a dead one's renewal keeps them waiting.
    pub fn new(vault: Vault, roster: Roster, client: Client, worker: WorkerId, lock: Duration) -> Self {
        let config = client.config();
        let secret = config.client_secret.as_ref().map(|secret| secret.expose()).unwrap_or_default();
        Self {
            app_print: AppPrint::of(config.client_id.as_str(), secret),
            vault,
            roster,
            client,
            worker,
            lock,
            known: Mutex::default(),
            trials: Mutex::default(),
            retired: Mutex::default(),
            waiting: Mutex::default(),
            fresh: Mutex::default(),
            slots: Mutex::default(),
            late_after: slots::LATE,
            foreign: Mutex::default(),
            told_of_no_login: EachMinute::default(),
            told_of_failing: Told::default(),
            auth_turn: Arc::default(),
            logins: TaskTracker::new(),
            telling: TaskTracker::new(),
            under_way: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
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

    /// The fleet's session of `extension`. Cancel-safe: a login under way goes on by itself; see
    /// [`end_logins`](Self::end_logins).
    ///
    /// # Errors
    /// [`NoSession`] says when, or after what, to ask again.
    pub async fn get(self: &Arc<Self>, extension: &ExtensionId) -> Result<Session, NoSession> {
        self.get_newer(extension, 0).await
    }

    /// One that came after the session of this generation.
    async fn get_newer(self: &Arc<Self>, extension: &ExtensionId, than: u64) -> Result<Session, NoSession> {
        if let Some(session) = self.remembered(extension.as_str()).filter(|session| session.generation > than) {
            return Ok(session);
        }
        if lock(&self.under_way).get(extension.as_str()).is_some_and(|since| since.elapsed() > HANGS) {
            return Err(NOT_NOW);
        }
        let (sessions, extension) = (self.clone(), extension.clone());
        let login = self.logins.spawn(async move { sessions.find_newer(&extension, than).await });
        login.await.unwrap_or(Err(NOT_NOW))
    }

    /// Begins no login any more, and waits for those that are under way. Whoever asked for one may be gone: one that is cut off
    /// would keep the fleet from another for a while, and leave a session that nobody knows. Also for penalties that the store has
    /// not taken yet: nobody else knows of them.
    pub async fn end_logins(&self) {
        self.logins.close();
        self.logins.wait().await;
        self.telling.close();
        self.telling.wait().await;
    }

    async fn find_newer(&self, extension: &ExtensionId, than: u64) -> Result<Session, NoSession> {
        let name = extension.as_str();
        let remembered = || self.remembered(name).filter(|session| session.generation > than);
        if let Some(session) = remembered() {
            return Ok(session);
        }
        let turn = lock(&self.turns).entry(name.to_owned()).or_default().clone();
        let _turn = turn.lock().await;
        // Another message may have fetched it meanwhile.
        if let Some(session) = remembered() {
            return Ok(session);
        }
        // Not asked before: while this one waited for its turn, a credential may have been taken away.
        let credentials = self.roster.of(name);
        if credentials.is_empty() {
            return Err(NoSession::Dead { reason: NO_CREDENTIAL.to_owned() });
        }
        let quiet = self.trial(name, |trial| trial.quiet_until);
        if let Some(delay) = quiet.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(NoSession::Later { delay });
        }
        if self.logins.is_closed() {
            return Err(NOT_NOW);
        }
        let under_way = UnderWay::begins(&self.under_way, name);
        let fetched = self.fetch(extension, &credentials, than).await;
        drop(under_way);
        let quiet = match &fetched {
            Ok(_) => None,
            // Mostly the budget of logins, whose next place must not be missed.
            Err(NoSession::Later { delay }) => Some(AFTER_FAILURE.min(*delay)),
            Err(NoSession::Dead { .. } | NoSession::Store(_)) => Some(AFTER_FAILURE),
        };
        let quiet_until = quiet.map(|quiet| Instant::now() + quiet);
        self.trial(name, |trial| trial.quiet_until = quiet_until);
        let session = fetched?;
        if self.know(name, &session) { Ok(session) } else { Err(NOT_NOW) }
    }

    /// Uses this session from now on; `false` if its credential was taken away while it was made. The fleet's record keeps it, and
    /// whoever is given it from there makes another one.
    ///
    /// SEND-SAFETY: asked under the lock: either this sees what [`retire`](Self::retire) has noted, or that sees the session. Else
    /// texts would leave with a login that was withdrawn, for most of its life.
    fn know(&self, extension: &str, session: &Session) -> bool {
        let mut known = lock(&self.known);
        let is_good = !self.is_retired(extension, &session.print);
        if is_good {
            known.insert(extension.to_owned(), session.clone());
        }
        is_good
    }

    /// The session that needs no asking, if there is one.
    pub fn remembered(&self, extension: &str) -> Option<Session> {
        let known = lock(&self.known);
        known.get(extension).filter(|session| session.until > Instant::now()).cloned()
    }

    /// The provider took this session.
    pub fn proven(&self, extension: &str, session: &Session) {
        self.trial(extension, |trial| trial.prove(session.generation));
    }

    /// The session is over: its renewal has begun, or another one has come after it.
    pub fn outdated(&self, extension: &str, session: &Session) {
        let mut known = lock(&self.known);
        if known.get(extension).is_some_and(|newest| newest.generation <= session.generation) {
            known.remove(extension);
        }
    }

    /// The provider answered 401 to this session: it is not used again, here or by what the store gives out. When the sessions
    /// after it are refused as well, although they are fresh, its credential is given up: see [`NoSession::Dead`]. Without a
    /// code, which is a gateway's way, that costs one session a minute and no credential.
    /// `began` is when the request was made.
    pub fn refused(&self, extension: &str, session: &Session, kind: UnauthorisedKind, began: Instant) {
        if self.trial(extension, |trial| trial.refuse(session.generation, kind, began)) {
            self.outdated(extension, session);
        }
    }

    /// The provider refused this session for a cause that every other session of its credential would meet, and that a person
    /// must mend; `began` is when the request was made. Gives the reason to park the lane, in the words of
    /// [`NoSession::Dead`].
    pub async fn condemn(&self, extension: &ExtensionId, session: &Session, code: &str, began: Instant) -> String {
        let name = extension.as_str();
        self.outdated(name, session);
        let refused = RefusedCredential { print: session.print.clone(), reason: code.to_owned() };
        match self.store().token_refuse(name, &self.worker, session.generation, &refused, began.elapsed()).await {
            Ok(Heard::New) => renew::alarm(name, code),
            Ok(Heard::Known | Heard::No) => {}
            Err(error) => metrics::store_error("token_refuse", &error),
        }
        format!("{code} #{}", self.prints(name))
    }

    /// A credential was taken away: no session that was made with it is used any more.
    pub fn retire(&self, extension: &str, print: &str) {
        // In this order: see `know`.
        lock(&self.retired).insert((extension.to_owned(), print.to_owned()));
        lock(&self.known).retain(|name, session| name != extension || session.print != print);
    }

    /// Another credential comes first now: an extension that is in use logs in with it, an idle one with its next renewal.
    pub fn prefer(&self, extension: &str, print: &str) {
        let replaced = lock(&self.known).remove(extension).filter(|session| session.print != print);
        if let Some(session) = replaced {
            self.trial(extension, |trial| trial.refused = trial.refused.max(session.generation));
        }
    }

    /// A credential is there again.
    pub fn reinstate(&self, extension: &str, print: &str) {
        lock(&self.retired).remove(&(extension.to_owned(), print.to_owned()));
    }

    fn is_retired(&self, extension: &str, print: &str) -> bool {
        lock(&self.retired).contains(&(extension.to_owned(), print.to_owned()))
    }

    fn trial<T>(&self, extension: &str, look: impl FnOnce(&mut Trial) -> T) -> T {
        look(lock(&self.trials).entry(extension.to_owned()).or_default())
    }

    /// Shows how the fleet's sessions and connections stand.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn show_health(&self) -> Result<(), StoreError> {
        let all: Vec<Credential> =
            self.roster.extensions().iter().flat_map(|extension| self.roster.of(extension).to_vec()).collect();
        metrics::health(&Health::read(self.store(), &all, &self.app_print).await?);
        metrics::app_refused(!AppRefusal::all(self.store(), self.app(), &self.app_print).await?.is_empty());
        Ok(())
    }

    /// The credentials of an extension in this process, the preferred one first.
    pub fn standings(&self, extension: &str) -> Vec<Standing> {
        let standing = |one: &Credential| Standing {
            print: one.login.print(&self.app_print),
            refused: one.refused(&self.app_print).is_some(),
        };
        self.roster.of(extension).iter().map(standing).collect()
    }

    /// Names the credentials that an extension has in this process; changes when one of them does.
    pub(crate) fn prints(&self, extension: &str) -> String {
        let prints: Vec<_> = self.roster.of(extension).iter().map(|one| one.login.print(&self.app_print)).collect();
        prints.join(",")
    }
}

/// Notes that a login is under way, until it has come to any end.
struct UnderWay<'a>(&'a Mutex<HashMap<String, Instant>>, &'a str);

impl<'a> UnderWay<'a> {
    fn begins(all: &'a Mutex<HashMap<String, Instant>>, name: &'a str) -> Self {
        lock(all).insert(name.to_owned(), Instant::now());
        Self(all, name)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(self.0).remove(self.1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The maps are whole at every step, so a panic elsewhere did not break them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::doubt::tests::fleet;
    use super::*;

    #[tokio::test]
    async fn a_login_that_hangs_is_waited_for_by_nobody_who_comes_later() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Arc::new(fleet(&folder, Duration::from_secs(60)).await);
        let extension = ExtensionId::try_new("101").unwrap();
        let begun = |since| lock(&sessions.under_way).insert("101".to_owned(), since);
        begun(Instant::now());
        assert!(matches!(sessions.get(&extension).await, Err(NoSession::Dead { .. })), "looked for");
        begun(Instant::now() - HANGS);
        assert!(matches!(sessions.get(&extension).await, Err(NoSession::Later { .. })));
    }
}
