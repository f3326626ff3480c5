//! The address of the API server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;
use serde::{Deserialize, Deserializer};

use crate::serde_text;

/// Base address of the API: scheme, host, port and an optional path prefix, without a trailing `/`.
///
/// Production is `https://platform.ringcentral.com` (documented). Blanks around a typed or pasted address are dropped.
/// `https` is required, except on the loopback, or through [`try_new_allowing_http`](Self::try_new_allowing_http).
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

/// Why a text is not a server address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    #[error("server URL is empty; the production server is https://platform.ringcentral.com")]
    Empty,
    #[error("server URL has a blank or control character inside; remove it")]
    Blank,
    #[error("server URL does not begin with https:// ; write it in front of the host name")]
    NoScheme,
    #[error("server URL can't be read; write it like https://platform.ringcentral.com")]
    Unreadable,
    #[error("server URL has the scheme {scheme}; only https works")]
    Scheme { scheme: String },
    #[error("server URL is plain http to another machine; tokens would travel in clear text, so use https")]
    PlainHttp,
    #[error("server URL holds a user name or password; leave it out, the client id has its own setting")]
    Credentials,
    #[error("server URL has a ? or # part; leave it out")]
    QueryOrFragment,
    #[error("server URL contains /restapi; leave that path out, it is added to each call")]
    ApiPath,
}

impl ServerUrl {
    /// Parses an address; plain `http` only for a loopback host. The same as `str::parse`.
    ///
    /// # Errors
    /// [`ServerUrlError`] says what is wrong and how to write it.
    pub fn try_new(address: &str) -> Result<Self, ServerUrlError> {
        let server = Self::try_new_allowing_http(address)?;
        if server.is_https() || server.is_loopback() { Ok(server) } else { Err(ServerUrlError::PlainHttp) }
    }

    /// Like [`try_new`](Self::try_new), but takes plain `http` to any host, as inside a private test network.
    ///
    /// # Errors
    /// [`ServerUrlError`] as for `try_new`, but never `PlainHttp`.
    pub fn try_new_allowing_http(address: &str) -> Result<Self, ServerUrlError> {
        let address = address.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'));
        if address.is_empty() {
            return Err(ServerUrlError::Empty);
        }
        // The URL parser drops tabs and line ends inside silently and would so join two pasted lines.
        if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ServerUrlError::Blank);
        }
        if !address.contains("://") {
            return Err(ServerUrlError::NoScheme);
        }
        let mut url = Url::parse(address).map_err(|_| ServerUrlError::Unreadable)?;
        check(&url)?;
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&prefix);
        Ok(Self(url))
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address of an API path such as `/restapi/oauth/token`.
    pub(crate) fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let joined = format!("{}{path}", self.0.path().trim_end_matches('/'));
        url.set_path(&joined);
        url
    }

    /// Whether `other` is on this server: same scheme, host and port, and an API path below the prefix.
    pub(crate) fn owns(&self, other: &Url) -> bool {
        let plain = other.username().is_empty() && other.password().is_none();
        plain && other.origin() == self.0.origin() && other.path().starts_with(self.at("/restapi/").path())
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check(url: &Url) -> Result<(), ServerUrlError> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(ServerUrlError::Scheme { scheme: url.scheme().to_owned() });
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(ServerUrlError::Unreadable);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ServerUrlError::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ServerUrlError::QueryOrFragment);
    }
    if url.path().split('/').any(|segment| segment == "restapi") {
        return Err(ServerUrlError::ApiPath);
    }
    Ok(())
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(address: &str) -> Result<Self, ServerUrlError> {
        Self::try_new(address)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

impl<'de> Deserialize<'de> for ServerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_the_address_do_not_matter() {
        for typed in [
            "https://platform.ringcentral.com",
            " https://platform.ringcentral.com ",
            "\thttps://platform.ringcentral.com/\r\n",
            "\u{a0}https://platform.ringcentral.com\u{200b}",
        ] {
            let server = ServerUrl::try_new(typed).expect(typed);
            assert_eq!(server.to_string(), "https://platform.ringcentral.com");
            assert_eq!(
                server.at("/restapi/oauth/token").as_str(),
                "https://platform.ringcentral.com/restapi/oauth/token"
            );
        }
    }

    #[test]
    fn path_prefix_is_kept() {
        let server = ServerUrl::try_new("https://proxy.example/ringcentral//").expect("valid");
        assert_eq!(server.to_string(), "https://proxy.example/ringcentral");
        assert_eq!(server.at("/restapi/v1.0/account/~").path(), "/ringcentral/restapi/v1.0/account/~");
    }

    #[test]
    fn plain_http_is_for_the_loopback_only() {
        for local in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1", "http://127.5.5.5"] {
            assert!(ServerUrl::try_new(local).is_ok(), "{local}");
        }
        for remote in ["http://platform.ringcentral.com", "http://10.0.0.1", "http://127.0.0.1.example"] {
            assert_eq!(ServerUrl::try_new(remote), Err(ServerUrlError::PlainHttp), "{remote}");
            assert!(ServerUrl::try_new_allowing_http(remote).is_ok(), "{remote}");
        }
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let mistakes = [
            ("", ServerUrlError::Empty),
            ("platform.ringcentral.com", ServerUrlError::NoScheme),
            ("https://platform.ring central.com", ServerUrlError::Blank),
            ("https://a.example\nhttps://b.example", ServerUrlError::Blank),
            ("ftp://a.example", ServerUrlError::Scheme { scheme: "ftp".into() }),
            ("https://id:canary@a.example", ServerUrlError::Credentials),
            ("https://a.example?x=1", ServerUrlError::QueryOrFragment),
            ("https://a.example/restapi/v1.0", ServerUrlError::ApiPath),
            ("https://", ServerUrlError::Unreadable),
        ];
        for (typed, expected) in mistakes {
            let error = ServerUrl::try_new(typed).expect_err(typed);
            assert!(!error.to_string().contains("canary"));
            assert_eq!(error, expected, "{typed}");
        }
    }

    #[test]
    fn only_the_same_origin_below_the_prefix_is_owned() {
        let server = ServerUrl::try_new("https://a.example/p").expect("valid");
        let owned = |url: &str| server.owns(&Url::parse(url).expect("url"));
        assert!(owned("https://a.example:443/p/restapi/v1.0/x?page=2"));
        for foreign in [
            "https://a.example/restapi/v1.0/x",
            "https://a.example:444/p/restapi/v1.0/x",
            "http://a.example/p/restapi/v1.0/x",
            "https://b.example/p/restapi/v1.0/x",
            "https://a.example/p/restapi/../../x",
            "https://u@a.example/p/restapi/v1.0/x",
        ] {
            assert!(!owned(foreign), "{foreign}");
        }
    }
}
