//! A login that a browser has begun: a document of the store, so that any process of the fleet can finish it, and one only.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use ringcentral::{CodeVerifier, ExtensionId, LoginState, Pkce, RedirectUri};
use ringfleet_identity::{KeyRing, Purpose};
use ringfleet_store::{DocKind, Expect, Put, SharedStore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{browser::Browser, trouble::Trouble};

/// From the button to the return from the provider's page. A document that is older is gone.
const LIFE: Duration = Duration::from_secs(15 * 60);
const FORMAT: u8 = 1;

/// The document's body, as JSON.
#[derive(Serialize, Deserialize)]
struct Record {
    v: u8,
    /// Base64 of the browser's print.
    browser: String,
    /// Base64 of the sealed code verifier.
    verifier: String,
    /// The one that the provider was asked with: it compares.
    redirect_uri: String,
    /// The only extension that may come of it.
    invited: Option<String>,
    /// Somebody has come back with it.
    used: bool,
    /// What came of it.
    connected: Option<String>,
}

/// A login that has just begun; the state goes to the provider and comes back with the code.
pub(crate) struct Begun {
    pub(crate) state: LoginState,
    pub(crate) pkce: Pkce,
}

/// A login of the browser that asks, with which nobody has come back yet.
pub(crate) struct Found {
    key: String,
    rev: u64,
    record: Record,
}

/// A login that this request, and no other, may finish.
pub(crate) struct Taken {
    key: String,
    rev: u64,
    record: Record,
    pub(crate) verifier: CodeVerifier,
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) invited: Option<ExtensionId>,
}

/// Begins a login for `browser`.
pub(crate) async fn begin(
    store: &SharedStore,
    keys: &KeyRing,
    browser: &Browser,
    redirect_uri: &RedirectUri,
    invited: Option<&ExtensionId>,
) -> Result<Begun, Trouble> {
    let (Ok(state), Ok(pkce)) = (LoginState::generate(), Pkce::generate()) else { return Err(Trouble::NoRandomness) };
    let key = key_of(&state);
    let sealed = keys.seal(Purpose::Login { state: &key }, pkce.verifier.expose().as_bytes());
    let record = Record {
        v: FORMAT,
        browser: STANDARD.encode(browser.print("login")),
        verifier: STANDARD.encode(sealed),
        redirect_uri: redirect_uri.as_str().to_owned(),
        invited: invited.map(|extension| extension.as_str().to_owned()),
        used: false,
        connected: None,
    };
    let body = record.body();
    match store.doc_put(DocKind::Login, &key, Expect::Absent, Some(&body), Some(LIFE)).await? {
        Put::Stored(_) => Ok(Begun { state, pkce }),
        // An answer that was lost and asked for again meets its own document; 256 random bits don't meet another's.
        Put::Conflict(Some(doc)) if doc.body == body => Ok(Begun { state, pkce }),
        Put::Conflict(_) => Err(Trouble::StoreAway),
    }
}

/// The login that `state` names. One that belongs to another browser stays as it is: whoever has seen an address in passing
/// can't spoil it.
pub(crate) async fn find(store: &SharedStore, browser: Option<&Browser>, state: &str) -> Result<Found, Trouble> {
    let state = LoginState::try_new(state).map_err(|_| Trouble::StateUnknown)?;
    let key = key_of(&state);
    let doc = store.doc_get(DocKind::Login, &key).await?.ok_or(Trouble::StateUnknown)?;
    let record = Record::read(&doc.body).ok_or(Trouble::StateUnknown)?;
    let print = STANDARD.decode(&record.browser).unwrap_or_default();
    if !browser.is_some_and(|browser| browser.is("login", &print)) {
        return Err(Trouble::OtherBrowser);
    }
    if record.used {
        let connected = record.connected.as_deref().and_then(|id| ExtensionId::try_new(id).ok());
        return Err(Trouble::StateUsed { connected });
    }
    Ok(Found { key, rev: doc.rev, record })
}

impl Found {
    /// Takes it out of everybody else's hands.
    pub(crate) async fn take(self, store: &SharedStore, keys: &KeyRing) -> Result<Taken, Trouble> {
        let Self { key, rev, mut record } = self;
        let sealed = STANDARD.decode(&record.verifier).unwrap_or_default();
        let verifier = keys.open(Purpose::Login { state: &key }, &sealed).map_err(Trouble::Sealed)?;
        let verifier = std::str::from_utf8(&verifier).ok().and_then(|text| CodeVerifier::try_new(text).ok());
        let redirect_uri = RedirectUri::try_new(&record.redirect_uri).ok();
        let (Some(verifier), Some(redirect_uri)) = (verifier, redirect_uri) else { return Err(Trouble::StateUnknown) };
        let invited = record.invited.as_deref().and_then(|id| ExtensionId::try_new(id).ok());
        record.used = true;
        record.verifier.clear();
        match store.doc_put(DocKind::Login, &key, Expect::Rev(rev), Some(&record.body()), Some(LIFE)).await? {
            Put::Stored(rev) => Ok(Taken { key, rev, record, verifier, redirect_uri, invited }),
            Put::Conflict(_) => Err(Trouble::StateUsed { connected: None }),
        }
    }
}

impl Taken {
    /// Stands for the user in the guard of this process, which keeps a budget for each, as long as nobody knows who it is.
    pub(crate) fn stand_in(&self) -> Result<ExtensionId, Trouble> {
        self.invited.clone().map_or_else(|| ExtensionId::try_new(&self.key), Ok).map_err(|_| Trouble::StateUnknown)
    }

    /// Notes the good end, so that a page that is loaded again tells it again. Nothing depends on it.
    pub(crate) async fn note_connected(mut self, store: &SharedStore, extension: &ExtensionId) {
        self.record.connected = Some(extension.as_str().to_owned());
        let body = self.record.body();
        let noted = store.doc_put(DocKind::Login, &self.key, Expect::Rev(self.rev), Some(&body), Some(LIFE)).await;
        if let Err(error) = noted {
            tracing::debug!(error = &error as &dyn std::error::Error, "the end of a login could not be noted");
        }
    }
}

impl Record {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().filter(|record: &Self| record.v == FORMAT)
    }

    fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A hash, so that a reader of the store can't come back with a state that is under way.
fn key_of(state: &LoginState) -> String {
    Sha256::digest(state.expose()).iter().map(|byte| format!("{byte:02x}")).collect()
}
