//! Whose lanes the workers of a store serve: one app's. A worker parks each lane of another that it meets, so one with a wrong
//! `ringcentral.app` would soon have parked them all: it must not begin beside the others.

use std::time::Duration;

use ringfleet_store::{DocKind, Expect, SharedStore, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{metrics, run::WorkerError};

const KEY: &str = "app";
/// How long it is remembered after the last worker has said it: long enough for a pause of the store, and no longer than one
/// waits who has renamed the app.
const LIVES: Duration = Duration::from_secs(60);
pub(crate) const EVERY: Duration = Duration::from_secs(15);

/// Refuses to begin beside workers of another app. What the store can't tell, or does not take, refuses nothing.
pub(crate) async fn enter(store: &SharedStore, app: &str) -> Result<(), WorkerError> {
    match store.doc_get(DocKind::Progress, KEY).await {
        Ok(Some(known)) if known.body != app.as_bytes() => {
            let others = String::from_utf8_lossy(&known.body).into_owned();
            return Err(WorkerError::OtherApp { others, app: app.to_owned() });
        }
        Ok(_) => {}
        Err(error) => metrics::store_error("doc_get", &error),
    }
    heard(say(store, app).await);
    Ok(())
}

/// Says it from time to time.
pub(crate) async fn stay(store: SharedStore, app: String, every: Duration, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        heard(say(&store, &app).await);
    }
}

async fn say(store: &SharedStore, app: &str) -> Result<(), StoreError> {
    let body = Some(app.as_bytes());
    store.doc_put(DocKind::Progress, KEY, Expect::Anything, body, Some(LIVES)).await.map(drop)
}

fn heard(said: Result<(), StoreError>) {
    if let Err(error) = said {
        metrics::store_error("doc_put", &error);
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::sqlite::SqliteOptions;
    use ringfleet_testkit::eventually;

    use super::*;
    use crate::tests::rig::{PATIENCE, sqlite};

    #[tokio::test]
    async fn it_is_said_for_as_long_as_a_worker_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let stop = CancellationToken::new();
        let staying = tokio::spawn(stay(store.clone(), "main".to_owned(), Duration::from_millis(5), stop.clone()));
        for _ in 0..2 {
            let is_said = async || enter(&store, "another").await.is_err();
            eventually(PATIENCE, async || store.doc_get(DocKind::Progress, KEY).await.unwrap().is_some()).await;
            assert!(is_said().await);
            store.doc_put(DocKind::Progress, KEY, Expect::Anything, None, None).await.unwrap();
        }
        stop.cancel();
        staying.await.unwrap();
    }
}
