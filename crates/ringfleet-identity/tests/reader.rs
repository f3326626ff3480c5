//! When the fleet reads what nobody waits for.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{sync::Arc, time::Duration};

use ringcentral::{
    Client, ClientConfig, ClientId, ClientSecret, ExtensionId, Read, ServerUrl, UsageGroup, Whose, install_crypto,
};
use ringfleet_identity::{KeyRing, ReadError, Reader, Roster, Sessions, Vault, new_key};
use ringfleet_store::{
    Acquired, Gate, Group, LaneId, NewSession, SharedStore, TokenAsk, TokenLease, WorkerId,
    sqlite::{SqliteOptions, SqliteStore},
};

const HOUR: Duration = Duration::from_secs(3_600);

fn reader(store: &SharedStore) -> Reader {
    install_crypto();
    let server = ServerUrl::try_new("http://127.0.0.1:1").unwrap();
    let (id, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
    let client = Client::new(ClientConfig::new(server, id, secret)).unwrap();
    let vault = Vault::new(store.clone(), Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    let sessions = Sessions::new(vault, Roster::fixed([]), client, WorkerId::incarnation("this one"), HOUR);
    Reader::new(Arc::new(sessions))
}

/// The app shares one budget of logins, and more than half of it is used up.
async fn few_logins_are_left(store: &SharedStore) {
    let logins = LaneId::try_new("main", "*", Group::Auth).unwrap();
    store.set_parked(&logins, Some("logins share one budget")).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(store.acquire(&logins, HOUR).await.unwrap(), Acquired::Granted(_)));
    }
}

async fn another_process_logs_in(store: &SharedStore, extension: &ExtensionId, renew_in: Duration) {
    let (worker, credentials) = (WorkerId::incarnation("another one"), ["a credential".to_owned()]);
    let sends = LaneId::try_new("main", extension.as_str(), Group::Medium).unwrap();
    let ask = TokenAsk { known_bad: None, credentials: &credentials, lock: HOUR, renew: true, sends: &sends };
    let lease = store.token_lease(extension.as_str(), &worker, ask).await.unwrap();
    let TokenLease::Renew { generation, .. } = lease else { panic!("{lease:?}") };
    let session = NewSession { sealed: b"sealed", lives: HOUR, renew_in };
    assert!(store.token_store(extension.as_str(), &worker, generation, session).await.unwrap().is_some());
}

#[tokio::test]
async fn what_nobody_waits_for_gives_way_to_logins_only_where_it_needs_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default();
    let store: SharedStore = Arc::new(SqliteStore::open(&folder.path().join("fleet.db"), options).await.unwrap());
    let (reader, extension) = (reader(&store), ExtensionId::try_new("101").unwrap());
    let has_room = || reader.has_room(&extension, UsageGroup::Light);
    assert!(has_room().await.unwrap());
    few_logins_are_left(&store).await;
    assert!(!has_room().await.unwrap());
    // One that is to be renewed now costs a login.
    another_process_logs_in(&store, &extension, Duration::ZERO).await;
    assert!(!has_room().await.unwrap());
    another_process_logs_in(&store, &extension, HOUR).await;
    assert!(has_room().await.unwrap());
}

#[tokio::test]
async fn a_stopped_fleet_logs_nobody_in_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default();
    let store: SharedStore = Arc::new(SqliteStore::open(&folder.path().join("fleet.db"), options).await.unwrap());
    let (reader, extension) = (reader(&store), ExtensionId::try_new("101").unwrap());
    store.set_gate(&Gate::Stopped { reason: "stop".to_owned() }).await.unwrap();
    assert!(!reader.has_room(&extension, UsageGroup::Light).await.unwrap());
    let read = Read::extension(Whose::Own);
    let asked = async || reader.read(&extension, &read, Duration::ZERO).await.map(drop);
    assert!(matches!(asked().await, Err(ReadError::NoTurn { .. })));
    // Nobody can log in at all here, which a fleet that goes on finds out.
    store.set_gate(&Gate::Open).await.unwrap();
    assert!(matches!(asked().await, Err(ReadError::NoSession { .. })));
}
