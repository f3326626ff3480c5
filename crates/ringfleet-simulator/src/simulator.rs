//! Starting, asking and stopping a simulator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin;
use crate::config::SimulatorConfig;
use crate::faults::FaultRule;
use crate::judge::{Report, ReportScope, report};
use crate::ledger::LedgerFile;
use crate::oauth;
use crate::provider;
use crate::transport::{Connection, CuttableListener};
use crate::webhook;
use crate::world::{Account, World};

/// How long `stop` waits for answers on their way.
const DRAIN: Duration = Duration::from_secs(1);
const FLUSH_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("can't listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("can't create the ledger file {path}")]
    Ledger {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A running simulator. Dropping it stops the server without waiting.
pub struct Simulator {
    world: Arc<World>,
    client_id: String,
    client_secret: String,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Binds and serves on the current tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not this machine's, or the ledger file can't be created.
    pub async fn start(config: SimulatorConfig) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let file = LedgerFile::create(config.ledger_file.as_deref()).map_err(|source| {
            let path = config.ledger_file.clone().unwrap_or_default();
            StartError::Ledger { path, source }
        })?;
        let (shutdown, stopped) = watch::channel(false);
        let world = Arc::new(World::new(config, format!("http://{address}"), file, stopped));
        let routes = provider::router(&world)
            .merge(admin::router())
            .with_state(Arc::clone(&world))
            .into_make_service_with_connect_info::<Connection>();
        let serving = Arc::clone(&world);
        let server = tokio::spawn(async move {
            let serve = axum::serve(CuttableListener(listener), routes).with_graceful_shutdown({
                let world = Arc::clone(&serving);
                async move { world.stopped().await }
            });
            tokio::select! {
                // Never fails: the listener retries by itself.
                _ = serve => {}
                () = flush_until_stopped(&serving) => {}
                () = webhook::run(Arc::clone(&serving)) => {}
            }
        });
        let app = world.settings();
        let (client_id, client_secret) = (app.client_id.clone(), app.client_secret.clone());
        Ok(Self { world, client_id, client_secret, shutdown, server })
    }

    pub fn base_url(&self) -> String {
        self.world.base_url.clone()
    }

    /// The app's id as it was at the start.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The app's secret as it was at the start.
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }

    pub fn accounts(&self) -> Vec<Account> {
        (0..self.world.extensions.len()).map(|index| self.world.directory.account(index)).collect()
    }

    /// The password of an extension, for the login page and the password grant.
    pub fn password(&self, extension_id: &str) -> Option<String> {
        let index = self.index(extension_id)?;
        Some(self.world.password(index))
    }

    /// A live access token that cost no Auth request, for load generators.
    pub fn access_token(&self, extension_id: &str) -> Option<String> {
        let index = self.index(extension_id)?;
        Some(oauth::gift(&self.world, index))
    }

    /// Everything that must not stand in a log of a client: the client secret, as it is and as the token endpoint gets it, JWTs,
    /// passwords, and every token and code that was handed out, also those that have ended.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = self.world.directory.secrets();
        secrets.push(self.client_secret.clone());
        secrets.push(STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret)));
        secrets
    }

    /// Adds a fault and returns its id.
    pub fn add_fault(&self, rule: FaultRule) -> String {
        self.world.faults.add(rule)
    }

    pub fn clear_faults(&self) {
        self.world.faults.remove(None);
    }

    pub fn report(&self) -> Report {
        self.report_on(&ReportScope::default())
    }

    pub fn report_on(&self, scope: &ReportScope) -> Report {
        report(&self.world, scope)
    }

    /// What `simulator` prints as one JSON line when it is up.
    pub fn announce(&self) -> Value {
        let base = &self.world.base_url;
        json!({
            "base_url": base,
            "client_id": self.client_id(),
            "client_secret": self.client_secret(),
            "accounts_url": format!("{base}/simulator/accounts"),
            "ledger_url": format!("{base}/simulator/ledger"),
            "report_url": format!("{base}/simulator/report"),
            "admin_url": format!("{base}/simulator"),
            "window_s": self.world.config.window.as_secs_f64(),
            "extensions": self.world.extensions.len(),
        })
    }

    /// Stops: no new connections, answers on their way get a second, what hangs on purpose is reset, the ledger file is complete.
    pub async fn stop(mut self) {
        // Only fails when nobody listens any more.
        let _ = self.shutdown.send(true);
        if tokio::time::timeout(DRAIN, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.world.ledger_file.flush();
    }

    fn index(&self, extension_id: &str) -> Option<usize> {
        self.world.directory.index_of(extension_id.parse().ok()?)
    }
}

async fn flush_until_stopped(world: &World) {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        world.ledger_file.flush();
    }
}
