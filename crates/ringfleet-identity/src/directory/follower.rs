//! The directory as a process sees it now, followed as it changes in the store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use ringcentral::{AccountId, ExtensionId, PhoneNumber};
use ringfleet_store::{DocKind, SharedStore, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    book::{Book, Claims},
    facts::{AccountList, ExtensionFacts, ListedNumber},
    record::{self, Key, Seals},
};
use crate::{
    follow::{Change, Followed},
    jitter::jittered,
    seal::OpenError,
    vault::Vault,
};

/// A view that changes under its holders. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    now: Arc<ArcSwap<Book>>,
    version: Arc<watch::Sender<u64>>,
}

impl Directory {
    /// What a person wrote alone, and for good.
    pub fn fixed(claims: Claims) -> Self {
        let book = Book::new(claims, BTreeMap::new(), HashMap::new(), BTreeMap::new());
        Self { now: Arc::new(ArcSwap::from_pointee(book)), version: Arc::new(watch::Sender::new(0)) }
    }

    /// What is known now.
    pub fn book(&self) -> Arc<Book> {
        self.now.load_full()
    }

    /// Changes with every change of the directory.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn publish(&self, book: Book) {
        self.now.store(Arc::new(book));
        self.version.send_modify(|version| *version += 1);
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({:?})", self.book())
    }
}

/// Keeps a [`Directory`] in step with the store.
pub struct Follower {
    store: SharedStore,
    claims: Claims,
    of_extensions: Followed,
    of_numbers: Followed,
    known: Known,
    directory: Directory,
}

/// What the documents say.
struct Known {
    seals: Seals,
    extensions: BTreeMap<ExtensionId, ExtensionFacts>,
    accounts: BTreeMap<AccountId, AccountList>,
    shares: BTreeMap<(AccountId, u8), Vec<ListedNumber>>,
    /// Said once that something can't be opened.
    warned: bool,
    /// How often the keys had changed before this reading began.
    keys: u64,
    /// The same of the reading in which something could not be opened for want of a key.
    wants_key: Option<u64>,
}

impl Follower {
    /// Reads all there is of the vault's app.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn start(vault: &Vault, claims: Claims) -> Result<(Directory, Self), StoreError> {
        let directory = Directory::fixed(claims.clone());
        let mut follower = Self {
            store: vault.store().clone(),
            claims,
            of_extensions: Followed::new(DocKind::Extension),
            of_numbers: Followed::new(DocKind::Number),
            known: Known {
                seals: Seals { keys: vault.keys().clone(), app: vault.app().into() },
                extensions: BTreeMap::new(),
                accounts: BTreeMap::new(),
                shares: BTreeMap::new(),
                warned: false,
                keys: 0,
                wants_key: None,
            },
            directory: directory.clone(),
        };
        follower.look().await?;
        Ok((directory, follower))
    }

    /// Looks for changes every `every`, until `stop`. A store that is away is asked again.
    pub async fn run(mut self, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(every)) => {}
            }
            if let Err(error) = self.look().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the directory can't be read now");
            }
        }
    }

    /// Takes over what has changed.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn look(&mut self) -> Result<(), StoreError> {
        let keys = self.known.seals.keys.clone();
        if self.known.wants_key.is_some_and(|then| keys.look() != then) {
            self.known.wants_key = None;
            self.of_extensions.begin_anew();
            self.of_numbers.begin_anew();
        }
        self.known.keys = keys.changes();
        let mut some = false;
        for (kind, followed) in [(DocKind::Extension, &mut self.of_extensions), (DocKind::Number, &mut self.of_numbers)]
        {
            some |= followed.read(&self.store, |change| self.known.take(kind, change)).await?;
        }
        if some {
            let Known { extensions, accounts, .. } = &self.known;
            let listed = self.known.listed();
            self.directory.publish(Book::new(self.claims.clone(), extensions.clone(), listed, accounts.clone()));
        }
        Ok(())
    }
}

impl Known {
    fn take(&mut self, kind: DocKind, change: Change<'_>) {
        let (name, doc) = match change {
            Change::Reset if kind == DocKind::Extension => return self.extensions.clear(),
            Change::Reset => {
                self.accounts.clear();
                return self.shares.clear();
            }
            Change::Gone(name) => (name, None),
            Change::Put(doc) => (doc.key.as_str(), Some(doc)),
        };
        let Some(key) = Key::parse(&self.seals.app, kind, name) else { return };
        let body = doc.and_then(|doc| match self.seals.open(&key, &doc.body) {
            Ok(body) => Some(body),
            Err(error) => {
                if matches!(error, OpenError::UnknownKey { .. }) {
                    self.wants_key.get_or_insert(self.keys);
                }
                self.warn(error);
                None
            }
        });
        let body = body.as_ref().map(|body| body.as_slice());
        match key {
            Key::Extension(id) => {
                let told = body.and_then(|body| record::extension(id.clone(), body));
                replace(&mut self.extensions, id, told);
            }
            Key::Account(account) => {
                let told = body.and_then(|body| record::account(account.clone(), body));
                replace(&mut self.accounts, account, told);
            }
            Key::Share { account, share } => {
                let told = body.and_then(|body| record::share(&account, body));
                replace(&mut self.shares, (account, share), told);
            }
        }
    }

    fn warn(&mut self, error: OpenError) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(%error, "some of the sender directory can't be opened; it counts as not known here");
        }
    }

    /// All numbers of all accounts. One that has changed accounts stands in both lists until the older one is read again.
    fn listed(&self) -> HashMap<PhoneNumber, ListedNumber> {
        let read_at = |account: &AccountId| self.accounts.get(account).map_or(0, |list| list.read_at);
        let mut shares: Vec<_> = self.shares.iter().collect();
        shares.sort_by_key(|((account, _), _)| read_at(account));
        shares.into_iter().flat_map(|(_, listed)| listed).map(|one| (one.number.clone(), one.clone())).collect()
    }
}

/// A document that can't be read counts as missing.
fn replace<K: Ord, V>(all: &mut BTreeMap<K, V>, key: K, told: Option<V>) {
    match told {
        Some(told) => drop(all.insert(key, told)),
        None => drop(all.remove(&key)),
    }
}
