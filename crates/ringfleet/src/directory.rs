//! The sender directory as this process sees it.

use ringfleet_identity::directory::{Directory, Follower};
use ringfleet_store::SharedStore;
use tokio_util::sync::CancellationToken;

use crate::{accounts::Accounts, config::Settings};

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
    let (directory, follower) = Follower::start(store.clone(), &settings.provider.app, claims).await?;
    tokio::spawn(follower.run(settings.identity.poll, stop));
    Ok(directory)
}
