//! Which browser is asking. A random name in a cookie ties a login's end to the browser that began it, and a form's
//! submission to the page that showed it: a page of somebody else's can make neither.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{public_url::PublicUrl, trouble::Trouble};

/// A day: long enough for a login that is left and taken up again.
const MAX_AGE_S: u32 = 86_400;
/// Random bytes of a name.
const NAME_BYTES: usize = 24;

/// What a form carries in a hidden field.
pub(crate) const FORM_FIELD: &str = "form";

/// One browser. Its name is as good as a key, so it is never printed; only hashes of it leave here.
#[derive(Clone)]
pub(crate) struct Browser(String);

impl Browser {
    /// The browser that sent these headers, if it has been here before.
    pub(crate) fn known(headers: &HeaderMap, url: &PublicUrl) -> Option<Self> {
        let name = cookie(headers, &cookie_name("browser", url))?;
        let sound = URL_SAFE_NO_PAD.decode(name).is_ok_and(|bytes| bytes.len() == NAME_BYTES);
        sound.then(|| Self(name.to_owned()))
    }

    /// A new one, which [`cookie`](Self::cookie) must be sent to.
    pub(crate) fn new() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; NAME_BYTES]>()))
    }

    pub(crate) fn cookie(&self, url: &PublicUrl) -> HeaderValue {
        set_cookie("browser", &self.0, MAX_AGE_S, url)
    }

    /// What a login, or an operator's session, keeps to recognise this browser by.
    pub(crate) fn print(&self, of: &str) -> [u8; 32] {
        Sha256::new_with_prefix(of).chain_update([0]).chain_update(&self.0).finalize().into()
    }

    pub(crate) fn is(&self, of: &str, print: &[u8]) -> bool {
        self.print(of).as_slice().ct_eq(print).into()
    }

    /// The hidden field of a form that is shown to this browser.
    pub(crate) fn form_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.print("form"))
    }
}

/// The browser of a form that came from a page of ours. A page of another site can't read the cookie, so it does not know
/// the token; and browsers that tell where a request comes from are believed.
pub(crate) fn of_form(headers: &HeaderMap, url: &PublicUrl, token: &str) -> Result<Browser, Trouble> {
    let from_here = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    let browser = Browser::known(headers, url).filter(|browser| {
        let given = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        from_here && browser.is("form", &given)
    });
    browser.ok_or(Trouble::ForeignForm)
}

/// With https a name that no other host and no plain page can set (`__Host-`, RFC 6265bis §4.1.3.2).
pub(crate) fn cookie_name(what: &str, url: &PublicUrl) -> String {
    format!("{}ringfleet-{what}", if url.is_https() { "__Host-" } else { "" })
}

/// No script can read it, and a form of another site does not bring it along; the provider's redirect, which comes from
/// another site too, must and does (`Lax`). `value` must be of base64url's characters.
pub(crate) fn set_cookie(what: &str, value: &str, max_age_s: u32, url: &PublicUrl) -> HeaderValue {
    let name = cookie_name(what, url);
    let secure = if url.is_https() { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
}

/// The first cookie of this name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> PublicUrl {
        PublicUrl::try_new("https://connect.example.com").unwrap()
    }

    fn headers(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookies).unwrap())])
    }

    #[test]
    fn a_browser_is_recognised_by_its_cookie_alone() {
        let browser = Browser::new();
        let set = browser.cookie(&url());
        let set = set.to_str().unwrap();
        assert!(set.starts_with("__Host-ringfleet-browser="), "{set}");
        assert!(set.ends_with("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"), "{set}");
        let pair = set.split(';').next().unwrap();
        let back = Browser::known(&headers(&format!("a=b; {pair}")), &url()).unwrap();
        assert!(back.is("login", &browser.print("login")));
        assert!(!back.is("login", &browser.print("form")), "one print passes for another");
        assert!(!Browser::new().is("login", &browser.print("login")));
        let plain = PublicUrl::try_new("http://127.0.0.1:1").unwrap();
        assert!(!browser.cookie(&plain).to_str().unwrap().contains("Secure"));
        for other in ["__Host-ringfleet-browser=short", "ringfleet-browser=x", ""] {
            assert!(Browser::known(&headers(other), &url()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_form_of_another_page_is_refused() {
        let browser = Browser::new();
        let cookie = browser.cookie(&url());
        let mut headers = headers(cookie.to_str().unwrap().split(';').next().unwrap());
        assert!(of_form(&headers, &url(), &browser.form_token()).is_ok());
        for token in ["", "x", &Browser::new().form_token()] {
            assert!(of_form(&headers, &url(), token).is_err());
        }
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(of_form(&headers, &url(), &browser.form_token()).is_err());
        assert!(of_form(&HeaderMap::new(), &url(), &browser.form_token()).is_err());
    }
}
