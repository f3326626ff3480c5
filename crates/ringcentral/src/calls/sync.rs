//! Keeping a copy of the message store: once in full, then only what changed.

use jiff::Timestamp;
use serde::Deserialize;

use super::messages::MessageRecord;
use super::paging::since;
use super::read::Read;
use crate::operation::Operation;
use crate::secret::SyncToken;
use crate::words::{Direction, MessageKind};

/// What to synchronise.
#[derive(Debug, Clone)]
pub enum SyncQuery {
    /// Everything since an instant (`FSync`). Keep the answer's token.
    Full {
        date_from: Timestamp,
        /// Empty means all; so does it for `kinds`. Later syncs of the token keep to the same ones.
        directions: Vec<Direction>,
        kinds: Vec<MessageKind>,
        /// Most records of the answer; `None` leaves it to the server. There are no pages.
        record_count: Option<u32>,
    },
    /// What changed since the token was given (`ISync`).
    Since(SyncToken),
}

/// What a sync yields. There are no pages: [`older_records_exist`](Self::older_records_exist) says that records were left
/// out.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Body")]
pub struct MessageSync {
    /// New and changed messages, deleted ones among them.
    pub records: Vec<MessageRecord>,
    /// For the next sync.
    pub token: SyncToken,
    pub time: Option<Timestamp>,
    pub older_records_exist: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(deserialize_with = "crate::serde_text::list")]
    records: Vec<MessageRecord>,
    sync_info: SyncInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyncInfo {
    sync_token: SyncToken,
    #[serde(default, deserialize_with = "crate::serde_text::lenient")]
    sync_time: Option<Timestamp>,
    #[serde(default)]
    older_records_exist: bool,
}

impl From<Body> for MessageSync {
    fn from(Body { records, sync_info }: Body) -> Self {
        let SyncInfo { sync_token: token, sync_time: time, older_records_exist } = sync_info;
        Self { records, token, time, older_records_exist }
    }
}

impl Read<MessageSync> {
    /// Messages of the token's extension that are new or changed. Group Light; the app and the user need `ReadMessages`
    /// (documented). [`classify_sync`](crate::classify_sync) tells when only a full sync helps.
    pub fn message_sync(query: &SyncQuery) -> Self {
        let mut pairs = Vec::new();
        match query {
            SyncQuery::Full { date_from, directions, kinds, record_count } => {
                pairs.extend([("syncType", String::from("FSync")), ("dateFrom", since(*date_from))]);
                let directions = directions.iter().filter(|direction| **direction != Direction::Other);
                pairs.extend(directions.map(|direction| ("direction", direction.as_str().to_owned())));
                let kinds = kinds.iter().filter(|kind| **kind != MessageKind::Other);
                pairs.extend(kinds.map(|kind| ("messageType", kind.as_str().to_owned())));
                pairs.extend(record_count.map(|count| ("recordCount", count.to_string())));
            }
            SyncQuery::Since(token) => {
                pairs.extend([("syncType", String::from("ISync")), ("syncToken", token.expose().to_owned())]);
            }
        }
        Self::new(Operation::SYNC_MESSAGES, "/restapi/v1.0/account/~/extension/~/message-sync").with(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_needed_and_the_rest_may_be_missing() {
        let sync: MessageSync = serde_json::from_str(
            r#"{"records":[{"id":1,"availability":"Deleted"}],"syncInfo":{"syncType":"FSync","syncToken":"canary==",
                "syncTime":"2026-01-02T03:04:05.678Z","olderRecordsExist":true}}"#,
        )
        .expect("a sync");
        assert!(sync.older_records_exist && sync.time.is_some() && sync.token.expose() == "canary==");
        assert!(!format!("{sync:?}").contains("canary"));
        let bare =
            serde_json::from_str::<MessageSync>(r#"{"records":[],"syncInfo":{"syncToken":"t"}}"#).expect("a sync");
        assert!(bare.records.is_empty() && !bare.older_records_exist);
        assert!(serde_json::from_str::<MessageSync>(r#"{"records":[],"syncInfo":{}}"#).is_err());
    }
}
