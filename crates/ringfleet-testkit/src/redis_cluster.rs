//! A Redis Cluster of three masters, made by the test itself.

use std::time::Duration;

use redis::{Client, Connection, RedisResult};

use crate::{redis_server::RedisServer, wait::wait_until};

const MASTERS: u16 = 3;
const SLOTS: u16 = 16_384;
const FORM_DEADLINE: Duration = Duration::from_secs(30);

/// Three masters without replicas that share all slots between them.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// # Panics
    /// When no redis-server is installed or the nodes do not become one Cluster.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings of its own.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = [("--cluster-enabled", "yes"), ("--cluster-node-timeout", "2000")].iter().chain(settings);
        let builder = settings.fold(RedisServer::builder(), |builder, (name, value)| builder.arg(name, value));
        let node = |_| builder.clone().start();
        let cluster = Self { nodes: (0..MASTERS).map(node).collect() };
        cluster.form().unwrap_or_else(|error| panic!("the nodes can't be joined: {error}\n{}", cluster.log()));
        let healthy = || cluster.nodes.iter().all(|node| is_healthy(node).unwrap_or(false));
        assert!(wait_until(FORM_DEADLINE, healthy), "the nodes do not become a Cluster:\n{}", cluster.log());
        cluster
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// The node that has the slot of `key`, which is not on its way elsewhere.
    ///
    /// # Panics
    /// When none answers for it.
    pub fn url_of(&self, key: &str) -> String {
        let has_it = |node: &&RedisServer| {
            connect(node).is_ok_and(|mut link| redis::cmd("EXISTS").arg(key).exec(&mut link).is_ok())
        };
        let owner = self.nodes.iter().find(has_it);
        owner.unwrap_or_else(|| panic!("no node has the slot of {key}")).url()
    }

    /// Begins to move the slot of `key` away and carries nothing over: its node refuses what names a key that is not there.
    ///
    /// # Panics
    /// When no node takes the command.
    pub fn begin_to_move(&self, key: &str) {
        let moved = |owner: &RedisServer| {
            let to = self.nodes.iter().find(|node| node.port() != owner.port());
            let to: String = redis::cmd("CLUSTER").arg("MYID").query(&mut connect(to.expect("several nodes"))?)?;
            set_slot(owner, key, &["MIGRATING", &to])
        };
        assert!(self.nodes.iter().any(|node| moved(node).is_ok()), "no node has the slot of {key}");
    }

    /// The slot stays where it is.
    ///
    /// # Panics
    /// When a node does not answer.
    pub fn leave_in_place(&self, key: &str) {
        self.nodes.iter().for_each(|node| set_slot(node, key, &["STABLE"]).expect("a node answers"));
    }

    /// Gives each node its share of the slots, then tells them of each other.
    fn form(&self) -> RedisResult<()> {
        for (at, node) in (0..MASTERS).zip(&self.nodes) {
            let share = SLOTS / MASTERS;
            let first = at * share;
            let last = if at + 1 == MASTERS { SLOTS } else { first + share };
            let mut link = connect(node)?;
            redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(at + 1).exec(&mut link)?;
            // Not ADDSLOTSRANGE, which Redis 6.2 does not have.
            redis::cmd("CLUSTER").arg("ADDSLOTS").arg((first..last).collect::<Vec<_>>()).exec(&mut link)?;
        }
        let mut first = connect(&self.nodes[0])?;
        for other in &self.nodes[1..] {
            redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(other.port()).exec(&mut first)?;
        }
        Ok(())
    }

    fn log(&self) -> String {
        self.nodes.iter().map(RedisServer::log).collect()
    }
}

fn connect(node: &RedisServer) -> RedisResult<Connection> {
    Client::open(node.url())?.get_connection_with_timeout(Duration::from_secs(5))
}

fn set_slot(node: &RedisServer, key: &str, how: &[&str]) -> RedisResult<()> {
    let mut link = connect(node)?;
    let slot: u16 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(&mut link)?;
    redis::cmd("CLUSTER").arg("SETSLOT").arg(slot).arg(how).exec(&mut link)
}

/// A node is healthy when *it* knows all the others and all slots are served.
fn is_healthy(node: &RedisServer) -> RedisResult<bool> {
    let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut connect(node)?)?;
    let says = |line: String| info.lines().any(|l| l == line);
    Ok(says("cluster_state:ok".to_owned())
        && says(format!("cluster_slots_ok:{SLOTS}"))
        && says(format!("cluster_known_nodes:{MASTERS}")))
}
