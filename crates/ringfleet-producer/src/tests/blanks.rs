//! What nobody sees: blanks around a key, and texts of nothing but such characters.

use ringfleet_store::{IdempotencyKey, MessageId};
use serde_json::json;

use super::{
    FROM, TO,
    api::{Server, read},
    draft,
    fake::FakeStore,
    now, producer, sqlite,
};
use crate::{Code, Draft, Field};

#[test]
fn text_in_which_nothing_can_be_seen_counts_as_empty() {
    let producer = producer(FakeStore::with_faults([]));
    let judged = |text: &str| producer.check(&Draft { text: text.into(), ..draft() }, now());
    for text in ["\u{200b}", "\u{feff}", "\u{ad}", "\u{3164}", " \u{200b}\u{feff}\n\u{ad} "] {
        let faults = judged(text).expect_err("a fault");
        assert_eq!((faults.len(), faults[0].field, faults[0].code), (1, Field::Text, Code::TextEmpty), "{text:?}");
    }
    for text in ["\u{200b}1", "co\u{ad}operation", "👩\u{200d}💻"] {
        assert!(judged(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_key_with_blanks_at_its_ends_is_refused_as_another_door_would_take_them_off() {
    let producer = producer(FakeStore::with_faults([]));
    let judged = |key: &str| producer.check(&Draft { key: Some(key.into()), ..draft() }, now());
    for key in ["   ", " abc ", "abc ", "\u{a0}abc"] {
        let faults = judged(key).expect_err("a fault");
        assert_eq!((faults.len(), faults[0].field, faults[0].code), (1, Field::Key, Code::BadKey), "{key:?}");
        assert!(faults[0].problem.contains("blanks at its ends") && !faults[0].to_string().contains("abc"));
    }
    assert!(judged("visit 1").is_ok());
}

/// With a message of this key, which an older version took.
async fn server_with(key: &str) -> (tempfile::TempDir, Server, MessageId) {
    let (folder, store) = sqlite().await;
    let key = IdempotencyKey::try_new(key).unwrap();
    let mut taken = producer(store.clone()).check(&draft(), now()).unwrap();
    taken.key = Some(key.clone());
    store.enqueue(&[taken]).await.unwrap();
    (folder, Server::start(store).await, MessageId::from_key(&key))
}

#[tokio::test]
async fn a_repeat_whose_key_had_blanks_when_it_was_taken_is_told_of_its_message() {
    let (_folder, server, id) = server_with(" visit 1 ").await;
    let keyed = |key: &str| json!({"from": FROM, "to": TO, "text": "See you on Monday", "key": key});
    let (_, again) = read(server.post(&keyed(" visit 1 "))).await;
    let codes = [&again["errors"][0]["code"], &again["errors"][1]["code"]];
    assert_eq!((codes, &again["id"]), ([&json!("bad-key"), &json!("key-taken")], &json!(id.to_string())), "{again}");
    let (_, other) = read(server.post(&keyed(" visit 2 "))).await;
    assert!(other["detail"].as_str().unwrap().contains("nothing was taken"), "{other}");
}

#[tokio::test]
async fn a_repeat_whose_date_was_taken_before_is_told_of_its_message() {
    let (_folder, server, id) = server_with("visit 1").await;
    let again = json!({"from": FROM, "to": TO, "text": "See you on Monday", "key": "visit 1", "send_by": "2030-12-01T09:00:00-0500"});
    let (_, told) = read(server.post(&again)).await;
    let codes = [&told["errors"][0]["code"], &told["errors"][1]["code"]];
    assert_eq!((codes, &told["id"]), ([&json!("bad-date"), &json!("key-taken")], &json!(id.to_string())), "{told}");
}
