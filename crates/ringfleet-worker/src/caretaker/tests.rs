//! What lets parked lanes go on.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::path::Path;

use ringcentral::{Client, ClientConfig, ClientId, ClientSecret, Jwt, ServerUrl, install_crypto};
use ringfleet_identity::{
    Credential, Facts, Follower, KeyRing, Login, Source, Vault,
    directory::{self, Claims},
    new_key,
};
use ringfleet_store::{
    SharedStore, WorkerId,
    sqlite::{SqliteOptions, SqliteStore},
};

use super::*;
use crate::parked::for_sender;

/// More than enough on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often all are looked after here.
const REFRESH: Duration = Duration::from_secs(1);
/// Looked after one after the other, in this order.
const PARKED: [&str; 2] = ["101", "102"];
/// Its credential is written anew all the time.
const BUSY: &str = "103";

fn id(extension: &str) -> ExtensionId {
    ExtensionId::try_new(extension).unwrap()
}

fn lane(extension: &str) -> LaneId {
    LaneId::try_new("main", extension, Group::Medium).unwrap()
}

fn credential(extension: &str) -> Credential {
    let login = Login::Jwt(Jwt::try_new(&format!("jwt-of-{extension}")).unwrap());
    let (source, facts) = (Source::File, Facts::default());
    Credential { extension: id(extension), login, prefer: 10, enabled: true, source, facts }
}

async fn vault(folder: &Path) -> Vault {
    let options = SqliteOptions::default();
    let store: SharedStore = Arc::new(SqliteStore::open(&folder.join("fleet.db"), options).await.unwrap());
    Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main")
}

async fn goes_on(store: &SharedStore, extension: &str) {
    let unparked = async {
        while store.lane(&lane(extension)).await.unwrap().parked.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, unparked)
        .await
        .unwrap_or_else(|_| panic!("the lane of {extension} is parked still"));
}

#[tokio::test]
async fn a_lane_parked_for_its_sender_goes_on_by_itself_while_credentials_change_all_the_time() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path()).await;
    let (store, register, stop) = (vault.store().clone(), Register::new(&vault), CancellationToken::new());
    let read = async |extension: &str, at| {
        let change = |facts: &mut directory::ExtensionFacts| {
            facts.read_at = at;
            true
        };
        register.change_extension(&id(extension), change).await.unwrap();
    };
    let now = store.now().await.unwrap();
    for extension in PARKED {
        store.set_parked(&lane(extension), Some(&for_sender("MSG-304", now))).await.unwrap();
    }
    read("101", now).await;
    read("102", now + 1).await;

    let (directory, directory_follower) = directory::Follower::start(&vault, Claims::default()).await.unwrap();
    let credentials = [PARKED[0], PARKED[1], BUSY].map(credential).into();
    let (roster, follower) = Follower::start(vault.clone(), credentials).await.unwrap();
    let mut changes = roster.changes();
    let often = Duration::from_millis(5);
    tokio::spawn(follower.run(often, stop.clone()));
    tokio::spawn(directory_follower.run(often, stop.clone()));
    let busy = vault.clone();
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        loop {
            busy.put(&credential(BUSY)).await.unwrap();
            tokio::time::sleep(often).await;
        }
    }));

    let server = ServerUrl::try_new("http://127.0.0.1:1").unwrap();
    let (app, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
    let client = Client::new(ClientConfig::new(server, app, secret)).unwrap();
    let sessions = Sessions::new(vault, roster, client, WorkerId::incarnation("this one"), DEADLINE);
    let caretaker =
        Caretaker { sessions: Arc::new(sessions), directory, register: register.clone(), refresh: Some(REFRESH) };
    tokio::spawn(caretaker.care(stop.clone()));

    // The look with which it begins: at the first as well, of which nothing newer is known yet.
    goes_on(&store, "102").await;
    assert!(store.lane(&lane("101")).await.unwrap().parked.is_some());
    read("101", now + 1).await;
    let before = *changes.borrow_and_update();
    goes_on(&store, "101").await;
    assert!(*changes.borrow() > before, "nothing changed meanwhile, so nothing is shown");
    stop.cancel();
}
