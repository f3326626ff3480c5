//! How far the changes of a shard were told, who tells them, and since when that fails: a document on that shard itself, so that a
//! shard which does not answer hinders no other, and one that loses its last moments loses both.

use ringfleet_store::{ChangeCursor, DocKind, Expect, Millis, Put, Store, StoreError};
use serde::{Deserialize, Serialize};

const KIND: DocKind = DocKind::Callback;

/// All times are the shard's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// What is behind it is not told yet.
    #[serde(with = "as_text")]
    pub(super) cursor: ChangeCursor,
    /// The process whose turn it is, or was.
    pub(super) holder: String,
    /// When its turn ends, unless it is prolonged.
    pub(super) until: Millis,
    pub(super) failing: Option<Failure>,
    /// Changes of a POST at most, while that is fewer than usual because a larger one was not taken.
    #[serde(default)]
    pub(super) most: Option<u32>,
    /// So often an operator has had it told again.
    #[serde(default)]
    pub(super) replays: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) since: Millis,
    pub(super) why: String,
    pub(super) tries: u32,
    pub(super) again_at: Millis,
    /// The end of what is tried: the same again, so that it has the same id.
    #[serde(with = "maybe_as_text")]
    pub(super) to: Option<ChangeCursor>,
    /// Of the tries, those of just this whose failure may be its own.
    #[serde(default)]
    pub(super) of_this: u32,
    /// And those that told of load.
    #[serde(default)]
    pub(super) of_load: u32,
}

impl Record {
    pub(super) fn begin(cursor: ChangeCursor) -> Self {
        Self { cursor, holder: String::new(), until: 0, failing: None, most: None, replays: 0 }
    }
}

/// The key of a shard's document: the first of its names that lies on that shard.
pub(super) fn key_of(store: &dyn Store, shard: usize) -> String {
    let mut names = (0_u32..).map(|n| format!("shard-{shard}.{n}"));
    names.find(|name| store.shard_of_doc(name) == shard).unwrap_or_else(|| format!("shard-{shard}"))
}

/// With its revision.
///
/// # Errors
/// [`StoreError::Unreadable`] too, for one that a newer version has written.
pub(super) async fn read(store: &dyn Store, key: &str) -> Result<Option<(u64, Record)>, StoreError> {
    let Some(doc) = store.doc_get(KIND, key).await? else { return Ok(None) };
    let record = serde_json::from_slice(&doc.body)
        .map_err(|_| StoreError::Unreadable { call: "callbacks", what: "a document of another shape".to_owned() })?;
    Ok(Some((doc.rev, record)))
}

/// `None`: somebody else has changed it meanwhile, and nothing was done.
pub(super) async fn write(
    store: &dyn Store,
    key: &str,
    expect: Expect,
    record: &Record,
) -> Result<Option<u64>, StoreError> {
    let body = serde_json::to_vec(record).expect("texts and numbers only");
    match store.doc_put(KIND, key, expect, Some(&body), None).await? {
        Put::Stored(rev) => Ok(Some(rev)),
        Put::Conflict(_) => Ok(None),
    }
}

mod as_text {
    use ringfleet_store::ChangeCursor;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(cursor: &ChangeCursor, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cursor)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChangeCursor, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod maybe_as_text {
    use ringfleet_store::ChangeCursor;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(cursor: &Option<ChangeCursor>, serializer: S) -> Result<S::Ok, S::Error> {
        cursor.map(|cursor| cursor.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChangeCursor>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
