//! Documents of a server that is full, or that was started again.

use ringfleet_store::{DocCursor, DocKind, Expect, Put};
use ringfleet_testkit::{RedisServer, eventually};

use super::*;

const KIND: DocKind = DocKind::Credential;

async fn set(store: &RedisStore, key: &str, body: &[u8]) -> Result<Put, StoreError> {
    store.doc_put(KIND, key, Expect::Anything, Some(body), None).await
}

#[tokio::test]
async fn a_full_server_takes_no_new_document_but_changes_and_removes_those_it_has() {
    let server = RedisServer::start();
    let store = connect(server.url()).await;
    for key in ["changed", "removed"] {
        assert!(matches!(set(&store, key, b"1").await, Ok(Put::Stored(_))));
    }
    ask::<()>(&server.url(), &["CONFIG", "SET", "maxmemory", "1"]);
    assert!(matches!(set(&store, "new", b"1").await, Err(StoreError::Full { .. })));
    assert!(matches!(set(&store, "changed", b"2").await, Ok(Put::Stored(_))));
    assert!(matches!(store.doc_put(KIND, "removed", Expect::Anything, None, None).await, Ok(Put::Stored(_))));
    assert_eq!(store.doc_get(KIND, "changed").await.unwrap().unwrap().body, b"2");
    let changes = store.docs_since(KIND, &DocCursor::default(), 10).await.unwrap();
    assert_eq!((changes.changed.len(), changes.removed), (1, vec!["removed".to_owned()]));
    store.reap(10, LEASE).await.unwrap();
}

#[tokio::test]
async fn after_a_restart_copies_are_read_anew() {
    let mut server = RedisServer::builder().append_only().start();
    let store = connect(server.url()).await;
    set(&store, "k", b"1").await.unwrap();
    let read = store.docs_since(KIND, &DocCursor::default(), 10).await.unwrap();
    assert!(!store.docs_since(KIND, &read.cursor, 10).await.unwrap().reset);
    server.kill();
    server.restart();
    let mut again = None;
    eventually(PATIENCE, async || {
        again = store.docs_since(KIND, &read.cursor, 10).await.ok();
        again.is_some()
    })
    .await;
    let again = again.unwrap();
    assert!(again.reset && again.more && again.changed.is_empty(), "{again:?}");
    let anew = store.docs_since(KIND, &again.cursor, 10).await.unwrap();
    assert_eq!((anew.changed, anew.reset), (read.changed, false));
    assert!(!store.docs_since(KIND, &anew.cursor, 10).await.unwrap().reset, "told once");
}
