//! Writing down what was learnt.

use std::{collections::HashMap, sync::Arc};

use futures::{TryStreamExt, stream};
use ringcentral::{AccountId, ExtensionId, PhoneNumber};
use ringfleet_store::{Doc, DocKind, Expect, Millis, Put, SharedStore, StoreError};

use super::{
    book::Book,
    facts::{AccountList, ExtensionFacts, ListedNumber},
    record::{self, Key},
};

/// Tries of a change that others make at the same time.
const TRIES: u32 = 16;
/// Numbers of a list that are written at once.
const AT_ONCE: usize = 8;

/// The directory's documents of one app. Cheap to clone.
#[derive(Clone)]
pub struct Register {
    store: SharedStore,
    app: Arc<str>,
}

/// What a reading of an account's list has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListChanges {
    pub written: usize,
    pub removed: usize,
}

impl Register {
    pub fn new(store: SharedStore, app: &str) -> Self {
        Self { store, app: app.into() }
    }

    pub fn app(&self) -> &str {
        &self.app
    }

    /// Asks for an extension to be read again, soon.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask(&self, extension: &ExtensionId) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        self.change_extension(extension, |facts| later(&mut facts.asked_at, now)).await
    }

    /// Asks for an account's list to be read again, soon.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask_account(&self, account: &AccountId) -> Result<(), StoreError> {
        let now = self.store.now().await?;
        self.change_account(account, |list| later(&mut list.asked_at, now)).await
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
        self.change(DocKind::Extension, &key, |doc| {
            let known = doc.and_then(|doc| record::extension(extension.clone(), &doc.body));
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
        self.change(DocKind::Number, &key, |doc| {
            let known = doc.and_then(|doc| record::account(account.clone(), &doc.body));
            let mut list = known.unwrap_or_else(|| AccountList::unread(account.clone()));
            change(&mut list).then(|| list.body())
        })
        .await
    }

    /// Takes over an account's list that was read to its end: what is new or other than in `before` is written, what is not
    /// listed any more goes.
    ///
    /// # Errors
    /// [`StoreError`]; some of it may be written then, and the next reading mends it.
    pub async fn take_list(
        &self,
        account: &AccountId,
        list: &HashMap<PhoneNumber, ListedNumber>,
        before: &Book,
    ) -> Result<ListChanges, StoreError> {
        let changed = list.values().filter(|listed| before.listed_number(&listed.number) != Some(listed));
        let puts = changed.map(|listed| (listed.number.clone(), Some(listed.body())));
        let gone = before.listed().filter(|old| old.account == *account && !list.contains_key(&old.number));
        let gone = gone.map(|old| (old.number.clone(), None));
        let all: Vec<(PhoneNumber, Option<Vec<u8>>)> = puts.chain(gone).collect();
        let removed = all.iter().filter(|(_, body)| body.is_none()).count();
        let written = all.len() - removed;
        stream::iter(all.into_iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |(number, body)| async move {
                let key = Key::Number(number).of(&self.app);
                self.store.doc_put(DocKind::Number, &key, Expect::Anything, body.as_deref(), None).await.map(drop)
            })
            .await?;
        Ok(ListChanges { written, removed })
    }

    async fn change(
        &self,
        kind: DocKind,
        key: &Key,
        mut change: impl FnMut(Option<&Doc>) -> Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let key = key.of(&self.app);
        let mut doc = self.store.doc_get(kind, &key).await?;
        for _ in 0..TRIES {
            let Some(body) = change(doc.as_ref()) else { return Ok(()) };
            let expect = doc.as_ref().map_or(Expect::Absent, |doc| Expect::Rev(doc.rev));
            match self.store.doc_put(kind, &key, expect, Some(&body), None).await? {
                Put::Stored(_) => return Ok(()),
                Put::Conflict(now) => doc = now,
            }
        }
        Err(StoreError::Refused { call: "doc_put", reason: "others change it all the time; try again".to_owned() })
    }
}

fn later(asked_at: &mut Millis, now: Millis) -> bool {
    let asks = now > *asked_at;
    *asked_at = now.max(*asked_at);
    asks
}
