//! What lets parked lanes go on.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use ringcentral::Jwt;
use ringfleet_identity::{
    Credential, Follower, Login, Roster, Vault,
    directory::{self, Claims},
};
use ringfleet_store::{RedisStore, SharedStore, WorkerId, redis::RedisOptions, sqlite::SqliteOptions};
use ringfleet_testkit::{RedisCluster, eventually};

use super::*;
use crate::{
    parked::for_sender,
    tests::rig::{NOBODY, client, credential, lane, sqlite, vault},
};

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

async fn read(register: &Register, extension: &str, at: Millis) {
    let change = |facts: &mut directory::ExtensionFacts| {
        facts.read_at = at;
        true
    };
    register.change_extension(&id(extension), change).await.unwrap();
}

fn caretaker(vault: Vault, roster: Roster, directory: Directory) -> Caretaker {
    let register = Register::new(&vault);
    let sessions = Sessions::new(vault, roster, client(NOBODY), WorkerId::incarnation("this one"), DEADLINE);
    Caretaker { sessions: Arc::new(sessions), directory, register, refresh: Some(REFRESH) }
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
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(sqlite(folder.path(), SqliteOptions::default()).await);
    let (store, register, stop) = (vault.store().clone(), Register::new(&vault), CancellationToken::new());
    let now = store.now().await.unwrap();
    for extension in PARKED {
        store.set_parked(&lane(extension), Some(&for_sender("MSG-304", now))).await.unwrap();
    }
    read(&register, "101", now).await;
    read(&register, "102", now + 1).await;

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

    tokio::spawn(caretaker(vault, roster, directory).care(stop.clone()));

    // The look with which it begins: at the first as well, of which nothing newer is known yet.
    goes_on(&store, "102").await;
    assert!(store.lane(&lane("101")).await.unwrap().parked.is_some());
    read(&register, "101", now + 1).await;
    let before = *changes.borrow_and_update();
    goes_on(&store, "101").await;
    assert!(*changes.borrow() > before, "nothing changed meanwhile, so nothing is shown");
    stop.cancel();
}

#[tokio::test]
async fn in_a_large_fleet_the_last_extension_has_its_turn_although_the_first_ones_credential_changes_all_the_time() {
    const FIRST: &str = "1000";
    const LAST: &str = "1099";
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(sqlite(folder.path(), SqliteOptions::default()).await);
    let (store, register, stop) = (vault.store().clone(), Register::new(&vault), CancellationToken::new());
    let now = store.now().await.unwrap();
    store.set_parked(&lane(LAST), Some(&for_sender("MSG-304", now))).await.unwrap();
    read(&register, LAST, now + 1).await;
    let (directory, _) = directory::Follower::start(&vault, Claims::default()).await.unwrap();
    let credentials = (1_000..1_100).map(|extension| credential(&extension.to_string())).collect();
    let (roster, follower) = Follower::start(vault.clone(), credentials).await.unwrap();
    let mut changes = roster.changes();
    let often = Duration::from_millis(5);
    tokio::spawn(follower.run(often, stop.clone()));
    let busy = vault.clone();
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        // Each time another one.
        for n in 0_u64.. {
            let login = Login::Jwt(Jwt::try_new(&format!("jwt-{n}")).unwrap());
            busy.put(&Credential { login, ..credential(FIRST) }).await.unwrap();
            tokio::time::sleep(often).await;
        }
    }));

    tokio::spawn(caretaker(vault, roster, directory).care(stop.clone()));
    goes_on(&store, LAST).await;
    assert!(*changes.borrow_and_update() > 10, "the first one hardly changed meanwhile, so nothing is shown");
    stop.cancel();
}

#[tokio::test]
async fn a_shard_that_does_not_answer_keeps_no_lane_of_another_parked() {
    const SHARD: &str = "{care:0}";
    let cluster = RedisCluster::start();
    let (urls, prefix) = (cluster.urls(), "care".to_owned());
    let options =
        RedisOptions { urls, cluster: true, shards: 3, prefix, allow_volatile: true, ..RedisOptions::new("") };
    let store: SharedStore = Arc::new(RedisStore::connect(options).await.unwrap());
    let (vault, stop) = (vault(store.clone()), CancellationToken::new());
    let register = Register::new(&vault);

    // The first of them lives where nobody answers, the other one comes after it and lives elsewhere.
    cluster.begin_to_move(SHARD);
    let (mut silent, mut other) = (None, None);
    for extension in (101..=199).map(|extension| extension.to_string()) {
        match store.lane(&lane(&extension)).await {
            Err(_) => silent = silent.or(Some(extension)),
            Ok(_) if silent.is_some() => other = Some(extension),
            Ok(_) => {}
        }
        if other.is_some() {
            break;
        }
    }
    cluster.leave_in_place(SHARD);
    let (silent, other) = (silent.unwrap(), other.unwrap());
    let unparked = async |extension: &str| store.lane(&lane(extension)).await.is_ok_and(|lane| lane.parked.is_none());
    eventually(DEADLINE, async || unparked(&silent).await).await;

    let now = store.now().await.unwrap();
    for extension in [&silent, &other] {
        store.set_parked(&lane(extension), Some(&for_sender("MSG-304", now))).await.unwrap();
        read(&register, extension, now + 1).await;
    }
    let (directory, _) = directory::Follower::start(&vault, Claims::default()).await.unwrap();
    let credentials = [credential(&silent), credential(&other)].into();
    let (roster, _) = Follower::start(vault.clone(), credentials).await.unwrap();
    cluster.begin_to_move(SHARD);
    tokio::spawn(caretaker(vault, roster, directory).care(stop.clone()));
    goes_on(&store, &other).await;
    cluster.leave_in_place(SHARD);
    eventually(DEADLINE, async || unparked(&silent).await).await;
    stop.cancel();
}
