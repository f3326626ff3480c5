//! The guards themselves, against real servers.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use redis::{Client, Commands, Connection};
use ringfleet_testkit::{Port, RedisCluster, RedisServer, eventually, wait_until};
use tokio::net::TcpSocket;

fn link(url: &str) -> Connection {
    Client::open(url).unwrap().get_connection().unwrap()
}

#[test]
fn a_killed_server_comes_back_with_what_it_acknowledged() {
    let mut server = RedisServer::builder().append_only().start();
    let url = server.url();
    for n in 0..100 {
        let _: () = link(&url).set(format!("key{n}"), n).unwrap();
    }
    server.kill();
    assert!(!server.is_running());
    assert!(Client::open(url.as_str()).unwrap().get_connection().is_err());
    server.restart();
    assert_eq!(server.url(), url);
    assert_eq!(link(&url).get::<_, u32>("key99").unwrap(), 99);
}

#[test]
fn a_server_without_a_file_comes_back_empty() {
    let mut server = RedisServer::start();
    let _: () = link(&server.url()).set("key", 1).unwrap();
    server.stop();
    server.restart();
    assert_eq!(link(&server.url()).get::<_, Option<u32>>("key").unwrap(), None);
}

#[test]
fn a_held_port_refuses_clients_and_is_nobodys_until_a_server_is_told_its_number() {
    let port = Port::hold();
    for _ in 0..2 {
        // A process that another test starts right now has the listener of before open until it is another program.
        let connect = || TcpStream::connect(port.address());
        let refused = || connect().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        assert!(wait_until(Duration::from_secs(5), refused));
        let another = TcpSocket::new_v4().unwrap().bind(port.address().parse().unwrap());
        assert_eq!(another.unwrap_err().kind(), ErrorKind::AddrInUse);
        let _server = TcpListener::bind(port.address()).unwrap();
        TcpStream::connect(port.address()).unwrap();
    }
}

#[test]
fn a_full_server_refuses_writes() {
    let server = RedisServer::builder().max_memory_bytes(2_000_000).arg("--maxmemory-policy", "noeviction").start();
    let mut link = link(&server.url());
    let full = (0..5_000).map(|n| link.set::<_, _, ()>(format!("key{n}"), "x".repeat(1_000))).find_map(Result::err);
    assert_eq!(full.and_then(|error| error.code().map(str::to_owned)).as_deref(), Some("OOM"));
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let server = RedisServer::start();
    let (url, dir) = (server.url(), server.dir().to_owned());
    assert!(server.log().contains("Ready to accept connections"));
    drop(server);
    assert!(!dir.exists());
    let refused = || Client::open(url.as_str()).unwrap().get_connection().is_err();
    assert!(wait_until(Duration::from_secs(5), refused));
}

#[test]
fn every_slot_of_a_cluster_is_served_by_one_node() {
    let cluster = RedisCluster::start();
    for n in 0..100 {
        let key = format!("key{n}");
        let _: () = link(&cluster.url_of(&key)).set(&key, n).unwrap();
        let read = cluster.urls().into_iter().filter_map(|url| link(&url).get::<_, u32>(&key).ok());
        assert_eq!(read.collect::<Vec<_>>(), [n]);
    }
}

#[tokio::test]
async fn eventually_waits_for_the_condition() {
    let mut asked = 0;
    eventually(Duration::from_secs(5), async || {
        asked += 1;
        asked == 3
    })
    .await;
    assert_eq!(asked, 3);
}

#[tokio::test]
#[should_panic(expected = "did not come true within")]
async fn eventually_gives_up_at_its_deadline() {
    eventually(Duration::from_millis(20), async || false).await;
}
