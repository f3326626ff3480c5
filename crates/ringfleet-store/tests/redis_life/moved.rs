//! A Cluster whose slots get another node while the fleet works: moved by an operator, or after a failover.

use ringfleet_store::State;
use ringfleet_testkit::{RedisCluster, RedisServer, eventually};

use super::*;
use crate::flushed::every_call;

/// A slot on its way from one node to another.
struct Move {
    slot: String,
    /// All nodes, the one that has the slot first and the one that gets it second.
    nodes: Vec<String>,
}

impl Move {
    fn begin(mut nodes: Vec<String>) -> Self {
        let slot = slot(&nodes[0]);
        nodes.sort_by_key(|node| keys_at(node, &slot) == 0);
        let this = Self { slot, nodes };
        this.set_slot(1, "IMPORTING", 0);
        this.set_slot(0, "MIGRATING", 1);
        this
    }

    fn set_slot(&self, at: usize, what: &str, of: usize) {
        let id = ask::<String>(&self.nodes[of], &["CLUSTER", "MYID"]);
        ask::<()>(&self.nodes[at], &["CLUSTER", "SETSLOT", &self.slot, what, &id]);
    }

    /// How many keys of the slot a node has.
    fn keys(&self, at: usize) -> u64 {
        keys_at(&self.nodes[at], &self.slot)
    }

    /// Takes those keys along whose name `meant` accepts.
    fn carry(&self, meant: impl Fn(&[u8]) -> bool) {
        let keys: Vec<Vec<u8>> = ask(&self.nodes[0], &["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"]);
        let port = self.nodes[1].trim_end_matches('/').rsplit(':').next().unwrap();
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(port).arg("").arg(0).arg(5_000).arg("KEYS");
        keys.iter().filter(|key| meant(key)).for_each(|key| {
            migrate.arg(key);
        });
        let link = redis::Client::open(self.nodes[0].as_str()).and_then(|client| client.get_connection());
        migrate.exec(&mut link.unwrap()).unwrap();
    }

    fn end(&self) {
        for at in [1, 0, 2] {
            self.set_slot(at, "NODE", 1);
        }
    }
}

/// The slot of the only shard.
fn slot(node: &str) -> String {
    ask::<u64>(node, &["CLUSTER", "KEYSLOT", &format!("{{{PREFIX}:0}}")]).to_string()
}

fn keys_at(node: &str, slot: &str) -> u64 {
    ask(node, &["CLUSTER", "COUNTKEYSINSLOT", slot])
}

pub(crate) async fn open(cluster: &RedisCluster) -> Result<RedisStore, StoreError> {
    let urls = cluster.urls();
    RedisStore::connect(RedisOptions { cluster: true, urls: urls.clone(), ..options(urls[0].clone()) }).await
}

#[tokio::test]
async fn while_a_slot_is_moved_every_call_may_be_tried_again_and_afterwards_all_goes_on() {
    let cluster = RedisCluster::start();
    let store = open(&cluster).await.unwrap();
    let ids = put(&store, &lane(), &["1", "2", "3"]).await;
    let leases = claim_refs(&store, &WorkerId::incarnation("w"), 1).await;
    store.begin_send(&[leases[0].into()], LEASE).await.unwrap();

    let slot = Move::begin(cluster.urls());
    let waits = async |when: &str| {
        for (call, answer) in every_call(&store, leases[0]).await {
            let error = answer.expect_err(call);
            assert!(error.is_transient(), "{when}, {call}: {error:?}");
        }
        let newcomer = open(&cluster).await.err();
        assert!(newcomer.as_ref().is_some_and(StoreError::is_transient), "{when}: {newcomer:?}");
    };
    waits("nothing is moved").await;
    assert_eq!(slot.keys(1), 0, "a second store was begun");
    slot.carry(|key| key.ends_with(b":epoch"));
    waits("the epoch is moved").await;
    slot.carry(|key| !key.ends_with(b":m"));
    waits("all but the messages are moved").await;
    slot.carry(|_| true);
    waits("all is moved").await;
    slot.end();

    eventually(PATIENCE, async || store.stats().await.is_ok()).await;
    assert_eq!(slot.keys(0), 0);
    let again = store.enqueue(&[message(&lane(), "1"), message(&lane(), "4")]).await.unwrap();
    assert!(matches!(again[..], [Enqueued::Duplicate(id), Enqueued::Accepted(_)] if id == ids[0]), "{again:?}");
    assert_eq!(settle(&store, leases[0]).await, Settled::Done(State::Sent));
    assert_eq!(open(&cluster).await.unwrap().epoch(), store.epoch());
    // Another server has the data, so the workers are asked first what they have sent.
    let (worker, mut given) = (WorkerId::incarnation("w"), Vec::new());
    eventually(PATIENCE, async || {
        given.extend(claim_refs(&store, &worker, 5).await);
        given.len() == 3
    })
    .await;
}

/// A node's replica, which has its data and is known to all.
pub(crate) async fn replica_of(cluster: &mut RedisCluster, owner: usize) -> RedisServer {
    let node = RedisServer::builder().arg("--cluster-enabled", "yes").arg("--cluster-node-timeout", "2000");
    let (replica, owner_url) = (node.start(), cluster.urls()[owner].clone());
    let id = ask::<String>(&owner_url, &["CLUSTER", "MYID"]);
    let port = cluster.nodes()[owner].port().to_string();
    ask::<()>(&replica.url(), &["CLUSTER", "MEET", "127.0.0.1", &port]);
    eventually(PATIENCE, async || tried::<()>(&replica.url(), &["CLUSTER", "REPLICATE", &id]).is_ok()).await;
    let slot = slot(&owner_url);
    // Everybody must know it, or nobody elects it.
    let has_it = async || {
        let known = |node: &String| ask::<String>(node, &["CLUSTER", "NODES"]).contains(&format!("slave {id}"));
        cluster.urls().iter().all(known) && keys_at(&replica.url(), &slot) > 0
    };
    eventually(PATIENCE, has_it).await;
    replica
}

/// Which node has the only shard.
pub(crate) fn owner(cluster: &RedisCluster) -> usize {
    let slot = slot(&cluster.urls()[0]);
    cluster.urls().iter().position(|node| keys_at(node, &slot) > 0).unwrap()
}

async fn found_again_after(end: fn(&mut RedisServer)) {
    let mut cluster = RedisCluster::start();
    let store = open(&cluster).await.unwrap();
    let ids = put(&store, &lane(), &["1"]).await;
    let owner = owner(&cluster);
    let _replica = replica_of(&mut cluster, owner).await;

    end(&mut cluster.nodes()[owner]);
    let mut again = None;
    eventually(2 * PATIENCE, async || {
        match store.enqueue(&[message(&lane(), "1")]).await {
            Ok(answers) => again = Some(answers),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        again.is_some()
    })
    .await;
    assert_eq!(again.unwrap(), [Enqueued::Duplicate(ids[0])]);
}

#[tokio::test]
async fn the_data_are_found_again_at_the_replica_that_took_over_from_a_node_that_is_gone() {
    found_again_after(RedisServer::kill).await;
}

#[tokio::test]
async fn the_data_are_found_again_at_the_replica_that_took_over_from_a_node_that_stands_still() {
    found_again_after(RedisServer::freeze).await;
}
