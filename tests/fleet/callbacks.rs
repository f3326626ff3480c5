//! What becomes of messages is told to their producer's endpoint, whatever happens to it and to those who tell.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::hmac;
use ringfleet_testkit::{Port, eventually};
use serde_json::Value;
use tokio::sync::watch;

use crate::rig::{Ends, Except, Rig, RigOptions, Running, http};

const EXTENSIONS: usize = 8;
const SHARDS: u16 = 3;
const EACH: usize = 8;
const SECRET: &str = "hk5OHBsYvGlnVjPZIhXcbS8yN0c1r4Yk8Q2xMZKqWm0=";
/// A turn of one that was killed is over after 15 s, and the others look every 5 s.
const TAKEN_OVER: Duration = Duration::from_secs(120);

/// What the endpoint does with a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Takes,
    Refuses,
    /// No answer comes, until it is in another mood; then it has not taken it.
    Hangs,
}

/// A producer's endpoint.
struct Endpoint {
    port: Port,
    mood: watch::Sender<Mood>,
    came: Mutex<Came>,
}

#[derive(Default)]
struct Came {
    refused: usize,
    hanging: usize,
    /// In their order.
    taken: Vec<Value>,
    /// What each id stood for.
    by_id: BTreeMap<String, String>,
}

impl Endpoint {
    async fn start(rig: &Rig) -> Arc<Self> {
        std::fs::write(rig.path("callbacks"), format!("# the shop's\nwhsec_{SECRET}\n")).unwrap();
        rig.keep_secret([SECRET]);
        let (mood, _) = watch::channel(Mood::Takes);
        let endpoint = Arc::new(Self { port: Port::hold(), mood, came: Mutex::default() });
        let app = Router::new().route("/callbacks", post(take)).with_state(endpoint.clone());
        let listener = tokio::net::TcpListener::bind(endpoint.port.address()).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        endpoint
    }

    /// An API whose callbacks come here.
    fn api(&self, rig: &Rig, listen: &Port, metrics: &Port) -> Running {
        let url = format!("http://{}/callbacks", self.port.address());
        rig.spawn(
            &["api"],
            &[
                ("RINGFLEET__API__LISTEN", &listen.address()),
                ("RINGFLEET__METRICS__LISTEN", &metrics.address()),
                ("RINGFLEET__CALLBACKS__URL", &url),
                ("RINGFLEET__CALLBACKS__SECRET_FILE", rig.path("callbacks").to_str().unwrap()),
            ],
        )
    }

    fn came(&self) -> MutexGuard<'_, Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last state in which each message was told.
    fn told(&self) -> BTreeMap<String, String> {
        let word = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
        self.came().taken.iter().map(|message| (word(message, "id"), word(message, "status"))).collect()
    }
}

async fn take(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let id = header("webhook-id");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET).unwrap());
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let signed = format!("{id}.{}.{body}", header("webhook-timestamp"));
    if hmac::verify(&key, signed.as_bytes(), &signature).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let mut mood = endpoint.mood.subscribe();
    let met = *mood.borrow_and_update();
    match met {
        Mood::Takes => {
            let whole: Value = serde_json::from_str(&body).unwrap();
            let mut came = endpoint.came();
            assert_eq!(came.by_id.insert(id, body.clone()).unwrap_or(body.clone()), body, "another under the same id");
            came.taken.extend(whole["data"]["messages"].as_array().unwrap().iter().cloned());
            return StatusCode::NO_CONTENT;
        }
        Mood::Refuses => endpoint.came().refused += 1,
        Mood::Hangs => {
            endpoint.came().hanging += 1;
            let _ = mood.changed().await;
        }
    }
    endpoint.came().by_id.insert(id, body);
    StatusCode::SERVICE_UNAVAILABLE
}

/// As `callbacks status` tells it.
fn standing(rig: &Rig) -> Vec<Value> {
    let told = rig.run(&["callbacks", "status", "--json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
    told["shards"].as_array().cloned().unwrap_or_default()
}

async fn until_begun(rig: &Rig) {
    let begun = async || standing(rig).iter().filter(|shard| shard["told_to"].is_string()).count() == SHARDS as usize;
    eventually(TAKEN_OVER, begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_is_told_in_its_order_although_the_endpoint_refuses_and_an_api_is_killed_in_the_midst() {
    let mut rig = Rig::start(RigOptions::new(EXTENSIONS as u32, Duration::from_secs(2)).on_a_cluster(SHARDS)).await;
    let endpoint = Endpoint::start(&rig).await;
    let ports = [(); 4].map(|()| Port::hold());
    let mut first = endpoint.api(&rig, &ports[0], &ports[1]);
    until_begun(&rig).await;

    endpoint.mood.send_replace(Mood::Refuses);
    let mut ids = Vec::new();
    for extension in 0..EXTENSIONS {
        ids.extend(rig.enqueue_named(extension, EACH, None, "reminder").await);
    }
    let tomorrow = (Timestamp::now() + Duration::from_secs(86_400)).to_string();
    let taken_back = rig.enqueue_named(0, 5, Some(tomorrow), "taken back").await;
    rig.start_workers(1);
    for id in &taken_back {
        rig.store.cancel(id).await.unwrap();
    }
    let all = (EXTENSIONS * EACH + taken_back.len()) as u64;
    rig.until_ended(all, Duration::from_secs(40)).await;
    eventually(TAKEN_OVER, async || endpoint.came().refused >= SHARDS as usize).await;
    let failing =
        |shard: &&Value| shard["failing"]["why"] == "answered with 503" && shard["behind_s"].as_f64() > Some(0.0);
    eventually(TAKEN_OVER, async || standing(&rig).iter().filter(failing).count() == SHARDS as usize).await;

    // All turns are the first one's, and some callbacks under way, when it is killed.
    endpoint.mood.send_replace(Mood::Hangs);
    eventually(TAKEN_OVER, async || endpoint.came().hanging > 0).await;
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let second = endpoint.api(&rig, &ports[2], &ports[3]);
    endpoint.mood.send_replace(Mood::Takes);
    ids.extend(taken_back);
    let mut expected = BTreeMap::new();
    for id in &ids {
        expected.insert(id.to_string(), rig.store.get(id).await.unwrap().unwrap().state.as_str().to_owned());
    }
    eventually(TAKEN_OVER, async || endpoint.told() == expected).await;

    // An extension lives on one shard, whose changes are told in their order.
    let mut by_extension: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for message in &endpoint.came().taken {
        let word = |name: &str| message[name].as_str().unwrap().to_owned();
        by_extension.entry(word("extension")).or_default().push(word("finished_at").parse().unwrap());
    }
    assert_eq!(by_extension.len(), EXTENSIONS);
    for (extension, times) in by_extension {
        assert!(times.is_sorted(), "{extension}: {times:?}");
    }
    eventually(TAKEN_OVER, async || standing(&rig).iter().all(|shard| shard["failing"].is_null())).await;
    let page = format!("http://{}/metrics", ports[3].address());
    let shown = async || {
        let page = http().get(&page).send().await.unwrap().text().await.unwrap();
        page.contains("\nringfleet_callbacks_total{result=\"taken\"}")
            && page.contains("\nringfleet_callbacks_behind_seconds 0\n")
    };
    eventually(TAKEN_OVER, shown).await;

    // Told once more, by somebody's wish.
    let before = endpoint.came().taken.len();
    let replayed = rig.run(&["callbacks", "replay", "--since", "1h", "--json"]);
    let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(replayed["again_at_most"], all, "{replayed}");
    eventually(TAKEN_OVER, async || endpoint.came().taken.len() >= before + all as usize).await;
    assert_eq!(endpoint.told(), expected);
    assert!(second.end().success());
    rig.finish(Ends::all().except(Except::NotSent { at_most: 5 }, "they are taken back")).await;
}
