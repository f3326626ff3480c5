//! What only this store promises; the rest stands in the conformance suite.

mod changes;
mod closing;
mod lost;

use std::{path::PathBuf, sync::atomic::AtomicI64, time::Instant};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{
    explain::{COUNT_ABOVE, COUNT_BEFORE},
    *,
};
use crate::{
    calls::{Begin, Claim, ClaimRequest, Enqueued, Incarnation, Outcome, Settled, Settlement},
    ids::{Group, IdempotencyKey, LaneId, WorkerId},
    message::{NewMessage, OnUnknown, Priority, Private, State},
    plan::PlanSeen,
    store::Store,
};

const LEASE: Duration = Duration::from_secs(30);

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("below").join("queue.db")
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path(), SqliteOptions::default()).await.expect("it opens")
    }

    async fn open_by_hand(&self) -> (SqliteStore, Arc<AtomicI64>) {
        let (clock, hand) = Clock::by_hand(1_000_000);
        let options = SqliteOptions { clock, ..SqliteOptions::default() };
        (SqliteStore::open(&self.path(), options).await.expect("it opens"), hand)
    }

    fn raw(&self) -> Connection {
        Connection::open(self.path()).expect("a second look at the file")
    }
}

fn lane(extension: &str) -> LaneId {
    LaneId::try_new("main", extension, Group::Medium).expect("a lane")
}

fn message(extension: &str, key: &str) -> NewMessage {
    NewMessage {
        on_unknown: OnUnknown::Hold,
        lane: lane(extension),
        key: Some(IdempotencyKey::try_new(key).expect("a key")),
        from: Private::new("+15550100001"),
        to: Private::new(format!("+1555010{key}")),
        text: Private::new("canary-text"),
        priority: Priority::Normal,
        send_at: None,
        send_by: None,
    }
}

async fn claim(store: &SqliteStore, worker: &WorkerId, free_slots: u32) -> Claim {
    store.claim(ClaimRequest { worker, free_slots, lease: LEASE }).await.expect("a claim")
}

#[tokio::test]
async fn messages_and_leases_survive_a_restart() {
    let (file, worker) = (File::new(), WorkerId::incarnation("w"));
    let store = file.open().await;
    store.enqueue(&[message("1", "a"), message("2", "b")]).await.expect("accepted");
    let lease = claim(&store, &worker, 1).await.leases.remove(0).reference();
    assert_eq!(store.begin_send(&[lease.into()], LEASE).await.expect("an answer"), [Begin::Go]);
    drop(store);

    let store = file.open().await;
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.count(State::Ready), stats.count(State::Sending)), (1, 1));
    assert_eq!(store.enqueue(&[message("1", "a")]).await.expect("answers"), [Enqueued::Duplicate(lease.id)]);
    let sent = Settlement {
        lease,
        outcome: Outcome::Sent { provider_id: "77".to_owned() },
        age: Duration::ZERO,
        seen: PlanSeen::default(),
    };
    assert_eq!(store.settle(std::slice::from_ref(&sent)).await.expect("settled"), [Settled::Done(State::Sent)]);
    let view = store.get(&lease.id).await.expect("an answer").expect("a message");
    assert_eq!((view.text.expose(), view.provider_id.as_deref()), ("", Some("77")));
}

#[tokio::test]
async fn two_handles_share_one_window() {
    let file = File::new();
    let (one, hand) = file.open_by_hand().await;
    let clock = Clock::by_hand(hand.load(Ordering::SeqCst)).0;
    let two =
        SqliteStore::open(&file.path(), SqliteOptions { clock, ..SqliteOptions::default() }).await.expect("it opens");
    let batch: Vec<_> = (0..20).map(|n| message("1", &n.to_string())).collect();
    one.enqueue(&batch).await.expect("accepted");
    let (a, b) = (WorkerId::incarnation("a"), WorkerId::incarnation("b"));
    let (first, second) = tokio::join!(claim(&one, &a, 5), claim(&two, &b, 5));
    let mut ids: Vec<_> = first.leases.iter().chain(&second.leases).map(|lease| lease.id).collect();
    ids.sort();
    ids.dedup();
    // The cap of one lane in flight, and no message twice.
    assert_eq!(ids.len(), 8);
    assert_eq!(one.lane(&lane("1")).await.expect("a view").slots_in_use, 8);
}

#[tokio::test]
async fn a_clock_that_steps_back_is_made_up_for_by_every_process() {
    let file = File::new();
    let (first, worker) = (file.open().await, WorkerId::incarnation("w"));
    let before = first.now().await.expect("a time");
    // The same as a clock that has stepped back by an hour.
    file.raw().execute("UPDATE file SET high = ?1", [before + 3_600_000]).expect("set");
    let second = file.open().await;
    for store in [&first, &second, &first] {
        let now = store.now().await.expect("a time");
        assert!((before + 3_599_000..before + 3_660_000).contains(&now), "{before} {now}");
    }
    let seen = second.watch(&worker, Incarnation::default()).await.expect("it looks");
    assert_eq!((seen.clock_steps, seen.restarts), (1, 0));
}

#[tokio::test]
async fn every_file_has_a_name_of_its_own_and_keeps_it() {
    let (one, other) = (File::new(), File::new());
    let name = one.open().await.epoch();
    assert!(name.starts_with("sqlite:") && name.len() == 23, "{name}");
    assert_eq!(one.open().await.epoch(), name);
    assert_ne!(other.open().await.epoch(), name);
}

#[tokio::test]
async fn work_wakes_its_own_handle_and_others() {
    let file = File::new();
    let (one, two) = (file.open().await, file.open().await);
    let hints = [one.work_hint(), one.work_hint(), two.work_hint()];
    let started = Instant::now();
    one.enqueue(&[message("1", "a")]).await.expect("accepted");
    tokio::time::timeout(Duration::from_secs(5), futures::future::join_all(hints)).await.expect("all wake up");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_no_news_wakes_nobody() {
    let (file, worker) = (File::new(), WorkerId::incarnation("w"));
    let (one, two) = (file.open().await, file.open().await);
    one.enqueue(&[message("1", "a")]).await.expect("accepted");
    tokio::try_join!(one.ping(), two.ping()).expect("pings");
    let hint = two.work_hint();
    claim(&one, &worker, 1).await;
    assert!(tokio::time::timeout(Duration::from_millis(150), hint).await.is_err());
}

#[tokio::test]
async fn an_answer_means_that_the_commit_is_done() {
    let file = File::new();
    let store = file.open().await;
    let raw = file.raw();
    for n in 0..50 {
        store.enqueue(&[message("1", &n.to_string())]).await.expect("accepted");
        let known: i64 = raw.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).expect("a count");
        assert_eq!(known, n + 1);
    }
}

#[tokio::test]
async fn every_commit_is_forced_to_the_disk_unless_less_was_asked_for() {
    let file = File::new();
    let normal = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
    for (options, level) in [(SqliteOptions::default(), 2), (normal, 1)] {
        let store = SqliteStore::open(&file.path(), options).await.expect("it opens");
        let set = store.call("test", |tx| tx.row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))).await;
        assert_eq!(set.expect("an answer"), Some(level));
    }
}

#[tokio::test]
async fn a_locked_file_is_unavailable_and_comes_back() {
    let file = File::new();
    let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let store = SqliteStore::open(&file.path(), options).await.expect("it opens");
    let raw = file.raw();
    raw.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let error = store.enqueue(&[message("1", "a")]).await.expect_err("no answer without a commit");
    assert!(matches!(error, StoreError::Unavailable { call: "enqueue", .. }), "{error:?}");
    raw.execute_batch("ROLLBACK").expect("the lock is given back");
    assert!(matches!(store.enqueue(&[message("1", "a")]).await.expect("answers")[..], [Enqueued::Accepted(_)]));
}

#[tokio::test]
async fn one_failing_call_rolls_back_only_itself() {
    let file = File::new();
    let store = file.open().await;
    file.raw()
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN new.recipient = 'bad' \
             BEGIN SELECT raise(ABORT, 'refused'); END",
        )
        .expect("a trigger");
    let bad = NewMessage { to: Private::new("bad"), ..message("1", "bad") };
    let batches = [vec![message("1", "good")], vec![message("1", "lost"), bad], vec![message("1", "later")]];
    // While the file is locked they gather, so that they share a transaction.
    let raw = file.raw();
    raw.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let unlock = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        raw.execute_batch("ROLLBACK").expect("the lock is given back");
    };
    let [a, b, c] = batches.each_ref().map(|batch| store.enqueue(batch));
    let (a, b, c, ()) = tokio::join!(a, b, c, unlock);
    assert!(a.is_ok() && c.is_ok());
    let error = b.expect_err("refused");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.count(State::Ready), stats.total()), (2, 2));
    assert_eq!(store.lane(&lane("1")).await.expect("a view").waiting, 2);
}

#[tokio::test]
async fn a_full_disk_refuses_and_harms_nothing() {
    let file = File::new();
    let store = file.open().await;
    store.call("test", |tx| tx.row("PRAGMA max_page_count = 60", [], |_| Ok(())).map(drop)).await.expect("set");
    let mut accepted = 0;
    let error = loop {
        let text = Private::new("x".repeat(3_000));
        match store.enqueue(&[NewMessage { text, ..message("1", &accepted.to_string()) }]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "it never fills");
    };
    assert!(matches!(error, StoreError::Full { call: "enqueue" }), "{error:?}");
    assert_eq!(store.stats().await.expect("stats").total(), accepted);
}

#[tokio::test]
async fn a_file_that_takes_no_writes_can_still_be_looked_at() {
    let file = File::new();
    let store = file.open().await;
    let Enqueued::Accepted(id) = store.enqueue(&[message("1", "a")]).await.expect("accepted")[0] else { panic!() };
    // Long ago, so that the next change writes the time down.
    file.raw()
        .execute_batch(
            "UPDATE file SET high = 0; CREATE TRIGGER refuse BEFORE UPDATE ON file BEGIN SELECT raise(ABORT, 'no room'); END",
        )
        .expect("a trigger");
    for store in [store, file.open().await] {
        assert_eq!(store.stats().await.expect("stats").total(), 1);
        assert!(store.get(&id).await.expect("a view").is_some());
        assert!(store.explain(&id).await.expect("an answer").is_some());
        store.gate().await.expect("a gate");
        store.ping().await.expect("it answers");
        store.enqueue(&[message("1", "b")]).await.expect_err("it takes writes");
    }
}

#[tokio::test]
async fn a_change_takes_the_time_along_and_a_question_does_not() {
    let file = File::new();
    let store = file.open().await;
    let kept = || file.raw().query_row("SELECT high FROM file", [], |row| row.get::<_, i64>(0)).expect("a time");
    let now = store.now().await.expect("a time");
    assert_eq!(kept(), 0);
    store.enqueue(&[message("1", "a")]).await.expect("accepted");
    assert!((now..now + 60_000).contains(&kept()), "{now} {}", kept());
}

#[tokio::test]
async fn a_newer_schema_and_foreign_files_are_refused() {
    let refused = |path: PathBuf| async move {
        let error = SqliteStore::open(&path, SqliteOptions::default()).await.expect_err("refused");
        assert!(matches!(error, StoreError::Unfit { .. }), "{error:?}");
        error.to_string()
    };
    let newer = File::new();
    drop(newer.open().await);
    newer.raw().execute_batch("PRAGMA user_version = 99").expect("set");
    assert!(refused(newer.path()).await.contains("newer ringfleet"));

    let foreign = tempfile::tempdir().expect("a folder");
    let path = foreign.path().join("other.db");
    Connection::open(&path).expect("a database").execute_batch("CREATE TABLE theirs (x)").expect("a table");
    assert!(refused(path).await.contains("another program"));

    let path = foreign.path().join("notes.txt");
    std::fs::write(&path, "dear diary, ".repeat(400)).expect("a file");
    assert!(refused(path).await.contains("not a database"));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new();
    let store = file.open().await;
    store.enqueue(&[message("1", "a")]).await.expect("accepted");
    for entry in std::fs::read_dir(file.path().parent().expect("a folder")).expect("a listing") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("rights").permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn the_thread_ends_with_its_last_handle() {
    let file = File::new();
    let store = file.open().await;
    let (hint, copy) = (store.work_hint(), store.clone());
    drop(store);
    copy.enqueue(&[message("1", "a")]).await.expect("a clone keeps it");
    drop(copy);
    // The last connection takes its log with it when it closes.
    let log = file.path().with_extension("db-wal");
    let gone = async {
        while log.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the thread is gone, and with it the log");
    drop(hint);
}

/// A count that ends at its limit must not have walked over others first.
#[tokio::test]
async fn what_goes_before_a_message_is_counted_from_the_index_alone() {
    let file = File::new();
    drop(file.open().await);
    for (question, range) in
        [(COUNT_ABOVE, "(lane=? AND priority<?)"), (COUNT_BEFORE, "(lane=? AND priority=? AND place<?)")]
    {
        let plan = plan_of(&file.raw(), question);
        assert!(plan.contains(range), "{question}: {plan}");
    }
}

fn plan_of(raw: &Connection, question: &str) -> String {
    let mut statement = raw.prepare(&format!("EXPLAIN QUERY PLAN {question}")).expect("a plan");
    let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
    let rows = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get(3));
    let plan = rows.expect("rows").collect::<Result<Vec<String>, _>>();
    plan.expect("a plan").join("; ")
}

/// What is asked in every claim and settlement must be answered from an index, however long the tables are.
#[tokio::test]
async fn hot_questions_walk_no_table() {
    let file = File::new();
    drop(file.open().await);
    let raw = file.raw();
    let questions = [
        "SELECT n FROM lanes WHERE ready_at <= 1 ORDER BY ready_at, name LIMIT 9",
        "SELECT min(ready_at) FROM lanes WHERE ready_at IS NOT NULL",
        "SELECT min(oldest_due) FROM lanes WHERE oldest_due IS NOT NULL",
        "SELECT n FROM lanes WHERE oldest_due IS NOT NULL ORDER BY oldest_due, name LIMIT 9",
        "SELECT message FROM schedule WHERE due <= 1 ORDER BY due, id LIMIT 9",
        "SELECT place FROM queue WHERE lane = 1 AND priority >= 0 ORDER BY priority, place LIMIT 1",
        "SELECT max(place) FROM queue WHERE lane = 1 AND priority = 1",
        "DELETE FROM queue WHERE message = 1",
        "SELECT id FROM flight WHERE lease_until <= 1 ORDER BY lease_until, id LIMIT 9",
        "SELECT n FROM messages WHERE expire_at < 1 ORDER BY expire_at, id LIMIT 9",
        "SELECT n FROM messages WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14) AND coalesce(reported, ended) <= 1 \
         ORDER BY coalesce(reported, ended), id LIMIT 9",
        "SELECT n FROM messages WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14) AND (coalesce(reported, ended), id) > (1, x'00') \
         AND coalesce(reported, ended) <= 9 ORDER BY coalesce(reported, ended), id LIMIT 9",
        "SELECT n FROM messages WHERE state IN (9, 10, 11) AND state = 10 AND (ended, id) > (1, x'00') AND ended <= 9 \
         ORDER BY ended, id LIMIT 9",
        "SELECT n FROM messages WHERE state IN (9, 10, 11) AND state = 9 ORDER BY ended DESC, id DESC LIMIT 9",
        "SELECT id FROM messages WHERE lane = 1 AND state = 11 ORDER BY ended, id LIMIT 9",
        "SELECT n FROM lanes WHERE look_at <= 1 ORDER BY look_at, name LIMIT 9",
        "SELECT 1 FROM messages WHERE provider_id <> '' AND provider_id = 'x'",
        "SELECT p.message FROM messages m JOIN pairs p ON p.sender = m.sender AND p.recipient = m.recipient WHERE m.n = 1",
    ];
    for question in questions {
        let plan = plan_of(&raw, question);
        let walks = plan.contains("SCAN") && !plan.contains("USING COVERING INDEX");
        assert!(!walks && !plan.contains("TEMP B-TREE"), "{question}: {plan}");
    }
}
