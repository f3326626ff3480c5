//! An operator who has shown a key: a sealed cookie, good for an hour in one browser, at every process of the fleet. Nothing is
//! kept of it but, for that hour, that somebody has signed out: a copy of the cookies opens nothing from then on.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ringfleet_identity::Purpose;
use ringfleet_store::{Doc, DocKind, Expect, Millis, StoreError};
use serde::{Deserialize, Serialize};

use super::{NoOperator, STORE_DEADLINE, fleet::part_answers};
use crate::{
    Site,
    browser::{self, Browser},
    keys::KeyHash,
    trouble::Trouble,
};

const COOKIE: &str = "operator";
const PURPOSE: Purpose<'_> = Purpose::Page { what: "operator" };
const LIFE_S: u32 = 3_600;
pub(super) const LIFE: Duration = Duration::from_secs(LIFE_S as u64);

pub(crate) struct Operator {
    pub(crate) browser: Browser,
    /// By the store's clock.
    pub(super) until: Millis,
    /// The same by this process's.
    pub(super) ends: Instant,
}

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Sealed {
    until: Millis,
    /// The session ends with the key that opened it.
    key: KeyHash,
    browser: [u8; 32],
}

/// Opens a session: its cookie.
pub(crate) async fn begin(site: &Site, browser: &Browser, key: KeyHash) -> Result<HeaderValue, Trouble> {
    let until = site.store.now().await? + Millis::from(LIFE_S) * 1_000;
    let sealed = Sealed { until, key, browser: browser.print(COOKIE) };
    let sealed = site.seals().seal(PURPOSE, &serde_json::to_vec(&sealed).unwrap_or_default());
    Ok(browser::set_cookie(COOKIE, &URL_SAFE_NO_PAD.encode(sealed), LIFE_S, &site.url))
}

pub(crate) fn no_cookie(site: &Site) -> HeaderValue {
    browser::set_cookie(COOKIE, "", 0, &site.url)
}

impl Operator {
    /// Ends the session, and those that this browser had before it. The note of it outlives them all.
    pub(crate) async fn end(&self, site: &Site) -> Result<(), Trouble> {
        let (key, until) = (key_of_note(&self.browser), self.until.to_string());
        site.store.doc_put(DocKind::Login, &key, Expect::Anything, Some(until.as_bytes()), Some(LIFE)).await?;
        Ok(())
    }
}

/// Beside the logins of employees, whose keys are hashes alone.
fn key_of_note(browser: &Browser) -> String {
    let hash = browser.print(COOKIE).map(|byte| format!("{byte:02x}")).concat();
    format!("left/{hash}")
}

/// Whether a session with this end is among those that a note has ended. A note that can't be read ends all of its browser.
fn is_left(until: Millis, note: &Doc) -> bool {
    let last = std::str::from_utf8(&note.body).ok().and_then(|text| text.parse::<Millis>().ok());
    last.is_none_or(|last| until <= last)
}

/// The operator who sends these headers.
pub(crate) async fn of(site: &Site, headers: &HeaderMap) -> Result<Operator, NoOperator> {
    let (browser, until) = shown(site, headers)?;
    confirm(site, &browser, until).await.map_err(Trouble::from)?.ok_or(NoOperator::SignIn)
}

/// `None`: the session with this end is over, or somebody has signed out.
async fn confirm(site: &Site, browser: &Browser, until: Millis) -> Result<Option<Operator>, StoreError> {
    let asked = async {
        let now = site.store.now().await?;
        Ok::<_, StoreError>((now, site.store.doc_get(DocKind::Login, &key_of_note(browser)).await?))
    };
    let (now, note) = tokio::time::timeout(STORE_DEADLINE, asked).await.unwrap_or_else(|elapsed| {
        Err(StoreError::Unavailable { call: "confirming a session", source: Box::new(elapsed) })
    })?;
    if now >= until || note.is_some_and(|note| is_left(until, &note)) {
        return Ok(None);
    }
    let left = Duration::from_millis((until - now).unsigned_abs());
    Ok(Some(Operator { browser: browser.clone(), until, ends: Instant::now() + left }))
}

/// What the cookies alone tell: a session of this browser, by a key that still opens the page. Whether it is over, the store knows.
fn shown(site: &Site, headers: &HeaderMap) -> Result<(Browser, Millis), NoOperator> {
    if site.keys.is_empty() {
        return Err(Trouble::OperatorOff.into());
    }
    let sealed = browser::cookie(headers, &browser::cookie_name(COOKIE, &site.url));
    let sealed = sealed.and_then(|cookie| URL_SAFE_NO_PAD.decode(cookie).ok()).ok_or(NoOperator::SignIn)?;
    let opened = site.seals().open(PURPOSE, &sealed).map_err(|_| NoOperator::SignIn)?;
    let opened: Sealed = serde_json::from_slice(&opened).map_err(|_| NoOperator::SignIn)?;
    let browser = Browser::known(headers, &site.url).ok_or(NoOperator::SignIn)?;
    let good = browser.is(COOKIE, &opened.browser) && site.keys.knows(&opened.key);
    if good { Ok((browser, opened.until)) } else { Err(NoOperator::SignIn) }
}

/// Lets nobody watch the fleet any more with the session that these headers show, and with none that their browser had before.
pub(super) fn forget(site: &Site, headers: &HeaderMap) {
    match shown(site, headers) {
        Ok((browser, until)) => site.watchers.forget(&browser, Some(until)),
        Err(_) => {
            if let Some(browser) = Browser::known(headers, &site.url) {
                site.watchers.forget(&browser, None);
            }
        }
    }
}

/// Who watches the fleet: the browser of an operator or, while the store does not answer, one whose session it has confirmed to this
/// process before.
pub(super) async fn watcher(site: &Site, headers: &HeaderMap) -> Result<Browser, NoOperator> {
    let (browser, until) = shown(site, headers).inspect_err(|_| forget(site, headers))?;
    let fault = match site.fleet.silence() {
        // Not each open page asks it anew.
        Some(fault) => fault,
        None => match confirm(site, &browser, until).await {
            Ok(Some(operator)) => {
                site.watchers.admit(&operator);
                return Ok(browser);
            }
            Ok(None) => {
                forget(site, headers);
                return Err(NoOperator::SignIn);
            }
            Err(error) => site.fleet.failed(&error, part_answers(site)).await,
        },
    };
    if site.watchers.admitted(&browser, until) { Ok(browser) } else { Err(Trouble::from(fault).into()) }
}
