//! Failovers, against real servers and a real sentinel.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::time::Duration;

use redis::{Client, Commands, Connection};
use ringfleet_testkit::{SentinelPair, eventually, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn link(url: &str) -> Connection {
    Client::open(url).unwrap().get_connection().unwrap()
}

fn acknowledged(pair: &SentinelPair, key: &str) {
    let mut link = link(&pair.primary_url());
    let _: () = link.set(key, 1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_of_a_dead_primary_is_promoted_with_all_it_was_sent() {
    let mut pair = SentinelPair::start();
    acknowledged(&pair, "before");
    let mut replica = link(&pair.replica_url());
    eventually(DEADLINE, async || replica.exists("before").unwrap()).await;
    assert_eq!(replica.set::<_, _, ()>("key", 1).unwrap_err().code(), Some("READONLY"));
    pair.kill_primary();
    pair.until_promoted(DEADLINE).await;
    // A promotion ends the clients' connections.
    let mut replica = link(&pair.replica_url());
    assert!(replica.exists::<_, bool>("before").unwrap());
    let _: () = replica.set("after", 1).unwrap();
    // The old one comes back, and has to follow.
    pair.primary().restart();
    let old = Client::open(pair.primary_url()).unwrap();
    let follows = || old.get_connection().is_ok_and(|mut link| link.exists("after").unwrap_or(false));
    assert!(wait_until(DEADLINE, follows));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_are_gone_after_a_stale_failover() {
    let mut pair = SentinelPair::start();
    acknowledged(&pair, "before");
    let mut replica = link(&pair.replica_url());
    eventually(DEADLINE, async || replica.exists("before").unwrap()).await;
    pair.freeze_replication();
    for n in 0..100 {
        acknowledged(&pair, &format!("key{n}"));
    }
    pair.promote_stale(DEADLINE).await;
    let mut replica = link(&pair.replica_url());
    assert_eq!(redis::cmd("DBSIZE").query::<u32>(&mut replica).unwrap(), 1);
    assert!(replica.exists::<_, bool>("before").unwrap());
    // Who asks the sentinel lands there.
    let mut sentinel = link(&pair.sentinel_url());
    let mut primary = redis::cmd("SENTINEL");
    primary.arg("GET-MASTER-ADDR-BY-NAME").arg(SentinelPair::NAME);
    let (host, port): (String, u16) = primary.query(&mut sentinel).unwrap();
    assert_eq!(format!("redis://{host}:{port}/"), pair.replica_url());
}
