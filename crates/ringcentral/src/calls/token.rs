//! What the token endpoint grants.

use std::time::Duration;

use serde_json::Value;

use crate::answer::UnreadableFault;
use crate::guard::GuardKey;
use crate::ids::ExtensionId;
use crate::label::Label;
use crate::plan::UsageGroup;
use crate::secret::{AccessToken, RefreshToken};
use crate::transport;

/// Assumed where `expires_in` is missing: the shortest life that can be asked for (documented).
const SHORTEST_LIFE: Duration = Duration::from_secs(600);
/// Longer lives than these are a mistake of the server, and may be too long to be added to a point in time.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
const LONGEST_REFRESH_LIFE: Duration = Duration::from_secs(366 * 86_400);

/// Whose Auth quota a token call uses. Documented is one per user; a platform announcement counts per application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthBudget<'a> {
    Extension(&'a ExtensionId),
    App,
}

impl AuthBudget<'_> {
    pub(crate) fn key(self) -> GuardKey {
        match self {
            Self::Extension(extension) => GuardKey::extension(extension, UsageGroup::Auth),
            Self::App => GuardKey::app(UsageGroup::Auth),
        }
    }
}

/// What a grant asks for besides the token.
#[derive(Debug, Clone, Default)]
pub struct TokenOptions {
    /// Life of the access token, 600 s to 3600 s (documented; the server clamps). Spread it, and renewals spread.
    pub access_token_ttl: Option<Duration>,
    /// Life of the refresh token, 604800 s if not asked for, 2592000 s at most (documented; the server clamps).
    pub refresh_token_ttl: Option<Duration>,
    /// Stable name of this app instance (documented field `endpoint_id`; the server makes one up where it is missing).
    pub endpoint_id: Option<String>,
}

/// A granted session.
#[derive(Debug, Clone)]
pub struct Token {
    pub access_token: AccessToken,
    /// Trust this one: three pages of the documentation state three different lives.
    pub expires_in: Duration,
    /// Only if the app has "issue refresh tokens" switched on, which it is not by default (documented).
    pub refresh_token: Option<RefreshToken>,
    pub refresh_token_expires_in: Option<Duration>,
    /// The extension whose token it is.
    pub owner_id: Option<ExtensionId>,
    /// The app's permissions, such as `SMS` or `ReadMessages`.
    pub scope: Vec<Label>,
    pub endpoint_id: Option<Label>,
    pub session_id: Option<Label>,
}

impl Token {
    /// Whether the token carries a permission of the app.
    pub fn has_scope(&self, permission: &str) -> bool {
        self.scope.iter().any(|granted| granted.as_str() == permission)
    }
}

/// Only `access_token` is required. The specification requires more, but older pages and servers leave fields out, and a
/// granted session should not be thrown away for one.
pub(crate) fn token(body: &[u8]) -> Result<Token, UnreadableFault> {
    let body: Value = transport::json(body)?;
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let seconds = |field: &str| {
        let value = body.get(field)?;
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        // A token that was just granted lives: 0 tells nothing.
        number.filter(|number| *number > 0).map(Duration::from_secs)
    };
    let access_token = text("access_token").and_then(|token| AccessToken::try_new(token).ok());
    let scope = text("scope").unwrap_or_default().split_ascii_whitespace().filter_map(Label::try_new);
    let owner_id = body.get("owner_id").and_then(|id| match id {
        Value::String(id) => ExtensionId::try_new(id).ok(),
        Value::Number(id) => ExtensionId::try_new(&id.to_string()).ok(),
        _ => None,
    });
    Ok(Token {
        access_token: access_token.ok_or(UnreadableFault::NoToken)?,
        expires_in: seconds("expires_in").unwrap_or(SHORTEST_LIFE).min(LONGEST_LIFE),
        refresh_token: text("refresh_token").and_then(|token| RefreshToken::try_new(token).ok()),
        refresh_token_expires_in: seconds("refresh_token_expires_in").map(|life| life.min(LONGEST_REFRESH_LIFE)),
        owner_id,
        scope: scope.collect(),
        endpoint_id: text("endpoint_id").and_then(Label::try_new),
        session_id: text("session_id").and_then(Label::try_new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_answer_is_read() {
        let body = br#"{"access_token":"canary-a","token_type":"bearer","expires_in":3600,"refresh_token":"canary-r",
            "refresh_token_expires_in":604800,"scope":"ReadAccounts ReadMessages SMS","owner_id":"400129284008",
            "endpoint_id":"k3Vb0example","session_id":"s-1"}"#;
        let token = token(body).expect("a token");
        assert_eq!(token.expires_in, Duration::from_secs(3600));
        assert_eq!(token.refresh_token_expires_in, Some(Duration::from_secs(604_800)));
        assert_eq!(token.owner_id.as_ref().map(ExtensionId::as_str), Some("400129284008"));
        assert!(token.has_scope("SMS") && !token.has_scope("A2PSMS"));
        assert!(!format!("{token:?}").contains("canary"));
    }

    #[test]
    fn optional_fields_may_be_missing_or_odd() {
        let bare = token(br#"{"access_token":"a"}"#).expect("a token");
        assert_eq!(bare.expires_in, SHORTEST_LIFE);
        assert!(bare.refresh_token.is_none() && bare.owner_id.is_none() && bare.scope.is_empty());
        let odd = token(br#"{"access_token":"a","expires_in":"3598","owner_id":101,"refresh_token":null,"scope":7}"#);
        let odd = odd.expect("a token");
        assert_eq!(odd.expires_in, Duration::from_secs(3598));
        assert_eq!(odd.owner_id.as_ref().map(ExtensionId::as_str), Some("101"));
    }

    #[test]
    fn lives_that_cannot_be_true_are_cut_or_count_as_missing() {
        let lives = |life: &str| {
            let body = format!(r#"{{"access_token":"a","expires_in":{life},"refresh_token_expires_in":{life}}}"#);
            let token = token(body.as_bytes()).expect("a token");
            (token.expires_in, token.refresh_token_expires_in)
        };
        for endless in ["18446744073709551615", "\"18446744073709551615\""] {
            assert_eq!(lives(endless), (LONGEST_LIFE, Some(LONGEST_REFRESH_LIFE)), "{endless}");
        }
        for nothing in ["0", "\"0\"", "-1", "18446744073709551616", "1e300", "null"] {
            assert_eq!(lives(nothing), (SHORTEST_LIFE, None), "{nothing}");
        }
        // Tests and demos live on as short ones as this.
        assert_eq!(lives("1"), (Duration::from_secs(1), Some(Duration::from_secs(1))));
    }

    #[test]
    fn answer_without_a_token_is_unreadable() {
        let fault = |body: &[u8]| token(body).map(|_| ()).expect_err("no token");
        assert_eq!(fault(b"{}"), UnreadableFault::NoToken);
        assert_eq!(fault(br#"{"access_token":""}"#), UnreadableFault::NoToken);
        assert_eq!(fault(b"<html>"), UnreadableFault::NotJson);
    }
}
