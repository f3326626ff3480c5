//! Messages on lines: each line has its answer, and what has none was not taken.

mod ends;

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    handler::Handler,
    http::{Request, StatusCode},
    response::Response,
};
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    FROM, TO,
    api::{KEY, Server, read},
    fake::{FakeStore, Fault},
    producer, sqlite,
};
use crate::http::{Api, ApiKeys, MAX_LINE_BYTES, MAX_NDJSON_BYTES, routes};

const NDJSON: &str = "application/x-ndjson";

fn line(n: usize) -> Bytes {
    format!("{{\"from\":\"{FROM}\",\"to\":\"{TO}\",\"text\":\"message {n}\",\"key\":\"line-{n}\"}}\n").into()
}

/// A body of so many lines, each a part of its own, and how many of them were read.
fn parts(count: usize) -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = read.clone();
    let lines = stream::iter(0..count).map(move |n| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(line(n))
    });
    (Body::from_stream(lines), read)
}

/// The route's answer without a connection in between, which would read ahead.
async fn hand_in(store: &Arc<FakeStore>, body: Body) -> Response {
    hand_to(&api(store, &CancellationToken::new()), body).await
}

fn api(store: &Arc<FakeStore>, stop: &CancellationToken) -> Arc<Api> {
    Arc::new(Api::new(producer(store.clone()), store.clone(), ApiKeys::none(), stop.clone()))
}

async fn hand_to(api: &Arc<Api>, body: Body) -> Response {
    let [(path, messages), ..] = routes();
    assert_eq!(path, "/v1/messages");
    let request = Request::post(path).header("content-type", NDJSON).body(body).unwrap();
    Handler::<(), _>::call(messages, request, api.clone()).await
}

async fn told(response: Response) -> Vec<Value> {
    assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::OK, &NDJSON.parse().unwrap()));
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(body.ends_with(b"\n"));
    body.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

async fn problem(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    (status, serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap())
}

fn statuses(told: &[Value]) -> Vec<&str> {
    told.iter().map(|line| line["status"].as_str().unwrap_or("none")).collect()
}

#[tokio::test]
async fn each_line_is_answered_in_order_and_a_bad_one_hinders_no_other() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store.clone()).await;
    let bad = r#"{"from": "+15550100001", "to": 15550200001, "text": ""}"#;
    let keyless = json!({"from": FROM, "to": TO, "text": "x"}).to_string();
    let long = "x".repeat(MAX_LINE_BYTES + 1);
    let first = String::from_utf8(line(0).to_vec()).unwrap();
    let body = format!("{first}\r\n  \n{{\"to\": canary\n{first}[1]\n{bad}\n{long}\n{keyless}\n{keyless}");
    let post =
        || server.call(Method::POST, "/v1/messages").header("content-type", "Application/X-NDJSON; charset=utf-8");
    let answer = post().body(body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (200, &NDJSON.parse().unwrap()));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let text = answer.text().await.unwrap();
    assert!(!text.contains("canary") && !text.contains("0200001"), "{text}");
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<_> =
        told.iter().map(|one| (one["index"].as_u64().unwrap(), one["line"].as_u64().unwrap())).collect();
    assert_eq!(places, [(0, 1), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (6, 9), (7, 10)]);
    let expected = ["accepted", "refused", "duplicate", "refused", "refused", "refused", "accepted", "accepted"];
    assert_eq!(statuses(&told), expected);
    assert_eq!((&told[2]["id"], told[6]["id"] == told[7]["id"]), (&told[0]["id"], false));
    let codes = |n: usize| -> Vec<&str> {
        told[n]["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect()
    };
    assert_eq!([codes(1), codes(3), codes(5)], [["malformed"], ["wrong-type"], ["field-too-long"]]);
    assert_eq!(codes(4), ["wrong-type", "text-empty"]);
    assert_eq!(store.stats().await.unwrap().total(), 3);

    let header = post().header("Idempotency-Key", "order-1").body(keyless);
    assert_eq!(read(header).await.0.as_u16(), 400);
    for empty in ["", "\n \r\n\n"] {
        let (status, problem) = read(post().body(empty)).await;
        assert_eq!((status.as_u16(), &problem["type"]), (400, &json!("urn:ringfleet:problem:malformed")), "{problem}");
    }
}

#[tokio::test]
async fn lines_go_in_by_the_batch_and_the_answer_begins_when_a_short_body_has_ended() {
    let store = FakeStore::with_faults([]);
    let response = hand_in(&store, parts(1_200).0).await;
    assert_eq!(store.len(), 1_200, "a client that reads nothing before it has sent everything would be stuck");
    let told = told(response).await;
    assert!(told.iter().enumerate().all(|(n, one)| one["line"] == n + 1 && one["status"] == "accepted"), "{told:?}");
    let (calls, largest) = (store.calls.load(Ordering::SeqCst), store.largest_batch.load(Ordering::SeqCst));
    assert_eq!((told.len(), calls, largest), (1_200, 3, 500));
    assert_eq!(statuses(&self::told(hand_in(&store, parts(1_200).0).await).await), ["duplicate"; 1_200]);

    // Long ones go in before there are so many of them.
    let store = FakeStore::with_faults([]);
    let long = |n| [line(n).trim_ascii_end(), &[b' '; 60_000], b"\n"].concat();
    let body: Vec<u8> = (0..40).flat_map(long).collect();
    assert_eq!(statuses(&self::told(hand_in(&store, body.into()).await).await), ["accepted"; 40]);
    let (calls, largest) = (store.calls.load(Ordering::SeqCst), store.largest_batch.load(Ordering::SeqCst));
    assert_eq!((calls, largest), (3, 18), "1 MiB of them");
}

#[tokio::test]
async fn of_a_long_body_no_more_is_read_than_there_are_answers_held_and_taken() {
    let count = 60_000;
    let store = FakeStore::with_faults([]);
    let (body, read) = parts(count);
    let response = hand_in(&store, body).await;
    let held = store.len();
    assert!((30_000..55_000).contains(&held), "{held}");
    assert_eq!(read.load(Ordering::SeqCst), held, "what is read is answered");
    let told = told(response).await;
    assert_eq!((told.len(), store.len()), (count, count));

    // A client that goes away instead: nothing more is handed in.
    let left = FakeStore::with_faults([]);
    let (body, read) = parts(count);
    drop(hand_in(&left, body).await);
    assert_eq!((read.load(Ordering::SeqCst), left.len()), (held, held));
}

#[tokio::test]
async fn a_store_that_fails_half_way_is_told_behind_the_answers_that_stand() {
    for (fault, status, kind) in [
        (Fault::Full, "not-taken", "store-full"),
        (Fault::Refuse, "unknown", "store-away"),
        (Fault::Replaced, "unknown", "store-replaced"),
    ] {
        let store = FakeStore::with_faults([]);
        store.fail_after(1, fault);
        let (body, read) = parts(1_200);
        let told = told(hand_in(&store, body).await).await;
        let (last, answers) = told.split_last().unwrap();
        assert_eq!(statuses(&answers[..500]), ["accepted"; 500]);
        assert_eq!(statuses(&answers[500..]), [status; 500], "{kind}");
        assert_eq!(last["type"], format!("urn:ringfleet:problem:{kind}"));
        assert_eq!(
            (&last["line"], last["detail"].as_str().unwrap().contains("from line 1001 ")),
            (&json!(1_001), true)
        );
        assert_eq!((store.len(), store.calls.load(Ordering::SeqCst)), (500, 2), "nothing is tried behind it");
        assert_eq!(read.load(Ordering::SeqCst), 1_200, "a client that still sends would be cut off");

        let again = self::told(hand_in(&store, parts(1_200).0).await).await;
        assert_eq!(statuses(&again), [vec!["duplicate"; 500], vec!["accepted"; 700]].concat());
        assert_eq!(store.len(), 1_200);
    }
}

#[tokio::test]
async fn a_keyless_line_of_unknown_fate_is_told_the_key_of_a_safe_repeat() {
    let store = FakeStore::with_faults([Fault::Refuse]);
    let keyless = json!({"from": FROM, "to": TO, "text": "x"}).to_string();
    let told = told(hand_in(&store, Body::from(keyless)).await).await;
    assert_eq!((statuses(&told), &told[0]["line"]), (vec!["unknown", "none"], &json!(1)), "{told:?}");
    assert!(told[0]["key"].as_str().unwrap().starts_with("auto-") && told[0]["id"].is_string());
    assert_eq!(store.keyless_seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_call_of_which_nothing_was_taken_is_a_problem() {
    let store = FakeStore::with_faults([Fault::Full]);
    let (body, read) = parts(600);
    let full = hand_in(&store, body).await;
    assert_eq!((&full.headers()["retry-after"], read.load(Ordering::SeqCst)), (&"30".parse().unwrap(), 600));
    let (status, told) = problem(full).await;
    assert_eq!((status.as_u16(), &told["type"]), (503, &json!("urn:ringfleet:problem:store-full")));

    let broken = [Ok(line(0)), Err(io::Error::from(io::ErrorKind::UnexpectedEof))];
    let (status, told) = problem(hand_in(&store, Body::from_stream(stream::iter(broken))).await).await;
    assert_eq!((status.as_u16(), &told["type"]), (408, &json!("urn:ringfleet:problem:body-unread")));

    let (status, told) = problem(hand_in(&store, Body::from(vec![b'\n'; MAX_NDJSON_BYTES + 1])).await).await;
    assert_eq!((status.as_u16(), &told["type"]), (413, &json!("urn:ringfleet:problem:body-too-large")));
    assert!(told["detail"].as_str().unwrap().contains(&MAX_NDJSON_BYTES.to_string()), "{told}");
    assert_eq!(store.len(), 0);
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_refused_before_any_of_it_comes() {
    let server = Server::start(FakeStore::with_faults([])).await;
    let mut connection = TcpStream::connect(server.base.strip_prefix("http://").unwrap()).await.unwrap();
    let length = MAX_NDJSON_BYTES + 1;
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {NDJSON}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    timeout(Duration::from_secs(10), connection.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_is_given_up_and_what_had_come_since_the_last_batch_is_not_taken() {
    let store = FakeStore::with_faults([]);
    let stops = stream::iter(0..700).map(|n| Ok::<_, Infallible>(line(n))).chain(stream::pending());
    let told = told(hand_in(&store, Body::from_stream(stops)).await).await;
    assert_eq!((told.len(), store.len()), (501, 500));
    let last = &told[500];
    assert_eq!((&last["type"], &last["line"]), (&json!("urn:ringfleet:problem:body-unread"), &json!(501)), "{last}");
    assert!(!last["detail"].as_str().unwrap().contains("nothing was taken"), "{last}");
}
