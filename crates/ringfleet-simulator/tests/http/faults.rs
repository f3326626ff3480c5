use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};
use ringfleet_simulator::{Fault, RetryAfter, Simulator, SimulatorConfig};
use serde_json::{Value, json};

use crate::support::{Rig, outcome, quick, start};

const TO: &str = "+15550200001";

/// Sends one text under a fault; tells what the client saw and whether the message was accepted.
async fn under(rig: &Rig, fault: Fault) -> (Result<Response, reqwest::Error>, bool) {
    rig.fault(fault);
    let before = rig.simulator.report().accepted;
    let text = rig.text(0, TO, "x");
    let answer = rig.send(&rig.token(0), &text).timeout(Duration::from_secs(1)).send().await;
    (answer, rig.simulator.report().accepted > before)
}

fn is_reset(error: &reqwest::Error) -> bool {
    format!("{error:?}").contains("ConnectionReset")
}

#[tokio::test]
async fn hangs_and_resets_before_and_after_acceptance() {
    let rig = start(quick()).await;
    for (fault, hangs, accepts) in [
        (Fault::AcceptThenHang, true, true),
        (Fault::HangBeforeRead, true, false),
        (Fault::AcceptThenReset, false, true),
        (Fault::ResetBefore, false, false),
    ] {
        let (answer, accepted) = under(&rig, fault.clone()).await;
        let error = answer.expect_err("no answer");
        assert_eq!(error.is_timeout(), hangs, "{fault:?}");
        assert_eq!(is_reset(&error), !hangs, "{fault:?}: {error:?}");
        assert_eq!(accepted, accepts, "{fault:?}");
    }
    let (answer, accepted) = under(&rig, Fault::Delay { ms: 200 }).await;
    assert!(answer.expect("late, but there").status().is_success() && accepted);
}

#[tokio::test]
async fn errors_before_and_after_acceptance() {
    let rig = start(quick()).await;
    let retry_after = Some(RetryAfter::Seconds(7));
    let busy = Fault::ErrorBefore { status: 503, code: Some("MSG-290".into()), retry_after };
    let (answer, accepted) = under(&rig, busy).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!((answer.status(), accepted), (StatusCode::SERVICE_UNAVAILABLE, false));
    let error: Value = answer.json().await.expect("JSON");
    assert_eq!(error["errors"][0]["errorCode"], "MSG-290");

    let (answer, accepted) = under(&rig, Fault::ErrorAfterAccept { status: 500 }).await;
    assert_eq!((answer.expect("an answer").status().as_u16(), accepted), (500, true));
    let (answer, accepted) = under(&rig, Fault::ErrorAfterAccept { status: 502 }).await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.status().as_u16(), accepted), (502, true));
    assert_eq!(answer.headers()["content-type"], "text/html");
}

#[tokio::test]
async fn unreadable_answers_are_accepted_all_the_same() {
    let rig = start(quick()).await;
    let (answer, accepted) = under(&rig, Fault::Garbage).await;
    let answer = answer.expect("an answer");
    assert!(answer.status() == 200 && accepted);
    answer.json::<Value>().await.expect_err("no JSON");

    let (answer, accepted) = under(&rig, Fault::Truncated).await;
    let answer = answer.expect("a head");
    assert!(answer.content_length().is_some_and(|length| length > 100) && accepted);
    answer.bytes().await.expect_err("half a body");

    let (answer, accepted) = under(&rig, Fault::Huge).await;
    let huge = answer.expect("a head").bytes().await.expect("a body");
    assert!(huge.len() > 16_000_000 && accepted);

    let (answer, accepted) = under(&rig, Fault::Drip).await;
    let error = answer.expect("a head").bytes().await.expect_err("too slow");
    assert!(error.is_timeout() && accepted);
}

#[tokio::test]
async fn an_injected_429_with_headers_is_a_real_penalty_whatever_it_says() {
    let later = "Fri, 01 Jan 2100 00:00:00 GMT";
    let (seconds, text) = (RetryAfter::Seconds, |text: &str| RetryAfter::Text(text.to_owned()));
    // The last two mean nothing, and the plan's minute is kept all the same.
    let cases = [Some(seconds(30)), Some(text("30")), Some(text(later)), Some(text("soon")), None];
    for (index, retry_after) in cases.into_iter().enumerate() {
        let rig = start(quick()).await;
        let told = match &retry_after {
            Some(RetryAfter::Seconds(seconds)) => Some(seconds.to_string()),
            Some(RetryAfter::Text(text)) => Some(text.clone()),
            None => None,
        };
        let own = Fault::Throttle { retry_after, headers: true };
        let answer = under(&rig, own).await.0.expect("an answer");
        assert_eq!(answer.headers()["x-rate-limit-group"], "medium");
        assert_eq!(answer.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned()), told);
        assert_eq!(rig.simulator.report().in_penalty, 0);
        let text = rig.text(0, TO, "x");
        assert_eq!(outcome(rig.send(&rig.token(0), &text)).await.0, 429, "case {index}");
        let other = rig.text(1, TO, "x");
        assert_eq!(outcome(rig.send(&rig.token(1), &other)).await.0, 200, "case {index}");
        let report = rig.simulator.report();
        assert_eq!((report.faulted, report.sms_429, report.in_penalty, report.over_plan), (1, 1, 1, 0));
    }
    let rig = start(quick()).await;
    let short = Fault::Throttle { retry_after: Some(seconds(0)), headers: true };
    under(&rig, short).await.0.expect("an answer");
    let text = rig.text(0, TO, "x");
    assert_eq!(outcome(rig.send(&rig.token(0), &text)).await.0, 200, "nobody has to wait longer than he is told");
}

#[tokio::test]
async fn an_injected_429_without_headers_keeps_everybody_out_until_nobody_has_come_for_as_long_as_it_says() {
    let rig = start(quick()).await;
    let foreign = Fault::Throttle { retry_after: Some(RetryAfter::Seconds(4)), headers: false };
    let answer = under(&rig, foreign).await.0.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert!(!answer.headers().contains_key("x-rate-limit-group"));
    let extension = "/restapi/v1.0/account/~/extension/~";
    // Before it is over it begins anew, for other extensions and groups too.
    for n in 0..3 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let request = match n {
            0 | 1 => rig.send(&rig.token(n), &rig.text(n, TO, "x")),
            _ => rig.get(&rig.token(2), extension),
        };
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 429, "{n}");
        assert_eq!(answer.headers()["retry-after"], "4");
        assert!(!answer.headers().contains_key("x-rate-limit-group"));
    }
    let report = rig.simulator.report();
    assert_eq!((report.in_penalty, report.http_429, report.sms_429), (3, 3, 2), "{report:?}");
    assert_eq!(rig.login(1).await.status(), 200);
    tokio::time::sleep(Duration::from_millis(4_100)).await;
    assert_eq!(outcome(rig.send(&rig.token(1), &rig.text(1, TO, "x"))).await.0, 200);

    let odd = Fault::Throttle { retry_after: Some(RetryAfter::Text("soon".into())), headers: false };
    assert_eq!(under(&rig, odd).await.0.expect("an answer").headers()["retry-after"], "soon");
    assert_eq!(outcome(rig.send(&rig.token(1), &rig.text(1, TO, "x"))).await.0, 429);
}

#[tokio::test]
async fn rules_come_and_go_over_http() {
    let rig = start(quick()).await;
    let url = rig.url("/simulator/faults");
    let rule = json!({
        "id": "storm",
        "match": {"to": "+1555020", "every_nth": 2},
        "fault": {"kind": "error_before", "status": 500},
    });
    let answer = rig.http.post(&url).json(&rule).send().await.expect("an answer");
    assert_eq!(answer.json::<Value>().await.expect("JSON")["id"], "storm");
    let token = rig.token(0);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(outcome(rig.send(&token, &rig.text(0, TO, "x"))).await.0);
    }
    assert_eq!(statuses, [200, 500, 200, 500]);
    let list: Value = rig.http.get(&url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(list[0]["struck"], 2);
    let gone = rig.http.delete(format!("{url}/storm")).send().await.expect("an answer");
    assert_eq!(gone.json::<Value>().await.expect("JSON")["removed"], 1);
    assert_eq!(outcome(rig.send(&token, &rig.text(0, TO, "x"))).await.0, 200);
    let typo = json!({"fault": {"kind": "explode"}});
    assert!(rig.http.post(&url).json(&typo).send().await.expect("an answer").status().is_client_error());
}

#[tokio::test]
async fn magic_recipients_bring_their_fault_as_often_as_they_say() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(outcome(rig.send(&token, &rig.text(0, "+15550905002", "x"))).await.0);
    }
    assert_eq!(statuses, [503, 503, 200]);
    let other = rig.send(&rig.token(1), &rig.text(1, "+15550905002", "x"));
    assert_eq!(outcome(other).await.0, 503);
}

#[tokio::test]
async fn token_and_message_store_have_faults_too() {
    let rig = start(quick()).await;
    let url = rig.url("/simulator/faults");
    for (endpoint, status) in [("token", 503), ("message-store", 500)] {
        let rule = json!({
            "match": {"endpoint": endpoint},
            "fault": {"kind": "error_before", "status": status},
            "times": 1,
        });
        rig.http.post(&url).json(&rule).send().await.expect("an answer");
    }
    assert_eq!(rig.login(0).await.status(), 503);
    assert_eq!(rig.login(0).await.status(), 200);
    let store = "/restapi/v1.0/account/~/extension/~/message-store";
    let token = rig.token(0);
    assert_eq!(outcome(rig.get(&token, store)).await.0, 500);
    assert_eq!(outcome(rig.get(&token, store)).await.0, 200);
}

#[tokio::test]
async fn stopping_does_not_wait_for_what_hangs() {
    let Rig { simulator, accounts, http } = start(SimulatorConfig { extensions: 1, ..quick() }).await;
    let token = simulator.access_token(&accounts[0].extension_id).expect("a token");
    let url = format!("{}/restapi/v1.0/account/~/extension/~/sms", simulator.base_url());
    let text = crate::support::sms(&accounts[0].numbers[0], "+15550901000", "x");
    let hanging = tokio::spawn(http.post(url).bearer_auth(token).json(&text).send());
    while simulator.report().accepted == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    Simulator::stop(simulator).await;
    assert!(began.elapsed() < Duration::from_secs(3));
    hanging.await.expect("no panic").expect_err("no answer");
}
