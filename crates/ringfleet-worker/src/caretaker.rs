//! Lets a lane go on that was parked for its credential, once this process has another one for it.

use std::time::Duration;

use ringcentral::Client;
use ringfleet_store::{Group, LaneId, SharedStore, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    options::{Credential, Credentials},
    sessions::{NO_CREDENTIAL, fingerprint},
};

/// Credentials looked after in one round, so that thousands of them are no load on the store.
const AT_ONCE: usize = 200;
const EVERY: Duration = Duration::from_secs(15);
/// How a lane's reason begins when its credential is the cause; see [`crate::sender`].
pub(crate) const CREDENTIAL: &str = "credential ";

pub(crate) async fn care(
    store: SharedStore,
    client: Client,
    app: String,
    credentials: Credentials,
    stop: CancellationToken,
) {
    let all: Vec<&Credential> = credentials.iter().collect();
    for some in all.chunks(AT_ONCE).cycle() {
        for credential in some {
            if let Err(error) = look_after(&store, &client, &app, credential).await {
                crate::metrics::store_error("lane", &error);
                break;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY.mul_f64(rand::random_range(0.7..=1.3))) => {}
        }
    }
}

async fn look_after(
    store: &SharedStore,
    client: &Client,
    app: &str,
    credential: &Credential,
) -> Result<(), StoreError> {
    let extension = credential.extension.as_str();
    let Ok(lane) = LaneId::try_new(app, extension, Group::Medium) else { return Ok(()) };
    let Some(reason) = store.lane(&lane).await?.parked else { return Ok(()) };
    let Some(cause) = reason.strip_prefix(CREDENTIAL) else { return Ok(()) };
    let changed = match cause.split_once('#') {
        Some((_, refused)) => refused != fingerprint(client, credential),
        None => cause == NO_CREDENTIAL,
    };
    if changed {
        tracing::info!(extension.id = extension, "credential changed; the lane goes on");
        store.set_parked(&lane, None).await?;
    }
    Ok(())
}
