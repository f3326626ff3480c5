//! Documents of one kind, followed as they change in the store.

use ringfleet_store::{Doc, DocCursor, DocKind, SharedStore, StoreError};

/// Documents read at once.
const PAGE: u32 = 500;

/// One thing that has changed.
pub(crate) enum Change<'a> {
    /// All that was told before is void.
    Reset,
    Put(&'a Doc),
    Gone(&'a str),
}

/// How far a process has followed one kind.
pub(crate) struct Followed {
    kind: DocKind,
    cursor: DocCursor,
    /// Something was told since the last reading that came to its end.
    changed: bool,
}

impl Followed {
    pub(crate) fn new(kind: DocKind) -> Self {
        Self { kind, cursor: DocCursor::default(), changed: false }
    }

    /// The next reading tells of all there is once more, for what could not be understood before.
    pub(crate) fn begin_anew(&mut self) {
        self.cursor = DocCursor::default();
    }

    /// Tells all that has changed. `true` if there was anything, in this reading or in earlier ones that failed half way:
    /// only after a whole reading do the copies make sense.
    pub(crate) async fn read(
        &mut self,
        store: &SharedStore,
        mut told: impl FnMut(Change<'_>),
    ) -> Result<bool, StoreError> {
        loop {
            let page = store.docs_since(self.kind, &self.cursor, PAGE).await?;
            self.changed |= page.reset || !page.changed.is_empty() || !page.removed.is_empty();
            if page.reset {
                told(Change::Reset);
            }
            page.removed.iter().for_each(|key| told(Change::Gone(key)));
            page.changed.iter().for_each(|doc| told(Change::Put(doc)));
            self.cursor = page.cursor;
            if !page.more {
                return Ok(std::mem::take(&mut self.changed));
            }
        }
    }
}
