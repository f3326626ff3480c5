//! What the store keeps of a session: sealed, so that whoever reads the store alone can't use it.

use std::time::Duration;

use ringcentral::{AccessToken, RefreshToken, Token};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::{
    credential::Login,
    seal::{KeyRing, OpenError, Purpose},
};

/// A session, opened.
pub(super) struct Kept {
    pub(super) access: AccessToken,
    /// None of a connection's: that one lies in its credential, and only there.
    pub(super) refresh: Option<RefreshToken>,
    /// How long it lived when it was new.
    pub(super) life: Duration,
    /// [`Login::print`] of the credential that it was made with.
    pub(super) print: String,
}

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Plain {
    access: String,
    refresh: Option<String>,
    life_ms: u64,
    print: String,
}

impl Kept {
    pub(super) fn new(token: &Token, login: &Login, print: &str) -> Self {
        let refresh = match login {
            Login::Code { .. } => None,
            Login::Jwt(_) | Login::Password { .. } => token.refresh_token.clone(),
        };
        Self { access: token.access_token.clone(), refresh, life: token.expires_in, print: print.to_owned() }
    }

    pub(super) fn seal(&self, keys: &KeyRing, app: &str, extension: &str) -> Vec<u8> {
        let plain = Plain {
            access: self.access.expose().to_owned(),
            refresh: self.refresh.as_ref().map(|refresh| refresh.expose().to_owned()),
            life_ms: self.life.as_millis() as u64,
            print: self.print.clone(),
        };
        // Own types with string keys always serialise.
        let plain = Zeroizing::new(serde_json::to_vec(&plain).unwrap_or_default());
        keys.seal(Purpose::Session { app, extension }, &plain)
    }

    pub(super) fn open(keys: &KeyRing, app: &str, extension: &str, sealed: &[u8]) -> Result<Self, OpenError> {
        let plain = keys.open(Purpose::Session { app, extension }, sealed)?;
        let plain: Plain = serde_json::from_slice(&plain).map_err(|_| OpenError::Damaged)?;
        Ok(Self {
            access: AccessToken::try_new(&plain.access).map_err(|_| OpenError::Damaged)?,
            refresh: plain.refresh.and_then(|refresh| RefreshToken::try_new(&refresh).ok()),
            life: Duration::from_millis(plain.life_ms),
            print: plain.print,
        })
    }
}
