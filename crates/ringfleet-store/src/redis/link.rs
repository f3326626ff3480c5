//! The connection to one server, or to a Cluster.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use redis::{
    FromRedisValue,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::scripts::{code_of, store_error};
use crate::store::StoreError;

/// Any of the connections that the store can live on.
#[derive(Clone)]
pub(super) enum Connection {
    One(Single),
    Cluster(redis::cluster_async::ClusterConnection),
}

/// A connection that comes back by itself, also from a server that has become a replica (the address may lead to another one
/// now, but only a new connection goes there) and from one that does not answer.
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

    fn look_at<T>(&self, answer: &redis::RedisResult<T>) {
        // A connection that answers nothing may have lost its other end without a word; a slow server gets another one.
        let of_no_use =
            |error: &redis::RedisError| error.is_timeout() || matches!(code_of(error), Some("READONLY" | "MASTERDOWN"));
        if !answer.as_ref().err().is_some_and(of_no_use) || self.0.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            tracing::warn!("Redis takes no writes, or does not answer; connecting anew");
            match ConnectionManager::new_with_config(this.0.client.clone(), this.0.config.clone()).await {
                Ok(link) => *this.0.link.write().unwrap_or_else(PoisonError::into_inner) = link,
                Err(error) => tracing::warn!(kind = error.category(), "no new connection"),
            }
            this.0.renewing.store(false, Ordering::Release);
        });
    }
}

impl Connection {
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &'static str,
        invocation: &redis::ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        // EVALSHA first; a script that the server has forgotten (NOSCRIPT, after a restart) is sent again by itself.
        let answer = match self.clone() {
            Connection::One(single) => {
                let answer = invocation.invoke_async(&mut single.link()).await;
                single.look_at(&answer);
                answer
            }
            Connection::Cluster(mut link) => invocation.invoke_async(&mut link).await,
        };
        answer.map_err(|error| store_error(call, error))
    }

    pub(super) async fn query<T: FromRedisValue>(
        &self,
        call: &'static str,
        command: &redis::Cmd,
    ) -> Result<T, StoreError> {
        let answer = match self.clone() {
            Connection::One(single) => command.query_async(&mut single.link()).await,
            Connection::Cluster(mut link) => command.query_async(&mut link).await,
        };
        answer.map_err(|error| store_error(call, error))
    }
}
