//! Logins that nobody waits for any more.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ringcentral::{Client, ClientConfig, ClientId, ClientSecret, ExtensionId, Jwt, ServerUrl, install_crypto};
use ringfleet_identity::{Credential, Facts, KeyRing, Login, Roster, Sessions, Source, Vault, new_key};
use ringfleet_store::{
    WorkerId,
    sqlite::{SqliteOptions, SqliteStore},
};
use tokio::sync::oneshot;

const EXTENSION: &str = "101";
const PATIENCE: Duration = Duration::from_secs(10);

/// A token endpoint that tells of its first request, and grants it when it is told to.
fn endpoint() -> (ServerUrl, oneshot::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = ServerUrl::try_new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let ((asked, is_asked), (grant, granted)) = (oneshot::channel(), mpsc::channel());
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert!(connection.read(&mut [0; 4_096]).unwrap() > 0);
        asked.send(()).unwrap();
        granted.recv_timeout(PATIENCE).unwrap();
        let body = format!(
            r#"{{"access_token":"granted","token_type":"bearer","expires_in":3600,"scope":"SMS","owner_id":"{EXTENSION}"}}"#
        );
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
    });
    (server, is_asked, grant)
}

#[tokio::test]
async fn a_login_whose_asker_has_gone_is_finished_before_the_logins_end_and_none_begins_after_it() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("fleet.db"), SqliteOptions::default()).await.unwrap();
    let (server, asked, grant) = endpoint();
    let (app, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
    let client = Client::new(ClientConfig::new(server, app, secret)).unwrap();
    let vault = Vault::new(Arc::new(store), Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    let credential = |extension| Credential {
        extension: ExtensionId::try_new(extension).unwrap(),
        login: Login::Jwt(Jwt::try_new("a-jwt").unwrap()),
        prefer: 10,
        enabled: true,
        source: Source::File,
        facts: Facts::default(),
    };
    let roster = Roster::fixed([EXTENSION, "102"].map(credential));
    let sessions = Arc::new(Sessions::new(vault, roster, client, WorkerId::incarnation("this one"), PATIENCE));

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
    assert!(sessions.get(&ExtensionId::try_new("102").unwrap()).await.is_err());
}
