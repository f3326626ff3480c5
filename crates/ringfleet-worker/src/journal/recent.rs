//! The sends that are remembered, the oldest forgotten first.

use std::{collections::VecDeque, time::Duration};

use super::entry::Entry;

/// The last entries that are remembered, however old they are: 4,096 sends, each with its beginning and its end.
pub(super) const FEWEST: u64 = 2 * 4_096;
/// Besides, all of so long before the last: a Redis that writes its file once a second loses two at most.
const LATELY: Duration = Duration::from_secs(10);
/// But no more than this: four seconds at 8,000 sends a second. A ring file has room for as many, 16 MiB.
pub(super) const MOST: usize = 65_536;

pub(super) struct Recent {
    /// Each with its number.
    shards: Vec<VecDeque<(u64, Entry)>>,
    next: u64,
}

impl Recent {
    pub(super) fn new(shards: usize) -> Self {
        Self { shards: vec![VecDeque::new(); shards.max(1)], next: 0 }
    }

    pub(super) fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            let shard = entry.lease.token.shard(self.shards.len());
            self.shards[shard].push_back((self.next, entry));
            self.next += 1;
        }
        let next = self.next;
        self.shards.iter_mut().for_each(|entries| trim(entries, next));
    }

    /// Shard by shard.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.shards.iter().flatten().map(|(_, entry)| entry)
    }
}

/// SEND-SAFETY: what is late is judged by the shard's own last send: one that has stopped answering may come back without its
/// last moment when the others' sends have gone on for long.
fn trim(entries: &mut VecDeque<(u64, Entry)>, next: u64) {
    let Some(last) = entries.back().map(|(_, entry)| entry.at) else { return };
    let is_over = |(number, entry): &(u64, Entry)| {
        next - number > FEWEST && last.duration_since(entry.at).is_ok_and(|age| age > LATELY)
    };
    while entries.len() > MOST || entries.front().is_some_and(is_over) {
        entries.pop_front();
    }
}
