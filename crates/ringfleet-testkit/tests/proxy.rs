//! The bad wire, in front of a server that sends back what it gets.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ringfleet_testkit::{FaultProxy, Port, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(10);
/// So long a silence is taken for one that lasts.
const SILENCE: Duration = Duration::from_millis(200);

/// Ends with the runtime of its test. It counts the bytes that reach it.
async fn echo() -> (FaultProxy, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(AtomicUsize::new(0));
    let counter = heard.clone();
    tokio::spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let counter = counter.clone();
            clients.spawn(async move {
                let mut chunk = vec![0; 1_024];
                while let Ok(length @ 1..) = client.read(&mut chunk).await {
                    counter.fetch_add(length, Ordering::SeqCst);
                    if client.write_all(&chunk[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (FaultProxy::start(address), heard)
}

async fn dial(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn says(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

/// The next bytes, or how the connection ended.
async fn hears(client: &mut TcpStream) -> Result<String, ErrorKind> {
    let mut chunk = [0; 1_024];
    let length = timeout(DEADLINE, client.read(&mut chunk)).await.unwrap().map_err(|error| error.kind())?;
    Ok(String::from_utf8_lossy(&chunk[..length]).into_owned())
}

async fn is_silent(client: &mut TcpStream) -> bool {
    timeout(SILENCE, client.read(&mut [0])).await.is_err()
}

async fn echoes(client: &mut TcpStream, text: &str) {
    says(client, text).await;
    assert_eq!(hears(client).await.as_deref(), Ok(text));
}

#[tokio::test]
async fn without_faults_it_is_not_there_and_dropped_it_ends_its_connections() {
    let (proxy, heard) = echo().await;
    let (mut one, mut other) = (dial(&proxy).await, dial(&proxy).await);
    echoes(&mut one, "hello").await;
    echoes(&mut other, "there").await;
    assert_eq!((proxy.connections(), heard.load(Ordering::SeqCst)), (2, 10));
    one.shutdown().await.unwrap();
    assert_eq!(hears(&mut one).await.as_deref(), Ok(""));
    eventually(DEADLINE, async || proxy.connections() == 1).await;
    let address = proxy.address();
    drop(proxy);
    assert!(hears(&mut other).await.is_ok_and(|text| text.is_empty()));
    eventually(DEADLINE, async || TcpStream::connect(&address).await.is_err()).await;
}

#[tokio::test]
async fn latency_delays_replies_in_their_order_and_no_requests() {
    let (proxy, heard) = echo().await;
    let delay = Duration::from_secs(2);
    let mut client = dial(&proxy).await;
    proxy.latency(delay, delay);
    let start = Instant::now();
    assert_eq!(burst(&mut client, &heard).await, "0123456789");
    assert!(start.elapsed() >= delay);
    proxy.heal();
    let start = Instant::now();
    echoes(&mut client, "at once").await;
    assert!(start.elapsed() < delay);
}

#[tokio::test]
async fn latencies_of_one_connection_do_not_add_up() {
    let (proxy, heard) = echo().await;
    let delay = Duration::from_secs(4);
    let mut client = dial(&proxy).await;
    proxy.latency(delay, Duration::ZERO);
    let start = Instant::now();
    burst(&mut client, &heard).await;
    assert!((delay..2 * delay).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// Ten requests, each in a chunk of its own, without waiting for replies; then all of these.
async fn burst(client: &mut TcpStream, heard: &AtomicUsize) -> String {
    for n in 0..10 {
        says(client, &n.to_string()).await;
        eventually(DEADLINE, async || heard.load(Ordering::SeqCst) == n + 1).await;
    }
    assert!(client.try_read(&mut [0]).is_err(), "a reply came before the last request: requests are delayed");
    let mut all = String::new();
    while all.len() < 10 {
        all += &hears(client).await.unwrap();
    }
    all
}

#[tokio::test]
async fn a_blackhole_swallows_without_a_word_and_healed_it_resets_those_that_lost_something() {
    let (proxy, heard) = echo().await;
    let (mut talker, mut idle) = (dial(&proxy).await, dial(&proxy).await);
    echoes(&mut talker, "1").await;
    echoes(&mut idle, "2").await;
    proxy.blackhole(true);
    let mut late = dial(&proxy).await;
    says(&mut talker, "lost").await;
    says(&mut late, "lost").await;
    assert!(is_silent(&mut talker).await && is_silent(&mut late).await);
    assert_eq!((proxy.connections(), heard.load(Ordering::SeqCst)), (3, 2));
    proxy.blackhole(false);
    for client in [&mut talker, &mut late] {
        assert_eq!(hears(client).await, Err(ErrorKind::ConnectionReset));
    }
    echoes(&mut idle, "still there").await;
    echoes(&mut dial(&proxy).await, "and new").await;
}

#[tokio::test]
async fn a_blackhole_swallows_replies_that_are_on_their_way_and_the_ends_of_connections() {
    let (proxy, heard) = echo().await;
    let (mut client, leaver) = (dial(&proxy).await, dial(&proxy).await);
    eventually(DEADLINE, async || proxy.connections() == 2).await;
    proxy.latency(Duration::from_millis(100), Duration::ZERO);
    says(&mut client, "done").await;
    eventually(DEADLINE, async || heard.load(Ordering::SeqCst) == 4).await;
    proxy.blackhole(true);
    drop(leaver);
    assert!(is_silent(&mut client).await);
    assert_eq!(proxy.connections(), 2);
    proxy.heal();
    assert_eq!(hears(&mut client).await, Err(ErrorKind::ConnectionReset));
    eventually(DEADLINE, async || proxy.connections() == 0).await;
}

#[tokio::test]
async fn reset_all_resets_those_of_this_moment_only() {
    let (proxy, _) = echo().await;
    let mut clients = [dial(&proxy).await, dial(&proxy).await];
    for client in &mut clients {
        echoes(client, "hello").await;
    }
    proxy.reset_all();
    assert_eq!(proxy.connections(), 0);
    for client in &mut clients {
        assert_eq!(hears(client).await, Err(ErrorKind::ConnectionReset));
    }
    echoes(&mut dial(&proxy).await, "again").await;
}

#[tokio::test]
async fn refusing_resets_new_connections_and_leaves_the_old_ones() {
    let (proxy, _) = echo().await;
    let mut old = dial(&proxy).await;
    echoes(&mut old, "hello").await;
    proxy.refuse(true);
    // The kernel opens it before the proxy can say no.
    if let Ok(mut new) = TcpStream::connect(proxy.address()).await {
        assert_eq!(hears(&mut new).await, Err(ErrorKind::ConnectionReset));
    }
    echoes(&mut old, "still there").await;
    proxy.refuse(false);
    echoes(&mut dial(&proxy).await, "again").await;
}

#[tokio::test]
async fn a_server_that_is_not_there_resets_the_client() {
    let nobody = Port::hold();
    let proxy = FaultProxy::start(nobody.address());
    assert_eq!(hears(&mut dial(&proxy).await).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn retargeted_it_resets_its_connections_and_leads_new_ones_elsewhere() {
    let ((proxy, heard), (other, heard_there)) = (echo().await, echo().await);
    let mut client = dial(&proxy).await;
    echoes(&mut client, "here").await;
    proxy.retarget(other.address());
    assert_eq!(hears(&mut client).await, Err(ErrorKind::ConnectionReset));
    echoes(&mut dial(&proxy).await, "elsewhere").await;
    assert_eq!((heard.load(Ordering::SeqCst), heard_there.load(Ordering::SeqCst)), (4, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_it_refuses_and_started_again_at_its_port_it_is_back() {
    let (other, _) = echo().await;
    let proxy = FaultProxy::start(other.address());
    let (port, address) = (proxy.port(), proxy.address());
    echoes(&mut dial(&proxy).await, "hello").await;
    drop(proxy);
    let refused = async || TcpStream::connect(&address).await.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
    eventually(DEADLINE, refused).await;
    echoes(&mut dial(&FaultProxy::start_at(port, other.address())).await, "again").await;
}

#[tokio::test]
async fn half_open_is_silent_until_it_is_healed() {
    let (proxy, heard) = echo().await;
    let mut client = dial(&proxy).await;
    echoes(&mut client, "hello").await;
    proxy.half_open();
    says(&mut client, "into the void").await;
    assert!(is_silent(&mut client).await);
    echoes(&mut dial(&proxy).await, "a new one").await;
    assert_eq!(heard.load(Ordering::SeqCst), 5 + 9);
    proxy.heal();
    assert_eq!(hears(&mut client).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_dropped_reply_was_done_and_only_its_client_is_reset() {
    let (proxy, heard) = echo().await;
    let (mut client, mut other) = (dial(&proxy).await, dial(&proxy).await);
    echoes(&mut other, "hello").await;
    proxy.drop_next_reply();
    says(&mut client, "done").await;
    assert_eq!(hears(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!((proxy.dropped(), heard.load(Ordering::SeqCst)), (1, 9));
    echoes(&mut other, "still there").await;
}

#[tokio::test]
async fn a_chosen_reply_is_dropped_even_if_its_request_comes_in_two_parts_and_once_only() {
    let (proxy, heard) = echo().await;
    let mut client = dial(&proxy).await;
    proxy.drop_next_reply_of(b"needle");
    echoes(&mut client, "hay and nee").await;
    says(&mut client, "dle").await;
    assert_eq!(hears(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!((proxy.dropped(), heard.load(Ordering::SeqCst)), (1, 14));
    echoes(&mut dial(&proxy).await, "needle").await;
    proxy.drop_next_reply_of(b"needle");
    proxy.heal();
    echoes(&mut dial(&proxy).await, "needle").await;
}
