use std::{
    fs::File,
    sync::mpsc,
    time::{SystemTime, UNIX_EPOCH},
};

use metrics_exporter_prometheus::PrometheusBuilder;
use ringfleet_store::{
    Begin, ClaimRequest, Group, LeaseToken, MessageId, NewMessage, OnUnknown, PlanSeen, Priority, Private, Settlement,
    State, WorkerId,
    sqlite::{SqliteOptions, SqliteStore},
};

use super::{recent::FEWEST, *};
use crate::settler::{Told, settler};

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

fn message() -> NewMessage {
    let number = |n: &str| Private::new(format!("+1650555010{n}"));
    NewMessage {
        lane: LaneId::try_new("main", "1", Group::Medium).unwrap(),
        key: None,
        from: number("1"),
        to: number("2"),
        text: Private::new("x".to_owned()),
        priority: Priority::default(),
        on_unknown: OnUnknown::Resend,
        send_at: None,
        send_by: None,
    }
}

/// The disk of the journal hangs until what this gives is dropped.
fn hang(journal: &Journal) -> mpsc::Sender<()> {
    let ring = journal.ring.clone().unwrap();
    let (go_on, wait) = mpsc::channel();
    let (hangs, hung) = mpsc::channel();
    std::thread::spawn(move || {
        let _next = ring.next.lock().unwrap();
        hangs.send(()).unwrap();
        // A test that fails ends too.
        let _ = wait.recv_timeout(Duration::from_secs(30));
    });
    hung.recv().unwrap();
    go_on
}

async fn store(dir: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(&dir.join("queue.db"), SqliteOptions::default()).await.unwrap())
}

#[test]
fn sends_of_the_last_seconds_are_remembered_however_many_and_older_ones_up_to_a_number() {
    let of = |spread_ms: u64, entries: u64| {
        let each = |n| sent(n as u32, 1_000_000 + n * spread_ms / entries);
        last_of((0..entries).map(each).collect(), 1).len()
    };
    assert_eq!(of(5_000, 30_000), 30_000, "6,000 a second for five seconds");
    assert!((30_000..30_010).contains(&of(20_000, 60_000)), "3,000 a second: ten seconds of it");
    assert_eq!(of(3_600_000, 20_000), FEWEST as usize, "an hour");
    assert_eq!(of(3_000, 100_000), MOST);
}

#[test]
fn the_last_sends_to_a_shard_that_has_stopped_answering_are_remembered_while_the_others_go_on() {
    let of = |shard: u64, n: u32, at| {
        let sent = sent(n, at);
        Entry { lease: LeaseRef { token: LeaseToken(sent.lease.token.0 << 6 | shard), ..sent.lease }, ..sent }
    };
    let of_the_first = |entries: Vec<Entry>| {
        let remembered = last_of(entries, 2);
        assert!(remembered.len() < 2 * FEWEST as usize, "the second shard's are forgotten as ever");
        remembered.iter().filter(|entry| entry.lease.token.shard(2) == 0).count()
    };
    let mut entries: Vec<Entry> = (0..100).map(|n| of(0, n, 1_000_000 + 1_000 * u64::from(n))).collect();
    entries.extend((100..20_000).map(|n| of(1, n, 1_100_000 + 10 * u64::from(n))));
    assert_eq!(of_the_first(entries), 11, "of its last ten seconds");
}

#[tokio::test]
async fn all_that_every_dead_worker_would_tell_itself_is_told_by_the_one_that_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    dead(dir.path(), 3, 30_000);
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    journal.adopt().await;
    assert_eq!((journal.lock().iter().count(), journal.adopted().of_dead(Whose::All).0.len()), (0, 90_000));
}

#[tokio::test]
async fn what_was_taken_over_is_told_until_it_is_told_and_once_more_when_its_file_has_been_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    let looks = async || {
        journal.adopt().await;
        journal.has_inherited()
    };
    assert!(!looks().await);
    dead(dir.path(), 2, 3);
    assert!(looks().await && looks().await, "nobody was told");
    let told = store(&dir.path().join("store")).await;
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::Dead).await.unwrap(), 6);
    assert!(!looks().await);
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::Dead).await.unwrap(), 0);
    dead(dir.path(), 1, 4);
    assert!(looks().await);
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::Dead).await.unwrap(), 7, "the file's, not the other's");
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::All).await.unwrap(), 10, "a store that may have lost them");
}

#[tokio::test]
async fn who_begins_after_all_have_ended_tells_what_each_of_them_has_sent() {
    let dir = tempfile::tempdir().unwrap();
    let neighbour = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    dead(dir.path(), 1, 3);
    neighbour.adopt().await;
    let before = store(&dir.path().join("before")).await;
    assert_eq!(neighbour.reassert(&before, FOR_EVER, Whose::Dead).await.unwrap(), 3);
    drop(neighbour);
    let restored = store(&dir.path().join("restored")).await;
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    journal.adopt().await;
    assert_eq!(journal.reassert(&restored, FOR_EVER, Whose::All).await.unwrap(), 3);
}

#[tokio::test]
async fn a_living_workers_sends_under_way_are_told_only_to_a_store_that_may_have_lost_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    journal.remember(&[Entry { story: Story::Begun, at: SystemTime::now(), ..sent(1, 0) }]);
    let told = store(&dir.path().join("store")).await;
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::Dead).await.unwrap(), 0);
    assert_eq!(journal.reassert(&told, FOR_EVER, Whose::All).await.unwrap(), 1);
}

#[tokio::test]
async fn beside_its_own_send_under_way_a_worker_lets_no_policy_send_again_and_a_dead_ones_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store")).await;
    let message = message();
    store.enqueue(std::slice::from_ref(&message)).await.unwrap();
    let (worker, term) = (WorkerId::incarnation("w"), Duration::from_secs(10));
    let begin = async |journal: &Journal| {
        let request = ClaimRequest { worker: &worker, free_slots: 1, lease: term };
        let lease = store.claim(request).await.unwrap().leases.remove(0);
        let intent = Intent { lease: lease.reference(), session: 0 };
        journal.begin(&[(intent, message.lane.clone())]).await;
        assert_eq!(store.begin_send(&[intent], term).await.unwrap(), [Begin::Go]);
        lease.id
    };
    let state = async |id| store.get(&id).await.unwrap().unwrap().state;
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    let id = begin(&journal).await;
    drop(journal);
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    journal.reassert(&store, FOR_EVER, Whose::All).await.unwrap();
    assert_eq!(state(id).await, State::Ready, "its worker has died");
    begin(&journal).await;
    journal.tell_anew();
    journal.reassert(&store, FOR_EVER, Whose::All).await.unwrap();
    assert_eq!(state(id).await, State::Unknown);
}

#[tokio::test]
async fn a_send_that_ends_while_the_store_is_told_is_not_told_as_one_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store")).await;
    store.enqueue(&[message()]).await.unwrap();
    let (worker, term) = (WorkerId::incarnation("w"), Duration::from_secs(10));
    let request = ClaimRequest { worker: &worker, free_slots: 1, lease: term };
    let lease = store.claim(request).await.unwrap().leases.remove(0);
    let journal = Journal::in_memory(1);
    journal.begin(&[(lease.reference().into(), lease.lane.clone())]).await;
    let known_before: Vec<Entry> = journal.lock().iter().cloned().collect();
    // Its worker gives it back meanwhile, without having asked for the intent.
    let outcome = Outcome::Released;
    journal.record(vec![Entry::ended(lease.reference(), &lease.lane, &outcome, true, Instant::now())]).await;
    let (age, seen) = (Duration::ZERO, PlanSeen::default());
    store.settle(&[Settlement { lease: lease.reference(), outcome, age, seen }]).await.unwrap();
    journal.tell(&store, &known_before.iter().collect::<Vec<_>>(), FOR_EVER, true).await.unwrap();
    assert_eq!(store.get(&lease.id).await.unwrap().unwrap().state, State::Ready);
}

#[tokio::test]
async fn a_report_is_settled_although_the_disk_of_the_journal_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store")).await;
    store.enqueue(&[message()]).await.unwrap();
    let (worker, term) = (WorkerId::incarnation("w"), Duration::from_secs(10));
    let request = ClaimRequest { worker: &worker, free_slots: 1, lease: term };
    let lease = store.claim(request).await.unwrap().leases.remove(0);
    let intent = Intent { lease: lease.reference(), session: 0 };
    assert_eq!(store.begin_send(&[intent], term).await.unwrap(), [Begin::Go]);
    let journal = Arc::new(Journal::open(dir.path(), EPOCH, 1).await.unwrap());
    let _hangs = hang(&journal);
    let (settler, settling) = settler(store.clone(), journal, Arc::default(), Duration::MAX);
    tokio::spawn(settling);
    let sent = Outcome::Sent { provider_id: "1".to_owned() };
    let report = settler.report(&lease, Told::answered(sent));
    tokio::time::timeout(Duration::from_secs(10), report).await.unwrap();
    assert_eq!(store.get(&lease.id).await.unwrap().unwrap().state, State::Sent);
}

#[tokio::test]
async fn sends_go_on_although_the_disk_of_the_journal_hangs_and_what_was_handed_over_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap().waiting(Duration::from_millis(100));
    let hangs = hang(&journal);
    let began = Instant::now();
    for n in 0..100 {
        let Entry { lease, lane, .. } = sent(n, 0);
        journal.begin(&[(Intent { lease, session: 0 }, lane)]).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "one after the other was waited for");
    drop(hangs);
    ringfleet_testkit::eventually(Duration::from_secs(10), async || journal.late().is_empty()).await;
    drop(journal);
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
    assert_eq!(journal.adopted().before.len(), MOST_LATE);
}

#[tokio::test]
async fn what_is_sent_while_the_disk_of_the_journal_hangs_is_told_to_a_store_that_has_lost_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap().waiting(Duration::from_millis(100));
    let _hangs = hang(&journal);
    let Entry { lease, lane, .. } = sent(0, 0);
    journal.begin(&[(Intent { lease, session: 0 }, lane)]).await;
    let store = store(&dir.path().join("store")).await;
    assert_eq!(journal.reassert(&store, FOR_EVER, Whose::All).await.unwrap(), 1);
}

#[tokio::test]
async fn a_disk_that_has_hung_is_waited_for_again_although_some_write_of_a_steady_stream_is_always_under_way() {
    static UNDER_WAY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap().waiting(Duration::from_millis(100));
    let written = |journal: &Journal| *journal.ring.as_ref().unwrap().next.lock().unwrap();
    let before = written(&journal);
    let (hangs, under_way) = (hang(&journal), UNDER_WAY.lock().await);
    journal.write(vec![sent(0, 0)], Ring::write).await;
    let stays = |ring: &Ring, entries: &[Entry]| ring.write(entries).map(|()| drop(UNDER_WAY.blocking_lock()));
    journal.write(vec![sent(1, 0)], stays).await;
    drop(hangs);
    let journal = journal.waiting(Duration::from_secs(60));
    ringfleet_testkit::eventually(Duration::from_secs(10), async || {
        written(&journal) == before + 2 && journal.late().len() == 1
    })
    .await;
    for n in 2..MOST_LATE as u32 * 2 {
        let slowly = |ring: &Ring, entries: &[Entry]| {
            std::thread::sleep(Duration::from_millis(3));
            ring.write(entries)
        };
        journal.write(vec![sent(n, 0)], slowly).await;
        assert_eq!(written(&journal), before + u64::from(n) + 1, "it was not waited for, or dropped");
    }
    drop(under_way);
}

#[tokio::test]
async fn what_a_dead_workers_file_tells_is_counted_when_it_changes_something_and_not_by_each_worker_that_begins() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store")).await;
    let of = |n, token, story| {
        let Entry { lease, lane, .. } = sent(n, 0);
        Entry { lease: LeaseRef { token: LeaseToken(token), ..lease }, lane, story, at: SystemTime::now() }
    };
    let unknown = || Story::Unknown { reason: "timeout".to_owned() };
    let told = [of(1, 9, unknown()), of(2, 9, unknown())].map(|entry| entry.reassertion(true).unwrap());
    store.reassert(&told, FOR_EVER).await.unwrap();
    // The lease of the one was over, and its message went on; of the other nobody else knows that it was sent.
    let stale = of(1, 2, Story::Rejected { code: "CMN-101".to_owned() });
    let late = of(2, 9, Story::Sent { provider_id: "2".to_owned() });
    let (ring, _) = Ring::open(dir.path(), EPOCH).unwrap();
    ring.write(&[stale, late]).unwrap();
    drop(ring);

    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    for _ in 0..2 {
        let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
        assert_eq!(journal.reassert(&store, FOR_EVER, Whose::All).await.unwrap(), 2);
    }
    let counted = recorder.handle().render();
    let counted: Vec<&str> = counted.lines().filter(|line| line.starts_with("ringfleet_settled_total")).collect();
    assert_eq!(counted, [r#"ringfleet_settled_total{outcome="sent",answer="late"} 1"#]);
}

/// Of a message that was sent as "1", and, as far as the store knows, under a newer lease as "2": the first sending.
async fn sent_twice(store: &SharedStore) -> Entry {
    let old = Entry { at: SystemTime::now(), ..sent(1, 0) };
    let lease = LeaseRef { token: LeaseToken(old.lease.token.0 + 1), ..old.lease };
    let new = Entry { lease, story: Story::Sent { provider_id: "2".to_owned() }, ..old.clone() };
    store.reassert(&[new.reassertion(true).unwrap()], FOR_EVER).await.unwrap();
    old
}

#[tokio::test]
async fn a_text_that_went_out_twice_is_said_and_counted_once_however_often_the_store_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store")).await;
    let old = sent_twice(&store).await;

    let log = dir.path().join("log");
    let writer = Arc::new(File::create(&log).unwrap());
    // With one reader of logs alone, another thread that comes to the same line first would settle that nobody reads it.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _log = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(writer).finish());
    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let journal = Journal::in_memory(1);
    journal.remember(std::slice::from_ref(&old));
    for _ in 0..2 {
        journal.tell_anew();
        assert_eq!(journal.reassert(&store, FOR_EVER, Whose::All).await.unwrap(), 1);
    }
    // The report of the send itself.
    let told = old.reassertion(true).unwrap().settlement;
    let answer = store.settle(std::slice::from_ref(&told)).await.unwrap()[0];
    assert_eq!(answer, Settled::SentTwice);
    journal.answered(told.lease, &old.lane, &told.outcome, answer).await;

    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert!(log.contains("a text went out twice") && log.contains(&old.lease.id.to_string()), "{log}");
    let counted = recorder.handle().render();
    assert!(counted.contains(r#"ringfleet_settled_total{outcome="sent",answer="sent_twice"} 1"#), "{counted}");
}

#[tokio::test]
async fn a_text_that_went_out_twice_is_counted_once_by_workers_that_begin_with_its_file_or_read_it_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store")).await;
    let old = sent_twice(&store).await;
    Ring::open(dir.path(), EPOCH).unwrap().0.write(&[old]).unwrap();

    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let begins = async || {
        let journal = Journal::open(dir.path(), EPOCH, 1).await.unwrap();
        journal.reassert(&store, FOR_EVER, Whose::All).await.unwrap();
        journal
    };
    drop(begins().await);
    let (next, neighbour) = (begins().await, begins().await);
    drop(next);
    neighbour.adopt().await;
    assert_eq!(neighbour.reassert(&store, FOR_EVER, Whose::Dead).await.unwrap(), 1);
    let counted = recorder.handle().render();
    assert!(counted.contains(r#"ringfleet_settled_total{outcome="sent",answer="sent_twice"} 1"#), "{counted}");
}
