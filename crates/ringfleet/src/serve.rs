//! Listeners, and the signals that end them.

use std::{collections::VecDeque, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, extract::connect_info::IntoMakeServiceWithConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Connections of one listener. The others wait; the worker of the same process needs files for its own.
const MOST_CONNECTIONS: usize = 512;
/// From a connection's beginning, or the answer before, to the end of a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Of a request's head, and read ahead of a connection: hyper would keep 400 KiB of each, before anybody has shown a key.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// Of an answer that its client does not take: as long as some of it is read now and then, it may go on for longer.
const UNREAD_DEADLINE: Duration = Duration::from_secs(30);
/// Of a connection, however often it asks: its place is not its own for ever.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// Of a connection while others wait for a place.
const SHARE: Duration = Duration::from_secs(30);
/// After no place was free, until the next connection is asked to leave: the one asked before may have an answer under way.
const ROOM_AGAIN: Duration = Duration::from_millis(200);
/// After a connection could not be taken, as when no file is left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Between two warnings that connections can't be taken.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// What one listener grants its connections.
#[derive(Clone, Copy)]
struct Limits {
    most: usize,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code))]
    unread: Duration,
    life: Duration,
    share: Duration,
}

const LIMITS: Limits = Limits { most: MOST_CONNECTIONS, unread: UNREAD_DEADLINE, life: LIFE, share: SHARE };

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
    Ok((address, tokio::spawn(serve(what, listener, services, LIMITS, stop))))
}

async fn serve(
    what: &'static str,
    listener: TcpListener,
    mut services: IntoMakeServiceWithConnectInfo<Router, SocketAddr>,
    limits: Limits,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.most));
    let (mut open, mut warned) = (Open::default(), Warned::default());
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if warned.is_due() {
                    tracing::warn!(%error, "{what} can't take a connection{}", remedy(&error));
                }
                if lacks_files(&error) {
                    open.make_room(limits.share);
                }
                stop.run_until_cancelled(sleep(ACCEPT_AGAIN)).await;
                continue;
            }
        };
        let Some(place) = stop.run_until_cancelled(open.place(&room, limits.share)).await else { break };
        // The system's own patience with one that takes nothing has no end as long as that one says that it is there.
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(limits.unread)) {
            tracing::warn!(%error, "{what} can't set a deadline for answers that nobody reads");
        }
        let Ok(service) = services.call(peer).await;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_header_size(MOST_HEAD_BYTES)
            .max_buf_size(MOST_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let over = timeout(limits.life, open.enter(limits.most));
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                // Or one that asks without a pause might use up its turns before its time is looked at.
                biased;
                _ = over => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
                // What goes wrong with a connection is its client's to see.
                _ = connection.as_mut() => {}
            }
            drop(place);
        });
    }
    // All are asked to leave, and waited for.
    drop((listener, open));
    let _ = room.acquire_many(limits.most as u32).await;
}

/// The connections that may stay, the oldest first. To drop one's sender is to ask it to leave after the answer under way.
#[derive(Default)]
struct Open(VecDeque<(Instant, oneshot::Sender<()>)>);

impl Open {
    /// Told by its end when the new connection is to leave.
    fn enter(&mut self, most: usize) -> oneshot::Receiver<()> {
        if self.0.len() >= 2 * most {
            self.forget_closed();
        }
        let (stays, leaves) = oneshot::channel();
        self.0.push_back((Instant::now(), stays));
        leaves
    }

    fn forget_closed(&mut self) {
        self.0.retain(|(_, stays)| !stays.is_closed());
    }

    /// Asks the one to leave that has been open longest, if it has had its share.
    fn make_room(&mut self, share: Duration) {
        self.forget_closed();
        if self.0.front().is_some_and(|(since, _)| since.elapsed() >= share) {
            self.0.pop_front();
        }
    }

    /// A free place, or else that of a connection that had one for long enough.
    async fn place(&mut self, room: &Arc<Semaphore>, share: Duration) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = room.clone().try_acquire_owned() {
                return place;
            }
            self.make_room(share);
            if let Ok(place) = timeout(ROOM_AGAIN, room.clone().acquire_owned()).await {
                return place.expect("nobody closes it");
            }
        }
    }
}

/// When the last warning was: one in each try would fill the log.
#[derive(Default)]
struct Warned(Option<Instant>);

impl Warned {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() >= WARN_AGAIN);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// EMFILE, which the standard library has no kind for.
fn lacks_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(24)
}

fn remedy(error: &io::Error) -> &'static str {
    if lacks_files(error) {
        "; let the process open more files: raise `ulimit -n`, or LimitNOFILE= of its systemd unit"
    } else {
        ""
    }
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
mod tests;
