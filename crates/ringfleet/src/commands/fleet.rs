//! `worker`, `api`, `connect` and `up`: the roles that run until they are told to stop.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use ringfleet_connect::{Connect, OperatorKeys};
use ringfleet_console::Recorder;
use ringfleet_identity::{Follower, Roster, Vault, directory::Directory};
use ringfleet_producer::{
    Producer, SenderDirectory,
    callbacks::{Callbacks, Endpoint},
    http::{Api, ApiKeys},
};
use ringfleet_store::SharedStore;
use ringfleet_worker::Drained;
use secrecy::SecretString;
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Accounts,
    config::{Faults, Settings},
    directory, keys, provider, serve, store, telemetry,
};

pub(crate) async fn worker(settings: Settings) -> anyhow::Result<ExitCode> {
    let Some(mut role) = Role::start(&settings).await? else { return Ok(ExitCode::SUCCESS) };
    role.serve_inbound(&settings).await?;
    role.work_and_answer(&settings).await
}

pub(crate) async fn api(settings: Settings) -> anyhow::Result<ExitCode> {
    let Some(mut role) = Role::start(&settings).await? else { return Ok(ExitCode::SUCCESS) };
    role.serve_connect(&settings).await?;
    role.serve_api(&settings).await?;
    role.call_back(&settings)?;
    role.answer(&settings).await
}

pub(crate) async fn connect(settings: Settings) -> anyhow::Result<ExitCode> {
    if settings.connect.is_none() {
        let problem = "is empty: name an address and port such as 127.0.0.1:8482, and read docs/connect.md";
        return Err(Faults::one("connect.listen", problem).into());
    }
    let Some(mut role) = Role::start(&settings).await? else { return Ok(ExitCode::SUCCESS) };
    role.serve_connect(&settings).await?;
    role.answer(&settings).await
}

pub(crate) async fn up(settings: Settings) -> anyhow::Result<ExitCode> {
    let Some(mut role) = Role::start(&settings).await? else { return Ok(ExitCode::SUCCESS) };
    role.serve_inbound(&settings).await?;
    role.serve_connect(&settings).await?;
    role.serve_api(&settings).await?;
    role.call_back(&settings)?;
    role.work_and_answer(&settings).await
}

/// What every role has: telemetry, the accounts, a store, metrics, and an end.
struct Role {
    accounts: Accounts,
    store: SharedStore,
    /// Its place where readiness and metrics look for it.
    opened: Arc<OnceLock<SharedStore>>,
    directory: Directory,
    /// What keeps credentials and directory in step with the store.
    followers: JoinSet<()>,
    stop: CancellationToken,
    /// Metrics are answered until the work has ended.
    watched: CancellationToken,
    /// Of API, connect page and webhooks: what ends when the requests under way at `stop` are answered.
    answering: JoinSet<()>,
}

impl Role {
    /// `None`: it was told to stop before there was a store.
    async fn start(settings: &Settings) -> anyhow::Result<Option<Self>> {
        telemetry::start(&settings.log_level, settings.log_format)?;
        let stop = serve::stop_on_signals()?;
        let accounts = Accounts::load(settings)?;
        let watched = CancellationToken::new();
        let opened = Arc::new(OnceLock::new());
        // First of all: an orchestrator would take a process that waits for its store for a dead one.
        if let Some(listen) = settings.metrics_listen {
            let recorder = Recorder::install().context("can't install the metrics recorder")?;
            let console = ringfleet_console::router(recorder, opened.clone(), stop.clone());
            serve::http("metrics", listen, console, watched.clone()).await?;
        }
        let Some(store) = stop.run_until_cancelled(store::open_when_there(&settings.store, settings.rules)).await
        else {
            return Ok(None);
        };
        let store = store?;
        let (directory, follower) = directory::follow(settings, &accounts, &store, keys::ring).await?;
        let mut followers = JoinSet::new();
        if let Some(follower) = follower {
            followers.spawn(follower.run(settings.identity.poll, stop.clone()));
        }
        directory::warn_of_numbers(&accounts, &directory.book());
        Ok(Some(Self { accounts, store, opened, directory, followers, stop, watched, answering: JoinSet::new() }))
    }

    /// SEND-SAFETY: the last one to listen. Another that can't would end the process, and cut off what this one is taking in: see
    /// [`finish`].
    async fn serve_api(&mut self, settings: &Settings) -> anyhow::Result<()> {
        store::refuse_replaced(settings, &self.store).await?;
        let connect_page = settings.connect.as_ref().map(|connect| format!("{}/connect", connect.public_url));
        let directory = SenderDirectory::of(self.directory.clone(), &settings.provider.app)?;
        let directory = Arc::new(directory.with_connect_page(connect_page.as_deref()));
        let (keys, read_keys) = (&settings.api.keys, &settings.api.read_keys);
        let secrets = |keys: &[String]| -> Vec<SecretString> { keys.iter().cloned().map(SecretString::from).collect() };
        let keys = if keys.is_empty() && read_keys.is_empty() {
            tracing::warn!("the API asks for no key; it listens on loopback only");
            ApiKeys::none()
        } else {
            ApiKeys::try_new(secrets(keys), secrets(read_keys))?
        };
        let producer = Producer::new(self.store.clone(), directory).with_on_unknown(settings.on_unknown);
        let quiet_hours = settings.worker.quiet_hours.clone();
        let api = Api::new(producer, self.store.clone(), keys, self.stop.clone()).with_quiet_hours(quiet_hours);
        self.serve("api", settings.api.listen, ringfleet_producer::http::router(api)).await
    }

    /// The connect page, where it is switched on.
    async fn serve_connect(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let Some(connect) = settings.connect.clone() else { return Ok(()) };
        if connect.operator_keys.is_empty() {
            tracing::warn!("no key opens the operators' page; it stays off");
        } else if connect.operator_keys == settings.api.keys {
            tracing::info!(
                "the API's keys that may send open the operators' page too; connect.operator_keys gives operators their own"
            );
        }
        // `connect` alone goes on: it hands nothing in, and whoever looks at its page shall know.
        let store_replaced = store::refuse_replaced(settings, &self.store).await.err();
        if let Some(error) = &store_replaced {
            tracing::warn!(error = error as &dyn std::error::Error, "the page of the fleet tells of it");
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
            quiet_hours: settings.worker.quiet_hours.clone(),
            store_replaced: store_replaced.as_ref().map(ToString::to_string),
        });
        self.serve("connect", connect.listen, router).await
    }

    /// Webhooks, where they are switched on.
    async fn serve_inbound(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let Some(listen) = settings.inbound_listen else { return Ok(()) };
        let router = ringfleet_worker::webhook_router(self.vault(settings)?, settings.worker.inbound.hints.clone());
        self.serve("inbound", listen, router).await
    }

    /// Callbacks, where they are switched on. Their end is waited for as requests under way are.
    fn call_back(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let Some(callbacks) = settings.callbacks.clone() else { return Ok(()) };
        let callbacks = Callbacks::new(self.store.clone(), Endpoint::new(callbacks.url, callbacks.secrets)?);
        let (stop, (is_over, over)) = (self.stop.clone(), oneshot::channel::<()>());
        self.followers.spawn(async move {
            callbacks.run(stop).await;
            drop(is_over);
        });
        self.answering.spawn(async move {
            let _ = over.await;
        });
        Ok(())
    }

    async fn serve(&mut self, what: &'static str, listen: SocketAddr, router: Router) -> anyhow::Result<()> {
        let (_, served) = serve::http(what, listen, router, self.stop.clone()).await?;
        self.answering.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "{what} ended");
            }
        });
        Ok(())
    }

    fn vault(&self, settings: &Settings) -> anyhow::Result<Vault> {
        Ok(Vault::new(self.store.clone(), Arc::new(keys::ring(settings)?), &settings.provider.app))
    }

    /// The credentials of the accounts file and of the store, followed until this process stops.
    async fn roster(&mut self, settings: &Settings) -> anyhow::Result<(Vault, Roster)> {
        let vault = self.vault(settings)?;
        let (roster, follower) = Follower::start(vault.clone(), self.accounts.credentials()).await?;
        self.followers.spawn(follower.run(settings.identity.poll, self.stop.clone()));
        Ok((vault, roster))
    }

    async fn work(&mut self, settings: &Settings) -> anyhow::Result<Drained> {
        let client = provider::client(&settings.provider, &settings.rules)?;
        let (vault, roster) = self.roster(settings).await?;
        if roster.is_empty() {
            tracing::warn!("{}", super::config::NOBODY);
        }
        let options = settings.worker.clone();
        let run = ringfleet_worker::run(vault, roster, self.directory.clone(), client, options, self.stop.clone());
        tokio::pin!(run);
        let followed = tokio::select! {
            drained = &mut run => return Ok(drained?),
            followed = followed(&mut self.followers, &self.stop) => followed,
        };
        let drained = run.await?;
        followed.map(|()| drained)
    }

    /// Not before all that it serves listens: whoever sends requests to what is ready would be refused.
    fn is_ready(&self) {
        let _ = self.opened.set(self.store.clone());
    }

    /// Until it is told to stop; see [`finish`].
    async fn answer(mut self, settings: &Settings) -> anyhow::Result<ExitCode> {
        self.is_ready();
        let finish = finish(&mut self.answering, &self.stop, settings.worker.drain);
        let (followed, ()) = tokio::join!(followed(&mut self.followers, &self.stop), finish);
        followed.map(|()| self.end(Drained::Clean))
    }

    async fn work_and_answer(mut self, settings: &Settings) -> anyhow::Result<ExitCode> {
        self.is_ready();
        let mut answering = std::mem::take(&mut self.answering);
        let stop = self.stop.clone();
        let work = async {
            let drained = self.work(settings).await;
            // Without a worker there is no fleet: the rest ends too.
            stop.cancel();
            drained
        };
        let (drained, ()) = tokio::join!(work, finish(&mut answering, &stop, settings.worker.drain));
        Ok(self.end(drained?))
    }

    fn end(self, drained: Drained) -> ExitCode {
        self.watched.cancel();
        match drained {
            Drained::Clean => ExitCode::SUCCESS,
            Drained::OutOfTime => ExitCode::from(crate::exit::FAILED),
        }
    }
}

/// Until `stop`. A follower that has ended before it must have panicked: what is known of credentials and numbers would grow old,
/// or callbacks stop, without a word, so the process drains and ends with an error.
async fn followed(followers: &mut JoinSet<()>, stop: &CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        Some(_) = followers.join_next() => {}
    }
    let was_told = stop.is_cancelled();
    stop.cancel();
    anyhow::ensure!(was_told, "what follows credentials and directory, or what tells callbacks, ended of itself");
    Ok(())
}

/// The requests under way when `stop` came are answered, for as long as a drain may take.
/// SEND-SAFETY: a request whose answer is cut off may have been taken in; a caller without a key would hand it in once more.
async fn finish(answering: &mut JoinSet<()>, stop: &CancellationToken, patience: Duration) {
    stop.cancelled().await;
    let all = async { while answering.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, all).await.is_err() {
        tracing::warn!("requests are still under way after worker.drain; they are cut off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_whose_follower_has_panicked_stops_with_an_error_and_one_that_is_told_to_stop_without() {
        let (mut followers, stop) = (JoinSet::new(), CancellationToken::new());
        followers.spawn(async { panic!("on purpose") });
        assert!(followed(&mut followers, &stop).await.is_err());
        assert!(stop.is_cancelled());

        let stop = CancellationToken::new();
        followers.spawn(stop.clone().cancelled_owned());
        stop.cancel();
        while !followers.is_empty() {
            followed(&mut followers, &stop).await.unwrap();
            followers.join_next().await;
        }
        assert!(followed(&mut JoinSet::new(), &stop).await.is_ok());
    }
}
