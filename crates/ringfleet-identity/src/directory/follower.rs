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
    record::{self, Key},
};
use crate::follow::{Change, Followed};

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
    app: Arc<str>,
    claims: Claims,
    of_extensions: Followed,
    of_numbers: Followed,
    extensions: BTreeMap<ExtensionId, ExtensionFacts>,
    listed: HashMap<PhoneNumber, ListedNumber>,
    accounts: BTreeMap<AccountId, AccountList>,
    directory: Directory,
}

impl Follower {
    /// Reads all there is of this app.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn start(store: SharedStore, app: &str, claims: Claims) -> Result<(Directory, Self), StoreError> {
        let directory = Directory::fixed(claims.clone());
        let mut follower = Self {
            store,
            app: app.into(),
            claims,
            of_extensions: Followed::new(DocKind::Extension),
            of_numbers: Followed::new(DocKind::Number),
            extensions: BTreeMap::new(),
            listed: HashMap::new(),
            accounts: BTreeMap::new(),
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
                () = tokio::time::sleep(every.mul_f64(rand::random_range(0.7..=1.3))) => {}
            }
            if let Err(error) = self.look().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the directory can't be read now");
            }
        }
    }

    /// Takes over what has changed.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (app, extensions) = (&*self.app, &mut self.extensions);
        let some = self.of_extensions.read(&self.store, |change| match change {
            Change::Reset => extensions.clear(),
            Change::Gone(key) => {
                if let Some(Key::Extension(id)) = Key::parse(app, DocKind::Extension, key) {
                    extensions.remove(&id);
                }
            }
            Change::Put(doc) => {
                if let Some(Key::Extension(id)) = Key::parse(app, DocKind::Extension, &doc.key) {
                    replace(extensions, id.clone(), record::extension(id, &doc.body));
                }
            }
        });
        let some = some.await?;
        let (listed, accounts) = (&mut self.listed, &mut self.accounts);
        let more = self.of_numbers.read(&self.store, |change| match change {
            Change::Reset => {
                listed.clear();
                accounts.clear();
            }
            Change::Gone(key) => match Key::parse(app, DocKind::Number, key) {
                Some(Key::Number(number)) => drop(listed.remove(&number)),
                Some(Key::Account(account)) => drop(accounts.remove(&account)),
                _ => {}
            },
            Change::Put(doc) => match Key::parse(app, DocKind::Number, &doc.key) {
                Some(Key::Number(number)) => {
                    let told = record::number(number.clone(), &doc.body);
                    match told {
                        Some(told) => drop(listed.insert(number, told)),
                        None => drop(listed.remove(&number)),
                    }
                }
                Some(Key::Account(account)) => {
                    replace(accounts, account.clone(), record::account(account, &doc.body));
                }
                _ => {}
            },
        });
        if more.await? || some {
            let (extensions, listed) = (self.extensions.clone(), self.listed.clone());
            self.directory.publish(Book::new(self.claims.clone(), extensions, listed, self.accounts.clone()));
        }
        Ok(())
    }
}

/// A document that can't be read counts as missing.
fn replace<K: Ord, V>(all: &mut BTreeMap<K, V>, key: K, told: Option<V>) {
    match told {
        Some(told) => drop(all.insert(key, told)),
        None => drop(all.remove(&key)),
    }
}
