//! Putting a worker together, running it, and draining it.

use std::{sync::Arc, time::Duration};

use ringcentral::Client;
use ringfleet_identity::{
    Reader, Roster, Sessions, Told, Vault,
    directory::{Directory, Refresher, Register},
};
use ringfleet_store::{Begin, Incarnation, Intent, LaneId, SharedStore, StoreError, WorkerId};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, error::Elapsed, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app,
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
    loops::Loops,
    mailbox::Mailboxes,
    options::WorkerOptions,
    queue, reaper,
    reconciler::Reconciler,
    sender::Sender,
    settler::settler,
    watcher::Watcher,
    webhooks::Subscriptions,
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
    /// Each would park the lanes that the other serves.
    #[error(
        "workers of app {others:?} use this store, and this one is of {app:?}: set ringcentral.app to theirs, or store.prefix \
         to a name of this fleet's own; after a change of the app's name end the others first"
    )]
    OtherApp { others: String, app: String },
    #[error("worker stopped")]
    Store(#[from] StoreError),
}

/// The loops without which not even a drain is safe.
const REPORTING: &str = "the reporting of what it sent";
const KEEPING: &str = "the keeping of its leases";

/// A drain that has used up its time leaves so much for telling the store that the worker goes.
const FAREWELL: Duration = Duration::from_secs(2);

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
    let (loops, mut ended_early) = Loops::new(&stop);
    // The loops that serve a drain must outlive it.
    let end = CancellationToken::new();
    let _end_guard = end.clone().drop_guard();
    let in_hand = keeper::InHand::default();
    let settled = Arc::new(Notify::new());
    let breaker = Arc::new(Breaker::default());
    let lease = options.lease;
    let concurrency = options.concurrency.max(1) as usize;

    match stop.run_until_cancelled(app::enter(&store, vault.app(), app::EVERY)).await {
        Some(entered) => entered?,
        None => return Ok(Drained::Clean),
    }
    let journal = Arc::new(open_journal(&store, &options).await?);
    // SEND-SAFETY: told before anything is claimed: what a worker that died with the store has sent would be given out again.
    let known = store.watch(&worker, Incarnation::default()).await?;
    journal.adopt().await;
    let left = journal.reassert(&store, options.retention, Whose::All).await?;
    if left > 0 {
        tracing::info!(sends = left, "the store has been told what dead workers sent last");
    }

    let (settler, settling) = settler(store.clone(), journal.clone(), settled.clone(), options.retention);
    let reporting = loops.spawn(REPORTING, settling);
    loops.spawn("the claim on the store", app::stay(store.clone(), vault.app().to_owned(), app::EVERY, stop.clone()));
    let begin = begin_batches(&store, &journal, lease, &loops);
    loops.spawn(KEEPING, keeper::keep(store.clone(), in_hand.clone(), lease, end.clone()));
    loops.spawn("the reaper", reaper::reap(store.clone(), options.reap_every, options.retention, stop.clone()));
    let sessions = Arc::new(Sessions::new(vault.clone(), roster, client.clone(), worker.clone(), lease));
    let watcher =
        Watcher::new(store.clone(), journal.clone(), sessions.clone(), options.retention, worker.clone(), known);
    let mut watching = tokio::spawn(watcher.watch(end.clone()));
    let register = Register::new(&vault);
    let caretaker = Caretaker {
        sessions: sessions.clone(),
        directory: directory.clone(),
        register: register.clone(),
        refresh: options.directory_refresh,
    };
    loops.spawn("the caretaker", caretaker.care(stop.clone()));
    loops.spawn("the keeping of connections", Connections::new(sessions.clone()).keep_alive(stop.clone()));
    loops.spawn("the foresight", Foresight::new(sessions.clone()).run(stop.clone()));
    if let Some(every) = options.directory_refresh {
        let refresher = Refresher::new(Reader::new(sessions.clone()), directory.clone(), every);
        loops.spawn("the reading of the directory", refresher.run(worker.clone(), stop.clone()));
    }

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
    // When it ends, so does the processing.
    loops.tasks().spawn(claimer.run());
    start_reading(&vault, &sessions, &worker, &options, &loops, &stop);

    let sender = Sender {
        client,
        sessions: sessions.clone(),
        directory,
        register,
        begin,
        settler,
        places: (0..store.shards()).map(|_| Semaphore::new(concurrency)).collect(),
        journal,
        lease,
        max_attempts: options.max_attempts,
        quiet_hours: options.quiet_hours,
        breaker,
        stop: stop.clone(),
    };
    let processing = queue::process(worker.as_str(), work, concurrency, Arc::new(sender));
    tokio::pin!(processing);
    let mut lost = None;
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
        Some(what) = ended_early.recv() => {
            if what == REPORTING || what == KEEPING {
                // SEND-SAFETY: it would go on sending, and nobody would be told: a text that was sent and not reported is looked up
                // when its lease ends, or sent again if its policy says so. Without its leases it would be no better.
                end.cancel();
                return Err(WorkerError::Ended { reason: format!("{what} ended") });
            }
            tracing::error!(what, "it ended, so the worker drains and ends");
            lost = Some(what);
            stop.cancel();
            None
        }
        () = stop.cancelled() => None,
    };
    let by = Instant::now() + options.drain;
    tracing::info!(worker.id = %worker, budget = ?options.drain, "worker drains");
    let drained = drain(&worker, by, ended, &mut processing, &sessions).await;
    end.cancel();
    loops.tasks().close();
    // SEND-SAFETY: in a drain too. It ends by itself when nothing is in hand any more; if it panicked before, the store was not told
    // what this worker sent, and it must not go as one that has told all.
    if reporting.is_finished() && reporting.await.is_err() {
        return Err(WorkerError::Ended { reason: "the reporting of what it sent ended".to_owned() });
    }
    match drained {
        Ok(Ok(())) if stop.is_cancelled() => {
            let left = async {
                match watching.await {
                    Ok(watched) => watched?.leave().await,
                    Err(error) => {
                        tracing::error!(%error, "the watch over the store ended badly");
                        Ok(())
                    }
                }
            };
            // Once in any case.
            match timeout_at(by.max(Instant::now() + FAREWELL), left).await {
                Ok(left) => left?,
                Err(_) => tracing::warn!(
                    "the store was not told that this worker goes; should it have lost what was sent last, only this worker's \
                     journal file knows: the next worker that is started in its folder tells it"
                ),
            }
            tracing::info!(worker.id = %worker, "worker drained");
            match lost {
                Some(what) => Err(WorkerError::Ended { reason: format!("{what} ended") }),
                None => Ok(Drained::Clean),
            }
        }
        Ok(Ok(())) => Err(WorkerError::Ended { reason: "its source of work ended".to_owned() }),
        Ok(Err(reason)) => Err(WorkerError::Ended { reason }),
        Err(_) => {
            tracing::warn!(worker.id = %worker, "drain ran out of time; other workers take over what is in flight");
            Ok(Drained::OutOfTime)
        }
    }
}

async fn open_journal(store: &SharedStore, options: &WorkerOptions) -> Result<Journal, JournalError> {
    let Some(dir) = &options.journal_dir else { return Ok(Journal::in_memory(store.shards())) };
    let journal = Journal::open(dir, &store.epoch(), store.shards()).await?;
    // A send may leave within half a lease of asking for its intent; the disk gets no more than half of that.
    Ok(journal.waiting(options.lease / 4))
}

/// The loops that write intents, one for each shard.
pub(crate) fn begin_batches(
    store: &SharedStore,
    journal: &Arc<Journal>,
    lease: Duration,
    loops: &Loops,
) -> Vec<Batcher<(Intent, LaneId), Begin>> {
    let of_a_shard = |_| {
        let (store, journal) = (store.clone(), journal.clone());
        let (begin, beginning) = Batcher::new(move |sends: Vec<(Intent, LaneId)>| {
            let (store, journal) = (store.clone(), journal.clone());
            async move {
                // SEND-SAFETY: before the intent: a send that neither store nor journal knows could go out again.
                journal.begin(&sends).await;
                let intents: Vec<Intent> = sends.into_iter().map(|(intent, _)| intent).collect();
                store.begin_send(&intents, lease).await
            }
        });
        loops.spawn("the noting of what it is about to send", beginning);
        begin
    };
    (0..store.shards()).map(of_a_shard).collect()
}

/// The loops that read from the provider: what became of texts, and what came in.
fn start_reading(
    vault: &Vault,
    sessions: &Arc<Sessions>,
    worker: &WorkerId,
    options: &WorkerOptions,
    loops: &Loops,
    stop: &CancellationToken,
) {
    let reader = Reader::new(sessions.clone());
    let reconciler = Reconciler {
        store: vault.store().clone(),
        reader: reader.clone(),
        options: options.reconcile.clone(),
        max_attempts: options.max_attempts,
        lock: options.lease,
        tells: options.delivery_every.is_some(),
        stop: stop.clone(),
    };
    loops.spawn("the reconciler", reconciler.run());
    let inbound = &options.inbound;
    let mailboxes =
        Mailboxes::new(reader.clone(), Inbox::new(vault), inbound.clone(), options.reconcile.clock_skew, stop.clone());
    if let Some(every) = options.delivery_every {
        loops.spawn("the reading of delivery reports", mailboxes.clone().follow_deliveries(every));
    }
    if let Some(every) = inbound.poll {
        loops.spawn("the polling of mailboxes", mailboxes.clone().poll(worker.clone(), every));
    }
    if let Some(public_url) = inbound.public_url.clone() {
        let subscriptions = Subscriptions {
            vault: vault.clone(),
            reader,
            public_url,
            calls: inbound.calls,
            // Two looks at least between the middle of its life and its end.
            every: inbound.poll.unwrap_or(LOOK_AT_SUBSCRIPTIONS).min(inbound.subscription_life / 5),
            life: inbound.subscription_life,
            refused: Told::default(),
            stop: stop.clone(),
        };
        loops.spawn("the keeping of subscriptions", subscriptions.run(worker.clone()));
    }
    loops.spawn("the following of webhooks", mailboxes.follow_hints(inbound.hints.clone()));
}

/// Lets what is in hand, and what logs in, come to its end until `by`. `Err`: something is still in hand. With nothing in hand
/// the processing may have `ended` by itself when it was told to stop; what logs in for others is waited for all the same.
pub(crate) async fn drain(
    worker: &WorkerId,
    by: Instant,
    ended: Option<Result<(), String>>,
    processing: impl Future<Output = Result<(), String>>,
    sessions: &Sessions,
) -> Result<Result<(), String>, Elapsed> {
    failpoint::hit_soon("drain.mid");
    let drained = match ended {
        Some(ended) => Ok(ended),
        None => timeout_at(by, processing).await,
    };
    // Nothing here waits for them any more, but the fleet would.
    if timeout_at(by, sessions.end_logins()).await.is_err() {
        tracing::warn!(worker.id = %worker, "logins are still under way after the drain; they are cut off");
    }
    drained
}
