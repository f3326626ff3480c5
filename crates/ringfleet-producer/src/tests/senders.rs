//! Who may be sent from, as callers of the API are told it: over a real socket, from the directory's own documents.

use std::{collections::HashMap, sync::Arc};

use reqwest::{Method, StatusCode};
use ringcentral::{AccountId, ExtensionId, ExtensionStatus, NumberFeature, PhoneNumber};
use ringfleet_identity::{
    KeyRing, Vault,
    directory::{Claims, ExtensionFacts, Failed, Follower, ListedNumber, OwnNumber, Register, Who},
    new_key,
};
use ringfleet_store::{Private, SharedStore};
use serde_json::{Value, json};

use super::{TO, api, producer_of, sqlite};
use crate::SenderDirectory;

fn number(n: u32) -> PhoneNumber {
    PhoneNumber::try_new(&format!("+1555010{n:04}")).unwrap()
}

fn id(text: &str) -> ExtensionId {
    ExtensionId::try_new(text).unwrap()
}

/// `400102` is extension 102, and so on.
fn who(text: &str) -> Who {
    Who { id: id(text), short: text[3..].parse().ok() }
}

fn account() -> AccountId {
    AccountId::try_new("1").unwrap()
}

/// Connected, enabled, read, with these numbers.
fn facts(text: &str, numbers: &[(u32, NumberFeature)]) -> ExtensionFacts {
    let own =
        |(n, feature): &(u32, NumberFeature)| OwnNumber { number: number(*n), features: vec![*feature], since: 7 };
    ExtensionFacts {
        account: Some(account()),
        short: who(text).short,
        name: Private::new("Ada Brook"),
        status: ExtensionStatus::Enabled,
        connected_by: vec!["jwt".into()],
        numbers: numbers.iter().map(own).collect(),
        read_at: 7,
        ..ExtensionFacts::unread(id(text))
    }
}

/// Of extension 102 with the id 400102, which texts from +15550100002.
pub(super) async fn one_extension(store: &SharedStore) -> Arc<SenderDirectory> {
    learnt(store, vec![facts("400102", &[(2, SMS)])], &[(2, Some("400102"))]).await
}

/// Of extension 101, under whose number a login was added.
pub(super) async fn a_number_taken_for_an_id(store: &SharedStore) -> Arc<SenderDirectory> {
    let mistake = ExtensionFacts { connected_by: vec!["jwt".into()], ..ExtensionFacts::unread(id("101")) };
    learnt(store, vec![facts("400101", &[(1, SMS)]), mistake], &[(1, Some("400101"))]).await
}

/// Of extension 101 alone, after everything was read: nobody is 102.
pub(super) async fn another_extension(store: &SharedStore) -> Arc<SenderDirectory> {
    learnt(store, vec![facts("400101", &[(1, SMS)])], &[(1, Some("400101"))]).await
}

/// An API whose fleet has learnt this.
async fn serve(store: SharedStore, extensions: Vec<ExtensionFacts>, listed: &[(u32, Option<&str>)]) -> api::Server {
    let senders = learnt(&store, extensions, listed).await;
    api::Server::of(producer_of(store.clone(), senders), store).await
}

/// Through the documents that it would be learnt through.
async fn learnt(
    store: &SharedStore,
    extensions: Vec<ExtensionFacts>,
    listed: &[(u32, Option<&str>)],
) -> Arc<SenderDirectory> {
    let vault = Vault::new(store.clone(), Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
    let register = Register::new(&vault);
    for told in extensions {
        let whose = told.extension.clone();
        register
            .change_extension(&whose, |facts| {
                *facts = told.clone();
                true
            })
            .await
            .unwrap();
    }
    let (directory, mut follower) = Follower::start(&vault, Claims::default()).await.unwrap();
    let list: HashMap<PhoneNumber, ListedNumber> = listed
        .iter()
        .map(|(n, owner)| ListedNumber { number: number(*n), account: account(), owner: owner.map(who) })
        .map(|listed| (listed.number.clone(), listed))
        .collect();
    assert!(register.take_list(&account(), &list, &directory.book()).await.unwrap() > 0);
    let read = |known: &mut ringfleet_identity::directory::AccountList| {
        known.read_at = 9;
        true
    };
    register.change_account(&account(), read).await.unwrap();
    follower.look().await.unwrap();
    assert_eq!(register.take_list(&account(), &list, &directory.book()).await.unwrap(), 0, "nothing has changed");
    Arc::new(SenderDirectory::of(directory, "main").unwrap())
}

const SMS: NumberFeature = NumberFeature::SmsSender;

#[tokio::test]
async fn each_reason_why_nobody_can_send_has_its_code_and_its_remedy() {
    let (_folder, store) = sqlite().await;
    let unread = ExtensionFacts { read_at: 0, numbers: Vec::new(), ..facts("400105", &[]) };
    let failed = Some(Failed { code: "CMN-401".into(), at: 8 });
    let extensions = vec![
        facts("400101", &[(1, SMS), (11, NumberFeature::MmsSender), (12, NumberFeature::A2pSmsSender)]),
        facts("400102", &[(2, SMS), (3, SMS)]),
        ExtensionFacts { status: ExtensionStatus::Disabled, ..facts("400104", &[(4, SMS)]) },
        ExtensionFacts { failed, ..unread },
        facts("500101", &[(6, SMS)]),
        facts("400106", &[]),
    ];
    let listed = [(1, Some("400101")), (5, Some("400105")), (7, Some("400107")), (8, None)];
    let server = serve(store, extensions, &listed).await;
    let post = async |from: String| api::read(server.post(&json!({"from": from, "to": TO, "text": "x"}))).await;
    let of = |n: u32| number(n).expose().to_owned();
    for good in [of(1), of(3), "400101".into(), "500101".into()] {
        assert_eq!(post(good.clone()).await.0, StatusCode::ACCEPTED, "{good}");
    }
    let refused = [
        (of(9), "unknown-sender", "belongs to no connected extension", "connect its extension"),
        ("102".into(), "ambiguous-sender", "extension 102 has 2 numbers", "write the number to send from"),
        ("101".into(), "ambiguous-sender", "the ids 400101 and 500101", "write the number to send from"),
        (
            of(7),
            "sender-not-connected",
            "extension 107, which is not connected",
            "connect it (`ringfleet credentials add`)",
        ),
        ("107".into(), "sender-not-connected", "extension 107, which is not connected", "or send from extension 101"),
        (of(5), "sender-not-read", "could not be read (CMN-401)", "ReadAccounts"),
        (of(11), "sender-cannot-text", "no SmsSender feature", "assign the feature"),
        (of(12), "sender-cannot-text", "high-volume (A2P)", "send from extension 101"),
        (of(8), "sender-cannot-text", "that no extension has", "admin portal"),
        ("106".into(), "sender-cannot-text", "extension 106 has no number", "give it one"),
        (of(4), "sender-inactive", "extension 104, which is disabled", "enable the extension"),
    ];
    for (from, code, problem, remedy) in refused {
        let (status, body) = post(from.clone()).await;
        let error = &body["errors"][0];
        assert_eq!(
            (status, &error["code"], &error["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(code), &json!("from")),
            "{body}"
        );
        assert!(error["problem"].as_str().unwrap().contains(problem), "{body}");
        assert!(error["remedy"].as_str().unwrap().contains(remedy), "{body}");
        // Only the field that is made for it gives a number back.
        let told = error["problem"].as_str().unwrap().to_owned() + error["remedy"].as_str().unwrap();
        assert!(!told.contains("555010"), "{body}");
        assert_eq!(error["value"], json!(from), "{body}");
    }
}

#[tokio::test]
async fn an_extension_number_that_nobody_knows_is_told_as_one_and_as_unread_until_all_were_read() {
    let post = async |server: &api::Server, from: &str| {
        let (status, body) = api::read(server.post(&json!({"from": from, "to": TO, "text": "x"}))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        body["errors"][0].clone()
    };
    // Nothing was read yet, as when a file is imported before the first worker starts.
    let (_folder, store) = sqlite().await;
    let nothing = Arc::new(SenderDirectory::try_new([]).unwrap());
    let unread = api::Server::of(producer_of(store.clone(), nothing), store).await;
    let error = post(&unread, "101").await;
    assert_eq!((&error["code"], &error["value"]), (&json!("sender-not-read"), &json!("101")), "{error}");
    for part in ["start a worker", "or write the number"] {
        assert!(error["remedy"].as_str().unwrap().contains(part), "{error}");
    }
    for number in ["123456789", "+1 (555) 010-0123"] {
        let error = post(&unread, number).await;
        assert_eq!((&error["code"], &error["value"]), (&json!("not-e164"), &json!(number)));
    }
    // A text that has slipped into the sender's place does not come back.
    assert_eq!(post(&unread, "Dear Ms Miller, 10:00").await.get("value"), None);

    let (_folder, store) = sqlite().await;
    let complete = serve(store, vec![facts("400101", &[(1, SMS)])], &[(1, Some("400101"))]).await;
    let error = post(&complete, "999").await;
    assert_eq!(error["code"], "unknown-sender", "{error}");
    assert!(error["remedy"].as_str().unwrap().contains("send from extension 101"), "{error}");
}

#[tokio::test]
async fn senders_are_listed_in_pages_and_by_extension_for_those_with_a_key() {
    let (_folder, store) = sqlite().await;
    let left = ExtensionFacts { connected_by: Vec::new(), ..facts("400104", &[(4, SMS)]) };
    let extensions = vec![facts("400101", &[(1, SMS)]), facts("400102", &[(2, SMS), (3, SMS)]), left];
    let server = serve(store, extensions, &[(9, None)]).await;
    assert_eq!(api::read(server.bare(Method::GET, "/v1/senders")).await.0, StatusCode::UNAUTHORIZED);
    let get = async |query: &str| api::read(server.call(Method::GET, &format!("/v1/senders{query}"))).await;
    let numbers = |answer: &Value| -> Vec<String> {
        let senders = answer["senders"].as_array().unwrap().iter();
        senders.map(|one| one["number"].as_str().unwrap().to_owned()).collect()
    };
    let of = |n: &[u32]| n.iter().map(|n| number(*n).expose().to_owned()).collect::<Vec<_>>();

    let (status, all) = get("").await;
    assert_eq!((status, numbers(&all), &all["next"]), (StatusCode::OK, of(&[1, 2, 3]), &Value::Null));
    let first = &all["senders"][0];
    let expected = json!({
        "number": number(1).expose(), "extension_id": "400101", "extension_number": "101", "name": "Ada Brook",
        "features": ["SmsSender"], "read_at": "1970-01-01T00:00:00.007Z",
    });
    assert_eq!(*first, expected);

    let (_, page) = get("?limit=2").await;
    assert_eq!((numbers(&page), &page["next"]), (of(&[1, 2]), &json!(number(2).expose())));
    for after in [page["next"].as_str().unwrap().replace('+', "%2B"), page["next"].as_str().unwrap().to_owned()] {
        let (_, rest) = get(&format!("?limit=2&after={after}")).await;
        assert_eq!((numbers(&rest), &rest["next"]), (of(&[3]), &Value::Null), "{after}");
    }
    for (extension, expected) in [("102", &[2, 3][..]), ("400102", &[2, 3]), ("104", &[]), ("555", &[])] {
        assert_eq!(numbers(&get(&format!("?extension={extension}")).await.1), of(expected), "{extension}");
    }
    for wrong in ["?limit=0", "?limit=1001", "?limit=x", "?after=abc", "?else=1", "?limit=1&limit=2"] {
        let (status, problem) = get(wrong).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::BAD_REQUEST, &json!("urn:ringfleet:problem:bad-query")),
            "{wrong}"
        );
    }
    assert_eq!(api::read(server.call(Method::POST, "/v1/senders")).await.0, StatusCode::METHOD_NOT_ALLOWED);
}
