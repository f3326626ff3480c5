//! What one POST says.

use jiff::Timestamp;
use ringfleet_store::{Change, ChangeCursor, Changes};
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

/// Of what was read, what was tried before, if it was: it is told as the same once more. Returns its end, and whether there is more.
pub(super) fn same_again(record: &Record, read: Changes) -> (Vec<Change>, ChangeCursor, bool) {
    let settled_to = read.settled_to();
    let Changes { mut changes, next, more, .. } = read;
    // Its last ones may have changed again: what is left is the same all the same.
    let is_read = |to: &ChangeCursor| *to < next || !more && to.at() <= settled_to;
    let tried = record.failing.as_ref().and_then(|failing| failing.to).filter(is_read);
    let Some(to) = tried else { return (changes, next, more) };
    changes.retain(|change| change.cursor <= to);
    (changes, to, more || to < next)
}

#[cfg(test)]
mod tests {
    use super::{super::record::Failure, *};

    #[test]
    fn what_was_tried_has_the_same_end_also_when_its_last_ones_have_changed_again() {
        let (first, tried) = (ChangeCursor::before(1_000), ChangeCursor::before(2_000));
        let (to, why) = (Some(tried), String::new());
        let failure = Failure { since: 0, why, tries: 1, again_at: 0, to, of_this: 1, of_load: 0 };
        let record = Record { failing: Some(failure), ..Record::begin(ChangeCursor::before(0)) };
        // What is not read to there yet, or not settled, ends where it was read to.
        for (more, now, end) in [(false, 9_000, tried), (true, 9_000, first), (false, 4_000, first)] {
            let read = Changes { changes: Vec::new(), next: first, more, now };
            assert_eq!(same_again(&record, read), (Vec::new(), end, more), "{now}");
        }
    }
}
