//! How calls end that do not come to the end of their body: what was taken is answered all the same.

use std::time::Duration;

use futures::poll;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::tests::api::KEY;

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_hands_no_more_in_and_answers_what_was() {
    let drips = |every: u64| {
        stream::iter(0..).then(move |n| async move {
            sleep(Duration::from_millis(every)).await;
            Ok::<_, Infallible>(line(n))
        })
    };
    let stops = stream::iter(0..700).map(|n| Ok::<_, Infallible>(line(n))).chain(stream::pending());
    for body in [Body::from_stream(stops), Body::from_stream(drips(10))] {
        let (store, stop) = (FakeStore::with_faults([]), CancellationToken::new());
        let (api, began) = (api(&store, &stop), Instant::now());
        let ends = async {
            sleep(Duration::from_secs(7)).await;
            stop.cancel();
        };
        let (response, ()) = tokio::join!(hand_to(&api, body), ends);
        let told = told(response).await;
        assert_eq!(began.elapsed().as_secs(), 7 + 5, "worker.drain is 20 s");
        let (last, answers) = told.split_last().unwrap();
        assert_eq!((statuses(answers), store.len()), (vec!["accepted"; 500], 500));
        assert_eq!((&last["type"], &last["line"]), (&json!("urn:ringfleet:problem:stopping"), &json!(501)), "{last}");

        // One that comes then, and of which nothing is taken.
        let response = hand_to(&api, parts(1).0).await;
        assert_eq!(response.headers()["retry-after"], "5");
        let (status, told) = problem(response).await;
        assert_eq!((status.as_u16(), &told["type"]), (503, &json!("urn:ringfleet:problem:stopping")));
        assert_eq!(store.len(), 500);
    }
}

#[tokio::test]
async fn what_was_taken_of_a_body_that_is_too_large_is_answered_to_whoever_reads_only_after_sending() {
    const LINE_BYTES: usize = 10 * 1024;
    let store = FakeStore::with_faults([]);
    let server = Server::start(store.clone()).await;
    let call = server.bare(Method::POST, "/v1/messages").build().unwrap();
    let mut connection = TcpStream::connect(call.url().socket_addrs(|| None).unwrap()[0]).await.unwrap();
    let talk = async {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\
             content-type: {NDJSON}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        for n in 0..(MAX_NDJSON_BYTES / 4 * 5) / LINE_BYTES {
            let mut part = format!("{LINE_BYTES:x}\r\n").into_bytes();
            let ends_at = part.len() + LINE_BYTES - 1;
            part.extend_from_slice(line(n).trim_ascii_end());
            part.resize(ends_at, b' ');
            part.extend_from_slice(b"\n\r\n");
            connection.write_all(&part).await.unwrap();
        }
        connection.write_all(b"0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(Duration::from_secs(120), talk).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{}", &answer[..100]);
    let taken = answer.matches(r#""status":"accepted""#).count();
    assert!(taken > 6_000 && taken == store.len(), "{taken} {}", store.len());
    let last = answer.lines().find(|line| line.contains("body-too-large")).unwrap();
    assert!(last.contains(&format!(r#""line":{}"#, taken + 1)), "{last}");
}

#[tokio::test]
async fn the_answer_begins_behind_a_short_body_also_where_the_store_fails_half_way() {
    let store = FakeStore::with_faults([]);
    store.fail_after(1, Fault::Full);
    let (body, read) = parts(1_200);
    let response = hand_in(&store, body).await;
    assert_eq!(read.load(Ordering::SeqCst), 1_200, "a proxy would send nothing more");
    assert_eq!((told(response).await.len(), store.len()), (1_001, 500));
}

#[tokio::test]
async fn ten_thousand_lines_are_answered_behind_their_body_also_where_all_are_refused() {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = read.clone();
    let refused = Bytes::from(format!("{}\n", json!({"from": FROM, "to": "0200003", "text": "x"})));
    let lines = stream::iter(0..10_000).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(refused.clone())
    });
    let response = hand_in(&FakeStore::with_faults([]), Body::from_stream(lines)).await;
    assert_eq!(read.load(Ordering::SeqCst), 10_000, "a client that first sends everything would be stuck");
    assert_eq!(statuses(&told(response).await), ["refused"; 10_000]);
}

#[tokio::test]
async fn sixty_four_calls_that_go_on_and_on_leave_room_for_all_that_are_short() {
    let api = api(&FakeStore::with_faults([]), &CancellationToken::new());
    let endless = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let mut calls: Vec<_> = (0..64).map(|_| Box::pin(hand_to(&api, endless()))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    let response = hand_to(&api, parts(1).0).await;
    assert_eq!(response.headers()["retry-after"], "30");
    let (status, told) = problem(response).await;
    assert_eq!((status.as_u16(), &told["type"]), (503, &json!("urn:ringfleet:problem:busy")));

    let message = json!({"from": FROM, "to": TO, "text": "x"}).to_string();
    let request =
        Request::post("/v1/messages").header("content-type", "application/json").body(message.into()).unwrap();
    let [(_, messages), ..] = routes();
    assert_eq!(Handler::<(), _>::call(messages, request, api.clone()).await.status(), StatusCode::ACCEPTED);

    calls.pop();
    let answer = hand_to(&api, parts(1).0).await;
    assert_eq!(hand_to(&api, parts(1).0).await.status(), 503, "an answer that goes on is one of them");
    assert_eq!(statuses(&self::told(answer).await), ["accepted"]);
    assert_eq!(statuses(&self::told(hand_to(&api, parts(1).0).await).await), ["duplicate"]);
}
