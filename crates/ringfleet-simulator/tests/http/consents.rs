use serde_json::{Value, json};

use crate::support::{Rig, body, outcome, quick, start};

const CONSENTS: &str = "/restapi/v2/accounts/~/sms/consents";
const CUSTOMER: &str = "+15550200001";

async fn patch(rig: &Rig, records: Value) -> Value {
    let request = rig.http.patch(rig.url(CONSENTS)).bearer_auth(rig.token(0)).json(&json!({"records": records}));
    body(request).await
}

async fn search(rig: &Rig, query: Value) -> Value {
    body(rig.http.post(rig.url(&format!("{CONSENTS}/search"))).bearer_auth(rig.token(0)).json(&query)).await
}

fn record(from: &str, to: &str, status: &str) -> Value {
    json!({"from": from, "to": to, "optStatus": status, "source": "Api"})
}

#[tokio::test]
async fn records_are_taken_one_by_one_and_found_again() {
    let rig = start(quick()).await;
    let own = rig.accounts[0].numbers[0].as_str();
    let colleague = rig.accounts[1].numbers[0].as_str();
    let answer = patch(
        &rig,
        json!([
            record(own, CUSTOMER, "OptOut"),
            record(colleague, "+15550200002", "OptIn"),
            record("+15559999999", CUSTOMER, "OptOut"),
            record(own, "12", "OptOut"),
        ]),
    )
    .await;
    let failed = answer["failedRecords"].as_array().expect("failures");
    let names: Vec<_> = failed.iter().map(|one| one["error"]["parameterName"].as_str().expect("a name")).collect();
    assert_eq!(names, ["from", "to"]);
    let found = search(&rig, json!({"optStatus": "OptOut"})).await;
    assert_eq!(found["records"].as_array().map(Vec::len), Some(1));
    let one = &found["records"][0];
    assert_eq!((&one["from"], &one["to"], &one["source"]), (&json!(own), &json!(CUSTOMER), &json!("Api")));
    assert!(one["lastModifiedTime"].is_string());
    assert_eq!(search(&rig, json!({"from": [colleague]})).await["records"][0]["optStatus"], "OptIn");
    let first = search(&rig, json!({"perPage": 1})).await;
    let next = first["paging"]["nextPageToken"].clone();
    let second = search(&rig, json!({"perPage": 1, "pageToken": next})).await;
    assert_eq!((&second["records"][0]["from"], second["paging"].get("nextPageToken")), (&json!(colleague), None));
    let none = rig.http.patch(rig.url(CONSENTS)).bearer_auth(rig.token(0)).json(&json!({"records": []}));
    assert_eq!(outcome(none).await, (400, "CMN-101".into()));
}

#[tokio::test]
async fn an_opt_out_for_the_account_holds_for_every_number() {
    let rig = start(quick()).await;
    patch(&rig, json!([record("*", CUSTOMER, "OptOut")])).await;
    for account in [0, 1] {
        let text = rig.text(account, CUSTOMER, "x");
        assert_eq!(outcome(rig.send(&rig.token(account), &text)).await.0, 200);
    }
    assert_eq!(rig.simulator.report().opted_out, 2);
    let found = search(&rig, json!({"from": ["*"], "to": [CUSTOMER]})).await;
    assert_eq!((&found["records"][0]["from"], &found["records"][0]["coverage"]), (&json!("*"), &json!("Account")));
    patch(&rig, json!([record("*", CUSTOMER, "OptIn")])).await;
    assert_eq!(outcome(rig.send(&rig.token(0), &rig.text(0, CUSTOMER, "x"))).await.0, 200);
    assert_eq!(rig.simulator.report().opted_out, 2);
}

#[tokio::test]
async fn consents_cost_light_requests_and_need_the_sms_permission() {
    let rig = start(quick()).await;
    let answer = rig
        .http
        .post(rig.url(&format!("{CONSENTS}/search")))
        .bearer_auth(rig.token(0))
        .json(&json!({}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["x-rate-limit-group"], "light");
    rig.settings(&json!({"permissions": ["ReadMessages"]})).await;
    let request = rig.http.post(rig.url(&format!("{CONSENTS}/search"))).bearer_auth(rig.token(0)).json(&json!({}));
    assert_eq!(outcome(request).await, (403, "CMN-401".into()));
}
