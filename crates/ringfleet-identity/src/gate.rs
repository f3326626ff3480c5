//! Closing the fleet's gate when the provider asks for it.

use std::time::{Duration, Instant};

use ringfleet_store::{Gate, Millis, SharedStore};

use crate::{jittered, metrics};

/// How soon a store that could not be told, or a shard of it, is told again.
const AGAIN: Duration = Duration::from_secs(1);

/// After a 429 of a limit wider than the extension, to a send or to a read: the whole fleet waits for so long.
///
/// A store that can't be told now is told as soon as it can, by a task of its own: a request inside the provider's penalty would
/// restart it.
pub async fn close_gate(store: &SharedStore, delay: Duration) {
    tracing::warn!(?delay, "throttled by a limit wider than the extension; the fleet waits");
    let until = Instant::now() + delay;
    if is_closed(store, until).await {
        return;
    }
    let store = store.clone();
    tokio::spawn(async move {
        while Instant::now() < until {
            tokio::time::sleep(jittered(AGAIN)).await;
            if is_closed(&store, until).await {
                return;
            }
        }
    });
}

/// Whether all of the store has taken it.
async fn is_closed(store: &SharedStore, until: Instant) -> bool {
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
    use std::sync::Arc;

    use ringfleet_store::sqlite::{SqliteOptions, SqliteStore};
    use rusqlite::Connection;

    use super::*;

    #[tokio::test]
    async fn a_store_that_could_not_be_told_is_told_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fleet.db");
        let store: SharedStore = Arc::new(SqliteStore::open(&file, SqliteOptions::default()).await.unwrap());
        let other = Connection::open(&file).unwrap();
        let refuses =
            "CREATE TRIGGER refuses BEFORE UPDATE OF gate_until ON store BEGIN SELECT RAISE(ABORT, 'no'); END";
        other.execute_batch(refuses).unwrap();
        close_gate(&store, Duration::from_secs(60)).await;
        assert_eq!(store.gate().await.unwrap(), Gate::Open, "the store did not fail, so this shows nothing");
        other.execute_batch("DROP TRIGGER refuses").unwrap();
        let told = async {
            while !matches!(store.gate().await.unwrap(), Gate::Until { .. }) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), told).await.expect("told");
    }
}
