use std::time::UNIX_EPOCH;

use ringfleet_store::{
    Group, LeaseToken, MessageId,
    sqlite::{SqliteOptions, SqliteStore},
};

use super::{entry::Story, *};

const EPOCH: &str = "2:a";
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The `n`-th send, which ended at `at` ms.
fn sent(n: u32, at: u64) -> Entry {
    let mut id = [7; 16];
    id[12..].copy_from_slice(&n.to_be_bytes());
    Entry {
        lease: LeaseRef { id: MessageId::from_bytes(id), token: LeaseToken(u64::from(n) + 1) },
        lane: LaneId::try_new("main", "1", Group::Medium).unwrap(),
        story: Story::Sent { provider_id: n.to_string() },
        at: UNIX_EPOCH + Duration::from_millis(at),
    }
}

/// Files of so many dead workers, each with `entries` sends of the same moment.
fn dead(dir: &Path, workers: u32, entries: u32) {
    let rings: Vec<Ring> = (0..workers).map(|_| Ring::open(dir, EPOCH).unwrap().0).collect();
    for (n, ring) in (0..).zip(rings) {
        ring.write(&(0..entries).map(|i| sent(n * entries + i, 1_000_000)).collect::<Vec<_>>()).unwrap();
    }
}

async fn store(dir: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(&dir.join("queue.db"), SqliteOptions::default()).await.unwrap())
}

#[test]
fn sends_of_the_last_seconds_are_remembered_however_many_and_older_ones_up_to_a_number() {
    let of = |spread_ms: u64, entries: u64| {
        let each = |n| sent(n as u32, 1_000_000 + n * spread_ms / entries);
        let mut entries: VecDeque<Entry> = (0..entries).map(each).collect();
        trim(&mut entries);
        entries.len()
    };
    assert_eq!(of(5_000, 30_000), 30_000, "6,000 a second for five seconds");
    assert!((30_000..30_010).contains(&of(20_000, 60_000)), "3,000 a second: ten seconds of it");
    assert_eq!(of(3_600_000, 20_000), FEWEST, "an hour");
    assert_eq!(of(3_000, 100_000), MOST);
}

#[tokio::test]
async fn all_that_every_dead_worker_would_tell_itself_is_told_by_the_one_that_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    dead(dir.path(), 3, 30_000);
    let journal = Journal::open(dir.path(), EPOCH).await.unwrap();
    assert!(journal.adopt().await);
    assert_eq!((journal.lock().len(), journal.adopted().entries.len()), (30_000, 60_000));
}

#[tokio::test]
async fn what_was_taken_over_is_told_until_it_is_told_and_its_files_go_then() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH).await.unwrap();
    assert!(!journal.adopt().await);
    dead(dir.path(), 2, 3);
    let files =
        || std::fs::read_dir(dir.path()).unwrap().filter(|file| !file.as_ref().unwrap().path().is_dir()).count();
    assert!(journal.adopt().await && journal.adopt().await, "nobody was told");
    assert_eq!(files(), 3);
    let told = store(&dir.path().join("store")).await;
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::Dead).await.unwrap(), 6);
    assert!(!journal.adopt().await);
    assert_eq!(files(), 1, "its own");
}

#[tokio::test]
async fn a_living_workers_sends_under_way_are_told_only_to_a_store_that_may_have_lost_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH).await.unwrap();
    journal.remember(&[Entry { story: Story::Begun, at: SystemTime::now(), ..sent(1, 0) }]);
    let told = store(&dir.path().join("store")).await;
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::Dead).await.unwrap(), 0);
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::All).await.unwrap(), 1);
}
