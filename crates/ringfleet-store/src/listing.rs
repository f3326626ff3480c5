//! Messages in one state, newest first, page by page.

use std::cmp::Reverse;

use crate::{
    ids::MessageId,
    message::{MessageView, Millis, State},
    store::MAX_BATCH,
};

/// When a message came into its state, and which one it is: in this order they are listed, backwards.
type At = (Millis, MessageId);

/// Where a page of a list begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListFrom {
    pub(crate) state: State,
    pub(crate) since: Millis,
    /// The last one that was looked at.
    pub(crate) after: Option<At>,
}

impl ListFrom {
    pub fn newest(state: State) -> Self {
        Self { state, since: 0, after: None }
    }

    /// Leaves out those that have been in this state since before that time.
    #[must_use]
    pub fn since(self, since: Millis) -> Self {
        Self { since, ..self }
    }

    /// How far it is, for whoever comes back with it later; state and time are theirs to say again.
    pub fn cursor(&self) -> Option<String> {
        self.after.map(|(at, id)| format!("{at}.{id}"))
    }

    /// `None` if that is no cursor.
    pub fn after(self, cursor: &str) -> Option<Self> {
        let (at, id) = cursor.split_once('.')?;
        let after = (at.parse().ok().filter(|at| *at >= 0)?, id.parse().ok()?);
        Some(Self { after: Some(after), ..self })
    }

    /// Held, dead and unknown messages have an index of their own, the others one for all that have ended.
    pub(crate) fn has_own_index(&self) -> bool {
        matches!(self.state, State::Held | State::Dead | State::Unknown)
    }

    /// How many records a page with `limit` messages looks at in a shard at most.
    pub(crate) fn places(&self, limit: usize) -> usize {
        if self.has_own_index() { limit } else { MAX_BATCH }
    }
}

/// Messages in one state, the one that came into it last first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// Of a page that looked at others only, none.
    pub messages: Vec<MessageView>,
    /// Where the next page begins; `None` after the last. What comes into the state meanwhile stands before it, and is not told.
    pub next: Option<ListFrom>,
}

/// What a shard has of a page.
pub(crate) struct Part {
    pub(crate) found: Vec<(Millis, MessageView)>,
    /// The last one that was looked at, if there may be more behind it.
    pub(crate) looked_to: Option<At>,
}

pub(crate) fn limit(asked: u32) -> usize {
    (asked as usize).clamp(1, MAX_BATCH)
}

/// The page of all shards: as far back as all of them have looked. What one has found behind that is found again.
pub(crate) fn page(from: &ListFrom, parts: Vec<Part>, limit: usize) -> Listed {
    let looked_to = parts.iter().filter_map(|part| part.looked_to).max();
    let found = parts.into_iter().flat_map(|part| part.found).map(|(at, view)| ((at, view.id), view));
    let mut found: Vec<(At, MessageView)> = found.filter(|(at, _)| looked_to.is_none_or(|to| *at >= to)).collect();
    found.sort_by_key(|(at, _)| Reverse(*at));
    let more = found.len() > limit;
    found.truncate(limit);
    let after = if more { found.last().map(|(at, _)| *at) } else { looked_to };
    let messages = found.into_iter().map(|(_, view)| view).collect();
    Listed { messages, next: after.map(|after| ListFrom { after: Some(after), ..*from }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let from = ListFrom::newest(State::Rejected).since(7);
        assert_eq!(from.cursor(), None);
        let id = MessageId::from_bytes([0xab; 16]);
        let behind = ListFrom { after: Some((1_795_000_000_000, id)), ..from };
        assert_eq!(from.after(&behind.cursor().unwrap()), Some(behind));
        for wrong in
            ["", ".", "12", &format!("12.{}", "msg_x"), &format!("-1.{id}"), &format!("x.{id}"), &format!("1.{id} ")]
        {
            assert_eq!(from.after(wrong), None, "{wrong}");
        }
    }
}
