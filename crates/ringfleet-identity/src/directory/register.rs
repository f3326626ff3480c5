//! Writing down what was learnt.

use std::collections::{BTreeMap, HashMap};

use futures::{TryStreamExt, stream};
use ringcentral::{AccountId, ExtensionId, PhoneNumber};
use ringfleet_store::{DocKind, Expect, Millis, Put, SharedStore, StoreError};

use super::{
    book::Book,
    facts::{AccountList, ExtensionFacts, ListedNumber},
    record::{self, Key, Seals},
};
use crate::{
    follow::{Change, Followed},
    seal::KeyRing,
    vault::Vault,
};

/// Tries of a change that others make at the same time.
const TRIES: u32 = 16;
/// Shares of a list that are written at once.
const AT_ONCE: usize = 8;

/// The directory's documents of one app. Cheap to clone.
#[derive(Clone)]
pub struct Register {
    store: SharedStore,
    seals: Seals,
}

impl Register {
    /// Of the vault's app and store, sealed with its keys.
    pub fn new(vault: &Vault) -> Self {
        let seals = Seals { keys: vault.keys().clone(), app: vault.app().into() };
        Self { store: vault.store().clone(), seals }
    }

    /// Asks for an extension to be read again, soon. One that was never read, as far as can be seen here, is due anyway.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask(&self, extension: &ExtensionId) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        self.change_extension(extension, |facts| facts.tried_at() > 0 && later(&mut facts.asked_at, now)).await
    }

    /// Asks for an account's list to be read again, soon.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask_account(&self, account: &AccountId) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        self.change_account(account, |list| list.tried_at() > 0 && later(&mut list.asked_at, now)).await
    }

    /// Changes what is known of an extension, made from nothing if need be; `change` says whether there is anything to
    /// write, and is called again when somebody else was quicker.
    ///
    /// # Errors
    /// [`StoreError`]; `Refused` when others never let go of it.
    pub async fn change_extension(
        &self,
        extension: &ExtensionId,
        mut change: impl FnMut(&mut ExtensionFacts) -> bool,
    ) -> Result<(), StoreError> {
        let key = Key::Extension(extension.clone());
        self.change(DocKind::Extension, &key, |body| {
            let known = body.and_then(|body| record::extension(extension.clone(), body));
            let mut facts = known.unwrap_or_else(|| ExtensionFacts::unread(extension.clone()));
            change(&mut facts).then(|| facts.body())
        })
        .await
    }

    /// The same for an account's list as a whole.
    ///
    /// # Errors
    /// As [`change_extension`](Self::change_extension).
    pub async fn change_account(
        &self,
        account: &AccountId,
        mut change: impl FnMut(&mut AccountList) -> bool,
    ) -> Result<(), StoreError> {
        let key = Key::Account(account.clone());
        self.change(DocKind::Number, &key, |body| {
            let known = body.and_then(|body| record::account(account.clone(), body));
            let mut list = known.unwrap_or_else(|| AccountList::unread(account.clone()));
            change(&mut list).then(|| list.body())
        })
        .await
    }

    /// Takes over an account's list that was read to its end: shares of it that are other than in `before` are written.
    /// Tells how many.
    ///
    /// # Errors
    /// [`StoreError`]; some of it may be written then, and the next reading mends it.
    pub async fn take_list(
        &self,
        account: &AccountId,
        list: &HashMap<PhoneNumber, ListedNumber>,
        before: &Book,
    ) -> Result<usize, StoreError> {
        let now = shares(list.values());
        let known = shares(before.listed().filter(|listed| listed.account == *account));
        let changed: Vec<u8> = (0..=u8::MAX).filter(|share| now.get(share) != known.get(share)).collect();
        stream::iter(changed.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |share| {
                let key = Key::Share { account: account.clone(), share: *share };
                let body = now.get(share).map(|listed| self.seals.seal(&key, &record::share_body(listed)));
                async move {
                    let key = key.of(&self.seals.app);
                    self.store.doc_put(DocKind::Number, &key, Expect::Anything, body.as_deref(), None).await.map(drop)
                }
            })
            .await?;
        Ok(changed.len())
    }

    /// Seals with the current key what is sealed with another one of this process's. What it can't open is told by the
    /// provider anew. Tells how many documents were sealed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reseal(&self) -> Result<u32, StoreError> {
        let mut sealed = 0;
        for kind in [DocKind::Extension, DocKind::Number] {
            let mut docs = BTreeMap::new();
            let mut followed = Followed::new(kind);
            let all = followed.read(&self.store, |change| match change {
                Change::Reset => docs.clear(),
                Change::Gone(key) => drop(docs.remove(key)),
                Change::Put(doc) => drop(docs.insert(doc.key.clone(), doc.clone())),
            });
            all.await?;
            for (name, doc) in docs {
                let Some(key) = Key::parse(&self.seals.app, kind, &name) else { continue };
                if KeyRing::sealed_with(&doc.body) == self.seals.keys.current() {
                    continue;
                }
                let Ok(plain) = self.seals.open(&key, &doc.body) else { continue };
                // Who was quicker has sealed what is newer.
                let body = self.seals.seal(&key, &plain);
                let put = self.store.doc_put(kind, &name, Expect::Rev(doc.rev), Some(&body), None).await?;
                sealed += u32::from(matches!(put, Put::Stored(_)));
            }
        }
        Ok(sealed)
    }

    async fn change(
        &self,
        kind: DocKind,
        key: &Key,
        mut change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let name = key.of(&self.seals.app);
        let mut doc = self.store.doc_get(kind, &name).await?;
        for _ in 0..TRIES {
            let known = doc.as_ref().and_then(|doc| self.seals.open(key, &doc.body).ok());
            let Some(body) = change(known.as_ref().map(|plain| plain.as_slice())) else { return Ok(()) };
            let body = self.seals.seal(key, &body);
            let expect = doc.as_ref().map_or(Expect::Absent, |doc| Expect::Rev(doc.rev));
            match self.store.doc_put(kind, &name, expect, Some(&body), None).await? {
                Put::Stored(_) => return Ok(()),
                Put::Conflict(now) => doc = now,
            }
        }
        Err(StoreError::Refused { call: "doc_put", reason: "others change it all the time; try again".to_owned() })
    }
}

/// Numbers by the share that they are in, in order, so that two readings can be compared.
fn shares<'a>(listed: impl Iterator<Item = &'a ListedNumber>) -> BTreeMap<u8, Vec<&'a ListedNumber>> {
    let mut shares: BTreeMap<u8, Vec<&ListedNumber>> = BTreeMap::new();
    for listed in listed {
        shares.entry(record::share_of(&listed.number)).or_default().push(listed);
    }
    shares.values_mut().for_each(|share| share.sort_unstable_by(|a, b| a.number.cmp(&b.number)));
    shares
}

fn later(asked_at: &mut Millis, now: Millis) -> bool {
    let asks = now > *asked_at;
    *asked_at = now.max(*asked_at);
    asks
}
