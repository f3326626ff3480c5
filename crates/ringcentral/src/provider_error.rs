//! The provider's error bodies, of which three shapes and the OAuth one coexist.

use std::fmt;

use serde_json::Value;

use crate::label::Label;

/// The provider's textual error code, such as `MSG-304`, or a name such as `FeatureNotAvailable` where there is no
/// numbered one. Short and of a closed character set, so it may be logged.
pub type ErrorCode = Label;

/// What a token endpoint refuses with (RFC 6749 §5.2, and `access_denied`, which RingCentral answers with too).
///
/// SEND-SAFETY: `{"error":"Conflict"}` is a gateway's, and says nothing of a text or a credential. Nor do `server_error` and
/// `temporarily_unavailable` of the same document, which refuse nothing for good.
const OAUTH_WORDS: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
];

/// What the body of an error answer looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorShape {
    /// `errorCode` at the top, mostly with `errors[]` below (legacy platform, and the high-volume service).
    Platform,
    /// Only `errors[]` (newer services).
    ListOnly,
    /// `error` and `error_description`, with or without `errors[]` (token endpoint).
    OAuth,
    /// Nothing, or JSON without any of those fields.
    #[default]
    Empty,
    /// Not JSON: a gateway's page, a cut body.
    NotJson,
    /// Larger than the cap, or it could not be read to its end.
    Unread,
}

/// An error body, reduced to what may be kept. Messages are dropped: the provider quotes numbers in them, and documents
/// that programs must rely on codes only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderError {
    /// The most precise code: the numbered one inside `errors[]`, else the one at the top.
    pub code: Option<ErrorCode>,
    /// `errorCode` at the top, often a name while the code stands inside.
    pub top_level: Option<ErrorCode>,
    /// `error` of RFC 6749, such as `invalid_grant`; no other word, since gateways write `error` too.
    pub oauth_error: Option<Label>,
    /// The name (never the value) of the parameter at fault.
    pub parameter: Option<Label>,
    pub shape: ErrorShape,
}

impl ProviderError {
    /// Parses a body of any kind; never fails.
    pub fn parse(body: &[u8]) -> Self {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Self::default();
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_json(&value),
            Err(_) => Self { shape: ErrorShape::NotJson, ..Self::default() },
        }
    }

    /// An error whose body could not be read to its end.
    pub(crate) fn unread() -> Self {
        Self { shape: ErrorShape::Unread, ..Self::default() }
    }

    /// Whether RingCentral itself wrote the body, not some gateway on the way.
    pub fn is_provider_body(&self) -> bool {
        self.code.is_some() || self.oauth_error.is_some()
    }

    /// The code as text, or `-`.
    pub fn code_str(&self) -> &str {
        self.code.as_ref().map_or("-", Label::as_str)
    }

    fn from_json(body: &Value) -> Self {
        let top_level = label(body, "errorCode");
        let oauth_error = label(body, "error").filter(|word| OAUTH_WORDS.contains(&word.as_str()));
        let listed: &[Value] = body.get("errors").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        let codes = || listed.iter().take(16).filter_map(|error| label(error, "errorCode"));
        let code = codes()
            .find(Label::is_numbered)
            .or_else(|| top_level.clone().filter(Label::is_numbered))
            .or_else(|| codes().next())
            .or_else(|| top_level.clone());
        let shape = match (&oauth_error, &top_level, &code) {
            (Some(_), _, _) => ErrorShape::OAuth,
            (None, Some(_), _) => ErrorShape::Platform,
            (None, None, Some(_)) => ErrorShape::ListOnly,
            (None, None, None) => ErrorShape::Empty,
        };
        Self { code, top_level, oauth_error, parameter: parameter(body, listed), shape }
    }
}

/// `parameterName` stands in the list entry, at the top (legacy), or in `parameters[]` (token endpoint).
fn parameter(body: &Value, listed: &[Value]) -> Option<Label> {
    let in_entry = |entry: &Value| {
        let nested = entry.get("parameters").and_then(Value::as_array).and_then(|all| all.first());
        label(entry, "parameterName").or_else(|| label(nested?, "parameterName"))
    };
    listed.iter().take(16).find_map(in_entry).or_else(|| in_entry(body))
}

fn label(object: &Value, field: &str) -> Option<Label> {
    object.get(field).and_then(Value::as_str).and_then(Label::try_new)
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.oauth_error) {
            (Some(code), _) => write!(f, "code {code}")?,
            (None, Some(oauth)) => write!(f, "error {oauth}")?,
            (None, None) => f.write_str("no error code")?,
        }
        if let (Some(name), true) = (&self.top_level, self.top_level != self.code) {
            write!(f, " ({name})")?;
        }
        if let Some(parameter) = &self.parameter {
            write!(f, " at {parameter}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> ProviderError {
        ProviderError::parse(body.as_bytes())
    }

    #[test]
    fn legacy_shape_prefers_the_numbered_code_inside() {
        let error = parse(
            r#"{"errorCode":"FeatureNotAvailable","message":"+15550100123 is not yours",
                "errors":[{"errorCode":"MSG-304","message":"canary","parameterName":"from.phoneNumber"}]}"#,
        );
        assert_eq!(error.code_str(), "MSG-304");
        assert_eq!(error.shape, ErrorShape::Platform);
        assert_eq!(error.to_string(), "code MSG-304 (FeatureNotAvailable) at from.phoneNumber");
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn list_only_and_top_only_shapes_are_read() {
        let listed = parse(r#"{"errors":[{"errorCode":"CMN-101","message":"m","parameterName":"text"}]}"#);
        assert_eq!((listed.code_str(), listed.shape), ("CMN-101", ErrorShape::ListOnly));
        let top = parse(r#"{"errorCode":"CMN-301","message":"Request rate exceeded"}"#);
        assert_eq!((top.code_str(), top.shape), ("CMN-301", ErrorShape::Platform));
        let name = parse(r#"{"errorCode":"InsufficientPermissions","message":"m"}"#);
        assert_eq!(name.code_str(), "InsufficientPermissions");
        let numbered_top = parse(r#"{"errorCode":"CMN-102","errors":[{"errorCode":"ResourceNotFound"}]}"#);
        assert_eq!(numbered_top.code_str(), "CMN-102");
    }

    #[test]
    fn oauth_shape_is_read() {
        let error = parse(
            r#"{"error":"invalid_grant","error_description":"Token revoked","errors":[{"errorCode":"OAU-211",
                "message":"m","parameters":[{"parameterName":"client_id","parameterValue":"canary"}]}]}"#,
        );
        assert_eq!((error.code_str(), error.shape), ("OAU-211", ErrorShape::OAuth));
        assert_eq!(error.oauth_error.expect("oauth").as_str(), "invalid_grant");
        assert_eq!(error.parameter.expect("parameter").as_str(), "client_id");
        let bare = parse(r#"{"error":"invalid_client","error_description":"x"}"#);
        assert_eq!(bare.to_string(), "error invalid_client");
        assert!(bare.is_provider_body());
    }

    #[test]
    fn foreign_bodies_have_no_code() {
        let cases = [
            ("", ErrorShape::Empty),
            (" \r\n", ErrorShape::Empty),
            ("{}", ErrorShape::Empty),
            ("null", ErrorShape::Empty),
            ("[1]", ErrorShape::Empty),
            (r#"{"errors":"x","errorCode":7}"#, ErrorShape::Empty),
            (r#"{"errorCode":"+15550100123"}"#, ErrorShape::Empty),
            (r#"{"status":403,"error":"Forbidden"}"#, ErrorShape::Empty),
            (r#"{"error":"temporarily_unavailable"}"#, ErrorShape::Empty),
            ("<html>502</html>", ErrorShape::NotJson),
            (r#"{"errorCode":"MSG-3"#, ErrorShape::NotJson),
        ];
        for (body, shape) in cases {
            let error = parse(body);
            assert_eq!(error.shape, shape, "{body}");
            assert!(!error.is_provider_body(), "{body}");
        }
        assert_eq!(parse(&"[".repeat(100_000)).shape, ErrorShape::NotJson);
    }

    proptest! {
        #[test]
        fn no_private_value_gets_through(secret in "[+0-9]{7,15}|[a-z]{3,9} [a-z ]{3,30}") {
            let quoted = serde_json::to_string(&secret).expect("json");
            let body = format!(
                r#"{{"errorCode":{quoted},"error":{quoted},"message":{quoted},"errors":[{{"errorCode":{quoted},
                    "message":{quoted},"parameterName":{quoted},"parameterValue":{quoted}}}]}}"#
            );
            let error = parse(&body);
            let printed = format!("{error} {error:?}");
            prop_assert!(!printed.contains(&secret));
        }

        #[test]
        fn any_bytes_are_parsed_without_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = ProviderError::parse(&body);
        }
    }
}
