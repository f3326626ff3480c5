//! What follows from a token call.

use std::time::Duration;

use http::StatusCode;

use crate::answer::{Answer, CallError, ConnectFault, LostFault, UnreadableFault};
use crate::outcome::{ThrottleScope, throttle_scope};
use crate::provider_error::{ErrorCode, ProviderError};

/// What became of a token call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOutcome {
    Granted,
    /// This credential will not work again. Park its extension, tell a person, never repeat.
    CredentialDead {
        code: Option<ErrorCode>,
    },
    /// The app's own id, secret, settings or server are wrong: no credential will work. Park the app.
    AppDead {
        code: Option<ErrorCode>,
    },
    /// Close the scope's gate for `after`.
    Throttled {
        after: Duration,
        scope: ThrottleScope,
    },
    /// Try again, with back-off. RingCentral's advice: three times, 10 s apart, and no API calls meanwhile (documented).
    Transient {
        reason: TransientReason,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransientReason {
    #[error("no connection ({0})")]
    Connect(ConnectFault),
    #[error("answer lost ({0})")]
    Lost(LostFault),
    #[error("answer unusable ({0})")]
    Unreadable(UnreadableFault),
    #[error("server answered {0}")]
    Status(StatusCode),
}

/// Decides what became of a token call. Pure.
pub fn classify_token<T>(result: &Result<Answer<T>, CallError>) -> TokenOutcome {
    let transient = |reason| TokenOutcome::Transient { reason };
    match result {
        Ok(_) => TokenOutcome::Granted,
        // Only a text has a permit.
        Err(CallError::Withheld) => {
            TokenOutcome::Transient { reason: TransientReason::Connect(ConnectFault::NotBuilt) }
        }
        Err(CallError::Guard { wait }) => TokenOutcome::Throttled { after: *wait, scope: ThrottleScope::Lane },
        Err(CallError::Connect { fault, .. }) => transient(TransientReason::Connect(*fault)),
        Err(CallError::Lost { fault, .. }) => transient(TransientReason::Lost(*fault)),
        Err(CallError::Unreadable { fault, .. }) => transient(TransientReason::Unreadable(*fault)),
        Err(CallError::Status { status, error, rate, .. }) => match *status {
            StatusCode::TOO_MANY_REQUESTS => {
                TokenOutcome::Throttled { after: rate.quiet_for(), scope: throttle_scope(error, rate) }
            }
            StatusCode::SERVICE_UNAVAILABLE => match rate.retry_after {
                Some(after) => TokenOutcome::Throttled { after, scope: ThrottleScope::Wider },
                None => transient(TransientReason::Status(*status)),
            },
            // Not RingCentral's own words: a gateway on the way, which says nothing of the credential.
            other if other.is_client_error() && !error.is_provider_body() => {
                TokenOutcome::Transient { reason: TransientReason::Status(other) }
            }
            // Documented: never repeat. A login loop would use up the Auth plan and lock the user out.
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => dead(error),
            // The server has no such address: the configured URL is wrong for every credential.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                TokenOutcome::AppDead { code: error.code.clone() }
            }
            other => transient(TransientReason::Status(other)),
        },
    }
}

fn dead(error: &ProviderError) -> TokenOutcome {
    let code = error.code.clone();
    if is_the_apps_fault(error) { TokenOutcome::AppDead { code } } else { TokenOutcome::CredentialDead { code } }
}

/// Whether every other credential would be refused as well. The code decides; without one, RFC 6749's word does.
pub(crate) fn is_the_apps_fault(error: &ProviderError) -> bool {
    match error.code_str() {
        // OAU-473 looks like the app's, but says that this one JWT is restricted to another app.
        "OAU-101" | "OAU-109" | "OAU-111" | "OAU-112" | "OAU-113" | "OAU-116" | "OAU-117" | "OAU-120" | "OAU-121" => {
            true
        }
        "OAU-123" | "OAU-125" | "OAU-127" | "OAU-134" | "OAU-146" | "OAU-150" | "OAU-151" | "OAU-152" => true,
        "OAU-153" | "OAU-155" | "OAU-165" | "OAU-250" | "OAU-251" | "OAU-270" => true,
        "CMN-401" | "AGW-401" | "AGW-402" => true,
        "-" => {
            let word = error.oauth_error.as_ref().map(ErrorCode::as_str);
            matches!(word, Some("invalid_client" | "unauthorized_client" | "unsupported_grant_type"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::RateHeaders;

    fn of(http: u16, body: &str, rate: RateHeaders) -> TokenOutcome {
        let status = StatusCode::from_u16(http).expect("a status");
        let error = Box::new(ProviderError::parse(body.as_bytes()));
        classify_token::<()>(&Err(CallError::Status { status, error, rate, request_id: None }))
    }

    fn oauth(word: &str, code: &str) -> String {
        format!(r#"{{"error":"{word}","error_description":"x","errors":[{{"errorCode":"{code}","message":"m"}}]}}"#)
    }

    fn none() -> RateHeaders {
        RateHeaders::default()
    }

    #[test]
    fn dead_credentials_and_dead_apps_are_told_apart() {
        let credential = [
            (400, "invalid_grant", "OAU-210"),
            (400, "invalid_grant", "OAU-211"),
            (400, "invalid_grant", "OAU-213"),
            (400, "invalid_request", "OAU-222"),
            (400, "invalid_request", "OAU-232"),
            (400, "invalid_request", "OAU-236"),
            (400, "invalid_request", "OAU-331"),
            (400, "invalid_request", "OAU-345"),
            (400, "invalid_request", "OAU-473"),
            (400, "invalid_grant", "OAU-147"),
            (403, "invalid_grant", "OAU-106"),
            (403, "invalid_grant", "OAU-108"),
            (403, "invalid_grant", "OAU-110"),
            (401, "access_denied", "OAU-168"),
            (401, "invalid_grant", "OAU-140"),
            (401, "invalid_grant", "OAU-141"),
            (401, "invalid_grant", "OAU-142"),
            (403, "access_denied", "OAU-105"),
            (400, "invalid_grant", "OAU-999"),
        ];
        for (http, word, code) in credential {
            let expected = TokenOutcome::CredentialDead { code: ErrorCode::try_new(code) };
            assert_eq!(of(http, &oauth(word, code), none()), expected, "{code}");
        }
        let app = [
            (401, "invalid_client", "OAU-146"),
            (400, "invalid_client", "OAU-153"),
            (401, "invalid_client", "OAU-120"),
            (401, "invalid_client", "OAU-123"),
            (400, "invalid_client", "OAU-155"),
            (403, "unauthorized_client", "OAU-112"),
            (403, "invalid_request", "OAU-109"),
            (403, "invalid_request", "OAU-113"),
            (401, "unauthorized_client", "OAU-125"),
            (400, "unauthorized_client", "OAU-251"),
            (400, "invalid_request", "OAU-250"),
            (401, "invalid_client", "OAU-165"),
        ];
        for (http, word, code) in app {
            let expected = TokenOutcome::AppDead { code: ErrorCode::try_new(code) };
            assert_eq!(of(http, &oauth(word, code), none()), expected, "{code}");
        }
    }

    #[test]
    fn without_a_code_the_oauth_word_decides() {
        let bare = |word: &str| of(400, &format!(r#"{{"error":"{word}"}}"#), none());
        assert_eq!(bare("invalid_grant"), TokenOutcome::CredentialDead { code: None });
        assert_eq!(bare("invalid_client"), TokenOutcome::AppDead { code: None });
    }

    #[test]
    fn a_gateway_on_the_way_says_nothing_of_the_credential() {
        let bodies = [
            (400, ""),
            (401, ""),
            (403, "<html>blocked</html>"),
            (404, "<html>"),
            (403, r#"{"status":403,"error":"Forbidden"}"#),
            (401, r#"{"error":"Unauthorized"}"#),
            (400, r#"{"error":"blocked"}"#),
            (400, r#"{"error":"temporarily_unavailable"}"#),
        ];
        for (http, body) in bodies {
            let told = of(http, body, none());
            assert!(matches!(told, TokenOutcome::Transient { reason: TransientReason::Status(_) }), "{http}: {told:?}");
        }
    }

    #[test]
    fn limits_wait_and_failures_are_transient() {
        let minute = RateHeaders { retry_after: Some(Duration::from_secs(60)), ..none() };
        let lane = RateHeaders { limit: Some(5), ..minute.clone() };
        let throttled = |seconds, scope| TokenOutcome::Throttled { after: Duration::from_secs(seconds), scope };
        assert_eq!(of(429, "", none()), throttled(30, ThrottleScope::Wider));
        assert_eq!(of(429, "", lane), throttled(60, ThrottleScope::Lane));
        assert_eq!(of(503, "", minute), throttled(60, ThrottleScope::Wider));
        for http in [302, 408, 500, 502, 503, 504] {
            let status = StatusCode::from_u16(http).expect("a status");
            let expected = TokenOutcome::Transient { reason: TransientReason::Status(status) };
            assert_eq!(of(http, "", none()), expected, "{http}");
        }
        let wait = Duration::from_secs(9);
        assert_eq!(classify_token::<()>(&Err(CallError::Guard { wait })), throttled(9, ThrottleScope::Lane));
        let lost = classify_token::<()>(&Err(CallError::Lost { fault: LostFault::Timeout, source: None }));
        assert_eq!(lost, TokenOutcome::Transient { reason: TransientReason::Lost(LostFault::Timeout) });
    }
}
