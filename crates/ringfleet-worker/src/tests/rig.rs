//! A store, a provider that does what a test says, and what a worker has between the two.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, routing::post};
use futures::{FutureExt, future::BoxFuture};
use ringcentral::{Client, ClientConfig, ClientId, ClientSecret, ExtensionId, Jwt, ServerUrl, install_crypto};
use ringfleet_identity::{
    Credential, Facts, KeyRing, Login, Roster, Sessions, Source, Vault,
    directory::{Claims, Directory, Register},
    new_key,
};
use ringfleet_store::{
    Begin, ClaimRequest, Group, LaneId, Lease, MessageId, NewMessage, OnUnknown, Private, RedisStore, SharedStore,
    State, WorkerId,
    redis::RedisOptions,
    sqlite::{SqliteOptions, SqliteStore},
};
use ringfleet_testkit::{RedisServer, eventually};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    claimer::Work, journal::Journal, keeper::InHand, loops::Loops, run::begin_batches, sender::Sender, settler::settler,
};

pub(crate) const EXTENSION: &str = "101";
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// More than enough on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where nobody listens.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

pub(crate) fn lane(extension: &str) -> LaneId {
    LaneId::try_new("main", extension, Group::Medium).unwrap()
}

pub(crate) fn number(n: u32) -> String {
    format!("+165055501{n:02}")
}

/// To a number of its own: of those between the same two one goes at a time.
pub(crate) fn text(extension: &str, to: u32, on_unknown: OnUnknown) -> NewMessage {
    NewMessage {
        lane: lane(extension),
        key: None,
        from: Private::new(number(0)),
        to: Private::new(number(to)),
        text: Private::new("x"),
        priority: Default::default(),
        on_unknown,
        send_at: None,
        send_by: None,
    }
}

pub(crate) async fn sqlite(folder: &Path, options: SqliteOptions) -> SharedStore {
    Arc::new(SqliteStore::open(&folder.join("fleet.db"), options).await.unwrap())
}

pub(crate) async fn redis(server: &RedisServer) -> SharedStore {
    Arc::new(RedisStore::connect(options(server)).await.unwrap())
}

/// Waits no longer than it must for workers that stay away.
pub(crate) fn options(server: &RedisServer) -> RedisOptions {
    let restart_patience = Duration::from_secs(1);
    RedisOptions { allow_volatile: true, restart_patience, ..RedisOptions::new(server.url()) }
}

/// Puts something else where a key of the store should be: what needs that is refused, and nothing else, until it is mended.
pub(crate) fn spoil(server: &RedisServer, key: &str) {
    assert_eq!(server.ask(&["SET", &format!("{{rf:0}}:{key}"), "junk"]).as_deref(), Some("+OK\r\n"));
}

pub(crate) fn mend(server: &RedisServer, key: &str) {
    assert_eq!(server.ask(&["DEL", &format!("{{rf:0}}:{key}")]).as_deref(), Some(":1\r\n"));
}

/// Hands a text in and claims it, as soon as a store that was restarted gives something out.
pub(crate) async fn claimed(store: &SharedStore, text: NewMessage) -> Lease {
    store.enqueue(&[text]).await.unwrap();
    let (worker, mut leases) = (WorkerId::incarnation("w"), Vec::new());
    eventually(PATIENCE, async || {
        let request = ClaimRequest { worker: &worker, free_slots: 1, lease: LEASE };
        leases = store.claim(request).await.unwrap().leases;
        !leases.is_empty()
    })
    .await;
    leases.remove(0)
}

/// The same, with its intent written.
pub(crate) async fn begun(store: &SharedStore, text: NewMessage) -> Lease {
    let lease = claimed(store, text).await;
    assert_eq!(store.begin_send(&[lease.reference().into()], LEASE).await.unwrap(), [Begin::Go]);
    lease
}

/// `None` while the store does not answer, or has no such message.
pub(crate) async fn state(store: &SharedStore, id: &MessageId) -> Option<State> {
    store.get(id).await.ok().flatten().map(|message| message.state)
}

/// A provider that lets everybody log in and answers the rest by `routes`; a client of it.
pub(crate) async fn provider(routes: Router) -> Client {
    let granted = || async { Json(json!({"access_token": "a", "expires_in": 3_600, "refresh_token": "next"})) };
    serve(routes.route("/restapi/oauth/token", post(granted))).await
}

/// A provider of these routes only; a client of it.
pub(crate) async fn serve(routes: Router) -> Client {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    client(&url)
}

pub(crate) fn client(url: &str) -> Client {
    install_crypto();
    let server = ServerUrl::try_new(url).unwrap();
    let (app, secret) = (ClientId::try_new("id").unwrap(), ClientSecret::try_new("secret").unwrap());
    Client::new(ClientConfig::new(server, app, secret)).unwrap()
}

/// The numbers that texts went to.
pub(crate) type Taken = Arc<Mutex<Vec<String>>>;

/// For a provider that takes every text.
pub(crate) fn takes_texts() -> (Router, Taken) {
    let taken = Taken::default();
    let all = taken.clone();
    let take = move |Json(sms): Json<Value>| {
        let to = sms["to"][0]["phoneNumber"].as_str().unwrap_or_default().to_owned();
        let mut all = all.lock().unwrap();
        all.push(to);
        let id = 1_000 + all.len();
        async move { Json(json!({"id": id, "messageStatus": "Queued"})) }
    };
    (Router::new().route("/restapi/v1.0/account/~/extension/~/sms", post(take)), taken)
}

pub(crate) fn vault(store: SharedStore) -> Vault {
    Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main")
}

pub(crate) fn credential(extension: &str) -> Credential {
    let login = Login::Jwt(Jwt::try_new(&format!("jwt-of-{extension}")).unwrap());
    let (source, facts) = (Source::File, Facts::default());
    let extension = ExtensionId::try_new(extension).unwrap();
    Credential { extension, login, prefer: 10, enabled: true, source, facts }
}

pub(crate) fn sessions(vault: Vault, client: Client, credential: Credential) -> Arc<Sessions> {
    let roster = Roster::fixed([credential]);
    Arc::new(Sessions::new(vault, roster, client, WorkerId::incarnation("this one"), LEASE))
}

/// One with one hand, without the loops that claim and keep.
pub(crate) struct Worker {
    pub(crate) sender: Sender,
    pub(crate) journal: Arc<Journal>,
    pub(crate) in_hand: InHand,
    pub(crate) hands: Arc<Semaphore>,
}

impl Worker {
    /// With the loop that makes its reports.
    pub(crate) fn new(store: &SharedStore, client: Client) -> (Self, BoxFuture<'static, ()>) {
        let (journal, vault) = (Arc::new(Journal::in_memory(1)), vault(store.clone()));
        let (settler, settling) = settler(store.clone(), journal.clone(), Arc::default(), Duration::MAX);
        let sender = Sender {
            register: Register::new(&vault),
            sessions: sessions(vault, client.clone(), credential(EXTENSION)),
            client,
            directory: Directory::fixed(Claims::default()),
            begin: begin_batches(store, &journal, LEASE, &Loops::new(&CancellationToken::new()).0),
            settler,
            places: vec![Semaphore::new(1)],
            journal: journal.clone(),
            lease: LEASE,
            max_attempts: 5,
            quiet_hours: None,
            breaker: Arc::default(),
            stop: CancellationToken::new(),
        };
        let hands = Arc::new(Semaphore::new(1));
        (Self { sender, journal, in_hand: InHand::default(), hands }, settling.boxed())
    }

    pub(crate) fn takes(&self, lease: Lease) -> Work {
        let hand = self.hands.clone().try_acquire_owned().unwrap();
        Work { _hold: self.in_hand.hold(lease.reference()), lease, hand }
    }
}
