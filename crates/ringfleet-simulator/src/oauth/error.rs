//! Errors of the token endpoint: `{error, error_description, errors: [{errorCode, message}]}` (documented).

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::provider::json_response;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OauthError {
    status: StatusCode,
    error: &'static str,
    pub(crate) code: &'static str,
    message: &'static str,
}

impl OauthError {
    const fn new(status: StatusCode, error: &'static str, code: &'static str, message: &'static str) -> Self {
        Self { status, error, code, message }
    }

    // OAU-123, 146: documented. OAU-153: seen by users.
    pub(crate) const CLIENT_MISSING: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "OAU-123",
        "Invalid Authorization header value: client authentication is required",
    );
    pub(crate) const CLIENT_UNKNOWN: Self =
        Self::new(StatusCode::BAD_REQUEST, "invalid_client", "OAU-153", "Invalid client");
    pub(crate) const CLIENT_SECRET: Self =
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", "OAU-146", "Invalid client credentials");
    pub(crate) const NO_GRANT: Self =
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "OAU-250", "Unsupported grant type");
    pub(crate) const CREDENTIALS: Self =
        Self::new(StatusCode::UNAUTHORIZED, "invalid_grant", "OAU-140", "Invalid resource owner credentials");
    // OAU-331: seen in SDK source. OAU-345: seen by users.
    pub(crate) const ASSERTION: Self =
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "OAU-331", "Cannot parse the assertion");
    pub(crate) const SIGNATURE: Self =
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "OAU-345", "Invalid assertion signature");
    /// A revoked JWT; `invalid_grant` is sure, the code is not.
    pub(crate) const REVOKED: Self = Self::new(StatusCode::BAD_REQUEST, "invalid_grant", "OAU-211", "Token revoked");
    pub(crate) const REFRESH_EXPIRED: Self =
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", "OAU-210", "Token expired");
    pub(crate) const NOT_FOUND: Self =
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", "OAU-213", "Token not found");

    pub(crate) fn response(&self) -> Response {
        let body = json!({
            "error": self.error,
            "error_description": self.message,
            "errors": [{"errorCode": self.code, "message": self.message}],
        });
        json_response(self.status, &body)
    }
}
