//! The three who use it: a backend over HTTP, an orchestrator, an operator.

use std::{process::Stdio, time::Duration};

use ringfleet_testkit::{Port, RedisServer, eventually};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

use crate::{
    credential_commands::Keyed,
    rig::{Ends, Rig, RigOptions, http},
    rows_store::tell,
};

const KEY: &str = "canary-key-0123456789abcdef";

/// Status and text of a page of `metrics.listen`; `None` when nobody listens.
async fn page(listen: &str, name: &str) -> Option<(u16, String)> {
    let answer = http().get(format!("http://{listen}/{name}")).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_posted_to_up_is_sent_and_can_be_watched() {
    let rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).on_sqlite()).await;
    rig.keep_secret([
        KEY,
        "canary text",
        "canary two",
        "canary other",
        "canary visit-1",
        "+15552000001",
        "+15552000002",
    ]);
    let ports = [Port::hold(), Port::hold()];
    let [api, metrics] = ports.each_ref().map(Port::address);
    let up = rig.spawn(
        &["up"],
        &[("RINGFLEET__API__LISTEN", &api), ("RINGFLEET__API__KEYS", KEY), ("RINGFLEET__METRICS__LISTEN", &metrics)],
    );
    let client = http();
    let ready = format!("http://{metrics}/readyz");
    eventually(Duration::from_secs(20), async || client.get(&ready).send().await.is_ok_and(|r| r.status() == 200))
        .await;
    let messages = format!("http://{api}/v1/messages");

    let draft = json!({"from": rig.accounts[0].numbers[0], "to": "+15552000001", "text": "canary text"});
    assert_eq!(client.post(&messages).json(&draft).send().await.unwrap().status(), 401);
    let post = |body: Value| {
        client.post(&messages).bearer_auth(KEY).header("Idempotency-Key", "canary visit-1").json(&body).send()
    };
    let first: Value = post(draft.clone()).await.unwrap().json().await.unwrap();
    let second: Value = post(draft.clone()).await.unwrap().json().await.unwrap();
    assert_eq!((first["status"].as_str(), second["status"].as_str()), (Some("accepted"), Some("duplicate")));
    assert_eq!(first["id"], second["id"]);
    let other = json!({"from": rig.accounts[0].numbers[0], "to": "+15552000001", "text": "canary other"});
    assert_eq!(post(other).await.unwrap().status(), 409);

    let bulk = json!({"messages": [
        {"from": rig.accounts[1].numbers[0], "to": "+15552000002", "text": "canary two"},
        {"from": "+15559999999", "to": "nobody", "text": ""},
    ]});
    let answer: Value = client.post(&messages).bearer_auth(KEY).json(&bulk).send().await.unwrap().json().await.unwrap();
    assert_eq!((answer["accepted"].as_u64(), answer["refused"].as_u64()), (Some(1), Some(1)), "{answer}");
    assert_eq!(answer["results"][1]["errors"].as_array().map(Vec::len), Some(3), "{answer}");
    rig.handed_in_elsewhere(2);

    let one = format!("{messages}/{}", first["id"].as_str().unwrap());
    eventually(Duration::from_secs(20), async || {
        let view: Value = client.get(&one).bearer_auth(KEY).send().await.unwrap().json().await.unwrap();
        assert!(view["why"][0]["text"].is_string(), "{view}");
        rig.printed(view.to_string());
        view["status"] == "sent"
    })
    .await;
    rig.until_ended(2, Duration::from_secs(20)).await;

    let page = client.get(format!("http://{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    for name in [
        "ringfleet_messages{state=\"sent\"} 2",
        "ringfleet_oldest_due_age_seconds",
        "ringfleet_quota_offered_per_second",
        "ringfleet_quota_used_total",
        "ringfleet_send_duration_seconds_bucket",
        "ringfleet_token_renewals_total",
        "ringfleet_store_up 1",
    ] {
        assert!(page.contains(name), "{name} is missing in\n{page}");
    }
    rig.printed(page);
    let health = client.get(format!("http://{metrics}/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let status = rig.run(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["messages"]["sent"], 2);
    assert!(up.end().success());
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_and_a_paused_lane_hold_everything_back_until_they_are_opened() {
    let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).on_sqlite()).await;
    assert!(rig.run(&["fleet", "stop", "--reason", "test"]).status.success());
    let paused = rig.accounts[0].extension_id.clone();
    assert!(rig.run(&["lane", "pause", &paused]).status.success());
    rig.enqueue(0, 5, None).await;
    rig.enqueue(1, 5, None).await;
    rig.start_workers(1);
    let told = String::from_utf8(rig.run(&["status"]).stdout).unwrap();
    assert!(told.contains("STOPPED: test") && told.contains("paused by an operator"), "{told}");
    // Nothing can be awaited here; a worker that looks every second had its chance.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.simulator.report().requests, 0);
    assert!(rig.run(&["fleet", "resume"]).status.success());
    rig.until_ended(5, Duration::from_secs(20)).await;
    assert!(rig.run(&["lane", "resume", &paused]).status.success());
    rig.until_ended(10, Duration::from_secs(20)).await;
    assert_eq!(rig.finish(Ends::all()).await.report.accepted, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_reader_has_gone_does_its_work_and_ends_quietly() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let id = rig.enqueue_to(0, "+15552000001", "a text behind a pause").await.to_string();
    let extension = rig.accounts[0].extension_id.clone();
    for command in [
        &["lane", "pause", &extension][..],
        &["status"],
        &["status", "--json"],
        &["explain", &id],
        &["explain", &extension, "--json"],
        &["message", "show", &id],
        &["message", "dead"],
        &["held", "list"],
        &["config", "reference"],
        &["config", "show"],
        &["--help"],
    ] {
        let (status, told) = rig.run_without_reader(command);
        assert!(status.success() && told.is_empty(), "{command:?} ends with {status}: {told}");
    }
    assert!(rig.store.lane(&rig.lane(0)).await.unwrap().paused, "the work was left undone");
    assert!(rig.run(&["lane", "resume", &extension]).status.success());
    rig.start_workers(1);
    rig.until_ended(1, Duration::from_secs(20)).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_when_its_process_is_told_to_end_is_answered_while_that_calls_itself_draining() {
    for command in ["api", "up"] {
        let mut rig = Rig::start(RigOptions::new(2, Duration::from_secs(2)).on_sqlite()).await;
        rig.keep_secret([KEY, "canary text", "+15552000001"]);
        let ports = [Port::hold(), Port::hold()];
        let [api, metrics] = ports.each_ref().map(Port::address);
        let environment = [
            ("RINGFLEET__API__LISTEN", &*api),
            ("RINGFLEET__API__KEYS", KEY),
            ("RINGFLEET__METRICS__LISTEN", &*metrics),
        ];
        let running = rig.spawn(&[command], &environment);
        let answers = async || TcpStream::connect(&api).await.is_ok();
        eventually(Duration::from_secs(20), answers).await;
        let body = json!({"from": rig.accounts[0].numbers[0], "to": "+15552000001", "text": "canary text"}).to_string();
        let mut stream = TcpStream::connect(&api).await.unwrap();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut told = vec![0; 25];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told, b"HTTP/1.1 100 Continue\r\n\r\n");

        let end = std::thread::spawn(|| running.end());
        eventually(Duration::from_secs(5), async || !answers().await).await;
        assert_eq!(page(&metrics, "readyz").await, Some((503, "draining\n".to_owned())));
        assert_eq!(page(&metrics, "healthz").await, Some((200, "alive\n".to_owned())));
        stream.write_all(body.as_bytes()).await.unwrap();
        told.clear();
        stream.read_to_end(&mut told).await.unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("HTTP/1.1 202") && told.contains("accepted"), "{command}: {told}");
        assert!(end.join().unwrap().success());
        rig.handed_in_elsewhere(1);
        rig.start_workers(1);
        rig.until_ended(1, Duration::from_secs(20)).await;
        rig.finish(Ends::all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_without_its_redis_is_alive_and_not_ready_and_begins_when_that_is_there() {
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).quick()).await;
    rig.enqueue(0, 1, None).await;
    rig.redis_mut().kill();
    let ports = [Port::hold(), Port::hold(), Port::hold()];
    let [api, of_api, of_worker] = ports.each_ref().map(Port::address);
    let api = rig.spawn(&["api"], &[("RINGFLEET__API__LISTEN", &api), ("RINGFLEET__METRICS__LISTEN", &of_api)]);
    rig.start_worker_with(&[("RINGFLEET__METRICS__LISTEN", &of_worker)]);
    let not_yet = Some((503, "the store is not opened yet\n".to_owned()));
    for listen in [&of_api, &of_worker] {
        let alive = Some((200, "alive\n".to_owned()));
        eventually(Duration::from_secs(20), async || page(listen, "healthz").await == alive).await;
        assert_eq!(page(listen, "readyz").await, not_yet);
        let (_, metrics) = page(listen, "metrics").await.unwrap();
        assert!(metrics.contains("ringfleet_store_up 0"), "{metrics}");
    }
    // One that is told to end meanwhile has nothing to finish.
    assert!(api.end().success());
    eventually(Duration::from_secs(30), async || rig.logs().contains("the store can't be opened")).await;
    assert_eq!(page(&of_worker, "readyz").await, not_yet);
    rig.redis_mut().restart();
    let ready = Some((200, "ready\n".to_owned()));
    eventually(Duration::from_secs(20), async || page(&of_worker, "readyz").await == ready).await;
    rig.until_ended(1, Duration::from_secs(20)).await;
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_the_login_is_not_waited_for() {
    let rig = Rig::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    rig.keep_secret(["canary-of-redis", "canary-of-another"]);
    let server = RedisServer::builder().append_only().password("canary-of-redis").start();
    for (login, code) in [("", 64), (":canary-of-another@", 69)] {
        let url = format!("redis://{login}{}/0", server.address());
        let mut worker = rig.spawn(&["worker"], &[("RINGFLEET__STORE__URL", &url)]);
        eventually(Duration::from_secs(20), async || worker.child.try_wait().unwrap().is_some()).await;
        assert_eq!(worker.child.wait().unwrap().code(), Some(code), "{}", rig.log(worker.log()));
    }
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_connect_page_can_not_listen_ends_before_its_api_has_listened() {
    let fleet = Keyed::start(RigOptions::new(1, Duration::from_secs(2)).on_sqlite()).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = taken.local_addr().unwrap().to_string();
    let keys = fleet.environment();
    for command in ["api", "up"] {
        let mut environment = vec![
            ("RINGFLEET__CONNECT__LISTEN", &*connect),
            ("RINGFLEET__API__LISTEN", "127.0.0.1:0"),
            ("RINGFLEET__METRICS__LISTEN", "127.0.0.1:0"),
        ];
        environment.extend(keys.iter().map(|(name, value)| (*name, value.as_str())));
        let mut process = fleet.rig.spawn(&[command], &environment);
        eventually(Duration::from_secs(20), async || process.child.try_wait().unwrap().is_some()).await;
        let told = fleet.rig.log(process.log());
        assert_eq!(process.child.wait().unwrap().code(), Some(1), "{told}");
        assert!(told.contains(&format!("connect can't listen on {connect}")), "{told}");
        // Texts that an API took in would lose their answers with it. Each listener is told of, as the one for metrics was.
        assert!(told.contains("metrics listens") && !told.contains("api listens"), "{told}");
    }
    fleet.rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_full_redis_is_is_told_beside_its_limit() {
    const LIMIT: u64 = 512 << 20;
    let mut rig = Rig::start(RigOptions::new(1, Duration::from_secs(2))).await;
    rig.start_workers(1);
    for limit in [LIMIT, 0] {
        tell(rig.redis(), &format!("CONFIG SET maxmemory {limit}")).await;
        let told = async || rig.counted("ringfleet_store_memory_limit_bytes ").await == limit;
        eventually(Duration::from_secs(20), told).await;
        let used = rig.counted("ringfleet_store_memory_bytes ").await;
        assert!((100_000..LIMIT).contains(&used), "{used}");
    }
    rig.finish(Ends::all()).await;
}

/// Soft and hard limit of a process that a shell has started with this `ulimit`, as the system tells them.
#[cfg(target_os = "linux")]
async fn limits_under(ulimit: &str, name: &str) -> [String; 2] {
    let mut command = Command::new("sh");
    let script = format!("ulimit {ulimit}; exec \"$0\" simulator --listen 127.0.0.1:0");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_ringfleet")]);
    let mut simulator = command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    // It has printed where it listens.
    let mut printed = [0];
    timeout(Duration::from_secs(20), simulator.stdout.as_mut().unwrap().read_exact(&mut printed))
        .await
        .unwrap()
        .unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", simulator.id().unwrap())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let [soft, hard, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
    [soft, hard].map(str::to_owned)
}

/// A shell gives every program 1,024 files, three listeners may have 1,536 connections.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_takes_all_the_files_that_the_system_lets_it_have() {
    let [soft, hard] = limits_under("-S -n 99", "Max open files").await;
    assert_eq!(soft, hard);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_process_leaves_its_secrets_in_a_core_dump() {
    assert_eq!(limits_under("-c unlimited", "Max core file size").await, ["0", "0"]);
}
