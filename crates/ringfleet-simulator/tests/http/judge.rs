use std::time::Duration;

use ringfleet_simulator::{Fault, LedgerLine, Limits, Report, SimulatorConfig, text_hash};

use crate::support::{outcome, quick, start};

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
    rig.fault(Fault::ErrorBefore { status: 503, code: None });
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
    let url = rig.url("/simulator/ledger");
    let fetched = rig.http.get(url).send().await.expect("an answer").text().await.expect("text");
    let read = |text: &str| -> Vec<LedgerLine> {
        let mut lines: Vec<_> = text.lines().map(|l| serde_json::from_str(l).expect("a line")).collect();
        lines.sort_by_key(|line| match line {
            LedgerLine::Sms(line) => line.at_ns,
            LedgerLine::Token(line) => line.at_ns,
        });
        lines
    };
    rig.simulator.stop().await;
    let file = std::fs::read_to_string(path).expect("the file");
    assert_eq!(read(&fetched), read(&file));
    assert!(!file.contains("secret"));
    let lines = read(&file);
    assert_eq!(lines.len(), 3);
    let LedgerLine::Sms(accepted) = &lines[1] else { panic!("{lines:?}") };
    assert_eq!(accepted.outcome, "accepted");
    assert_eq!(accepted.text_hash, Some(format!("{:016x}", text_hash("secret text"))));
    let LedgerLine::Sms(rejected) = &lines[2] else { panic!("{lines:?}") };
    assert_eq!(rejected.code.as_deref(), Some("MSG-304"));
}
