//! How far an extension's message store was read: a document of the fleet, so that whoever reads next goes on from there.
//!
//! The token in it opens nothing without a session; it is not sealed.

use std::time::Duration;

use ringcentral::{ExtensionId, SyncToken};
use ringfleet_store::{Doc, DocKind, Expect, Millis, SharedStore, StoreError};

/// What one reading may have overlooked is found by the next one that begins anew, so long after the last.
const ANEW_MS: Millis = 6 * 3_600_000;
pub(super) const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// Another one has tokens of other kinds of messages.
const FORMAT: &str = "2";

/// Where a sync goes on.
pub(super) struct Cursor {
    pub(super) token: SyncToken,
    /// When everything was read, and when the last changes were, by the store's clock.
    began_at: Millis,
    pub(super) read_at: Millis,
}

impl Cursor {
    /// After everything was read.
    pub(super) fn new(token: SyncToken, now: Millis) -> Self {
        Self { token, began_at: now, read_at: now }
    }

    /// After the changes were read.
    pub(super) fn then(&self, token: SyncToken, now: Millis) -> Self {
        Self { token, began_at: self.began_at, read_at: now }
    }

    /// It is not yet time to begin anew.
    pub(super) fn goes_on(&self, now: Millis) -> bool {
        now - self.began_at < ANEW_MS
    }

    pub(super) async fn load(store: &SharedStore, key: &str) -> Result<Option<Self>, StoreError> {
        Ok(store.doc_get(DocKind::Progress, key).await?.as_ref().and_then(read))
    }

    pub(super) async fn save(&self, store: &SharedStore, key: &str) -> Result<(), StoreError> {
        let body = format!("{FORMAT} {} {} {}", self.began_at, self.read_at, self.token.expose());
        // Two readers at once do no harm: a change is read twice.
        let body = Some(body.as_bytes());
        store.doc_put(DocKind::Progress, key, Expect::Anything, body, Some(REMEMBERED)).await.map(drop)
    }
}

pub(super) fn key(app: &str, extension: &ExtensionId) -> String {
    format!("{app}/{extension}/messages")
}

fn read(doc: &Doc) -> Option<Cursor> {
    let mut parts = std::str::from_utf8(&doc.body).ok()?.splitn(4, ' ');
    let ours = parts.next() == Some(FORMAT);
    let began_at = parts.next()?.parse().ok().filter(|_| ours)?;
    let read_at = parts.next()?.parse().ok()?;
    Some(Cursor { token: SyncToken::try_new(parts.next()?).ok()?, began_at, read_at })
}
