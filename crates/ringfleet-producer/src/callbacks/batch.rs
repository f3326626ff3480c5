//! What one POST says.

use jiff::Timestamp;
use ringfleet_store::{Change, ChangeCursor};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::record::Record;
use crate::http::View;

/// Some changes of a shard, as they are told. The same changes from the same cursor on are the same id and the same bytes, until
/// an operator has them told again.
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) body: String,
}

#[derive(Serialize)]
struct Body {
    r#type: &'static str,
    /// When the last of the changes came.
    timestamp: String,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    messages: Vec<View>,
}

impl Batch {
    /// The changes behind the record's cursor up to `to`. `store` names the store: a shard of another one has other changes. Those
    /// of a replay are no repeats, so an endpoint that knows the ids that it has taken takes them too.
    pub(super) fn of(store: &str, shard: usize, record: &Record, to: &ChangeCursor, changes: Vec<Change>) -> Self {
        let Record { cursor: after, replays, .. } = record;
        let hash = Sha256::digest(format!("ringfleet callbacks v1\0{store}\0{shard}\0{replays}\0{after}\0{to}"));
        let id = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let body = Body {
            r#type: "messages.changed",
            timestamp: Timestamp::from_millisecond(to.at()).unwrap_or_default().to_string(),
            data: Data { messages: changes.into_iter().map(|change| View::of(change.message)).collect() },
        };
        let body = serde_json::to_string(&body).expect("texts and numbers only");
        Self { id: format!("callback_{id}"), body }
    }
}
