//! Rows 3, 4, 6 to 8, 19 and 35: more that a Redis can do to a fleet.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use redis::aio::MultiplexedConnection;
use ringfleet_producer::{Draft, EnqueueError};
use ringfleet_store::{RedisStore, State, redis::RedisOptions};
use ringfleet_testkit::{Port, RedisServer, eventually, patient_link, wait_until};

use crate::{
    rig::{Ends, Rig, http},
    store_faults::{all_sent_once, loaded, quick, until_sent},
};

/// Longer than a lease, so that what a fault holds up falls out of its worker's hand.
const PAST_A_LEASE: Duration = Duration::from_secs(3);

pub(crate) async fn link(server: &RedisServer) -> MultiplexedConnection {
    patient_link(&server.url()).await
}

/// `false` when the deadline passed first.
pub(crate) async fn wait(deadline: Duration, condition: impl AsyncFn() -> bool) -> bool {
    let end = Instant::now() + deadline;
    while !condition().await {
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// One command, as an administrator types it.
pub(crate) async fn tell(server: &RedisServer, command: &str) -> redis::Value {
    let mut words = command.split(' ');
    let mut call = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        call.arg(word);
    });
    call.query_async(&mut link(server).await).await.unwrap()
}

async fn info(server: &RedisServer, section: &str) -> String {
    redis::cmd("INFO").arg(section).query_async(&mut link(server).await).await.unwrap()
}

/// What is told when a program that must not start is started, and its exit code.
pub(crate) fn refused(rig: &Rig, arguments: &[&str], url: &str) -> (Option<i32>, String) {
    let mut program = rig.spawn(arguments, &[("RINGFLEET__STORE__URL", url)]);
    let ended = wait_until(Duration::from_secs(30), || program.child.try_wait().unwrap().is_some());
    let told = rig.log(program.log());
    assert!(ended, "{arguments:?} goes on with {url}: {told}");
    (program.child.wait().unwrap().code(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_03_failover_to_a_replica_that_lags_behind_loses_nothing_and_sends_nothing_twice() {
    let mut rig = Rig::start(quick().behind_proxy()).await;
    let replica = RedisServer::builder().append_only().replica_of(rig.redis()).start();
    rig.start_workers(2);
    until_it_knows_workers(&replica, 2).await;
    for extension in 0..6 {
        rig.enqueue(extension, 60, None).await;
    }
    let queued = async || tell(&replica, "HLEN {rf:0}:m").await == redis::Value::Int(360);
    eventually(Duration::from_secs(30), queued).await;
    until_sent(&rig, 60).await;
    // From here on it gets nothing any more.
    tell(&replica, "REPLICAOF 127.0.0.1 1").await;
    let cut = rig.simulator.report().accepted;
    until_sent(&rig, cut + 60).await;
    let rig = fail_over(rig, replica, 360).await;
    assert!(rig.logs().contains("the store was restarted"), "nobody noticed");
    rig.finish(Ends::all()).await;
}

/// So many workers have opened the store. One that is still about to start would be refused where those that run are not; and a
/// replica that knows of them can miss something acknowledged from then on.
async fn until_it_knows_workers(server: &RedisServer, count: i64) {
    let known = async || tell(server, "HLEN {rf:0}:workers").await == redis::Value::Int(count);
    eventually(Duration::from_secs(30), known).await;
}

/// The primary dies, and the replica takes its place as it is. All must be sent once.
async fn fail_over(mut rig: Rig, replica: RedisServer, total: u64) -> Rig {
    let mut primary = rig.replace_redis(replica);
    primary.kill();
    tell(rig.redis(), "REPLICAOF NO ONE").await;
    let options = RedisOptions { rules: rig.rules, ..RedisOptions::new(rig.redis().url()) };
    rig.store = Arc::new(RedisStore::connect(options).await.unwrap());
    let (known, arrived) = (rig.stats().await.count(State::Sent), rig.simulator.report().accepted);
    assert!(known + 20 <= arrived, "the replica was not stale: it knows {known} of {arrived}");
    rig.proxy().retarget(rig.redis().address());

    all_sent_once(&rig, total).await;
    // What was sent already according to a worker leaves its place in the queue when its turn comes.
    let queues = async || rig.store.lanes(10).await.unwrap().is_empty();
    eventually(Duration::from_secs(30), queues).await;
    let report = rig.simulator.report();
    eprintln!("the replica knew {known} of {arrived} sends; over plan {}, 429 {}", report.over_plan, report.http_429);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn row_03_a_worker_that_the_stale_replica_never_heard_of_is_waited_for_as_well() {
    let mut rig = Rig::start(quick().behind_proxy()).await;
    let replica = RedisServer::builder().append_only().replica_of(rig.redis()).start();
    let due = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(2)).unwrap();
    for extension in 0..6 {
        rig.enqueue(extension, 40, Some(due.to_string())).await;
    }
    // Few hands, so that the second one gets its share.
    rig.start_worker_with(&[("RINGFLEET__WORKER__CONCURRENCY", "4")]);
    until_it_knows_workers(&replica, 1).await;
    tell(&replica, "REPLICAOF 127.0.0.1 1").await;
    rig.start_workers(1);
    // One window's sends; then nobody has anything in hand, and the next window begins.
    until_sent(&rig, 240).await;
    let idle = async || {
        let stats = rig.stats().await;
        (stats.count(State::Claimed), stats.count(State::Sending)) == (0, 0)
    };
    eventually(Duration::from_secs(20), idle).await;
    tokio::time::sleep(rig.options.window).await;
    let second = std::fs::read_to_string(rig.path("worker-2.log")).unwrap();
    assert!(second.contains("call answered"), "the second worker sent nothing");
    // It is a moment late with its look at the store, as any worker may be.
    rig.signal_worker(1, "STOP");
    let late = rig.workers[1].child.id();
    let log = rig.path("worker-1.log");
    let thaw = async {
        let noticed = async || std::fs::read_to_string(&log).unwrap().contains("the store was restarted");
        let told = wait(Duration::from_secs(20), noticed).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::process::Command::new("kill").arg("-CONT").arg(late.to_string()).status().unwrap();
        assert!(told, "the other worker did not notice the restart");
    };
    let (rig, ()) = tokio::join!(fail_over(rig, replica, 240), thaw);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_03_a_replica_that_never_heard_of_any_worker_is_noticed_as_well() {
    let mut rig = loaded(quick().behind_proxy(), 60).await;
    let replica = RedisServer::builder().append_only().replica_of(rig.redis()).start();
    tell(&replica, "REPLICAOF 127.0.0.1 1").await;
    rig.start_workers(2);
    until_sent(&rig, 100).await;
    fail_over(rig, replica, 360).await.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_04_a_frozen_redis_holds_the_fleet_up_and_nothing_else() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    rig.redis_mut().freeze();
    tokio::time::sleep(PAST_A_LEASE).await;
    rig.redis_mut().thaw();
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_06_a_full_redis_refuses_new_messages_and_lets_the_fleet_send_those_it_holds() {
    const KEY: &str = "canary-key-0123456789abcdef";
    let mut rig = loaded(quick(), 60).await;
    let port = Port::hold();
    let listen = port.address();
    let api = rig.spawn(&["api"], &[("RINGFLEET__API__LISTEN", &listen), ("RINGFLEET__API__KEYS", KEY)]);
    rig.keep_secret([KEY, "a late one", "another late one", "+15552007777", "+15552007778"]);
    let messages = format!("http://{listen}/v1/messages");
    let client = http();
    eventually(Duration::from_secs(30), async || client.get(&messages).send().await.is_ok()).await;
    rig.start_workers(2);
    until_sent(&rig, 30).await;
    until_it_knows_workers(rig.redis(), 2).await;

    // Less than it holds, so that it stays full whatever is sent.
    tell(rig.redis(), "CONFIG SET maxmemory 100kb").await;
    let from = rig.accounts[0].numbers[0].clone();
    let draft =
        || Draft { from: from.clone(), to: "+15552007777".into(), text: "a late one".into(), ..Draft::default() };
    let told = rig.hand_in(draft()).await;
    assert!(matches!(told, Err(EnqueueError::Full)), "{told:?}");
    let body = serde_json::json!({"from": from, "to": "+15552007777", "text": "a late one"});
    let post = || client.post(&messages).bearer_auth(KEY).header("Idempotency-Key", "late").json(&body).send();
    let answer = post().await.unwrap();
    let (status, told) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 503, "{told}");
    assert!(told.contains("store-full"), "{told}");
    let file = rig.path("late.csv");
    std::fs::write(&file, format!("from,to,text\n{from},+15552007778,another late one\n")).unwrap();
    let import = rig.run(&["import", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&import.stderr).into_owned();
    // Failed, or the store's code; not 3, which says that the rest went in.
    assert!(matches!(import.status.code(), Some(1 | 69)), "{:?} {told}", import.status);
    assert!(told.contains("full") && told.contains("again"), "{told}");

    all_sent_once(&rig, 360).await;
    tell(rig.redis(), "CONFIG SET maxmemory 0").await;
    assert!(post().await.unwrap().status().is_success());
    assert!(rig.run(&["import", file.to_str().unwrap()]).status.success());
    rig.handed_in_elsewhere(2);
    all_sent_once(&rig, 362).await;
    assert!(api.end().success());
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_06_a_worker_that_starts_while_redis_is_full_sends_what_is_there() {
    let mut rig = loaded(quick(), 20).await;
    tell(rig.redis(), "CONFIG SET maxmemory 100kb").await;
    rig.start_workers(2);
    rig.until_ended(120, Duration::from_secs(30)).await;
    all_sent_once(&rig, 120).await;
    assert!(rig.run(&["status"]).status.success(), "nobody can look at a full store");
    tell(rig.redis(), "CONFIG SET maxmemory 0").await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_07_a_redis_that_cannot_keep_a_queue_is_refused_at_the_start_with_the_remedy() {
    let rig = Rig::start(quick().on_sqlite()).await;
    let good = RedisServer::builder().append_only().start();
    let evicting = RedisServer::builder().append_only().arg("--maxmemory-policy", "allkeys-lru").start();
    let volatile = RedisServer::start();
    let replica = RedisServer::builder().append_only().replica_of(&good).start();
    for (server, remedy) in [
        (&evicting, "set maxmemory-policy noeviction, not allkeys-lru"),
        (&volatile, "set appendonly yes, or store.allow_volatile"),
        (&replica, "name the primary"),
    ] {
        for command in ["worker", "api", "status"] {
            let (code, told) = refused(&rig, &[command], &server.url());
            assert_eq!(code, Some(64), "{command}: {told}");
            assert!(told.contains(remedy), "{command}: {told}");
        }
    }
    let trial = [("RINGFLEET__STORE__URL", &*volatile.url()), ("RINGFLEET__STORE__ALLOW_VOLATILE", "true")];
    assert!(rig.run_with(&["status"], &trial).status.success(), "a trial is not permitted");
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_a_redis_that_becomes_a_replica_for_a_while_loses_and_doubles_nothing() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    until_it_knows_workers(rig.redis(), 2).await;
    tell(rig.redis(), "REPLICAOF 127.0.0.1 1").await;
    eventually(Duration::from_secs(30), async || rig.logs().contains("READONLY")).await;
    tokio::time::sleep(PAST_A_LEASE).await;
    tell(rig.redis(), "REPLICAOF NO ONE").await;
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_a_redis_that_cannot_write_its_snapshot_for_a_while_loses_and_doubles_nothing() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    until_it_knows_workers(rig.redis(), 2).await;
    // A snapshot is written beside its place and then put there, which a folder that holds something prevents, also for root.
    let place = rig.redis().dir().join("dump.rdb");
    std::fs::create_dir_all(place.join("in-the-way")).unwrap();
    let mut save = redis::cmd("CONFIG");
    save.arg("SET").arg("save").arg("3600 1");
    let _: redis::Value = save.query_async(&mut link(rig.redis()).await).await.unwrap();
    tell(rig.redis(), "BGSAVE").await;
    let last = async |status: &str| {
        info(rig.redis(), "persistence").await.contains(&format!("rdb_last_bgsave_status:{status}"))
    };
    eventually(Duration::from_secs(30), async || last("err").await).await;
    eventually(Duration::from_secs(30), async || rig.logs().contains("MISCONF")).await;
    tokio::time::sleep(PAST_A_LEASE).await;
    std::fs::remove_dir_all(place).unwrap();
    tell(rig.redis(), "BGSAVE").await;
    eventually(Duration::from_secs(30), async || last("ok").await).await;
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_19_a_clock_of_redis_that_steps_back_by_an_hour_stalls_nothing() {
    let mut options = quick();
    options.clock_file = true;
    let mut rig = loaded(options, 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    rig.redis().step_clock(-3_600);
    let took = rig.until_ended(360, Duration::from_secs(30)).await;
    eventually(Duration::from_secs(30), async || rig.logs().contains("clock stepped back")).await;
    let end = rig.finish(Ends::all()).await;
    assert_eq!((end.stats.count(State::Sent), end.report.accepted), (360, 360), "{end:?}");
    eprintln!("all were sent {took:?} after the step");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_data_of_a_newer_format_stop_the_fleet_which_leaves_them_as_they_are() {
    let mut rig = loaded(quick(), 60).await;
    rig.start_workers(2);
    until_sent(&rig, 60).await;
    until_it_knows_workers(rig.redis(), 2).await;
    let mut link = link(rig.redis()).await;
    let epoch: String = redis::cmd("GET").arg("{rf:0}:epoch").query_async(&mut link).await.unwrap();
    let (format, name) = epoch.split_once(':').unwrap();
    let newer = format!("{}:{name}", format.parse::<u32>().unwrap() + 1);
    let _: redis::Value = redis::cmd("SET").arg("{rf:0}:epoch").arg(newer).query_async(&mut link).await.unwrap();
    eventually(Duration::from_secs(30), async || rig.worker_has_ended(0) && rig.worker_has_ended(1)).await;
    for worker in &mut rig.workers {
        assert_eq!(worker.child.wait().unwrap().code(), Some(65));
    }
    assert!(rig.logs().contains("flushed or exchanged"), "they don't say why: {}", rig.logs());
    let before = (records(&rig).await, rig.simulator.report().requests);
    let url = rig.redis().url();
    for command in ["worker", "api", "status"] {
        let (code, told) = refused(&rig, &[command], &url);
        assert_eq!(code, Some(64), "{told}");
        assert!(told.contains("update this program"), "{told}");
    }
    assert_eq!((records(&rig).await, rig.simulator.report().requests), before, "something was touched or sent");

    // An older program that gets its data back goes on where it was.
    let _: redis::Value = redis::cmd("SET").arg("{rf:0}:epoch").arg(epoch).query_async(&mut link).await.unwrap();
    rig.start_workers(2);
    all_sent_once(&rig, 360).await;
    rig.finish(Ends::all()).await;
}

/// All that the store holds, for a comparison.
async fn records(rig: &Rig) -> Vec<(String, Vec<u8>)> {
    let mut link = link(rig.redis()).await;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut link).await.unwrap();
    keys.sort_unstable();
    let mut all = Vec::new();
    for key in keys {
        let value: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(&mut link).await.unwrap();
        // Some end by themselves.
        let lasts: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut link).await.unwrap();
        if let (Some(value), -1) = (value, lasts) {
            all.push((key, value));
        }
    }
    all
}
