//! A message whose turn comes in its recipient's quiet hours.

use jiff::{SignedDuration, Timestamp};
use ringfleet_quiet::{QuietHours, Zone};
use ringfleet_store::{NewMessage, OnUnknown, Priority, State, sqlite::SqliteOptions};

use super::rig::{EXTENSION, NOBODY, Worker, claimed, client, provider, sqlite, state, takes_texts, text};

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
