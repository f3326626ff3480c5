//! The login page, to which a browser is sent.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Deserializer};

use crate::client::Client;
use crate::pkce::CodeChallenge;
use crate::secret::LoginState;
use crate::serde_text;

/// Where the login page sends the browser back to. Kept to the letter, because the server compares it with the registered
/// one so (documented).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri(Box<str>);

/// Why a text is not a redirect URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    #[error("redirect URI is empty; use the one that is registered in the app's settings")]
    Empty,
    #[error("redirect URI has a blank or control character inside; remove it")]
    Blank,
    #[error("redirect URI is not a whole address; write it like https://example.com/oauth/callback")]
    NotAbsolute,
    #[error("redirect URI has a # part; leave it out, the server refuses one")]
    Fragment,
}

impl RedirectUri {
    /// Takes an absolute address without a fragment (RFC 6749 §3.1.2); blanks around it are dropped.
    ///
    /// # Errors
    /// [`RedirectUriError`] says what is wrong.
    pub fn try_new(uri: &str) -> Result<Self, RedirectUriError> {
        let uri = uri.trim();
        if uri.is_empty() {
            return Err(RedirectUriError::Empty);
        }
        if uri.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(RedirectUriError::Blank);
        }
        let parsed = Url::parse(uri).map_err(|_| RedirectUriError::NotAbsolute)?;
        if parsed.fragment().is_some() {
            return Err(RedirectUriError::Fragment);
        }
        Ok(Self(uri.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedirectUri {
    type Err = RedirectUriError;

    fn from_str(uri: &str) -> Result<Self, RedirectUriError> {
        Self::try_new(uri)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RedirectUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

/// A login that a browser is to make.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizeRequest<'a> {
    pub redirect_uri: &'a RedirectUri,
    /// Comes back beside the code; refuse the return if it is not the one that was sent.
    pub state: &'a LoginState,
    /// A public client must have one; without it anybody who catches the code could use it.
    pub challenge: Option<&'a CodeChallenge>,
}

impl Client {
    /// The address to send a browser to. It holds the state, so it belongs in no log. Opening it costs the server's Auth
    /// group; building it costs nothing.
    ///
    /// `scope` is left out: the login page ignores it, and the token carries the app's permissions (documented).
    pub fn authorize_url(&self, request: AuthorizeRequest<'_>) -> String {
        let mut url = self.config().server.at("/restapi/oauth/authorize");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.config().client_id.as_str())
            .append_pair("redirect_uri", request.redirect_uri.as_str())
            .append_pair("state", request.state.expose());
        if let Some(challenge) = request.challenge {
            url.query_pairs_mut()
                .append_pair("code_challenge", challenge.as_str())
                .append_pair("code_challenge_method", "S256");
        }
        url.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uri_is_kept_to_the_letter() {
        for kept in ["https://a.example", "https://a.example/", "HTTP://LocalHost:8480/x?y=1", "com.example.app:/back"]
        {
            assert_eq!(RedirectUri::try_new(&format!(" {kept}\n")).expect(kept).as_str(), kept);
        }
        let mistakes = [
            ("", RedirectUriError::Empty),
            ("https://a.example/a b", RedirectUriError::Blank),
            ("/callback", RedirectUriError::NotAbsolute),
            ("a.example/callback", RedirectUriError::NotAbsolute),
            ("https://a.example/#x", RedirectUriError::Fragment),
        ];
        for (typed, expected) in mistakes {
            assert_eq!(RedirectUri::try_new(typed), Err(expected), "{typed}");
        }
    }
}
