//! What an operator sees of the fleet.

use std::{sync::Arc, time::Duration};

use reqwest::StatusCode;
use ringfleet_identity::{AppPrint, Method, Refused};
use ringfleet_store::{
    ClaimRequest, Gate, Group, IdempotencyKey, LaneId, Lease, MessageId, NewMessage, OnUnknown, Outcome, PlanSeen,
    Priority, Private, Settled, Settlement, State, WorkerId,
    redis::{RedisOptions, RedisStore},
};
use ringfleet_testkit::{RedisServer, eventually};

use crate::rig::{Browser, Options, Page, Rig, rules};

pub(crate) const FLEET: &str = "/connect/fleet";
const MESSAGE: &str = "/connect/fleet/message";
const EXTENSION: &str = "/connect/fleet/extension";
const SIGN_IN: &str = "/connect/operator?to=/connect/fleet";
/// What loads the page anew.
pub(crate) const AGAIN: &str = "<meta http-equiv=\"refresh\" content=\"3\">";
const LEASE: Duration = Duration::from_secs(60);
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn lane(extension: &str) -> LaneId {
    LaneId::try_new("main", extension, Group::Medium).unwrap()
}

/// The recipient's last digit is `n`.
pub(crate) fn message(extension: &str, n: u8) -> NewMessage {
    NewMessage {
        lane: lane(extension),
        key: None,
        from: Private::new("+15550100001"),
        to: Private::new(format!("+1555020000{n}")),
        text: Private::new("canary-text"),
        priority: Priority::Normal,
        on_unknown: OnUnknown::Hold,
        send_at: None,
        send_by: None,
    }
}

/// A store with a worker at work.
pub(crate) struct Work<'a> {
    rig: &'a Rig,
    worker: WorkerId,
}

impl<'a> Work<'a> {
    pub(crate) async fn begin(rig: &'a Rig) -> Self {
        let work = Self { rig, worker: WorkerId::incarnation("w") };
        work.shows_itself().await;
        work
    }

    pub(crate) async fn shows_itself(&self) {
        self.rig.store.watch(&self.worker, Default::default()).await.unwrap();
    }

    pub(crate) async fn claimed(&self, new: NewMessage) -> Lease {
        self.rig.store.enqueue(&[new]).await.unwrap();
        let request = ClaimRequest { worker: &self.worker, free_slots: 1, lease: LEASE };
        self.rig.store.claim(request).await.unwrap().leases.remove(0)
    }

    async fn sending(&self, new: NewMessage) -> Lease {
        let lease = self.claimed(new).await;
        self.rig.store.begin_send(&[lease.reference().into()], LEASE).await.unwrap();
        lease
    }

    async fn ended(&self, new: NewMessage, outcome: Outcome, state: State) -> MessageId {
        let lease = self.sending(new).await;
        let settlement =
            Settlement { lease: lease.reference(), outcome, age: Duration::ZERO, seen: PlanSeen::default() };
        assert_eq!(self.rig.store.settle(&[settlement]).await.unwrap(), [Settled::Done(state)]);
        lease.id
    }

    async fn sent(&self, extension: &str) -> MessageId {
        let outcome = Outcome::Sent { provider_id: "4711".into() };
        self.ended(message(extension, 6), outcome, State::Sent).await
    }

    async fn held(&self, extension: &str) -> MessageId {
        let outcome = Outcome::Unknown { reason: "worker-lost".into() };
        self.ended(message(extension, 7), outcome, State::Held).await
    }

    async fn dead(&self, extension: &str) -> MessageId {
        let outcome = Outcome::Retry { code: "MSG-290".into(), delay: Duration::ZERO, max_attempts: 1 };
        self.ended(message(extension, 8), outcome, State::Dead).await
    }
}

pub(crate) async fn signed_in(rig: &Rig) -> Browser<'_> {
    let browser = rig.browser();
    browser.sign_in().await;
    browser
}

/// Neither a text nor a whole number stands there, and nothing that somebody else wrote is markup.
fn is_discreet(page: &Page) {
    for part in ["canary", "555020", "555010", "<i>", "<b>"] {
        assert!(!page.text.contains(part), "{part:?} stands in {}", page.text);
    }
}

#[tokio::test]
async fn the_fleet_is_for_those_with_a_key() {
    let rig = Rig::start(Options::default()).await;
    let (stranger, operator) = (rig.browser(), signed_in(&rig).await);
    let form = stranger.get("/connect").await.form();
    let one = format!("{MESSAGE}?id={}", MessageId::random());
    for path in [FLEET, "/connect/fleet?hold=true", "/connect/fleet?hold=x", MESSAGE, one.as_str(), EXTENSION] {
        // Which leads back to what loads itself anew.
        let sign_in = if path.starts_with(MESSAGE) || path == EXTENSION { "/connect/operator" } else { SIGN_IN };
        assert_eq!(stranger.get(path).await.header("location"), sign_in, "{path}");
    }
    for path in [MESSAGE, EXTENSION] {
        let answer = stranger.post(path, &[("form", &form), ("what", "400900001")]).await;
        assert_eq!(answer.header("location"), "/connect/operator", "{path}");
        for token in ["", form.as_str()] {
            operator.post(path, &[("form", token), ("what", "400900001")]).await.shows(403, &["open too long"]);
        }
    }
    assert_eq!(operator.post(FLEET, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    operator.get(FLEET).await.shows(200, &["There are no messages", AGAIN]);
    operator.get("/connect/fleet?hold=x").await.shows(400, &["This address can't be read"]);

    let form = operator.get(FLEET).await.form();
    operator.post("/connect/operator/leave", &[("form", &form)]).await;
    assert_eq!(operator.get(FLEET).await.header("location"), SIGN_IN);

    let off = Rig::start(Options { keys: Some(Vec::new()), ..Options::default() }).await;
    for path in [FLEET, MESSAGE, EXTENSION] {
        off.browser().get(path).await.shows(404, &["switched off"]);
    }
}

#[tokio::test]
async fn counts_gate_workers_and_lanes_are_told_each_with_what_a_person_can_do() {
    let known = vec![("400900001", "102", "Käthe <b>")];
    let rig = Rig::start(Options { known, ..Options::default() }).await;
    let work = Work::begin(&rig).await;
    work.sent("400900006").await;
    work.held("400900007").await;
    work.dead("400900008").await;
    work.claimed(message("400900009", 9)).await;
    let later = rig.store.now().await.unwrap() + 3_600_000;
    let scheduled = NewMessage { send_at: Some(later), ..message("400900003", 3) };
    rig.store.enqueue(&[message("400900001", 1), message("400900002", 2), scheduled]).await.unwrap();
    for extension in ["400900001", "400900003"] {
        rig.store.set_paused(&lane(extension), true).await.unwrap();
    }
    rig.store.set_parked(&lane("400900002"), Some("credential OAU-213 #0123")).await.unwrap();
    rig.store.set_gate(&Gate::Stopped { reason: "wrong <i>text</i>".into() }).await.unwrap();

    let browser = signed_in(&rig).await;
    work.shows_itself().await;
    let page = browser.get(FLEET).await;
    let counts = ["3</strong> wait", "1</strong> under way", "1</strong> sent", "1</strong> held", "1</strong> dead"];
    page.shows(200, &counts);
    let what_to_do = [
        "The fleet is stopped: wrong &lt;i&gt;text&lt;/i&gt;.",
        "<code>ringfleet fleet resume</code>",
        "1 worker is there",
        "<code>ringfleet held list</code>",
        "<code>ringfleet message dead</code>",
        "oldest due message waits for",
        "0 of 80 (0 %)",
        "102 · Käthe &lt;b&gt;",
        "Its extension is paused by an operator.",
        "<code>ringfleet lane resume 400900001</code>",
        "Its extension is parked: credential OAU-213 #0123.",
        "The token is no longer known",
        "<code>ringfleet lane resume 400900002</code>",
        "stand before anything of theirs is due",
        "<code>ringfleet lane resume 400900003</code>",
        "This page shows, and changes nothing",
    ];
    page.shows(200, &what_to_do);
    is_discreet(&page);

    // Held still it stays as it is, until somebody lets it go on.
    page.shows(200, &[AGAIN, "href=\"/connect/fleet?hold=true\""]);
    let still = browser.get("/connect/fleet?hold=true").await;
    still.shows(200, &["Held still", "href=\"/connect/fleet\">Let it go on", counts[0]]);
    assert!(!still.text.contains("http-equiv"), "{}", still.text);
}

#[tokio::test]
async fn a_fleet_that_moves_is_told_as_one_and_one_without_workers_is_not() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    rig.store.enqueue(&[message("400900001", 1)]).await.unwrap();
    let page = browser.get(FLEET).await;
    page.shows(200, &["The fleet is not stopped", "No worker is there.", "ringfleet worker", "Waits"]);
    assert!(!page.text.contains("Stands still"), "{}", page.text);
    let work = Work::begin(&rig).await;
    work.claimed(message("400900001", 2)).await;
    // The other process has read nothing yet.
    let other = Browser { process: 1, ..signed_in(&rig).await };
    let page = other.get(FLEET).await;
    page.shows(200, &["1 worker is there", "1</strong> under way", "1 of 40 places of its window"]);
    page.shows(200, &["Nothing keeps the whole fleet from sending", "Goes on"]);
}

#[tokio::test]
async fn logins_that_are_refused_are_told_with_the_code_and_what_to_do() {
    let rig = Rig::start(Options::default()).await;
    let browser = signed_in(&rig).await;
    browser.connect(0).await.shows(200, &["is connected"]);
    browser.connect(1).await.shows(200, &["is connected"]);
    let app = AppPrint::of(rig.simulator.client_id(), rig.simulator.client_secret());
    let now = rig.store.now().await.unwrap();
    let refuse = |credential: &mut ringfleet_identity::Credential| {
        let print = credential.login.print(&app);
        credential.facts.refused = Some(Refused { print, code: "OAU-213".into(), at: now });
        true
    };
    rig.vault.change(&rig.id(1), Method::Code, refuse).await.unwrap();
    let page = browser.get(FLEET).await;
    page.shows(
        200,
        &[
            "<dt>connections good</dt><dd>1</dd>",
            "<dt>connections refused</dt><dd>1</dd>",
            "refused with <code>OAU-213</code>",
            "The token is no longer known",
        ],
    );
    assert!(page.text.contains(rig.id(1).as_str()), "{}", page.text);
}

#[tokio::test]
async fn while_the_store_is_silent_what_was_known_is_shown_as_old_to_those_who_were_let_in() {
    let mut server = RedisServer::start();
    let mut options = RedisOptions { allow_volatile: true, rules: rules(), ..RedisOptions::new(server.url()) };
    (options.connect_timeout, options.response_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let store = Some(Arc::new(RedisStore::connect(options).await.unwrap()) as _);
    let rig = Rig::start(Options { store, ..Options::default() }).await;
    rig.store.enqueue(&[message("400900001", 1)]).await.unwrap();
    let (watching, other) = (signed_in(&rig).await, signed_in(&rig).await);
    let count = "1</strong> wait";
    watching.get(FLEET).await.shows(200, &[count]);

    server.freeze();
    // What was read a moment ago is good for that moment.
    eventually(SOON, async || watching.get(FLEET).await.status == StatusCode::SERVICE_UNAVAILABLE).await;
    let old = watching.get(FLEET).await;
    old.shows(503, &["The store does not answer.", "What stands below is old: it was read", count, AGAIN]);
    is_discreet(&old);
    // Whoever has never seen the page here may have signed out elsewhere since.
    let unknown = other.get(FLEET).await;
    unknown.shows(503, &["store does not answer", AGAIN]);
    assert!(!unknown.text.contains(count), "{}", unknown.text);
    // A single message can't be told of.
    let one = format!("{MESSAGE}?id={}", MessageId::random());
    watching.get(&one).await.shows(503, &["store does not answer"]);
    // Who has signed out sees nothing more, with a copy of the cookies either.
    let copied = watching.cookies.lock().unwrap().clone();
    watching.post("/connect/operator/leave", &[("form", &old.form())]).await;
    *watching.cookies.lock().unwrap() = copied;
    let out = watching.get(FLEET).await;
    assert!(out.status == StatusCode::SERVICE_UNAVAILABLE && !out.text.contains(count), "{}", out.text);

    server.thaw();
    eventually(SOON, async || other.get(FLEET).await.status == StatusCode::OK).await;
    let page = other.get(FLEET).await;
    page.shows(200, &[count]);
    assert!(!page.text.contains("is old"), "{}", page.text);
}

#[tokio::test]
async fn a_message_is_explained_whatever_its_state_and_its_text_is_not_shown() {
    let rig = Rig::start(Options::default()).await;
    let work = Work::begin(&rig).await;
    let sent = work.sent("400900006").await;
    let (held, dead) = (work.held("400900007").await, work.dead("400900008").await);
    let sending = work.sending(message("400900009", 9)).await.id;
    let later = rig.store.now().await.unwrap() + 3_600_000;
    let key = |word: &str| IdempotencyKey::try_new(word).unwrap();
    let waits = NewMessage { key: Some(key("visit canary")), ..message("400900001", 1) };
    let scheduled = NewMessage { key: Some(key("later")), send_at: Some(later), ..message("400900003", 3) };
    rig.store.enqueue(&[waits, scheduled]).await.unwrap();
    rig.store.set_paused(&lane("400900001"), true).await.unwrap();
    let (waits, scheduled) = (MessageId::from_key(&key("visit canary")), MessageId::from_key(&key("later")));

    let browser = signed_in(&rig).await;
    let resend = format!("<code>ringfleet held resend {dead}</code>");
    let look = format!("<code>ringfleet held show {held}</code>");
    for (id, state, parts) in [
        (waits, "off\">ready", ["Its extension is paused", "<code>ringfleet lane resume 400900001</code>"]),
        (scheduled, "off\">scheduled", ["It is not due yet, until 20", "It goes at about 20"]),
        (sending, "off\">sending", ["is sending it, since 20", "Its request is under way"]),
        (sent, "good\">sent", ["It is sent", "+1******0006"]),
        (held, "bad\">held", ["a person must decide: worker-lost", look.as_str()]),
        (dead, "bad\">dead", ["It is dead: MSG-290", resend.as_str()]),
    ] {
        let page = browser.get(&format!("{MESSAGE}?id={id}")).await;
        page.shows(200, &[id.to_string().as_str(), state, "+1******0001"]);
        page.shows(200, &parts);
        is_discreet(&page);
    }

    // By its key, which no address holds.
    let form = browser.get(MESSAGE).await.form();
    let found = browser.post(MESSAGE, &[("form", &form), ("what", " visit canary ")]).await;
    assert_eq!(found.header("location"), format!("{MESSAGE}?id={waits}"));
    let found = browser.post(MESSAGE, &[("form", &form), ("what", &sent.to_string())]).await;
    assert_eq!(found.header("location"), format!("{MESSAGE}?id={sent}"));
    let other = browser.post(MESSAGE, &[("form", &form), ("what", "canary")]).await;
    browser.get(other.header("location")).await.shows(404, &["No such message", "msg_", "pruned"]);
    for page in [
        browser.get(&format!("{MESSAGE}?id=%3Ci%3Ecanary")).await,
        browser.post(MESSAGE, &[("form", &form), ("what", "")]).await,
        browser.post(MESSAGE, &[("form", &form), ("what", &"canary".repeat(50))]).await,
    ] {
        page.shows(422, &["No such message", "26 characters"]);
        is_discreet(&page);
    }
}

#[tokio::test]
async fn an_extension_is_explained_by_its_number_or_its_id() {
    let known = vec![("400900001", "102", "Ada <b>"), ("400900002", "103", ""), ("400900003", "103", "")];
    let rig = Rig::start(Options { known, ..Options::default() }).await;
    let _work = Work::begin(&rig).await;
    rig.store.enqueue(&[message("400900001", 1), message("400900001", 2)]).await.unwrap();
    rig.store.set_paused(&lane("400900001"), true).await.unwrap();
    let browser = signed_in(&rig).await;
    let form = browser.get(MESSAGE).await.form();
    let find = async |typed: &str| browser.post(EXTENSION, &[("form", &form), ("what", typed)]).await;
    for typed in ["102", " 400900001 "] {
        let found = find(typed).await;
        assert_eq!(found.header("location"), format!("{EXTENSION}?id=400900001"), "{typed}");
    }
    let page = browser.get(&format!("{EXTENSION}?id=400900001")).await;
    page.shows(
        200,
        &[
            "Extension 102 · Ada &lt;b&gt;",
            "2</strong> due and waiting",
            "Its extension is paused by an operator.",
            "<code>ringfleet lane resume 400900001</code>",
            "It stays until somebody lets its extension go on.",
        ],
    );
    is_discreet(&page);
    // Meant by two, by nobody, and what may be a customer's number.
    for typed in ["103", "104", "anna", "+15550209999", ""] {
        let page = find(typed).await;
        page.shows(422, &["No such extension", "nine digits"]);
        is_discreet(&page);
    }
    browser.get(&format!("{EXTENSION}?id=%3Ci%3E")).await.shows(422, &["No such extension"]);
    let unknown = browser.get(&format!("{EXTENSION}?id=400900009")).await;
    unknown.shows(200, &["does not know this extension", "No message of it is due"]);
}
