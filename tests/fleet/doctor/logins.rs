//! What the doctor says of logins that are refused, or that the fleet has no room for.

use std::time::Duration;

use ringfleet_store::{Acquired, Group, LaneId, PlanSeen, Release};
use serde_json::Value;

use super::Clinic;

/// The findings about one thing, of a report in JSON.
fn section<'a>(report: &'a Value, title: &str) -> &'a [Value] {
    let about = |section: &&Value| section["title"].as_str().unwrap().contains(title);
    report["sections"].as_array().unwrap().iter().find(about).unwrap()["findings"].as_array().unwrap()
}

fn found<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings.iter().find(|one| one["check"] == check).unwrap_or_else(|| panic!("no {check} in {findings:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_revoked_while_the_fleet_kept_its_session_is_one_fault_and_nothing_more_is_read() {
    let clinic = Clinic::start().await.with(&["--json"]);
    let id = clinic.extension(0).to_owned();
    let (text, status) = clinic.screen(&["--extension", &id]);
    assert_eq!(status, 0, "{text}");
    for what in ["revoke-jwt", "revoke-session"] {
        clinic.provider(&format!("extensions/{id}/{what}"), Value::Null).await;
    }
    let (text, status) = clinic.screen(&["--extension", &id]);
    assert_eq!(status, 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings = section(&report, &id);
    let faults: Vec<_> = findings.iter().filter(|one| one["level"] == "fail").collect();
    assert_eq!(faults, [found(findings, "login")], "{text}");
    assert_eq!(faults[0]["code"], "OAU-211", "{text}");
    assert_eq!(found(findings, "reads")["level"], "skip", "{text}");
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_fleets_own_logins_are_used_up_it_blames_no_provider_and_lists_what_it_did_not_ask() {
    let clinic = Clinic::start().await.with(&["--json"]);
    let (store, logins) = (clinic.fleet.rig.store.clone(), LaneId::try_new("main", "*", Group::Auth).unwrap());
    let mut taken = Vec::new();
    while let Acquired::Granted(slot) = store.acquire(&logins, Duration::from_secs(60)).await.unwrap() {
        taken.push(slot);
    }
    let (text, status) = clinic.screen(&[]);
    assert!(status == 0 && !text.contains("throttles"), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let app = section(&report, "App");
    let client = found(app, "client id and secret");
    assert_eq!(client["level"], "warn", "{client}");
    assert!(client["seen"].as_str().unwrap().contains("the fleet's own budget"), "{client}");
    assert!(client["next_step"].as_str().unwrap().contains("run it again in"), "{client}");
    for check in ["grants", "login page", "permissions", "refresh tokens"] {
        assert_eq!(found(app, check)["level"], "skip", "{text}");
    }
    for slot in taken {
        store.release(&logins, slot, Release::Unused, Duration::ZERO, PlanSeen::default()).await.unwrap();
    }
    clinic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_provider_has_ended_is_told_as_a_refused_login_and_not_again_of_each_read() {
    let clinic = Clinic::start().await;
    // The fleet keeps the session of this run.
    let (text, status) = clinic.screen(&[]);
    assert_eq!(status, 0, "{text}");
    for what in ["revoke-session", "revoke-jwt"] {
        clinic.provider(&format!("extensions/{}/{what}", clinic.extension(0)), Value::Null).await;
    }
    let (json, status) = clinic.screen(&["--json", "--extension", clinic.extension(0)]);
    assert_eq!(status, 1, "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let findings = section(&json, &format!("Extension {}", clinic.extension(0)));
    let told: Vec<_> =
        findings.iter().map(|one| (one["check"].as_str().unwrap(), one["level"].as_str().unwrap())).collect();
    assert_eq!(told[..2], [("login", "fail"), ("reads", "skip")], "{json:#}");
    assert_eq!((findings[0]["code"].as_str(), told.len()), (Some("OAU-211"), 3), "{json:#}");
    clinic.end().await;
}
