//! Lets a lane go on that was parked for its credential, once this process has another one for it.

use std::time::Duration;

use ringfleet_store::{SharedStore, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    options::Credentials,
    sessions::{NO_CREDENTIAL, fingerprint},
};

/// Lanes looked at in one round, the longest waiting first.
const LANES: u32 = 500;
/// How a lane's reason begins when its credential is the cause; see [`crate::sender`].
pub(crate) const CREDENTIAL: &str = "credential ";

pub(crate) async fn care(store: SharedStore, credentials: Credentials, every: Duration, stop: CancellationToken) {
    loop {
        if let Err(error) = round(&store, &credentials).await {
            crate::metrics::store_error("lanes", &error);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every.mul_f64(rand::random_range(0.7..=1.3))) => {}
        }
    }
}

async fn round(store: &SharedStore, credentials: &Credentials) -> Result<(), StoreError> {
    for view in store.lanes(LANES).await? {
        let (Some(lane), Some(reason)) = (view.lane, view.parked) else { continue };
        let Some(cause) = reason.strip_prefix(CREDENTIAL) else { continue };
        let Some(credential) = credentials.get(lane.extension()) else { continue };
        let changed = match cause.split_once('#') {
            Some((_, refused)) => refused != fingerprint(credential),
            None => cause == NO_CREDENTIAL,
        };
        if changed {
            tracing::info!(extension.id = lane.extension(), "credential changed; the lane goes on");
            store.set_parked(&lane, None).await?;
        }
    }
    Ok(())
}
