//! The bad wire, in front of a real redis-server.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::time::{Duration, Instant};

use redis::{AsyncCommands, Client, Commands, Connection, aio::MultiplexedConnection};
use ringfleet_testkit::{FaultProxy, RedisServer, eventually};

const DEADLINE: Duration = Duration::from_secs(10);
/// Of a client that is to see a timeout.
const PATIENCE: Duration = Duration::from_millis(300);

fn setting() -> (RedisServer, FaultProxy) {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    (server, proxy)
}

async fn link(url: &str) -> MultiplexedConnection {
    patient_link(url, DEADLINE).await
}

async fn patient_link(url: &str, patience: Duration) -> MultiplexedConnection {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(patience));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// Past the proxy.
fn direct(server: &RedisServer) -> Connection {
    Client::open(server.url()).unwrap().get_connection().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_whose_reply_is_dropped_is_done_and_its_client_sees_an_error() {
    let (server, proxy) = setting();
    let mut link = link(&proxy.url("redis")).await;
    proxy.drop_next_reply_of(b"INCR");
    let _: () = link.set("other", 1).await.unwrap();
    let told: Result<u32, _> = link.incr("counter", 1).await;
    assert!(told.unwrap_err().is_io_error());
    assert_eq!(direct(&server).get::<_, u32>("counter").unwrap(), 1);
    assert_eq!(proxy.dropped(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_was_sent_on_the_connection_of_a_dropped_reply_is_done_too() {
    const REQUESTS: u32 = 20;
    let (server, proxy) = setting();
    let mut link = link(&proxy.url("redis")).await;
    // More than the server reads at once, and the first takes so long that the rest is there before its reply.
    let script = "for _ = 1, tonumber(ARGV[1]) do end return redis.call('INCR', 'counter')";
    let mut pipeline = redis::pipe();
    for n in 0..REQUESTS {
        let rounds = if n == 0 { 10_000_000 } else { 1 };
        pipeline.cmd("EVAL").arg(script).arg(0).arg(rounds).arg("x".repeat(10_000));
    }
    proxy.drop_next_reply();
    assert!(pipeline.query_async::<()>(&mut link).await.unwrap_err().is_io_error());
    assert_eq!(proxy.dropped(), 1);
    let mut direct = direct(&server);
    eventually(DEADLINE, async || direct.get::<_, u32>("counter").unwrap() == REQUESTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_a_timeout_and_healed_it_is_a_reset() {
    let (server, proxy) = setting();
    let mut link = patient_link(&proxy.url("redis"), PATIENCE).await;
    proxy.blackhole(true);
    let told: Result<u32, _> = link.incr("counter", 1).await;
    assert!(told.unwrap_err().is_timeout());
    assert_eq!(direct(&server).get::<_, Option<u32>>("counter").unwrap(), None);
    proxy.heal();
    let mut again = self::link(&proxy.url("redis")).await;
    assert_eq!(again.incr::<_, _, u32>("counter", 1).await.unwrap(), 1);
    let told: Result<u32, _> = link.incr("counter", 1).await;
    assert!(told.unwrap_err().is_io_error());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_is_a_timeout_and_the_server_has_forgotten_the_client() {
    let (server, proxy) = setting();
    let mut link = patient_link(&proxy.url("redis"), PATIENCE).await;
    let _: () = link.set("key", 1).await.unwrap();
    proxy.half_open();
    let told: Result<u32, _> = link.incr("key", 1).await;
    assert!(told.unwrap_err().is_timeout());
    let mut direct = direct(&server);
    // The one that asks.
    eventually(DEADLINE, async || {
        let told: String = redis::cmd("INFO").arg("clients").query(&mut direct).unwrap();
        told.contains("connected_clients:1\r\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_refusals_and_latency_reach_the_client() {
    let (_server, proxy) = setting();
    let mut link = link(&proxy.url("redis")).await;
    proxy.latency(Duration::from_millis(100), Duration::ZERO);
    let start = Instant::now();
    let _: () = link.set("key", 1).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
    proxy.refuse(true);
    proxy.reset_all();
    let told: Result<u32, _> = link.get("key").await;
    assert!(told.unwrap_err().is_io_error());
    assert!(Client::open(proxy.url("redis")).unwrap().get_multiplexed_async_connection().await.is_err());
    proxy.heal();
    assert_eq!(self::link(&proxy.url("redis")).await.get::<_, u32>("key").await.unwrap(), 1);
}
