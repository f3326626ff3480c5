use proptest::prelude::*;

use super::*;
use Cure::{ParkApp, ParkExtension, Renew};
use RejectScope::{Account, App, Extension, Message};
use ThrottleScope::{Lane, Wider};
use UnauthorisedKind::{
    AppTrouble, Displaced, Expired, ExtensionDisabled, Other, Replaced, Revoked, Unexplained, Unparsable,
};

type Sent = Result<Answer<SmsSent>, CallError>;

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a status")
}

fn label(code: &str) -> ErrorCode {
    ErrorCode::try_new(code).expect("a code")
}

fn body(code: &str) -> ProviderError {
    let json = match code {
        "" => String::new(),
        code => format!(r#"{{"errorCode":"SomeName","errors":[{{"errorCode":"{code}","message":"m"}}]}}"#),
    };
    ProviderError::parse(json.as_bytes())
}

fn refused(code: u16, error: ProviderError, rate: RateHeaders) -> Sent {
    Err(CallError::Status { status: status(code), error: Box::new(error), rate, request_id: None })
}

fn lane_headers() -> RateHeaders {
    RateHeaders { group: Some("medium".into()), limit: Some(40), remaining: Some(0), ..RateHeaders::default() }
}

fn with_retry_after(rate: RateHeaders, seconds: u64) -> RateHeaders {
    RateHeaders { retry_after: Some(Duration::from_secs(seconds)), ..rate }
}

fn of(code: u16, provider: &str) -> Outcome {
    classify(&refused(code, body(provider), lane_headers()))
}

#[test]
fn answer_with_an_id_is_accepted() {
    let sent = SmsSent { id: ProviderMessageId::try_new(7).expect("valid"), status: MessageStatus::Queued };
    let answer =
        Answer { value: sent, rate: RateHeaders::default(), date: None, request_id: None, elapsed: Duration::ZERO };
    assert_eq!(classify(&Ok(answer)), Outcome::Accepted { id: sent.id, status: sent.status });
}

#[test]
fn failures_without_an_answer() {
    for fault in [
        ConnectFault::Dns,
        ConnectFault::Refused,
        ConnectFault::Timeout,
        ConnectFault::Tls,
        ConnectFault::RefusedStream,
        ConnectFault::NotBuilt,
        ConnectFault::Network,
    ] {
        let outcome = classify(&Err(CallError::Connect { fault, source: None }));
        assert_eq!(outcome, Outcome::NotSent { reason: NotSentReason::Connect(fault) });
    }
    let wait = Duration::from_secs(3);
    assert_eq!(classify(&Err(CallError::Guard { wait })), Outcome::NotSent { reason: NotSentReason::Guard { wait } });
    for fault in [LostFault::Timeout, LostFault::Cut] {
        let outcome = classify(&Err(CallError::Lost { fault, source: None }));
        assert_eq!(outcome, Outcome::Unknown { reason: UnknownReason::Lost(fault) });
    }
}

#[test]
fn unusable_2xx_is_unknown() {
    for fault in [UnreadableFault::TooLarge, UnreadableFault::CutShort, UnreadableFault::NotJson, UnreadableFault::NoId]
    {
        let error = CallError::Unreadable { status: status(200), fault, rate: lane_headers(), request_id: None };
        assert_eq!(classify(&Err(error)), Outcome::Unknown { reason: UnknownReason::Unreadable(fault) });
    }
}

#[test]
fn refused_tokens_are_told_apart_with_their_cure() {
    let cases = [
        (401, "OAU-128", Expired, Renew),
        (401, "TokenExpired", Expired, Renew),
        (401, "OAU-129", Replaced, Renew),
        (401, "OAU-213", Displaced, Renew),
        (401, "TokenInvalid", Displaced, Renew),
        (401, "OAU-149", Unparsable, Renew),
        (401, "AGW-402", Unparsable, Renew),
        (401, "OAU-211", Revoked, Renew),
        (401, "OAU-136", ExtensionDisabled, ParkExtension),
        (401, "OAU-141", ExtensionDisabled, ParkExtension),
        (401, "OAU-142", ExtensionDisabled, ParkExtension),
        (401, "OAU-232", ExtensionDisabled, ParkExtension),
        (401, "OAU-236", ExtensionDisabled, ParkExtension),
        (403, "OAU-105", ExtensionDisabled, ParkExtension),
        (403, "OAU-119", ExtensionDisabled, ParkExtension),
        (401, "OAU-120", AppTrouble, ParkApp),
        (401, "OAU-121", AppTrouble, ParkApp),
        (401, "OAU-127", AppTrouble, ParkApp),
        (401, "OAU-134", AppTrouble, ParkApp),
        (401, "OAU-146", AppTrouble, ParkApp),
        (401, "OAU-151", AppTrouble, ParkApp),
        (401, "OAU-165", AppTrouble, ParkApp),
        (401, "AGW-401", AppTrouble, ParkApp),
        (403, "OAU-117", AppTrouble, ParkApp),
        (401, "CMN-405", Other, ParkExtension),
        (401, "OAU-999", Other, ParkExtension),
        (403, "OAU-999", Other, ParkExtension),
    ];
    for (http, code, kind, cure) in cases {
        assert_eq!(of(http, code), Outcome::Unauthorised { code: Some(label(code)), kind }, "{http} {code}");
        assert_eq!(kind.cure(), cure, "{http} {code}");
    }
    assert_eq!(of(401, ""), Outcome::Unauthorised { code: None, kind: Unexplained });
    assert_eq!(Unexplained.cure(), Renew);
}

#[test]
fn rejections_reach_as_far_as_their_code_says() {
    let cases = [
        (400, "CMN-100", Message),
        (400, "CMN-101", Message),
        (403, "CMN-101", Message),
        (404, "CMN-102", Message),
        (400, "CMN-102", Message),
        (400, "CMN-103", Message),
        (400, "CMN-104", Message),
        (400, "CMN-110", Message),
        (400, "CMN-407", Message),
        (404, "CMN-120", App),
        (400, "CMN-406", Message),
        (403, "CMN-406", Message),
        (400, "CMN-414", Message),
        (400, "MSG-243", Message),
        (400, "MSG-245", Extension),
        (400, "MSG-246", Message),
        (400, "MSG-247", Message),
        (400, "MSG-310", Extension),
        (400, "MSG-337", Message),
        (400, "MSG-338", Message),
        (413, "MSG-338", Message),
        (400, "MSG-347", Message),
        (400, "MSG-350", Message),
        (400, "MSG-351", Message),
        (415, "MSG-348", Message),
        (400, "MSG-365", Message),
        (400, "MSG-381", Message),
        (400, "MSG-383", Message),
        (403, "BIL-103", Extension),
        (403, "MSG-380", Extension),
        (403, "CMN-109", Extension),
        (403, "MSG-242", Extension),
        (403, "CMN-401", App),
        (403, "InsufficientPermissions", App),
        (403, "CMN-402", Extension),
        (403, "CMN-403", Extension),
        (403, "CMN-404", Extension),
        (403, "CMN-408", Extension),
        (403, "CMN-419", Extension),
        (403, "MSG-240", Message),
        (403, "MSG-241", Extension),
        (403, "MSG-304", Extension),
        (403, "MSG-314", Extension),
        (403, "MSG-367", Extension),
        (403, "MSG-384", Account),
        (403, "MSG-397", Extension),
        (403, "MSG-403", Message),
        (501, "CMN-202", Message),
        (400, "XYZ-999", Message),
        (403, "XYZ-999", Extension),
        (409, "CMN-999", Message),
    ];
    for (http, code, scope) in cases {
        assert_eq!(of(http, code), Outcome::Rejected { code: Some(label(code)), scope }, "{http} {code}");
    }
    for (http, scope) in [(400, Message), (413, Message), (415, Message), (403, App), (404, App)] {
        assert_eq!(of(http, ""), Outcome::Rejected { code: None, scope }, "{http} from a gateway");
    }
}

#[test]
fn a_value_at_fault_that_all_messages_of_an_extension_share_is_the_extensions() {
    let cases = [
        (400, "CMN-101", "from.phoneNumber", Extension),
        (403, "CMN-101", "from", Extension),
        (400, "CMN-100", "from.phoneNumber", Extension),
        (404, "CMN-102", "extensionId", Extension),
        (404, "CMN-102", "accountId", Extension),
        (400, "CMN-101", "to.phoneNumber", Message),
        (400, "CMN-101", "fromage", Message),
        (400, "CMN-101", "text", Message),
        (404, "CMN-102", "messageId", Message),
        // Said of what is sent, whatever is named.
        (400, "CMN-406", "from.phoneNumber", Message),
    ];
    for (http, code, parameter, scope) in cases {
        let listed = format!(r#"{{"errorCode":"{code}","message":"m","parameterName":"{parameter}"}}"#);
        let error = ProviderError::parse(format!(r#"{{"errorCode":"SomeName","errors":[{listed}]}}"#).as_bytes());
        let expected = Outcome::Rejected { code: Some(label(code)), scope };
        assert_eq!(classify(&refused(http, error, lane_headers())), expected, "{http} {code} {parameter}");
    }
}

#[test]
fn limits() {
    let throttled = |scope, seconds| Outcome::Throttled { scope, after: Duration::from_secs(seconds) };
    for code in ["CMN-301", "CMN-302", "CMN-303", "MSG-305", ""] {
        let own = classify(&refused(429, body(code), with_retry_after(lane_headers(), 60)));
        assert_eq!(own, throttled(Lane, 60), "{code}");
        assert_eq!(of(429, code), throttled(Lane, 30), "{code} without Retry-After");
        let foreign = classify(&refused(429, body(code), RateHeaders::default()));
        assert_eq!(foreign, throttled(Wider, 30), "{code} without rate headers");
    }
    assert_eq!(of(429, "CMN-310"), throttled(Wider, 30));
}

#[test]
fn a_text_whose_request_runs_already_is_unknown_and_a_read_is_only_throttled() {
    let unknown = Outcome::Unknown { reason: UnknownReason::Status(status(429)) };
    for rate in [lane_headers(), with_retry_after(lane_headers(), 60), RateHeaders::default()] {
        let running = refused(429, body("CMN-304"), rate);
        assert_eq!(classify(&running), unknown);
        let read = classify_read(&running.expect_err("refused"));
        assert!(matches!(read, Outcome::Throttled { scope: Lane, .. }), "the fleet need not wait: {read:?}");
    }
}

#[test]
fn unavailable_is_certain_only_in_ringcentrals_own_words() {
    let of_503 = |code: &str, rate| classify(&refused(503, body(code), rate));
    let unknown = Outcome::Unknown { reason: UnknownReason::Status(status(503)) };
    let later = |seconds| Outcome::RetryLater { code: label("MSG-290"), after: Duration::from_secs(seconds) };
    assert_eq!(of_503("MSG-290", RateHeaders::default()), later(30));
    assert_eq!(of_503("MSG-290", with_retry_after(lane_headers(), 5)), later(5));
    let after = Duration::from_secs(7);
    for (rate, scope) in [(lane_headers(), Lane), (RateHeaders::default(), Wider)] {
        let outcome = of_503("CMN-201", with_retry_after(rate, 7));
        assert_eq!(outcome, Outcome::Throttled { scope, after });
    }
    assert_eq!(of_503("CMN-201", lane_headers()), unknown, "no Retry-After");
    assert_eq!(of_503("", with_retry_after(lane_headers(), 7)), unknown, "no RingCentral body");
    assert_eq!(of_503("CMN-203", with_retry_after(lane_headers(), 7)), unknown, "failed inside");
    assert_eq!(of_503("MSG-352", with_retry_after(lane_headers(), 7)), unknown, "failed inside");
}

#[test]
fn everything_else_is_unknown() {
    for http in [300, 301, 302, 303, 304, 307, 308, 408, 500, 501, 502, 504, 505, 507, 520, 599] {
        for code in ["", "CMN-201", "CMN-203", "MSG-290", "MSG-352"] {
            let rate = with_retry_after(lane_headers(), 5);
            let outcome = classify(&refused(http, body(code), rate));
            assert_eq!(outcome, Outcome::Unknown { reason: UnknownReason::Status(status(http)) }, "{http} {code}");
        }
    }
    for http in [402, 405, 406, 407, 409, 410, 411, 421, 422, 425, 431, 451] {
        assert_eq!(of(http, ""), Outcome::Unknown { reason: UnknownReason::Status(status(http)) }, "{http}");
        let gateway = ProviderError::parse(br#"{"status":409,"error":"Conflict"}"#);
        let outcome = classify(&refused(http, gateway, RateHeaders::default()));
        assert_eq!(outcome, Outcome::Unknown { reason: UnknownReason::Status(status(http)) }, "{http} of a gateway");
    }
}

proptest! {
    /// Whatever stands in the body, a server-side failure is never taken for "not sent", except in the two 503 cases.
    #[test]
    fn no_5xx_but_503_is_ever_certain(
        http in 500u16..600,
        code in "[A-Z]{3}-[0-9]{3}|",
        retry_after in proptest::option::of(1u64..3600),
    ) {
        prop_assume!(http != 503 && code != "CMN-202");
        let rate = RateHeaders { retry_after: retry_after.map(Duration::from_secs), ..lane_headers() };
        let is_unknown = matches!(classify(&refused(http, body(&code), rate)), Outcome::Unknown { .. });
        prop_assert!(is_unknown);
    }
}
