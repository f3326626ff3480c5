//! Which secret belongs to which extension: the fleet's subscriptions as this process knows them.
//!
//! All of them are kept here and what has changed is asked for, instead of each as it is called: strangers can name any number of
//! extensions. So they cost a few questions a second, and however many they are, the provider is heard.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ringcentral::ExtensionId;
use ringfleet_identity::Vault;
use ringfleet_store::{DocCursor, DocKind, StoreError};
use tokio::time::Instant;

use super::record::{PAGE, Record};
use crate::metrics;

/// Between two questions to the store. A secret lies there before the provider is asked for its subscription, which takes longer.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Known {
    vault: Vault,
    secrets: Mutex<HashMap<ExtensionId, Arc<str>>>,
    read: tokio::sync::Mutex<Read>,
}

/// How far the store was read.
#[derive(Default)]
struct Read {
    cursor: DocCursor,
    tried: Option<Instant>,
    /// The last try came to its end.
    whole: bool,
    /// How often the keys had changed when one was wanting.
    wants_key: Option<u64>,
}

impl Known {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault, secrets: Mutex::default(), read: tokio::sync::Mutex::default() }
    }

    /// What events of the extension's subscription must carry; `None` if the fleet has none, as far as is known here.
    pub(super) fn secret(&self, extension: &ExtensionId) -> Option<Arc<str>> {
        // The map is whole at every step.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(extension).cloned()
    }

    /// Asks for what is new, but if that was done just now. `false`: the store did not answer. Cancel-safe.
    pub(super) async fn look_again(&self) -> bool {
        let mut read = self.read.lock().await;
        if read.tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return read.whole;
        }
        // Also of one that is cancelled.
        (read.tried, read.whole) = (Some(Instant::now()), false);
        match self.read_on(&mut read).await {
            Ok(()) => read.whole = true,
            Err(error) => metrics::store_error("webhook", &error),
        }
        read.whole
    }

    async fn read_on(&self, read: &mut Read) -> Result<(), StoreError> {
        let keys = self.vault.keys();
        if read.wants_key.is_some_and(|then| keys.look() != then) {
            (read.wants_key, read.cursor) = (None, DocCursor::default());
        }
        let changes = keys.changes();
        loop {
            let page = self.vault.store().docs_since(DocKind::Subscription, &read.cursor, PAGE).await?;
            let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            if page.reset {
                secrets.clear();
            }
            for extension in page.removed.iter().filter_map(|key| self.extension(key)) {
                secrets.remove(&extension);
            }
            for doc in &page.changed {
                let Some(extension) = self.extension(&doc.key) else { continue };
                match Record::open(&self.vault, &doc.key, &doc.body) {
                    Some(record) => drop(secrets.insert(extension, record.secret.expose().into())),
                    // Its secret is mostly the one of before, until the key has come.
                    None => drop(read.wants_key.get_or_insert(changes)),
                }
            }
            read.cursor = page.cursor;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Of this app's subscriptions.
    fn extension(&self, key: &str) -> Option<ExtensionId> {
        ExtensionId::try_new(key.strip_prefix(self.vault.app())?.strip_prefix('/')?).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
mod tests {
    use ringcentral::VerificationToken;
    use ringfleet_identity::{KeyRing, new_key};
    use ringfleet_store::sqlite::SqliteOptions;
    use ringfleet_testkit::eventually;

    use super::*;
    use crate::tests::rig::{PATIENCE, sqlite};

    /// With its name as the secret.
    async fn subscribe(vault: &Vault, extension: &ExtensionId) {
        let secret = VerificationToken::try_new(extension.as_str()).unwrap();
        let record = Record { id: None, secret, wants: String::new(), renew_at: 0 };
        record.save(vault, extension).await.unwrap();
    }

    #[tokio::test]
    async fn a_subscription_that_was_sealed_with_another_key_is_known_when_that_key_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = (sqlite(folder.path(), SqliteOptions::default()).await, folder.path().join("key"));
        let (own, other) = (new_key(), new_key());
        std::fs::write(&file, &*own).unwrap();
        let here = Vault::new(store.clone(), Arc::new(KeyRing::from_file(file.clone()).unwrap()), "main");
        let there = Vault::new(store, Arc::new(KeyRing::from_text(&other).unwrap()), "main");
        let extension = ExtensionId::try_new("101").unwrap();
        subscribe(&there, &extension).await;
        let known = Known::new(here);
        assert!(known.look_again().await);
        assert_eq!(known.secret(&extension), None);
        eventually(PATIENCE, async || {
            // Written anew each time, because a file's time may not show two changes of one moment.
            std::fs::write(&file, format!("{}\n{}\n", *own, *other)).unwrap();
            known.look_again().await && known.secret(&extension).is_some()
        })
        .await;
    }

    #[tokio::test]
    async fn strangers_cost_the_store_few_questions_and_push_no_subscription_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let vault = Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
        let [first, second, strange] = ["101", "102", "999"].map(|id| ExtensionId::try_new(id).unwrap());
        let subscribe = async |extension: &ExtensionId| subscribe(&vault, extension).await;
        let known = Known::new(vault.clone());
        subscribe(&first).await;
        assert!(known.look_again().await);
        assert_eq!(known.secret(&first).as_deref(), Some("101"));
        // The last question is never long ago.
        let last = async |tried| known.read.lock().await.tried = tried;
        last(Some(Instant::now() + Duration::from_secs(3_600))).await;
        subscribe(&second).await;
        for _ in 0..100 {
            assert!(known.look_again().await);
            assert_eq!((known.secret(&strange), known.secret(&second)), (None, None), "the store was asked");
        }
        assert_eq!(known.secret(&first).as_deref(), Some("101"));
        last(None).await;
        assert!(known.look_again().await);
        assert_eq!(known.secret(&second).as_deref(), Some("102"));
        assert_eq!(known.secrets.lock().unwrap().len(), 2, "strangers fill what is remembered");
    }
}
