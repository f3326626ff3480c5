//! Alive: the process answers. Ready: it goes on, can also reach its store, and the store is the one that it began with.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use ringfleet_store::StoreError;

use crate::Console;

/// 200 when the store answers within a second, one part of it at least, else 503: an orchestrator then sends no new work here,
/// but does not restart the process, which comes back by itself. 503 as well from the moment in which the process is told to end.
pub(crate) async fn ready(State(console): State<Arc<Console>>) -> (StatusCode, &'static str) {
    if console.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    let Some(store) = console.store.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the store is not opened yet\n");
    };
    let asked = tokio::time::timeout(Duration::from_secs(1), store.ping()).await;
    verdict(asked.unwrap_or_else(|elapsed| Err(StoreError::Unavailable { call: "ping", source: elapsed.into() })))
}

fn verdict(asked: Result<(), StoreError>) -> (StatusCode, &'static str) {
    match asked {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(StoreError::Replaced { .. }) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store was flushed or exchanged; a person must look, then start the fleet anew\n",
        ),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "store does not answer\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use ringfleet_store::{
        SharedStore,
        sqlite::{SqliteOptions, SqliteStore},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Recorder, fleet::FleetGauges};

    #[tokio::test]
    async fn a_process_is_ready_from_when_its_store_is_opened_until_it_is_told_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let console = Arc::new(Console {
            recorder: Recorder(PrometheusBuilder::new().build_recorder().handle()),
            store: Arc::new(OnceLock::new()),
            stop: CancellationToken::new(),
            fleet: FleetGauges::default().into(),
        });
        let asked = || ready(State(console.clone()));
        assert_eq!(asked().await, (StatusCode::SERVICE_UNAVAILABLE, "the store is not opened yet\n"));
        let store: SharedStore =
            Arc::new(SqliteStore::open(&dir.path().join("queue.db"), SqliteOptions::default()).await.unwrap());
        assert!(console.store.set(store).is_ok());
        assert_eq!(asked().await, (StatusCode::OK, "ready\n"));
        console.stop.cancel();
        assert_eq!(asked().await, (StatusCode::SERVICE_UNAVAILABLE, "draining\n"));
    }

    #[test]
    fn store_that_was_exchanged_is_told_apart_from_one_that_is_away() {
        assert_eq!(verdict(Ok(())).0, StatusCode::OK);
        let away = verdict(Err(StoreError::Unavailable { call: "ping", source: "no route".into() }));
        let replaced = verdict(Err(StoreError::Replaced { call: "now" }));
        assert_eq!((away.0, replaced.0), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE));
        assert!(replaced.1.contains("exchanged") && !away.1.contains("exchanged"));
    }
}
