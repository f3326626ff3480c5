//! Notices that the store was restarted or exchanged, and tells it what this worker has sent.
//!
//! SEND-SAFETY: the store closes the fleet's gate when it sees that, until every worker that was there has told what it has
//! sent; one that stays away is waited for no longer than the store's patience.

use std::{sync::Arc, time::Duration};

use ringfleet_identity::Sessions;
use ringfleet_store::{Incarnation, SharedStore, StoreError, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, Whose};

const EVERY: Duration = Duration::from_millis(500);
/// How long a look at dead workers' files is waited for: the store's restarts must be noticed whatever the disk does.
const LOOK: Duration = Duration::from_secs(2);

/// Ends on `stop`, or when the store turns out to be another one: nothing may go on then.
pub(crate) async fn watch(
    store: SharedStore,
    journal: Arc<Journal>,
    sessions: Arc<Sessions>,
    retention: Duration,
    worker: WorkerId,
    mut told: Incarnation,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut noticed = told.restarts;
    let mut look = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let watched = store.watch(&worker, told).await;
        crate::metrics::shards(store.shards(), store.silent_shards());
        let seen = match watched {
            Ok(seen) => seen,
            Err(error @ StoreError::Replaced { .. }) => return Err(error),
            Err(error) => {
                crate::metrics::store_error("watch", &error);
                continue;
            }
        };
        if seen.clock_steps > told.clock_steps {
            crate::metrics::clock_stepped(seen.clock_steps - told.clock_steps);
            tracing::error!(
                "the store's clock stepped back; the fleet's time goes on, and is ahead of the clock for a while"
            );
            told.clock_steps = seen.clock_steps;
        }
        // A worker of this machine that died after the restart may not have told; its file tells.
        let looking = look.get_or_insert_with(|| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.adopt().await })
        });
        if tokio::time::timeout(LOOK, looking).await.is_ok() {
            look = None;
        }
        let inherited = journal.has_inherited();
        let restarted = seen.restarts != told.restarts;
        // SEND-SAFETY: any shard's loss changes the sum, which only grows: each is told of all sends once more.
        if seen.restarts != noticed {
            noticed = seen.restarts;
            journal.tell_anew();
        }
        if !restarted && !inherited {
            continue;
        }
        // Before the gate may open: a login with a refresh token that was used before could cost the connection.
        let connections = if restarted { sessions.reassert_connections().await } else { Ok(()) };
        if let Err(error) = &connections {
            tracing::warn!(error = error as &dyn std::error::Error, "connections can't be told again now");
        }
        // SEND-SAFETY: whatever is the matter with a connection: the gate does not wait for it longer than for a dead worker.
        let whose = if restarted { Whose::All } else { Whose::Dead };
        match journal.reassert(&store, retention, whose).await {
            Ok(sends) if !restarted => {
                tracing::info!(sends, "the store has been told what dead workers sent last");
            }
            Ok(sends) if connections.is_ok() => {
                crate::metrics::reasserted(sends);
                tracing::warn!(
                    sends,
                    "the store was restarted or exchanged; it has been told what this worker sent last"
                );
                told.restarts = seen.restarts;
                // Told at once, so that the gate opens as soon as it may.
                if let Err(error) = store.watch(&worker, told).await {
                    crate::metrics::store_error("watch", &error);
                }
            }
            // The connections are not told yet.
            Ok(_) => {}
            // Not done, so it is tried again.
            Err(error) => crate::metrics::store_error("reassert", &error),
        }
    }
}
