//! What waits in a lane, page by page.

use crate::message::MessageView;

/// How far a lane's waiting messages were read. The default begins at the front.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WaitingCursor {
    /// 0 to 2: the queue of that priority; then the schedule.
    pub(crate) part: u8,
    /// Of a queue the first place that is looked at, of the schedule the first time: it grows shorter at its front meanwhile.
    pub(crate) at: u64,
    /// Of the schedule: messages of that time that were looked at.
    pub(crate) skip: u32,
}

/// What a page has looked at.
pub(crate) struct LookedAt {
    pub(crate) places: u32,
    /// Of the schedule: the time of the last one, and how many had it.
    pub(crate) last: u64,
    pub(crate) same: u32,
}

/// The part behind the queues.
pub(crate) const SCHEDULE: u8 = 3;

impl WaitingCursor {
    /// Where the next page begins, when `asked` places were asked for.
    pub(crate) fn next(self, asked: u32, looked_at: &LookedAt) -> Option<Self> {
        let Self { part, at, skip } = self;
        let LookedAt { places, last, same } = *looked_at;
        if places < asked {
            return (part < SCHEDULE).then_some(Self { part: part + 1, at: 0, skip: 0 });
        }
        Some(match part {
            SCHEDULE if last == at => Self { skip: skip.saturating_add(same), ..self },
            SCHEDULE => Self { part, at: last, skip: same },
            _ => Self { at: at.saturating_add(places.into()), ..self },
        })
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
