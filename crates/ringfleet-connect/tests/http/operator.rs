//! What an operator sees and does.

use reqwest::{Method as Verb, StatusCode};
use ringcentral::Jwt;
use ringfleet_identity::{AppPrint, Credential, Facts, Login, Method, Refused, Source};
use ringfleet_store::{Group, LaneId};
use serde_json::json;

use crate::rig::{Browser, KEY, Options, Page, Rig};

const LIST: &str = "/connect/extensions";

fn jwt(extension: &str) -> Credential {
    Credential {
        extension: extension.parse().unwrap(),
        login: Login::Jwt(Jwt::try_new("head.body.sign").unwrap()),
        prefer: 10,
        enabled: true,
        source: Source::File,
        facts: Facts::default(),
    }
}

/// The piece of the list that is about one extension.
fn row(page: &Page, id: &str) -> String {
    let (_, rest) = page.text.split_once(&format!("id=\"e{id}\"")).unwrap_or_else(|| panic!("no {id}: {}", page.text));
    rest.split("class=\"row\"").next().unwrap().to_owned()
}

async fn signed_in(rig: &Rig) -> Browser<'_> {
    let browser = rig.browser();
    browser.sign_in().await;
    browser
}

#[tokio::test]
async fn the_list_is_for_those_with_a_key() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    assert_eq!(browser.get(LIST).await.header("location"), "/connect/operator");
    let page = browser.get("/connect/operator").await;
    let wrong = [("form", page.form()), ("key", "operator-key-012345678".to_owned())];
    let wrong = wrong.each_ref().map(|(name, value)| (*name, value.as_str()));
    browser.post("/connect/operator", &wrong).await.shows(403, &["none of the keys"]);
    assert_eq!(browser.get(LIST).await.status, StatusCode::SEE_OTHER);
    // Without the form's token not even the right key opens.
    browser.post("/connect/operator", &[("key", KEY)]).await.shows(403, &["open too long"]);
    browser.sign_in().await;
    let list = browser.get(LIST).await;
    list.shows(200, &["No extension is connected yet"]);
    browser.post("/connect/operator/leave", &[("form", &list.form())]).await;
    assert_eq!(browser.get(LIST).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_sign_in_leads_back_to_the_page_of_the_fleet_and_to_no_address_of_others() {
    let rig = Rig::start(Options::default()).await;
    let browser = rig.browser();
    let asked = browser.get("/connect/fleet").await;
    let page = browser.get(asked.header("location")).await;
    page.shows(200, &["The list of extensions and the page of the fleet are for"]);
    let (form, to) = (page.form(), page.field("to").unwrap());
    let sign_in = async |key: &str, to: &str| {
        browser.post("/connect/operator", &[("form", &form), ("key", key), ("to", to)]).await
    };
    let wrong = sign_in("operator-key-012345678", &to).await;
    wrong.shows(403, &["none of the keys"]);
    assert_eq!(wrong.field("to").as_ref(), Some(&to));
    assert_eq!(sign_in(KEY, &to).await.header("location"), "/connect/fleet");
    for elsewhere in ["https://example.com/", "//example.com", "/connect/fleet/../x", ""] {
        assert_eq!(sign_in(KEY, elsewhere).await.header("location"), LIST, "{elsewhere}");
        let page = browser.get(&format!("/connect/operator?to={elsewhere}")).await;
        assert_eq!(page.field("to").as_deref(), Some(LIST), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_session_is_good_at_every_process_but_in_no_other_browser_and_ends_with_its_key() {
    let mut rig = Rig::start(Options::default()).await;
    let base = rig.process_with_keys(vec!["another-key-0123456789"]).await;
    let mut browser = signed_in(&rig).await;
    browser.process = 1;
    browser.get(LIST).await.shows(200, &["Extensions"]);
    let session = browser.cookies.lock().unwrap()["ringfleet-operator"].clone();

    let other = rig.browser();
    other.get("/connect").await;
    other.cookies.lock().unwrap().insert("ringfleet-operator".into(), session.clone());
    assert_eq!(other.get(LIST).await.status, StatusCode::SEE_OTHER);

    let mut changed = session.clone();
    changed.replace_range(40..41, if &session[40..41] == "A" { "B" } else { "A" });
    browser.cookies.lock().unwrap().insert("ringfleet-operator".into(), changed);
    assert_eq!(browser.get(LIST).await.status, StatusCode::SEE_OTHER);
    browser.cookies.lock().unwrap().insert("ringfleet-operator".into(), session);
    browser.get(LIST).await.shows(200, &["Extensions"]);

    let request = browser.request(Verb::GET, LIST).build().unwrap();
    let cookies = request.headers()["cookie"].clone();
    let answer = rig.http.get(format!("{base}{LIST}")).header("cookie", cookies).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "a key that is gone still opens");
}

#[tokio::test]
async fn signing_out_ends_the_sessions_of_a_browser_also_for_who_has_copied_its_cookies() {
    let rig = Rig::start(Options::default()).await;
    let (browser, colleague) = (signed_in(&rig).await, signed_in(&rig).await);
    let first = browser.cookies.lock().unwrap().clone();
    browser.sign_in().await;
    let second = browser.cookies.lock().unwrap().clone();
    assert_ne!(first["ringfleet-operator"], second["ringfleet-operator"]);
    let mut thief = rig.browser();
    thief.process = 1;
    for copied in [&first, &second] {
        *thief.cookies.lock().unwrap() = copied.clone();
        thief.get(LIST).await.shows(200, &["Sign out"]);
    }
    let form = browser.get(LIST).await.form();
    let left = browser.post("/connect/operator/leave", &[("form", &form)]).await;
    assert_eq!(left.header("location"), "/connect/operator");
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{:?}", left.headers);
    for copied in [first, second] {
        *thief.cookies.lock().unwrap() = copied;
        assert_eq!(thief.get(LIST).await.header("location"), "/connect/operator");
        let answer = thief.post("/connect/invitations", &[("form", &form), ("extension", "1")]).await;
        assert_eq!(answer.header("location"), "/connect/operator");
        // Nobody who is out already changes anything.
        thief.post("/connect/operator/leave", &[("form", &form)]).await;
    }
    colleague.get(LIST).await.shows(200, &["Sign out"]);
    browser.sign_in().await;
    browser.get(LIST).await.shows(200, &["Sign out"]);
}

#[tokio::test]
async fn without_a_key_in_the_settings_the_list_is_off() {
    let rig = Rig::start(Options { keys: Some(Vec::new()), ..Options::default() }).await;
    let browser = rig.browser();
    for path in [LIST, "/connect/operator"] {
        browser.get(path).await.shows(404, &["switched off", "connect.operator_keys"]);
    }
    let form = browser.get("/connect").await.form();
    browser.post("/connect/operator", &[("form", &form), ("key", "")]).await.shows(404, &["switched off"]);
}

#[tokio::test]
async fn the_list_tells_method_time_trouble_and_remedy() {
    let fixed = vec![jwt("400900001")];
    let rig = Rig::start(Options { fixed, ..Options::default() }).await;
    let browser = signed_in(&rig).await;
    browser.connect(0).await.shows(200, &["is connected"]);
    browser.connect(1).await.shows(200, &["is connected"]);
    let app = AppPrint::of(rig.simulator.client_id(), rig.simulator.client_secret());
    let now = rig.store.now().await.unwrap();
    let refuse = |credential: &mut Credential| {
        let print = credential.login.print(&app);
        credential.facts.refused = Some(Refused { print, code: "OAU-213".into(), at: now });
        true
    };
    rig.vault.change(&rig.id(1), Method::Code, refuse).await.unwrap();
    let lane = LaneId::try_new("main", rig.id(1).as_str(), Group::Medium).unwrap();
    rig.store.set_parked(&lane, Some("credential OAU-213 #0123")).await.unwrap();

    let list = browser.get(LIST).await;
    list.shows(
        200,
        &["<strong>3</strong> in all", "<strong>2</strong> connected", "<strong>1</strong> need attention"],
    );
    let good = row(&list, rig.id(0).as_str());
    for part in ["Connected", "Connected by the employee", "Lasts until", "in 6 days", "Switch off", "Disconnect"] {
        assert!(good.contains(part), "{part}: {good}");
    }
    let file = row(&list, "400900001");
    assert!(file.contains("JWT") && file.contains("From the accounts file") && !file.contains("Disconnect"), "{file}");
    let bad = row(&list, rig.id(1).as_str());
    for part in ["Needs attention", "no longer known", "OAU-213", "1 lane stands still (medium)", "Invitation link"] {
        assert!(bad.contains(part), "{part}: {bad}");
    }
    let place = |id: &str| list.text.find(&format!("id=\"e{id}\"")).unwrap();
    assert!(place(rig.id(1).as_str()) < place(rig.id(0).as_str()), "troubles come first");

    let found = browser.get(&format!("{LIST}?q={}", rig.id(0))).await;
    assert!(found.text.contains(&format!("id=\"e{}\"", rig.id(0))) && !found.text.contains("id=\"e400900001\""));
    browser
        .get(&format!("{LIST}?q=%22%3E%3Cb%3E"))
        .await
        .shows(200, &["No extension's number, name or id holds", "&quot;&gt;&lt;b&gt;"]);
}

#[tokio::test]
async fn the_directory_names_extensions_shows_the_unconnected_and_lets_them_be_invited_by_number() {
    let known = vec![("400900001", "102", "Ada Brook"), ("400900002", "103", "Käthe <b>"), ("400900003", "103", "")];
    let rig = Rig::start(Options { known, fixed: vec![jwt("400900001")], ..Options::default() }).await;
    let browser = signed_in(&rig).await;
    let list = browser.get(LIST).await;
    list.shows(200, &["<strong>3</strong> in all", "<strong>1</strong> connected", "Käthe &lt;b&gt;"]);
    let connected = row(&list, "400900001");
    for part in ["<h2>102 · Ada Brook</h2>", "Id 400900001", "Connected"] {
        assert!(connected.contains(part), "{part}: {connected}");
    }
    let nobody = row(&list, "400900002");
    assert!(nobody.contains("Not connected") && nobody.contains("Invitation link"), "{nobody}");
    for (search, found) in [("102", true), ("ada", true), ("400900001", true), ("K%C3%A4the", false), ("104", false)] {
        let page = browser.get(&format!("{LIST}?q={search}")).await;
        assert_eq!(page.text.contains("id=\"e400900001\""), found, "{search}");
    }
    let invite =
        async |typed: &str| browser.post("/connect/invitations", &[("form", &list.form()), ("extension", typed)]).await;
    invite("102").await.shows(200, &["Invitation for 102 · Ada Brook", "Extension id 400900001"]);
    invite("400900003").await.shows(200, &["Invitation for 103", "Extension id 400900003"]);
    invite("103").await.shows(422, &["no extension id"]);
    invite("400900009").await.shows(200, &["Invitation for 400900009"]);
}

#[tokio::test]
async fn a_word_that_nobody_is_known_by_makes_an_invitation_only_if_it_can_be_an_id() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    let form = browser.get(LIST).await.form();
    let invite =
        async |typed: &str| browser.post("/connect/invitations", &[("form", &form), ("extension", typed)]).await;
    for none in ["101", "12345678", "anna", "Anna-Arden", "40010000x", ""] {
        let page = invite(none).await;
        page.shows(422, &["no extension id"]);
        assert!(!page.text.contains("class=\"copy\""), "{none}: {}", page.text);
    }
    invite("123456789").await.shows(200, &["Invitation for 123456789"]);
}

#[tokio::test]
async fn a_credential_is_switched_off_and_on() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    browser.connect(0).await.shows(200, &["is connected"]);
    let form = browser.get(LIST).await.form();
    let path = format!("{LIST}/{}/code/switch", rig.id(0));
    let answer = browser.post(&path, &[("form", &form), ("on", "false")]).await;
    assert_eq!(answer.header("location"), format!("{LIST}?done=off#e{}", rig.id(0)));
    assert!(!rig.credential(0).await.unwrap().enabled);
    let list = browser.get(&format!("{LIST}?done=off")).await;
    list.shows(200, &["Switched off. Workers stop", "Switch on"]);
    browser.post(&path, &[("form", &form), ("on", "true")]).await;
    assert!(rig.credential(0).await.unwrap().enabled);
}

#[tokio::test]
async fn a_disconnected_extension_is_forgotten_here_and_its_session_ends_at_the_provider() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    browser.connect(0).await.shows(200, &["is connected"]);
    let credential = rig.credential(0).await.unwrap();
    let path = format!("{LIST}/{}/code/disconnect", rig.id(0));
    let asked = browser.get(&path).await;
    asked.shows(200, &["Disconnect", "Keep it"]);
    assert!(rig.credential(0).await.is_some());
    let answer = browser.post(&path, &[("form", &asked.form())]).await;
    assert_eq!(answer.header("location"), format!("{LIST}?done=gone#e{}", rig.id(0)));
    assert!(rig.credential(0).await.is_none());
    let Login::Code { refresh, .. } = &credential.login else { panic!("{credential:?}") };
    assert_eq!(rig.refresh(refresh.expose()).await, StatusCode::BAD_REQUEST);
    browser.post(&path, &[("form", &asked.form())]).await.shows(404, &["No such credential"]);
}

#[tokio::test]
async fn an_extension_is_forgotten_even_if_the_provider_is_away_and_the_operator_is_told() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    browser.connect(0).await.shows(200, &["is connected"]);
    rig.admin(Verb::PATCH, "app", &json!({"client_secret": "another"})).await;
    let form = browser.get(LIST).await.form();
    let answer = browser.post(&format!("{LIST}/{}/code/disconnect", rig.id(0)), &[("form", &form)]).await;
    assert!(answer.header("location").contains("done=forgotten"));
    assert!(rig.credential(0).await.is_none());
    browser.get(&format!("{LIST}?done=forgotten")).await.shows(200, &["did not confirm"]);
}

#[tokio::test]
async fn no_button_works_without_a_session_or_from_a_page_of_others() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    browser.connect(0).await.shows(200, &["is connected"]);
    let id = rig.id(0);
    let paths =
        [format!("{LIST}/{id}/code/switch"), format!("{LIST}/{id}/code/disconnect"), "/connect/invitations".to_owned()];
    let stranger = rig.browser();
    let form = stranger.get("/connect").await.form();
    for path in &paths {
        let answer = stranger.post(path, &[("form", &form), ("extension", "1")]).await;
        assert_eq!(answer.header("location"), "/connect/operator", "{path}");
        for token in ["", form.as_str()] {
            browser.post(path, &[("form", token), ("extension", "1")]).await.shows(403, &["open too long"]);
        }
    }
    assert!(rig.credential(0).await.unwrap().enabled);
    let token = browser.get(LIST).await.form();
    for wrong in ["x%2Fy/code/switch", "1/other/switch", "1/code/switch"] {
        browser.post(&format!("{LIST}/{wrong}"), &[("form", &token)]).await.shows(404, &["No such credential"]);
    }
    browser
        .post("/connect/invitations", &[("form", &token), ("extension", "a b")])
        .await
        .shows(422, &["no extension id"]);
}
