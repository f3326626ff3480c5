//! A message whose turn comes in its recipient's quiet hours.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use ringfleet_quiet::{QuietHours, Zone};
use ringfleet_store::{Enqueued, NewMessage, OnUnknown, Priority, Private, State, WorkerId, sqlite::SqliteOptions};
use ringfleet_testkit::{RedisServer, eventually};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::rig::{
    EXTENSION, LEASE, NOBODY, Worker, claimed, client, provider, redis, sqlite, state, takes_texts, text,
};
use crate::{claimer::Claimer, queue};

/// Around this moment, wherever the recipients are taken to be.
fn now_is_quiet() -> QuietHours {
    let zone = Zone::try_new("America/Los_Angeles").unwrap();
    let clock = |hours| zone.clock(Timestamp::now() + SignedDuration::from_hours(hours));
    QuietHours::try_new(clock(-2), clock(2), zone.clone(), true).unwrap()
}

#[tokio::test]
async fn it_is_put_off_without_a_login_or_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path(), SqliteOptions::default()).await;
    // Nobody is there to log in at.
    let (mut worker, settling) = Worker::new(&store, client(NOBODY));
    tokio::spawn(settling);
    worker.sender.quiet_hours = Some(now_is_quiet());
    let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Hold)).await;
    let (id, lane) = (lease.id, lease.lane.clone());
    worker.sender.process(worker.takes(lease)).await;
    let message = store.get(&id).await.unwrap().unwrap();
    assert_eq!((message.state, message.reason.as_str(), message.attempt), (State::Scheduled, "quiet-hours", 0));
    let lane = store.lane(&lane).await.unwrap();
    assert_eq!((lane.slots_in_use, lane.in_flight, lane.penalty_until), (0, 0, None), "its lane goes on");
    assert_eq!(worker.journal.remembers(), 0, "a night of them would push out what was sent before");
}

#[tokio::test]
async fn high_priority_goes_where_it_is_spared() {
    let folder = tempfile::tempdir().unwrap();
    let (store, (routes, taken)) = (sqlite(folder.path(), SqliteOptions::default()).await, takes_texts());
    let (mut worker, settling) = Worker::new(&store, provider(routes).await);
    tokio::spawn(settling);
    worker.sender.quiet_hours = Some(now_is_quiet());
    let urgent = NewMessage { priority: Priority::High, ..text(EXTENSION, 1, OnUnknown::Hold) };
    let lease = claimed(&store, urgent).await;
    let id = lease.id;
    worker.sender.process(worker.takes(lease)).await;
    assert_eq!((state(&store, &id).await, taken.lock().unwrap().len()), (Some(State::Sent), 1));
    assert_eq!(worker.journal.remembers(), 2, "its beginning and its end");
}

/// One at a time, as fast as they are put off; at ten a second it would take half a minute.
#[tokio::test]
async fn a_backlog_of_them_does_not_keep_a_worker_from_finding_out_that_the_provider_is_well_again() {
    const HANDS: usize = 8;
    let server = RedisServer::start();
    let (store, (routes, taken)) = (redis(&server).await, takes_texts());
    let (worker, settling) = Worker::new(&store, provider(routes).await);
    tokio::spawn(settling);
    let Worker { mut sender, in_hand, .. } = worker;
    sender.quiet_hours = Some(now_is_quiet());
    sender.places = vec![Semaphore::new(HANDS)];
    for extension in [EXTENSION, "102", EXTENSION, "102", EXTENSION] {
        sender.breaker.unknown(&text(extension, 1, OnUnknown::Hold).lane, Instant::now());
    }
    let to = |number: String| NewMessage { to: Private::new(number), ..text(EXTENSION, 1, OnUnknown::Hold) };
    let mut backlog: Vec<_> = (0..300).map(|n| to(format!("+1650555{n:04}"))).collect();
    // Of London.
    backlog.push(to("+442079460100".to_owned()));
    let Some(&Enqueued::Accepted(awake)) = store.enqueue(&backlog).await.unwrap().last() else { panic!("not taken") };

    let (stop, (out, work)) = (CancellationToken::new(), mpsc::channel(HANDS));
    let claimer = Claimer {
        store: store.clone(),
        worker: WorkerId::incarnation("w"),
        in_hand,
        hands: Arc::new(Semaphore::new(HANDS)),
        lease: LEASE,
        poll: Duration::from_millis(20),
        settled: Arc::default(),
        out,
        breaker: sender.breaker.clone(),
        concurrency: HANDS,
        stop: stop.clone(),
    };
    let awake_is_sent = async {
        eventually(Duration::from_secs(10), async || state(&store, &awake).await == Some(State::Sent)).await;
        stop.cancel();
    };
    let processing = queue::process("w", work, HANDS, Arc::new(sender));
    let ((), ended, ()) = tokio::join!(claimer.run(), processing, awake_is_sent);
    ended.unwrap();
    assert_eq!(taken.lock().unwrap().len(), 1);
    assert_eq!(store.stats().await.unwrap().count(State::Scheduled), 300);
}
