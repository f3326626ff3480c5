//! Closing the fleet's gate when the provider asks for it.

use std::time::{Duration, Instant};

use ringfleet_store::{Gate, Millis, SharedStore};

use crate::{Sessions, metrics, telling::tell_until};

impl Sessions {
    /// After a 429 of a limit wider than the extension, to a send or to a read: the whole fleet waits for so long.
    ///
    /// A store that can't be told now is told as soon as it can, by a task of its own, for which
    /// [`end_logins`](Self::end_logins) waits: a request inside the provider's penalty would restart it.
    pub async fn close_gate(&self, delay: Duration) {
        tracing::warn!(?delay, "throttled by a limit wider than the extension; the fleet waits");
        let until = Instant::now() + delay;
        if is_closed(self.store().clone(), until).await {
            return;
        }
        let store = self.store().clone();
        tell_until(&self.telling, until, move || is_closed(store.clone(), until));
    }
}

/// Whether all of the store has taken it.
async fn is_closed(store: SharedStore, until: Instant) -> bool {
    let closed = async {
        let left = until.saturating_duration_since(Instant::now()).as_millis() as Millis;
        let until = store.now().await? + left;
        store.set_gate(&Gate::Until { until, reason: "wider-429".to_owned() }).await
    };
    let closed = closed.await;
    if let Err(error) = &closed {
        metrics::store_error("set_gate", error);
    }
    closed.is_ok()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::sessions::tests::fleet;

    #[tokio::test]
    async fn a_store_that_could_not_be_told_is_told_when_it_can_and_a_drain_waits_for_that() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        let store = sessions.store();
        let other = Connection::open(folder.path().join("fleet.db")).unwrap();
        let refuses =
            "CREATE TRIGGER refuses BEFORE UPDATE OF gate_until ON store BEGIN SELECT RAISE(ABORT, 'no'); END";
        other.execute_batch(refuses).unwrap();
        sessions.close_gate(Duration::from_secs(60)).await;
        assert_eq!(store.gate().await.unwrap(), Gate::Open, "the store did not fail, so this shows nothing");
        let end = sessions.end_logins();
        tokio::pin!(end);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut end).await.is_err(), "it is to be told still");
        other.execute_batch("DROP TRIGGER refuses").unwrap();
        tokio::time::timeout(Duration::from_secs(20), end).await.expect("told");
        assert!(matches!(store.gate().await.unwrap(), Gate::Until { .. }));
    }
}
