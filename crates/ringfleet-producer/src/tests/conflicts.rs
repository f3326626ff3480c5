//! A key that was used before: what a caller is told of the message that has it.

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    FROM, TO,
    api::{Server, read},
    fake::FakeStore,
    moved, producer_of, senders, sqlite,
};
use crate::{Draft, EnqueueError, Sender, SenderDirectory};

/// Another message under this key is one with another text or recipient; of any other the caller must not make a new one.
fn assert_told_to_look_it_up((status, problem): (StatusCode, Value), first: &Value) {
    assert_eq!((status, &problem["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("key-taken")));
    let id = &first["id"];
    assert_eq!((&problem["id"], &problem["errors"][0]["id"]), (id, id), "{problem}");
    let told = |field: &str| problem["errors"][0][field].as_str().unwrap();
    assert!(told("problem").contains(id.as_str().unwrap()) && told("problem").contains("is ready"), "{problem}");
    assert!(told("remedy").starts_with("look that message up by its id instead of repeating it"), "{problem}");
    assert!(!problem.to_string().contains("give the new message a new key"), "{problem}");
    assert!(!problem.to_string().contains("nothing was taken"), "{problem}");
}

#[tokio::test]
async fn a_repeat_that_reckons_its_times_anew_is_told_of_its_message() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let by = |year: u32| {
        let by = format!("{year}-01-01T00:00:00Z");
        json!({"from": FROM, "to": TO, "text": "See you on Monday", "key": "visit 1", "send_by": by})
    };
    let (_, first) = read(server.post(&by(2998))).await;
    let again = read(server.post(&by(2999))).await;
    assert!(again.1.to_string().contains("other times"), "{}", again.1);
    assert_told_to_look_it_up(again, &first);
}

#[tokio::test]
async fn a_repeat_whose_extension_has_another_number_now_is_told_of_its_message() {
    let (_folder, store) = sqlite().await;
    let with_number = |number: &str| -> Arc<SenderDirectory> {
        let (app, numbers) = ("main".into(), vec![number.parse().unwrap()]);
        Arc::new(SenderDirectory::try_new([Sender { app, extension: "102".parse().unwrap(), numbers }]).unwrap())
    };
    let serve = async |number: &str| Server::of(producer_of(store.clone(), with_number(number)), store.clone()).await;
    let keyed = json!({"from": "102", "to": TO, "text": "See you on Monday", "key": "visit 1"});
    let (_, first) = read(serve("+15550100002").await.post(&keyed)).await;
    let again = read(serve("+15550100003").await.post(&keyed)).await;
    assert_told_to_look_it_up(again, &first);
}

#[tokio::test]
async fn where_the_text_is_no_longer_kept_only_another_recipient_shows_another_message() {
    let store = FakeStore::with_faults([]);
    let server = Server::start(store.clone()).await;
    let keyed = |to: &str, text: &str| json!({"from": FROM, "to": to, "text": text, "key": "visit 1"});
    let (_, first) = read(server.post(&keyed(TO, "See you on Monday"))).await;
    store.texts_forgotten.store(true, Ordering::SeqCst);
    let again = read(server.post(&keyed(TO, "See you on Friday"))).await;
    assert!(again.1.to_string().contains("no longer kept"), "{}", again.1);
    assert_told_to_look_it_up(again, &first);
    let (status, other) = read(server.post(&keyed("+15550200002", "See you on Monday"))).await;
    assert_eq!((status, &other["errors"][0]["code"]), (StatusCode::CONFLICT, &json!("key-conflict")), "{other}");
}

#[tokio::test]
async fn a_conflict_names_the_message_that_has_the_key() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let keyed = |text: &str| json!({"from": FROM, "to": TO, "text": text, "key": "visit 1"});
    let (_, first) = read(server.post(&keyed("See you on Monday"))).await;
    let (status, other) = read(server.post(&keyed("See you on Friday"))).await;
    assert_eq!((status, &other["id"]), (StatusCode::CONFLICT, &first["id"]), "{other}");
    assert!(other["errors"][0]["problem"].as_str().unwrap().contains(first["id"].as_str().unwrap()), "{other}");
    let (_, many) = read(server.post(&json!({"messages": [keyed("See you on Friday")]}))).await;
    assert_eq!(many["results"][0]["errors"][0]["id"], first["id"], "{many}");
}

#[tokio::test]
async fn a_conflict_whose_message_can_not_be_read_advises_no_new_text() {
    let store = FakeStore::with_faults([]);
    let server = Server::start(store.clone()).await;
    let keyed = |text: &str| json!({"from": FROM, "to": TO, "text": text, "key": "visit 1"});
    let (_, first) = read(server.post(&keyed("See you on Monday"))).await;
    let (_, read_well) = read(server.post(&keyed("See you on Friday"))).await;
    assert!(
        read_well["errors"][0]["remedy"].as_str().unwrap().contains("give the new message a new key"),
        "{read_well}"
    );
    store.looks_fail.store(true, Ordering::SeqCst);
    let (status, problem) = read(server.post(&keyed("See you on Friday"))).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (StatusCode::CONFLICT, &json!("key-conflict")));
    assert!(problem["errors"][0]["problem"].as_str().unwrap().contains(first["id"].as_str().unwrap()), "{problem}");
    let said = problem.to_string();
    assert!(!said.contains("nothing was taken") && !said.contains("give the new message a new key"), "{said}");
}

#[tokio::test]
async fn other_line_ends_are_no_other_text() {
    let (_folder, store) = sqlite().await;
    let server = Server::start(store).await;
    let keyed = |text: &str| json!({"from": FROM, "to": TO, "text": text, "key": "visit 1"});
    let (_, first) = read(server.post(&keyed("See you\non Monday"))).await;
    let again = read(server.post(&keyed("See you\r\non Monday"))).await;
    assert_told_to_look_it_up(again, &first);
}

#[tokio::test]
async fn a_repeat_whose_number_moved_to_another_extension_is_told_of_its_message() {
    let (_folder, store) = sqlite().await;
    let keyed = json!({"from": FROM, "to": TO, "text": "See you on Monday", "key": "visit 1"});
    let (_, first) = read(Server::start(store.clone()).await.post(&keyed)).await;
    let server = Server::of(producer_of(store.clone(), moved()), store).await;
    let (status, problem) = read(server.post(&keyed)).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("key-taken")));
    let said = problem.to_string();
    assert!(said.contains(first["id"].as_str().unwrap()) && said.contains("is ready"), "{said}");
    assert!(!said.contains("nothing was taken") && !said.contains("new key"), "{said}");
}

#[tokio::test]
async fn a_repeat_that_is_refused_now_is_told_of_its_message_and_not_that_nothing_was_taken() {
    let (_folder, store) = sqlite().await;
    let keyed = |key: &str| json!({"from": FROM, "to": TO, "text": "See you on Monday", "key": key});
    let before = Server::start(store.clone()).await;
    let (_, taken) = read(before.post(&keyed("visit 1"))).await;
    let id = taken["id"].as_str().unwrap();
    // The sender is gone since.
    let nobody = Arc::new(SenderDirectory::try_new([]).unwrap());
    let server = Server::of(producer_of(store.clone(), nobody), store).await;
    let (status, late) = read(server.post(&keyed("visit 1"))).await;
    let codes = [&late["errors"][0]["code"], &late["errors"][1]["code"]];
    assert_eq!((status, codes), (StatusCode::UNPROCESSABLE_ENTITY, [&json!("unknown-sender"), &json!("key-taken")]));
    let told = late["errors"][1]["problem"].as_str().unwrap();
    assert!(
        told.contains(id) && told.ends_with("is ready") && !late.to_string().contains("nothing was taken"),
        "{late}"
    );

    let mut hopeless = keyed("visit 1");
    hopeless["text"] = json!("");
    let (_, many) = read(server.post(&json!({"messages": [keyed("visit 1"), keyed("visit 2"), hopeless]}))).await;
    let told = |n: usize| many["results"][n]["errors"].as_array().unwrap().last().unwrap()["code"].clone();
    assert_eq!([told(0), told(1), told(2)], ["key-taken", "unknown-sender", "text-empty"], "{many}");
    let (_, other) = read(server.post(&keyed("visit 2"))).await;
    assert!(other["detail"].as_str().unwrap().contains("nothing was taken"), "{other}");
}

#[tokio::test]
async fn a_repeat_whose_send_at_is_long_past_by_now_is_told_of_its_message() {
    let (_folder, store) = sqlite().await;
    let producer = producer_of(store, super::directory());
    let keyed =
        |key: &str| Draft { key: Some(key.into()), send_at: Some("2026-02-01T09:00:00Z".into()), ..super::draft() };
    let at = |when: &str| when.parse::<Timestamp>().unwrap();
    let hand_in =
        async |key: &str, now: Timestamp| producer.submit(vec![producer.judge(&keyed(key), now)]).await.pop().unwrap();
    let first = hand_in("visit 1", at("2026-01-31T12:00:00Z")).await.unwrap();
    let again = hand_in("visit 1", at("2026-02-08T09:00:00Z")).await.unwrap();
    assert_eq!((again.id, again.duplicate), (first.id, true));
    for (key, told) in [("visit 1", &["send-at-past", "key-taken"][..]), ("visit 2", &["send-at-past"])] {
        let late = hand_in(key, at("2026-02-08T09:00:01Z")).await.unwrap_err();
        let EnqueueError::Refused(refusals) = late else { panic!("{late:?}") };
        assert_eq!(refusals.iter().map(|refusal| refusal.code.as_str()).collect::<Vec<_>>(), told);
        assert_eq!(refusals.last().unwrap().id, (key == "visit 1").then_some(first.id));
    }
}

#[tokio::test]
async fn a_repeat_from_an_extension_id_that_nobody_knows_any_more_is_told_of_its_message() {
    let (_folder, store) = sqlite().await;
    let sender =
        Sender { app: "main".into(), extension: "400129284008".parse().unwrap(), numbers: vec![FROM.parse().unwrap()] };
    let keyed = |key: &str| json!({"from": "400129284008", "to": TO, "text": "See you on Monday", "key": key});
    let known = Arc::new(SenderDirectory::try_new([sender]).unwrap());
    let before = Server::of(producer_of(store.clone(), known), store.clone()).await;
    let (_, first) = read(before.post(&keyed("visit 1"))).await;
    let nobody = Arc::new(SenderDirectory::try_new([]).unwrap());
    let server = Server::of(producer_of(store.clone(), nobody), store).await;
    let (_, late) = read(server.post(&keyed("visit 1"))).await;
    let codes = [&late["errors"][0]["code"], &late["errors"][1]["code"]];
    assert_eq!(codes, [&json!("not-e164"), &json!("key-taken")], "{late}");
    assert_eq!(late["id"], first["id"]);
    let (_, other) = read(server.post(&keyed("visit 2"))).await;
    assert!(other["detail"].as_str().unwrap().contains("nothing was taken"), "{other}");
}

#[tokio::test]
async fn a_repeat_from_an_extension_number_that_nobody_knows_any_more_or_yet_is_told_of_its_message() {
    let (_folder, store) = sqlite().await;
    let keyed = |key: &str| json!({"from": "102", "to": TO, "text": "See you on Monday", "key": key});
    let serve = async |known| Server::of(producer_of(store.clone(), known), store.clone()).await;
    let before = serve(senders::one_extension(&store).await).await;
    let (status, first) = read(before.post(&keyed("visit 1"))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    // It is gone; and, as after a new store or with directory.refresh off, no extension has been read.
    let (_elsewhere, elsewhere) = sqlite().await;
    let gone = senders::another_extension(&elsewhere).await;
    let unread = Arc::new(SenderDirectory::try_new([]).unwrap());
    for (known, code) in [(gone, "unknown-sender"), (unread, "sender-not-read")] {
        let server = serve(known).await;
        let (_, late) = read(server.post(&keyed("visit 1"))).await;
        let codes = [&late["errors"][0]["code"], &late["errors"][1]["code"]];
        assert_eq!((codes, &late["id"]), ([&json!(code), &json!("key-taken")], &first["id"]), "{late}");
        assert!(!late.to_string().contains("nothing was taken"), "{late}");
        let (_, other) = read(server.post(&keyed("visit 2"))).await;
        assert!(other["detail"].as_str().unwrap().contains("nothing was taken"), "{other}");
    }
}
