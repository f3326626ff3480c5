//! Credentials in a real store, seen by running processes.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::{ExtensionId, Jwt, RefreshToken};
use ringfleet_identity::{
    AppPrint, Credential, Facts, Follower, KeyRing, Login, Method, Refused, Source, Stored, Vault, VaultError, new_key,
};
use ringfleet_store::{
    SharedStore,
    sqlite::{SqliteOptions, SqliteStore},
};
use tokio_util::sync::CancellationToken;

async fn store(folder: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(&folder.join("fleet.db"), SqliteOptions::default()).await.unwrap())
}

fn extension(id: &str) -> ExtensionId {
    ExtensionId::try_new(id).unwrap()
}

fn credential(id: &str, login: Login) -> Credential {
    let prefer = login.method().usual_preference();
    let facts = Facts { added_at: 1, ..Facts::default() };
    Credential { extension: extension(id), login, prefer, enabled: true, source: Source::File, facts }
}

fn jwt(id: &str, text: &str) -> Credential {
    credential(id, Login::Jwt(Jwt::try_new(text).unwrap()))
}

fn code(id: &str, refresh: &str) -> Credential {
    let refresh = RefreshToken::try_new(refresh).unwrap();
    credential(id, Login::Code { connection: "c1".to_owned(), refresh })
}

#[tokio::test]
async fn a_credential_comes_back_opened_and_lies_on_the_disk_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let vault = Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    assert_eq!(vault.put(&jwt("101", "canary-one")).await.unwrap(), Stored::Added);
    assert_eq!(vault.put(&jwt("101", "canary-one")).await.unwrap(), Stored::Same);
    assert_eq!(vault.put(&jwt("101", "canary-two")).await.unwrap(), Stored::Replaced);
    assert_eq!(vault.put(&code("101", "canary-r")).await.unwrap(), Stored::Added);
    let all = vault.all().await.unwrap();
    assert_eq!(all.iter().map(|kept| kept.method).collect::<Vec<_>>(), [Method::Jwt, Method::Code]);
    let Login::Jwt(back) = &all[0].opened.as_ref().unwrap().login else { panic!("no JWT") };
    assert_eq!(back.expose(), "canary-two");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"canary"), "a secret lies open on the disk");
    }
    assert!(vault.remove(&extension("101"), Method::Jwt).await.unwrap());
    assert!(!vault.remove(&extension("101"), Method::Jwt).await.unwrap());
}

#[tokio::test]
async fn a_connection_that_is_brought_in_again_keeps_its_newest_refresh_token() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(store(folder.path()).await, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    vault.put(&code("101", "first")).await.unwrap();
    let renew = |credential: &mut Credential| {
        *credential = code("101", "second");
        true
    };
    vault.change(&extension("101"), Method::Code, renew).await.unwrap();
    assert_eq!(vault.put(&code("101", "first")).await.unwrap(), Stored::Same);
    let kept = vault.get(&extension("101"), Method::Code).await.unwrap().unwrap();
    let Login::Code { refresh, .. } = kept.login else { panic!("no connection") };
    assert_eq!(refresh.expose(), "second");
}

#[tokio::test]
async fn a_fleet_without_a_key_of_its_own_keeps_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(store(folder.path()).await, Arc::new(KeyRing::of_app("id", "secret")), "main");
    assert!(matches!(vault.put(&jwt("101", "x")).await, Err(VaultError::NoKey)));
}

#[tokio::test]
async fn a_refused_credential_is_worth_a_try_again_once_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(store(folder.path()).await, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    let app = AppPrint::of("id", "secret");
    vault.put(&jwt("101", "one")).await.unwrap();
    let refuse = |credential: &mut Credential| {
        let print = credential.login.print(&app);
        credential.facts.refused = Some(Refused { print, code: "OAU-211".to_owned(), at: 5 });
        true
    };
    let refused = vault.change(&extension("101"), Method::Jwt, refuse).await.unwrap().unwrap();
    assert_eq!(refused.refused(&app).unwrap().code, "OAU-211");
    assert!(refused.refused(&AppPrint::of("id", "new secret")).is_none());
    // The same one, put in again, is as refused as it was.
    vault.put(&jwt("101", "one")).await.unwrap();
    assert!(vault.get(&extension("101"), Method::Jwt).await.unwrap().unwrap().refused(&app).is_some());
    vault.put(&jwt("101", "two")).await.unwrap();
    assert!(vault.get(&extension("101"), Method::Jwt).await.unwrap().unwrap().refused(&app).is_none());
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::new(store(folder.path()).await, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    vault.put(&jwt("101", "x")).await.unwrap();
    let changes = (0..8).map(|_| {
        let vault = vault.clone();
        tokio::spawn(async move {
            let count = |credential: &mut Credential| {
                credential.prefer += 1;
                true
            };
            vault.change(&extension("101"), Method::Jwt, count).await.unwrap();
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let counted = vault.get(&extension("101"), Method::Jwt).await.unwrap().unwrap();
    assert_eq!(counted.prefer, Method::Jwt.usual_preference() + 8);
}

#[tokio::test]
async fn keys_are_changed_beside_a_reading_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let (old, new) = (new_key(), new_key());
    let vault = |keys: &str| Vault::new(store.clone(), Arc::new(KeyRing::from_text(keys).unwrap()), "main");
    let before = vault(&old);
    for n in 0..5 {
        before.put(&jwt(&format!("10{n}"), "x")).await.unwrap();
    }
    let both = vault(&format!("{},{}", *new, *old));
    let done = both.reseal(|_| {}).await.unwrap();
    assert_eq!((done.resealed, done.current, done.unreadable), (5, 0, 0));
    assert_eq!(both.reseal(|_| {}).await.unwrap().current, 5);
    assert!(vault(&new).all().await.unwrap().iter().all(|kept| kept.opened.is_ok()));
    assert!(before.all().await.unwrap().iter().all(|kept| kept.opened.is_err()));
}

/// Waits for a condition of the roster, at most ten seconds.
async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "the roster has not followed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_running_process_sees_what_is_put_in_switched_off_and_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let vault = Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    vault.put(&jwt("102", "of-before")).await.unwrap();
    let (roster, follower) = Follower::start(vault.clone(), vec![jwt("101", "of-file")]).await.unwrap();
    assert_eq!(roster.extensions().iter().map(|id| id.to_string()).collect::<Vec<_>>(), ["101", "102"]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(follower.run(Duration::from_millis(10), stop.clone()));
    let methods = |id: &str| roster.of(id).iter().map(|c| c.login.method()).collect::<Vec<_>>();

    let mut changes = roster.changes();
    vault.put(&code("101", "r")).await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(methods("101"), [Method::Jwt, Method::Code]);
    vault.put(&jwt("101", "of-store")).await.unwrap();
    until(|| matches!(roster.of("101")[0].source, Source::Store { .. })).await;
    let last = |credential: &mut Credential| {
        credential.prefer = 99;
        true
    };
    vault.change(&extension("101"), Method::Jwt, last).await.unwrap();
    until(|| methods("101") == [Method::Code, Method::Jwt]).await;
    let off = |credential: &mut Credential| {
        credential.enabled = false;
        true
    };
    vault.change(&extension("101"), Method::Code, off).await.unwrap();
    until(|| methods("101") == [Method::Jwt]).await;
    vault.remove(&extension("101"), Method::Jwt).await.unwrap();
    // What the file says stands behind what the store says.
    until(|| matches!(roster.of("101").first().map(|c| c.source), Some(Source::File))).await;
    vault.remove(&extension("102"), Method::Jwt).await.unwrap();
    until(|| methods("102").is_empty()).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_credential_of_another_app_or_another_key_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let vault = |app| Vault::new(store.clone(), Arc::new(KeyRing::from_text(&new_key()).unwrap()), app);
    vault("other").put(&jwt("101", "x")).await.unwrap();
    vault("main").put(&jwt("102", "sealed-with-another-key")).await.unwrap();
    let mine = vault("main");
    mine.put(&jwt("103", "x")).await.unwrap();
    let (roster, _) = Follower::start(mine, Vec::new()).await.unwrap();
    assert_eq!(roster.extensions().iter().map(|id| id.to_string()).collect::<Vec<_>>(), ["103"]);
}
