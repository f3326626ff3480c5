//! Wake-ups: producers publish, sleeping workers listen. Only a hint: a lost one costs a poll interval, nothing else.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::sync::Notify;

use super::connect::RedisOptions;

/// Listens until the store is dropped. A Cluster passes publications to all its nodes, so any one will do.
pub(super) fn listen(options: &RedisOptions, heard: Arc<Notify>) -> tokio::task::JoinHandle<()> {
    let urls = options.urls.clone();
    let pattern = format!("{{{}:*}}:wake", options.prefix);
    let (patience, quiet) = (options.connect_timeout, options.quiet);
    tokio::spawn(async move {
        let mut delay = Duration::from_millis(50);
        for url in urls.iter().cycle() {
            let subscribed = async {
                let mut link = redis::Client::open(url.trim())?.get_async_pubsub().await?;
                link.psubscribe(&pattern).await?;
                redis::RedisResult::Ok(link)
            };
            if let Ok(Ok(mut link)) = tokio::time::timeout(patience, subscribed).await {
                delay = Duration::from_millis(50);
                let mut news = link.on_message();
                // A connection that has lost its other end without a word is as quiet as a fleet without work.
                while let Ok(Some(_)) = tokio::time::timeout(quiet, news.next()).await {
                    heard.notify_waiters();
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(Duration::from_secs(5));
        }
    })
}
