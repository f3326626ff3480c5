//! The connect page: on it an employee connects an extension by authorization code with PKCE, and an operator sees which
//! extensions are connected, until when, and what is wrong; and how the fleet stands.
//!
//! | route | does |
//! |---|---|
//! | `GET /connect` | the employee's page; `?invite=` shows who is invited |
//! | `POST /connect/start` | begins a login and leads to the provider |
//! | `GET /connect/callback` | ends it: the code becomes a credential of the fleet |
//! | `GET /connect/extensions` | the operator's page, behind a key |
//! | `GET /connect/fleet` | how the fleet stands, loaded anew by itself; behind the same key |
//! | `GET /connect/fleet/message`, `/extension` | why one isn't moving |
//!
//! Pages are plain HTML without a script, for any browser and any size of screen. A login may begin at one process and end at
//! another: what must be kept lies in the store. Nothing changes on a GET, but for the callback, which the protocol makes one.

mod browser;
mod employee;
mod exchange;
mod keys;
mod limits;
mod login;
mod operator;
mod page;
mod provider;
mod public_url;
mod shell;
mod trouble;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Query, rejection::QueryRejection},
    http::HeaderName,
    middleware,
    response::Redirect,
    routing::{get, post},
};
use ringcentral::{AccountId, Client};
use ringfleet_identity::{AppPrint, Credential, KeyRing, Vault, directory::Directory};
use ringfleet_quiet::QuietHours;
use ringfleet_store::SharedStore;
use tokio::sync::Semaphore;

use self::{
    exchange::Exchange,
    limits::Limits,
    operator::{
        Watchers,
        fleet::{Fleet, Kept, LOOKS},
    },
    provider::Provider,
    trouble::Trouble,
};
pub use self::{
    keys::OperatorKeys,
    public_url::{PublicUrl, PublicUrlError},
};

/// What the page needs.
pub struct Connect {
    pub client: Client,
    pub vault: Vault,
    /// Names extensions as people do, and tells of those that nobody has connected; followed by the caller.
    pub directory: Directory,
    pub public_url: PublicUrl,
    /// The only account whose extensions may be connected; `None` takes any that the app lets in.
    pub account: Option<AccountId>,
    pub operator_keys: OperatorKeys,
    /// A header in which a proxy in front tells the caller's address.
    pub address_header: Option<HeaderName>,
    /// Credentials of the accounts file: shown, and not to be changed here.
    pub fixed: Vec<Credential>,
    /// Those that the workers keep, for the times that are told.
    pub quiet_hours: Option<QuietHours>,
    /// What the workers' journals tell of another store than this one, for operators.
    pub store_replaced: Option<String>,
}

struct Site {
    store: SharedStore,
    vault: Vault,
    directory: Directory,
    exchange: Exchange,
    url: PublicUrl,
    keys: OperatorKeys,
    limits: Limits,
    fixed: Vec<Credential>,
    app: AppPrint,
    quiet_hours: Option<QuietHours>,
    store_replaced: Option<String>,
    fleet: Kept<Fleet>,
    watchers: Watchers,
    looks: Semaphore,
}

type Shared = Arc<Site>;

/// What stands behind the `?` of an address, or that it can't be read: axum's own answer to that is no page.
type Asked<T> = Result<Query<T>, QueryRejection>;

impl Site {
    fn seals(&self) -> &KeyRing {
        self.vault.keys()
    }

    fn provider(&self) -> &Provider {
        &self.exchange.provider
    }
}

/// The page's routes, to be served with the callers' addresses (`into_make_service_with_connect_info`).
pub fn router(connect: Connect) -> Router {
    let Connect {
        client,
        vault,
        directory,
        public_url,
        account,
        operator_keys,
        address_header,
        fixed,
        quiet_hours,
        store_replaced,
    } = connect;
    let store = vault.store().clone();
    let config = client.config();
    let secret = config.client_secret.as_ref().map_or("", |secret| secret.expose());
    let app = AppPrint::of(config.client_id.as_str(), secret);
    let provider = Provider { client, store: store.clone(), app: vault.app().to_owned() };
    let exchange = Exchange { provider, vault: vault.clone(), account };
    let limits = Limits::new(address_header);
    let site: Shared = Arc::new(Site {
        store,
        vault,
        directory,
        exchange,
        url: public_url,
        keys: operator_keys,
        limits,
        fixed,
        app,
        quiet_hours,
        store_replaced,
        fleet: Kept::default(),
        watchers: Watchers::default(),
        looks: Semaphore::new(LOOKS),
    });
    Router::new()
        .route("/", get(|| async { Redirect::to("/connect") }))
        .route("/connect", get(employee::show))
        .route("/connect/start", post(employee::start))
        .route("/connect/callback", get(employee::callback))
        .route("/connect/style.css", get(shell::style))
        .route("/connect/icon.svg", get(shell::icon))
        .merge(operator::routes())
        .method_not_allowed_fallback(|| async { Trouble::WrongMethod })
        .fallback(|| async { Trouble::NoSuchPage })
        .layer(middleware::from_fn(shell::surround))
        .with_state(site)
}
