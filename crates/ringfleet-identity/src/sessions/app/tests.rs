//! What a refusal of the app holds back, and what ends it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use ringcentral::{
    Client, ClientConfig, ClientId, ClientSecret, ExtensionId, GuardMode, Jwt, RefreshToken, ServerUrl, install_crypto,
};
use ringfleet_store::{Heard, RefusedCredential};

use super::*;
use crate::{Facts, KeptAlive, NoSession, Roster, Source, sessions::tests::fleet};

const EXTENSION: &str = "101";
const ANOTHER: &str = "102";
const MINUTE: Duration = Duration::from_secs(60);

fn id(extension: &str) -> ExtensionId {
    ExtensionId::try_new(extension).unwrap()
}

fn credential(extension: &str, login: Login) -> Credential {
    let (source, facts) = (Source::File, Facts::default());
    Credential { extension: id(extension), login, prefer: 10, enabled: true, source, facts }
}

pub(crate) fn by_jwt(extension: &str) -> Credential {
    credential(extension, Login::Jwt(Jwt::try_new(&format!("jwt-of-{extension}")).unwrap()))
}

fn by_connection(name: &str) -> Credential {
    let refresh = RefreshToken::try_new("first").unwrap();
    credential(EXTENSION, Login::Code { connection: name.to_owned(), refresh })
}

/// The form of one request.
fn form(connection: &mut TcpStream) -> String {
    let (mut text, mut part) = (String::new(), [0; 4_096]);
    loop {
        let length = connection.read(&mut part).unwrap();
        assert!(length > 0, "it ended in the middle");
        text.push_str(&String::from_utf8_lossy(&part[..length]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let told = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= told.unwrap_or(0) {
                return body.to_owned();
            }
        }
    }
}

/// A token endpoint that refuses a form with status and code, or grants it a session.
pub(crate) fn provider(refuses: impl Fn(&str) -> Option<(u16, &'static str)> + Send + 'static) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = ServerUrl::try_new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let (status, body) = match refuses(&form(&mut connection)) {
                Some((status, code)) => (status, format!(r#"{{"errors":[{{"errorCode":"{code}","message":"m"}}]}}"#)),
                None => (200, r#"{"access_token":"a","expires_in":3600,"refresh_token":"next"}"#.to_owned()),
            };
            let head = format!(
                "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    install_crypto();
    let (id, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
    let mut config = ClientConfig::new(server, id, secret);
    // As the fleet's clients: the store's slots are the limit. The guard's own would space an extension's requests.
    config.guard_mode = GuardMode::Backstop;
    Client::new(config).unwrap()
}

/// A fleet of these logins, which are kept in its store too.
pub(crate) async fn sessions<const N: usize>(
    folder: &tempfile::TempDir,
    client: Client,
    logins: [Credential; N],
) -> Arc<Sessions> {
    let mut sessions = fleet(folder, MINUTE).await;
    for login in &logins {
        sessions.vault.put(login).await.unwrap();
    }
    (sessions.client, sessions.roster) = (client, Roster::fixed(logins));
    Arc::new(sessions)
}

#[tokio::test]
async fn a_grant_that_the_app_lacks_holds_back_no_extension_that_has_another_login() {
    let folder = tempfile::tempdir().unwrap();
    let mut sessions = fleet(&folder, MINUTE).await;
    let of = sessions.app_refused(Grant::Jwt, "OAU-251").await.unwrap();
    let standing = async |sessions: &Sessions| sessions.app_standing(EXTENSION, &of).await.unwrap();
    assert_eq!(standing(&sessions).await, AppStanding::Refused, "it has none");
    sessions.roster = Roster::fixed([by_jwt(EXTENSION)]);
    assert_eq!(standing(&sessions).await, AppStanding::Refused);
    sessions.roster = Roster::fixed([by_jwt(EXTENSION), by_connection("c")]);
    assert_eq!(standing(&sessions).await, AppStanding::Open);

    let print = by_connection("c").login.print(&sessions.app_print);
    let refused = RefusedCredential { print, reason: "OAU-213".to_owned() };
    let heard = sessions.store().token_refuse(EXTENSION, &sessions.worker, 0, &refused, Duration::ZERO).await.unwrap();
    assert_eq!(heard, Heard::New);
    assert_eq!(standing(&sessions).await, AppStanding::Refused, "the other one was refused too");
    sessions.roster = Roster::fixed([by_jwt(EXTENSION), by_connection("made anew")]);
    assert_eq!(standing(&sessions).await, AppStanding::Open);

    sessions.app_refused(Grant::Refresh, "OAU-146").await.unwrap();
    assert_eq!(standing(&sessions).await, AppStanding::Refused, "a wrong secret concerns all");
}

#[tokio::test]
async fn a_connection_of_another_app_is_refused_alone_and_stops_no_other_login() {
    let folder = tempfile::tempdir().unwrap();
    let client = provider(|form| form.contains("grant_type=refresh_token").then_some((401, "OAU-121")));
    let sessions = sessions(&folder, client, [by_connection("c"), by_jwt(ANOTHER)]).await;
    assert_eq!(sessions.keep_alive(&id(EXTENSION)).await.unwrap(), KeptAlive::Refused);
    let refused = sessions.get(&id(EXTENSION)).await.err();
    let says = |reason: &str| reason.starts_with("OAU-121 #") && !reason.contains("#app:");
    assert!(matches!(&refused, Some(NoSession::Dead { reason }) if says(reason)), "{refused:?}");
    sessions.get(&id(ANOTHER)).await.map(drop).unwrap();
    let of_app = refusals(&sessions).await;
    assert!(of_app.is_empty(), "{of_app:?}");
}

/// As if the time had come to try.
async fn is_due(sessions: &Sessions) {
    let (expect, mut all) = sessions.refusals().await.unwrap();
    all.0.iter_mut().for_each(|refusal| refusal.again_at = 0);
    assert!(sessions.write_refusals(expect, &all).await.unwrap());
}

async fn refusals(sessions: &Sessions) -> Vec<AppRefusal> {
    AppRefusal::all(sessions.store(), sessions.app(), &sessions.app_print).await.unwrap()
}

#[tokio::test]
async fn a_trial_with_a_credential_that_is_dead_itself_keeps_no_other_login_waiting() {
    for code in ["OAU-146", "OAU-251"] {
        let folder = tempfile::tempdir().unwrap();
        let client = provider(|form| form.contains("jwt-of-101").then_some((400, "OAU-211")));
        let sessions = sessions(&folder, client, [by_jwt(EXTENSION), by_jwt(ANOTHER)]).await;
        sessions.app_refused(Grant::Jwt, code).await.unwrap();
        is_due(&sessions).await;
        let dead = sessions.get(&id(EXTENSION)).await.err();
        let says = |reason: &str| reason.starts_with("OAU-211 #");
        assert!(matches!(&dead, Some(NoSession::Dead { reason }) if says(reason)), "{dead:?}");
        sessions.get(&id(ANOTHER)).await.map(drop).unwrap();
        assert!(refusals(&sessions).await.is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_trial_that_nobody_has_decided_is_made_again_after_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let client = provider(|_| Some((502, "CMN-201")));
    let sessions = sessions(&folder, client, [by_jwt(EXTENSION)]).await;
    sessions.app_refused(Grant::Jwt, "OAU-146").await.unwrap();
    is_due(&sessions).await;
    let before = sessions.store().now().await.unwrap();
    assert!(matches!(sessions.get(&id(EXTENSION)).await, Err(NoSession::Later { .. })));
    let now = sessions.store().now().await.unwrap();
    let again_at = refusals(&sessions).await[0].again_at;
    assert!((before + UNDECIDED..=now + UNDECIDED).contains(&again_at), "{again_at} at {now}");
}

/// A connection that was left over from another app; the provider may as well mean this one.
#[tokio::test]
async fn a_trial_that_is_told_of_the_wrong_app_does_not_show_that_the_app_is_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let client = provider(|form| form.contains("grant_type=refresh_token").then_some((401, "OAU-121")));
    let sessions = sessions(&folder, client, [by_connection("c"), by_jwt(ANOTHER)]).await;
    sessions.app_refused(Grant::Jwt, "OAU-146").await.unwrap();
    is_due(&sessions).await;
    let before = sessions.store().now().await.unwrap();
    let dead = sessions.get(&id(EXTENSION)).await.err();
    let says = |reason: &str| reason.starts_with("OAU-121 #");
    assert!(matches!(&dead, Some(NoSession::Dead { reason }) if says(reason)), "{dead:?}");
    let now = sessions.store().now().await.unwrap();
    let [refusal]: [AppRefusal; 1] = refusals(&sessions).await.try_into().unwrap();
    assert_eq!(refusal.code, "OAU-146");
    let again_at = refusal.again_at;
    assert!((before + UNDECIDED..=now + UNDECIDED).contains(&again_at), "{again_at} at {now}");
    assert!(sessions.get(&id(ANOTHER)).await.is_err(), "it waits for the next trial");
}

#[tokio::test]
async fn a_trial_that_is_refused_its_grant_alone_lets_the_others_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let client = provider(|form| form.contains("jwt-of-101").then_some((400, "OAU-251")));
    let sessions = sessions(&folder, client, [by_jwt(EXTENSION), by_connection("c")]).await;
    sessions.app_refused(Grant::Jwt, "OAU-146").await.unwrap();
    is_due(&sessions).await;
    sessions.get(&id(EXTENSION)).await.map(drop).unwrap();
    let codes: Vec<String> = refusals(&sessions).await.into_iter().map(|refusal| refusal.code).collect();
    assert_eq!(codes, ["OAU-251"]);
}
