use ringfleet_simulator::SimulatorConfig;
use serde_json::{Value, json};

use crate::support::{Rig, body, outcome, quick, start};

const OWN: &str = "/restapi/v1.0/account/~/extension/~/call-log";
const ALL: &str = "/restapi/v1.0/account/~/call-log";
const LONG_AGO: &str = "dateFrom=2000-01-01T00:00:00Z";

async fn log(rig: &Rig, path: &str, query: &str) -> Value {
    body(rig.get(&rig.token(0), &format!("{path}?{query}"))).await
}

fn records(list: &Value) -> &Vec<Value> {
    list["records"].as_array().expect("records")
}

#[tokio::test]
async fn all_pages_hold_each_call_once_newest_first() {
    let rig = start(SimulatorConfig { calls_per_extension: 250, ..quick() }).await;
    for (path, calls) in [(OWN, 250), (ALL, 750)] {
        let mut uri = rig.url(&format!("{path}?{LONG_AGO}&perPage=200&view=Detailed"));
        let mut seen: Vec<(String, String)> = Vec::new();
        loop {
            let list = body(rig.http.get(&uri).bearer_auth(rig.token(0))).await;
            assert_eq!(list["paging"]["totalElements"], calls);
            let text = |record: &Value, name: &str| record[name].as_str().expect("text").to_owned();
            seen.extend(records(&list).iter().map(|record| (text(record, "startTime"), text(record, "id"))));
            match list["navigation"]["nextPage"]["uri"].as_str() {
                Some(next) => uri = next.to_owned(),
                None => break,
            }
        }
        assert!(seen.is_sorted_by(|a, b| a.0 >= b.0), "newest first");
        seen.sort_by(|a, b| a.1.cmp(&b.1));
        seen.dedup_by(|a, b| a.1 == b.1);
        assert_eq!(seen.len(), calls);
    }
}

#[tokio::test]
async fn a_query_without_dates_looks_a_day_back() {
    let rig = start(quick()).await;
    let day = log(&rig, OWN, "perPage=1000").await;
    // One call in 20 minutes.
    assert!((71..=72).contains(&records(&day).len()), "{}", records(&day).len());
    let week = log(&rig, OWN, &format!("{LONG_AGO}&perPage=max")).await;
    assert_eq!((records(&week).len(), &week["paging"]["perPage"]), (100, &json!(1000)));
    // The record at the limit belongs to both sides.
    let middle = records(&week)[50]["startTime"].as_str().expect("a time");
    assert_eq!(records(&log(&rig, OWN, &format!("dateFrom={middle}&perPage=1000")).await).len(), 51);
    let until = log(&rig, OWN, &format!("{LONG_AGO}&dateTo={middle}&perPage=1000")).await;
    assert_eq!(records(&until).len(), 50);
}

#[tokio::test]
async fn filters_and_views() {
    let rig = start(quick()).await;
    let simple = log(&rig, OWN, &format!("{LONG_AGO}&direction=Inbound&type=Voice")).await;
    assert!(records(&simple).len() > 10);
    for record in records(&simple) {
        assert_eq!((&record["direction"], &record["type"]), (&json!("Inbound"), &json!("Voice")));
        assert!(record.get("legs").is_none());
        assert_eq!(record["to"]["phoneNumber"], rig.accounts[0].numbers[0]);
    }
    let faxes = log(&rig, OWN, &format!("{LONG_AGO}&type=Fax")).await;
    let both = log(&rig, OWN, &format!("{LONG_AGO}&direction=Outbound&direction=Inbound")).await;
    assert!((1..30).contains(&records(&faxes).len()) && records(&both).len() == 100);
    let detailed = log(&rig, OWN, &format!("{LONG_AGO}&view=Detailed")).await;
    assert!(records(&detailed).iter().all(|record| record["legs"][0]["master"] == true));
    assert!(records(&detailed).iter().any(|record| record["legs"][1]["legType"] == "FindMe"));
    let other = records(&detailed)[3]["from"]["phoneNumber"].as_str().expect("a number").trim_start_matches('+');
    assert!(!records(&log(&rig, OWN, &format!("{LONG_AGO}&phoneNumber={other}")).await).is_empty());
    let colleague = log(&rig, ALL, &format!("{LONG_AGO}&extensionNumber=102&perPage=1000")).await;
    assert_eq!(records(&colleague).len(), 100);
    for (query, code) in [("view=All", "CMN-101"), ("dateFrom=yesterday", "CMN-101")] {
        let answer = outcome(rig.get(&rig.token(0), &format!("{OWN}?{query}"))).await;
        assert_eq!(answer, (400, code.into()));
    }
}

#[tokio::test]
async fn totals_can_be_missing_and_the_history_follows_from_the_seed() {
    let rig = start(SimulatorConfig { call_log_totals: false, ..quick() }).await;
    let list = log(&rig, OWN, &format!("{LONG_AGO}&perPage=10")).await;
    assert!(list["paging"].get("totalElements").is_none() && list["paging"].get("totalPages").is_none());
    assert!(list["navigation"]["nextPage"]["uri"].is_string());
    let other = start(quick()).await;
    let again = log(&other, OWN, &format!("{LONG_AGO}&perPage=10")).await;
    let facts = |list: &Value| -> Vec<Value> {
        records(list).iter().map(|r| json!([r["id"], r["result"], r["duration"], r["from"], r["to"]])).collect()
    };
    assert_eq!(facts(&list), facts(&again));
}

#[tokio::test]
async fn call_logs_are_heavy_and_need_their_permissions() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let own_id = &rig.accounts[0].extension_id;
    let by_id = format!("/restapi/v1.0/account/{}/extension/{own_id}/call-log", rig.accounts[0].account_id);
    let answer = rig.get(&token, &by_id).send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-rate-limit-group"]),
        (200, &"heavy".parse().expect("ok"))
    );
    let colleague = OWN.replace("extension/~", &format!("extension/{}", rig.accounts[1].extension_id));
    assert_eq!(outcome(rig.get(&token, &colleague)).await, (403, "CMN-419".into()));
    rig.admin(0, "permissions", &json!({"missing": ["FullCompanyCallLog"]})).await;
    assert_eq!(outcome(rig.get(&token, ALL)).await, (403, "CMN-408".into()));
    assert_eq!(outcome(rig.get(&token, OWN)).await.0, 200);
    rig.settings(&json!({"permissions": ["ReadAccounts"]})).await;
    assert_eq!(outcome(rig.get(&token, OWN)).await, (403, "CMN-401".into()));
    let rule = json!({"match": {"endpoint": "call-log"}, "fault": {"kind": "error_before", "status": 503}, "times": 1});
    rig.http.post(rig.url("/simulator/faults")).json(&rule).send().await.expect("an answer");
    assert_eq!(outcome(rig.get(&rig.token(1), OWN)).await, (403, "CMN-401".into()));
    rig.settings(&json!({"permissions": ["ReadCallLog"]})).await;
    assert_eq!(outcome(rig.get(&rig.token(1), OWN)).await, (503, "CMN-201".into()));
}
