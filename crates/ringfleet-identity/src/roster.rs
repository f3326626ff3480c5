//! Who can log in, as this process sees it now: its accounts file and the fleet's store, followed as that changes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use ringfleet_store::{DocKind, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    credential::{Credential, Method},
    follow::{Change, Followed},
    jitter::jittered,
    record::{self, RecordError},
    seal::OpenError,
    vault::Vault,
};

/// Extension -> its credentials that are switched on, the preferred one first.
type Snapshot = BTreeMap<Arc<str>, Arc<[Credential]>>;

/// A view that changes under its holders. Cheap to clone.
#[derive(Clone)]
pub struct Roster {
    now: Arc<ArcSwap<Snapshot>>,
    version: Arc<watch::Sender<u64>>,
}

impl Roster {
    /// The accounts file alone.
    pub fn fixed(credentials: impl IntoIterator<Item = Credential>) -> Self {
        Self::of_snapshot(snapshot(credentials))
    }

    fn of_snapshot(snapshot: Snapshot) -> Self {
        Self { now: Arc::new(ArcSwap::from_pointee(snapshot)), version: Arc::new(watch::Sender::new(0)) }
    }

    /// The credentials of an extension that may be tried, the preferred one first; none if it has none.
    pub fn of(&self, extension: &str) -> Arc<[Credential]> {
        self.now.load().get(extension).cloned().unwrap_or_default()
    }

    /// All extensions that somebody can log in for.
    pub fn extensions(&self) -> Vec<Arc<str>> {
        self.now.load().keys().cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.now.load().is_empty()
    }

    /// Changes with every change of the roster.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

impl std::fmt::Debug for Roster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Roster({} extensions)", self.now.load().len())
    }
}

/// Keeps a [`Roster`] in step with the store.
pub struct Follower {
    vault: Vault,
    /// Those of the accounts file. One of the store takes the place of the file's of the same method.
    fixed: Vec<Credential>,
    stored: BTreeMap<(String, Method), Credential>,
    followed: Followed,
    /// How often the keys had changed before the reading in which a credential could not be opened for want of a key.
    wants_key: Option<u64>,
    roster: Roster,
}

impl Follower {
    /// Reads all there is.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn start(vault: Vault, fixed: Vec<Credential>) -> Result<(Roster, Self), StoreError> {
        let roster = Roster::of_snapshot(Snapshot::new());
        let mut follower = Self {
            vault,
            fixed,
            stored: BTreeMap::new(),
            followed: Followed::new(DocKind::Credential),
            wants_key: None,
            roster: roster.clone(),
        };
        follower.look().await?;
        follower.publish();
        Ok((roster, follower))
    }

    /// Looks for changes every `every`, until `stop`. A store that is away is asked again.
    pub async fn run(mut self, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(every)) => {}
            }
            if let Err(error) = self.look().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "credentials can't be read now");
            }
        }
    }

    /// Takes over what has changed. One that can't be opened for want of a key is not there, until that key has come.
    async fn look(&mut self) -> Result<(), StoreError> {
        let Self { vault, stored, followed, wants_key, .. } = self;
        if wants_key.is_some_and(|then| vault.keys().look() != then) {
            *wants_key = None;
            followed.begin_anew();
        }
        let keys = vault.keys().changes();
        let take = |change: Change<'_>| match change {
            Change::Reset => stored.clear(),
            Change::Gone(key) => {
                if let Some((app, extension, method)) = record::parts_of(key)
                    && app == vault.app()
                {
                    stored.remove(&(extension.as_str().to_owned(), method));
                }
            }
            Change::Put(doc) => {
                let Some(kept) = vault.kept(doc) else { return };
                let place = (kept.extension.as_str().to_owned(), kept.method);
                match kept.opened {
                    Ok(credential) => drop(stored.insert(place, credential)),
                    Err(error) => {
                        if matches!(error, RecordError::Sealed(OpenError::UnknownKey { .. })) {
                            wants_key.get_or_insert(keys);
                        }
                        let (extension, method) = (kept.extension.as_str(), kept.method.as_str());
                        tracing::error!(extension.id = extension, method, %error, "a credential can't be used");
                        stored.remove(&place);
                    }
                }
            }
        };
        if followed.read(vault.store(), take).await? {
            self.publish();
        }
        Ok(())
    }

    fn publish(&self) {
        let mut all: BTreeMap<(String, Method), Credential> = BTreeMap::new();
        let file = self.fixed.iter().map(|c| ((c.extension.as_str().to_owned(), c.login.method()), c.clone()));
        all.extend(file);
        all.extend(self.stored.clone());
        self.roster.now.store(Arc::new(snapshot(all.into_values())));
        self.roster.version.send_modify(|version| *version += 1);
    }
}

fn snapshot(credentials: impl IntoIterator<Item = Credential>) -> Snapshot {
    let mut by_extension: BTreeMap<Arc<str>, Vec<Credential>> = BTreeMap::new();
    for credential in credentials.into_iter().filter(|credential| credential.enabled) {
        by_extension.entry(credential.extension.as_str().into()).or_default().push(credential);
    }
    let in_order = |(extension, mut all): (Arc<str>, Vec<Credential>)| {
        all.sort_by_key(|credential| (credential.prefer, credential.login.method()));
        (extension, all.into())
    };
    by_extension.into_iter().map(in_order).collect()
}
