//! The address under which people reach the page, and the redirect URI that follows from it.

use std::{fmt, net::IpAddr};

use axum::http::Uri;
use ringcentral::{RedirectUri, RedirectUriError};

/// Where the provider sends the browser back to.
pub(crate) const CALLBACK: &str = "/connect/callback";

/// Scheme, host and port: `https://connect.example.com`. Plain `http` is taken for loopback addresses only, because codes
/// and cookies travel over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    https: bool,
    redirect_uri: RedirectUri,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    #[error("is {0:?}, must be an address such as \"https://connect.example.com\"")]
    Unreadable(String),
    #[error("is {0:?}, must begin with https:// unless it is a loopback address: codes and cookies travel over it")]
    PlainHttp(String),
    #[error("is {0:?}, must end after the host and port: the page lies at /connect below it")]
    Path(String),
    #[error("makes no redirect URI")]
    RedirectUri(#[from] RedirectUriError),
}

impl PublicUrl {
    /// # Errors
    /// [`PublicUrlError`] says what is wrong and what to write.
    pub fn try_new(address: &str) -> Result<Self, PublicUrlError> {
        let unreadable = || PublicUrlError::Unreadable(address.to_owned());
        let uri: Uri = address.trim().parse().map_err(|_| unreadable())?;
        let (scheme, authority) = (uri.scheme_str().ok_or_else(unreadable)?, uri.authority().ok_or_else(unreadable)?);
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(unreadable());
        }
        if uri.path() != "/" || uri.query().is_some() || address.contains('#') {
            return Err(PublicUrlError::Path(address.to_owned()));
        }
        let https = match scheme {
            "https" => true,
            "http" if is_loopback(authority.host()) => false,
            "http" => return Err(PublicUrlError::PlainHttp(address.to_owned())),
            _ => return Err(unreadable()),
        };
        let origin = format!("{scheme}://{authority}");
        let redirect_uri = RedirectUri::try_new(&format!("{origin}{CALLBACK}"))?;
        Ok(Self { origin, https, redirect_uri })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// The whole address of a path such as `/connect`.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// What must be registered with the provider's app, to the letter.
    pub fn redirect_uri(&self) -> &RedirectUri {
        &self.redirect_uri
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uri_is_the_public_address_and_nothing_else() {
        for (typed, redirect) in [
            ("https://connect.example.com", "https://connect.example.com/connect/callback"),
            (" https://connect.example.com:8443/ ", "https://connect.example.com:8443/connect/callback"),
            ("http://127.0.0.1:8481", "http://127.0.0.1:8481/connect/callback"),
            ("http://[::1]:8481", "http://[::1]:8481/connect/callback"),
            ("http://localhost:8481", "http://localhost:8481/connect/callback"),
        ] {
            assert_eq!(PublicUrl::try_new(typed).unwrap().redirect_uri().as_str(), redirect);
        }
    }

    #[test]
    fn addresses_that_can_not_be_registered_are_refused_with_the_remedy() {
        for (typed, told) in [
            ("", "must be an address"),
            ("connect.example.com", "must be an address"),
            ("ftp://connect.example.com", "must be an address"),
            ("https://me@connect.example.com", "must be an address"),
            ("http://connect.example.com", "must begin with https://"),
            ("http://127.0.0.1.example.com", "must begin with https://"),
            ("https://connect.example.com/ringfleet", "must end after the host"),
            ("https://connect.example.com/?a=b", "must end after the host"),
        ] {
            let error = PublicUrl::try_new(typed).unwrap_err().to_string();
            assert!(error.contains(told), "{typed}: {error}");
        }
    }
}
