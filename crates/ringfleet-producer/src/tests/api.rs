//! The API over a real socket.

use std::sync::Arc;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use ringfleet_store::{Begin, ClaimRequest, Outcome, PlanSeen, Settlement, SharedStore, WorkerId};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    FROM, TO,
    fake::{FakeStore, Fault},
    producer, sqlite,
};
use crate::{
    Producer,
    http::{Api, ApiKeys, MAX_BODY_BYTES, router},
};

pub(super) const KEY: &str = "test-key-0123456789";

pub(super) struct Server {
    pub(super) base: String,
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start(store: SharedStore) -> Self {
        Self::of(producer(store.clone()), store).await
    }

    pub(super) async fn of(producer: Producer, store: SharedStore) -> Self {
        let keys = ApiKeys::try_new([SecretString::from(KEY)], []).unwrap();
        Self::with_keys(producer, store, keys).await
    }

    pub(super) async fn with_keys(producer: Producer, store: SharedStore, keys: ApiKeys) -> Self {
        Self::serve(Api::new(producer, store, keys, CancellationToken::new())).await
    }

    pub(super) async fn serve(api: Api) -> Self {
        // Already installed by another test of this process, or by this one: both are fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let app = router(api);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, client: Client::builder().no_proxy().build().unwrap(), task }
    }

    pub(super) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(super) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(KEY)
    }

    pub(super) fn post(&self, body: &Value) -> RequestBuilder {
        self.call(Method::POST, "/v1/messages").json(body)
    }
}

pub(super) async fn read(request: RequestBuilder) -> (StatusCode, Value) {
    let response: Response = request.send().await.unwrap();
    let status = response.status();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind == "application/problem+json", !status.is_success(), "{status} {kind}");
    (status, response.json().await.unwrap())
}

fn message() -> Value {
    json!({"from": FROM, "to": TO, "text": "See you on Monday"})
}

#[tokio::test]
async fn one_message_is_accepted_seen_and_cancelled() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let (status, answer) = read(server.post(&message())).await;
    assert_eq!((status, &answer["status"]), (StatusCode::ACCEPTED, &json!("accepted")));
    let path = format!("/v1/messages/{}", answer["id"].as_str().unwrap());

    let (status, view) = read(server.call(Method::GET, &path)).await;
    assert_eq!((status, &view["status"], &view["extension"]), (StatusCode::OK, &json!("ready"), &json!("101")));
    assert_eq!((&view["to"], &view["reason"], &view["attempts"]), (&json!("+1******0001"), &Value::Null, &json!(0)));
    assert!(view["created_at"].as_str().unwrap().ends_with('Z') && view.get("text").is_none());
    assert_eq!((&view["why"][0]["code"], &view["eta"]["kind"]), (&json!("no-workers"), &json!("at")), "{view}");

    for _ in 0..2 {
        let (status, answer) = read(server.call(Method::DELETE, &path)).await;
        assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("cancelled")));
    }
    let missing = "/v1/messages/msg_00000000000000000000000000";
    for path in [missing, "/v1/messages/nonsense", "/v1/messages/%ff"] {
        assert_eq!(read(server.call(Method::GET, path)).await.0, StatusCode::NOT_FOUND);
        assert_eq!(read(server.call(Method::DELETE, path)).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn message_in_a_workers_hand_can_not_be_cancelled() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store.clone()).await;
    let (_, answer) = read(server.post(&message())).await;
    let worker = WorkerId::incarnation("test");
    let lease = std::time::Duration::from_secs(30);
    let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease }).await.unwrap();
    assert_eq!(claim.leases.len(), 1);
    let path = format!("/v1/messages/{}", answer["id"].as_str().unwrap());
    assert_eq!(read(server.call(Method::DELETE, &path)).await.0, StatusCode::CONFLICT);
}

/// Claims the only message, writes its intent and reports that its fate is unknown.
async fn lose_answer(store: &SharedStore) {
    send_only(store, Outcome::Unknown { reason: "answer lost (deadline passed)".into() }).await;
}

/// Claims the only message, writes its intent and reports what became of its send.
async fn send_only(store: &SharedStore, outcome: Outcome) {
    let worker = WorkerId::incarnation("test");
    let lease = std::time::Duration::from_secs(30);
    let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease }).await.unwrap();
    let lease_of = claim.leases[0].reference();
    assert_eq!(store.begin_send(&[lease_of.into()], lease).await.unwrap(), [Begin::Go]);
    let age = std::time::Duration::ZERO;
    store.settle(&[Settlement { lease: lease_of, outcome, age, seen: PlanSeen::default() }]).await.unwrap();
}

#[tokio::test]
async fn policy_and_evidence_of_an_unknown_fate_are_shown() {
    for (policy, state) in [("hold", "held"), ("reconcile", "unknown")] {
        let (_folder, store) = sqlite().await;
        let server = Server::start(store.clone()).await;
        let mut body = message();
        body["on_unknown"] = json!(policy);
        let (_, answer) = read(server.post(&body)).await;
        let path = format!("/v1/messages/{}", answer["id"].as_str().unwrap());
        let (_, view) = read(server.call(Method::GET, &path)).await;
        assert_eq!((&view["on_unknown"], view.get("intent_at"), view.get("reads")), (&json!(policy), None, None));

        lose_answer(&store).await;
        let (_, view) = read(server.call(Method::GET, &path)).await;
        assert_eq!((&view["status"], &view["reads"]), (&json!(state), &json!(0)), "{view}");
        assert_eq!(view["reason"], "answer lost (deadline passed)");
        let eta = if state == "held" { "never" } else { "looked-up" };
        assert_eq!((&view["why"][0]["code"], &view["eta"]["kind"]), (&json!(state), &json!(eta)), "{view}");
        assert!(view["intent_at"].as_str().unwrap().ends_with('Z'), "{view}");
    }
}

#[tokio::test]
async fn dead_message_of_which_an_attempt_may_have_arrived_says_so_and_from_when_on() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store.clone()).await;
    let mut body = message();
    body["on_unknown"] = json!("resend");
    let (_, answer) = read(server.post(&body)).await;
    let path = format!("/v1/messages/{}", answer["id"].as_str().unwrap());
    lose_answer(&store).await;
    let (_, view) = read(server.call(Method::GET, &path)).await;
    assert_eq!((&view["status"], view.get("intent_at")), (&json!("ready"), None), "it is sent again");

    let retry = Outcome::Retry { code: "MSG-290".into(), delay: std::time::Duration::ZERO, max_attempts: 2 };
    send_only(&store, retry).await;
    let (_, view) = read(server.call(Method::GET, &path)).await;
    assert_eq!((&view["status"], &view["reason"], &view["reads"]), (&json!("dead"), &json!("MSG-290"), &json!(0)));
    assert!(view["intent_at"].as_str().unwrap().ends_with('Z'), "{view}");
    let why = &view["why"][0];
    assert_eq!((&why["code"], &why["intent_at"]), (&json!("ended"), &view["intent_at"]), "{view}");
    assert!(why["text"].as_str().unwrap().starts_with("an earlier attempt may have arrived"), "{view}");
}

#[tokio::test]
async fn unknown_policy_word_is_refused_alone_and_in_bulk() {
    let server = Server::start(FakeStore::with_faults([])).await;
    let mut bad = message();
    bad["on_unknown"] = json!("maybe");
    let (status, problem) = read(server.post(&bad)).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-on-unknown")));
    assert!(problem["errors"][0]["remedy"].as_str().unwrap().contains("reconcile, hold or resend"), "{problem}");
    let mut good = message();
    good["on_unknown"] = json!("resend");
    let (status, answer) = read(server.post(&json!({"messages": [bad, good]}))).await;
    assert_eq!((status, &answer["accepted"], &answer["refused"]), (StatusCode::OK, &json!(1), &json!(1)));
    assert_eq!(answer["results"][0]["errors"][0]["field"], "on_unknown");
}

#[tokio::test]
async fn exchanged_store_is_503_and_says_that_somebody_must_act() {
    let server = Server::start(FakeStore::with_faults([Fault::Replaced, Fault::Replaced])).await;
    for body in [message(), json!({"messages": [message(), message()]})] {
        let response = server.post(&body).send().await.unwrap();
        assert!(!response.headers().contains_key("retry-after"), "coming back does not help");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["type"], "urn:ringfleet:problem:store-replaced");
        assert!(problem["id"].is_string() || problem["results"][1]["id"].is_string(), "{problem}");
    }
}

#[tokio::test]
async fn idempotency_key_makes_a_repeat_harmless() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let post = |body: &Value| server.post(body).header("Idempotency-Key", "order-1");
    let (_, first) = read(post(&message())).await;
    let (status, again) = read(post(&message())).await;
    assert_eq!((status, &again["status"], &again["id"]), (StatusCode::ACCEPTED, &json!("duplicate"), &first["id"]));
    let mut other = message();
    other["text"] = json!("another text");
    let (status, conflict) = read(post(&other)).await;
    assert_eq!((status, &conflict["errors"][0]["code"]), (StatusCode::CONFLICT, &json!("key-conflict")));
    other["key"] = json!("order-2");
    let (status, twice) = read(post(&other)).await;
    assert_eq!((status, &twice["errors"][0]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("key")));
    assert_eq!(read(post(&json!({"messages": [message()]}))).await.0, StatusCode::BAD_REQUEST);

    let (status, same) = read(post(&message()).header("Idempotency-Key", "order-1")).await;
    assert_eq!((status, &same["id"]), (StatusCode::ACCEPTED, &first["id"]));
    let (status, two) = read(post(&message()).header("Idempotency-Key", "order-2")).await;
    let code = &two["errors"][0]["code"];
    assert_eq!((status, code), (StatusCode::UNPROCESSABLE_ENTITY, &json!("field-twice")), "{two}");
}

#[tokio::test]
async fn a_key_in_a_header_with_quotation_marks_is_refused_and_a_message_that_has_it_with_them_is_told() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store.clone()).await;
    let quoted = || server.post(&message()).header("Idempotency-Key", "\"order-1\"");
    let (status, refused) = read(quoted()).await;
    assert_eq!((status, &refused["type"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:ringfleet:problem:refused")));
    assert_eq!((&refused["errors"][0]["code"], &refused["errors"][1]), (&json!("bad-key"), &Value::Null), "{refused}");
    assert_eq!(store.stats().await.unwrap().total(), 0);

    let mut before = message();
    before["key"] = json!("\"order-1\"");
    let (status, taken) = read(server.post(&before)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the field is taken as it is written: {taken}");
    let (_, refused) = read(quoted()).await;
    let [first, second] = [0, 1].map(|n| &refused["errors"][n]);
    assert_eq!((&first["code"], &second["code"]), (&json!("bad-key"), &json!("key-taken")), "{refused}");
    assert_eq!(second["id"], taken["id"]);
}

#[tokio::test]
async fn bulk_answers_for_every_item() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let keyed = json!({"from": FROM, "to": TO, "text": "x", "key": "k"});
    let bad = json!({"from": FROM, "to": 15550200001_u64, "text": ""});
    let (status, answer) = read(server.post(&json!({"messages": [message(), keyed, keyed, bad, 7]}))).await;
    assert_eq!(status, StatusCode::OK);
    let counts = ["accepted", "duplicates", "refused", "unknown"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 2, 0], "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!((&results[2]["status"], &results[2]["id"]), (&json!("duplicate"), &results[1]["id"]));
    let errors: Vec<_> = results[3]["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!((errors, &results[3]["index"]), (vec!["wrong-type", "text-empty"], &json!(3)));
    assert!(!answer.to_string().contains("0200001"), "{answer}");

    for count in [0, 1_001] {
        let many = json!({"messages": vec![message(); count]});
        assert_eq!(read(server.post(&many)).await.0, StatusCode::BAD_REQUEST);
    }
    let (_, most) = read(server.post(&json!({"messages": vec![message(); 1_000]}))).await;
    assert_eq!(most["accepted"], 1_000);
}

#[tokio::test]
async fn faults_of_a_single_message_are_told_together() {
    let server = Server::start(FakeStore::with_faults([])).await;
    let (status, problem) = read(server.post(&json!({"from": FROM, "to": "15550200001", "sendat": "x"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert_eq!(errors, ["unknown-field", "missing", "not-e164"]);
    assert!(!problem.to_string().contains("15550200001"));
}

#[tokio::test]
async fn no_route_opens_without_a_key() {
    let server = Server::start(FakeStore::with_faults([])).await;
    let id = "/v1/messages/msg_00000000000000000000000000";
    let opt_outs = "/v1/opt-outs";
    for (method, path) in [
        (Method::POST, "/v1/messages"),
        (Method::GET, id),
        (Method::DELETE, id),
        (Method::GET, opt_outs),
        (Method::PUT, opt_outs),
        (Method::DELETE, opt_outs),
    ] {
        for request in [
            server.bare(method.clone(), path),
            server.bare(method.clone(), path).bearer_auth("wrong-key-0123456789"),
            server.bare(method.clone(), path).header("X-Api-Key", "test-key"),
            server.bare(method.clone(), path).header("Authorization", format!("Basic {KEY}")),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        }
    }
    let with_header = server.bare(Method::POST, "/v1/messages").header("x-api-key", KEY).json(&message());
    assert_eq!(read(with_header).await.0, StatusCode::ACCEPTED);
    let with_scheme = server.bare(Method::POST, "/v1/messages").header("authorization", format!("bearer {KEY}"));
    assert_eq!(read(with_scheme.json(&message())).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn without_keys_a_page_whose_name_means_this_machine_sends_and_reads_nothing() {
    let store = FakeStore::with_faults([]);
    let open = Server::with_keys(producer(store.clone()), store.clone(), ApiKeys::none()).await;
    let calls = |host: &str| {
        let post = open.bare(Method::POST, "/v1/messages").json(&message());
        [open.bare(Method::GET, "/v1/senders"), post].map(|call| call.header("host", host))
    };
    for host in ["evil.example:8480", "localhost.evil.example", "127.0.0.1.evil.example:8480", "192.0.2.1", "[::2]", ""]
    {
        for call in calls(host) {
            let (status, problem) = read(call).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{host}");
            assert!(problem["detail"].as_str().unwrap().contains("set api.keys"), "{problem}");
        }
    }
    assert_eq!(store.len(), 0);
    for host in ["127.0.0.1:8480", "localhost", "Localhost:8480", "[::1]:8480"] {
        for call in calls(host) {
            assert!(read(call).await.0.is_success(), "{host}");
        }
    }
    assert_eq!(store.len(), 4);
    let locked = Server::start(store).await;
    let named = locked.call(Method::GET, "/v1/senders").header("host", "fleet.example");
    assert_eq!(read(named).await.0, StatusCode::OK);
}

#[tokio::test]
async fn wrong_requests_get_their_own_status() {
    let server = Server::start(FakeStore::with_faults([])).await;
    assert_eq!(read(server.call(Method::GET, "/v2")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(read(server.call(Method::PUT, "/v1/messages")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let post = || server.call(Method::POST, "/v1/messages");
    assert_eq!(read(post().body("{}")).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let json = || post().header("content-type", "application/json; charset=utf-8");
    let (status, problem) = read(json().body("{\n  \"to\": \"+15550200001\",\n  oops\n}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("line 3, column 3"), "{problem}");
    assert!(!problem.to_string().contains("0200001") && !problem.to_string().contains("oops"));
    assert_eq!(read(json().body(vec![b' '; MAX_BODY_BYTES + 1])).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn store_that_is_away_is_503_with_the_key_of_a_safe_repeat() {
    let store = FakeStore::with_faults([Fault::LoseReply; 50]);
    let server = Server::start(store.clone()).await;
    let response = server.post(&message()).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
    let problem: Value = response.json().await.unwrap();
    assert!(problem["key"].as_str().unwrap().starts_with("auto-") && problem["id"].is_string(), "{problem}");
    assert_eq!(store.len(), 1);

    let path = format!("/v1/messages/{}", problem["id"].as_str().unwrap());
    assert_eq!(read(server.call(Method::GET, &path)).await.0, StatusCode::OK);
    assert_eq!(read(server.call(Method::DELETE, &path)).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn full_store_is_503_and_a_half_failed_bulk_is_told_item_by_item() {
    let store: Arc<FakeStore> = FakeStore::with_faults([Fault::Full, Fault::Full]);
    let server = Server::start(store.clone()).await;
    let bulk = json!({"messages": vec![message(); 600]});
    for body in [&message(), &bulk] {
        let (status, problem) = read(server.post(body)).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::SERVICE_UNAVAILABLE, &json!("urn:ringfleet:problem:store-full"))
        );
    }
    assert_eq!(store.len(), 0);
    store.fail_after(1, Fault::Full);
    let (status, answer) = read(server.post(&bulk)).await;
    assert_eq!((status, &answer["accepted"], &answer["not_taken"]), (StatusCode::OK, &json!(500), &json!(100)));
    assert_eq!(answer["results"][599]["status"], "not-taken");
}
