//! Which process of the fleet reads: one at a time, by a document that ends by itself.

use std::time::{Duration, Instant};

use ringfleet_store::{DocKind, Expect, Put, SharedStore, StoreError};

/// Another process goes on after this time when the one that reads has died.
const LEASE: Duration = Duration::from_secs(30);
/// Asked for again this often: by the one who has it, and by the others.
const BEAT: Duration = Duration::from_secs(10);

/// The right to read, wanted or had.
///
/// Two processes may have it for a moment, when one was frozen: then something is read twice, which costs a few requests of
/// Light, each in its turn.
pub struct Lead {
    store: SharedStore,
    key: String,
    holder: String,
    /// Revision of our document, and when it was written.
    held: Option<(u64, Instant)>,
    asked: Option<Instant>,
}

impl Lead {
    /// `what` is read, under this name among those that read the same; `holder` tells this process from the others.
    pub fn new(store: SharedStore, app: &str, what: &str, holder: &str) -> Self {
        Self { store, key: format!("{app}/{what}"), holder: holder.to_owned(), held: None, asked: None }
    }

    /// Whether this process is the one that reads. Asks the store no more often than needed.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked: nobody knows then.
    pub async fn have(&mut self) -> Result<bool, StoreError> {
        if self.asked.is_some_and(|asked| asked.elapsed() < BEAT) {
            return Ok(self.is_held());
        }
        self.asked = Some(Instant::now());
        let expect = self.held.map_or(Expect::Absent, |(rev, _)| Expect::Rev(rev));
        let began = Instant::now();
        let body = Some(self.holder.as_bytes());
        self.held = match self.store.doc_put(DocKind::Progress, &self.key, expect, body, Some(LEASE)).await? {
            Put::Stored(rev) => Some((rev, began)),
            // Our own, when the answer to an earlier call was lost: asked for again at once, since it may end sooner.
            Put::Conflict(Some(doc)) if doc.body == self.holder.as_bytes() => {
                self.asked = None;
                Some((doc.rev, began))
            }
            Put::Conflict(_) => None,
        };
        Ok(self.is_held())
    }

    fn is_held(&self) -> bool {
        self.held.is_some_and(|(_, since)| since.elapsed() < LEASE)
    }

    /// Lets another process go on at once.
    pub async fn leave(&mut self) {
        let Some((rev, _)) = self.held.take() else { return };
        let _ = self.store.doc_put(DocKind::Progress, &self.key, Expect::Rev(rev), None, None).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ringfleet_store::sqlite::{SqliteOptions, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn one_process_reads_until_it_leaves_or_dies() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("fleet.db"), SqliteOptions::default()).await.unwrap();
        let store: SharedStore = Arc::new(store);
        let lead = |name| Lead::new(store.clone(), "main", "directory", name);
        let (mut first, mut second, mut other_app) =
            (lead("a"), lead("b"), Lead::new(store.clone(), "other", "directory", "c"));
        assert!(first.have().await.unwrap());
        assert!(!second.have().await.unwrap() && other_app.have().await.unwrap());
        second.asked = None;
        assert!(!second.have().await.unwrap(), "asked again");
        first.asked = None;
        assert!(first.have().await.unwrap(), "kept");

        // An answer that was lost leaves a document that its holder does not know of.
        first.held = None;
        first.asked = None;
        assert!(first.have().await.unwrap());
        // A process that stood still longer than its lease reads no more, whatever the store says.
        first.held = first.held.map(|(rev, _)| (rev, Instant::now() - LEASE));
        assert!(!first.is_held());
        first.leave().await;
        second.asked = None;
        assert!(second.have().await.unwrap());
    }
}
