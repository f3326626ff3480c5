//! Listeners, and the signals that end them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Connections of one listener. The others wait; the worker of the same process needs files for its own.
const MOST_CONNECTIONS: usize = 512;
/// From a connection's beginning, or the answer before, to the end of a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Of an answer that its client does not take: as long as some of it is read now and then, it may go on for longer.
const UNREAD_DEADLINE: Duration = Duration::from_secs(30);
/// After a connection could not be taken, as when no file is left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Serves until `stop`, then finishes the requests under way: the task ends with the last of them. Binds before it returns, so
/// that a taken port is told at once.
pub(crate) async fn http(
    what: &'static str,
    listen: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{what} can't listen on {listen}; is another process there? Set {what}.listen"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "{what} listens");
    let services = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok((address, tokio::spawn(serve(what, listener, services, UNREAD_DEADLINE, stop))))
}

async fn serve(
    what: &'static str,
    listener: TcpListener,
    mut services: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables))] unread: Duration,
    stop: CancellationToken,
) {
    let under_way = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let next = async || {
        let place = room.clone().acquire_owned().await.expect("nobody closes it");
        (place, listener.accept().await)
    };
    while let Some((place, accepted)) = stop.run_until_cancelled(next()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "{what} can't take a connection");
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_AGAIN)).await;
                continue;
            }
        };
        // The system's own patience with one that takes nothing has no end as long as that one says that it is there.
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(unread)) {
            tracing::warn!(%error, "{what} can't set a deadline for answers that nobody reads");
        }
        let Ok(service) = services.call(peer).await;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = under_way.watch(connection);
        tokio::spawn(async move {
            // What goes wrong with a connection is its client's to see.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    under_way.shutdown().await;
}

/// Cancelled by SIGTERM, Ctrl-C, or the end of the terminal. A second SIGTERM or Ctrl-C ends the process at once; a hangup is
/// nobody's wish for that, and may come together with a SIGTERM.
pub(crate) fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("can't listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't listen for SIGINT")?;
    // Listening would end what `nohup` does: it has the process ignore it.
    let mut hangup =
        if ignores_hangups() { None } else { Some(signal(SignalKind::hangup()).context("can't listen for SIGHUP")?) };
    let told = stop.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_request = tokio::select! {
                _ = terminate.recv() => true,
                _ = interrupt.recv() => true,
                _ = hung_up => false,
            };
            if asked && is_request {
                tracing::warn!("second signal: ending at once");
                std::process::exit(i32::from(crate::exit::FAILED));
            }
            asked |= is_request;
            told.cancel();
        }
    });
    Ok(stop)
}

/// Only Linux tells. SIGHUP has the number 1, so the last bit.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::Notify,
    };

    use super::*;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    async fn listen(router: Router) -> (SocketAddr, JoinHandle<()>, CancellationToken) {
        let stop = CancellationToken::new();
        let (address, served) = http("test", ([127, 0, 0, 1], 0).into(), router, stop.clone()).await.unwrap();
        (address, served, stop)
    }

    async fn told_until_closed(mut stream: TcpStream) -> String {
        let mut told = Vec::new();
        // One that is cut has told what it has told.
        let _ = stream.read_to_end(&mut told).await;
        String::from_utf8(told).unwrap()
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_task_ends() {
        let (came, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (came.clone(), go.clone());
        let slow = get(async move || {
            tell.notify_one();
            wait.notified().await;
            "done"
        });
        let (address, served, stop) = listen(Router::new().route("/", slow)).await;
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(ASK).await.unwrap();
        came.notified().await;
        stop.cancel();
        // Nobody else is let in meanwhile.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!served.is_finished());
        go.notify_one();
        assert!(told_until_closed(asks).await.ends_with("done"));
        served.await.unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn connections_whose_answers_nobody_reads_are_closed_and_make_room_for_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // More than the system keeps for one who does not read.
        let large = Router::new().route("/", get(async || vec![b'x'; 64 << 20]));
        let (stop, unread) = (CancellationToken::new(), Duration::from_secs(1));
        let services = large.into_make_service_with_connect_info::<SocketAddr>();
        let served = tokio::spawn(serve("test", listener, services, unread, stop.clone()));
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(ASK).await.unwrap();
        asks.readable().await.unwrap();
        // Its place is free when the task can end: what is under way is waited for.
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), served).await.expect("it is answered for ever").unwrap();
        drop(asks);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_ask_nothing_are_closed_and_make_room_for_those_that_do() {
        let (address, _served, _stop) = listen(Router::new().route("/", get(async || "here"))).await;
        let mut silent = Vec::new();
        for n in 0..=MOST_CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&ASK[..n % 20]).await.unwrap();
            silent.push(stream);
        }
        let began = Instant::now();
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(told_until_closed(asks).await.ends_with("here"));
        for stream in silent {
            let told = told_until_closed(stream).await;
            assert!(!told.contains("here"), "{told}");
        }
        // The clock of the test jumps to the next deadline.
        assert!(began.elapsed() < HEAD_DEADLINE);
    }
}
