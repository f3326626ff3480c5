//! Alive: the process answers. Ready: it can also reach its store, and the store is the one that it began with.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use ringfleet_store::StoreError;

use crate::Console;

/// 200 when the store answers within a second, one part of it at least, else 503: an orchestrator then sends no new work here,
/// but does not restart the process, which comes back by itself.
pub(crate) async fn ready(State(console): State<Arc<Console>>) -> (StatusCode, &'static str) {
    let asked = tokio::time::timeout(Duration::from_secs(1), console.store.ping()).await;
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
    use super::*;

    #[test]
    fn store_that_was_exchanged_is_told_apart_from_one_that_is_away() {
        assert_eq!(verdict(Ok(())).0, StatusCode::OK);
        let away = verdict(Err(StoreError::Unavailable { call: "ping", source: "no route".into() }));
        let replaced = verdict(Err(StoreError::Replaced { call: "now" }));
        assert_eq!((away.0, replaced.0), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE));
        assert!(replaced.1.contains("exchanged") && !away.1.contains("exchanged"));
    }
}
