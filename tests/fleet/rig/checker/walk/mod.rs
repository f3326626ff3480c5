//! I8: a walk through all that the store holds. Every id in an index has its record, every record stands in the indexes of its
//! state and in no other, and every count is what can be counted.

mod redis;
mod sqlite;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use ringfleet_store::{MessageId, State};

use crate::rig::{Ends, Rig};

/// Messages of one lane in flight at once: what the rigs' rules say.
const CAP: i64 = 8;
/// When the slot of a request under way is free.
const IN_USE: i64 = 9_000_000_000_000_000;

/// A message as the store holds it.
#[derive(Clone, Debug)]
pub(in crate::rig) struct Record {
    /// Waiting ones are told apart by where they stand.
    pub(in crate::rig) state: State,
    pub(in crate::rig) lane: String,
    pub(in crate::rig) from: String,
    pub(in crate::rig) to: String,
    pub(in crate::rig) provider_id: String,
    priority: u8,
    due: i64,
    send_by: i64,
}

impl Record {
    /// It needs nothing more from the fleet.
    pub(in crate::rig) fn is_over(&self) -> bool {
        self.state.is_final() || self.state == State::Held
    }
}

#[derive(Default)]
pub(in crate::rig) struct Walk {
    pub(in crate::rig) records: BTreeMap<MessageId, Record>,
    pub(in crate::rig) problems: Vec<String>,
}

impl Walk {
    fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// The index names exactly these.
    fn same<T: Ord + Debug>(&mut self, index: &str, named: &BTreeSet<T>, expected: &BTreeSet<T>) {
        for one in named.difference(expected) {
            self.problem(format!("{index} names {one:?}, which does not belong there"));
        }
        for one in expected.difference(named) {
            self.problem(format!("{index} lacks {one:?}"));
        }
    }

    fn count<T: PartialEq + Debug>(&mut self, what: &str, told: T, counted: T) {
        if told != counted {
            self.problem(format!("{what} is told as {told:?}, counted as {counted:?}"));
        }
    }

    fn ids(&self, of: impl Fn(&Record) -> bool) -> BTreeSet<MessageId> {
        self.records.iter().filter(|(_, record)| of(record)).map(|(id, _)| *id).collect()
    }
}

fn waits(state: State) -> bool {
    matches!(state, State::Scheduled | State::Ready | State::Claimed | State::Sending)
}

fn in_flight(state: State) -> bool {
    matches!(state, State::Claimed | State::Sending)
}

fn state_of(code: u8) -> Option<State> {
    State::ALL.into_iter().find(|state| *state as u8 == code)
}

pub(in crate::rig) async fn through(rig: &Rig, ends: &Ends) -> Walk {
    let shards = rig.shards();
    if shards.is_empty() { sqlite::walk(&rig.path("fleet.db")) } else { redis::walk(&shards, ends).await }
}
