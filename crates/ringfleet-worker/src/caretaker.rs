//! Lets a lane go on that was parked for its credential, once this process has another one for it.

use std::{sync::Arc, time::Duration};

use ringfleet_identity::{NO_CREDENTIAL, Sessions};
use ringfleet_store::{Group, LaneId, StoreError};
use tokio_util::sync::CancellationToken;

/// Extensions looked after in one round, so that thousands of them are no load on the store.
const AT_ONCE: usize = 200;
const EVERY: Duration = Duration::from_secs(15);
/// How a lane's reason begins when its credential is the cause; see [`crate::sender`].
pub(crate) const CREDENTIAL: &str = "credential ";

/// Looks after all extensions in turn, and at once after a change of the roster.
pub(crate) async fn care(sessions: Arc<Sessions>, stop: CancellationToken) {
    let mut changes = sessions.roster().changes();
    loop {
        let extensions = sessions.roster().extensions();
        for some in extensions.chunks(AT_ONCE) {
            for extension in some {
                if let Err(error) = look_after(&sessions, extension).await {
                    crate::metrics::store_error("lane", &error);
                    break;
                }
            }
            let wait = EVERY.mul_f64(rand::random_range(0.7..=1.3));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                Ok(()) = changes.changed() => break,
            }
        }
        if extensions.is_empty() {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changes.changed() => {}
            }
        }
    }
}

async fn look_after(sessions: &Sessions, extension: &str) -> Result<(), StoreError> {
    let Ok(lane) = LaneId::try_new(sessions.app(), extension, Group::Medium) else { return Ok(()) };
    let Some(reason) = sessions.store().lane(&lane).await?.parked else { return Ok(()) };
    let Some(cause) = reason.strip_prefix(CREDENTIAL) else { return Ok(()) };
    let changed = match cause.split_once('#') {
        Some((_, refused)) => refused != sessions.prints(extension),
        None => cause == NO_CREDENTIAL,
    };
    if changed {
        tracing::info!(extension.id = extension, "credential changed; the lane goes on");
        sessions.store().set_parked(&lane, None).await?;
    }
    Ok(())
}
