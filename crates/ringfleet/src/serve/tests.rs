use std::time::Instant;

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use super::*;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

async fn listen(router: Router) -> (SocketAddr, JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let (address, served) = http("test", ([127, 0, 0, 1], 0).into(), router, stop.clone()).await.unwrap();
    (address, served, stop)
}

async fn told_until_closed(mut stream: TcpStream) -> String {
    let mut told = Vec::new();
    // One that is cut has told what it has told.
    let _ = stream.read_to_end(&mut told).await;
    String::from_utf8(told).unwrap()
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_task_ends() {
    let (came, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (came.clone(), go.clone());
    let slow = get(async move || {
        tell.notify_one();
        wait.notified().await;
        "done"
    });
    let (address, served, stop) = listen(Router::new().route("/", slow)).await;
    let mut asks = TcpStream::connect(address).await.unwrap();
    asks.write_all(ASK).await.unwrap();
    came.notified().await;
    stop.cancel();
    // Nobody else is let in meanwhile.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    go.notify_one();
    assert!(told_until_closed(asks).await.ends_with("done"));
    served.await.unwrap();
}

#[tokio::test]
async fn a_head_of_48_kib_is_read_and_one_of_100_is_refused() {
    let router = Router::new().route("/", get(async || "here").post(async |body: axum::body::Bytes| body));
    let (address, _served, _stop) = listen(router).await;
    for (kib, told) in [(48, "HTTP/1.1 200"), (100, "HTTP/1.1 431")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(kib << 10));
        // One that is refused may be closed before all of it is written.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&status), told, "{kib} KiB");
    }
    // A body has its own bound.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = vec![b'x'; 1 << 20];
    let head = format!("POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    assert!(told_until_closed(stream).await.len() > body.len());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_whose_answers_nobody_reads_are_closed_and_make_room_for_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // More than the system keeps for one who does not read.
    let large = Router::new().route("/", get(async || vec![b'x'; 64 << 20]));
    let (stop, limits) = (CancellationToken::new(), Limits { unread: Duration::from_secs(1), ..LIMITS });
    let services = large.into_make_service_with_connect_info::<SocketAddr>();
    let served = tokio::spawn(serve("test", listener, services, limits, stop.clone()));
    let mut asks = TcpStream::connect(address).await.unwrap();
    asks.write_all(ASK).await.unwrap();
    asks.readable().await.unwrap();
    // Its place is free when the task can end: what is under way is waited for.
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), served).await.expect("it is answered for ever").unwrap();
    drop(asks);
}

#[tokio::test(start_paused = true)]
async fn connections_that_ask_nothing_are_closed_and_make_room_for_those_that_do() {
    let (address, _served, _stop) = listen(Router::new().route("/", get(async || "here"))).await;
    let mut silent = Vec::new();
    for n in 0..=MOST_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&ASK[..n % 20]).await.unwrap();
        silent.push(stream);
    }
    let began = Instant::now();
    let mut asks = TcpStream::connect(address).await.unwrap();
    asks.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(told_until_closed(asks).await.ends_with("here"));
    for stream in silent {
        let told = told_until_closed(stream).await;
        assert!(!told.contains("here"), "{told}");
    }
    // The clock of the test jumps to the next deadline.
    assert!(began.elapsed() < HEAD_DEADLINE);
}

/// Answers at once, within `limits`.
async fn listen_within(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let services = Router::new().route("/", get(async || "here")).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(serve("test", listener, services, limits, CancellationToken::new()));
    address
}

/// Whether it is answered, on a connection that stays open.
async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 1024];
    stream.write_all(ASK).await.is_ok() && stream.read(&mut answer).await.is_ok_and(|bytes| bytes > 0)
}

#[tokio::test]
async fn a_connection_that_asks_again_and_again_is_closed_after_its_life() {
    let life = Duration::from_secs(1);
    let address = listen_within(Limits { life, ..LIMITS }).await;
    let began = Instant::now();
    let mut asks = TcpStream::connect(address).await.unwrap();
    assert!(is_answered(&mut asks).await);
    while is_answered(&mut asks).await {
        assert!(began.elapsed() < HEAD_DEADLINE, "it keeps its place");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= life);
}

#[tokio::test]
async fn where_no_place_is_free_the_oldest_connection_makes_room() {
    let address = listen_within(Limits { most: 3, share: Duration::ZERO, ..LIMITS }).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answered = timeout(HEAD_DEADLINE / 3, is_answered(&mut stream)).await;
        assert!(answered.expect("it has no place"));
        kept.push(stream);
    }
    assert!(!is_answered(&mut kept[0]).await);
    for stream in &mut kept[1..] {
        assert!(is_answered(stream).await);
    }
}

#[tokio::test]
async fn nobody_makes_room_before_having_had_its_share() {
    let mut open = Open::default();
    let mut leaves = open.enter(1);
    open.make_room(SHARE);
    assert_eq!(leaves.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    open.make_room(Duration::ZERO);
    assert_eq!(leaves.try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

#[tokio::test]
async fn connections_that_have_ended_are_forgotten_and_none_of_them_is_asked_to_make_room() {
    let mut open = Open::default();
    for _ in 0..100 {
        drop(open.enter(2));
    }
    assert!(open.0.len() <= 4, "{} are remembered", open.0.len());
    let mut open = Open::default();
    drop(open.enter(2));
    let mut leaves = open.enter(2);
    open.make_room(Duration::ZERO);
    assert_eq!(leaves.try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_lack_of_files_is_told_once_a_minute_with_its_remedy() {
    let mut warned = Warned::default();
    assert!(warned.is_due() && !warned.is_due());
    sleep(WARN_AGAIN - ACCEPT_AGAIN).await;
    assert!(!warned.is_due());
    sleep(ACCEPT_AGAIN).await;
    assert!(warned.is_due() && !warned.is_due(), "the second minute has one too, and one only");
    assert!(remedy(&io::Error::from_raw_os_error(24)).contains("ulimit -n"));
    assert_eq!(remedy(&io::ErrorKind::ConnectionAborted.into()), "");
}
