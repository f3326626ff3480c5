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

/// For how long the store is told of connections, logins and reads at a stretch: there may be thousands, and it must be noticed
/// when it is restarted meanwhile, or told of sends that it did not take. What is left is told with the next look.
const REST: Duration = Duration::from_secs(10);

pub(crate) struct Watcher {
    store: SharedStore,
    journal: Arc<Journal>,
    sessions: Arc<Sessions>,
    retention: Duration,
    worker: WorkerId,
    /// The store has all of this worker's sends up to here.
    told: Incarnation,
    /// The restarts for which telling has begun, and how many sends it was.
    noticed: u64,
    sends: usize,
}

impl Watcher {
    /// `told`: what the store was when the worker, which has sent nothing yet, asked it first.
    pub(crate) fn new(
        store: SharedStore,
        journal: Arc<Journal>,
        sessions: Arc<Sessions>,
        retention: Duration,
        worker: WorkerId,
        told: Incarnation,
    ) -> Self {
        Self { store, journal, sessions, retention, worker, told, noticed: told.restarts, sends: 0 }
    }

    /// Until `stop`, or until the store turns out to be another one: nothing may go on then.
    pub(crate) async fn watch(mut self, stop: CancellationToken) -> Result<Self, StoreError> {
        let mut look = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(self),
                () = tokio::time::sleep(EVERY) => {}
            }
            let watched = self.store.watch(&self.worker, self.told).await;
            crate::metrics::shards(self.store.shards(), self.store.silent_shards());
            let seen = match watched {
                Ok(seen) => seen,
                Err(error @ StoreError::Replaced { .. }) => return Err(error),
                Err(error) => {
                    crate::metrics::store_error("watch", &error);
                    continue;
                }
            };
            if seen.clock_steps > self.told.clock_steps {
                crate::metrics::clock_stepped(seen.clock_steps - self.told.clock_steps);
                tracing::error!(
                    "the store's clock stepped back; the fleet's time goes on, and is ahead of the clock for a while"
                );
                self.told.clock_steps = seen.clock_steps;
            }
            // A worker of this machine that died after the restart may not have told; its file tells.
            let looking = look.get_or_insert_with(|| {
                let journal = self.journal.clone();
                tokio::spawn(async move { journal.adopt().await })
            });
            if tokio::time::timeout(LOOK, looking).await.is_ok() {
                look = None;
            }
            if seen.restarts != self.told.restarts {
                if self.tell(seen).await {
                    // Told at once, so that the gate opens as soon as it may.
                    if let Err(error) = self.store.watch(&self.worker, self.told).await {
                        crate::metrics::store_error("watch", &error);
                    }
                }
            } else if self.journal.has_inherited() {
                match self.journal.reassert(&self.store, self.retention, Whose::Dead).await {
                    Ok(sends) => tracing::info!(sends, "the store has been told what dead workers sent last"),
                    // Not done, so it is tried again.
                    Err(error) => crate::metrics::store_error("reassert", &error),
                }
            }
        }
    }

    /// Tells a store that has lost a moment. `false`: it, or a connection, can't be told all now, and is to be told again.
    pub(crate) async fn tell(&mut self, seen: Incarnation) -> bool {
        // SEND-SAFETY: any shard's loss changes the sum, which only grows: each is told of all sends once more.
        if seen.restarts != self.noticed {
            self.noticed = seen.restarts;
            self.sends = 0;
            self.journal.tell_anew();
            self.sessions.tell_connections_anew();
        }
        // SEND-SAFETY: before all the rest, which may be much or not to be told at all: the gate does not wait for that longer than
        // for a dead worker, and what only this worker knows to be sent would be given out again.
        let sends = self.journal.reassert(&self.store, self.retention, Whose::All).await;
        let rest = tokio::time::timeout(REST, self.tell_rest()).await.unwrap_or(false);
        match sends {
            Ok(sends) => {
                // Its own are told once, however often the rest must be.
                self.sends = self.sends.max(sends);
                if !rest {
                    return false;
                }
                crate::metrics::reasserted(self.sends);
                tracing::warn!(
                    sends = self.sends,
                    "the store was restarted or exchanged; it has been told what this worker sent last"
                );
                self.told.restarts = seen.restarts;
                true
            }
            Err(error) => {
                crate::metrics::store_error("reassert", &error);
                false
            }
        }
    }

    /// All but the sends; `false`: there is something left.
    async fn tell_rest(&self) -> bool {
        // Before the gate may open: a login with a refresh token that was used before could cost the connection.
        let (connections, slots) = tokio::join!(self.sessions.reassert_connections(), self.sessions.reassert_slots());
        if let Err(error) = &connections {
            tracing::warn!(error = error as &dyn std::error::Error, "connections can't be told again now");
        }
        if let Err(error) = &slots {
            crate::metrics::store_error("release", error);
        }
        connections.is_ok() && slots.is_ok()
    }

    /// The worker goes for good, with nothing under way: a store that is restarted later need not wait for it. Ends when the store
    /// has it, or turns out to be another one, which is an error as it is in `watch`; cancel-safe.
    ///
    /// SEND-SAFETY: a store that was restarted since this worker told it last may have lost its last sends, and nobody else may be
    /// there who could tell: it is told first, and one that is away is waited for.
    pub(crate) async fn leave(mut self) -> Result<(), StoreError> {
        let mut waits = false;
        loop {
            match self.store.leave(&self.worker, self.told).await {
                Ok(seen) if seen.restarts == self.told.restarts => return Ok(()),
                Ok(seen) => {
                    self.tell(seen).await;
                }
                Err(error @ StoreError::Replaced { .. }) => return Err(error),
                Err(error) => {
                    crate::metrics::store_error("leave", &error);
                    if !std::mem::replace(&mut waits, true) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the store can't be told that this worker goes; it is waited for until the drain's time is over"
                        );
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
