//! Alive: the process answers. Ready: it can also reach its store.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};

use crate::Console;

/// 200 when the store answers within a second, else 503: an orchestrator then sends no new work here, but does not
/// restart the process, which comes back by itself.
pub(crate) async fn ready(State(console): State<Arc<Console>>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(Duration::from_secs(1), console.store.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "store does not answer\n"),
    }
}
