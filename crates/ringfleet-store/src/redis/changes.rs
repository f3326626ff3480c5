//! The changes of a shard.

use redis::Value;

use super::{
    RedisStore,
    blob::Blob,
    scripts::{bytes, number, unreadable},
};
use crate::{
    changes::{Change, ChangeCursor, Changes, SETTLED_MS},
    ids::MessageId,
    listing,
    message::State,
    store::StoreError,
};

impl RedisStore {
    pub(super) async fn read_changes(
        &self,
        shard: usize,
        after: Option<&ChangeCursor>,
        limit: u32,
    ) -> Result<Changes, StoreError> {
        let no_shard = || StoreError::Refused { call: "changes", reason: format!("there is no shard {shard}") };
        let mut call = self.prepare(&self.scripts.changes, self.tags.get(shard).ok_or_else(no_shard)?);
        call.arg(listing::limit(limit)).arg(SETTLED_MS);
        if let Some(after) = after {
            call.arg(after.at).arg(after.id.as_bytes());
        }
        let reply: Vec<Value> = self.link.run("changes", &call).await?;
        let bad = || unreadable("changes", "a wrong shape");
        let cursor = |at: &Value, id: &Value| -> Option<ChangeCursor> {
            Some(ChangeCursor { at: number(at)?, id: MessageId::from_bytes(bytes(id)?.try_into().ok()?) })
        };
        let [now, more, last_at, last_id, rows @ ..] = reply.as_slice() else { return Err(bad()) };
        let now = number(now).ok_or_else(bad)?;
        let Some(after) = after else { return Ok(Changes::begin(now)) };
        let change = |row: &[Value]| {
            let (cursor, blob) = (cursor(&row[0], &row[1])?, bytes(&row[2])?);
            let state = State::from_code(*blob.first()?)?;
            Some(Change { cursor, message: Blob::parse(blob)?.into_view(cursor.id, state) })
        };
        let mut changes = Vec::with_capacity(rows.len() / 3);
        for row in rows.chunks_exact(3) {
            match change(row) {
                Some(change) => changes.push(change),
                // It must not keep the others from whoever follows them.
                None => tracing::warn!("a record that is no message is left out of the changes"),
            }
        }
        let more = number(more).ok_or_else(bad)? == 1;
        Ok(Changes { changes, next: cursor(last_at, last_id).unwrap_or(*after), more, now })
    }
}
