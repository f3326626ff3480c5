//! Errors of the API: `{errorCode, message, errors: [{errorCode, message, parameterName?}], parameterName?}`.
//!
//! The code at the top is sometimes a name (`FeatureNotAvailable`), the number code is then inside (seen by users and in SDK tests).

use std::borrow::Cow;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::answer::json_response;

type Text = Cow<'static, str>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    top: Text,
    pub(super) code: &'static str,
    /// Replaces `code` in the answer: codes that come from a fault rule.
    injected: Option<String>,
    message: &'static str,
    parameter: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    error_code: &'a str,
    message: &'a str,
    errors: [Item<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_name: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    error_code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_name: Option<&'a str>,
}

impl ApiError {
    fn new(status: u16, top: &'static str, code: &'static str, message: &'static str) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            top: Cow::Borrowed(top),
            code,
            injected: None,
            message,
            parameter: None,
        }
    }

    fn about(mut self, parameter: &'static str) -> Self {
        self.parameter = Some(parameter);
        self
    }

    pub(crate) fn throttled() -> Self {
        Self::new(429, "CMN-301", "CMN-301", "Request rate exceeded")
    }

    pub(crate) fn invalid_uri() -> Self {
        Self::new(404, "CMN-120", "CMN-120", "Invalid URI")
    }

    pub(crate) fn unreadable() -> Self {
        Self::new(400, "CMN-104", "CMN-104", "Request cannot be parsed")
    }

    pub(super) fn token(code: &'static str, message: &'static str) -> Self {
        Self::new(401, "TokenInvalid", code, message)
    }

    pub(super) fn no_authorization(code: &'static str, message: &'static str) -> Self {
        Self::new(401, code, code, message)
    }

    pub(super) fn not_found(parameter: &'static str) -> Self {
        Self::new(404, "CMN-102", "CMN-102", "Resource for parameter is not found").about(parameter)
    }

    pub(super) fn other_extension() -> Self {
        let message = "In order to call this API endpoint, user needs permission with extended scope";
        Self::new(403, "InsufficientPermissions", "CMN-419", message)
    }

    pub(super) fn app_permission() -> Self {
        let message = "In order to call this API endpoint, application needs more permissions";
        Self::new(403, "InsufficientPermissions", "CMN-401", message)
    }

    pub(super) fn user_permission() -> Self {
        let message = "In order to call this API endpoint, user needs more permissions";
        Self::new(403, "InsufficientPermissions", "CMN-408", message)
    }

    /// Codes of subscriptions are documented, their statuses are a guess.
    pub(super) fn subscription(code: &'static str, message: &'static str) -> Self {
        Self::new(400, code, code, message)
    }

    pub(super) fn foreign_subscription() -> Self {
        Self::new(403, "SUB-405", "SUB-405", "Subscribing for another extension is not allowed")
    }

    pub(super) fn bad_json() -> Self {
        Self::new(400, "CMN-103", "CMN-103", "JSON cannot be parsed")
    }

    pub(super) fn content_type() -> Self {
        Self::new(415, "CMN-110", "CMN-110", "Unsupported content type").about("Content-Type")
    }

    pub(super) fn missing(parameter: &'static str) -> Self {
        Self::new(400, "InvalidParameter", "CMN-100", "Mandatory parameter is missing").about(parameter)
    }

    pub(super) fn invalid(parameter: &'static str) -> Self {
        Self::new(400, "InvalidParameter", "CMN-101", "Parameter value is invalid").about(parameter)
    }

    pub(super) fn message(code: &'static str, message: &'static str) -> Self {
        Self::new(400, "InvalidParameter", code, message)
    }

    pub(super) fn feature(code: &'static str, message: &'static str) -> Self {
        Self::new(403, "FeatureNotAvailable", code, message)
    }

    /// A status that a fault rule wants, with the code that RingCentral documents for it unless the rule names one.
    pub(crate) fn injected(status: StatusCode, code: Option<&str>) -> Self {
        let (usual, message) = match status.as_u16() {
            401 => ("OAU-213", "Token not found"),
            403 => ("CMN-401", "Insufficient permissions"),
            404 => ("CMN-102", "Resource is not found"),
            429 => ("CMN-301", "Request rate exceeded"),
            400..=499 => ("CMN-101", "Parameter value is invalid"),
            501 => ("CMN-202", "Not supported"),
            503 => ("CMN-201", "Service temporarily unavailable"),
            _ => ("CMN-203", "Internal error"),
        };
        Self {
            status,
            injected: code.map(str::to_owned),
            top: match status {
                StatusCode::UNAUTHORIZED => Cow::Borrowed("TokenInvalid"),
                _ => code.map_or(Cow::Borrowed(usual), |code| Cow::Owned(code.to_owned())),
            },
            ..Self::new(500, usual, usual, message)
        }
    }

    pub(crate) fn response(&self) -> Response {
        let item = Item {
            error_code: self.injected.as_deref().unwrap_or(self.code),
            message: self.message,
            parameter_name: self.parameter,
        };
        let body =
            Body { error_code: &self.top, message: self.message, errors: [item], parameter_name: self.parameter };
        let mut response = json_response(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"RingCentral REST API\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
