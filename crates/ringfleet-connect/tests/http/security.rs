//! What nobody can do who should not.

use reqwest::{Method as Verb, StatusCode, header};
use ringfleet_store::{DocKind, MessageId};

use crate::rig::{KEY, Options, Page, Rig};

fn is_guarded(page: &Page) {
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
        assert_eq!(page.header(name), value);
    }
    assert_eq!(page.header("x-frame-options"), "DENY");
    let html = page.header("content-type").starts_with("text/html");
    assert!(!html || page.header("cache-control") == "no-store");
    assert!(!page.text.contains("<script") && !page.text.contains("style=\""), "{}", page.text);
}

#[tokio::test]
async fn every_page_carries_the_headers_that_hold_browsers_back() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    for (path, status) in [
        ("/connect", 200),
        ("/connect/style.css", 200),
        ("/connect/operator", 200),
        ("/connect/extensions", 303),
        ("/connect/fleet", 303),
        ("/connect/fleet/message", 303),
        ("/connect/callback?state=x", 400),
        ("/connect/start", 405),
        ("/connect?invite=x", 410),
        ("/nothing", 404),
        ("/", 303),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        is_guarded(&page);
    }
    is_guarded(&browser.connect(0).await);
    browser.sign_in().await;
    for path in ["/connect/extensions", "/connect/fleet", "/connect/fleet/message", "/connect/fleet/extension?id=1"] {
        is_guarded(&browser.get(path).await);
    }
}

#[tokio::test]
async fn cookies_are_out_of_reach_of_scripts_and_of_other_sites() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let page = browser.get("/connect").await;
    let cookie = page.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
    let answer = browser.post("/connect/operator", &[("form", &page.form()), ("key", KEY)]).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(cookie.contains("Max-Age=3600") && !cookie.contains(KEY), "{cookie}");
}

#[tokio::test]
async fn nobody_finishes_the_login_of_another_browser_and_its_owner_still_can() {
    let rig = Rig::start(Options::default()).await;
    let (owner, thief, stranger) = (rig.browser(), rig.browser(), rig.browser());
    let back = owner.decide(&owner.begin("/connect").await, 0, "allow").await;
    thief.get("/connect").await;
    thief.get(&back).await.shows(403, &["Begun in another browser"]);
    stranger.get(&back).await.shows(403, &["Begun in another browser"]);
    assert_eq!(rig.simulator.report().auth_requests, 0, "the code was exchanged for a stranger");
    owner.get(&back).await.shows(200, &["Extension 101 is connected"]);

    // The other way round: a login of the thief's, slipped into the owner's browser.
    let back = thief.decide(&thief.begin("/connect").await, 1, "allow").await;
    owner.get(&back).await.shows(403, &["Begun in another browser"]);
    assert!(rig.credential(1).await.is_none());
}

#[tokio::test]
async fn a_state_is_good_once_also_when_two_requests_come_at_once() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let back = browser.decide(&browser.begin("/connect").await, 0, "allow").await;
    let mut other = rig.browser();
    *other.cookies.get_mut().unwrap() = browser.cookies.lock().unwrap().clone();
    other.process = 1;
    let (one, two) = tokio::join!(browser.get(&back), other.get(&back));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    // The later one either loses, or finds the good end told.
    assert!([[200, 409], [200, 200]].contains(&statuses), "{statuses:?}");
    let url = format!("{}/simulator/ledger", rig.simulator.base_url());
    let ledger = rig.http.get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(ledger.matches("\"grant\":\"authorization_code\"").count(), 1, "{ledger}");
}

#[tokio::test]
async fn forms_of_other_sites_begin_nothing() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let page = browser.get("/connect").await;
    let stranger = rig.browser().get("/connect").await;
    for form in ["", "x", &stranger.form()] {
        browser.post("/connect/start", &[("form", form)]).await.shows(403, &["open too long"]);
    }
    let token = page.form();
    let from = |site: &'static str| {
        let request = browser.request(Verb::POST, "/connect/start").form(&[("form", token.as_str())]);
        browser.send(request.header("sec-fetch-site", site))
    };
    from("cross-site").await.shows(403, &["open too long"]);
    from("same-site").await.shows(403, &["open too long"]);
    let logins = rig.store.docs_since(DocKind::Login, &Default::default(), 10).await.unwrap();
    assert!(logins.changed.is_empty());
    from("same-origin").await.shows(200, &["Taking you to RingCentral"]);
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    browser.connect(0).await.shows(200, &["is connected"]);
    browser.sign_in().await;
    let kinds = [DocKind::Login, DocKind::Credential];
    let before = docs(&rig, kinds).await;
    let id = rig.id(0);
    for path in [
        "/connect".to_owned(),
        "/connect/start".to_owned(),
        "/connect/extensions".to_owned(),
        "/connect/fleet".to_owned(),
        format!("/connect/fleet/message?id={}", MessageId::random()),
        format!("/connect/fleet/extension?id={id}"),
        "/connect/operator/leave".to_owned(),
        "/connect/invitations".to_owned(),
        format!("/connect/extensions/{id}/code/switch?on=false"),
        format!("/connect/extensions/{id}/code/disconnect"),
    ] {
        browser.get(&path).await;
    }
    assert_eq!(docs(&rig, kinds).await, before);
    browser.get("/connect/extensions").await.shows(200, &[id.as_str()]);
}

async fn docs(rig: &Rig, kinds: [DocKind; 2]) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for kind in kinds {
        let changes = rig.store.docs_since(kind, &Default::default(), 100).await.unwrap();
        all.extend(changes.changed.into_iter().map(|doc| (doc.key, doc.rev)));
    }
    all
}

#[tokio::test]
async fn large_bodies_are_not_read() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let large = "x".repeat(20_000);
    browser.post("/connect/start", &[("form", &large)]).await.shows(413, &["Too large"]);
}

#[tokio::test]
async fn one_address_can_not_try_for_ever() {
    let rig = Rig::start(Options { address_header: true, ..Options::default() }).await;
    let mut browser = rig.browser();
    browser.forwarded = Some("198.51.100.1".into());
    let form = browser.get("/connect/operator").await.form();
    let mut last = StatusCode::OK;
    for n in 0..11 {
        let key = format!("wrong-key-{n}-0123456789");
        let page = browser.post("/connect/operator", &[("form", &form), ("key", &key)]).await;
        assert!(!page.text.contains("wrong-key"));
        last = page.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let page = browser.post("/connect/operator", &[("form", &form), ("key", KEY)]).await;
    assert!(page.header("retry-after").parse::<u64>().unwrap() <= 60, "the right key passed a closed door");
    // Thirty at once, then one every two seconds, of which a slow machine may see some.
    let mut statuses = Vec::new();
    for n in 0..60 {
        statuses.push(browser.get(&format!("/connect/callback?code=x&state={n}")).await.status);
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    browser.forwarded = Some("198.51.100.2".into());
    browser.get("/connect/callback?code=x&state=y").await.shows(400, &["too old"]);
}

#[tokio::test]
async fn what_comes_from_no_page_of_ours_uses_up_nobodys_limit() {
    let rig = Rig::start(Options::default()).await;
    let stranger = rig.browser();
    // More than everybody together may do.
    for (path, times) in [("/connect/start", 350), ("/connect/operator", 80)] {
        for _ in 0..times {
            stranger.post(path, &[("form", "x"), ("key", "x")]).await.shows(403, &["open too long"]);
        }
    }
    // From the same address.
    rig.browser().begin("/connect").await;
    rig.browser().sign_in().await;
}

#[tokio::test]
async fn the_wrong_keys_of_many_shut_out_nobody_with_the_right_one() {
    let rig = Rig::start(Options { address_header: true, ..Options::default() }).await;
    let mut browser = rig.browser();
    let form = browser.get("/connect/operator").await.form();
    let mut turned_away = 0;
    for n in 0..90 {
        browser.forwarded = Some(format!("198.51.100.{}", n / 10));
        let page = browser.post("/connect/operator", &[("form", &form), ("key", "wrong-key-0123456789")]).await;
        turned_away += usize::from(page.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(turned_away > 0, "wrong keys have no limit");
    browser.forwarded = Some("203.0.113.1".into());
    browser.sign_in().await;
}

#[tokio::test]
async fn the_made_up_callbacks_of_many_shut_out_nobody_who_comes_back() {
    let rig = Rig::start(Options { address_header: true, ..Options::default() }).await;
    let mut stranger = rig.browser();
    for n in 0..660 {
        stranger.forwarded = Some(format!("198.51.100.{}", n / 30));
        let page = stranger.get(&format!("/connect/callback?code=x&state={n}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
    }
    rig.browser().connect(0).await.shows(200, &["is connected"]);
}

#[tokio::test]
async fn no_page_tells_a_secret() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let authorize = browser.begin("/connect").await;
    let back = browser.decide(&authorize, 0, "allow").await;
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let state = authorize.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let mut pages = vec![browser.get(&back).await, browser.get(&back).await];
    let credential = rig.credential(0).await.unwrap();
    let ringfleet_identity::Login::Code { refresh, .. } = &credential.login else { panic!("{credential:?}") };
    browser.sign_in().await;
    pages.push(browser.get("/connect/extensions").await);
    rig.refuse(403, "OAU-108");
    pages.push(browser.connect(1).await);
    let cookies: Vec<String> = browser.cookies.lock().unwrap().values().cloned().collect();
    let secrets = [code, state, refresh.expose(), rig.simulator.client_secret(), KEY];
    for secret in secrets.into_iter().chain(cookies.iter().map(String::as_str)) {
        assert!(pages.iter().all(|page| !page.text.contains(secret)), "a page shows {secret}");
    }
    assert!(pages.iter().all(|page| page.headers.get(header::LOCATION).is_none()));
}
