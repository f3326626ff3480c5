//! An operator who has shown a key: a sealed cookie, good for an hour in one browser, at every process of the fleet.

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ringfleet_identity::Purpose;
use ringfleet_store::Millis;
use serde::{Deserialize, Serialize};

use super::NoOperator;
use crate::{
    Site,
    browser::{self, Browser},
    keys::KeyHash,
    trouble::Trouble,
};

const COOKIE: &str = "operator";
const PURPOSE: Purpose<'_> = Purpose::Page { what: "operator" };
const LIFE_S: u32 = 3_600;

pub(crate) struct Operator {
    pub(crate) browser: Browser,
    /// The session ends with the key that opened it.
    pub(crate) key: KeyHash,
}

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Sealed {
    until: Millis,
    key: KeyHash,
    browser: [u8; 32],
}

impl Operator {
    pub(crate) async fn cookie(&self, site: &Site) -> Result<HeaderValue, Trouble> {
        let until = site.store.now().await? + Millis::from(LIFE_S) * 1_000;
        let sealed = Sealed { until, key: self.key, browser: self.browser.print(COOKIE) };
        let sealed = site.seals().seal(PURPOSE, &serde_json::to_vec(&sealed).unwrap_or_default());
        Ok(browser::set_cookie(COOKIE, &URL_SAFE_NO_PAD.encode(sealed), LIFE_S, &site.url))
    }
}

pub(crate) fn ended(site: &Site) -> HeaderValue {
    browser::set_cookie(COOKIE, "", 0, &site.url)
}

/// The operator who sends these headers.
pub(crate) async fn of(site: &Site, headers: &HeaderMap) -> Result<Operator, NoOperator> {
    if site.keys.is_empty() {
        return Err(Trouble::OperatorOff.into());
    }
    let sealed = browser::cookie(headers, &browser::cookie_name(COOKIE, &site.url));
    let sealed = sealed.and_then(|cookie| URL_SAFE_NO_PAD.decode(cookie).ok()).ok_or(NoOperator::SignIn)?;
    let opened = site.seals().open(PURPOSE, &sealed).map_err(|_| NoOperator::SignIn)?;
    let opened: Sealed = serde_json::from_slice(&opened).map_err(|_| NoOperator::SignIn)?;
    let browser = Browser::known(headers, &site.url).ok_or(NoOperator::SignIn)?;
    let good = browser.is(COOKIE, &opened.browser) && site.keys.knows(&opened.key);
    if !good || site.store.now().await.map_err(Trouble::from)? >= opened.until {
        return Err(NoOperator::SignIn);
    }
    Ok(Operator { browser, key: opened.key })
}
