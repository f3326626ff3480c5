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
pub(crate) const EVERY: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(15) };

/// Refuses to begin beside workers of another app: one of them says so within `every`, and a bit. What those that have gone have said
/// is waited for. What the store can't tell refuses nothing.
pub(crate) async fn enter(store: &SharedStore, app: &str, every: Duration) -> Result<(), WorkerError> {
    let mut seen = None;
    loop {
        match store.doc_get(DocKind::Progress, KEY).await {
            Ok(Some(known)) if known.body != app.as_bytes() => {
                let others = String::from_utf8_lossy(&known.body).into_owned();
                match seen.replace(known.rev) {
                    Some(before) if before != known.rev => {
                        return Err(WorkerError::OtherApp { others, app: app.to_owned() });
                    }
                    Some(_) => {}
                    None => tracing::warn!(
                        others,
                        app,
                        "workers of another ringcentral.app used this store within the last minute: this one begins when they \
                         are gone"
                    ),
                }
            }
            Ok(_) => return Ok(()),
            Err(error) => {
                metrics::store_error("doc_get", &error);
                return Ok(());
            }
        }
        tokio::time::sleep(every + every / 3).await;
    }
}

/// Says it now and then.
pub(crate) async fn stay(store: SharedStore, app: String, every: Duration, stop: CancellationToken) {
    let mut told = false;
    loop {
        match say(&store, &app).await {
            Ok(Some(others)) if !std::mem::replace(&mut told, true) => tracing::error!(
                others,
                app,
                "workers of another ringcentral.app use this store too: each parks the lanes that the other serves"
            ),
            Ok(_) => {}
            Err(error) => metrics::store_error("doc_put", &error),
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

/// The other app that has said it, if one has: it is left to it.
async fn say(store: &SharedStore, app: &str) -> Result<Option<String>, StoreError> {
    let known = store.doc_get(DocKind::Progress, KEY).await?;
    if let Some(other) = known.filter(|known| known.body != app.as_bytes()) {
        return Ok(Some(String::from_utf8_lossy(&other.body).into_owned()));
    }
    let body = Some(app.as_bytes());
    store.doc_put(DocKind::Progress, KEY, Expect::Anything, body, Some(LIVES)).await?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use ringfleet_store::{Clock, sqlite::SqliteOptions};
    use ringfleet_testkit::eventually;

    use super::*;
    use crate::tests::rig::{PATIENCE, sqlite};

    const SOON: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn nobody_begins_beside_workers_of_another_app() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let stop = CancellationToken::new();
        tokio::spawn(stay(store.clone(), "main".to_owned(), SOON, stop.clone()));
        let is_said = async || store.doc_get(DocKind::Progress, KEY).await.unwrap().is_some();
        for _ in 0..2 {
            eventually(PATIENCE, is_said).await;
            enter(&store, "main", SOON).await.unwrap();
            let refused = tokio::time::timeout(PATIENCE, enter(&store, "wrong", SOON)).await.unwrap().unwrap_err();
            assert!(refused.to_string().contains(r#"workers of app "main" use this store"#), "{refused}");
            store.doc_put(DocKind::Progress, KEY, Expect::Anything, None, None).await.unwrap();
        }
        drop(stop);
    }

    #[tokio::test]
    async fn one_begins_a_minute_after_the_last_worker_of_another_app_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::by_hand(1_767_323_045_000);
        let store = sqlite(folder.path(), SqliteOptions { clock, ..SqliteOptions::default() }).await;
        let gone = CancellationToken::new();
        gone.cancel();
        stay(store.clone(), "main".to_owned(), EVERY, gone).await;

        let entering = enter(&store, "renamed", SOON);
        tokio::pin!(entering);
        hand.fetch_add(59_000, Ordering::SeqCst);
        assert!(tokio::time::timeout(20 * SOON, &mut entering).await.is_err());
        hand.fetch_add(1_001, Ordering::SeqCst);
        tokio::time::timeout(PATIENCE, entering).await.unwrap().unwrap();
    }
}
