//! How far an extension's message store was read: a document of the fleet, so that whoever reads next goes on from there.
//!
//! The token in it opens nothing without a session; it is not sealed.

use std::time::Duration;

use ringcentral::{ExtensionId, SyncToken};
use ringfleet_store::{Doc, DocKind, Expect, Millis, SharedStore, StoreError};

/// What one reading may have overlooked is found by the next one that begins anew, so long after the last.
const ANEW_MS: Millis = 6 * 3_600_000;
/// Longer than anybody's absence: who said STOP in it is heard at the first reading after it.
pub(super) const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);
/// Another one has tokens of other kinds of messages.
const FORMAT: &str = "2";

/// Where a sync goes on.
pub(super) struct Cursor {
    pub(super) token: SyncToken,
    /// When everything that a report may tell of was last read, and when the last changes were, by the store's clock.
    began_at: Millis,
    pub(super) read_at: Millis,
}

impl Cursor {
    /// After a reading that began anew; `all`: it went back to the oldest text that waits for its report. One that did not may
    /// have passed reports over, which no later sync tells once more, so the next look for reports begins anew too.
    pub(super) fn new(token: SyncToken, now: Millis, all: bool) -> Self {
        Self { token, began_at: if all { now } else { 0 }, read_at: now }
    }

    /// After the changes were read.
    pub(super) fn then(&self, token: SyncToken, now: Millis) -> Self {
        Self { token, began_at: self.began_at, read_at: now }
    }

    /// It is not yet time to begin anew. Only a look for reports may do so: it alone knows how far back to read.
    pub(super) fn goes_on(&self, now: Millis, for_reports: bool) -> bool {
        !for_reports || now - self.began_at < ANEW_MS
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_767_323_045_678;

    fn cursor(all: bool) -> Cursor {
        Cursor::new(SyncToken::try_new("token").unwrap_or_else(|error| panic!("{error}")), NOW, all)
    }

    #[test]
    fn only_a_look_for_reports_begins_anew_and_so_does_the_first_one_after_another_has() {
        let late = NOW + ANEW_MS;
        assert!(cursor(true).goes_on(late - 1, true) && !cursor(true).goes_on(late, true));
        assert!(cursor(true).goes_on(late, false), "a poll must not use the beginning anew up");
        assert!(cursor(false).goes_on(NOW, false) && !cursor(false).goes_on(NOW, true));
    }
}
