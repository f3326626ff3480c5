//! What a worker tells a store that was restarted.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use ringcentral::{ExtensionId, Read, RefreshToken};
use ringfleet_identity::{Credential, KeptAlive, Login, Reader, Sessions};
use ringfleet_store::{
    Begin, Group, Incarnation, LaneId, MessageId, OnUnknown, RedisStore, SharedStore, State, StoreError, WorkerId,
    redis::RedisOptions,
};
use ringfleet_testkit::{RedisServer, eventually};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::rig::{
    EXTENSION, LEASE, NOBODY, PATIENCE, Worker, claimed, client, credential, lane, mend, options, provider, redis,
    sessions, spoil, state, text, vault,
};
use crate::{
    journal::{Journal, Whose},
    watcher::Watcher,
};

fn server() -> RedisServer {
    RedisServer::builder().append_only().start()
}

fn no_connections(store: &SharedStore) -> Arc<Sessions> {
    sessions(vault(store.clone()), client(NOBODY), credential(EXTENSION))
}

async fn watcher(store: &SharedStore, sessions: Arc<Sessions>) -> (Watcher, Arc<Journal>) {
    let (journal, worker) = (Arc::new(Journal::in_memory(1)), WorkerId::incarnation("w"));
    let known = store.watch(&worker, Incarnation::default()).await.unwrap();
    (Watcher::new(store.clone(), journal.clone(), sessions, LEASE, worker, known), journal)
}

/// Notices restarts from now on, as long as the test lasts.
async fn watches(store: &SharedStore, sessions: Arc<Sessions>) -> Arc<Journal> {
    let (watcher, journal) = watcher(store, sessions).await;
    tokio::spawn(watcher.watch(CancellationToken::new()));
    journal
}

/// A text to this number is under way.
async fn begins(store: &SharedStore, journal: &Journal, to: u32) -> MessageId {
    let lease = claimed(store, text(EXTENSION, to, OnUnknown::Reconcile)).await;
    let intent = lease.reference().into();
    journal.begin(&[(intent, lease.lane.clone())]).await;
    assert_eq!(store.begin_send(&[intent], LEASE).await.unwrap(), [Begin::Go]);
    lease.id
}

/// The store has learnt that it may have been sent; nobody else takes it for that here.
async fn is_told(store: &SharedStore, id: MessageId) {
    eventually(PATIENCE, async || state(store, &id).await == Some(State::Unknown)).await;
}

#[tokio::test]
async fn the_store_is_told_of_the_sends_under_way_after_each_of_its_restarts() {
    let mut server = server();
    let store = redis(&server).await;
    let journal = watches(&store, no_connections(&store)).await;
    for to in 1..=2 {
        let id = begins(&store, &journal, to).await;
        server.restart();
        is_told(&store, id).await;
    }
}

/// The store has lost its outcome, and then its intent too.
#[tokio::test]
async fn a_request_that_was_refused_in_the_lost_moment_counts_and_its_message_waits() {
    for lost in 1..=2 {
        let mut server = server();
        let store = redis(&server).await;
        let refuse = async || (StatusCode::FORBIDDEN, Json(json!({"errorCode": "CMN-408", "message": "no right"})));
        let routes = Router::new().route("/restapi/v1.0/account/~/extension/~/sms", post(refuse));
        let (worker, settling) = Worker::new(&store, provider(routes).await);
        tokio::spawn(settling);
        let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Hold)).await;
        let (id, lane) = (lease.id, lease.lane.clone());
        worker.sender.process(worker.takes(lease)).await;
        assert_eq!(store.lane(&lane).await.unwrap().parked.as_deref(), Some("CMN-408"));

        server.forget_last_commands(lost);
        server.restart();
        eventually(PATIENCE, async || store.ping().await.is_ok()).await;
        let before = [State::Sending, State::Claimed][lost - 1];
        assert_eq!((state(&store, &id).await, store.lane(&lane).await.unwrap().parked), (Some(before), None));
        worker.journal.reassert(&store, LEASE, Whose::All).await.unwrap();
        assert_eq!(state(&store, &id).await, Some(State::Ready));
        let view = store.lane(&lane).await.unwrap();
        assert_eq!((view.in_flight, view.slots_in_use), (0, 1), "{lost}");
    }
}

#[tokio::test]
async fn a_worker_that_could_not_tell_its_sends_tells_them_later() {
    let mut server = server();
    let store = redis(&server).await;
    let journal = watches(&store, no_connections(&store)).await;
    let id = begins(&store, &journal, 1).await;
    let unknown = format!("u:{}", lane(EXTENSION));
    spoil(&server, &unknown);
    let recorder = PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    server.restart();
    let failed = || recorder.handle().render().contains(r#"ringfleet_store_errors_total{call="reassert""#);
    eventually(PATIENCE, async || failed()).await;
    mend(&server, &unknown);
    is_told(&store, id).await;
}

#[tokio::test]
async fn logins_and_reads_of_a_lost_moment_count_in_their_windows() {
    let mut server = server();
    let store = redis(&server).await;
    let read = get(async || Json(json!({"id": 101})));
    let client = provider(Router::new().route("/restapi/v1.0/account/~/extension/~", read)).await;
    let sessions = sessions(vault(store.clone()), client, credential(EXTENSION));
    watches(&store, sessions.clone()).await;
    let before = server.append_only_bytes();
    let extension = ExtensionId::try_new(EXTENSION).unwrap();
    let read = Read::extension(ringcentral::Whose::Own);
    Reader::new(sessions).read(&extension, &read, PATIENCE).await.map(drop).unwrap();
    let lanes = [Group::Auth, Group::Light].map(|group| LaneId::try_new("main", EXTENSION, group).unwrap());
    let slots = async || {
        let views = [store.lane(&lanes[0]).await, store.lane(&lanes[1]).await];
        views.map(|view| view.map_or(9, |view| view.slots_in_use))
    };
    assert_eq!(slots().await, [1, 1]);

    server.truncate_tail(server.append_only_bytes() - before);
    server.restart();
    eventually(PATIENCE, async || slots().await == [1, 1]).await;
}

/// Refreshed once, in that store.
async fn a_connection(store: &SharedStore) -> Arc<Sessions> {
    let vault = vault(store.clone());
    let connection = Credential { login: connection("first"), ..credential(EXTENSION) };
    vault.put(&connection).await.unwrap();
    let extension = connection.extension.clone();
    let sessions = sessions(vault, provider(Router::new()).await, connection);
    assert_eq!(sessions.keep_alive(&extension).await.unwrap(), KeptAlive::Refreshed);
    sessions
}

fn connection(refresh: &str) -> Login {
    Login::Code { connection: "c".to_owned(), refresh: RefreshToken::try_new(refresh).unwrap() }
}

#[tokio::test]
async fn sends_are_told_although_a_connection_can_not_be() {
    let mut server = server();
    let store = redis(&server).await;
    let sessions = a_connection(&store).await;
    let journal = watches(&store, sessions.clone()).await;
    let id = begins(&store, &journal, 1).await;
    spoil(&server, "doc:credential");
    sessions.tell_connections_anew();
    assert!(sessions.reassert_connections().await.is_err());
    server.restart();
    is_told(&store, id).await;
}

/// The connection lives in a store of its own here, so that only that can be frozen.
#[tokio::test]
async fn sends_are_told_before_connections_and_those_hold_nothing_up_for_long() {
    let (mut server, mut elsewhere) = (server(), RedisServer::start());
    let store = redis(&server).await;
    let options = RedisOptions { response_timeout: 10 * PATIENCE, ..options(&elsewhere) };
    let sessions = a_connection(&(Arc::new(RedisStore::connect(options).await.unwrap()) as SharedStore)).await;
    let (mut watcher, journal) = watcher(&store, sessions).await;
    let id = begins(&store, &journal, 1).await;
    server.restart();
    elsewhere.freeze();
    let mut seen = None;
    eventually(PATIENCE, async || {
        seen = store.watch(&WorkerId::incarnation("another"), Incarnation::default()).await.ok();
        seen.is_some()
    })
    .await;
    let telling = watcher.tell(seen.unwrap());
    tokio::pin!(telling);
    tokio::select! {
        _ = &mut telling => panic!("a connection was waited for before"),
        () = is_told(&store, id) => {}
    }
    let told = tokio::time::timeout(PATIENCE, telling).await.unwrap();
    assert!(!told, "it has not told all");
}

#[tokio::test]
async fn a_worker_that_goes_before_it_has_noticed_a_restart_tells_its_sends_first() {
    let mut server = server();
    let store = redis(&server).await;
    let (watcher, journal) = watcher(&store, no_connections(&store)).await;
    let id = begins(&store, &journal, 1).await;
    server.restart();
    tokio::time::timeout(PATIENCE, watcher.leave()).await.unwrap().unwrap();
    assert_eq!(state(&store, &id).await, Some(State::Unknown), "it may have been sent");
}

#[tokio::test]
async fn a_worker_that_goes_says_that_its_store_is_another_one() {
    let server = server();
    let store = redis(&server).await;
    let (watcher, _) = watcher(&store, no_connections(&store)).await;
    assert_eq!(server.ask(&["FLUSHALL"]).as_deref(), Some("+OK\r\n"));
    let left = tokio::time::timeout(PATIENCE, watcher.leave()).await.unwrap();
    assert!(matches!(left, Err(StoreError::Replaced { .. })), "{left:?}");
}
