//! Deliverers over a real store whose clock the test moves, and a real endpoint.

mod cut;
mod turns;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::post,
};
use futures::future::BoxFuture;
use ringfleet_store::{
    Cancelled, ChangeCursor, Changes, Clock, Group, LaneId, LaneRules, MessageId, NewMessage, OnUnknown, Private,
    SharedStore,
    sqlite::{SqliteOptions, SqliteStore},
};
use serde_json::Value;

use super::{deliver::Turn, *};

const START: i64 = 1_795_000_000_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One POST as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Came {
    id: String,
    body: String,
}

impl Came {
    fn messages(&self) -> Vec<String> {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["type"], "messages.changed");
        body["data"]["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
    }
}

type Meanwhile = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What it answers next, and what came. Where nothing is set it answers 204.
#[derive(Default)]
struct Receiver {
    answers: Mutex<Vec<(u16, &'static str)>>,
    came: Mutex<Vec<Came>>,
    /// Done while the sender waits for its answer.
    meanwhile: Mutex<Option<Meanwhile>>,
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, timestamp) = (text("webhook-id"), text("webhook-timestamp").parse().unwrap());
    let signed = SigningSecrets::read(SECRET).unwrap().sign(&id, timestamp, &body);
    assert_eq!((text("webhook-signature"), text("content-type")), (signed, "application/json".to_owned()));
    receiver.came.lock().unwrap().push(Came { id, body });
    let meanwhile = receiver.meanwhile.lock().unwrap().take();
    if let Some(meanwhile) = meanwhile {
        meanwhile().await;
    }
    let mut answers = receiver.answers.lock().unwrap();
    let (status, more) = if answers.is_empty() { (204, "") } else { answers.remove(0) };
    let name = if status == 503 { header::RETRY_AFTER } else { header::LOCATION };
    (StatusCode::from_u16(status).unwrap(), [(name, more)])
}

fn endpoint_at(address: &str) -> Endpoint {
    let url = CallbackUrl::try_new(address).unwrap();
    Endpoint::new(url, SigningSecrets::read(SECRET).unwrap()).unwrap()
}

struct Rig {
    store: SharedStore,
    hand: Arc<AtomicI64>,
    receiver: Arc<Receiver>,
    endpoint: Endpoint,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        ringcentral::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::by_hand(START);
        let options = SqliteOptions { clock, rules: LaneRules::documented(), ..SqliteOptions::default() };
        let store: SharedStore =
            Arc::new(SqliteStore::open(&folder.path().join("messages.db"), options).await.unwrap());
        let receiver = Arc::new(Receiver::default());
        let app = Router::new().route("/callbacks", post(take)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint_at(&format!("http://{}/callbacks", listener.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { store, hand, receiver, endpoint, _folder: folder }
    }

    /// A process that has begun.
    async fn process(&self) -> Callbacks {
        self.process_of(self.endpoint.clone()).await
    }

    /// One that tells another endpoint.
    async fn process_of(&self, endpoint: Endpoint) -> Callbacks {
        let process = Callbacks::new(self.store.clone(), endpoint);
        process.look().await;
        process
    }

    fn pass(&self, ms: i64) {
        self.hand.fetch_add(ms, Ordering::SeqCst);
    }

    /// A message that has ended.
    async fn end_one(&self) -> String {
        let new = NewMessage {
            lane: LaneId::try_new("main", "101", Group::Medium).unwrap(),
            key: None,
            from: Private::new("+15550100001"),
            to: Private::new("+15550200002"),
            text: Private::new("canary"),
            priority: Default::default(),
            on_unknown: OnUnknown::Hold,
            send_at: None,
            send_by: None,
        };
        let ringfleet_store::Enqueued::Accepted(id) = self.store.enqueue(&[new]).await.unwrap()[0] else {
            panic!("not accepted")
        };
        assert_eq!(self.store.cancel(&id).await.unwrap(), Cancelled::Done);
        self.pass(1);
        MessageId::to_string(&id)
    }

    fn answers(&self, answers: &[(u16, &'static str)]) {
        self.receiver.answers.lock().unwrap().extend(answers);
    }

    /// What came since the last time.
    fn came(&self) -> Vec<Came> {
        std::mem::take(&mut self.receiver.came.lock().unwrap())
    }
}

impl Callbacks {
    async fn look(&self) {
        self.step(0, &record::key_of(&*self.store, 0)).await.unwrap();
    }
}

#[tokio::test]
async fn what_ends_after_callbacks_began_is_told_in_its_order_and_without_what_is_private() {
    let rig = Rig::start().await;
    rig.end_one().await;
    rig.pass(3_000);
    let process = rig.process().await;
    rig.pass(3_000);
    let ids = [rig.end_one().await, rig.end_one().await];
    process.look().await;
    assert_eq!(rig.came(), [], "not before it is certain that nothing comes before them");
    rig.pass(3_000);
    process.look().await;
    let came = rig.came();
    assert_eq!(came.iter().map(Came::messages).collect::<Vec<_>>(), [ids]);
    assert!(!came[0].body.contains("canary") && !came[0].body.contains("5550200002"), "{}", came[0].body);
    process.look().await;
    assert_eq!(rig.came(), []);
}

#[tokio::test]
async fn what_was_not_taken_is_told_again_as_the_same_before_anything_else() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    let first = rig.end_one().await;
    rig.pass(3_000);
    rig.answers(&[(503, "30"), (500, ""), (307, "/callbacks")]);
    process.look().await;
    let refused = rig.came();
    assert_eq!(refused.iter().map(Came::messages).collect::<Vec<_>>(), [[first]]);
    let second = rig.end_one().await;
    rig.pass(29_990);
    process.look().await;
    assert_eq!(rig.came(), [], "as long as the endpoint has asked for");
    let standing = super::standing(&*rig.store, 0).await.unwrap();
    assert_eq!((standing.behind.as_secs(), standing.failing.unwrap().why.as_str()), (32, "answered with 503"));
    // Another process does the same, once the turn is over.
    let other = rig.process().await;
    for _ in 0..3 {
        rig.pass(70_000);
        other.look().await;
        assert_eq!(rig.came(), refused);
    }
    assert_eq!(super::standing(&*rig.store, 0).await.unwrap().failing, None);
    other.look().await;
    assert_eq!(rig.came().iter().map(Came::messages).collect::<Vec<_>>(), [[second]]);
}

#[tokio::test]
async fn going_back_counts_also_while_a_callback_is_under_way() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    let before = rig.hand.load(Ordering::SeqCst);
    let first = rig.end_one().await;
    rig.pass(3_000);
    process.look().await;
    let second = rig.end_one().await;
    rig.pass(3_000);
    let (store, replayed) = (rig.store.clone(), Arc::new(Mutex::new(None)));
    let noted = replayed.clone();
    *rig.receiver.meanwhile.lock().unwrap() = Some(Box::new(move || {
        let (store, noted) = (store.clone(), noted.clone());
        Box::pin(async move { *noted.lock().unwrap() = replay(&*store, 0, Since::At(before)).await.unwrap() })
    }));
    process.look().await;
    assert_eq!(*replayed.lock().unwrap(), Some(Replayed { from: before, again: 1, more: false }));
    process.look().await;
    let came: Vec<_> = rig.came().iter().map(Came::messages).collect();
    assert_eq!(came, [vec![first.clone()], vec![second.clone()], vec![first, second]]);
    let ahead = rig.hand.load(Ordering::SeqCst);
    assert_eq!(replay(&*rig.store, 0, Since::At(ahead)).await.unwrap(), None, "it is not told so far yet");
}

#[tokio::test]
async fn more_than_one_callback_holds_is_told_in_several() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    let mut ids = Vec::new();
    for _ in 0..230 {
        ids.push(rig.end_one().await);
    }
    rig.pass(3_000);
    for _ in 0..4 {
        process.look().await;
    }
    let came: Vec<_> = rig.came().iter().map(Came::messages).collect();
    assert_eq!(came.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 30]);
    assert_eq!(came.concat(), ids);
}

#[tokio::test]
async fn what_is_told_once_more_has_other_ids_than_before() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    let before = rig.hand.load(Ordering::SeqCst);
    rig.end_one().await;
    let mut came = Vec::new();
    for _ in 0..3 {
        rig.pass(3_000);
        process.look().await;
        replay(&*rig.store, 0, Since::At(before)).await.unwrap().unwrap();
        came.extend(rig.came());
    }
    // The first began elsewhere, the other two at the same place.
    assert!(came.len() == 3 && came[1].id != came[2].id && came[1].body == came[2].body, "{came:?}");
}

#[tokio::test]
async fn an_endpoint_that_was_told_nothing_is_not_said_to_be_back() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    rig.end_one().await;
    rig.pass(3_000);
    rig.answers(&[(500, "")]);
    process.look().await;
    rig.pass(70_000);
    // All that was tried can't be read any more.
    let key = record::key_of(&*rig.store, 0);
    let (rev, record) = record::read(&*rig.store, &key).await.unwrap().unwrap();
    let (now, tried) = (rig.hand.load(Ordering::SeqCst), record.failing.as_ref().unwrap().to.unwrap());
    let next = ChangeCursor::before(now - 10_000);
    let read = Changes { changes: Vec::new(), next, more: false, now };
    process.tell(0, &key, Turn { rev, record }, read, Instant::now()).await.unwrap();
    assert_eq!(rig.came().len(), 1);
    let (_, record) = record::read(&*rig.store, &key).await.unwrap().unwrap();
    let failing = record.failing.unwrap();
    assert_eq!((record.cursor, failing.tries, failing.to), (tried, 1, None));
    rig.end_one().await;
    rig.pass(3_000);
    process.look().await;
    assert_eq!(super::standing(&*rig.store, 0).await.unwrap().failing, None);
}

#[tokio::test]
async fn how_far_a_shard_is_behind_is_shown_without_a_store_by_whom_the_turn_belongs_to_alone() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    rig.end_one().await;
    rig.pass(4_000);
    rig.answers(&[(500, "")]);
    process.look().await;
    let shown = || {
        process.hide_behind_of_others(0);
        process.behind.lock().unwrap()[0].as_secs()
    };
    assert_eq!(shown(), 4);
    // Its turn is over before it tries again.
    let key = record::key_of(&*rig.store, 0);
    process.release(&key).await.unwrap();
    let (rev, mut record) = record::read(&*rig.store, &key).await.unwrap().unwrap();
    record.failing.as_mut().unwrap().again_at += 60_000;
    record::write(&*rig.store, &key, ringfleet_store::Expect::Rev(rev), &record).await.unwrap().unwrap();
    process.look().await;
    assert_eq!(shown(), 0);
}

#[tokio::test]
async fn a_test_is_signed_and_its_answer_told() {
    let rig = Rig::start().await;
    rig.answers(&[(204, ""), (401, "")]);
    assert_eq!(rig.endpoint.test().await, Answer::Taken(204));
    assert_eq!(rig.endpoint.test().await, Answer::Refused { status: 401, retry_after: None });
    let came = rig.came();
    assert!(came[0].id != came[1].id && came[0].body.contains(r#""type":"test""#), "{came:?}");
    let nobody = endpoint_at("http://127.0.0.1:9/canary").test().await;
    assert!(
        matches!(&nobody, Answer::NotReached { why, connected: false } if why.contains("refused") && !why.contains("canary")),
        "{nobody:?}"
    );
}
