//! Logins that nobody waits for any more, or that are somebody else's.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ringcentral::{
    Client, ClientConfig, ClientId, ClientSecret, ExtensionId, Jwt, RefreshToken, ServerUrl, install_crypto,
};
use ringfleet_identity::{
    Credential, Facts, Follower, KeptAlive, KeyRing, Login, Method, NO_CREDENTIAL, NoSession, Reader, Roster, Sessions,
    Source, Vault,
    directory::{self, Claims, Refresher},
    new_key,
};
use ringfleet_store::{
    Begin, ClaimRequest, Group, LaneId, NewMessage, OnUnknown, Private, WorkerId,
    sqlite::{SqliteOptions, SqliteStore},
};
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const EXTENSION: &str = "101";
const ANOTHER: &str = "102";
const PATIENCE: Duration = Duration::from_secs(10);

/// A token endpoint that tells of its first request, and grants it a session of `owner` when it is told to.
fn endpoint(owner: &'static str) -> (ServerUrl, oneshot::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = ServerUrl::try_new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let ((asked, is_asked), (grant, granted)) = (oneshot::channel(), mpsc::channel());
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert!(connection.read(&mut [0; 4_096]).unwrap() > 0);
        asked.send(()).unwrap();
        granted.recv_timeout(PATIENCE).unwrap();
        let body = format!(
            r#"{{"access_token":"granted","token_type":"bearer","expires_in":3600,"scope":"SMS","owner_id":"{owner}",
                "refresh_token":"next"}}"#
        );
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    (server, is_asked, grant)
}

async fn vault(folder: &Path) -> Vault {
    let store = SqliteStore::open(&folder.join("fleet.db"), SqliteOptions::default()).await.unwrap();
    Vault::new(Arc::new(store), Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main")
}

fn jwt(extension: &str) -> Credential {
    Credential {
        extension: ExtensionId::try_new(extension).unwrap(),
        login: Login::Jwt(Jwt::try_new("a-jwt").unwrap()),
        prefer: 10,
        enabled: true,
        source: Source::File,
        facts: Facts::default(),
    }
}

/// Two extensions with a JWT each, which log in there.
fn sessions(vault: Vault, server: ServerUrl) -> Arc<Sessions> {
    sessions_of(vault, server, Roster::fixed([EXTENSION, ANOTHER].map(jwt)), PATIENCE)
}

fn sessions_of(vault: Vault, server: ServerUrl, roster: Roster, lock: Duration) -> Arc<Sessions> {
    install_crypto();
    let (app, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
    let client = Client::new(ClientConfig::new(server, app, secret)).unwrap();
    Arc::new(Sessions::new(vault, roster, client, WorkerId::incarnation("this one"), lock))
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.expect("it holds");
}

#[tokio::test]
async fn a_login_whose_asker_has_gone_is_finished_before_the_logins_end_and_none_begins_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, asked, grant) = endpoint(EXTENSION);
    let sessions = sessions(vault(folder.path()).await, server);

    let extension = ExtensionId::try_new(EXTENSION).unwrap();
    tokio::select! {
        _ = sessions.get(&extension) => panic!("nothing was granted"),
        asked = asked => asked.unwrap(),
    }
    let end = sessions.end_logins();
    tokio::pin!(end);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut end).await.is_err(), "a login is under way");
    grant.send(()).unwrap();
    tokio::time::timeout(PATIENCE, end).await.unwrap();
    assert!(sessions.remembered(EXTENSION).is_some());
    assert!(sessions.get(&ExtensionId::try_new(ANOTHER).unwrap()).await.is_err());
}

#[tokio::test]
async fn a_login_whose_credential_is_taken_away_meanwhile_is_used_by_nobody_and_none_is_made_with_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, extension) = (vault(folder.path()).await, ExtensionId::try_new(EXTENSION).unwrap());
    vault.put(&jwt(EXTENSION)).await.unwrap();
    let (roster, follower) = Follower::start(vault.clone(), Vec::new()).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(follower.run(Duration::from_millis(10), stop.clone()));
    let (server, asked, grant) = endpoint(EXTENSION);
    let sessions = sessions_of(vault.clone(), server, roster, PATIENCE);
    let print = sessions.standings(EXTENSION).remove(0).print;
    let get = || {
        let (sessions, extension) = (sessions.clone(), extension.clone());
        tokio::spawn(async move { sessions.get(&extension).await.map(drop) })
    };
    let first = get();
    asked.await.unwrap();
    let second = get();
    vault.remove(&extension, Method::Jwt).await.unwrap();
    until(async || sessions.standings(EXTENSION).is_empty()).await;
    sessions.retire(EXTENSION, &print);
    grant.send(()).unwrap();
    let first = first.await.unwrap();
    assert!(matches!(first, Err(NoSession::Later { .. })), "{first:?}");
    assert!(sessions.remembered(EXTENSION).is_none());
    let second = second.await.unwrap();
    assert!(matches!(&second, Err(NoSession::Dead { reason }) if reason == NO_CREDENTIAL), "{second:?}");
    stop.cancel();
}

#[tokio::test]
async fn a_connection_that_is_taken_away_while_it_is_kept_alive_gives_no_session() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, extension) = (vault(folder.path()).await, ExtensionId::try_new(EXTENSION).unwrap());
    let login = Login::Code { connection: "c".to_owned(), refresh: RefreshToken::try_new("first").unwrap() };
    let connection = Credential { login, ..jwt(EXTENSION) };
    vault.put(&connection).await.unwrap();
    let (server, asked, grant) = endpoint(EXTENSION);
    let sessions = sessions_of(vault, server, Roster::fixed([connection]), PATIENCE);
    let print = sessions.standings(EXTENSION).remove(0).print;
    let kept = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.keep_alive(&extension).await.unwrap() }
    });
    asked.await.unwrap();
    sessions.retire(EXTENSION, &print);
    grant.send(()).unwrap();
    assert_eq!(kept.await.unwrap(), KeptAlive::NotDue);
    assert!(sessions.remembered(EXTENSION).is_none());
}

/// A session that is due to be renewed; a login counts in its window.
async fn due(vault: &Vault, folder: &Path) -> (Connection, LaneId) {
    let (server, _asked, grant) = endpoint(EXTENSION);
    grant.send(()).unwrap();
    let [logins, all] = [EXTENSION, "*"].map(|whose| LaneId::try_new("main", whose, Group::Auth).unwrap());
    vault.store().set_parked(&all, Some("each extension has its own budget of logins")).await.unwrap();
    sessions(vault.clone(), server).get(&ExtensionId::try_new(EXTENSION).unwrap()).await.map(drop).unwrap();
    let other = Connection::open(folder.join("fleet.db")).unwrap();
    assert_eq!(other.execute("UPDATE sessions SET renew = 1", []).unwrap(), 1);
    (other, logins)
}

async fn a_text_is_under_way(vault: &Vault) {
    let number = |n| Private::new(format!("+1555010000{n}"));
    let text = NewMessage {
        lane: LaneId::try_new("main", EXTENSION, Group::Medium).unwrap(),
        key: None,
        from: number(1),
        to: number(2),
        text: Private::new("x"),
        priority: Default::default(),
        on_unknown: OnUnknown::Reconcile,
        send_at: None,
        send_by: None,
    };
    let (store, worker, lease) = (vault.store(), WorkerId::incarnation("another one"), 10 * PATIENCE);
    store.enqueue(&[text]).await.unwrap();
    let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease }).await.unwrap();
    assert_eq!(store.begin_send(&[claim.leases[0].reference().into()], lease).await.unwrap(), [Begin::Go]);
}

const TAKEN: &str = "UPDATE sessions SET renewer = 'another', locked = 9000000000000000";

#[tokio::test]
async fn a_renewal_that_has_lost_its_right_while_it_waited_for_a_text_presents_no_refresh_token() {
    let taken_and_used = "UPDATE sessions SET generation = generation + 1";
    let silent = "CREATE TRIGGER silent BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END";
    for (loses, lock) in [(TAKEN, PATIENCE), (taken_and_used, PATIENCE), (silent, Duration::from_secs(5))] {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(folder.path()).await;
        let (other, logins) = due(&vault, folder.path()).await;
        a_text_is_under_way(&vault).await;
        let (server, mut asked, _grant) = endpoint(EXTENSION);
        let sessions = sessions_of(vault.clone(), server, Roster::fixed([jwt(EXTENSION)]), lock);
        let slots = async || vault.store().lane(&logins).await.unwrap().slots_in_use;
        let renews =
            tokio::spawn(async move { sessions.get(&ExtensionId::try_new(EXTENSION).unwrap()).await.map(drop) });
        until(async || slots().await == 2).await;
        assert!(asked.try_recv().is_err(), "it waits for the text");
        other.execute_batch(loses).unwrap();
        // The slot of what was not sent is given back.
        let mut is_asked = false;
        until(async || {
            is_asked |= asked.try_recv().is_ok();
            is_asked || slots().await == 1
        })
        .await;
        assert!(!is_asked, "{loses}");
        renews.abort();
    }
}

#[tokio::test]
async fn a_renewal_that_has_lost_its_right_with_no_text_under_way_presents_no_refresh_token_either() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path()).await;
    let (other, logins) = due(&vault, folder.path()).await;
    // In the moment in which it gets its slot.
    other.execute_batch(&format!("CREATE TRIGGER loses AFTER UPDATE OF slots ON lanes BEGIN {TAKEN}; END")).unwrap();
    let (server, mut asked, _grant) = endpoint(EXTENSION);
    let sessions = sessions_of(vault.clone(), server, Roster::fixed([jwt(EXTENSION)]), PATIENCE);
    let extension = ExtensionId::try_new(EXTENSION).unwrap();
    tokio::select! {
        _ = sessions.get(&extension) => {}
        _ = &mut asked => panic!("it was presented"),
    }
    let renewer: String = other.query_row("SELECT renewer FROM sessions", [], |row| row.get(0)).unwrap();
    assert_eq!((renewer.as_str(), vault.store().lane(&logins).await.unwrap().slots_in_use), ("another", 1));
}

#[tokio::test]
async fn a_session_that_belongs_to_another_extension_is_none_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _asked, grant) = endpoint(ANOTHER);
    grant.send(()).unwrap();
    let sessions = sessions(vault(folder.path()).await, server);
    let refused = sessions.get(&ExtensionId::try_new(EXTENSION).unwrap()).await.err();
    let says = |reason: &str| reason.starts_with("login-of-another-extension #");
    assert!(matches!(&refused, Some(NoSession::Dead { reason }) if says(reason)), "{refused:?}");
    assert!(sessions.remembered(EXTENSION).is_none());
    // The other processes are given it neither.
    let known = sessions.store().sessions(&[EXTENSION.to_owned()]).await.unwrap();
    assert!(known.iter().all(|known| known.lives.is_zero()), "{known:?}");
}

/// The whole of one, as text.
fn request(connection: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut part = [0; 4_096];
    loop {
        let length = connection.read(&mut part).unwrap();
        text.push_str(&String::from_utf8_lossy(&part[..length]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let told = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= told.unwrap_or(0) {
                return text;
            }
        }
        assert!(length > 0, "it ended in the middle");
    }
}

/// A provider whose tokens do not say whose they are. They are `owner`'s, who has one number.
fn silent_about(owner: &'static str) -> ServerUrl {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = ServerUrl::try_new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let asked = request(&mut connection);
            let body = match asked.lines().next().unwrap_or_default() {
                line if line.contains("/oauth/token") => r#"{"access_token":"granted","expires_in":3600}"#.to_owned(),
                line if line.contains("/phone-number") => {
                    r#"{"records":[{"phoneNumber":"+15550100002","features":["SmsSender"]}]}"#.to_owned()
                }
                _ => format!(r#"{{"id":{owner},"status":"Enabled"}}"#),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    server
}

#[tokio::test]
async fn numbers_that_were_read_with_somebody_elses_session_are_not_this_extensions() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path()).await;
    let sessions = sessions(vault.clone(), silent_about(ANOTHER));
    let (directory, follower) = directory::Follower::start(&vault, Claims::default()).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(follower.run(Duration::from_millis(10), stop.clone()));
    let refresher = Refresher::new(Reader::new(sessions), directory.clone(), PATIENCE);
    tokio::spawn(refresher.run(WorkerId::incarnation("this one"), stop.clone()));
    let [this, owner] = [EXTENSION, ANOTHER].map(|extension| ExtensionId::try_new(extension).unwrap());
    let both_are_read = async {
        loop {
            let book = directory.book();
            if let (Some(this), Some(owner)) = (book.extension(&this), book.extension(&owner))
                && this.tried_at() > 0
                && owner.tried_at() > 0
            {
                return (this.clone(), owner.clone());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (this, owner) = tokio::time::timeout(PATIENCE, both_are_read).await.expect("both are read");
    stop.cancel();
    assert_eq!(this.failed.map(|failed| failed.code).as_deref(), Some("login-of-another-extension"));
    assert_eq!((this.numbers.len(), owner.numbers.len()), (0, 1));
}
