//! With several shards: the home of a key, which is the shard of the id that is made from it, remembers the lane that it is used
//! for. Another lane may live on another shard, which knows nothing of the record.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{RedisStore, millis, scripts::unreadable, shards::Round};
use crate::{
    ids::{LaneId, MessageId},
    message::NewMessage,
    store::{MAX_BATCH, StoreError},
};

/// A key is forgotten when its record is; should nobody come to that, after this time without being asked for. Longer than a
/// message may wait for its `send_at` and its record be kept, 366 days each.
const REMEMBER: Duration = Duration::from_secs(800 * 86_400);
/// For so long after a key was asked for, a message of it may be on its way to its lane.
pub(super) const RESERVED: Duration = Duration::from_secs(600);

impl RedisStore {
    /// Asks each key's home whether it belongs to another lane. `true` = it does.
    pub(super) async fn reserve_keys(&self, batch: &[NewMessage], ids: &[MessageId]) -> Result<Vec<bool>, StoreError> {
        let mut foreign = vec![false; batch.len()];
        if self.tags.len() == 1 {
            return Ok(foreign);
        }
        let mut by_tag: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, _) in batch.iter().enumerate().filter(|(_, m)| m.key.is_some()) {
            by_tag.entry(self.tag_of_id(&ids[at])).or_default().push(at);
        }
        for (tag, places) in by_tag {
            for places in places.chunks(MAX_BATCH) {
                let mut call = self.prepare(&self.scripts.reserve, tag);
                call.arg(millis(REMEMBER)).arg(millis(RESERVED));
                for &at in places {
                    call.arg(ids[at].as_bytes()).arg(batch[at].lane.as_str());
                }
                let reply: Vec<i64> = self.link.run("enqueue", &call).await?;
                for (&at, ours) in places.iter().zip(reply) {
                    foreign[at] = ours != 1;
                }
            }
        }
        Ok(foreign)
    }

    /// Lets the ids' homes know which lane they belong to.
    pub(super) async fn reserve_ids(&self, ids: &[(MessageId, &LaneId)]) -> Result<(), StoreError> {
        if self.tags.len() == 1 {
            return Ok(());
        }
        for (id, lane) in ids {
            let mut call = self.prepare(&self.scripts.reserve, self.tag_of_id(id));
            call.arg(millis(REMEMBER)).arg(millis(RESERVED)).arg(id.as_bytes()).arg(lane.as_str());
            self.link.run::<Vec<i64>>("reassert", &call).await?;
        }
        Ok(())
    }

    /// Tells the homes of `gone`, which `reap` gave at `asked`, that no record has them any more. Those that can't be told now
    /// are given again later.
    pub(super) async fn forget_keys(&self, shard: usize, gone: &[Vec<u8>], asked: Instant, round: &mut Round<'_>) {
        let mut by_home: BTreeMap<usize, Vec<&[u8]>> = BTreeMap::new();
        for entry in gone {
            let Some(id) = entry.first_chunk().copied().map(MessageId::from_bytes) else { continue };
            by_home.entry(self.home_of_id(&id)).or_default().push(entry);
        }
        for (home, entries) in by_home.into_iter().filter(|(home, _)| !self.silent.rests(*home)) {
            // SEND-SAFETY: a key that was asked for since then must still count as asked for lately. With the like in `enqueue_all`
            // either that is so, or its message was there when `reap` looked.
            if asked.elapsed() > RESERVED / 2 {
                return;
            }
            let mut call = self.prepare(&self.scripts.forget, &self.tags[home]);
            call.arg("home").arg(millis(RESERVED)).arg(&entries);
            let Some(done) = round.heard(home, self.link.run::<Vec<i64>>("reap", &call).await) else { continue };
            if done.len() != entries.len() {
                round.heard::<()>(home, Err(unreadable("reap", "a wrong number of answers")));
                continue;
            }
            let told: Vec<&[u8]> =
                entries.into_iter().zip(done).filter(|(_, done)| *done == 1).map(|(e, _)| e).collect();
            if !told.is_empty() {
                let mut call = self.prepare(&self.scripts.forget, &self.tags[shard]);
                call.arg("told").arg(&told);
                round.heard(shard, self.link.run::<redis::Value>("reap", &call).await);
            }
        }
    }
}

#[cfg(test)]
mod tests;
