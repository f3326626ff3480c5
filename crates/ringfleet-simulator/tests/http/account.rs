//! Extensions, their numbers, and what they may do.

use serde_json::{Value, json};

use crate::support::{Rig, body, outcome, quick, start};

const EXTENSIONS: &str = "/restapi/v1.0/account/~/extension";

async fn numbers(rig: &Rig, query: &str) -> Vec<String> {
    let list = body(rig.get(&rig.token(0), &format!("{EXTENSIONS}?{query}"))).await;
    let records = list["records"].as_array().expect("records").iter();
    records.map(|record| record["extensionNumber"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn extensions_are_listed_by_status_type_and_number() {
    let rig = start(quick()).await;
    rig.admin(1, "status", &json!({"status": "Disabled"})).await;
    rig.admin(2, "status", &json!({"status": "Deleted"})).await;
    assert_eq!(numbers(&rig, "").await, ["101", "102"]);
    assert_eq!(numbers(&rig, "status=Disabled&status=Frozen").await, ["102"]);
    assert_eq!(numbers(&rig, "status=Enabled&type=User").await, ["101"]);
    assert!(numbers(&rig, "type=Department").await.is_empty());
    assert_eq!(numbers(&rig, "extensionNumber=102").await, ["102"]);
    assert_eq!(numbers(&rig, "email=extension101@example.com").await, ["101"]);
    let account = body(rig.get(&rig.token(0), "/restapi/v1.0/account/~")).await;
    assert_eq!((&account["status"], &account["mainNumber"]), (&json!("Confirmed"), &json!("+15550099999")));
}

#[tokio::test]
async fn a_permission_can_be_looked_up_before_it_is_missed() {
    let rig = start(quick()).await;
    let token = rig.token(0);
    let check = format!("{EXTENSIONS}/~/authz-profile/check");
    let sms = format!("{check}?permissionId=OutboundSMS");
    assert_eq!(body(rig.get(&token, &sms)).await["successful"], true);
    rig.admin(0, "permissions", &json!({"missing": ["OutboundSMS", "ReadExtensions"]})).await;
    assert_eq!(body(rig.get(&token, &sms)).await["successful"], false);
    assert_eq!(outcome(rig.get(&token, &check)).await, (400, "CMN-100".into()));
    assert_eq!(outcome(rig.get(&token, &format!("{EXTENSIONS}/~"))).await, (403, "CMN-408".into()));
}

#[tokio::test]
async fn without_a_confirmed_campaign_texts_are_taken_and_not_delivered() {
    let rig = start(ringfleet_simulator::SimulatorConfig { status_delay: std::time::Duration::ZERO, ..quick() }).await;
    let token = rig.token(0);
    let list = body(rig.get(&token, &format!("{EXTENSIONS}/~/phone-number"))).await;
    let id = list["records"][0]["id"].as_u64().expect("an id");
    let configuration = format!("{EXTENSIONS}/~/phone-number/{id}/sms-configuration");
    assert_eq!(body(rig.get(&token, &configuration)).await["smsCampaignInfo"]["status"], "Confirmed");
    assert_eq!(outcome(rig.get(&token, &configuration.replace(&id.to_string(), "1"))).await, (404, "CMN-102".into()));
    for (status, shown) in [(json!("CampaignSuspended"), json!("CampaignSuspended")), (Value::Null, Value::Null)] {
        rig.admin(0, "campaign", &json!({"status": status})).await;
        let now = body(rig.get(&token, &configuration)).await;
        assert_eq!(now["smsCampaignInfo"]["status"], shown);
        let sent = body(rig.send(&token, &rig.text(0, "+15550200001", "x"))).await;
        let read = body(rig.get(&token, &format!("{EXTENSIONS}/~/message-store/{}", sent["id"]))).await;
        assert_eq!(
            (&read["messageStatus"], &read["deliveryErrorCode"]),
            (&json!("DeliveryFailed"), &json!("SMS-UP-414"))
        );
    }
}
