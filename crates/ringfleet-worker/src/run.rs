//! Putting a worker together, running it, and draining it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ringcentral::Client;
use ringfleet_identity::{
    Reader, Roster, Sessions, Vault,
    directory::{Directory, Refresher, Register},
};
use ringfleet_store::{Incarnation, Intent, LaneId, StoreError, WorkerId};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    batcher::Batcher,
    breaker::Breaker,
    caretaker::Caretaker,
    claimer::Claimer,
    connections::Connections,
    failpoint,
    foresight::Foresight,
    inbox::Inbox,
    journal::{Journal, JournalError, Whose},
    keeper,
    mailbox::Mailboxes,
    options::WorkerOptions,
    queue, reaper,
    reconciler::Reconciler,
    sender::Sender,
    settler::settler,
    watcher,
    webhooks::Keeper,
};

/// How often each subscription is looked at, where nothing else says how often to look.
const LOOK_AT_SUBSCRIPTIONS: Duration = Duration::from_secs(600);

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
    #[error("worker can't begin")]
    Journal(#[from] JournalError),
    #[error("worker stopped")]
    Store(#[from] StoreError),
}

/// Runs one worker of the vault's app and store until `stop`, then drains it within the budget. `roster` and `directory`
/// are followed by the caller.
///
/// Not cancel-safe: dropping the future is like killing the process, which the fleet survives, but slower than a drain.
pub async fn run(
    vault: Vault,
    roster: Roster,
    directory: Directory,
    client: Client,
    options: WorkerOptions,
    stop: CancellationToken,
) -> Result<Drained, WorkerError> {
    let worker = WorkerId::incarnation(&options.name);
    let store = vault.store().clone();
    tracing::info!(worker.id = %worker, concurrency = options.concurrency, store = store.kind(), "worker starts");
    let background = TaskTracker::new();
    // The loops that serve a drain must outlive it.
    let end = CancellationToken::new();
    let _end_guard = end.clone().drop_guard();
    let in_hand = keeper::InHand::default();
    let settled = Arc::new(Notify::new());

    let breaker = Arc::new(Breaker::default());
    let journal = Arc::new(match &options.journal_dir {
        Some(dir) => {
            // A send may leave within half a lease of asking for its intent; the disk gets no more than half of that.
            Journal::open(dir, &store.epoch(), store.shards()).await?.waiting(options.lease / 4)
        }
        None => Journal::in_memory(store.shards()),
    });
    // What a worker that died with the store has sent is told before anything is claimed.
    let known = store.watch(&worker, Incarnation::default()).await?;
    journal.adopt().await;
    let left = journal.reassert(&store, options.retention, Whose::All).await?;
    if left > 0 {
        tracing::info!(sends = left, "the store has been told what dead workers sent last");
    }
    let (settler, settling) = settler(store.clone(), journal.clone(), settled.clone());
    background.spawn(settling);
    let lease = options.lease;
    let begin = (0..store.shards()).map(|_| {
        let (beginner, diary) = (store.clone(), journal.clone());
        let (begin, beginning) = Batcher::new(move |sends: Vec<(Intent, LaneId)>| {
            let (store, diary) = (beginner.clone(), diary.clone());
            async move {
                // SEND-SAFETY: before the intent: a send that neither store nor journal knows could go out again.
                diary.begin(&sends).await;
                let intents: Vec<Intent> = sends.into_iter().map(|(intent, _)| intent).collect();
                store.begin_send(&intents, lease).await
            }
        });
        background.spawn(beginning);
        begin
    });
    let begin = begin.collect();
    background.spawn(keeper::keep(store.clone(), in_hand.clone(), lease, end.clone()));
    background.spawn(reaper::reap(store.clone(), options.reap_every, options.retention, stop.clone()));
    let register = Register::new(&vault);
    let (inbox, subscribed) = (Inbox::new(&vault), vault.clone());
    let sessions = Arc::new(Sessions::new(vault, roster, client.clone(), worker.clone(), lease));
    let mut watching = tokio::spawn(watcher::watch(
        store.clone(),
        journal.clone(),
        sessions.clone(),
        options.retention,
        worker.clone(),
        known,
        end.clone(),
    ));
    let caretaker = Caretaker {
        sessions: sessions.clone(),
        directory: directory.clone(),
        register: register.clone(),
        refresh: options.directory_refresh,
    };
    background.spawn(caretaker.care(stop.clone()));
    background.spawn(Connections::new(sessions.clone()).keep_alive(stop.clone()));
    background.spawn(Foresight::new(sessions.clone()).run(stop.clone()));
    if let Some(every) = options.directory_refresh {
        let refresher = Refresher::new(Reader::new(sessions.clone()), directory.clone(), every);
        background.spawn(refresher.run(worker.clone(), stop.clone()));
    }

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

    let leaver = store.clone();
    let max_attempts = options.max_attempts;
    let reconciler = Reconciler {
        store: store.clone(),
        reader: Reader::new(sessions.clone()),
        options: options.reconcile.clone(),
        max_attempts,
        lock: lease,
        tells: options.delivery_every.is_some(),
        failing: Mutex::default(),
        stop: stop.clone(),
    };
    background.spawn(reconciler.run());
    let mailboxes = Mailboxes::new(
        Reader::new(sessions.clone()),
        inbox,
        options.inbound.clone(),
        options.reconcile.clock_skew,
        stop.clone(),
    );
    if let Some(every) = options.delivery_every {
        background.spawn(mailboxes.clone().follow_deliveries(every));
    }
    if let Some(every) = options.inbound.poll {
        background.spawn(mailboxes.clone().poll(worker.clone(), every));
    }
    if let Some(public_url) = options.inbound.public_url.clone() {
        let keeper = Keeper {
            vault: subscribed,
            reader: Reader::new(sessions.clone()),
            public_url,
            calls: options.inbound.calls,
            // Two looks at least between the middle of its life and its end.
            every: options.inbound.poll.unwrap_or(LOOK_AT_SUBSCRIPTIONS).min(options.inbound.subscription_life / 5),
            life: options.inbound.subscription_life,
            stop: stop.clone(),
        };
        background.spawn(keeper.run(worker.clone()));
    }
    background.spawn(mailboxes.follow_hints(options.inbound.hints.clone()));
    let logins = sessions.clone();
    let places = (0..store.shards()).map(|_| Semaphore::new(concurrency)).collect();
    let sender = Sender {
        store,
        client,
        sessions,
        directory,
        register,
        begin,
        settler,
        places,
        journal,
        lease,
        max_attempts,
        breaker,
        stop: stop.clone(),
    };
    let processing = queue::process(worker.as_str(), work, concurrency, Arc::new(sender));
    tokio::pin!(processing);
    let ended = tokio::select! {
        ended = &mut processing => Some(ended),
        lost = &mut watching => {
            // SEND-SAFETY: what this store knows of sent texts is gone; nothing goes on with it.
            end.cancel();
            return Err(match lost {
                Ok(Err(error)) => WorkerError::Store(error),
                _ => WorkerError::Ended { reason: "its watch over the store ended".to_owned() },
            });
        }
        () = stop.cancelled() => None,
    };
    let drained = match ended {
        Some(ended) => Ok(ended),
        None => {
            tracing::info!(worker.id = %worker, budget = ?options.drain, "worker drains");
            failpoint::hit_soon("drain.mid");
            let until = tokio::time::Instant::now() + options.drain;
            let drained = tokio::time::timeout_at(until, &mut processing).await;
            // Nothing here waits for them any more, but the fleet would.
            if tokio::time::timeout_at(until, logins.end_logins()).await.is_err() {
                tracing::warn!(worker.id = %worker, "logins are still under way after the drain; they are cut off");
            }
            drained
        }
    };
    end.cancel();
    background.close();
    match drained {
        Ok(Ok(())) if stop.is_cancelled() => {
            // Nothing is left to tell, so nobody need wait for this one should the store be restarted.
            if let Err(error) = leaver.leave(&worker).await {
                crate::metrics::store_error("leave", &error);
            }
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
