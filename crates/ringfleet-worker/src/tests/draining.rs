//! How a worker ends.

use std::{future, sync::Arc, time::Duration};

use axum::{Json, Router, routing::post};
use ringcentral::ExtensionId;
use ringfleet_store::{WorkerId, sqlite::SqliteOptions};
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::rig::{EXTENSION, PATIENCE, credential, serve, sessions, sqlite, vault};
use crate::run::drain;

/// A login of a poll: no text waits for it, so the worker's processing ends at once.
#[tokio::test]
async fn a_login_under_way_is_waited_for_although_nothing_is_in_hand() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path(), SqliteOptions::default()).await;
    let (asked, grant) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (is_asked, may_grant) = (asked.clone(), grant.clone());
    let token = async move || {
        is_asked.notify_one();
        may_grant.notified().await;
        Json(json!({"access_token": "a", "expires_in": 3_600}))
    };
    let client = serve(Router::new().route("/restapi/oauth/token", post(token))).await;
    let sessions = sessions(vault(store), client, credential(EXTENSION));
    let extension = ExtensionId::try_new(EXTENSION).unwrap();
    tokio::select! {
        _ = sessions.get(&extension) => panic!("nothing was granted"),
        () = asked.notified() => {}
    }

    let (worker, by) = (WorkerId::incarnation("w"), Instant::now() + PATIENCE);
    let drained = drain(&worker, by, Some(Ok(())), future::pending(), &sessions);
    tokio::pin!(drained);
    assert!(timeout(Duration::from_millis(50), &mut drained).await.is_err(), "it is under way");
    grant.notify_one();
    drained.await.unwrap().unwrap();
    assert!(sessions.remembered(EXTENSION).is_some());
}
