//! Opt-outs that a person enters, lifts and lists, beside a fleet that sends.

use std::{collections::BTreeSet, process::Output, time::Duration};

use ringfleet_store::{MessageId, State};
use ringfleet_testkit::eventually;
use serde_json::Value;

use crate::{
    inbound::listed,
    rig::{Ends, Rig, RigOptions},
    wishes::{CUSTOMER, all_but_unwanted, opted_out, says},
};

const OTHER: &str = "+15552000002";
const SOON: Duration = Duration::from_secs(60);

fn options(extensions: u32) -> RigOptions {
    RigOptions::new(extensions, Duration::from_secs(2)).quick()
}

/// What `opt-out` prints with these arguments, and its exit code.
fn opt_out(rig: &Rig, arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = rig.run(&[&["opt-out"], arguments].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), told)
}

fn noted(rig: &Rig, arguments: &[&str]) -> Vec<Value> {
    let (code, told) = opt_out(rig, &[&["list", "--json"], arguments].concat());
    assert_eq!(code, Some(0), "{told}");
    serde_json::from_str::<Value>(&told).unwrap()["opt_outs"].as_array().unwrap().clone()
}

async fn ends_as(rig: &Rig, id: MessageId, state: State) {
    eventually(SOON, async || rig.store.get(&id).await.unwrap().unwrap().state == state).await;
}

async fn nobody_is_texted_between_an_opt_out_and_its_end(options: RigOptions) {
    let mut rig = Rig::start(options).await;
    let before = rig.enqueue_to(0, CUSTOMER, "handed in before").await;
    let (code, told) = opt_out(&rig, &["add", CUSTOMER]);
    assert!(code == Some(0) && told.contains("of any extension, since 2") && told.contains("not stopped"), "{told}");
    let after = rig.enqueue_to(1, CUSTOMER, "handed in after").await;
    let other = rig.enqueue_to(0, OTHER, "to somebody else").await;
    rig.start_workers(1);
    ends_as(&rig, before, State::Suppressed).await;
    ends_as(&rig, after, State::Suppressed).await;
    ends_as(&rig, other, State::Sent).await;
    let (code, told) = opt_out(&rig, &["add", CUSTOMER]);
    assert!(code == Some(0) && told.contains("it stood already"), "{told}");
    let rows = noted(&rig, &["--to", CUSTOMER]);
    assert_eq!((rows.len(), &rows[0]["extension"], &rows[0]["from"]), (1, &Value::Null, &Value::Null));
    assert!(noted(&rig, &["--to", OTHER]).is_empty());
    assert_eq!(rig.so_far(3).await.accepted, 1);

    let (code, told) = opt_out(&rig, &["remove", CUSTOMER, OTHER]);
    assert!(code == Some(3) && told.contains("again") && told.contains("has no opt-out"), "{told}");
    let (code, told) = opt_out(&rig, &["remove", CUSTOMER]);
    assert!(code == Some(1) && told.contains("has no opt-out"), "{told}");
    let wanted = rig.enqueue_to(1, CUSTOMER, "wanted again").await;
    ends_as(&rig, wanted, State::Sent).await;
    assert_eq!(rig.store.get(&before).await.unwrap().unwrap().state, State::Suppressed);
    let report = rig.finish(all_but_unwanted(2)).await.report;
    assert_eq!((report.accepted, report.opted_out), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_texted_between_an_opt_out_and_its_end_on_redis() {
    nobody_is_texted_between_an_opt_out_and_its_end(options(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_texted_between_an_opt_out_and_its_end_on_sqlite() {
    nobody_is_texted_between_an_opt_out_and_its_end(options(2).on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_from_one_number_or_extension_leaves_the_others_and_is_lifted_by_its_own_name_only() {
    let rig = Rig::start(options(3).on_sqlite()).await;
    rig.keep_secret([CUSTOMER]);
    let (number, id) = (rig.accounts[0].numbers[0].clone(), rig.accounts[1].extension_id.clone());
    assert_eq!(opt_out(&rig, &["add", CUSTOMER, "--from", &number]).0, Some(0));
    assert_eq!(opt_out(&rig, &["add", CUSTOMER, "--extension", &id]).0, Some(0));
    for (extension, out) in [(0, true), (1, true), (2, false)] {
        assert_eq!(opted_out(&rig, extension).await, out, "{extension}");
    }
    // The table names the extension, and shortens numbers: the checker looks at all that was printed.
    let (_, table) = opt_out(&rig, &["list"]);
    assert!(table.contains("any number") && table.contains(&format!("extension {id}")), "{table}");

    let (code, told) = opt_out(&rig, &["remove", CUSTOMER]);
    assert!(code == Some(1) && told.matches("this one stands").count() == 2 && told.contains(&id), "{told}");
    let (code, told) = opt_out(&rig, &["remove", CUSTOMER, "--extension", &id]);
    assert!(code == Some(0) && told.matches("this one stands").count() == 1, "{told}");
    assert!(opted_out(&rig, 0).await && !opted_out(&rig, 1).await);
    assert_eq!(opt_out(&rig, &["remove", CUSTOMER, "--from", &number]).0, Some(0));
    assert!(noted(&rig, &[]).is_empty());

    // What nobody has would stop nothing.
    for wrong in [["--from", "+15559999999"], ["--extension", "999"]] {
        let (code, told) = opt_out(&rig, &["add", CUSTOMER, wrong[0], wrong[1]]);
        assert!(code == Some(1) && told.contains("no opt-out was entered"), "{told}");
    }
    for bad in ["15552000001", "5552000001"] {
        let (code, told) = opt_out(&rig, &["add", bad]);
        assert!(code == Some(2) && told.contains("no leading +"), "{told}");
    }
    let (code, told) = opt_out(&rig, &["add", OTHER, "+1555200000"]);
    assert!(code == Some(1) && told.contains("has 10 digits") && told.contains("no opt-out was entered"), "{told}");
    let (code, told) = opt_out(&rig, &["remove", "+1555200000"]);
    assert!(code == Some(1) && told.contains("has no opt-out"), "{told}");
    assert!(noted(&rig, &[]).is_empty());
    rig.finish(Ends::all()).await;
}

async fn opt_outs_of_one_store_are_entered_in_another_as_narrow_as_they_were(options: impl Fn(u32) -> RigOptions) {
    let old = Rig::start(options(3)).await;
    old.keep_secret([CUSTOMER, OTHER]);
    let (number, id) = (old.accounts[1].numbers[0].clone(), old.accounts[2].extension_id.clone());
    for arguments in [
        &["add", CUSTOMER, "--from", &number][..],
        &["add", CUSTOMER, "--extension", &id],
        &["add", OTHER],
        // As a STOP is noted.
        &["add", OTHER, "--extension", &id],
    ] {
        assert_eq!(opt_out(&old, arguments).0, Some(0), "{arguments:?}");
    }
    let written = old.run_in_private(&["opt-out", "list", "--limit", "1000000", "--show-private", "--json"]).stdout;
    let meant = |rows: Vec<Value>| -> BTreeSet<String> {
        let meant = |row: Value| format!("{} {} {}", row["to"], row["extension"], row["from"]);
        rows.into_iter().map(meant).collect()
    };
    let stood = meant(noted(&old, &[]));
    assert_eq!(stood.len(), 4);
    // It knows neither the number nor the extension.
    let mut new = Rig::start(options(1)).await;
    new.keep_secret([CUSTOMER, OTHER]);
    std::fs::write(new.path("opt-outs.json"), &written).unwrap();
    std::fs::write(new.path("cut.json"), String::from_utf8(written).unwrap().replacen(CUSTOMER, "canary", 1)).unwrap();
    let (code, told) = opt_out(&new, &["import", "cut.json"]);
    assert!(code == Some(1) && told.contains("nothing was entered") && told.contains("line 1"), "{told}");
    assert!(!told.contains("canary") && noted(&new, &[]).is_empty(), "{told}");
    for _ in 0..2 {
        let (code, told) = opt_out(&new, &["import", "opt-outs.json"]);
        assert!(code == Some(0) && told.contains("4 opt-outs count now"), "{told}");
        assert_eq!(meant(noted(&new, &[])), stood);
    }

    // A plain list; more than one call of the store takes.
    let many: String = (0..1_100).map(|n| format!("+1555300{n:04}\n")).collect();
    new.keep_secret(["+15553000000", "+15553001099"]);
    let output = new.run_with_input(&["opt-out", "import", "-"], &[], &many);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(noted(&new, &["--limit", "2000"]).len(), 1_104);
    let unwanted = new.enqueue_to(0, "+15553001099", "to one of them").await;
    let wanted = new.enqueue_to(0, CUSTOMER, "from one that was not named").await;
    new.start_workers(1);
    ends_as(&new, unwanted, State::Suppressed).await;
    ends_as(&new, wanted, State::Sent).await;
    new.finish(all_but_unwanted(1)).await;
    old.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opt_outs_of_one_store_are_entered_in_another_as_narrow_as_they_were_on_redis() {
    opt_outs_of_one_store_are_entered_in_another_as_narrow_as_they_were(options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opt_outs_of_one_store_are_entered_in_another_as_narrow_as_they_were_on_sqlite() {
    opt_outs_of_one_store_are_entered_in_another_as_narrow_as_they_were(|extensions| options(extensions).on_sqlite())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_listed_and_lifted_by_a_person_like_one_that_a_person_entered() {
    let mut rig = Rig::start(options(1)).await;
    let number = rig.accounts[0].numbers[0].clone();
    rig.keep_secret([CUSTOMER]);
    // One machine, one clock: a START soon after what a person entered is known to be the later word.
    rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "1s"), ("RINGFLEET__RECONCILE__CLOCK_SKEW", "0s")]);
    says(&rig, "STOP").await;
    eventually(SOON, async || opted_out(&rig, 0).await).await;
    let rows = noted(&rig, &[]);
    assert_eq!((rows.len(), rows[0]["extension"].as_str()), (1, Some(rig.accounts[0].extension_id.as_str())));
    assert_eq!(opt_out(&rig, &["remove", CUSTOMER, "--from", &number]).0, Some(0));
    // Read once more, the STOP of before is not heard again.
    says(&rig, "thank you").await;
    eventually(SOON, async || listed(&rig, &[]).len() == 2).await;
    assert!(!opted_out(&rig, 0).await);
    assert_eq!(opt_out(&rig, &["add", CUSTOMER, "--from", &number]).0, Some(0));
    assert!(opted_out(&rig, 0).await);
    says(&rig, "START").await;
    eventually(SOON, async || !opted_out(&rig, 0).await).await;
    rig.finish(Ends::all()).await;
}
