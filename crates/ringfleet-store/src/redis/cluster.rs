//! A Cluster: a connection to each node that has one of the shards, and who has which of them now.
//!
//! The library's own client for Clusters reads the slots while all calls wait, connects to every node in between, and stays
//! with a node that says nothing. Shards are few and their slots fixed, so that one look tells all there is to know.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::seq::SliceRandom;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError, RedisResult, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{
    away::unreached,
    connect::{RedisOptions, bare, manager_config, unfit},
    link::{Single, of_no_use},
    scripts::{code_of, store_error},
    slots::{self, Address, View},
};
use crate::store::StoreError;

/// A node that does not tell the slots within this time is left out.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Of a large Cluster so many nodes are asked, each time others.
const ASKED: usize = 12;

#[derive(Clone)]
pub(super) struct Cluster(Arc<Inner>);

struct Inner {
    /// The nodes that were named. The first one's login and TLS are all nodes'.
    named: Vec<ConnectionInfo>,
    /// Or a node that they name, and that is on another machine, is not reached without TLS.
    allow_plaintext: bool,
    config: ConnectionManagerConfig,
    /// Slots of the shards' tags.
    slots: HashMap<String, u16>,
    map: RwLock<Map>,
    looking: AtomicBool,
}

#[derive(Default)]
struct Map {
    owners: HashMap<String, (Address, Single)>,
    /// All nodes that were told of last, so that somebody can be asked when the named ones are gone.
    nodes: BTreeSet<Address>,
}

impl Cluster {
    pub(super) async fn connect(options: &RedisOptions, tags: &[String]) -> Result<Self, StoreError> {
        let this = Self::of(options, tags)?;
        let views = this.look().await.map_err(|error| unreached(&this.0.named, error))?;
        this.refused(&views).map_or(Ok(()), |reason| Err(unfit(reason)))?;
        this.draw(&views);
        Ok(this)
    }

    /// Of which nothing is known yet.
    fn of(options: &RedisOptions, tags: &[String]) -> Result<Self, StoreError> {
        let refused = |error| store_error("connect", error);
        let named = options.urls.iter().map(|url| url.trim().into_connection_info());
        let named = named.collect::<RedisResult<Vec<_>>>().map_err(refused)?;
        if named.iter().any(|node| address(node).is_none()) {
            return Err(unfit("a Cluster is not reached by a socket file: write redis://HOST:PORT".to_owned()));
        }
        // A Cluster has one database.
        let only_one = |node: &ConnectionInfo| node.clone().set_redis_settings(node.redis_settings().clone().set_db(0));
        // Nobody waits for a node that is gone: a call fails, and the next one tries to connect again.
        let config = manager_config(options).set_number_of_retries(0);
        let slots = tags.iter().map(|tag| (tag.clone(), slots::slot_of(tag))).collect();
        let named = named.iter().map(only_one).collect();
        let (map, looking, allow_plaintext) = (RwLock::default(), AtomicBool::new(false), options.allow_plaintext);
        Ok(Self(Arc::new(Inner { named, allow_plaintext, config, slots, map, looking })))
    }

    /// The connection to the node that has the slot of `tag`, as far as is known.
    pub(super) fn node(&self, call: &'static str, tag: &str) -> Result<Single, StoreError> {
        let map = self.0.map.read().unwrap_or_else(PoisonError::into_inner);
        let Some((_, node)) = map.owners.get(tag) else {
            drop(map);
            self.look_anew();
            return Err(StoreError::Unavailable { call, source: "no node of the Cluster has its slot".into() });
        };
        Ok(node.clone())
    }

    /// After an answer that says that somebody else may have the slot: who has it is asked in the background, and the call
    /// fails.
    pub(super) fn look_at<T>(&self, answer: &RedisResult<T>) {
        // SEND-SAFETY: neither MOVED nor ASK is followed. While a slot is moved its keys lie on two nodes, and an ASK leads to
        // the one that has few of them or none: what was sent would be unknown there, and a second store would begin.
        let astray = |error: &RedisError| {
            error.is_io_error() || of_no_use(error) || matches!(code_of(error), Some("MOVED" | "CLUSTERDOWN"))
        };
        if answer.as_ref().err().is_some_and(astray) {
            self.look_anew();
        }
    }

    fn look_anew(&self) {
        if self.0.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            match this.look().await {
                Ok(views) => {
                    if let Some(reason) = this.refused(&views) {
                        tracing::error!("{reason}");
                    }
                    this.draw(&views);
                }
                Err(error) => {
                    tracing::warn!(kind = error.category(), "no node of the Cluster tells who has which slots");
                }
            }
            tokio::time::sleep(PAUSE).await;
            this.0.looking.store(false, Ordering::Release);
        });
    }

    /// Asks nodes who has which slots. An error if none tells.
    async fn look(&self) -> RedisResult<Vec<View>> {
        let mut asked: Vec<ConnectionInfo> = self.0.named.clone();
        {
            let map = self.0.map.read().unwrap_or_else(PoisonError::into_inner);
            let named: BTreeSet<_> = asked.iter().filter_map(address).collect();
            asked.extend(map.nodes.difference(&named).map(|node| self.info(node)));
        }
        asked.shuffle(&mut rand::rng());
        asked.truncate(ASKED);
        let (mut views, mut failed) = (Vec::new(), None);
        for answer in futures::future::join_all(asked.into_iter().map(view)).await {
            match answer {
                // One that was reset knows of nobody.
                Ok(view) if view.nodes.is_empty() => {}
                Ok(view) => views.push(view),
                // A refusal tells more than silence.
                Err(error) if failed.as_ref().is_none_or(RedisError::is_io_error) => failed = Some(error),
                Err(_) => {}
            }
        }
        if let (true, Some(failed)) = (views.is_empty(), failed) {
            return Err(failed);
        }
        Ok(views)
    }

    /// What is to be said of a node that was told of and may not be reached.
    fn refused(&self, views: &[View]) -> Option<String> {
        let (host, _) = views.iter().flat_map(|view| &view.nodes).find(|node| !self.may_reach(node))?;
        Some(format!(
            "the Cluster names its node {host}, which would be used without TLS: write rediss:// in store.url, or set \
             store.allow_plaintext on a private network"
        ))
    }

    fn may_reach(&self, node: &Address) -> bool {
        self.0.allow_plaintext || bare(self.info(node).addr()).is_none()
    }

    /// Puts what was told into the map. Who goes on having a shard keeps its connection. A node that may not be reached is left
    /// out: the login would be told there, and what is asked of it.
    fn draw(&self, views: &[View]) {
        let mut map = self.0.map.write().unwrap_or_else(PoisonError::into_inner);
        let mut known: HashMap<Address, Single> = map.owners.values().cloned().collect();
        for (tag, slot) in &self.0.slots {
            // A slot that nobody names stays with the node that had it, which knows better.
            let Some(owner) = slots::owner(views, *slot) else { continue };
            let Some(node) = known.get(&owner).cloned().or_else(|| self.lead(&owner)) else { continue };
            known.insert(owner.clone(), node.clone());
            let before = map.owners.insert(tag.clone(), (owner.clone(), node));
            if before.is_some_and(|(before, _)| before != owner) {
                tracing::info!(slot, host = owner.0, port = owner.1, "another node of the Cluster has this slot now");
            }
        }
        let told = views.iter().flat_map(|view| &view.nodes);
        map.nodes = told.filter(|node| self.may_reach(node)).cloned().collect();
    }

    /// A connection that is made when it is first used: nobody waits for it here.
    fn lead(&self, node: &Address) -> Option<Single> {
        if !self.may_reach(node) {
            return None;
        }
        let (client, config) = (Client::open(self.info(node)).ok()?, self.0.config.clone());
        let link = ConnectionManager::new_lazy_with_config(client.clone(), config.clone()).ok()?;
        Some(Single::new(client, config, link))
    }

    fn info(&self, (host, port): &Address) -> ConnectionInfo {
        let mut addr = self.0.named[0].addr().clone();
        if let ConnectionAddr::Tcp(at, on) | ConnectionAddr::TcpTls { host: at, port: on, .. } = &mut addr {
            (*at, *on) = (host.clone(), *port);
        }
        self.0.named[0].clone().set_addr(addr)
    }
}

fn address(node: &ConnectionInfo) -> Option<Address> {
    match node.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some((host.clone(), *port)),
        _ => None,
    }
}

/// Over a connection of its own: whatever is the matter with the others says nothing of this one.
async fn view(node: ConnectionInfo) -> RedisResult<View> {
    let (host, _) = address(&node).unwrap_or_default();
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(LOOK)).set_response_timeout(Some(LOOK));
    let mut link = Client::open(node)?.get_multiplexed_async_connection_with_config(&config).await?;
    let reply: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut link).await?;
    Ok(View::read(&reply, &host))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Cluster makes of being told that this host has all slots: what it says, and whether it would go there.
    fn told_of(host: &str, url: &str, allow_plaintext: bool) -> (Option<String>, bool) {
        let options = RedisOptions { allow_plaintext, ..RedisOptions::new(url) };
        let cluster = Cluster::of(&options, &options.tags()).expect("a node is named");
        let node = Value::Array(vec![Value::BulkString(host.into()), Value::Int(6379)]);
        let view =
            View::read(&Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(16_383), node])]), "asked");
        let refused = cluster.refused(std::slice::from_ref(&view));
        cluster.draw(&[view]);
        let map = cluster.0.map.read().expect("nobody panicked");
        assert_eq!(map.owners.len(), map.nodes.len(), "it has the slots, or is not known");
        (refused, !map.nodes.is_empty())
    }

    #[tokio::test]
    async fn a_node_on_another_machine_that_a_cluster_names_is_not_reached_without_tls_unless_that_is_allowed() {
        let (refused, reached) = told_of("10.0.0.1", "redis://:canary@127.0.0.1", false);
        let refused = refused.expect("what is wrong");
        assert!(refused.contains("10.0.0.1") && refused.contains("store.allow_plaintext"), "{refused}");
        assert!(!reached && !refused.contains("canary"), "{refused}");
        for (host, url, allowed) in [
            ("10.0.0.1", "redis://127.0.0.1", true),
            ("10.0.0.1", "rediss://127.0.0.1", false),
            ("127.0.0.2", "redis://127.0.0.1", false),
            ("::1", "redis://127.0.0.1", false),
        ] {
            assert_eq!(told_of(host, url, allowed), (None, true), "{host} {url} {allowed}");
        }
    }
}
