//! Each read on the wire: what is asked for, in whose quota, and what is made of the answer.

mod support;

use ringcentral::*;
use support::{Stub, answer, extension, token};

const EXTENSION: &str = "/restapi/v1.0/account/~/extension/~";

async fn read<T: serde::de::DeserializeOwned>(stub: &Stub, read: Read<T>) -> Result<Answer<T>, CallError> {
    stub.client().read(Caller { extension: &extension(), token: &token() }, &read).await
}

async fn page<T: serde::de::DeserializeOwned>(stub: &Stub, read: Read<Page<T>>) -> Result<Answer<Page<T>>, CallError> {
    stub.client().read_page(Caller { extension: &extension(), token: &token() }, &read).await
}

async fn stub(body: &str) -> Stub {
    Stub::start(vec![answer(200, &[], body)]).await
}

/// The one request that a stub saw, without its HTTP version.
fn asked(stub: &Stub) -> String {
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), Some("Bearer canary-token"));
    seen[0].line().trim_end_matches(" HTTP/1.1").to_owned()
}

fn day() -> (jiff::Timestamp, jiff::Timestamp) {
    let at = |text: &str| text.parse().expect("timestamp");
    (at("2026-01-02T00:00:00Z"), at("2026-01-03T00:00:00Z"))
}

const DAY: &str = "dateFrom=2026-01-02T00%3A00%3A00.000Z&dateTo=2026-01-03T00%3A00%3A00.000Z";

#[tokio::test]
async fn account_and_extensions() {
    let account = stub(r#"{"id":37439510,"status":"Confirmed","mainNumber":"+15550100000"}"#).await;
    assert_eq!(read(&account, Read::account()).await.expect("an account").value.id.as_str(), "37439510");
    assert_eq!(asked(&account), "GET /restapi/v1.0/account/~");

    let own = stub(r#"{"id":101,"extensionNumber":"101","status":"Enabled"}"#).await;
    assert_eq!(read(&own, Read::extension(Whose::Own)).await.expect("an extension").value.id.as_str(), "101");
    assert_eq!(asked(&own), format!("GET {EXTENSION}"));

    let colleague = ExtensionId::try_new("102").expect("valid");
    let other = stub(r#"{"id":"102"}"#).await;
    read(&other, Read::extension(Whose::Extension(&colleague))).await.expect("an extension");
    assert_eq!(asked(&other), "GET /restapi/v1.0/account/~/extension/102");

    let list = stub(r#"{"records":[{"id":101,"type":"User"},{"id":"102"}]}"#).await;
    let kinds = Label::try_new("User").into_iter().collect();
    let query =
        ExtensionQuery { statuses: vec![ExtensionStatus::Enabled], kinds, page: 2, ..ExtensionQuery::default() };
    assert_eq!(page(&list, Read::extensions(&query)).await.expect("extensions").value.records.len(), 2);
    let filters = "status=Enabled&type=User&page=2&perPage=1000";
    assert_eq!(asked(&list), format!("GET /restapi/v1.0/account/~/extension?{filters}"));
}

#[tokio::test]
async fn numbers_and_whether_they_may_send() {
    let own = stub(r#"{"records":[{"id":7,"phoneNumber":"+15550100001","features":["SmsSender"]}]}"#).await;
    let numbers = page(&own, Read::extension_phone_numbers(Whose::Own)).await.expect("numbers").value;
    assert!(numbers.records[0].can_send_sms() && numbers.next.is_none());
    assert_eq!(asked(&own), format!("GET {EXTENSION}/phone-number?page=1&perPage=1000"));

    let all = stub(r#"{"records":[{"phoneNumber":"15550100001","extension":{"id":101}}]}"#).await;
    let numbers = page(&all, Read::account_phone_numbers()).await.expect("numbers").value;
    assert_eq!(numbers.records[0].extension.as_ref().expect("an owner").id.as_str(), "101");
    assert_eq!(asked(&all), "GET /restapi/v1.0/account/~/phone-number?page=1&perPage=1000");

    let configured = stub(r#"{"smsCampaignInfo":{"status":"Confirmed"}}"#).await;
    let number = PhoneNumberId::try_new("7").expect("valid");
    let configuration = read(&configured, Read::sms_configuration(Whose::Own, &number)).await.expect("an answer");
    assert!(configuration.value.is_confirmed());
    assert_eq!(asked(&configured), format!("GET {EXTENSION}/phone-number/7/sms-configuration"));

    let allowed = stub(r#"{"successful":true,"details":{"scopes":["Self"]}}"#).await;
    let permission = Label::try_new("OutboundSMS").expect("a word");
    assert!(read(&allowed, Read::permission(Whose::Own, &permission)).await.expect("an answer").value.granted);
    assert_eq!(asked(&allowed), format!("GET {EXTENSION}/authz-profile/check?permissionId=OutboundSMS"));
}

#[tokio::test]
async fn messages_received_and_voicemail_are_filters_of_one_list() {
    let (from, to) = day();
    let inbound = stub(r#"{"records":[{"id":1,"direction":"Inbound","messageStatus":"Received"}]}"#).await;
    let query = MessageQuery { read_status: Some(ReadStatus::Unread), ..MessageQuery::inbound_sms(from, to) };
    let messages = page(&inbound, Read::messages(&query)).await.expect("messages").value;
    assert_eq!(messages.records[0].status, MessageStatus::Received);
    let filters = "direction=Inbound&messageType=SMS&readStatus=Unread&page=1&perPage=1000";
    assert_eq!(asked(&inbound), format!("GET {EXTENSION}/message-store?{DAY}&{filters}"));

    let voicemail = stub(r#"{"records":[]}"#).await;
    page(&voicemail, Read::messages(&MessageQuery::voicemail(from, to))).await.expect("messages");
    let filters = "direction=Inbound&messageType=VoiceMail&page=1&perPage=1000";
    assert_eq!(asked(&voicemail), format!("GET {EXTENSION}/message-store?{DAY}&{filters}"));

    let one = stub(r#"{"id":"1001","messageStatus":"Delivered"}"#).await;
    let id = ProviderMessageId::try_new(1001).expect("valid");
    assert_eq!(read(&one, Read::message(id)).await.expect("a message").value.status, MessageStatus::Delivered);
    assert_eq!(asked(&one), format!("GET {EXTENSION}/message-store/1001"));
}

#[tokio::test]
async fn sync_is_full_once_and_then_goes_on_from_its_token() {
    let full = stub(r#"{"records":[{"id":1}],"syncInfo":{"syncType":"FSync","syncToken":"t+1=="}}"#).await;
    let query = SyncQuery::Full {
        date_from: day().0,
        directions: vec![Direction::Outbound],
        kinds: vec![MessageKind::Sms],
        record_count: Some(250),
    };
    let synced = read(&full, Read::message_sync(&query)).await;
    assert_eq!(classify_sync(&synced), SyncOutcome::Synced);
    let filters = "dateFrom=2026-01-02T00%3A00%3A00.000Z&direction=Outbound&messageType=SMS&recordCount=250";
    assert_eq!(asked(&full), format!("GET {EXTENSION}/message-sync?syncType=FSync&{filters}"));

    let on = Stub::start(vec![answer(400, &[], r#"{"errorCode":"MSG-333","message":"m"}"#)]).await;
    let since = SyncQuery::Since(synced.expect("synced").value.token);
    let refused = read(&on, Read::message_sync(&since)).await;
    assert_eq!(classify_sync(&refused), SyncOutcome::FullSyncNeeded);
    assert_eq!(asked(&on), format!("GET {EXTENSION}/message-sync?syncType=ISync&syncToken=t%2B1%3D%3D"));

    let busy = Stub::start(vec![answer(503, &[], "")]).await;
    let failed = classify_sync(&read(&busy, Read::message_sync(&since)).await);
    assert!(matches!(failed, SyncOutcome::Failed(Outcome::Unknown { .. })), "{failed:?}");
}

#[tokio::test]
async fn call_logs_of_an_extension_and_of_the_account() {
    let (from, to) = day();
    let own = stub(r#"{"records":[{"id":"a","duration":62}]}"#).await;
    let mut query = CallLogQuery::new(from, to);
    let calls = page(&own, Read::call_log(Whose::Own, &query)).await.expect("calls").value;
    assert_eq!(calls.records[0].duration_s, Some(62));
    assert_eq!(asked(&own), format!("GET {EXTENSION}/call-log?view=Simple&{DAY}&page=1&perPage=100"));

    let all = stub(r#"{"records":[]}"#).await;
    query.view = CallLogView::Detailed;
    query.directions = vec![Direction::Inbound, Direction::Outbound];
    query.kinds = vec![CallKind::Voice];
    query.phone_number = Some("+15550100002".parse().expect("valid"));
    (query.page, query.per_page) = (3, 1000);
    page(&all, Read::account_call_log(&query)).await.expect("calls");
    let filters = "direction=Inbound&direction=Outbound&type=Voice&phoneNumber=15550100002&page=3&perPage=1000";
    assert_eq!(asked(&all), format!("GET /restapi/v1.0/account/~/call-log?view=Detailed&{DAY}&{filters}"));
}

#[tokio::test]
async fn records_are_reachable_as_the_server_wrote_them_and_never_printed() {
    let body = r#"{"records":[{"id":7,"phoneNumber":"+15550100001","label":"canary"}],"paging":{"page":1}}"#;
    let list = stub(body).await;
    let raw = page(&list, Read::account_phone_numbers().raw_records()).await.expect("numbers");
    assert_eq!(raw.value.records[0].expose()["label"], "canary");
    assert!(!format!("{raw:?}").contains("canary"));
    let whole = stub(body).await;
    let raw = read(&whole, Read::account_phone_numbers().raw()).await.expect("a body").value;
    assert_eq!(raw.expose()["paging"]["page"], 1);
}

#[tokio::test]
async fn each_read_spends_its_own_group_and_so_do_its_further_pages() {
    let list = r#"{"records":[1],"navigation":{"nextPage":{"uri":"/restapi/v1.0/account/~/phone-number?page=2"}}}"#;
    let stub = stub(list).await;
    let mut config = stub.config();
    config.plans.heavy = UsagePlan { limit: 2, ..config.plans.heavy };
    let client = Client::new(config).expect("a client");
    let (extension, token) = (extension(), token());
    let caller = Caller { extension: &extension, token: &token };
    let numbers = Read::account_phone_numbers().raw_records();
    assert_eq!(numbers.operation().group, UsageGroup::Heavy);
    let next = client.read_page(caller, &numbers).await.expect("a page").value.next.expect("another page");
    assert_eq!(next.operation(), Operation::LIST_ACCOUNT_NUMBERS);
    while client.next_page(caller, &next).await.is_ok() {
        assert!(stub.seen().len() < 50, "the plan of the group never ends");
    }
    let refused = client.next_page(caller, &next).await;
    assert!(matches!(refused, Err(CallError::Guard { .. })), "{refused:?}");
    assert!(client.read(caller, &Read::account().raw()).await.is_ok(), "Light is another group");
}
