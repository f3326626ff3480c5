//! A node of a Cluster is gone, stands still or has lost its scripts: only its own shards feel it.

use std::{net::TcpListener, sync::Arc, time::Instant};

use ringfleet_store::Gate;
use ringfleet_testkit::{RedisCluster, RedisServer, eventually};

use super::*;
use crate::moved::{open, owner, replica_of};

const SHARDS: u16 = 6;
const AT_ONCE: Duration = Duration::from_secs(1);

/// A Cluster whose nodes go on without one of them, and a store with shards on several.
struct Parted {
    cluster: RedisCluster,
    store: Arc<RedisStore>,
    /// The node that will be missed, which has the first shard, and another one.
    dumb: usize,
    other: String,
    /// A lane of a shard on the one, and on the other.
    there: LaneId,
    here: LaneId,
}

impl Parted {
    async fn new() -> Self {
        let cluster = RedisCluster::start();
        let urls = cluster.urls();
        for url in &urls {
            ask::<()>(url, &["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
        }
        let store = Arc::new(RedisStore::connect(parted(urls.clone())).await.unwrap());
        let node_of = |shard: usize| cluster.url_of(&format!("{{{PREFIX}:{shard}}}"));
        let (first, worker) = (node_of(0), WorkerId::incarnation("w"));
        let (mut there, mut here) = (None, None);
        for n in 0.. {
            let lane = LaneId::try_new("app", &n.to_string(), Group::Medium).unwrap();
            put(&store, &lane, &[&lane.to_string()]).await;
            let lease = claim_refs(&store, &worker, 1).await[0];
            let node = node_of(lease.token.shard(SHARDS.into()));
            if node == first {
                there = there.or(Some(lane))
            } else {
                here = here.or(Some((lane, node)))
            }
            if there.is_some() && here.is_some() {
                break;
            }
        }
        let (here, other) = here.unwrap();
        let dumb = urls.iter().position(|url| *url == first).unwrap();
        Self { cluster, store, dumb, other, there: there.unwrap(), here }
    }

    fn dumb(&mut self) -> &mut RedisServer {
        &mut self.cluster.nodes()[self.dumb]
    }

    /// A call that needs the node which answers.
    async fn works_here(&self) -> Duration {
        let begun = Instant::now();
        self.store.set_parked(&self.here, None).await.unwrap();
        begun.elapsed()
    }
}

fn parted(urls: Vec<String>) -> RedisOptions {
    RedisOptions { cluster: true, shards: SHARDS, urls: urls.clone(), ..options(urls[0].clone()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_takes_connections_and_says_nothing_holds_up_its_own_shards_only() {
    let mut fleet = Parted::new().await;
    let port = fleet.dumb().port();
    fleet.dumb().kill();
    let _silence = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let end = Instant::now() + PATIENCE;
    let (store, there) = (fleet.store.clone(), fleet.there.clone());
    // A task of its own: what holds one of the two up must not hold up the other because they share one.
    let asks_there = tokio::spawn(async move {
        while Instant::now() < end {
            // As a fleet does that does not know yet; the answer is known.
            assert!(store.set_parked(&there, None).await.is_err());
        }
    });
    let asks_here = async {
        let mut slowest = Duration::ZERO;
        while Instant::now() < end {
            slowest = slowest.max(fleet.works_here().await);
            // A worker's rhythm.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest
    };
    let slowest = asks_here.await;
    asks_there.await.unwrap();
    // A look at the silent address takes two seconds; within twenty the machine may stand still for one.
    assert!(slowest < Duration::from_millis(1_900), "{slowest:?}");
}

#[tokio::test]
async fn scripts_that_a_node_has_forgotten_are_sent_there_alone() {
    let mut fleet = Parted::new().await;
    ask::<()>(&fleet.other, &["SCRIPT", "FLUSH"]);
    fleet.dumb().freeze();
    let took = fleet.works_here().await;
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_store_is_ready_and_knows_the_time_while_one_of_its_nodes_stands_still() {
    let mut fleet = Parted::new().await;
    fleet.dumb().freeze();
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        fleet.store.ping().await.unwrap();
        fleet.store.now().await.unwrap();
        took.push(begun.elapsed());
    }
    // The machine may stand still for a moment.
    let in_time = took.iter().filter(|took| **took < AT_ONCE).count();
    assert!(in_time >= 2, "readiness' own deadline is a second: {took:?}");
}

#[tokio::test]
async fn the_gate_is_read_from_the_nodes_that_answer_while_one_stands_still() {
    let mut fleet = Parted::new().await;
    let stop = Gate::Stopped { reason: "an operator".to_owned() };
    fleet.store.set_gate(&stop).await.unwrap();
    fleet.dumb().freeze();
    // One reading waits for it, the next ones know.
    assert_eq!(fleet.store.gate().await.unwrap(), stop);
    let again = tokio::time::timeout(AT_ONCE, fleet.store.gate()).await;
    assert_eq!(again.expect("its shards rest").unwrap(), stop);
}

#[tokio::test]
async fn a_process_begins_after_a_failover_with_the_old_addresses() {
    let mut cluster = RedisCluster::start();
    let store = open(&cluster).await.unwrap();
    let ids = put(&store, &lane(), &["1"]).await;
    let owner = owner(&cluster);
    let _replica = replica_of(&mut cluster, owner).await;

    cluster.nodes()[owner].kill();
    let known = async |when: &str| {
        let mut opened = None;
        eventually(PATIENCE, async || {
            opened = open(&cluster).await.map_err(|error| assert!(error.is_transient(), "{when}: {error:?}")).ok();
            opened.is_some()
        })
        .await;
        let again = opened.unwrap().enqueue(&[message(&lane(), "1")]).await.unwrap();
        assert_eq!(again, [Enqueued::Duplicate(ids[0])], "{when}");
    };
    known("the old one is gone").await;
    cluster.nodes()[owner].restart();
    let follows = async || ask::<String>(&cluster.urls()[owner], &["INFO", "replication"]).contains("role:slave");
    eventually(PATIENCE, follows).await;
    open(&cluster).await.expect("the old one is a replica now");
}

#[tokio::test]
async fn a_login_that_was_refused_for_a_while_is_tried_again() {
    let server = RedisServer::builder().password("one").start();
    let store = connect(server.url()).await;
    let as_two = format!("redis://:two@{}/", server.address());
    ask::<()>(&server.url(), &["CONFIG", "SET", "requirepass", "two"]);
    ask::<i64>(&as_two, &["CLIENT", "KILL", "TYPE", "normal"]);
    let refused = async || {
        let error = store.stats().await.expect_err("the password is another one");
        std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("authentication"))
    };
    eventually(PATIENCE, refused).await;
    ask::<()>(&as_two, &["CONFIG", "SET", "requirepass", "one"]);
    eventually(PATIENCE / 2, async || store.stats().await.is_ok()).await;
}

#[tokio::test]
async fn a_database_that_was_refused_for_a_while_is_asked_for_again() {
    let server = RedisServer::start();
    let store = connect(format!("{}1", server.url())).await;
    ask::<()>(&server.url(), &["ACL", "SETUSER", "default", "-select"]);
    ask::<i64>(&server.url(), &["CLIENT", "KILL", "TYPE", "normal"]);
    let refused = async || {
        let error = store.stats().await.expect_err("nobody may choose a database");
        // Not refused for good, where a report of a sent text would be given up.
        assert!(!matches!(error, StoreError::Refused { .. }), "{error:?}");
        matches!(&error, StoreError::Unfit { reason } if reason.contains("to SELECT"))
    };
    eventually(PATIENCE, refused).await;
    ask::<()>(&server.url(), &["ACL", "SETUSER", "default", "+select"]);
    eventually(PATIENCE, async || store.stats().await.is_ok()).await;
}
