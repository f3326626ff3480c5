//! What waits in a lane, page by page.

use crate::message::MessageView;

/// How far a lane's waiting messages were read. The default begins at the front.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WaitingCursor {
    /// 0 to 2: the queue of that priority; then the schedule.
    pub(crate) part: u8,
    /// Places of it that were looked at.
    pub(crate) at: u32,
}

/// The part behind the queues.
pub(crate) const SCHEDULE: u8 = 3;

impl WaitingCursor {
    /// Where the next page begins, after `looked_at` places were asked for and so many were there.
    pub(crate) fn next(self, asked: u32, looked_at: u32) -> Option<Self> {
        match self {
            Self { part, at } if looked_at >= asked => Some(Self { part, at: at.saturating_add(asked) }),
            Self { part, .. } if part < SCHEDULE => Some(Self { part: part + 1, at: 0 }),
            _ => None,
        }
    }
}

/// Messages of a lane that are due or scheduled and in nobody's hand: high priority first, each queue in its order, then what is
/// scheduled, the soonest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Of a page that looked at other lanes' only, none.
    pub messages: Vec<MessageView>,
    /// Where the next page begins; `None` after the last. What came or went in between may be missed, or told twice.
    pub next: Option<WaitingCursor>,
}
