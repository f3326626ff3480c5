//! Subscriptions on the wire.

mod support;

use std::time::Duration;

use ringcentral::*;
use support::{Stub, answer, extension, token};

const ID: &str = "95fecfc9-9cdc-4e94-a78a-89fd65889d37";
const ACTIVE: &str = r#"{"id":"95fecfc9-9cdc-4e94-a78a-89fd65889d37","status":"Active",
    "eventFilters":["/restapi/v1.0/account/~/extension/~/message-store?type=SMS&direction=Outbound"],
    "disabledFilters":[{"filter":"/restapi/v1.0/account/~/presence","reason":"SUB-405","message":"canary"}],
    "deliveryMode":{"transportType":"WebHook","address":"https://hooks.example/canary"}}"#;

#[tokio::test]
async fn subscription_is_made_read_renewed_and_ended() {
    let list = format!(r#"{{"uri":"x","records":[{ACTIVE}]}}"#);
    let stub = Stub::start(vec![
        answer(200, &[], ACTIVE),
        answer(200, &[], &list),
        answer(200, &[], ACTIVE),
        answer(200, &[], ACTIVE),
        answer(204, &[], ""),
    ])
    .await;
    let (client, extension, token) = (stub.client(), extension(), token());
    let caller = Caller { extension: &extension, token: &token };
    let filters = [EventFilter::outbound_sms(Whose::Own), EventFilter::inbound_sms(Whose::Extension(&extension))];
    let address = WebhookAddress::try_new("https://hooks.example/canary").expect("valid");
    let secret = VerificationToken::try_new("canary-verify").expect("valid");
    let new = NewSubscription {
        filters: &filters,
        address: &address,
        verification_token: Some(&secret),
        expires_in: Some(Duration::from_secs(604_799)),
    };
    assert!(!format!("{new:?}").contains("canary"));
    let made = client.create_subscription(caller, new).await.expect("made").value;
    assert_eq!((made.id.as_str(), made.status), (ID, SubscriptionStatus::Active));
    assert_eq!(made.disabled_filters.len(), 1);
    assert!(!format!("{made:?}").contains("canary"));

    let page = client.read_page(caller, &Read::subscriptions()).await.expect("a list").value;
    assert!(page.records.len() == 1 && page.next.is_none());
    client.read(caller, &Read::subscription(&made.id)).await.expect("one");
    client.renew_subscription(caller, &made.id).await.expect("renewed");
    client.delete_subscription(caller, &made.id).await.expect("ended");

    let seen = stub.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line().trim_end_matches(" HTTP/1.1").to_owned()).collect();
    let one = format!("/restapi/v1.0/subscription/{ID}");
    let expected = [
        "POST /restapi/v1.0/subscription".to_owned(),
        "GET /restapi/v1.0/subscription".to_owned(),
        format!("GET {one}"),
        format!("POST {one}/renew"),
        format!("DELETE {one}"),
    ];
    assert_eq!(lines, expected);
    assert!(seen.iter().all(|seen| seen.header("authorization") == Some("Bearer canary-token")));
    let body: serde_json::Value = serde_json::from_str(&seen[0].body).expect("json");
    let expected = serde_json::json!({
        "eventFilters": [
            "/restapi/v1.0/account/~/extension/~/message-store?type=SMS&direction=Outbound",
            "/restapi/v1.0/account/~/extension/101/message-store/instant?type=SMS",
        ],
        "deliveryMode": {
            "transportType": "WebHook",
            "address": "https://hooks.example/canary",
            "verificationToken": "canary-verify",
        },
        "expiresIn": 604_799,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn refused_webhook_is_told_by_its_code_and_asked_once() {
    let body = r#"{"errorCode":"SUB-521","message":"https://hooks.example/canary is not reachable"}"#;
    let stub = Stub::start(vec![answer(400, &[], body)]).await;
    let (client, extension, token) = (stub.client(), extension(), token());
    let filters = [EventFilter::outbound_sms(Whose::Own)];
    let address = WebhookAddress::try_new("https://hooks.example/canary").expect("valid");
    let new = NewSubscription { filters: &filters, address: &address, verification_token: None, expires_in: None };
    let caller = Caller { extension: &extension, token: &token };
    let error = client.create_subscription(caller, new).await.expect_err("refused");
    assert_eq!(error.provider().expect("an error of the provider").code_str(), "SUB-521");
    assert!(!format!("{error:?} {error}").contains("canary"));
    assert_eq!(stub.seen().len(), 1);
    let body: serde_json::Value = serde_json::from_str(&stub.seen()[0].body).expect("json");
    assert_eq!(body["deliveryMode"].as_object().map(serde_json::Map::len), Some(2));
}
