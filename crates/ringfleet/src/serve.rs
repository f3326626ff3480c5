//! Listeners, and the signals that end them.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use tokio::{net::TcpListener, signal::unix::SignalKind};
use tokio_util::sync::CancellationToken;

/// Serves until `stop`, then finishes the requests under way. Binds before it returns, so that a taken port is told at once.
pub(crate) async fn http(
    what: &'static str,
    listen: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{what} can't listen on {listen}; is another process there? Set {what}.listen"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "{what} listens");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serve = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    Ok((address, tokio::spawn(async move { serve.await })))
}

/// Cancelled by SIGTERM or Ctrl-C. A second signal ends the process at once.
pub(crate) fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate()).context("can't listen for SIGTERM")?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt()).context("can't listen for SIGINT")?;
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_cancelled() {
                tracing::warn!("second signal: ending at once");
                std::process::exit(i32::from(crate::exit::FAILED));
            }
            told.cancel();
        }
    });
    Ok(stop)
}
