//! What a send does on the wire, and what is certain when the wire fails.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ringcentral::*;
use support::{Act, Stub, answer, send};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

const ACCEPTED: &str = r#"{"id":1001,"messageStatus":"Queued","to":[{"phoneNumber":"15550100002"}]}"#;

#[tokio::test]
async fn accepted_text_is_sent_exactly_as_documented() {
    let headers = [
        "X-Rate-Limit-Group: Medium",
        "X-Rate-Limit-Limit: 40",
        "X-Rate-Limit-Remaining: 39",
        "X-Rate-Limit-Window: 60",
        "RCRequestId: a1b2",
    ];
    let stub = Stub::start(vec![answer(200, &headers, ACCEPTED)]).await;
    let result = send(&stub.client()).await.expect("accepted");
    assert_eq!((result.value.id.get(), result.value.status), (1001, MessageStatus::Queued));
    assert_eq!(result.request_id.as_deref(), Some("a1b2"));
    assert_eq!(result.rate.group.as_deref(), Some("medium"));
    assert_eq!((result.rate.limit, result.rate.remaining), (Some(40), Some(39)));
    assert_eq!(result.rate.window, Some(Duration::from_secs(60)));

    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line(), "POST /restapi/v1.0/account/~/extension/~/sms HTTP/1.1");
    assert_eq!(seen[0].header("authorization"), Some("Bearer canary-token"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(
        seen[0].body,
        r#"{"from":{"phoneNumber":"+15550100001"},"to":[{"phoneNumber":"+15550100002"}],"text":"canary text 😀"}"#
    );
}

#[tokio::test]
async fn country_is_sent_as_iso_code() {
    let stub = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    let sms = SmsRequest { country: CountryCode::try_new("us"), ..support::sms() };
    let caller = Caller { extension: &support::extension(), token: &support::token() };
    stub.client().send_sms(caller, &sms).await.expect("accepted");
    assert!(stub.seen()[0].body.ends_with(r#","country":{"isoCode":"US"}}"#));
}

struct Refused;

impl Permit for Refused {
    fn granted(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn text_whose_permit_is_refused_is_withheld_and_no_byte_of_it_arrives() {
    let stub = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    // Not the stub itself, which shows whole requests only: all that arrives on a connection until it is closed.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut config = stub.config();
    config.server = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("valid");
    let arrives = async {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut bytes = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut bytes)).await;
        closed.expect("closed").expect("readable");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let client = Client::new(config).expect("a client");
    let (extension, token, sms) = (support::extension(), support::token(), support::sms());
    let caller = Caller { extension: &extension, token: &token };
    let (result, arrived) = tokio::join!(client.send_sms_if(caller, &sms, Arc::new(Refused)), arrives);
    assert!(!arrived.contains("canary text") && !arrived.contains("5550100002"), "{arrived}");
    assert!(matches!(result, Err(CallError::Withheld)), "{result:?}");
    assert_eq!(classify(&result), Outcome::NotSent { reason: NotSentReason::Withheld });
}

/// Grants, and counts how often it was asked.
#[derive(Default)]
struct Counted(AtomicU32);

impl Permit for Counted {
    fn granted(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        true
    }
}

/// A client like the stub's, of an address that refuses connections while the socket lives: bound, so that nobody else gets
/// it, and not listened on.
fn nobody(stub: &Stub) -> (TcpSocket, Client) {
    let nobody = TcpSocket::new_v4().expect("a socket");
    nobody.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let mut config = stub.config();
    config.server = format!("http://{}", nobody.local_addr().expect("bound")).parse().expect("valid");
    (nobody, Client::new(config).expect("a client"))
}

#[tokio::test]
async fn permit_is_asked_once_and_only_when_a_connection_stands_that_takes_the_text() {
    let stub = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    let (_nobody, refused) = nobody(&stub);
    let permit = Arc::new(Counted::default());
    let (extension, token, sms) = (support::extension(), support::token(), support::sms());
    let caller = Caller { extension: &extension, token: &token };
    // Connecting may take longer than the permit holds, so that one of before says nothing.
    let result = refused.send_sms_if(caller, &sms, permit.clone()).await;
    assert!(matches!(result, Err(CallError::Connect { .. })), "{result:?}");
    assert_eq!(permit.0.load(Ordering::SeqCst), 0);
    stub.client().send_sms_if(caller, &sms, permit.clone()).await.expect("accepted");
    assert_eq!(permit.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn redirect_is_not_followed_and_the_body_not_replayed() {
    let elsewhere = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/restapi/v1.0/account/~/extension/~/sms", elsewhere.url);
        let stub = Stub::start(vec![answer(status, &[&location], "")]).await;
        let outcome = classify(&send(&stub.client()).await);
        assert!(matches!(outcome, Outcome::Unknown { reason: UnknownReason::Status(_) }), "{outcome:?}");
        assert_eq!(stub.seen().len(), 1);
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn silent_server_is_given_up_at_the_deadline() {
    let stub = Stub::start(vec![Act::WriteThenHang(Vec::new())]).await;
    let started = Instant::now();
    let result = send(&stub.impatient_client()).await;
    assert!(matches!(result, Err(CallError::Lost { fault: LostFault::Timeout, .. })), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn reset_after_the_request_is_lost_and_not_repeated() {
    for act in [Act::Reset, Act::Write(Vec::new()), Act::Write(b"HTTP/1.1 200 OK\r\ncont".to_vec())] {
        let stub = Stub::start(vec![act]).await;
        let result = send(&stub.client()).await;
        assert!(matches!(result, Err(CallError::Lost { fault: LostFault::Cut, .. })), "{result:?}");
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn refused_connection_is_not_sent() {
    let stub = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    let (_nobody, client) = nobody(&stub);
    let key = GuardKey::extension(&support::extension(), UsageGroup::Medium);
    // Requests that never left use up nothing of the plan.
    for _ in 0..100 {
        let result = send(&client).await;
        assert!(matches!(result, Err(CallError::Connect { fault: ConnectFault::Refused, .. })), "{result:?}");
    }
    assert!(client.guard().check(&key).is_ok());
}

#[tokio::test]
async fn unresolved_name_is_not_sent() {
    let stub = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    let mut config = stub.config();
    config.server = ServerUrl::try_new_allowing_http("http://no-such-host.invalid").expect("valid");
    config.total_timeout = Duration::from_secs(10);
    let result = send(&Client::new(config).expect("a client")).await;
    assert!(matches!(result, Err(CallError::Connect { .. })), "{result:?}");
}

#[tokio::test]
async fn success_without_a_readable_id_is_unreadable() {
    let huge = format!(r#"{{"id":1001,"subject":"{}"}}"#, "x".repeat(70_000));
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":10".to_vec();
    let cases = [
        (Act::Write(cut.clone()), UnreadableFault::CutShort),
        (Act::WriteThenHang(cut), UnreadableFault::CutShort),
        (answer(200, &[], &huge), UnreadableFault::TooLarge),
        (Act::Write(chunked.into_bytes()), UnreadableFault::TooLarge),
        (answer(200, &[], "<html>welcome</html>"), UnreadableFault::NotJson),
        (answer(200, &[], ""), UnreadableFault::NotJson),
        (answer(200, &[], "{}"), UnreadableFault::NoId),
        (answer(204, &[], ""), UnreadableFault::NotJson),
    ];
    for (act, expected) in cases {
        let stub = Stub::start(vec![act]).await;
        let result = send(&stub.impatient_client()).await;
        assert!(matches!(result, Err(CallError::Unreadable { fault, .. }) if fault == expected), "{result:?}");
        assert!(matches!(classify(&result), Outcome::Unknown { .. }));
    }
}

#[tokio::test]
async fn refusal_carries_code_headers_and_request_id_but_nothing_private() {
    let body = r#"{"errorCode":"FeatureNotAvailable","message":"+15550100001 canary",
        "errors":[{"errorCode":"MSG-304","message":"+15550100001 canary"}]}"#;
    let stub = Stub::start(vec![answer(403, &["RCRequestId: r-9", "X-Rate-Limit-Remaining: 7"], body)]).await;
    let result = send(&stub.client()).await;
    let error = result.as_ref().expect_err("refused");
    assert_eq!(error.request_id(), Some("r-9"));
    assert_eq!(error.rate().and_then(|rate| rate.remaining), Some(7));
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains("canary") && !printed.contains("0100001"), "{printed}");
    let code = ErrorCode::try_new("MSG-304");
    assert_eq!(classify(&result), Outcome::Rejected { code, scope: RejectScope::Extension });
}

#[tokio::test]
async fn errors_of_the_wire_show_no_address_number_or_token() {
    for act in [Act::Reset, Act::WriteThenHang(Vec::new()), answer(200, &[], "canary")] {
        let stub = Stub::start(vec![act]).await;
        let client = stub.impatient_client();
        let error = send(&client).await.expect_err("no answer");
        let cause = std::error::Error::source(&error).map(|cause| format!("{cause} {cause:?}"));
        let printed = format!("{error} {error:?} {cause:?} {client:?}");
        assert!(!printed.contains("canary") && !printed.contains("/restapi"), "{printed}");
    }
}

#[tokio::test]
async fn penalty_closes_the_guard_at_once_and_for_that_extension_only() {
    let limited = ["X-Rate-Limit-Limit: 40", "X-Rate-Limit-Window: 60", "Retry-After: 60"];
    let stub = Stub::start(vec![answer(429, &limited, ""), answer(200, &[], ACCEPTED)]).await;
    let client = stub.client();
    let first = classify(&send(&client).await);
    assert_eq!(first, Outcome::Throttled { scope: ThrottleScope::Lane, after: Duration::from_secs(60) });
    match send(&client).await {
        Err(CallError::Guard { wait }) => assert!(wait > Duration::from_secs(55), "{wait:?}"),
        other => panic!("sent inside a penalty: {other:?}"),
    }
    assert_eq!(stub.seen().len(), 1);
    let colleague = ExtensionId::try_new("102").expect("valid");
    let caller = Caller { extension: &colleague, token: &support::token() };
    assert!(client.send_sms(caller, &support::sms()).await.is_ok());
}

#[tokio::test]
async fn penalty_does_not_wait_for_a_hanging_body() {
    let head = b"HTTP/1.1 429 X\r\ncontent-length: 500\r\nretry-after: 60\r\n\r\n".to_vec();
    let stub = Stub::start(vec![Act::WriteThenHang(head)]).await;
    let config = ClientConfig { total_timeout: Duration::from_secs(3), ..stub.config() };
    let client = Client::new(config).expect("a client");
    let key = GuardKey::extension(&support::extension(), UsageGroup::Medium);
    let answered = async { (send(&client).await, Instant::now()) };
    let closed = async {
        let deadline = Instant::now() + Duration::from_secs(5);
        while client.guard().check(&key).is_ok() {
            // Given back, so that only a penalty can close the guard.
            client.guard().give_back(&key);
            assert!(Instant::now() < deadline, "the penalty never came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Instant::now()
    };
    let ((result, answered_at), closed_at) = tokio::join!(answered, closed);
    assert!(matches!(result, Err(CallError::Status { .. })), "{result:?}");
    assert!(closed_at < answered_at, "the body was waited for");
}

#[tokio::test]
async fn backstop_refuses_a_flood_and_limiter_waits() {
    let stub = Stub::start(vec![answer(200, &[], ACCEPTED)]).await;
    let mut config = stub.config();
    config.plans.medium = UsagePlan { limit: 2, window: Duration::from_secs(2) };
    let backstop = Client::new(config.clone()).expect("a client");
    assert!(send(&backstop).await.is_ok() && send(&backstop).await.is_ok());
    assert!(matches!(send(&backstop).await, Err(CallError::Guard { .. })));

    config.guard_mode = GuardMode::Limiter;
    let limiter = Client::new(config).expect("a client");
    let started = Instant::now();
    for _ in 0..3 {
        assert!(send(&limiter).await.is_ok());
    }
    assert!(started.elapsed() >= Duration::from_secs(2), "three in a window of two");
}
