//! `worker`, `api`, `connect` and `up`: the roles that run until they are told to stop.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use ringfleet_connect::{Connect, OperatorKeys};
use ringfleet_console::Recorder;
use ringfleet_identity::{Follower, Roster, Vault, directory::Directory};
use ringfleet_producer::{
    Producer, SenderDirectory,
    http::{Api, ApiKeys},
};
use ringfleet_store::SharedStore;
use ringfleet_worker::Drained;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Accounts,
    config::{Faults, Settings},
    directory, keys, provider, serve, store, telemetry,
};

pub(crate) async fn worker(settings: Settings) -> anyhow::Result<ExitCode> {
    let role = Role::start(&settings).await?;
    let drained = role.work(&settings).await?;
    Ok(role.end(drained).await)
}

pub(crate) async fn api(settings: Settings) -> anyhow::Result<ExitCode> {
    let role = Role::start(&settings).await?;
    role.serve_api(&settings).await?;
    role.serve_connect(&settings).await?;
    role.stop.cancelled().await;
    Ok(role.end(Drained::Clean).await)
}

pub(crate) async fn connect(settings: Settings) -> anyhow::Result<ExitCode> {
    if settings.connect.is_none() {
        let problem = "is empty: name an address and port such as 127.0.0.1:8482, and read docs/connect.md";
        return Err(Faults::one("connect.listen", problem).into());
    }
    let role = Role::start(&settings).await?;
    role.serve_connect(&settings).await?;
    role.stop.cancelled().await;
    Ok(role.end(Drained::Clean).await)
}

pub(crate) async fn up(settings: Settings) -> anyhow::Result<ExitCode> {
    let role = Role::start(&settings).await?;
    role.serve_api(&settings).await?;
    role.serve_connect(&settings).await?;
    let drained = role.work(&settings).await?;
    Ok(role.end(drained).await)
}

/// What every role has: telemetry, the accounts, a store, metrics, and an end.
struct Role {
    accounts: Accounts,
    store: SharedStore,
    directory: Directory,
    stop: CancellationToken,
    /// Metrics and API answer a little longer than work is claimed.
    listeners: CancellationToken,
}

impl Role {
    async fn start(settings: &Settings) -> anyhow::Result<Self> {
        telemetry::start(&settings.log_level, settings.log_format)?;
        let stop = serve::stop_on_signals()?;
        let accounts = Accounts::load(settings)?;
        let store = store::open(&settings.store, settings.rules).await?;
        let listeners = CancellationToken::new();
        if let Some(listen) = settings.metrics_listen {
            let recorder = Recorder::install().context("can't install the metrics recorder")?;
            let console = ringfleet_console::router(recorder, store.clone());
            serve::http("metrics", listen, console, listeners.clone()).await?;
        }
        let directory = directory::follow(settings, &accounts, &store, stop.clone()).await?;
        Ok(Self { accounts, store, directory, stop, listeners })
    }

    async fn serve_api(&self, settings: &Settings) -> anyhow::Result<()> {
        let connect_page = settings.connect.as_ref().map(|connect| format!("{}/connect", connect.public_url));
        let directory = SenderDirectory::of(self.directory.clone(), &settings.provider.app)?;
        let directory = Arc::new(directory.with_connect_page(connect_page.as_deref()));
        let keys = if settings.api.keys.is_empty() {
            tracing::warn!("the API asks for no key; it listens on loopback only");
            ApiKeys::none()
        } else {
            ApiKeys::try_new(settings.api.keys.iter().cloned().map(SecretString::from))?
        };
        let producer = Producer::new(self.store.clone(), directory).with_on_unknown(settings.on_unknown);
        let router = ringfleet_producer::http::router(Api { producer, store: self.store.clone(), keys });
        serve::http("api", settings.api.listen, router, self.stop.clone()).await?;
        Ok(())
    }

    /// The connect page, where it is switched on.
    async fn serve_connect(&self, settings: &Settings) -> anyhow::Result<()> {
        let Some(connect) = settings.connect.clone() else { return Ok(()) };
        if connect.operator_keys.is_empty() {
            tracing::warn!("no key opens the operators' page; it stays off");
        }
        let router = ringfleet_connect::router(Connect {
            client: provider::client(&settings.provider, &settings.rules)?,
            vault: self.vault(settings)?,
            directory: self.directory.clone(),
            public_url: connect.public_url,
            account: connect.account,
            operator_keys: OperatorKeys::new(connect.operator_keys.into_iter().map(SecretString::from)),
            address_header: connect.address_header,
            fixed: self.accounts.credentials(),
        });
        serve::http("connect", connect.listen, router, self.stop.clone()).await?;
        Ok(())
    }

    fn vault(&self, settings: &Settings) -> anyhow::Result<Vault> {
        Ok(Vault::new(self.store.clone(), Arc::new(keys::ring(settings)?), &settings.provider.app))
    }

    /// The credentials of the accounts file and of the store, followed until this process stops.
    async fn roster(&self, settings: &Settings) -> anyhow::Result<(Vault, Roster)> {
        let vault = self.vault(settings)?;
        let (roster, follower) = Follower::start(vault.clone(), self.accounts.credentials()).await?;
        tokio::spawn(follower.run(settings.identity.poll, self.stop.clone()));
        Ok((vault, roster))
    }

    async fn work(&self, settings: &Settings) -> anyhow::Result<Drained> {
        let client = provider::client(&settings.provider, &settings.rules)?;
        let (vault, roster) = self.roster(settings).await?;
        if roster.is_empty() {
            tracing::warn!("{}", super::config::NOBODY);
        }
        let options = settings.worker.clone();
        if let Some(listen) = settings.inbound_listen {
            let router = ringfleet_worker::webhook_router(vault.clone(), options.inbound.hints.clone());
            serve::http("inbound", listen, router, self.stop.clone()).await?;
        }
        Ok(ringfleet_worker::run(vault, roster, self.directory.clone(), client, options, self.stop.clone()).await?)
    }

    async fn end(self, drained: Drained) -> ExitCode {
        self.listeners.cancel();
        match drained {
            Drained::Clean => ExitCode::SUCCESS,
            Drained::OutOfTime => ExitCode::from(crate::exit::FAILED),
        }
    }
}
