//! Putting a worker together, running it, and draining it.

use std::sync::Arc;

use ringcentral::Client;
use ringfleet_store::{SharedStore, WorkerId};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    batcher::Batcher,
    breaker::Breaker,
    caretaker,
    claimer::Claimer,
    keeper,
    options::{Credentials, WorkerOptions},
    queue, reaper,
    sender::Sender,
    sessions::Sessions,
    settler::settler,
};

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything in hand was settled or given back.
    Clean,
    /// The budget ran out; what was in flight is taken over as after a crash.
    OutOfTime,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("worker ended by itself: {reason}")]
    Ended { reason: String },
}

/// Runs one worker until `stop`, then drains it within the budget.
///
/// Not cancel-safe: dropping the future is like killing the process, which the fleet survives, but slower than a drain.
pub async fn run(
    store: SharedStore,
    client: Client,
    credentials: Credentials,
    options: WorkerOptions,
    stop: CancellationToken,
) -> Result<Drained, WorkerError> {
    let worker = WorkerId::incarnation(&options.name);
    tracing::info!(worker.id = %worker, concurrency = options.concurrency, store = store.kind(), "worker starts");
    let background = TaskTracker::new();
    // The loops that serve a drain must outlive it.
    let end = CancellationToken::new();
    let _end_guard = end.clone().drop_guard();
    let in_hand = keeper::InHand::default();
    let settled = Arc::new(Notify::new());

    let app = options.app.clone();
    let breaker = Arc::new(Breaker::default());
    let (settler, settling) = settler(store.clone(), settled.clone());
    background.spawn(settling);
    let lease = options.lease;
    let beginner = store.clone();
    let (begin, beginning) = Batcher::new(move |leases: Vec<_>| {
        let store = beginner.clone();
        async move { store.begin_send(&leases, lease).await }
    });
    background.spawn(beginning);
    background.spawn(keeper::keep(store.clone(), in_hand.clone(), lease, end.clone()));
    background.spawn(reaper::reap(store.clone(), options.reap_every, options.retention, stop.clone()));
    background.spawn(caretaker::care(store.clone(), client.clone(), app.clone(), credentials.clone(), stop.clone()));

    let concurrency = options.concurrency.max(1) as usize;
    let (out, work) = mpsc::channel(concurrency);
    let claimer = Claimer {
        store: store.clone(),
        worker: worker.clone(),
        in_hand,
        hands: Arc::new(Semaphore::new(concurrency)),
        lease,
        poll: options.poll,
        settled,
        out,
        breaker: breaker.clone(),
        concurrency,
        stop: stop.clone(),
    };
    background.spawn(claimer.run());

    let sessions = Arc::new(Sessions::new(store.clone(), client.clone(), worker.clone(), app.clone(), credentials));
    let max_attempts = options.max_attempts;
    let sender =
        Sender { store, client, sessions, begin, settler, lease, max_attempts, app, breaker, stop: stop.clone() };
    let processing = queue::process(worker.as_str(), work, concurrency, Arc::new(sender));
    tokio::pin!(processing);
    let ended = tokio::select! {
        ended = &mut processing => Some(ended),
        () = stop.cancelled() => None,
    };
    let drained = match ended {
        Some(ended) => Ok(ended),
        None => {
            tracing::info!(worker.id = %worker, budget = ?options.drain, "worker drains");
            tokio::time::timeout(options.drain, &mut processing).await
        }
    };
    end.cancel();
    background.close();
    match drained {
        Ok(Ok(())) if stop.is_cancelled() => {
            tracing::info!(worker.id = %worker, "worker drained");
            Ok(Drained::Clean)
        }
        Ok(Ok(())) => Err(WorkerError::Ended { reason: "its source of work ended".to_owned() }),
        Ok(Err(reason)) => Err(WorkerError::Ended { reason }),
        Err(_) => {
            tracing::warn!(worker.id = %worker, "drain ran out of time; other workers take over what is in flight");
            Ok(Drained::OutOfTime)
        }
    }
}
