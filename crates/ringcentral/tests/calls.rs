//! The other calls on the wire.

mod support;

use base64::Engine;
use ringcentral::*;
use support::{Act, Stub, answer, extension, token};

fn caller<'a>(extension: &'a ExtensionId, token: &'a AccessToken) -> Caller<'a> {
    Caller { extension, token }
}

#[tokio::test]
async fn jwt_grant_carries_basic_credentials_and_the_form() {
    let body = r#"{"access_token":"a","token_type":"bearer","expires_in":3600,"scope":"SMS","owner_id":"101"}"#;
    let stub = Stub::start(vec![answer(200, &[], body)]).await;
    let jwt = Jwt::try_new("head.body.sign").expect("valid");
    let options = TokenOptions {
        access_token_ttl: Some(std::time::Duration::from_secs(1800)),
        refresh_token_ttl: Some(std::time::Duration::from_secs(86_400)),
        endpoint_id: Some("fleet-1".into()),
    };
    let result = stub.client().token_by_jwt(AuthBudget::App, &jwt, &options).await;
    assert_eq!(classify_token(&result), TokenOutcome::Granted);
    let seen = stub.seen();
    assert_eq!(seen[0].line(), "POST /restapi/oauth/token HTTP/1.1");
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    let basic = base64::engine::general_purpose::STANDARD.encode("app:canary-secret");
    assert_eq!(seen[0].header("authorization"), Some(format!("Basic {basic}").as_str()));
    assert_eq!(
        seen[0].body,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=head.body.sign\
         &access_token_ttl=1800&refresh_token_ttl=86400&endpoint_id=fleet-1"
    );
}

#[tokio::test]
async fn refresh_grant_and_revoke_send_their_tokens_in_the_body() {
    let granted = r#"{"access_token":"a2","refresh_token":"r2","expires_in":3600}"#;
    let stub = Stub::start(vec![answer(200, &[], granted), answer(200, &[], "")]).await;
    let client = stub.client();
    let refresh = RefreshToken::try_new("r1+/=").expect("valid");
    let extension = extension();
    let budget = AuthBudget::Extension(&extension);
    let granted = client.token_by_refresh(budget, &refresh, &TokenOptions::default()).await.expect("granted");
    assert_eq!(granted.value.refresh_token.expect("rotated").expose(), "r2");
    client.revoke(budget, &granted.value.access_token).await.expect("revoked");
    let seen = stub.seen();
    assert_eq!(seen[0].body, "grant_type=refresh_token&refresh_token=r1%2B%2F%3D");
    assert_eq!(seen[1].line(), "POST /restapi/oauth/revoke HTTP/1.1");
    assert_eq!(seen[1].body, "token=a2");
}

#[tokio::test]
async fn dead_credential_is_told_by_its_code() {
    let body = r#"{"error":"invalid_grant","error_description":"canary","errors":[{"errorCode":"OAU-211"}]}"#;
    let stub = Stub::start(vec![answer(400, &[], body)]).await;
    let jwt = Jwt::try_new("canary-jwt").expect("valid");
    let result = stub.client().token_by_jwt(AuthBudget::App, &jwt, &TokenOptions::default()).await;
    assert!(!format!("{result:?}").contains("canary"));
    let code = ErrorCode::try_new("OAU-211");
    assert_eq!(classify_token(&result), TokenOutcome::CredentialDead { code });
}

#[tokio::test]
async fn auth_budget_is_kept_per_extension_or_per_app() {
    let stub = Stub::start(vec![answer(200, &[], r#"{"access_token":"a"}"#)]).await;
    let client = stub.client();
    let jwt = Jwt::try_new("j").expect("valid");
    for _ in 0..5 {
        client.token_by_jwt(AuthBudget::App, &jwt, &TokenOptions::default()).await.expect("within the plan");
    }
    let sixth = client.token_by_jwt(AuthBudget::App, &jwt, &TokenOptions::default()).await;
    assert!(matches!(classify_token(&sixth), TokenOutcome::Throttled { scope: ThrottleScope::Lane, .. }));
    let extension = extension();
    let own = client.token_by_jwt(AuthBudget::Extension(&extension), &jwt, &TokenOptions::default()).await;
    assert!(own.is_ok());
}

#[tokio::test]
async fn message_list_follows_pages_on_the_same_server() {
    let path = "/restapi/v1.0/account/~/extension/~/message-store?page=2";
    let first = format!(r#"{{"records":[{{"id":1,"type":"SMS"}}],"navigation":{{"nextPage":{{"uri":"{path}"}}}}}}"#);
    let pages = Stub::start(vec![answer(200, &[], &first), answer(200, &[], r#"{"records":[{"id":2}]}"#)]).await;
    let (client, extension, token) = (pages.client(), extension(), token());
    let mut query = MessageQuery::outbound_sms(
        "2026-01-02T03:04:05Z".parse().expect("timestamp"),
        "2026-01-02T03:05:05Z".parse().expect("timestamp"),
    );
    query.kinds.push(MessageKind::Fax);
    query.availabilities = vec![Availability::Alive, Availability::Deleted];
    query.phone_number = Some("+15550100002".parse().expect("valid"));
    let page = client.read_page(caller(&extension, &token), &Read::messages(&query)).await.expect("a page").value;
    assert_eq!(page.records[0].id.get(), 1);
    let next = page.next.expect("a further page");
    let page = client.next_page(caller(&extension, &token), &next).await.expect("a page").value;
    assert_eq!((page.records[0].id.get(), page.next.is_none()), (2, true));
    let seen = pages.seen();
    assert_eq!(
        seen[0].line(),
        "GET /restapi/v1.0/account/~/extension/~/message-store?dateFrom=2026-01-02T03%3A04%3A05.000Z\
         &dateTo=2026-01-02T03%3A05%3A05.000Z&direction=Outbound&messageType=SMS&messageType=Fax\
         &availability=Alive&availability=Deleted&phoneNumber=%2B15550100002&page=1&perPage=1000 HTTP/1.1"
    );
    assert_eq!(seen[1].line(), format!("GET {path} HTTP/1.1"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer canary-token"));
}

#[tokio::test]
async fn token_never_goes_to_another_server() {
    let evil = Stub::start(vec![answer(200, &[], r#"{"records":[]}"#)]).await;
    let list =
        format!(r#"{{"records":[],"navigation":{{"nextPage":{{"uri":"{}/restapi/v1.0/x?page=2"}}}}}}"#, evil.url);
    let stub = Stub::start(vec![answer(200, &[], &list)]).await;
    let (extension, token) = (extension(), token());
    let result = stub.client().read_page(caller(&extension, &token), &Read::extension_phone_numbers(Whose::Own)).await;
    let foreign = matches!(result, Err(CallError::Unreadable { fault: UnreadableFault::ForeignNextPage, .. }));
    assert!(foreign, "{result:?}");
    assert!(evil.seen().is_empty());
}

#[tokio::test]
async fn list_may_be_larger_than_an_answer_but_not_endless() {
    let list = |bytes: usize| format!(r#"{{"records":[],"uri":"{}"}}"#, "x".repeat(bytes));
    let stub = Stub::start(vec![answer(200, &[], &list(100_000)), answer(200, &[], &list(300_000))]).await;
    let mut config = stub.config();
    config.list_cap_bytes = 200_000;
    config.total_timeout = std::time::Duration::from_secs(5);
    let (client, extension, token) = (Client::new(config).expect("a client"), extension(), token());
    assert!(client.read_page(caller(&extension, &token), &Read::extension_phone_numbers(Whose::Own)).await.is_ok());
    let result = client.read_page(caller(&extension, &token), &Read::extension_phone_numbers(Whose::Own)).await;
    assert!(matches!(result, Err(CallError::Unreadable { fault: UnreadableFault::TooLarge, .. })), "{result:?}");
}

#[tokio::test]
async fn refusal_of_a_read_is_not_read_beyond_the_cap_of_an_answer_and_keeps_its_status_and_headers() {
    let huge = format!(r#"{{"errorCode":"CMN-101","message":"{}"}}"#, "x".repeat(100_000));
    let headers = ["Retry-After: 7", "RCRequestId: of-this-one"];
    let stub = Stub::start(vec![answer(403, &headers, &huge)]).await;
    let (client, extension, token) = (stub.client(), extension(), token());
    let list = client.read_page(caller(&extension, &token), &Read::extension_phone_numbers(Whose::Own)).await;
    let one = client.read(caller(&extension, &token), &Read::account()).await;
    for error in [list.expect_err("refused"), one.expect_err("refused")] {
        let provider = error.provider().expect("an answer");
        assert_eq!((provider.shape, &provider.code), (ErrorShape::Unread, &None));
        assert_eq!(error.status().map(|status| status.as_u16()), Some(403));
        assert_eq!(error.request_id(), Some("of-this-one"));
        assert_eq!(error.rate().and_then(|rate| rate.retry_after), Some(std::time::Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn limit_without_rate_headers_closes_every_key_of_a_lone_client() {
    let stub = Stub::start(vec![answer(429, &["Retry-After: 60"], "")]).await;
    let mut config = stub.config();
    config.guard_mode = GuardMode::Limiter;
    config.guard_patience = std::time::Duration::from_millis(50);
    let (client, extension, token) = (Client::new(config).expect("a client"), extension(), token());
    assert!(client.read(caller(&extension, &token), &Read::account()).await.is_err());
    let colleague = ExtensionId::try_new("102").expect("valid");
    let refused = client.send_sms(caller(&colleague, &token), &support::sms()).await;
    assert!(matches!(refused, Err(CallError::Guard { .. })), "{refused:?}");
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn blanks_around_the_server_url_do_not_matter() {
    let stub = Stub::start(vec![answer(200, &[], r#"{"id":1}"#)]).await;
    let mut config = stub.config();
    config.server = format!(" {}/ \n", stub.url).parse().expect("blanks are dropped");
    let (client, extension, token) = (Client::new(config).expect("a client"), extension(), token());
    assert!(client.read(caller(&extension, &token), &Read::account()).await.is_ok());
}

#[tokio::test]
async fn unreadable_error_bodies_keep_their_status() {
    let cut = Act::Write(b"HTTP/1.1 401 X\r\ncontent-length: 99\r\n\r\n{\"errorCode\"".to_vec());
    let huge = answer(401, &[], &"x".repeat(100_000));
    for act in [cut, huge] {
        let stub = Stub::start(vec![act]).await;
        let result = support::send(&stub.client()).await;
        let error = result.as_ref().expect_err("refused");
        assert_eq!(error.provider().map(|error| error.shape), Some(ErrorShape::Unread));
        let stale = Outcome::Unauthorised { code: None, kind: UnauthorisedKind::Unexplained };
        assert_eq!(classify(&result), stale);
    }
}
