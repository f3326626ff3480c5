//! The newest refresh tokens of connections that this process has refreshed: for a store that loses its last moments.
//!
//! A Redis that writes its file once a second may come back with the refresh token before. RingCentral takes that once more only
//! until about ten seconds after the new access token was first used (documented); then the connection would be lost, although
//! this process still knows the successor.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use ringcentral::{ExtensionId, RefreshToken};
use ringfleet_store::Millis;

use super::{Sessions, lock};
use crate::{
    credential::{Credential, Login, Method},
    vault::VaultError,
};

/// What the store has had for so long it does not lose any more: many times what one that keeps its promises does. One that went
/// back further, such as a restored backup, has lost more than this process could tell.
const KEPT: Duration = Duration::from_secs(3_600);
/// So many connections are told at a time.
const AT_ONCE: usize = 256;

/// One refresh of a connection.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) print: String,
    pub(super) presented: RefreshToken,
    pub(super) next: RefreshToken,
    pub(super) refreshed_at: Millis,
    pub(super) ends_at: Option<Millis>,
    /// Since when the store has it, as far as is known.
    pub(super) kept_since: Option<Instant>,
}

impl Sessions {
    /// Writes the successor down, if the connection is where this refresh has found it. Remembered before, so that a store that
    /// is away at the moment gets it later.
    pub(super) async fn advance(&self, extension: &ExtensionId, fresh: Fresh) -> Result<(), VaultError> {
        {
            let mut all = lock(&self.fresh);
            forget_kept(&mut all, Instant::now());
            all.insert(extension.as_str().to_owned(), fresh.clone());
        }
        self.write_fresh(extension, &fresh).await?;
        self.is_kept(extension.as_str(), &fresh);
        Ok(())
    }

    /// The store has it, unless another one has taken its place meanwhile.
    fn is_kept(&self, extension: &str, fresh: &Fresh) {
        if let Some(one) = lock(&self.fresh).get_mut(extension).filter(|one| one.next.expose() == fresh.next.expose()) {
            one.kept_since = Some(Instant::now());
        }
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

    /// The store has lost a moment: it is to be told of all connections once more.
    pub fn tell_connections_anew(&self) {
        lock(&self.fresh).values_mut().for_each(|one| one.kept_since = None);
    }

    /// Tells a store that was restarted what it may have lost, each connection once until
    /// [`tell_connections_anew`](Self::tell_connections_anew). A connection that can't be opened here, such as one that was sealed
    /// with another key since, is passed over: only who can open it knows more of it.
    ///
    /// # Errors
    /// [`VaultError`]: not done. What is left is told when it is repeated, and so it is when this is dropped.
    pub async fn reassert_connections(&self) -> Result<(), VaultError> {
        let left: Vec<(ExtensionId, Fresh)> = {
            let all = lock(&self.fresh);
            let untold = all.iter().filter(|(_, one)| one.kept_since.is_none());
            untold.filter_map(|(name, one)| Some((ExtensionId::try_new(name).ok()?, one.clone()))).collect()
        };
        let tell = |(extension, fresh): (ExtensionId, Fresh)| async move {
            match self.newest(&extension).await {
                Err(error @ VaultError::Record { .. }) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a connection is not told again");
                }
                told => drop(told?),
            }
            self.is_kept(extension.as_str(), &fresh);
            Ok(())
        };
        stream::iter(left).map(Ok).try_for_each_concurrent(AT_ONCE, tell).await
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

fn forget_kept(all: &mut HashMap<String, Fresh>, now: Instant) {
    all.retain(|_, one| one.kept_since.is_none_or(|since| now.saturating_duration_since(since) < KEPT));
}

impl Fresh {
    /// Whether this is the connection that was refreshed, with its earlier refresh token.
    fn is_behind(&self, login: &Login, print: &str) -> bool {
        matches!(login, Login::Code { refresh, .. } if refresh.expose() == self.presented.expose())
            && print == self.print
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fleet, *};
    use crate::{Facts, Source};

    fn id(extension: &str) -> ExtensionId {
        ExtensionId::try_new(extension).unwrap()
    }

    fn token(text: &str) -> RefreshToken {
        RefreshToken::try_new(text).unwrap()
    }

    fn connection() -> Credential {
        let login = Login::Code { connection: "c".to_owned(), refresh: token("first") };
        let (source, facts) = (Source::File, Facts::default());
        Credential { extension: id("101"), login, prefer: 20, enabled: true, source, facts }
    }

    /// From the first refresh token to the second one.
    fn refresh(sessions: &Sessions) -> Fresh {
        let print = connection().login.print(&sessions.app_print);
        let (presented, next) = (token("first"), token("second"));
        Fresh { print, presented, next, refreshed_at: 1, ends_at: None, kept_since: None }
    }

    async fn stored(sessions: &Sessions) -> String {
        let known = sessions.vault.get(&id("101"), Method::Code).await.unwrap().unwrap();
        let Login::Code { refresh, .. } = known.login else { panic!("it is a connection") };
        refresh.expose().to_owned()
    }

    /// The store has lost the refresh.
    async fn loses(sessions: &Sessions) {
        let back = |known: &mut Credential| {
            known.login = connection().login;
            true
        };
        sessions.vault.change(&id("101"), Method::Code, back).await.unwrap();
        assert_eq!(stored(sessions).await, "first");
    }

    #[tokio::test]
    async fn a_store_is_told_of_each_connection_once_after_each_loss() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        sessions.vault.put(&connection()).await.unwrap();
        sessions.advance(&id("101"), refresh(&sessions)).await.unwrap();
        for _ in 1..=2 {
            loses(&sessions).await;
            sessions.reassert_connections().await.unwrap();
            assert_eq!(stored(&sessions).await, "first", "the store had it, and nobody has noticed a loss");
            sessions.tell_connections_anew();
            sessions.reassert_connections().await.unwrap();
            assert_eq!(stored(&sessions).await, "second");
        }
    }

    #[tokio::test]
    async fn a_refresh_is_forgotten_when_the_store_has_had_it_for_long_and_one_that_it_did_not_take_never_is() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, Duration::from_secs(60)).await;
        sessions.vault.put(&connection()).await.unwrap();
        sessions.advance(&id("101"), refresh(&sessions)).await.unwrap();
        lock(&sessions.fresh).insert("102".to_owned(), refresh(&sessions));
        let known = || lock(&sessions.fresh).keys().cloned().collect::<std::collections::BTreeSet<_>>();
        let now = Instant::now();
        forget_kept(&mut lock(&sessions.fresh), now);
        assert_eq!(known().len(), 2);
        forget_kept(&mut lock(&sessions.fresh), now + KEPT);
        assert_eq!(known().into_iter().collect::<Vec<_>>(), ["102"]);
    }
}
