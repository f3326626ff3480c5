//! What an authorization request asks for, and what can be wrong with it by itself.

use super::error::OauthError;
use crate::app::{AppSettings, GrantKind};
use crate::query::Pairs;
use crate::world::Challenge;

/// A request whose redirect URI is good, so that the browser may be sent there.
pub(super) struct AuthorizationRequest<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: Option<&'a str>,
    pub(super) challenge: Option<Challenge>,
}

/// Parameters that the form carries from the page to the decision.
pub(super) const CARRIED: [&str; 6] =
    ["response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"];

impl<'a> AuthorizationRequest<'a> {
    /// # Errors
    /// None of them may be told to the redirect URI: it is wrong itself, or the client is.
    pub(super) fn read(app: &AppSettings, parameters: &'a Pairs<'_>) -> Result<Self, OauthError> {
        let given = |name| parameters.first(name).filter(|value| !value.is_empty());
        let client_id = given("client_id").ok_or(OauthError::NO_CLIENT_ID)?;
        if client_id != app.client_id {
            return Err(OauthError::CLIENT_UNKNOWN);
        }
        if app.other_environment {
            return Err(OauthError::OTHER_ENVIRONMENT);
        }
        if !app.allows(GrantKind::AuthorizationCode) {
            return Err(OauthError::NO_CODE_GRANT);
        }
        if app.redirect_uris.is_empty() {
            return Err(OauthError::NO_REDIRECT_URI);
        }
        let redirect_uri = given("redirect_uri")
            .filter(|uri| app.redirect_uris.iter().any(|registered| registered == uri))
            .ok_or(OauthError::REDIRECT_DIFFERS)?;
        if given("response_type") != Some("code") {
            return Err(OauthError::RESPONSE_TYPE);
        }
        let challenge = match (given("code_challenge"), given("code_challenge_method")) {
            (None, _) => None,
            // `plain` is the default (documented, RFC 7636).
            (Some(challenge), None | Some("plain")) => Some(Challenge::Plain(challenge.to_owned())),
            (Some(challenge), Some("S256")) => Some(Challenge::S256(challenge.to_owned())),
            (Some(_), Some(_)) => return Err(OauthError::CHALLENGE_METHOD),
        };
        Ok(Self { redirect_uri, state: given("state"), challenge })
    }
}
