//! The sender directory as this process sees it.

use std::sync::Arc;

use ringfleet_identity::{
    Vault,
    directory::{Directory, Follower},
};
use ringfleet_store::SharedStore;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Accounts,
    config::{KeySource, Settings},
    keys,
};

/// What the accounts file says and, unless the directory is off, what the fleet has learnt; followed until `stop`.
pub(crate) async fn follow(
    settings: &Settings,
    accounts: &Accounts,
    store: &SharedStore,
    stop: CancellationToken,
) -> anyhow::Result<Directory> {
    let claims = accounts.claims()?;
    if settings.worker.directory_refresh.is_none() {
        return Ok(Directory::fixed(claims));
    }
    if matches!(settings.identity.keys, KeySource::App) && settings.provider.client_secret.is_none() {
        tracing::warn!(
            "neither identity.key_file nor the app's secret is here, so what the fleet knows of senders can't be opened; \
             the accounts file alone says who may send"
        );
        return Ok(Directory::fixed(claims));
    }
    let vault = Vault::new(store.clone(), Arc::new(keys::ring(settings)?), &settings.provider.app);
    let (directory, follower) = Follower::start(&vault, claims).await?;
    tokio::spawn(follower.run(settings.identity.poll, stop));
    Ok(directory)
}
