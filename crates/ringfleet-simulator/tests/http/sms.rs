use reqwest::multipart::{Form, Part};
use ringfleet_simulator::SimulatorConfig;
use serde_json::{Value, json};

use crate::support::{body, outcome, quick, sms, start};

const SMS: &str = "/restapi/v1.0/account/~/extension/~/sms";

#[tokio::test]
async fn a_send_answers_200_and_queued() {
    let rig = start(quick()).await;
    let sent = body(rig.send(&rig.token(0), &rig.text(0, "+15550200001", "hi 😀"))).await;
    assert_eq!(sent["messageStatus"], "Queued");
    assert_eq!(sent["direction"], "Outbound");
    assert_eq!(sent["subject"], "hi 😀");
    assert_eq!(sent["to"][0]["phoneNumber"], "+15550200001");
    assert_eq!(sent["from"]["name"], rig.accounts[0].name);
    assert!(sent["id"].is_i64() && sent["conversation"]["id"].is_string());
}

#[tokio::test]
async fn multipart_works_as_form_data_and_as_mixed() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let json = rig.text(0, "+15550200001", "parts").to_string();
    let part = Part::text(json.clone()).file_name("request.json").mime_str("application/json").expect("a type");
    let form = rig.http.post(rig.url(SMS)).bearer_auth(&token);
    let sent = body(form.multipart(Form::new().part("request.json", part))).await;
    assert_eq!(sent["subject"], "parts");
    let mixed = rig
        .http
        .post(rig.url(SMS))
        .bearer_auth(&token)
        .header("content-type", "multipart/mixed; boundary=b")
        .body(format!("--b\r\nContent-Type: application/json\r\n\r\n{json}\r\n--b--"));
    assert_eq!(outcome(mixed).await.0, 200);
    let plain = rig.http.post(rig.url(SMS)).bearer_auth(&token).body(json);
    assert_eq!(outcome(plain).await.0, 415);
}

#[tokio::test]
async fn only_the_own_number_of_the_own_extension_sends() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let foreign = rig.text(1, "+15550200001", "x");
    let answer = rig.send(&token, &foreign).send().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    let error: Value = answer.json().await.expect("JSON");
    assert_eq!(error["errorCode"], "FeatureNotAvailable");
    assert_eq!(error["errors"][0]["errorCode"], "MSG-304");

    let colleague = &rig.accounts[1].extension_id;
    let own = rig.text(0, "+15550200001", "x");
    for (extension, expected) in [(colleague.as_str(), (403, "CMN-419")), ("999", (404, "CMN-102"))] {
        let url = rig.url(&format!("/restapi/v1.0/account/~/extension/{extension}/sms"));
        let request = rig.http.post(url).bearer_auth(&token).json(&own);
        assert_eq!(outcome(request).await, (expected.0, expected.1.into()));
    }
    rig.admin(0, "features", &json!({"features": ["CallerId"]})).await;
    assert_eq!(outcome(rig.send(&token, &own)).await, (403, "MSG-367".into()));
    let report = rig.simulator.report();
    assert_eq!((report.requests, report.accepted, report.rejected), (4, 0, 4));
}

#[tokio::test]
async fn no_token_no_quota() {
    let rig = start(quick()).await;
    let text = sms(&rig.accounts[0].numbers[0], "+15550200001", "x");
    let bare = rig.http.post(rig.url(SMS)).json(&text);
    assert_eq!(outcome(bare).await, (401, "AGW-401".into()));
    let basic = rig.http.post(rig.url(SMS)).basic_auth("a", Some("b")).json(&text);
    assert_eq!(outcome(basic).await, (401, "AGW-402".into()));
    assert_eq!(outcome(rig.send("junk", &text)).await, (401, "OAU-149".into()));
    let report = rig.simulator.report();
    assert_eq!((report.requests, report.unauthorized, report.lanes), (3, 3, 0));
}

#[tokio::test]
async fn a_developer_account_puts_a_prefix_before_the_text() {
    let config = SimulatorConfig { text_prefix: Some("Test SMS: ".into()), ..quick() };
    let rig = start(config).await;
    let sent = body(rig.send(&rig.token(0), &rig.text(0, "+15550200001", "hi"))).await;
    assert_eq!(sent["subject"], "Test SMS: hi");
}
