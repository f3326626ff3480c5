//! What the page of the fleet tells while a part of the store does not answer, or what it held is gone.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use reqwest::StatusCode;
use ringfleet_store::redis::{RedisOptions, RedisStore};
use ringfleet_testkit::{RedisCluster, RedisServer, eventually};

use crate::{
    fleet::{AGAIN, FLEET, SOON, message, signed_in},
    rig::{Browser, Options, Rig, rules},
};

/// One that soon gives a server up.
fn options(url: String) -> RedisOptions {
    let second = Duration::from_secs(1);
    RedisOptions {
        allow_volatile: true,
        rules: rules(),
        connect_timeout: second,
        response_timeout: second,
        ..RedisOptions::new(url)
    }
}

#[tokio::test]
async fn while_a_part_of_the_store_is_silent_the_page_says_so_and_lets_newcomers_in() {
    let mut cluster = RedisCluster::start_with(&[("--cluster-require-full-coverage", "no")]);
    let urls = cluster.urls();
    let options = RedisOptions {
        cluster: true,
        shards: 3,
        prefix: "page".into(),
        urls: urls.clone(),
        ..options(urls[0].clone())
    };
    let store = Some(Arc::new(RedisStore::connect(options).await.unwrap()) as _);
    let rig = Rig::start(Options { store, address_header: true, ..Options::default() }).await;
    rig.store.enqueue(&[message("400900001", 1)]).await.unwrap();
    let watching = signed_in(&rig).await;
    let count = "1</strong> wait";
    watching.get(FLEET).await.shows(200, &[count]);

    let [first, second, silent] = [0, 1, 2].map(|shard| cluster.url_of(&format!("{{page:{shard}}}")));
    assert!(silent != first && silent != second, "nothing would answer, or all");
    let silent = urls.iter().position(|url| *url == silent).unwrap();
    cluster.nodes()[silent].freeze();
    eventually(SOON, async || watching.get(FLEET).await.status == StatusCode::SERVICE_UNAVAILABLE).await;
    let old = watching.get(FLEET).await;
    let in_part = "A part of the store does not answer.";
    old.shows(503, &[in_part, "What stands below is old: it was read", count, AGAIN]);
    for wrong in ["The store does not answer", "Nothing is lost", "messages wait until"] {
        assert!(!old.text.contains(wrong), "{wrong:?} stands in {}", old.text);
    }
    // Whether somebody has signed out is asked of one shard, which is another one for each browser.
    let mut newcomers = 0;
    let newcomer_is_let_in = async || {
        newcomers += 1;
        let forwarded = Some(Ipv4Addr::from(0xc633_6400_u32 + newcomers).to_string());
        let newcomer = Browser { forwarded, ..rig.browser() };
        newcomer.sign_in().await;
        newcomer.get(FLEET).await.text.contains(in_part)
    };
    eventually(SOON, newcomer_is_let_in).await;

    cluster.nodes()[silent].thaw();
    eventually(SOON, async || watching.get(FLEET).await.status == StatusCode::OK).await;
    let page = watching.get(FLEET).await;
    assert!(!page.text.contains(in_part) && !page.text.contains("is old"), "{}", page.text);
}

#[tokio::test]
async fn a_flushed_store_is_told_as_that_to_operators_who_had_not_opened_the_page_and_to_employees() {
    let server = RedisServer::start();
    let store = Some(Arc::new(RedisStore::connect(options(server.url())).await.unwrap()) as _);
    let rig = Rig::start(Options { store, ..Options::default() }).await;
    let (watching, fresh) = (signed_in(&rig).await, signed_in(&rig).await);
    let count = "1</strong> wait";
    rig.store.enqueue(&[message("400900001", 1)]).await.unwrap();
    watching.get(FLEET).await.shows(200, &[count]);

    assert!(server.ask(&["FLUSHALL"]).is_some_and(|reply| reply.starts_with("+OK")));
    let told = "store was flushed or exchanged";
    // The page is read anew only when it is old, a session with each load.
    let page = fresh.get(FLEET).await;
    page.shows(503, &[told, "nothing is handed in again", AGAIN]);
    assert!(!page.text.contains("does not answer") && !page.text.contains(count), "{}", page.text);
    eventually(SOON, async || watching.get(FLEET).await.text.contains("What stands below is old")).await;
    watching.get(FLEET).await.shows(503, &[told, "nothing is handed in again", count]);
    // It is not asked just now.
    fresh.get(FLEET).await.shows(503, &[told]);

    let employee = rig.browser();
    let form = employee.get("/connect").await.form();
    employee.post("/connect/start", &[("form", &form), ("invite", "")]).await.shows(503, &[told]);
}

#[tokio::test]
async fn what_journals_tell_of_another_store_stands_on_the_page_of_the_fleet() {
    let replaced = Some("journal <a> tells of another store than this one".to_owned());
    let rig = Rig::start(Options { store_replaced: replaced, ..Options::default() }).await;
    let page = signed_in(&rig).await.get(FLEET).await;
    page.shows(200, &["Journal &lt;a&gt; tells of another store than this one.", "There are no messages"]);
}
