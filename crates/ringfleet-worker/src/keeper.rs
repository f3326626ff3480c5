//! The leases in this worker's hands, and the loop that keeps them alive while the process lives.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use ringfleet_store::{LeaseRef, LeaseToken, MessageId, SharedStore};
use tokio_util::sync::CancellationToken;

/// What this worker holds. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct InHand(Arc<Mutex<HashMap<MessageId, LeaseToken>>>);

/// One held lease; let go when dropped, also when its task panicked, so that a broken task's lease ends.
#[derive(Debug)]
pub(crate) struct Hold {
    all: InHand,
    lease: LeaseRef,
}

impl InHand {
    pub(crate) fn hold(&self, lease: LeaseRef) -> Hold {
        self.lock().insert(lease.id, lease.token);
        Hold { all: self.clone(), lease }
    }

    /// Those of one shard, and how many there are in all.
    fn leases(&self, shard: usize, shards: usize) -> (Vec<LeaseRef>, usize) {
        let held = self.lock();
        let ours = held.iter().filter(|(_, token)| token.shard(shards) == shard);
        (ours.map(|(id, token)| LeaseRef { id: *id, token: *token }).collect(), held.len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<MessageId, LeaseToken>> {
        // The map is whole at every step, so a panic elsewhere did not break it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.all.lock();
        if held.get(&self.lease.id) == Some(&self.lease.token) {
            held.remove(&self.lease.id);
        }
    }
}

/// Extends all leases in hand every third of a lease, until `stop`. A lease that could not be kept is not revived:
/// `begin_send` will refuse it, and a send under way is settled as late evidence.
pub(crate) async fn keep(store: SharedStore, in_hand: InHand, lease: Duration, stop: CancellationToken) {
    // SEND-SAFETY: each shard's by themselves: leases that end because another shard does not answer leave sends under way
    // without an owner.
    join_all((0..store.shards()).map(|shard| keep_of(shard, &store, &in_hand, lease, &stop))).await;
}

async fn keep_of(shard: usize, store: &SharedStore, in_hand: &InHand, lease: Duration, stop: &CancellationToken) {
    let mut beat = tokio::time::interval(lease / 3);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        let (leases, all) = in_hand.leases(shard, store.shards());
        crate::metrics::in_hand(all);
        if leases.is_empty() {
            continue;
        }
        match store.extend(&leases, lease).await {
            Ok(kept) => {
                let lost = kept.iter().filter(|kept| !**kept).count();
                if lost > 0 {
                    // Mostly messages settled meanwhile; many in a row mean that this process is too slow for its leases.
                    tracing::debug!(lost, "leases were no longer held");
                }
            }
            Err(error) => crate::metrics::store_error("extend", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{OnUnknown, sqlite::SqliteOptions};
    use ringfleet_testkit::eventually;

    use crate::tests::rig::{EXTENSION, PATIENCE, Worker, claimed, provider, sqlite, takes_texts, text};

    #[tokio::test]
    async fn a_lease_is_kept_until_its_report_is_made_although_its_hand_is_free_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let (worker, settling) = Worker::new(&store, provider(takes_texts().0).await);
        let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Resend)).await;
        let work = worker.takes(lease.clone());
        let Worker { sender, in_hand, hands, .. } = worker;
        let sent = tokio::spawn(async move { sender.process(work).await });
        eventually(PATIENCE, async || hands.available_permits() == 1).await;
        assert_eq!(in_hand.leases(0, 1).0, [lease.reference()]);

        tokio::spawn(settling);
        tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap();
        assert!(in_hand.leases(0, 1).0.is_empty());
    }
}
