//! Errors of the token endpoint: `{error, error_description, errors: [{errorCode, message}]}` (documented).
//!
//! Statuses of the codes up to OAU-151 are documented; those above were seen by users, in SDK sources or in older specifications.
//! `error` follows RFC 6749.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::provider::json_response;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OauthError {
    pub(super) status: u16,
    error: &'static str,
    pub(crate) code: &'static str,
    pub(super) message: &'static str,
}

macro_rules! errors {
    ($($name:ident = $status:literal $error:literal $code:literal $message:literal;)*) => {
        impl OauthError {
            $(pub(crate) const $name: Self =
                Self { status: $status, error: $error, code: $code, message: $message };)*
            const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

errors! {
    CODE_INVALID = 403 "invalid_grant" "OAU-106" "Authorization code is invalid";
    CODE_EXPIRED = 403 "invalid_grant" "OAU-108" "Authorization code is expired";
    REDIRECT_DIFFERS = 403 "invalid_grant" "OAU-109" "Redirect URIs do not match";
    CODE_OF_OTHER_APP = 403 "invalid_grant" "OAU-110" "Authorization code is issued for another application";
    NO_CODE_GRANT = 403 "unauthorized_client" "OAU-112" "Client is not allowed to use this grant type";
    NO_REDIRECT_URI = 403 "invalid_request" "OAU-113" "No redirect URI is registered for the client";
    WRONG_APP_ID = 401 "invalid_client" "OAU-120" "Wrong application id";
    OTHER_APP = 401 "invalid_client" "OAU-121" "Wrong application";
    CLIENT_MISSING = 401 "invalid_client" "OAU-123" "Invalid Authorization header value: client authentication is required";
    NO_REFRESH_GRANT = 401 "unauthorized_client" "OAU-125" "Grant type is not allowed for the application";
    ACCESS_EXPIRED = 401 "invalid_grant" "OAU-128" "Access token expired";
    ACCESS_CORRUPTED = 401 "invalid_grant" "OAU-129" "Access token corrupted";
    EXTENSION_GONE = 401 "invalid_grant" "OAU-136" "Extension is not found";
    CREDENTIALS = 401 "invalid_grant" "OAU-140" "Invalid resource owner credentials";
    EXTENSION_STATE = 401 "invalid_grant" "OAU-141" "Extension state does not allow login";
    ACCOUNT_STATE = 401 "invalid_grant" "OAU-142" "Account state does not allow login";
    CLIENT_SECRET = 401 "invalid_client" "OAU-146" "Invalid client credentials";
    LOCKED_OUT = 400 "invalid_grant" "OAU-147" "Login is locked out after too many failures";
    LOCKED_OUT_SSO = 400 "invalid_grant" "OAU-148" "Login is locked out after too many failures; use single sign-on";
    ACCESS_INVALID = 401 "invalid_grant" "OAU-149" "Invalid access token";
    CHALLENGE_METHOD = 403 "invalid_request" "OAU-116" "Invalid authorization method";
    RESPONSE_TYPE = 400 "unsupported_response_type" "OAU-152" "Unsupported response type";
    CLIENT_UNKNOWN = 400 "invalid_client" "OAU-153" "Invalid client";
    NO_CLIENT_ID = 400 "invalid_request" "OAU-155" "Client id is undefined";
    OTHER_ENVIRONMENT = 401 "invalid_client" "OAU-165" "Client is not allowed in this environment";
    EXPIRED = 400 "invalid_grant" "OAU-210" "Token expired";
    REVOKED = 400 "invalid_grant" "OAU-211" "Token revoked";
    NOT_FOUND = 400 "invalid_grant" "OAU-213" "Token not found";
    NO_ACCOUNT = 400 "invalid_grant" "OAU-222" "Account does not exist";
    NO_EXTENSION = 400 "invalid_grant" "OAU-232" "Extension is not found";
    EXTENSION_DISABLED = 400 "invalid_grant" "OAU-236" "Extension is disabled or frozen";
    NO_GRANT = 400 "invalid_request" "OAU-250" "Unsupported grant type";
    NO_JWT_GRANT = 400 "unauthorized_client" "OAU-251" "Client is not authorized for this grant type";
    ASSERTION = 400 "invalid_request" "OAU-331" "Cannot parse the assertion";
    SIGNATURE = 400 "invalid_request" "OAU-345" "Invalid assertion signature";
    JWT_OF_OTHER_APP = 400 "invalid_request" "OAU-473" "This client is not allowed to use this personal API key";
}

impl OauthError {
    pub(crate) fn response(&self) -> Response {
        respond(self.status, self.error, self.code, self.message)
    }

    /// What a fault rule wants the token endpoint to say.
    pub(crate) fn injected(status: StatusCode, code: &str) -> Response {
        let known = Self::ALL.iter().find(|error| error.code == code);
        let (error, message) = known.map_or_else(|| usual(status), |known| (known.error, known.message));
        respond(status.as_u16(), error, code, message)
    }
}

/// For codes that stand in no list.
fn usual(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => ("invalid_client", "Client is refused"),
        StatusCode::FORBIDDEN => ("access_denied", "Access is denied"),
        status if status.is_server_error() => ("server_error", "Service temporarily unavailable"),
        _ => ("invalid_request", "Request is refused"),
    }
}

fn respond(status: u16, error: &str, code: &str, message: &str) -> Response {
    let body = json!({
        "error": error,
        "error_description": message,
        "errors": [{"errorCode": code, "message": message}],
    });
    json_response(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &body)
}
