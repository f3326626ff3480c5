//! What the API tells of a message whose turn comes in its recipient's quiet hours.

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use ringfleet_quiet::{QuietHours, Zone};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    FROM,
    api::{KEY, Server, read},
    producer, sqlite,
};
use crate::http::{Api, ApiKeys};

#[tokio::test]
async fn it_tells_the_zones_and_a_time_outside_them() {
    let zone = Zone::try_new("America/Los_Angeles").unwrap();
    let clock = |hours| zone.clock(Timestamp::now() + SignedDuration::from_hours(hours));
    let hours = QuietHours::try_new(clock(-2), clock(2), zone.clone(), true).unwrap();
    let (_folder, store) = sqlite().await;
    let keys = ApiKeys::try_new([SecretString::from(KEY)], []).unwrap();
    let api = Api::new(producer(store.clone()), store, keys, CancellationToken::new());
    let server = Server::serve(api.with_quiet_hours(Some(hours))).await;
    let shown = async |to: &str, priority: &str| {
        let draft = json!({"from": FROM, "to": to, "text": "See you on Monday", "priority": priority});
        let (_, answer) = read(server.post(&draft)).await;
        let (status, view) =
            read(server.call(Method::GET, &format!("/v1/messages/{}", answer["id"].as_str().unwrap()))).await;
        assert_eq!(status, StatusCode::OK);
        view
    };
    let asleep = shown("+16505550101", "normal").await;
    assert_eq!((&asleep["eta"]["kind"], &asleep["quiet_hours"]["until"]), (&json!("not-before"), &asleep["eta"]["at"]));
    let quiet = &asleep["quiet_hours"];
    assert_eq!((&quiet["zones"], &quiet["by_number"]), (&json!(["America/Los_Angeles"]), &json!(true)));
    // Eight hours later in the day; and one that is spared.
    for (to, priority, told) in [("+442071234567", "normal", true), ("+16505550102", "high", false)] {
        let awake = shown(to, priority).await;
        assert_eq!(awake["eta"]["kind"], "at", "{awake}");
        assert_eq!(awake.get("quiet_hours").is_some(), told);
        assert_eq!(awake["quiet_hours"]["until"], Value::Null);
    }
}
