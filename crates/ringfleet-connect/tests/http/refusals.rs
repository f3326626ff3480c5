//! Everything that can go wrong between the button and the good end, and what the person is told.

use reqwest::{Method as Verb, StatusCode};
use ringfleet_identity::LoginBudget;
use ringfleet_store::{DocKind, Group, LaneId};
use serde_json::json;

use crate::rig::{Browser, Options, Rig};

/// Each page says what happened, what to do, and the code; and nothing is connected.
async fn refused(rig: &Rig, status: u16, parts: &[&str]) {
    let page = rig.browser().connect(0).await;
    page.shows(status, &[parts, &["What to do"]].concat());
    assert!(rig.credential(0).await.is_none());
}

#[tokio::test]
async fn one_who_says_no_is_believed() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let authorize = browser.begin("/connect").await;
    let back = browser.decide(&authorize, 0, "deny").await;
    browser.get(&back).await.shows(403, &["did not allow access", "Nothing was connected", "begin again"]);
    browser.get(&back).await.shows(409, &["used already"]);
    assert!(rig.credential(0).await.is_none());
}

#[tokio::test]
async fn other_errors_that_the_provider_sends_back_are_explained() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let back = |authorize: &str, what: &str| format!("/connect/callback?{what}&state={}", state_of(authorize));
    let said = "error=unauthorized_client&error_description=OAU-112%20%3Cscript%3Ealert(1)%3C/script%3E";
    let page = browser.get(&back(&browser.begin("/connect").await, said)).await;
    page.shows(502, &["sent you back", "OAU-112", "may not use this way of signing in", "app's auth settings"]);
    assert!(!page.text.contains("alert(1)"), "{}", page.text);
    browser.get(&back(&browser.begin("/connect").await, "x=y")).await.shows(400, &["Something is missing"]);
}

fn state_of(authorize: &str) -> &str {
    authorize.split("state=").nth(1).unwrap().split('&').next().unwrap()
}

#[tokio::test]
async fn a_state_that_was_never_given_out_or_is_over_leads_nowhere() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    for query in ["", "?code=x", "?code=x&state=", "?code=x&state=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        browser.get(&format!("/connect/callback{query}")).await.shows(400, &["too old"]);
    }
    let authorize = browser.begin("/connect").await;
    let back = browser.decide(&authorize, 0, "allow").await;
    // The document's time is over.
    let logins = rig.store.docs_since(DocKind::Login, &Default::default(), 10).await.unwrap();
    for doc in logins.changed {
        rig.store.doc_put(DocKind::Login, &doc.key, ringfleet_store::Expect::Anything, None, None).await.unwrap();
    }
    browser.get(&back).await.shows(400, &["too old", "quarter of an hour"]);
    assert_eq!(rig.simulator.report().auth_requests, 0);
}

#[tokio::test]
async fn an_address_that_cant_be_read_is_told_on_a_page_like_all_others() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    browser.sign_in().await;
    for (address, button) in [
        ("/connect?invite=x&invite=canary", "Begin again"),
        ("/connect/callback?state=x&state=canary", "Begin again"),
        ("/connect/callback?code=x&code=canary&state=x", "Begin again"),
        ("/connect/extensions?page=canary", "To the list"),
        ("/connect/extensions?page=-1", "To the list"),
        ("/connect/extensions?q=x&q=canary", "To the list"),
    ] {
        let page = browser.get(address).await;
        page.shows(400, &["<!DOCTYPE html>", "This address can't be read", "What to do", button]);
        assert!(!page.text.contains("canary") && !page.text.contains("deserialize"), "{address}: {}", page.text);
    }
    // The list tells nothing to those without a key.
    assert_eq!(rig.browser().get("/connect/extensions?page=x").await.status, StatusCode::SEE_OTHER);
    browser.get("/connect?utm=x&utm=y").await.shows(200, &["Connect your extension"]);
}

#[tokio::test]
async fn codes_that_the_provider_refuses_are_told_apart() {
    let rig = Rig::start(Options::default()).await;
    let uri = format!("{}/connect/callback", rig.base[0]);
    for (status, code, answer, parts) in [
        (403, "OAU-106", 400, ["did not accept the sign-in", "Begin again"]),
        (403, "OAU-108", 400, ["took too long", "about a minute"]),
        (403, "OAU-110", 400, ["did not accept the sign-in", "another app"]),
        (403, "OAU-109", 502, ["not set up for this page", uri.as_str()]),
        (403, "OAU-113", 502, ["not set up for this page", uri.as_str()]),
        (403, "OAU-112", 502, ["not set up right", "enable the flow"]),
        (401, "OAU-146", 502, ["not set up right", "client secret"]),
        (401, "OAU-123", 502, ["not set up right", "no client id and secret"]),
        (401, "OAU-141", 403, ["can&#39;t be connected", "enable and activate the extension"]),
        (403, "OAU-105", 403, ["can&#39;t be connected", "sign in as a user"]),
    ] {
        rig.refuse(status, code);
        let parts: Vec<String> = parts.iter().map(|part| part.replace("&#39;", "'")).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).chain([code]).collect();
        refused(&rig, answer, &parts).await;
    }
}

#[tokio::test]
async fn a_provider_that_is_away_or_throttles_is_told_with_what_to_wait_for() {
    let rig = Rig::start(Options::default()).await;
    rig.fault("token", json!({"kind": "error_before", "status": 502}));
    refused(&rig, 502, &["RingCentral does not answer", "in a few minutes"]).await;
    rig.fault("token", json!({"kind": "reset_before"}));
    refused(&rig, 502, &["RingCentral does not answer"]).await;
    rig.fault("token", json!({"kind": "accept_then_hang"}));
    refused(&rig, 502, &["RingCentral does not answer"]).await;
    rig.fault("token", json!({"kind": "throttle", "retry_after": 7, "headers": false}));
    let page = rig.browser().connect(0).await;
    page.shows(429, &["Too many at once", "Wait 7 seconds"]);
    assert_eq!(page.header("retry-after"), "7");
    assert!(rig.credential(0).await.is_none());
    // The whole fleet knows, so that nobody asks again in the penalty; whose the budget is, nobody knows by that.
    let budget = LoginBudget::read(&rig.store, "main").await.unwrap();
    assert_eq!((budget.of_the_app, budget.penalty_until.is_some()), (None, true));
}

#[tokio::test]
async fn before_anybody_knows_whose_the_budget_is_one_who_connects_again_and_again_makes_all_wait_and_no_more() {
    let rig = Rig::start(Options { logins_a_minute: Some(5), ..Options::default() }).await;
    for _ in 0..3 {
        rig.browser().connect(0).await.shows(200, &["Extension 101 is connected"]);
    }
    rig.browser().connect(0).await.shows(429, &["Too many at once"]);
    let asked = rig.simulator.report().auth_requests;
    rig.browser().connect(1).await.shows(429, &["Too many at once"]);
    assert_eq!(rig.simulator.report().auth_requests, asked, "it may be everybody's penalty");
    let budget = LoginBudget::read(&rig.store, "main").await.unwrap();
    assert_eq!((budget.of_the_app, budget.penalty_until.is_some()), (None, true));
}

#[tokio::test]
async fn one_who_connects_again_and_again_spends_their_own_logins_alone() {
    let rig = Rig::start(Options { logins_a_minute: Some(5), ..Options::default() }).await;
    let all = LaneId::try_new("main", "*", Group::Auth).unwrap();
    rig.store.set_parked(&all, Some("each extension has its own budget of logins")).await.unwrap();
    for _ in 0..3 {
        rig.browser().connect(0).await.shows(200, &["Extension 101 is connected"]);
    }
    rig.browser().connect(0).await.shows(429, &["Too many at once"]);
    let budget = LoginBudget::read(&rig.store, "main").await.unwrap();
    assert_eq!((budget.of_the_app, budget.penalty_until), (Some(false), None));
    rig.browser().connect(1).await.shows(200, &["Extension 102 is connected"]);
}

#[tokio::test]
async fn an_app_that_issues_no_refresh_tokens_is_told_where_to_switch_them_on() {
    let rig = Rig::start(Options { no_refresh_tokens: true, ..Options::default() }).await;
    refused(&rig, 502, &["no lasting connection", "Issue refresh tokens", "developer console"]).await;
    // The session that can't be kept is ended again.
    assert!(session_is_over(&rig).await);
}

/// The last thing at the token endpoint was a revocation.
async fn session_is_over(rig: &Rig) -> bool {
    let url = format!("{}/simulator/ledger", rig.simulator.base_url());
    let ledger = rig.http.get(url).send().await.unwrap().text().await.unwrap();
    ledger.lines().last().unwrap().contains("\"outcome\":\"revoked\"")
}

#[tokio::test]
async fn only_extensions_of_the_permitted_account_are_connected() {
    let account = Rig::start(Options::default()).await.accounts[0].account_id.clone();
    let rig = Rig::start(Options { account: Some(account), ..Options::default() }).await;
    rig.browser().connect(0).await.shows(200, &["Extension 101 is connected"]);

    let rig = Rig::start(Options { account: Some("12345".into()), ..Options::default() }).await;
    refused(&rig, 403, &["another company", "work account"]).await;
    assert!(session_is_over(&rig).await);

    // What can't be checked is not let in.
    rig.admin(Verb::PATCH, "app", &json!({"permissions": ["SMS"]})).await;
    refused(&rig, 502, &["could not be checked", "CMN-401", "add the permission"]).await;
}

#[tokio::test]
async fn an_unregistered_redirect_uri_is_refused_by_the_provider_itself() {
    let rig = Rig::start(Options { not_registered: true, ..Options::default() }).await;
    let authorize = rig.browser().begin("/connect").await;
    let answer = rig.http.get(authorize).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text().await.unwrap().contains("OAU-113"));
}

async fn invited(browser: &Browser<'_>, extension: &str) -> String {
    browser.sign_in().await;
    let list = browser.get("/connect/extensions").await;
    let page = browser.post("/connect/invitations", &[("form", &list.form()), ("extension", extension)]).await;
    page.shows(200, &["Invitation for", extension, "Good until"]);
    let (_, link) = page.text.split_once("class=\"copy\">").unwrap();
    link.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_invitation_connects_the_extension_that_it_names_and_no_other() {
    let rig = Rig::start(Options::default()).await;
    let link = invited(&rig.browser(), rig.id(2).as_str()).await;
    let employee = rig.browser();
    employee.get(&link).await.shows(200, &["You are invited", rig.id(2).as_str()]);
    let back = employee.decide(&employee.begin(&link).await, 0, "allow").await;
    employee.get(&back).await.shows(403, &["not the extension that was invited", rig.id(0).as_str()]);
    assert!(rig.credential(0).await.is_none() && session_is_over(&rig).await);
    let back = employee.decide(&employee.begin(&link).await, 2, "allow").await;
    employee.get(&back).await.shows(200, &["Extension 103 is connected"]);

    let (start, end) = link.split_at(link.len() - 9);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    for broken in [format!("{start}{other}{}", &end[1..]), start.to_owned(), "/connect?invite=x".to_owned()] {
        employee.get(&broken).await.shows(410, &["invitation is over", "new one"]);
    }
}
