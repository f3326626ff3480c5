//! Opt-outs over the API: a real socket, a real store.

use std::{sync::atomic::Ordering, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode};
use ringcentral::PhoneNumber;
use ringfleet_store::{Begin, ClaimRequest, OptOut, Private, SharedStore, Store, WorkerId};
use serde_json::{Value, json};

use super::{
    FROM, TO,
    api::{Server, read},
    fake::FakeStore,
    moved, producer, producer_of,
    senders::a_number_taken_for_an_id,
    sqlite,
};
use crate::opt_out::{Whose, standing};

const PATH: &str = "/v1/opt-outs";

struct Fleet {
    store: SharedStore,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let (folder, store) = sqlite().await;
        let server = Server::of(producer(store.clone()), store.clone()).await;
        Self { store, server, _folder: folder }
    }

    fn put(&self, body: &Value) -> RequestBuilder {
        self.server.call(Method::PUT, PATH).json(body)
    }

    async fn enter(&self, body: Value) {
        assert_eq!(read(self.put(&body)).await, (StatusCode::OK, json!({"status": "opted-out"})), "{body}");
    }

    async fn lift(&self, body: Value) -> Value {
        let (status, answer) = read(self.server.call(Method::DELETE, PATH).json(&body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    async fn standing(&self) -> Vec<Value> {
        let (status, answer) = read(self.server.call(Method::GET, PATH).query(&[("to", TO)])).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["opt_outs"].as_array().unwrap().clone()
    }

    /// Hands a text to `TO` in, and gives where it is found.
    async fn text(&self, from: &str, text: &str) -> String {
        let (status, answer) = read(self.server.post(&json!({"from": from, "to": TO, "text": text}))).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        format!("/v1/messages/{}", answer["id"].as_str().unwrap())
    }

    async fn state(&self, message: &str) -> String {
        read(self.server.call(Method::GET, message)).await.1["status"].as_str().unwrap().to_owned()
    }

    /// What the store says to workers who are about to send all that waits.
    async fn begun(&self) -> Vec<Begin> {
        let (worker, lease) = (WorkerId::incarnation("test"), Duration::from_secs(30));
        let claim = self.store.claim(ClaimRequest { worker: &worker, free_slots: 9, lease }).await.unwrap();
        let intents: Vec<_> = claim.leases.iter().map(|lease| lease.reference().into()).collect();
        self.store.begin_send(&intents, lease).await.unwrap()
    }
}

#[tokio::test]
async fn an_opt_out_over_the_api_stops_what_waits_and_what_comes_until_it_is_lifted() {
    let fleet = Fleet::start().await;
    let before = fleet.text(FROM, "handed in before").await;
    for _ in 0..2 {
        fleet.enter(json!({"to": TO})).await;
    }
    let after = fleet.text("102", "handed in after").await;
    assert_eq!(fleet.state(&after).await, "suppressed");
    assert_eq!(fleet.begun().await, [Begin::Suppressed]);
    assert_eq!(fleet.state(&before).await, "suppressed");
    let standing = fleet.standing().await;
    assert_eq!((standing.len(), &standing[0]["from"], &standing[0]["extension_id"]), (1, &Value::Null, &Value::Null));
    assert!(standing[0]["since"].as_str().unwrap().ends_with('Z'), "{standing:?}");

    assert_eq!(fleet.lift(json!({"to": TO})).await, json!({"status": "lifted", "opt_outs": []}));
    assert_eq!(fleet.lift(json!({"to": TO})).await, json!({"status": "none", "opt_outs": []}));
    let later = fleet.text(FROM, "wanted again").await;
    assert_eq!(fleet.begun().await, [Begin::Go]);
    assert_eq!((fleet.state(&later).await, fleet.state(&before).await), ("sending".into(), "suppressed".into()));
}

#[tokio::test]
async fn an_opt_out_reaches_as_far_as_from_says_and_one_that_is_lifted_leaves_the_others() {
    let fleet = Fleet::start().await;
    fleet.enter(json!({"to": TO, "from": FROM})).await;
    fleet.enter(json!({"to": TO, "from": "201"})).await;
    for (from, state) in [(FROM, "suppressed"), ("102", "ready"), ("+15550100901", "suppressed")] {
        let message = fleet.text(from, "x").await;
        assert_eq!(fleet.state(&message).await, state, "{from}");
    }
    let standing = fleet.standing().await;
    let told: Vec<_> = standing.iter().map(|one| (one["from"].as_str(), one["extension_id"].as_str())).collect();
    assert_eq!(told, [(Some(FROM), None), (None, Some("201"))]);

    // A wider and a narrower name lift none of them, and tell what goes on.
    for other in [json!({"to": TO}), json!({"to": TO, "from": "101"}), json!({"to": TO, "from": "+15550100901"})] {
        let answer = fleet.lift(other.clone()).await;
        assert_eq!((&answer["status"], &answer["opt_outs"]), (&json!("none"), &json!(standing)), "{other}");
    }
    let answer = fleet.lift(json!({"to": TO, "from": FROM})).await;
    assert_eq!((&answer["status"], &answer["opt_outs"]), (&json!("lifted"), &json!([standing[1]])));
    assert_eq!(fleet.state(&fleet.text(FROM, "y").await).await, "ready");
}

#[tokio::test]
async fn an_opt_out_from_a_number_goes_with_it_to_another_extension_and_is_lifted_there_with_a_stop_to_the_first() {
    let fleet = Fleet::start().await;
    fleet.enter(json!({"to": TO, "from": FROM})).await;
    let heard = OptOut { from: Private::new(FROM), to: Private::new(TO), out: true };
    fleet.store.set_opt_outs(Some("101"), &[heard]).await.unwrap();
    // Of an extension that is gone.
    let gone = OptOut { from: Private::new("*"), to: Private::new(TO), out: true };
    fleet.store.set_opt_outs(Some("999"), &[gone]).await.unwrap();
    let server = Server::of(producer_of(fleet.store.clone(), moved()), fleet.store.clone()).await;
    let (status, answer) = read(server.post(&json!({"from": FROM, "to": TO, "text": "x"}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(fleet.state(&format!("/v1/messages/{}", answer["id"].as_str().unwrap())).await, "suppressed");
    for from in [FROM, "999"] {
        let lift = server.call(Method::DELETE, PATH).json(&json!({"to": TO, "from": from}));
        assert_eq!(read(lift).await.1["status"], "lifted", "{from}");
    }
    assert!(fleet.standing().await.is_empty());
}

#[tokio::test]
async fn an_opt_out_that_did_not_reach_all_shards_is_handed_to_them_again_whatever_is_listed() {
    let store = FakeStore::with_faults([]);
    let to = [PhoneNumber::try_new(TO).unwrap()];
    let counts = async || store.opted_out("101", &Private::new(FROM), &Private::new(TO)).await.unwrap();
    let listed = async || standing(&*store, None).await.unwrap().len();
    let second_away = |away| store.second_shard_away.store(away, Ordering::SeqCst);

    second_away(true);
    assert!(Whose::Everyones.note(&*store, &to).await.is_err());
    assert_eq!((listed().await, counts().await), (1, false));
    second_away(false);
    Whose::Everyones.note(&*store, &to).await.unwrap();
    assert!(counts().await);

    second_away(true);
    assert!(Whose::Everyones.lift(&*store, &to[0]).await.is_err());
    assert_eq!((listed().await, counts().await), (0, true));
    second_away(false);
    Whose::Everyones.lift(&*store, &to[0]).await.unwrap();
    assert!(!counts().await);
}

#[tokio::test]
async fn an_opt_out_of_a_number_with_a_digit_too_few_is_not_entered_and_one_from_before_is_found_and_lifted() {
    let fleet = Fleet::start().await;
    let short = "+1555020001";
    let (status, problem) = read(fleet.put(&json!({"to": short}))).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("not-e164")));
    assert!(
        problem.to_string().contains("a number of +1 has 11") && !problem.to_string().contains("5020"),
        "{problem}"
    );

    let before = OptOut { from: Private::new("*"), to: Private::new(short), out: true };
    fleet.store.set_opt_outs(None, &[before]).await.unwrap();
    let (_, found) = read(fleet.server.call(Method::GET, PATH).query(&[("to", short)])).await;
    assert_eq!(found["opt_outs"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(fleet.lift(json!({"to": short})).await["status"], "lifted");
}

#[tokio::test]
async fn an_opt_out_is_not_entered_for_an_id_that_is_another_extensions_number_and_is_lifted_there() {
    let (_folder, store) = sqlite().await;
    let directory = a_number_taken_for_an_id(&store).await;
    let server = Server::of(producer_of(store.clone(), directory), store.clone()).await;
    let fleet = Fleet { store, server, _folder };
    let (status, problem) = read(fleet.put(&json!({"to": TO, "from": "101"}))).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("ambiguous-sender")));
    assert!(problem["errors"][0]["remedy"].as_str().unwrap().starts_with("write the other id"), "{problem}");
    assert!(fleet.standing().await.is_empty());
    fleet.enter(json!({"to": TO, "from": "400101"})).await;
    assert_eq!(fleet.standing().await[0]["extension_id"], "400101");
    // One that was entered under the number before is no longer wanted there.
    Whose::Extension("101".parse().unwrap()).note(&*fleet.store, &[PhoneNumber::try_new(TO).unwrap()]).await.unwrap();
    assert_eq!(fleet.lift(json!({"to": TO, "from": "101"})).await["status"], "lifted");
    assert_eq!(fleet.standing().await.len(), 1);
}

#[tokio::test]
async fn an_opt_out_that_would_stop_nothing_is_refused_with_the_remedy_and_without_the_number() {
    let fleet = Fleet::start().await;
    for (body, faults) in [
        (json!({}), vec![("to", "missing")]),
        (json!({"to": null}), vec![("to", "missing")]),
        (json!({"to": "15550200001"}), vec![("to", "not-e164")]),
        (json!({"to": 15550200001_u64, "text": "x"}), vec![("to", "wrong-type"), ("message", "unknown-field")]),
        (json!({"to": TO, "from": ""}), vec![("from", "missing")]),
        (json!({"to": TO, "from": null}), vec![("from", "missing")]),
        (json!({"to": TO, "from": "+15550109934"}), vec![("from", "unknown-sender")]),
        (json!({"to": TO, "from": "999"}), vec![("from", "unknown-sender")]),
        (json!({"to": "x", "from": "5550100001"}), vec![("to", "not-e164"), ("from", "not-e164")]),
    ] {
        let (status, problem) = read(fleet.put(&body)).await;
        let errors = problem["errors"].as_array().unwrap();
        let told: Vec<_> = errors.iter().map(|e| (e["field"].as_str().unwrap(), e["code"].as_str().unwrap())).collect();
        let (mut told, mut faults) = (told, faults);
        told.sort_unstable();
        faults.sort_unstable();
        assert_eq!((status, told), (StatusCode::UNPROCESSABLE_ENTITY, faults), "{body}");
        assert!(!problem.to_string().contains("0200001"), "{problem}");
    }
    let bare = |method| fleet.server.call(method, PATH);
    assert_eq!(read(bare(Method::PUT).body("{}")).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let broken = bare(Method::DELETE).header("content-type", "application/json").body("{\"to\": +15550200001}");
    let (status, problem) = read(broken).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("column 8") && !problem.to_string().contains("0200001"));
    for query in ["", "?to=1", "?to=+15550200001&to=+15550200002", "?recipient=+15550200001"] {
        let (status, problem) = read(fleet.server.call(Method::GET, &format!("{PATH}{query}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(!problem.to_string().contains("020000"), "{problem}");
    }
    // A plus that was not encoded.
    assert_eq!(read(fleet.server.call(Method::GET, "/v1/opt-outs?to=+15550200001")).await.0, StatusCode::OK);
    assert!(fleet.standing().await.is_empty());
}
