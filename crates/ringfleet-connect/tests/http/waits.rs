//! What the page of the fleet tells of lanes that wait, each by itself or with all the others.

use ringfleet_store::{DocKind, Expect, Fingerprint, Gate, MAX_BATCH, NewMessage};
use ringfleet_testkit::eventually;
use serde_json::json;

use crate::{
    fleet::{FLEET, SOON, Work, lane, message, signed_in},
    rig::{Browser, Options, Page, Rig},
};

const WAITS: &str = "badge off\">Waits";

fn does_not_say_that_anything_goes_on(page: &Page) {
    for part in ["Goes on", "Nothing keeps"] {
        assert!(!page.text.contains(part), "{part:?} stands in {}", page.text);
    }
}

#[tokio::test]
async fn no_lane_is_said_to_go_on_while_no_worker_is_there_or_the_fleet_is_stopped() {
    let rig = Rig::start(Options::default()).await;
    rig.store.enqueue(&[message("400900001", 1)]).await.unwrap();
    // At another process, as each shows for some seconds what it has read.
    let (one, other) = (signed_in(&rig).await, Browser { process: 1, ..signed_in(&rig).await });
    let page = one.get(FLEET).await;
    page.shows(200, &["No worker is there.", WAITS]);
    does_not_say_that_anything_goes_on(&page);

    let work = Work::begin(&rig).await;
    rig.store.set_gate(&Gate::Stopped { reason: "wrong text".into() }).await.unwrap();
    let page = other.get(FLEET).await;
    page.shows(200, &["The fleet is stopped: wrong text.", "1 worker is there", WAITS]);
    does_not_say_that_anything_goes_on(&page);

    rig.store.set_gate(&Gate::Open).await.unwrap();
    let goes_on = async || {
        work.shows_itself().await;
        let page = other.get(FLEET).await;
        page.text.contains("Goes on") && page.text.contains("Nothing keeps")
    };
    eventually(SOON, goes_on).await;
}

#[tokio::test]
async fn a_fleet_whose_app_is_refused_is_not_said_to_be_kept_by_nothing() {
    let rig = Rig::start(Options::default()).await;
    let _work = Work::begin(&rig).await;
    let app = [rig.simulator.client_id(), rig.simulator.client_secret()].map(str::as_bytes);
    let print: String = Fingerprint::of(&app).as_bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let now = rig.store.now().await.unwrap();
    let refused = json!([{"of": print, "code": "OAU-153", "at": now, "again_at": now + 60_000}]).to_string();
    let put = rig.store.doc_put(DocKind::Setting, "main/app-refused", Expect::Anything, Some(refused.as_bytes()), None);
    put.await.unwrap();
    let page = signed_in(&rig).await.get(FLEET).await;
    page.shows(200, &["RingCentral refuses the app since", "OAU-153", "The fleet is not stopped."]);
    assert!(!page.text.contains("Nothing keeps"), "{}", page.text);
}

#[tokio::test]
async fn where_more_is_scheduled_than_was_looked_at_the_page_says_so() {
    let rig = Rig::start(Options::default()).await;
    let due = rig.store.now().await.unwrap() + 3_600_000;
    let scheduled = |extension: &str, send_at| NewMessage { send_at: Some(send_at), ..message(extension, 1) };
    let next: Vec<_> = (0..MAX_BATCH).map(|_| scheduled("400900001", due)).collect();
    rig.store.enqueue(&next).await.unwrap();
    rig.store.enqueue(&[scheduled("400900002", due + 1_000)]).await.unwrap();
    rig.store.set_paused(&lane("400900002"), true).await.unwrap();
    let bound = "Only the 500 scheduled messages that are next were looked at.";
    signed_in(&rig).await.get(FLEET).await.shows(200, &[bound, "None of them is of a lane that stands."]);

    // At another process, which has read nothing yet.
    rig.store.set_paused(&lane("400900001"), true).await.unwrap();
    let other = Browser { process: 1, ..signed_in(&rig).await };
    let page = other.get(FLEET).await;
    page.shows(200, &[bound, "<code>ringfleet lane resume 400900001</code>"]);
    assert!(!page.text.contains("None of them"), "{}", page.text);
}
