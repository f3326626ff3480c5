//! The newest refresh tokens of connections that this process has refreshed: for a store that loses its last moments.
//!
//! A Redis that writes its file once a second may come back with the refresh token before. RingCentral takes that once more only
//! until about ten seconds after the new access token was first used (documented); then the connection would be lost, although
//! this process still knows the successor.

use ringcentral::{ExtensionId, RefreshToken};
use ringfleet_store::Millis;

use super::{Sessions, lock};
use crate::{
    credential::{Credential, Login, Method},
    vault::VaultError,
};

/// One refresh of a connection.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) print: String,
    pub(super) presented: RefreshToken,
    pub(super) next: RefreshToken,
    pub(super) refreshed_at: Millis,
    pub(super) ends_at: Option<Millis>,
}

impl Sessions {
    /// Writes the successor down, if the connection is where this refresh has found it. Remembered before, so that a store that
    /// is away at the moment gets it later.
    pub(super) async fn advance(&self, extension: &ExtensionId, fresh: Fresh) -> Result<(), VaultError> {
        lock(&self.fresh).insert(extension.as_str().to_owned(), fresh.clone());
        self.write_fresh(extension, &fresh).await.map(drop)
    }

    /// The connection of an extension, after telling the store what it may have lost of it.
    pub(super) async fn newest(&self, extension: &ExtensionId) -> Result<Option<Credential>, VaultError> {
        let Some(known) = self.vault.get(extension, Method::Code).await? else { return Ok(None) };
        let fresh = lock(&self.fresh).get(extension.as_str()).cloned();
        let print = known.login.print(&self.app_print);
        let Some(fresh) = fresh.filter(|fresh| fresh.is_behind(&known.login, &print)) else { return Ok(Some(known)) };
        let newest = self.write_fresh(extension, &fresh).await?;
        tracing::warn!(
            extension.id = extension.as_str(),
            "the store had lost the newest refresh token of a connection; it is written again"
        );
        Ok(newest)
    }

    /// Tells a store that was restarted what it may have lost. A connection that can't be opened here, such as one that was sealed
    /// with another key since, is passed over: only who can open it knows more of it.
    ///
    /// # Errors
    /// [`VaultError`]: not done, to be repeated.
    pub async fn reassert_connections(&self) -> Result<(), VaultError> {
        let names: Vec<String> = lock(&self.fresh).keys().cloned().collect();
        for extension in names.iter().filter_map(|name| ExtensionId::try_new(name).ok()) {
            match self.newest(&extension).await {
                Err(error @ VaultError::Record { .. }) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a connection is not told again");
                }
                told => drop(told?),
            }
        }
        Ok(())
    }

    async fn write_fresh(&self, extension: &ExtensionId, fresh: &Fresh) -> Result<Option<Credential>, VaultError> {
        let advance = |credential: &mut Credential| {
            if !fresh.is_behind(&credential.login, &credential.login.print(&self.app_print)) {
                return false;
            }
            if let Login::Code { refresh, .. } = &mut credential.login {
                *refresh = fresh.next.clone();
            }
            credential.facts.refreshed_at = Some(fresh.refreshed_at);
            credential.facts.ends_at = fresh.ends_at;
            credential.facts.refused = None;
            true
        };
        self.vault.change(extension, Method::Code, advance).await
    }
}

impl Fresh {
    /// Whether this is the connection that was refreshed, with its earlier refresh token.
    fn is_behind(&self, login: &Login, print: &str) -> bool {
        matches!(login, Login::Code { refresh, .. } if refresh.expose() == self.presented.expose())
            && print == self.print
    }
}
