//! An employee connects an extension.

use std::{sync::Arc, time::Duration};

use reqwest::StatusCode;
use ringfleet_identity::{Credential, Login, Method};
use ringfleet_store::{
    DocKind, Group, LaneId,
    redis::{RedisOptions, RedisStore},
};
use ringfleet_testkit::{FaultProxy, RedisServer, eventually};

use crate::rig::{Options, Rig, rules};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_employee_connects_an_extension_and_the_credential_lies_sealed_in_the_store() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let page = browser.get("/connect").await;
    page.shows(200, &["Connect my extension", "never sees your password", &rig.simulator.base_url()]);
    let authorize = browser.begin("/connect").await;
    for part in ["response_type=code", "code_challenge_method=S256", "code_challenge=", "state="] {
        assert!(authorize.contains(part), "{authorize}");
    }
    let back = browser.decide(&authorize, 1, "allow").await;
    assert!(back.starts_with(&format!("{}/connect/callback?code=", rig.base[0])), "{back}");
    let page = browser.get(&back).await;
    page.shows(200, &["Extension 102 is connected", "can now send texts"]);

    let credential = rig.credential(1).await.unwrap();
    assert!(credential.enabled && credential.facts.scope.contains(&"SMS".to_owned()), "{credential:?}");
    let (now, week) = (rig.store.now().await.unwrap(), 7 * 86_400_000);
    let ends = credential.facts.ends_at.unwrap();
    assert!((now + week - 60_000..=now + week).contains(&ends), "{ends}");
    let Login::Code { refresh, .. } = &credential.login else { panic!("{credential:?}") };
    let key = format!("main/{}/code", rig.id(1));
    let doc = rig.store.doc_get(DocKind::Credential, &key).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&doc.body).contains(refresh.expose()), "the refresh token lies open in the store");
    assert_eq!(rig.refresh(refresh.expose()).await, StatusCode::OK);
}

#[tokio::test]
async fn an_app_with_permissions_without_end_is_connected_all_the_same() {
    let permissions = ["SMS".to_owned()].into_iter().chain((0..9_000).map(|n| format!("P{n}"))).collect();
    let rig = Rig::start(Options { permissions: Some(permissions), ..Options::default() }).await;
    rig.browser().connect(0).await.shows(200, &["can now send texts"]);
    let scope = rig.credential(0).await.unwrap().facts.scope;
    assert_eq!((scope.len(), scope[0].as_str()), (200, "SMS"));
}

#[tokio::test]
async fn a_login_that_begins_at_one_process_ends_at_another() {
    let rig = Rig::start(Options::default()).await;
    let mut browser = rig.browser();
    let authorize = browser.begin("/connect").await;
    let back = browser.decide(&authorize, 0, "allow").await;
    browser.process = 1;
    browser.get(&back).await.shows(200, &["Extension 101 is connected"]);
    assert!(rig.credential(0).await.is_some());
}

#[tokio::test]
async fn the_good_end_is_told_again_when_the_page_is_loaded_again() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let authorize = browser.begin("/connect").await;
    let back = browser.decide(&authorize, 0, "allow").await;
    browser.get(&back).await.shows(200, &["is connected"]);
    let logins = rig.simulator.report().auth_requests;
    browser.get(&back).await.shows(200, &["Your extension is connected", rig.id(0).as_str()]);
    assert_eq!(rig.simulator.report().auth_requests, logins, "the code was presented twice");
}

#[tokio::test]
async fn connecting_again_takes_the_place_of_the_connection_before_and_ends_its_session() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    browser.connect(0).await.shows(200, &["is connected"]);
    let before = rig.credential(0).await.unwrap();
    rig.vault
        .change(&rig.id(0), before.login.method(), |c| {
            c.prefer = 3;
            true
        })
        .await
        .unwrap();
    browser.connect(0).await.shows(200, &["is connected", "can now send texts"]);
    let after = rig.credential(0).await.unwrap();
    assert_eq!((after.prefer, after.enabled), (3, true));
    let (Login::Code { refresh: old, .. }, Login::Code { refresh: new, .. }) = (&before.login, &after.login) else {
        panic!("{before:?} {after:?}")
    };
    assert_eq!(rig.refresh(old.expose()).await, StatusCode::BAD_REQUEST);
    assert_eq!(rig.refresh(new.expose()).await, StatusCode::OK);
}

#[tokio::test]
async fn an_employee_who_connects_again_does_not_undo_an_operators_switch_off_and_is_told_of_it() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    browser.connect(0).await.shows(200, &["is connected"]);
    let before = rig.credential(0).await.unwrap();
    let switch = async |on: bool| {
        let set = |credential: &mut Credential| {
            credential.enabled = on;
            true
        };
        rig.vault.change(&rig.id(0), Method::Code, set).await.unwrap();
    };
    switch(false).await;
    let authorize = browser.begin("/connect").await;
    let back = browser.decide(&authorize, 0, "allow").await;
    let (page, again) = (browser.get(&back).await, browser.get(&back).await);
    for page in [page, again] {
        page.shows(200, &["An operator has switched this connection off", "only when they switch it on again"]);
        for part in ["can now send texts", "nothing else to do"] {
            assert!(!page.text.contains(part), "{}", page.text);
        }
    }
    let after = rig.credential(0).await.unwrap();
    assert!(!after.enabled, "an employee has switched it on");
    let (Login::Code { refresh: old, .. }, Login::Code { refresh: new, .. }) = (&before.login, &after.login) else {
        panic!("{before:?} {after:?}")
    };
    assert_eq!(rig.refresh(old.expose()).await, StatusCode::BAD_REQUEST);
    assert_eq!(rig.refresh(new.expose()).await, StatusCode::OK, "the new connection is not kept");

    switch(true).await;
    let page = browser.get(&back).await;
    assert!(!page.text.contains("switched this connection off"), "{}", page.text);
    // One that an operator has taken away leaves nothing behind that would be heeded.
    switch(false).await;
    assert!(rig.vault.remove(&rig.id(0), Method::Code).await.unwrap());
    browser.connect(0).await.shows(200, &["is connected", "can now send texts"]);
    assert!(rig.credential(0).await.unwrap().enabled);
}

#[tokio::test]
async fn an_app_without_the_permission_to_text_is_told_at_once() {
    let rig = Rig::start(Options::default()).await;
    rig.admin(reqwest::Method::PATCH, "app", &serde_json::json!({"permissions": ["ReadAccounts"]})).await;
    rig.browser().connect(0).await.shows(200, &["is connected", "lacks the permission SMS"]);
}

#[tokio::test]
async fn every_employee_can_connect_at_the_same_time() {
    let rig = Rig::start(Options::default()).await;
    let all = (0..5).map(|extension| {
        let browser = rig.browser();
        async move { browser.connect(extension).await.shows(200, &["is connected"]) }
    });
    futures::future::join_all(all).await;
    let report = rig.simulator.report();
    assert_eq!((report.auth_429, report.sessions_max, report.over_plan), (0, 1, 0), "{report:?}");
}

#[tokio::test]
async fn a_login_is_counted_in_the_budget_that_the_fleet_has_found_it_to_spend() {
    for (known, shared) in [
        (None, false),
        (Some("each extension has its own budget of logins"), false),
        (Some("logins share one budget"), true),
    ] {
        let rig = Rig::start(Options::default()).await;
        let lane = |whose: &str| LaneId::try_new("main", whose, Group::Auth).unwrap();
        let (all, own) = (lane("*"), lane(rig.id(0).as_str()));
        if let Some(known) = known {
            rig.store.set_parked(&all, Some(known)).await.unwrap();
        }
        rig.browser().connect(0).await.shows(200, &["Extension 101 is connected"]);
        let used = async |lane: &LaneId| rig.store.lane(lane).await.unwrap().slots_in_use;
        let expected = if shared { (1, 0) } else { (0, 1) };
        assert_eq!((used(&all).await, used(&own).await), expected, "{known:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_kept_lives_although_nobody_heard_the_answer_to_its_writing() {
    for can_look in [true, false] {
        let server = RedisServer::start();
        let proxy = FaultProxy::start(server.address());
        let mut options =
            RedisOptions { allow_volatile: true, rules: rules(), ..RedisOptions::new(proxy.url("redis")) };
        (options.connect_timeout, options.response_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        let store = Some(Arc::new(RedisStore::connect(options).await.unwrap()) as _);
        let rig = Rig::start(Options { store, ..Options::default() }).await;
        // In the record of a credential alone.
        proxy.drop_next_reply_of(b"\"prefer\":");
        let browser = rig.browser();
        let page = if can_look {
            browser.connect(0).await
        } else {
            // Whoever loses its connection finds no way back before all looks for the credential are lost too.
            proxy.refuse(true);
            let key = format!("main/{}/code", rig.id(0));
            let lose_looks = async {
                eventually(SOON, async || proxy.dropped() == 1).await;
                (0..3).for_each(|_| proxy.drop_next_reply_of(key.as_bytes()));
                proxy.refuse(false);
            };
            futures::join!(browser.connect(0), lose_looks).0
        };
        if can_look {
            page.shows(200, &["Extension 101 is connected"]);
        } else {
            page.shows(503, &["What to do"]);
        }
        assert!(proxy.dropped() >= 1);
        proxy.heal();
        eventually(SOON, async || rig.store.ping().await.is_ok()).await;
        let credential = rig.credential(0).await.expect("the store had taken it");
        let Login::Code { refresh, .. } = &credential.login else { panic!("{credential:?}") };
        assert_eq!(rig.refresh(refresh.expose()).await, StatusCode::OK, "its session was ended");
    }
}
