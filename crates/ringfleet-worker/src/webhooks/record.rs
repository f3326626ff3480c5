//! What the fleet keeps of an extension's subscription, sealed: the secret that every event must carry is in it.

use ringcentral::{ExtensionId, SubscriptionId, VerificationToken};
use ringfleet_identity::{KeyRing, Purpose, Vault};
use ringfleet_store::{DocCursor, DocKind, Expect, Millis, Put, StoreError};
use serde::{Deserialize, Serialize};

const FORMAT: u8 = 1;
/// Documents read at once.
pub(super) const PAGE: u32 = 500;

pub(super) struct Record {
    /// `None` while it is being made: the webhook must know the secret before.
    pub(super) id: Option<SubscriptionId>,
    pub(super) secret: VerificationToken,
    /// What is told, and where, by a hash of both: another wish needs another subscription.
    pub(super) wants: String,
    pub(super) renew_at: Millis,
}

#[derive(Serialize, Deserialize)]
struct Body {
    v: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    secret: String,
    wants: String,
    renew_at: Millis,
}

fn key(vault: &Vault, extension: &ExtensionId) -> String {
    format!("{}/{extension}", vault.app())
}

impl Record {
    /// `None`: there is none that this process can read.
    pub(super) async fn load(vault: &Vault, extension: &ExtensionId) -> Result<Option<Self>, StoreError> {
        let key = key(vault, extension);
        let Some(doc) = vault.store().doc_get(DocKind::Subscription, &key).await? else { return Ok(None) };
        Ok(Self::open(vault, &key, &doc.body))
    }

    pub(super) fn open(vault: &Vault, key: &str, sealed: &[u8]) -> Option<Self> {
        let plain = vault.keys().open(Purpose::Subscription { key }, sealed).ok()?;
        let body: Body = serde_json::from_slice(&plain).ok().filter(|body: &Body| body.v == FORMAT)?;
        Some(Self {
            id: body.id.map(|id| SubscriptionId::try_new(&id)).transpose().ok()?,
            secret: VerificationToken::try_new(&body.secret).ok()?,
            wants: body.wants,
            renew_at: body.renew_at,
        })
    }

    pub(super) async fn save(&self, vault: &Vault, extension: &ExtensionId) -> Result<(), StoreError> {
        let key = key(vault, extension);
        let body = Body {
            v: FORMAT,
            id: self.id.as_ref().map(|id| id.as_str().to_owned()),
            secret: self.secret.expose().to_owned(),
            wants: self.wants.clone(),
            renew_at: self.renew_at,
        };
        let sealed =
            vault.keys().seal(Purpose::Subscription { key: &key }, &serde_json::to_vec(&body).unwrap_or_default());
        vault.store().doc_put(DocKind::Subscription, &key, Expect::Anything, Some(&sealed), None).await.map(drop)
    }
}

/// Seals with the current key what the fleet keeps of its subscriptions with another one of this process's keys. What it can't
/// open is made anew by whoever keeps the subscriptions. Tells how many documents were sealed.
///
/// # Errors
/// [`StoreError`] if the store can't be read or written; some may be sealed then.
pub async fn reseal(vault: &Vault) -> Result<u32, StoreError> {
    let (keys, store) = (vault.keys(), vault.store());
    let mut sealed = 0;
    let mut cursor = DocCursor::default();
    loop {
        let page = store.docs_since(DocKind::Subscription, &cursor, PAGE).await?;
        for doc in &page.changed {
            let ours = doc.key.split('/').next() == Some(vault.app());
            if !ours || KeyRing::sealed_with(&doc.body) == keys.current() {
                continue;
            }
            let purpose = Purpose::Subscription { key: &doc.key };
            let Ok(plain) = keys.open(purpose, &doc.body) else { continue };
            // Who was quicker has sealed what is newer.
            let body = keys.seal(purpose, &plain);
            let put = store.doc_put(DocKind::Subscription, &doc.key, Expect::Rev(doc.rev), Some(&body), None).await?;
            sealed += u32::from(matches!(put, Put::Stored(_)));
        }
        cursor = page.cursor;
        if !page.more {
            return Ok(sealed);
        }
    }
}
