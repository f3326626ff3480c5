//! The connection to one server, or to a Cluster.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use redis::{
    ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{
    cluster::Cluster,
    scripts::{code_of, has_no_database, store_error},
};
use crate::store::StoreError;

/// Any of the connections that the store can live on.
pub(super) enum Connection {
    One(Single),
    Cluster(Cluster),
}

/// A connection that comes back by itself, also from a server that has become a replica (the address may lead to another one
/// now, but only a new connection goes there), from one that did not take the login, and from one that does not answer.
#[derive(Clone)]
pub(super) struct Single(Arc<Inner>);

struct Inner {
    client: redis::Client,
    config: ConnectionManagerConfig,
    link: RwLock<ConnectionManager>,
    renewing: AtomicBool,
}

impl Single {
    pub(super) fn new(client: redis::Client, config: ConnectionManagerConfig, link: ConnectionManager) -> Self {
        Self(Arc::new(Inner { client, config, link: RwLock::new(link), renewing: AtomicBool::new(false) }))
    }

    fn link(&self) -> ConnectionManager {
        self.0.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        // EVALSHA first; a script that the server has forgotten (NOSCRIPT, after a restart) is sent again by itself.
        let answer = script.invoke_async(&mut self.link()).await;
        self.look_at(&answer);
        answer
    }

    pub(super) async fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        let answer = command.query_async(&mut self.link()).await;
        self.look_at(&answer);
        answer
    }

    fn look_at<T>(&self, answer: &RedisResult<T>) {
        if !answer.as_ref().err().is_some_and(of_no_use) || self.0.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            tracing::warn!("Redis takes no writes or no login, or does not answer; connecting anew");
            match ConnectionManager::new_with_config(this.0.client.clone(), this.0.config.clone()).await {
                Ok(link) => *this.0.link.write().unwrap_or_else(PoisonError::into_inner) = link,
                Err(error) => tracing::warn!(kind = error.category(), "no new connection"),
            }
            this.0.renewing.store(false, Ordering::Release);
        });
    }
}

/// What a connection answers that will not answer better. One that answers nothing may have lost its other end without a word;
/// a slow server gets another one.
pub(super) fn of_no_use(error: &RedisError) -> bool {
    // The library connects anew after errors of the network only: another error of that kind it gives to every call from then on.
    let never_made =
        matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::Parse) || has_no_database(error);
    error.is_timeout() || never_made || matches!(code_of(error), Some("READONLY" | "MASTERDOWN"))
}

/// A script that is to be run, and the tag of its keys, which tells on which node.
pub(super) struct Call<'a> {
    script: ScriptInvocation<'a>,
    tag: &'a str,
}

impl<'a> Call<'a> {
    pub(super) fn new(script: &'a redis::Script, tag: &'a str) -> Self {
        Self { script: script.key(tag), tag }
    }
}

impl<'a> Deref for Call<'a> {
    type Target = ScriptInvocation<'a>;

    fn deref(&self) -> &Self::Target {
        &self.script
    }
}

impl DerefMut for Call<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.script
    }
}

impl Connection {
    pub(super) async fn run<T: FromRedisValue>(&self, call: &'static str, script: &Call<'_>) -> Result<T, StoreError> {
        let answer = match self {
            Self::One(single) => single.run(script).await,
            Self::Cluster(cluster) => {
                let answer = cluster.node(call, script.tag)?.run(script).await;
                cluster.look_at(&answer);
                answer
            }
        };
        answer.map_err(|error| store_error(call, error))
    }

    /// A command about keys of this tag.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        call: &'static str,
        tag: &str,
        command: &redis::Cmd,
    ) -> Result<T, StoreError> {
        let answer = match self {
            Self::One(single) => single.query(command).await,
            Self::Cluster(cluster) => {
                let answer = cluster.node(call, tag)?.query(command).await;
                cluster.look_at(&answer);
                answer
            }
        };
        answer.map_err(|error| store_error(call, error))
    }
}
