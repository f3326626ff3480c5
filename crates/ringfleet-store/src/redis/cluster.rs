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
    connect::{RedisOptions, manager_config, unfit},
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
        let (map, looking) = (RwLock::default(), AtomicBool::new(false));
        let this = Self(Arc::new(Inner { named, config, slots, map, looking }));
        this.look().await.map_err(|error| unreached(&this.0.named, error))?;
        Ok(this)
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
            if let Err(error) = this.look().await {
                tracing::warn!(kind = error.category(), "no node of the Cluster tells who has which slots");
            }
            tokio::time::sleep(PAUSE).await;
            this.0.looking.store(false, Ordering::Release);
        });
    }

    /// Asks nodes who has which slots. An error if none tells.
    async fn look(&self) -> RedisResult<()> {
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
        self.draw(&views);
        Ok(())
    }

    /// Puts what was told into the map. Who goes on having a shard keeps its connection.
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
        map.nodes = views.iter().flat_map(|view| view.nodes.iter().cloned()).collect();
    }

    /// A connection that is made when it is first used: nobody waits for it here.
    fn lead(&self, node: &Address) -> Option<Single> {
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
