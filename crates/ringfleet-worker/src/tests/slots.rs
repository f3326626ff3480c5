//! What a restarted store is told of logins and reads, where some of its shards do not answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::get};
use ringcentral::{ExtensionId, Read, Whose};
use ringfleet_identity::{Reader, Roster, Sessions};
use ringfleet_store::{Group, LaneId, RedisStore, SharedStore, WorkerId, redis::RedisOptions};
use ringfleet_testkit::RedisCluster;
use serde_json::json;

use super::rig::{LEASE, PATIENCE, credential, lane, provider, vault};

const SHARDS: u16 = 3;
/// Of a call to a shard that does not answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Each with a login and a read; several live on each of the shards.
const EXTENSIONS: std::ops::RangeInclusive<u32> = 101..=112;

#[tokio::test]
async fn a_shard_that_does_not_answer_costs_one_deadline_whatever_it_is_to_be_told() {
    let mut cluster = RedisCluster::start();
    let (urls, prefix) = (cluster.urls(), "slots".to_owned());
    let options = RedisOptions {
        urls,
        cluster: true,
        shards: SHARDS,
        prefix,
        allow_volatile: true,
        response_timeout: DEADLINE,
        ..RedisOptions::new("")
    };
    let store: SharedStore = Arc::new(RedisStore::connect(options).await.unwrap());
    let all = LaneId::try_new("main", "*", Group::Auth).unwrap();
    store.set_parked(&all, Some("each extension has its own budget of logins")).await.unwrap();
    let read = get(async || Json(json!({"id": 101})));
    let client = provider(Router::new().route("/restapi/v1.0/account/~/extension/~", read)).await;
    let roster = Roster::fixed(EXTENSIONS.map(|extension| credential(&extension.to_string())));
    let sessions = Arc::new(Sessions::new(vault(store.clone()), roster, client, WorkerId::incarnation("w"), LEASE));
    let reader = Reader::new(sessions.clone());
    for extension in EXTENSIONS {
        let extension = ExtensionId::try_new(&extension.to_string()).unwrap();
        let read = Read::extension(Whose::Own);
        reader.read(&extension, &read, PATIENCE).await.map(drop).unwrap();
    }
    sessions.reassert_slots().await.unwrap();

    cluster.nodes()[0].freeze();
    let mut asked = EXTENSIONS;
    let is_silent = async |extension: u32| store.lane(&lane(&extension.to_string())).await.is_err();
    loop {
        let extension = asked.next().expect("none of them lives where nobody answers");
        if is_silent(extension).await {
            break;
        }
    }
    let began = Instant::now();
    assert!(sessions.reassert_slots().await.is_err());
    let took = began.elapsed();
    // One after the other they would take three.
    assert!(took < 2 * DEADLINE, "{took:?}");
}
