//! Who may call, and do what: a key in `Authorization: Bearer …` or `X-Api-Key`.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, Method,
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

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Everything.
    Send,
    /// What changes nothing.
    Read,
}

impl Role {
    /// As it stands in the settings and in the OpenAPI document.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Send => "send",
            Role::Read => "read",
        }
    }

    /// By the method alone, so that no route that comes later is forgotten.
    fn may(self, method: &Method) -> bool {
        self == Role::Send || method.is_safe()
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The keys that open the API. Only their hashes are kept.
pub struct ApiKeys(Option<Vec<([u8; 32], Role)>>);

/// `position` counts from 1, those of each role by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("API key {position} that may {role} has {bytes} bytes; use at least {FEWEST_KEY_BYTES}, best random ones")]
    TooShort { role: Role, position: usize, bytes: usize },
    #[error(
        "API key {position} that may {role} has a blank or a character that a header can't carry; use printable ASCII"
    )]
    Unprintable { role: Role, position: usize },
    #[error("API key {position} that may read is one that may send too; give each role keys of its own")]
    TwoRoles { position: usize },
    #[error("no API keys were given; give one, or say that none are needed")]
    NoKeys,
}

impl ApiKeys {
    /// Those of `send` may do everything, those of `read` may only look.
    ///
    /// # Errors
    /// [`ApiKeyError`] if there is no key at all, or one is too short, can't stand in a header, or is in both.
    pub fn try_new(
        send: impl IntoIterator<Item = SecretString>,
        read: impl IntoIterator<Item = SecretString>,
    ) -> Result<Self, ApiKeyError> {
        let mut keys = Vec::new();
        for (index, key) in send.into_iter().enumerate() {
            keys.push((checked(&key, Role::Send, index + 1)?, Role::Send));
        }
        for (index, key) in read.into_iter().enumerate() {
            let hash = checked(&key, Role::Read, index + 1)?;
            if keys.contains(&(hash, Role::Send)) {
                return Err(ApiKeyError::TwoRoles { position: index + 1 });
            }
            keys.push((hash, Role::Read));
        }
        if keys.is_empty() { Err(ApiKeyError::NoKeys) } else { Ok(Self(Some(keys))) }
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

    /// What the caller may do, if anything. Compares with every key of every role, in a time that depends on none of them: hashes
    /// are of one length, and no comparison ends early.
    fn admit(&self, candidate: Option<&[u8]>) -> Option<Role> {
        let Some(keys) = &self.0 else { return Some(Role::Send) };
        let candidate = hash(candidate?);
        let among = |role: Role| -> bool {
            let of_role = keys.iter().filter(|(_, its)| *its == role);
            of_role.fold(Choice::from(0), |found, (key, _)| found | key.ct_eq(&candidate)).into()
        };
        match (among(Role::Send), among(Role::Read)) {
            (true, _) => Some(Role::Send),
            (false, true) => Some(Role::Read),
            (false, false) => None,
        }
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.0.as_ref().map_or(0, Vec::len))
    }
}

fn checked(key: &SecretString, role: Role, position: usize) -> Result<[u8; 32], ApiKeyError> {
    let key = key.expose_secret();
    if key.len() < FEWEST_KEY_BYTES {
        return Err(ApiKeyError::TooShort { role, position, bytes: key.len() });
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ApiKeyError::Unprintable { role, position });
    }
    Ok(hash(key.as_bytes()))
}

fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Runs before the body is read.
pub(super) async fn require_key(State(api): State<Shared>, request: Request, next: Next) -> Response {
    match api.keys.admit(presented(request.headers())) {
        Some(role) if role.may(request.method()) => next.run(request).await,
        Some(_) => Problem::read_only_key().into_response(),
        None => Problem::no_key().into_response(),
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

    fn keys(send: &[&str], read: &[&str]) -> Result<ApiKeys, ApiKeyError> {
        let secrets =
            |keys: &[&str]| -> Vec<SecretString> { keys.iter().map(|key| SecretString::from(*key)).collect() };
        ApiKeys::try_new(secrets(send), secrets(read))
    }

    #[test]
    fn only_a_whole_key_opens_and_what_its_role_may() {
        let keys = keys(&["first-key-0123456789", "second-key-0123456789"], &["reads-key-0123456789"]).unwrap();
        assert_eq!(keys.admit(Some(b"second-key-0123456789")), Some(Role::Send));
        assert_eq!(keys.admit(Some(b"reads-key-0123456789")), Some(Role::Read));
        let wrong = [&b""[..], b"second-key-012345678", b"second-key-01234567890", b"reads-key-012345678"];
        for wrong in [None].into_iter().chain(wrong.map(Some)) {
            assert_eq!(keys.admit(wrong), None);
        }
        assert_eq!(ApiKeys::none().admit(None), Some(Role::Send));
        assert_eq!(format!("{keys:?}"), "ApiKeys(3)");
    }

    #[test]
    fn a_key_that_may_read_asks_and_does_nothing_else() {
        let (safe, changing) =
            ([Method::GET, Method::HEAD], [Method::POST, Method::PUT, Method::DELETE, Method::PATCH]);
        assert!(safe.iter().chain(&changing).all(|method| Role::Send.may(method)));
        assert!(safe.iter().all(|method| Role::Read.may(method)));
        assert!(!changing.iter().any(|method| Role::Read.may(method)));
    }

    #[test]
    fn weak_or_absent_keys_and_those_of_two_roles_are_refused() {
        let (role, position) = (Role::Send, 1);
        assert_eq!(keys(&["short"], &[]).unwrap_err(), ApiKeyError::TooShort { role, position, bytes: 5 });
        assert_eq!(keys(&["with a blank in the midst"], &[]).unwrap_err(), ApiKeyError::Unprintable { role, position });
        assert_eq!(keys(&[], &[]).unwrap_err(), ApiKeyError::NoKeys);
        let read = keys(&["first-key-0123456789"], &["reads-key-0123456789", "short"]).unwrap_err();
        assert_eq!(read, ApiKeyError::TooShort { role: Role::Read, position: 2, bytes: 5 });
        let both = keys(&["first-key-0123456789"], &["reads-key-0123456789", "first-key-0123456789"]);
        assert_eq!(both.unwrap_err(), ApiKeyError::TwoRoles { position: 2 });
        assert!(keys(&[], &["reads-key-0123456789"]).unwrap().are_required(), "it is none that is open to everybody");
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
