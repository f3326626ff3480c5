//! The demo's workers: tasks of this process, or processes of their own.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use ringcentral::{ClientId, ClientSecret, ExtensionId, Jwt, ServerUrl};
use ringfleet_identity::{
    KeyRing, Roster, Vault,
    directory::{Claims, Directory},
};
use ringfleet_simulator::Simulator;
use ringfleet_store::LaneRules;
use ringfleet_worker::WorkerOptions;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts,
    cli::DemoOptions,
    config::{ProviderSettings, StoreSettings},
    provider, store,
};

pub(crate) enum Fleet {
    Tasks { stop: CancellationToken, workers: JoinSet<()> },
    Processes(Vec<Child>),
}

impl Fleet {
    pub(crate) async fn start(
        options: &DemoOptions,
        settings: &StoreSettings,
        simulator: &Simulator,
        rules: LaneRules,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        if options.processes {
            return processes(options, settings, simulator, folder);
        }
        let provider = ProviderSettings {
            server: ServerUrl::try_new(&simulator.base_url())?,
            app: "main".to_owned(),
            client_id: Some(ClientId::try_new(simulator.client_id())?),
            client_secret: Some(ClientSecret::try_new(simulator.client_secret())?),
            accounts_file: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(15),
        };
        let mut credentials = Vec::new();
        for account in simulator.accounts() {
            let extension = ExtensionId::try_new(&account.extension_id)?;
            credentials.push(accounts::of_file(&extension, &Jwt::try_new(&account.jwt)?));
        }
        let keys = Arc::new(KeyRing::of_app(simulator.client_id(), simulator.client_secret()));
        let roster = Roster::fixed(credentials);
        let directory = Directory::fixed(Claims::default());
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        for n in 1..=options.workers {
            // Each has a store and a client of its own, as processes would.
            let vault = Vault::new(store::open(settings, rules).await?, keys.clone(), &provider.app);
            let client = provider::client(&provider, &rules)?;
            let worker = WorkerOptions { name: format!("demo-{n}"), ..WorkerOptions::default() };
            let (roster, directory, stop) = (roster.clone(), directory.clone(), stop.clone());
            workers.spawn(async move {
                if let Err(error) = ringfleet_worker::run(vault, roster, directory, client, worker, stop).await {
                    tracing::error!(error = &error as &dyn std::error::Error, "a worker of the demo ended");
                }
            });
        }
        Ok(Self::Tasks { stop, workers })
    }

    /// Drains the workers.
    pub(crate) async fn end(mut self) {
        match &mut self {
            Fleet::Tasks { stop, workers } => {
                stop.cancel();
                while workers.join_next().await.is_some() {}
            }
            Fleet::Processes(children) => {
                let children = std::mem::take(children);
                for child in &children {
                    // SIGTERM: the drain is part of what is shown.
                    let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
                }
                let waiting = tokio::task::spawn_blocking(move || children.into_iter().map(|mut c| c.wait()).count());
                let _ = waiting.await;
            }
        }
    }
}

/// Starts this same program as workers, told by the environment as containers are.
fn processes(
    options: &DemoOptions,
    settings: &StoreSettings,
    simulator: &Simulator,
    folder: &Path,
) -> anyhow::Result<Fleet> {
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let accounts = folder.join("accounts.json");
    std::fs::write(&accounts, serde_json::to_vec(&simulator.accounts())?).context("can't write the accounts")?;
    let start = |n: u32| {
        Command::new(&program)
            .arg("worker")
            .env("RINGFLEET__STORE__URL", &settings.url)
            .env("RINGFLEET__STORE__DATA_DIR", &settings.data_dir)
            .env("RINGFLEET__STORE__PREFIX", &settings.prefix)
            .env("RINGFLEET__STORE__ALLOW_VOLATILE", settings.allow_volatile.to_string())
            .env("RINGFLEET__RINGCENTRAL__SERVER", simulator.base_url())
            .env("RINGFLEET__RINGCENTRAL__CLIENT_ID", simulator.client_id())
            .env("RINGFLEET__RINGCENTRAL__CLIENT_SECRET", simulator.client_secret())
            .env("RINGFLEET__RINGCENTRAL__ACCOUNTS_FILE", &accounts)
            .env("RINGFLEET__PLANS__WINDOW", format!("{}ms", options.window.as_millis()))
            .env("RINGFLEET__WORKER__NAME", format!("demo-{n}"))
            .env("RINGFLEET__METRICS__LISTEN", "")
            .env("RINGFLEET__LOG__LEVEL", "warn")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("can't start a worker process")
    };
    Ok(Fleet::Processes((1..=options.workers).map(start).collect::<anyhow::Result<_>>()?))
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Fleet::Processes(children) = self {
            for child in children {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}
