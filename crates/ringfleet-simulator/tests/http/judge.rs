use std::time::Duration;

use ringfleet_simulator::{
    Endpoint, ExtensionReport, Fault, LedgerLine, Limits, Report, ReportScope, SimulatorConfig, text_hash,
};
use serde_json::json;

use crate::support::{body, outcome, quick, start};

#[tokio::test]
async fn the_report_agrees_with_a_count_by_hand() {
    let rig = start(SimulatorConfig { limits: Limits { medium: 6, ..Limits::default() }, ..quick() }).await;
    let (a, b) = (rig.token(0), rig.token(1));
    let text = |account, n: u32| rig.text(account, &format!("+1555020000{n}"), "same text");
    // Extension 0: accepted 1, 2, 1 again, 1 again; one foreign sender; one faulted; then full: two 429, one in the penalty.
    for n in [1, 2, 1, 1] {
        assert_eq!(outcome(rig.send(&a, &text(0, n))).await.0, 200);
    }
    assert_eq!(outcome(rig.send(&a, &text(1, 1))).await.0, 403);
    rig.fault(Fault::ErrorBefore { status: 503, code: None, retry_after: None });
    assert_eq!(outcome(rig.send(&a, &text(0, 3))).await.0, 503);
    assert_eq!(outcome(rig.send(&a, &text(0, 3))).await.0, 429);
    assert_eq!(outcome(rig.send(&a, &text(0, 3))).await.0, 429);
    // Extension 1: the same text to the same recipient, but another sender: no duplicate.
    assert_eq!(outcome(rig.send(&b, &text(1, 1))).await.0, 200);
    assert_eq!(outcome(rig.send("junk", &text(1, 1))).await.0, 401);

    let url = rig.url("/simulator/report?lanes=true");
    let mut report: Report = rig.http.get(url).send().await.expect("an answer").json().await.expect("JSON");
    let lanes = report.per_lane.take().expect("lanes");
    let expected = Report {
        now_ns: report.now_ns,
        requests: 10,
        accepted: 5,
        rejected: 1,
        sms_429: 2,
        http_429: 2,
        faulted: 1,
        unauthorized: 1,
        in_penalty: 1,
        over_plan: 2,
        distinct: 3,
        duplicates: 2,
        sessions_max: 1,
        lanes: 2,
        ..Report::default()
    };
    assert_eq!(report, expected);
    assert_eq!(lanes.len(), 2);
    assert_eq!((lanes[0].requests, lanes[0].over_plan, lanes[1].over_plan), (8, 2, 0));
}

#[tokio::test]
async fn reads_without_a_live_token_stand_in_the_ledger_and_in_the_report() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let read = |token: &str| rig.get(token, "/restapi/v1.0/account/~/extension/~");
    assert_eq!(outcome(read(&token)).await.0, 200);
    rig.admin(0, "revoke-session", &json!({})).await;
    assert_eq!(outcome(read(&token)).await, (401, "OAU-213".into()));
    assert_eq!(outcome(read("junk")).await, (401, "OAU-149".into()));

    let ledger =
        rig.http.get(rig.url("/simulator/ledger")).send().await.expect("an answer").text().await.expect("text");
    let lines: Vec<_> = ledger.lines().filter(|line| line.contains("\"kind\":\"api\"")).collect();
    let [first, dead, nobodys] = lines[..] else { panic!("{lines:?}") };
    let own = format!("\"extension\":\"{}\"", rig.accounts[0].extension_id);
    assert!(first.contains("\"status\":200") && first.contains(&own), "{first}");
    assert!(dead.contains("\"status\":401") && dead.contains(&own), "{dead}");
    assert!(nobodys.contains("\"status\":401") && !nobodys.contains("\"extension\":"), "{nobodys}");
    let report = body(rig.http.get(rig.url("/simulator/report"))).await;
    assert_eq!((&report["unauthorized_reads"], &report["requests"]), (&json!(2), &json!(0)), "{report}");
}

#[tokio::test]
async fn texts_to_those_who_opted_out_are_accepted_and_counted() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let text = rig.text(0, "+15550200001", "x");
    assert_eq!(outcome(rig.send(&token, &text)).await.0, 200);
    rig.admin(0, "opt-out", &json!({"to": ["+15550200001"]})).await;
    assert_eq!(outcome(rig.send(&token, &text)).await.0, 200);
    let report = rig.simulator.report();
    assert_eq!((report.accepted, report.opted_out), (2, 1));
    let ledger =
        rig.http.get(rig.url("/simulator/ledger")).send().await.expect("an answer").text().await.expect("text");
    assert_eq!(ledger.matches("\"opted_out\":true").count(), 1);
}

#[tokio::test]
async fn logins_and_sessions_are_told_for_each_extension() {
    let rig = start(quick()).await;
    let login: serde_json::Value = rig.login(0).await.json().await.expect("JSON");
    rig.refresh(login["refresh_token"].as_str().expect("a token")).await;
    for _ in 0..4 {
        rig.login(0).await;
    }
    rig.admin(1, "revoke-jwt", &json!({})).await;
    rig.login(1).await;
    let scope = ReportScope { extensions: true, ..ReportScope::default() };
    let mut report = rig.simulator.report_on(&scope);
    let extensions = report.per_extension.take().expect("extensions");
    assert_eq!((report.logins, report.refreshes, report.auth_refused, report.auth_429), (4, 1, 1, 1));
    let expected = ExtensionReport {
        extension: rig.accounts[0].extension_id.clone(),
        logins: 4,
        refreshes: 1,
        auth_429: 1,
        sessions: 4,
        sessions_max: 4,
        ..ExtensionReport::default()
    };
    assert_eq!(extensions[0], expected);
    assert_eq!((extensions[1].auth_refused, extensions[1].sessions, extensions.len()), (1, 0, 3));
}

#[tokio::test]
async fn quota_use_is_one_for_a_lane_that_waits_out_its_window() {
    let window = Duration::from_millis(400);
    let limits = Limits { medium: 2, ..Limits::default() };
    let rig = start(SimulatorConfig { window, limits, ..quick() }).await;
    let token = rig.token(0);
    for _ in 0..3 {
        for n in 0..2 {
            let text = rig.text(0, &format!("+1555020000{n}"), "x");
            assert_eq!(outcome(rig.send(&token, &text)).await.0, 200);
        }
        tokio::time::sleep(window + Duration::from_millis(20)).await;
    }
    let report = rig.simulator.report();
    assert_eq!((report.http_429, report.over_plan), (0, 0));
    let used = report.quota_use_worst.expect("pairs");
    assert!((0.5..=1.0).contains(&used), "{used}");
}

#[tokio::test]
async fn the_ledger_says_the_same_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ledger.ndjson");
    let rig = start(SimulatorConfig { ledger_file: Some(path.clone()), ..quick() }).await;
    rig.login(0).await;
    let token = rig.token(0);
    outcome(rig.send(&token, &rig.text(0, "+15550200001", "secret text"))).await;
    outcome(rig.send(&token, &rig.text(1, "+15550200001", "other text"))).await;
    outcome(rig.get(&token, "/restapi/v1.0/account/~/call-log")).await;
    let url = rig.url("/simulator/ledger");
    let fetched = rig.http.get(url).send().await.expect("an answer").text().await.expect("text");
    let read = |text: &str| -> Vec<LedgerLine> {
        let mut lines: Vec<_> = text.lines().map(|l| serde_json::from_str(l).expect("a line")).collect();
        lines.sort_by_key(|line| match line {
            LedgerLine::Sms(line) => line.at_ns,
            LedgerLine::Token(line) => line.at_ns,
            LedgerLine::Api(line) => line.at_ns,
            LedgerLine::Webhook(line) => line.at_ns,
        });
        lines
    };
    rig.simulator.stop().await;
    let file = std::fs::read_to_string(path).expect("the file");
    assert_eq!(read(&fetched), read(&file));
    assert!(!file.contains("secret"));
    let lines = read(&file);
    assert_eq!(lines.len(), 4);
    let LedgerLine::Sms(accepted) = &lines[1] else { panic!("{lines:?}") };
    assert_eq!(accepted.outcome, "accepted");
    assert_eq!(accepted.text_hash, Some(format!("{:016x}", text_hash("secret text"))));
    let LedgerLine::Sms(rejected) = &lines[2] else { panic!("{lines:?}") };
    assert_eq!(rejected.code.as_deref(), Some("MSG-304"));
    let LedgerLine::Api(read) = &lines[3] else { panic!("{lines:?}") };
    assert_eq!((read.operation, read.status, read.used), (Endpoint::AccountCallLog, 200, 1));
}
