//! What the page of the fleet tells while a part of the store does not answer.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use reqwest::StatusCode;
use ringfleet_store::redis::{RedisOptions, RedisStore};
use ringfleet_testkit::{RedisCluster, eventually};

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
