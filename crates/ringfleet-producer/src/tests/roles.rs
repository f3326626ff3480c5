//! A key that may only read changes nothing.

use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::json;

use super::{
    FROM, TO,
    api::{KEY, Server, read},
    fake::FakeStore,
    producer,
};
use crate::http::ApiKeys;

pub(super) const READ_KEY: &str = "reads-key-0123456789";

pub(super) fn secret(key: &str) -> [SecretString; 1] {
    [SecretString::from(key)]
}

#[tokio::test]
async fn a_key_that_may_only_read_is_refused_before_anything_is_done_and_told_what_to_use() {
    let store = FakeStore::with_faults([]);
    let keys = ApiKeys::try_new(secret(KEY), secret(READ_KEY)).unwrap();
    let server = Server::with_keys(producer(store.clone()), store.clone(), keys).await;
    let message = json!({"from": FROM, "to": TO, "text": "x", "key": "order-1"});
    let (_, taken) = read(server.post(&message)).await;
    let path = format!("/v1/messages/{}", taken["id"].as_str().unwrap());
    let opt_out = json!({"to": TO});
    let changes = [
        server.bare(Method::POST, "/v1/messages").json(&message),
        server.bare(Method::POST, "/v1/messages").header("content-type", "application/x-ndjson").body("x"),
        server.bare(Method::DELETE, &path),
        server.bare(Method::PUT, "/v1/opt-outs").json(&opt_out),
        server.bare(Method::DELETE, "/v1/opt-outs").json(&opt_out),
        server.bare(Method::PATCH, "/v1/messages"),
    ];
    for change in changes {
        let (status, problem) = read(change.bearer_auth(READ_KEY)).await;
        let kind = "urn:ringfleet:problem:read-only-key";
        assert_eq!((status, &problem["type"]), (StatusCode::FORBIDDEN, &json!(kind)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("one of api.keys"), "{problem}");
    }
    let to = format!("/v1/opt-outs?to={}", TO.replace('+', "%2B"));
    for asked in [path.as_str(), "/v1/messages?key=order-1", "/v1/senders", &to] {
        let (status, told) = read(server.bare(Method::GET, asked).header("X-Api-Key", READ_KEY)).await;
        assert_eq!(status, StatusCode::OK, "{asked}: {told}");
        assert!(!told.to_string().contains("\"opt_outs\":[{"), "it was not refused: {told}");
    }
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn where_there_are_only_keys_that_read_nobody_comes_in_without_one() {
    let store = FakeStore::with_faults([]);
    let keys = ApiKeys::try_new([], secret(READ_KEY)).unwrap();
    let server = Server::with_keys(producer(store.clone()), store.clone(), keys).await;
    let message = json!({"from": FROM, "to": TO, "text": "x"});
    for host in ["localhost", "fleet.example"] {
        let post = || server.bare(Method::POST, "/v1/messages").header("host", host).json(&message);
        assert_eq!(read(post()).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(read(post().bearer_auth(READ_KEY)).await.0, StatusCode::FORBIDDEN);
        let senders = server.bare(Method::GET, "/v1/senders").header("host", host);
        assert_eq!(read(senders.bearer_auth(READ_KEY)).await.0, StatusCode::OK);
    }
    assert_eq!(store.len(), 0);
}
