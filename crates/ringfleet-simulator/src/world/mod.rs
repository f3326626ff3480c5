//! Everything that the simulator knows. Each extension stands behind its own lock, held for microseconds and never across an await.

mod call;
mod code;
mod consent;
mod directory;
mod extension;
mod login;
mod message;
mod number;
mod seed;
mod session;
mod subscription;

pub(crate) use call::PhoneCall;
pub(crate) use code::{AuthorizationCode, AuthorizationCodes, Challenge};
pub(crate) use consent::{AccountConsents, Consent, ConsentSource, OptStatus};
pub use directory::Account;
pub(crate) use directory::{Directory, MAIN_NUMBER, TokenKind};
pub(crate) use extension::{CampaignStatus, Extension};
pub(crate) use login::{AccountStatus, ExtensionStatus, JwtState, PasswordProblem};
pub(crate) use message::{Delivery, Message, MessageKind};
pub(crate) use number::{Number, NumberProblem};
pub(crate) use seed::mix;
pub(crate) use session::{Lifetimes, Opening, RefreshProblem, Session, SessionRules, Sessions, TokenProblem};
pub(crate) use subscription::{EventFilter, FilterKind, FilterProblem, MAX_SUBSCRIPTIONS, Subscription};

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

use crate::app::AppSettings;
use crate::clock::{Clock, Nanos};
use crate::config::SimulatorConfig;
use crate::faults::{FaultRules, Pause};
use crate::ledger::{ApiEntry, LedgerFile, TokenEntry};
use crate::limits::{Admission, Closure, Group, Lane, Plan};
use crate::webhook::WebhookClient;

pub(crate) struct World {
    pub(crate) config: SimulatorConfig,
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    pub(crate) directory: Directory,
    pub(crate) extensions: Box<[Mutex<Extension>]>,
    pub(crate) app: Mutex<App>,
    settings: RwLock<Arc<AppSettings>>,
    pub(crate) account_status: Mutex<AccountStatus>,
    pub(crate) consents: AccountConsents,
    /// Extensions that have subscriptions: the notifier looks at no others.
    pub(crate) subscribers: Mutex<BTreeSet<usize>>,
    pub(crate) webhooks: WebhookClient,
    pub(crate) faults: FaultRules,
    closure: Closure,
    pub(crate) ledger_file: LedgerFile,
    pub(crate) counters: Counters,
    pub(crate) shutdown: watch::Receiver<bool>,
    plans: [Plan; 4],
}

/// What belongs to the app (the client id) and to no extension.
#[derive(Default)]
pub(crate) struct App {
    /// Token requests per app: all of them with `auth_per_app`, else those whose user can't be told.
    pub(crate) auth: Lane,
    pub(crate) token_log: Vec<TokenEntry>,
    /// Requests whose token was nobody's.
    pub(crate) api_log: Vec<ApiEntry>,
    pub(crate) codes: AuthorizationCodes,
}

#[derive(Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    messages: AtomicU64,
    secrets: AtomicU64,
    /// Sends that no extension could be found for: no token, or a dead one.
    pub(crate) sms_unauthorized: AtomicU64,
    /// Other requests, likewise.
    pub(crate) reads_unauthorized: AtomicU64,
}

impl Counters {
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Message ids look like RingCentral's: large, rising, with gaps.
    pub(crate) fn next_message_id(&self) -> u64 {
        let n = self.messages.fetch_add(1, Ordering::Relaxed);
        2_500_000_000_000 + n * 8 + mix(n) % 8
    }

    pub(crate) fn next_secret(&self) -> u64 {
        self.secrets.fetch_add(1, Ordering::Relaxed)
    }
}

impl World {
    pub(crate) fn new(
        config: SimulatorConfig,
        base_url: String,
        ledger_file: LedgerFile,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let directory = Directory::new(&config);
        let extensions = (0..config.extensions).map(|_| Mutex::new(Extension::default())).collect();
        Self {
            base_url,
            clock: Clock::start(),
            settings: RwLock::new(Arc::new(directory.registered(&config.app))),
            directory,
            extensions,
            app: Mutex::default(),
            account_status: Mutex::default(),
            consents: AccountConsents::default(),
            subscribers: Mutex::default(),
            webhooks: WebhookClient::default(),
            faults: FaultRules::new(config.seed),
            closure: Closure::default(),
            ledger_file,
            counters: Counters::default(),
            shutdown,
            plans: Group::ALL.map(|group| Plan::of(&config, group)),
            config,
        }
    }

    pub(crate) fn plan(&self, group: Group) -> &Plan {
        &self.plans[group as usize]
    }

    /// Counts a request to the API in its lane.
    pub(crate) fn admit(&self, lane: &mut Lane, group: Group, at: Nanos) -> Admission {
        let plan = self.plan(group);
        match self.closure.meets(at) {
            Some(retry_after_s) => lane.turn_away(group, plan, at, retry_after_s),
            None => lane.arrive(group, plan, at),
        }
    }

    /// From now on an injected 429 is as real as an earned one.
    pub(crate) fn begin(&self, pause: Pause, lane: &mut Lane, at: Nanos) {
        match pause {
            Pause::OfTheLane(pause) => lane.penalise(at.saturating_add(pause)),
            Pause::OfEverybody(pause) => self.closure.begin(at, pause),
        }
    }

    /// `index` comes from the directory, which knows no others.
    pub(crate) fn extension(&self, index: usize) -> MutexGuard<'_, Extension> {
        lock(&self.extensions[index])
    }

    pub(crate) fn app(&self) -> MutexGuard<'_, App> {
        lock(&self.app)
    }

    /// The app's settings as they are now.
    pub(crate) fn settings(&self) -> Arc<AppSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the app's settings in one step.
    ///
    /// # Errors
    /// What `change` says.
    pub(crate) fn change_settings(
        &self,
        change: impl FnOnce(&AppSettings) -> Result<AppSettings, String>,
    ) -> Result<Arc<AppSettings>, String> {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        *settings = Arc::new(change(&settings)?);
        Ok(Arc::clone(&settings))
    }

    /// What the user of an extension has to type now.
    pub(crate) fn password(&self, index: usize) -> String {
        let changed = self.extension(index).login.password.clone();
        changed.unwrap_or_else(|| self.directory.password(index))
    }

    pub(crate) fn session_rules<'a>(&'a self, app: &'a AppSettings) -> SessionRules<'a> {
        SessionRules { config: &self.config, app, directory: &self.directory, counters: &self.counters }
    }

    /// Resolves when the simulator stops; what hangs on purpose waits for it.
    pub(crate) async fn stopped(&self) {
        let mut shutdown = self.shutdown.clone();
        // An error means that the simulator was dropped: stopped as well.
        let _ = shutdown.wait_for(|stopped| *stopped).await;
    }
}

/// A panic in one request must not take the extension away from the others: no state here spans several writes that matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
