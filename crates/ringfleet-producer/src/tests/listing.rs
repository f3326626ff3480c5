//! `GET /v1/messages`: by a key, and those in one state.

use reqwest::{Method, StatusCode};
use ringfleet_store::{NewMessage, OnUnknown, OptOut, Priority, Private, SharedStore};
use serde_json::{Value, json};

use super::{
    FROM, TO,
    api::{Server, read},
    sqlite,
};

async fn post(server: &Server, key: &str) -> String {
    let body = json!({"from": FROM, "to": TO, "text": format!("canary {key}"), "key": key});
    let (status, answer) = read(server.post(&body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn get(server: &Server, query: &[(&str, &str)]) -> (StatusCode, Value) {
    read(server.call(Method::GET, "/v1/messages").query(query)).await
}

fn ids(page: &Value) -> Vec<String> {
    page["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn message_is_found_by_its_key() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let key = "visit 4712+ü&state=sent";
    let id = post(&server, key).await;
    post(&server, "another").await;
    let (status, by_key) = get(&server, &[("key", key)]).await;
    let (_, by_id) = read(server.call(Method::GET, &format!("/v1/messages/{id}"))).await;
    assert_eq!((status, &by_key["id"], &by_key["why"]), (StatusCode::OK, &json!(id), &by_id["why"]));
    assert_eq!(
        by_key.as_object().unwrap().keys().collect::<Vec<_>>(),
        by_id.as_object().unwrap().keys().collect::<Vec<_>>()
    );

    let (status, problem) = get(&server, &[("key", "canary")]).await;
    assert_eq!((status, &problem["type"]), (StatusCode::NOT_FOUND, &json!("urn:ringfleet:problem:no-such-message")));
    assert!(!problem.to_string().contains("canary"), "{problem}");
}

#[tokio::test]
async fn messages_that_have_ended_so_are_listed_last_first_and_page_by_page() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let mut cancelled = Vec::new();
    for n in 0..5 {
        let id = post(&server, &format!("k{n}")).await;
        assert_eq!(read(server.call(Method::DELETE, &format!("/v1/messages/{id}"))).await.0, StatusCode::OK);
        cancelled.push(id);
    }
    post(&server, "waits").await;

    let (mut listed, mut times, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    for _ in 0..5 {
        let mut query = vec![("state", "cancelled"), ("limit", "2")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let (status, page) = get(&server, &query).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        for message in page["messages"].as_array().unwrap() {
            assert_eq!((&message["status"], &message["to"]), (&json!("cancelled"), &json!("+1******0001")));
            assert!(message.get("why").is_none() && !message.to_string().contains("canary"), "{message}");
            times.push(message["finished_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
        }
        listed.extend(ids(&page));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let since = times[0].to_string();
    listed.sort();
    cancelled.sort();
    assert_eq!((listed, cursor), (cancelled, None));
    assert_eq!(ids(&get(&server, &[("state", "rejected")]).await.1), [""; 0]);

    let newest = times.iter().filter(|at| **at == times[0]).count();
    assert_eq!(ids(&get(&server, &[("state", "cancelled"), ("since", &since)]).await.1).len(), newest);
    assert_eq!(ids(&get(&server, &[("state", "cancelled"), ("since", "2999-01-01T00:00:00Z")]).await.1), [""; 0]);
    let with_offset =
        read(server.call(Method::GET, "/v1/messages?state=cancelled&since=2026-01-01T00:00:00+01:00")).await;
    assert_eq!(ids(&with_offset.1).len(), 5, "a plus that was not encoded");
}

/// Ends at once: its recipient has opted out.
async fn suppress(store: &SharedStore, count: usize) {
    let (from, to) = (Private::new(FROM), Private::new(TO));
    store.set_opt_outs(None, &[OptOut { from: from.clone(), to: to.clone(), out: true }]).await.unwrap();
    let message = |n: usize| NewMessage {
        lane: "main/101/medium".parse().unwrap(),
        key: None,
        from: from.clone(),
        to: to.clone(),
        text: Private::new(n.to_string()),
        priority: Priority::Normal,
        on_unknown: OnUnknown::Hold,
        send_at: None,
        send_by: None,
    };
    let batch: Vec<_> = (0..count).map(message).collect();
    for part in batch.chunks(500) {
        store.enqueue(part).await.unwrap();
    }
}

#[tokio::test]
async fn few_behind_many_that_have_ended_otherwise_are_told_in_one_answer() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store.clone()).await;
    let id = post(&server, "first").await;
    assert_eq!(read(server.call(Method::DELETE, &format!("/v1/messages/{id}"))).await.0, StatusCode::OK);
    suppress(&store, 1_200).await;
    let (_, page) = get(&server, &[("state", "cancelled")]).await;
    assert_eq!((ids(&page), &page["next"]), (vec![id], &Value::Null));
    let (_, page) = get(&server, &[("state", "suppressed")]).await;
    assert_eq!(ids(&page).len(), 500, "no more than one answer holds");
    assert!(page["next"].is_string());
}

#[tokio::test]
async fn query_that_names_no_list_is_refused_without_being_repeated() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let long = "canary".repeat(40);
    for query in [
        &[][..],
        &[("limit", "5")],
        &[("state", "ready")],
        &[("state", "canary")],
        &[("state", "sent"), ("since", "canary")],
        &[("state", "sent"), ("cursor", "canary")],
        &[("state", "sent"), ("limit", "0")],
        &[("state", "sent"), ("limit", "501")],
        &[("state", "sent"), ("key", "canary")],
        &[("state", "sent"), ("canary", "1")],
        &[("key", "canary"), ("key", "canary")],
        &[("key", "")],
        &[("key", &long)],
    ] {
        let (status, problem) = get(&server, query).await;
        assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("urn:ringfleet:problem:bad-query")));
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
}
