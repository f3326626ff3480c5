//! What has become of messages, in the order in which it happened: for those who follow all of them.
//!
//! A change is that a message has ended, or is held for a person. No log of them is kept: each message stands in the store's
//! indexes once, where it came into its state last, so one whose state changes again is told again, with the newer state, and one
//! that left its end (a held one that is sent again) not before it has come to the next one.

use std::{fmt, str::FromStr};

use crate::{
    ids::{IdError, MessageId},
    message::{MessageView, Millis},
};

/// A change is told when it is so old.
///
/// Several steps share a millisecond, and the fleet's time may step back by up to a second unnoticed, of which the mark that it is
/// measured by may be another second behind (`lua/lib/begin.lua`): what is noted later may stand up to two seconds before what was
/// read. So whoever reads leaves the last moments to the next reading, or it would pass some over. The reading itself moves
/// the mark to its own time, as nothing else may have done for long.
pub const SETTLED_MS: Millis = 3_000;

/// How far the changes of a shard were read: behind the last one that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChangeCursor {
    pub(crate) at: Millis,
    pub(crate) id: MessageId,
}

impl ChangeCursor {
    /// Before all that happens at that time.
    pub fn before(at: Millis) -> Self {
        Self { at, id: MessageId::from_bytes([0; 16]) }
    }

    /// When the last one that was looked at came into its state.
    pub fn at(&self) -> Millis {
        self.at
    }
}

/// Written `at.id`; for a record of one's own, and for logs.
impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl FromStr for ChangeCursor {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (at, id) = text.split_once('.').ok_or(IdError::Message)?;
        Ok(Self { at: at.parse().map_err(|_| IdError::Message)?, id: id.parse()? })
    }
}

/// A message that has ended or is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Behind this one.
    pub cursor: ChangeCursor,
    pub message: MessageView,
}

/// Some of a shard's changes, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    pub changes: Vec<Change>,
    /// Where to read on. What can't be read is passed over, so it may lie behind the last change.
    pub next: ChangeCursor,
    /// There may be more to read now.
    pub more: bool,
    /// The time of the shard at this reading.
    pub now: Millis,
}

impl Changes {
    /// All that happened until then is settled: nothing more will be told of that time.
    pub fn settled_to(&self) -> Millis {
        self.now - SETTLED_MS
    }

    /// What is told to one who begins: nothing, and where to read on.
    pub(crate) fn begin(now: Millis) -> Self {
        Self { changes: Vec::new(), next: ChangeCursor::before(now - SETTLED_MS), more: false, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let cursor = ChangeCursor { at: 1_795_000_000_000, id: MessageId::from_bytes([0xab; 16]) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(ChangeCursor::before(7).to_string().parse(), Ok(ChangeCursor::before(7)));
        for wrong in ["", ".", "12", "12.msg_x", &format!("x.{}", cursor.id), &format!("1.{} ", cursor.id)] {
            assert!(wrong.parse::<ChangeCursor>().is_err(), "{wrong}");
        }
    }
}
