//! Who may call: a key in `Authorization: Bearer …` or `X-Api-Key`.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap,
        header::{AUTHORIZATION, HOST},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{Shared, problem::Problem};

/// Shorter keys can be guessed.
const FEWEST_KEY_BYTES: usize = 16;

/// The keys that open the API. Only their hashes are kept.
pub struct ApiKeys(Option<Vec<[u8; 32]>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("API key {position} has {bytes} bytes; use at least {FEWEST_KEY_BYTES}, best random ones")]
    TooShort { position: usize, bytes: usize },
    #[error("API key {position} has a blank or a character that a header can't carry; use printable ASCII")]
    Unprintable { position: usize },
    #[error("no API keys were given; give one, or say that none are needed")]
    NoKeys,
}

impl ApiKeys {
    /// # Errors
    /// [`ApiKeyError`] if there is no key, or one is too short or can't stand in a header.
    pub fn try_new(keys: impl IntoIterator<Item = SecretString>) -> Result<Self, ApiKeyError> {
        let mut hashes = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            let (key, position) = (key.expose_secret(), index + 1);
            if key.len() < FEWEST_KEY_BYTES {
                return Err(ApiKeyError::TooShort { position, bytes: key.len() });
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ApiKeyError::Unprintable { position });
            }
            hashes.push(hash(key.as_bytes()));
        }
        if hashes.is_empty() { Err(ApiKeyError::NoKeys) } else { Ok(Self(Some(hashes))) }
    }

    /// Everybody who reaches the listener may call, by a name of this machine: for a listener on the loopback only, which the
    /// caller must ensure.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether a key is asked for at all.
    pub fn are_required(&self) -> bool {
        self.0.is_some()
    }

    /// Compares with every key, in a time that depends on none of them: hashes are of one length, and no comparison
    /// ends early.
    fn admit(&self, candidate: Option<&[u8]>) -> bool {
        let Some(hashes) = &self.0 else { return true };
        let Some(candidate) = candidate else { return false };
        let candidate = hash(candidate);
        let found = hashes.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&candidate));
        found.into()
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.0.as_ref().map_or(0, Vec::len))
    }
}

fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Runs before the body is read.
pub(super) async fn require_key(State(api): State<Shared>, request: Request, next: Next) -> Response {
    if api.keys.admit(presented(request.headers())) {
        next.run(request).await
    } else {
        Problem::no_key().into_response()
    }
}

/// Runs before that, and for what needs no key too.
pub(super) async fn require_own_name(State(api): State<Shared>, request: Request, next: Next) -> Response {
    if api.keys.are_required() || is_called_as_this_machine(request.headers()) {
        next.run(request).await
    } else {
        Problem::foreign_name().into_response()
    }
}

/// Without keys the listener on the loopback says who may call. A web page whose name is made to mean 127.0.0.1 reaches it too,
/// from the browser of whoever looks at it; its requests bear the page's name.
fn is_called_as_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Authority>().ok());
    let Some(name) = host.as_ref().map(Authority::host) else { return false };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    // A proxy that asks for a password of its own may pass it on in the same header.
    let bearer = headers.get(AUTHORIZATION).and_then(|authorization| {
        let (scheme, key) = authorization.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
    });
    bearer.or_else(|| headers.get("x-api-key").map(|key| key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn keys(keys: &[&str]) -> Result<ApiKeys, ApiKeyError> {
        ApiKeys::try_new(keys.iter().map(|key| SecretString::from(*key)))
    }

    #[test]
    fn only_a_whole_key_opens() {
        let keys = keys(&["first-key-0123456789", "second-key-0123456789"]).unwrap();
        assert!(keys.admit(Some(b"second-key-0123456789")));
        for wrong in [None, Some(&b""[..]), Some(b"second-key-012345678"), Some(b"second-key-01234567890")] {
            assert!(!keys.admit(wrong));
        }
        assert!(ApiKeys::none().admit(None));
        assert_eq!(format!("{keys:?}"), "ApiKeys(2)");
    }

    #[test]
    fn weak_or_absent_keys_are_refused() {
        assert_eq!(keys(&["short"]).unwrap_err(), ApiKeyError::TooShort { position: 1, bytes: 5 });
        assert_eq!(keys(&["with a blank in the midst"]).unwrap_err(), ApiKeyError::Unprintable { position: 1 });
        assert_eq!(keys(&[]).unwrap_err(), ApiKeyError::NoKeys);
    }

    #[test]
    fn a_key_of_our_own_header_counts_beside_what_a_proxy_passes_on() {
        let presented = |authorization: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(authorization));
            headers.insert("x-api-key", HeaderValue::from_static("first-key-0123456789"));
            super::presented(&headers).map(<[u8]>::to_vec)
        };
        for foreign in ["Basic dXNlcjpwYXNz", "Basic", "", "Bearer"] {
            assert_eq!(presented(foreign).as_deref(), Some(&b"first-key-0123456789"[..]), "{foreign}");
        }
        assert_eq!(presented("bearer another-key").as_deref(), Some(&b"another-key"[..]));
    }
}
