//! What came in at the fleet's extensions, for people to see: texts, voicemails, calls that nobody took.
//!
//! A document for each, sealed, and gone by itself after a while. Its key names the extension and the provider's id, so that what
//! is read twice is kept once.

use std::time::Duration;

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_identity::{KeyRing, Purpose, Vault};
use ringfleet_store::{Doc, DocCursor, DocKind, Expect, Millis, Private, Put, StoreError};
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;
/// Documents read at once.
const PAGE: u32 = 500;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InboundKind {
    Text,
    Voicemail,
    MissedCall,
}

impl InboundKind {
    pub fn as_str(self) -> &'static str {
        match self {
            InboundKind::Text => "text",
            InboundKind::Voicemail => "voicemail",
            InboundKind::MissedCall => "missed-call",
        }
    }
}

/// Something that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inbound {
    pub extension: ExtensionId,
    pub kind: InboundKind,
    /// By the provider's clock.
    pub at: Millis,
    /// `None`: withheld, or no number in E.164, such as a short code.
    pub from: Option<PhoneNumber>,
    /// The extension's own number.
    pub to: Option<PhoneNumber>,
    /// Of a text.
    pub text: Option<Private>,
}

/// All that is kept, the last first.
#[derive(Debug, Default)]
pub struct InboundList {
    pub inbound: Vec<Inbound>,
    /// So many more can't be opened with this process's keys.
    pub unreadable: usize,
}

#[derive(Serialize, Deserialize)]
struct Body {
    v: u8,
    kind: InboundKind,
    at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<PhoneNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<PhoneNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Keeps what came in. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    vault: Vault,
}

impl Inbox {
    pub fn new(vault: &Vault) -> Self {
        Self { vault: vault.clone() }
    }

    /// Keeps one for `keep`; `false` if it is there already. `id` is the provider's, unique within its kind and extension.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't take it.
    pub(crate) async fn put(&self, inbound: &Inbound, id: &str, keep: Duration) -> Result<bool, StoreError> {
        let Inbound { extension, kind, at, from, to, text } = inbound;
        let key = format!("{}/{extension}/{}/{id}", self.vault.app(), kind.as_str());
        let text = text.as_ref().map(|text| text.expose().to_owned());
        let body = Body { v: FORMAT, kind: *kind, at: *at, from: from.clone(), to: to.clone(), text };
        let plain = serde_json::to_vec(&body).unwrap_or_default();
        let sealed = self.vault.keys().seal(Purpose::Inbound { key: &key }, &plain);
        let put = self.vault.store().doc_put(DocKind::Inbound, &key, Expect::Absent, Some(&sealed), Some(keep)).await?;
        Ok(matches!(put, Put::Stored(_)))
    }

    /// Everything that is kept of the vault's app.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn list(&self) -> Result<InboundList, StoreError> {
        let opened = self.all(|doc| self.open(doc)).await?;
        let total = opened.len();
        let mut inbound: Vec<Inbound> = opened.into_iter().flatten().collect();
        inbound.sort_by_key(|inbound| std::cmp::Reverse(inbound.at));
        Ok(InboundList { unreadable: total - inbound.len(), inbound })
    }

    /// How many were sealed with another key than the one that seals now. They are not sealed anew: each ends by itself.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn of_older_keys(&self) -> Result<usize, StoreError> {
        let current = self.vault.keys().current();
        let older = self.all(|doc| KeyRing::sealed_with(&doc.body) != current).await?;
        Ok(older.into_iter().filter(|older| *older).count())
    }

    async fn all<T>(&self, look: impl Fn(&Doc) -> T) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        let mut cursor = DocCursor::default();
        loop {
            let page = self.vault.store().docs_since(DocKind::Inbound, &cursor, PAGE).await?;
            if page.reset {
                all.clear();
            }
            all.extend(page.changed.iter().filter(|doc| self.is_ours(doc)).map(&look));
            cursor = page.cursor;
            if !page.more {
                return Ok(all);
            }
        }
    }

    fn is_ours(&self, doc: &Doc) -> bool {
        doc.key.split('/').next() == Some(self.vault.app())
    }

    fn open(&self, doc: &Doc) -> Option<Inbound> {
        let extension = ExtensionId::try_new(doc.key.split('/').nth(1)?).ok()?;
        let plain = self.vault.keys().open(Purpose::Inbound { key: &doc.key }, &doc.body).ok()?;
        let body: Body = serde_json::from_slice(&plain).ok().filter(|body: &Body| body.v == FORMAT)?;
        let Body { kind, at, from, to, text, .. } = body;
        Some(Inbound { extension, kind, at, from, to, text: text.map(Private::new) })
    }
}
