//! Tests across the modules; rules of one module stand beside it.

mod api;
mod blanks;
mod conflicts;
mod documented;
pub(crate) mod fake;
mod import;
mod import_again;
mod listing;
mod lost_replies;
mod ndjson;
mod openapi;
mod opt_outs;
mod quiet_hours;
mod roles;
mod rules;
mod senders;
mod spreadsheets;
mod templates;

use std::sync::Arc;

use jiff::Timestamp;
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_store::{
    SharedStore,
    sqlite::{SqliteOptions, SqliteStore},
};

use crate::{Code, Draft, Patience, Producer, Refusal, Sender, SenderDirectory};

const FROM: &str = "+15550100001";
const TO: &str = "+15550200001";

/// Extensions 101 to 125 with one number each, and 201 with two.
fn directory() -> Arc<SenderDirectory> {
    let sender = |extension: u32, numbers: &[u32]| Sender {
        app: "main".into(),
        extension: ExtensionId::try_new(&extension.to_string()).unwrap(),
        numbers: numbers.iter().map(|n| PhoneNumber::try_new(&format!("+1555010{n:04}")).unwrap()).collect(),
    };
    let single = (1..=25).map(|n| sender(100 + n, &[n]));
    Arc::new(SenderDirectory::try_new(single.chain([sender(201, &[901, 902])])).unwrap())
}

/// `FROM` belongs to extension 102 now.
fn moved() -> Arc<SenderDirectory> {
    let (app, numbers) = ("main".into(), vec![FROM.parse().unwrap()]);
    Arc::new(SenderDirectory::try_new([Sender { app, extension: "102".parse().unwrap(), numbers }]).unwrap())
}

fn producer(store: SharedStore) -> Producer {
    producer_of(store, directory())
}

fn producer_of(store: SharedStore, directory: Arc<SenderDirectory>) -> Producer {
    let patience = Patience { total: std::time::Duration::from_secs(3), attempt: std::time::Duration::from_secs(1) };
    Producer::new(store, directory).with_patience(patience)
}

/// A real store in a folder of its own.
async fn sqlite() -> (tempfile::TempDir, SharedStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("messages.db"), SqliteOptions::default()).await.unwrap();
    (folder, Arc::new(store))
}

fn draft() -> Draft {
    Draft { from: FROM.into(), to: TO.into(), text: "See you on Monday".into(), ..Draft::default() }
}

fn now() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn codes(refusals: &[Refusal]) -> Vec<Code> {
    refusals.iter().map(|refusal| refusal.code).collect()
}
