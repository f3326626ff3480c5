//! The fleet's credentials in its store: put in, changed by compare-and-set, taken out.

use std::sync::Arc;

use ringcentral::ExtensionId;
use ringfleet_store::{Doc, DocCursor, DocKind, Expect, Put, SharedStore, StoreError};

use crate::{
    credential::{Credential, Facts, Method, Source},
    key::KeyId,
    record::{self, Record, RecordError},
    seal::KeyRing,
};

/// Documents read at once.
const PAGE: u32 = 200;
/// Tries of a change that others make at the same time.
const TRIES: u32 = 16;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error(
        "credentials can't be kept without a key of their own: make one with `ringfleet credentials new-key`, put it in a \
         file that only the fleet can read, and name that in identity.key_file"
    )]
    NoKey,
    #[error("credential {method} of extension {extension} can't be used: {source}")]
    Record {
        extension: ExtensionId,
        method: Method,
        #[source]
        source: RecordError,
    },
    #[error("credential {method} of extension {extension} is being changed by others; try again")]
    Busy { extension: ExtensionId, method: Method },
    #[error("the store did not take or give a credential")]
    Store(#[from] StoreError),
}

/// What became of a credential that was put in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    Added,
    /// There was one of this method before, another one.
    Replaced,
    /// The same one was there.
    Same,
}

/// A credential as it lies in the store, whether or not this process can open it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub extension: ExtensionId,
    pub method: Method,
    pub opened: Result<Credential, RecordError>,
    /// The key that it is sealed with, if the record can be read.
    pub key: Option<KeyId>,
}

/// How far a change of keys has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resealed {
    pub resealed: u32,
    /// Sealed with the current key already.
    pub current: u32,
    /// Can't be opened with any key of this process.
    pub unreadable: u32,
}

/// The credentials of one app. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    store: SharedStore,
    keys: Arc<KeyRing>,
    app: Arc<str>,
}

impl Vault {
    pub fn new(store: SharedStore, keys: Arc<KeyRing>, app: &str) -> Self {
        Self { store, keys, app: app.into() }
    }

    pub fn app(&self) -> &str {
        &self.app
    }

    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// Keeps a credential in the place of the one of its method, if there is one. Running processes see it within a second
    /// or two ([`Roster`](crate::Roster)).
    ///
    /// # Errors
    /// [`VaultError::NoKey`] when the fleet has no key of its own; [`VaultError::Store`].
    pub async fn put(&self, credential: &Credential) -> Result<Stored, VaultError> {
        let method = credential.login.method();
        let any = crate::AppPrint::of("", "");
        for _ in 0..TRIES {
            let known = self.doc(&credential.extension, method).await?;
            let opened = known.as_ref().map(|doc| self.open(credential.extension.clone(), doc));
            let mut new = credential.clone();
            let stored = match &opened {
                None => Stored::Added,
                Some(Ok(old)) if old.login.print(&any) == new.login.print(&any) => {
                    // A connection's refresh token may be newer here than where the credential was brought in from: a token
                    // that was used before would end the connection.
                    new.login = old.login.clone();
                    // What is known of it is true of it still.
                    new.facts = Facts { ends_at: new.facts.ends_at.or(old.facts.ends_at), ..old.facts.clone() };
                    Stored::Same
                }
                Some(_) => Stored::Replaced,
            };
            let expect = known.as_ref().map_or(Expect::Absent, |doc| Expect::Rev(doc.rev));
            if self.write(&new, expect).await? {
                return Ok(stored);
            }
        }
        Err(VaultError::Busy { extension: credential.extension.clone(), method })
    }

    /// # Errors
    /// [`VaultError::Record`] if it is there and can't be opened; [`VaultError::Store`].
    pub async fn get(&self, extension: &ExtensionId, method: Method) -> Result<Option<Credential>, VaultError> {
        let Some(doc) = self.doc(extension, method).await? else { return Ok(None) };
        let opened = self.open(extension.clone(), &doc);
        opened.map(Some).map_err(|source| VaultError::Record { extension: extension.clone(), method, source })
    }

    /// Changes a credential that is there; `change` says whether there is anything to write, and may be called again when
    /// somebody else was quicker. Gives it back as it is then; `None` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`VaultError::Busy`].
    pub async fn change(
        &self,
        extension: &ExtensionId,
        method: Method,
        mut change: impl FnMut(&mut Credential) -> bool,
    ) -> Result<Option<Credential>, VaultError> {
        for _ in 0..TRIES {
            let Some(mut credential) = self.get(extension, method).await? else { return Ok(None) };
            let Source::Store { rev } = credential.source else { return Ok(None) };
            if !change(&mut credential) || self.write(&credential, Expect::Rev(rev)).await? {
                return Ok(Some(credential));
            }
        }
        Err(VaultError::Busy { extension: extension.clone(), method })
    }

    /// Whether a credential of the extension is kept and switched on, whoever can open it.
    pub(crate) async fn holds_enabled(&self, extension: &ExtensionId) -> Result<bool, StoreError> {
        for method in Method::ALL {
            let doc = self.doc(extension, method).await?;
            if doc.is_some_and(|doc| Record::read(&doc.body).is_ok_and(|record| record.enabled)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `false` if there was none.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn remove(&self, extension: &ExtensionId, method: Method) -> Result<bool, VaultError> {
        let key = record::key_of(&self.app, extension.as_str(), method);
        if self.store.doc_get(DocKind::Credential, &key).await?.is_none() {
            return Ok(false);
        }
        self.store.doc_put(DocKind::Credential, &key, Expect::Anything, None, None).await?;
        Ok(true)
    }

    /// All credentials of the app, by extension.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub async fn all(&self) -> Result<Vec<Kept>, VaultError> {
        let mut kept = Vec::new();
        let mut cursor = DocCursor::default();
        loop {
            let page = self.store.docs_since(DocKind::Credential, &cursor, PAGE).await?;
            if page.reset {
                kept.clear();
            }
            kept.extend(page.changed.iter().filter_map(|doc| self.kept(doc)));
            cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        kept.sort_by(|a, b| (&a.extension, a.method).cmp(&(&b.extension, b.method)));
        // One that changed while it was read is listed twice, the newer one last.
        kept.reverse();
        kept.dedup_by(|later, first| (&later.extension, later.method) == (&first.extension, first.method));
        kept.reverse();
        Ok(kept)
    }

    /// Seals everything with the current key that is sealed with another one. Safe beside a running fleet, as long as all its
    /// processes know the current key. `done` is told of each.
    ///
    /// # Errors
    /// [`VaultError::NoKey`], [`VaultError::Store`].
    pub async fn reseal(&self, mut done: impl FnMut(Resealed)) -> Result<Resealed, VaultError> {
        let mut count = Resealed::default();
        for kept in self.all().await? {
            match kept.opened {
                Err(_) => count.unreadable += 1,
                Ok(_) if kept.key == self.keys.current() => count.current += 1,
                // Written again as it is: sealing takes the current key.
                Ok(_) => {
                    let written = self.change(&kept.extension, kept.method, |_| true).await?;
                    count.resealed += u32::from(written.is_some());
                }
            }
            done(count);
        }
        Ok(count)
    }

    /// A document of this app; `None` for one of another app, or with a name that is not ours.
    pub(crate) fn kept(&self, doc: &Doc) -> Option<Kept> {
        let (app, extension, method) = record::parts_of(&doc.key)?;
        if app != &*self.app {
            return None;
        }
        let key = Record::read(&doc.body).ok().and_then(|record| KeyRing::sealed_with(&record.sealed_bytes()));
        Some(Kept { opened: self.open(extension.clone(), doc), extension, method, key })
    }

    fn open(&self, extension: ExtensionId, doc: &Doc) -> Result<Credential, RecordError> {
        record::open(&self.keys, &self.app, extension, doc)
    }

    async fn doc(&self, extension: &ExtensionId, method: Method) -> Result<Option<Doc>, StoreError> {
        let key = record::key_of(&self.app, extension.as_str(), method);
        self.store.doc_get(DocKind::Credential, &key).await
    }

    /// `false` when another one is there than was expected.
    async fn write(&self, credential: &Credential, expect: Expect) -> Result<bool, VaultError> {
        if self.keys.is_makeshift() {
            return Err(VaultError::NoKey);
        }
        let key = record::key_of(&self.app, credential.extension.as_str(), credential.login.method());
        let body = Record::seal(&self.keys, &self.app, credential).body();
        let put = self.store.doc_put(DocKind::Credential, &key, expect, Some(&body), None).await?;
        Ok(matches!(put, Put::Stored(_)))
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("app", &self.app).field("keys", &self.keys).finish_non_exhaustive()
    }
}
