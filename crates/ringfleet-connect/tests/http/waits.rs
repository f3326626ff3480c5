//! What the page of the fleet tells of lanes that wait, each by itself or with all the others.

use ringfleet_store::{DocKind, Expect, Fingerprint, Gate};
use ringfleet_testkit::eventually;
use serde_json::json;

use crate::{
    fleet::{FLEET, SOON, Work, message, signed_in},
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
