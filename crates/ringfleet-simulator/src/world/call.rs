//! Phone calls: the seeded history before the start, all of it arithmetic, and calls that arrive while the simulator runs.

use std::time::Duration;

use jiff::Timestamp;

use super::number::Number;
use super::{World, mix};

/// The history of an extension has one call in every slot.
const SLOT_S: u64 = 1_200;
const FIRST_ID: u64 = 900_000_000_000;
const CUSTOMERS: u64 = 10_000;
const FIRST_CUSTOMER: u64 = 15_550_200_000;

#[derive(Debug, Clone)]
pub(crate) struct PhoneCall {
    pub(crate) id: u64,
    /// The extension's index.
    pub(crate) index: usize,
    pub(crate) start: Timestamp,
    pub(crate) seconds: u32,
    pub(crate) own: Number,
    pub(crate) other: Number,
    pub(crate) inbound: bool,
    pub(crate) fax: bool,
    pub(crate) result: CallResult,
    /// The message that the caller left.
    pub(crate) voicemail: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallResult {
    Accepted,
    Connected,
    Missed,
    NoAnswer,
    Voicemail,
    FaxDone,
}

impl CallResult {
    /// `result` (documented).
    pub(crate) fn name(self, inbound: bool) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Connected => "Call connected",
            Self::Missed => "Missed",
            Self::NoAnswer => "No Answer",
            Self::Voicemail => "Voicemail",
            Self::FaxDone if inbound => "Received",
            Self::FaxDone => "Sent",
        }
    }
}

impl World {
    /// Calls of one extension, newest first.
    pub(crate) fn calls(&self, index: usize) -> impl Iterator<Item = PhoneCall> {
        let arrived = self.extension(index).calls.clone();
        let seeded = (0..self.config.calls_per_extension).map(move |slot| self.seeded_call(index, slot.into()));
        arrived.into_iter().rev().chain(seeded)
    }

    /// Calls of all extensions, newest first.
    pub(crate) fn account_calls(&self) -> impl Iterator<Item = PhoneCall> {
        let newest_first =
            |calls: &mut Vec<PhoneCall>| calls.sort_by_key(|call| std::cmp::Reverse((call.start, call.id)));
        let mut arrived: Vec<_> =
            (0..self.extensions.len()).flat_map(|index| self.extension(index).calls.clone()).collect();
        newest_first(&mut arrived);
        let seeded = (0..self.config.calls_per_extension).flat_map(move |slot| {
            let mut calls: Vec<_> =
                (0..self.extensions.len()).map(|index| self.seeded_call(index, slot.into())).collect();
            newest_first(&mut calls);
            calls
        });
        arrived.into_iter().chain(seeded)
    }

    /// The call in one slot; slot 0 ends when the simulator starts, the next ones lie before it.
    fn seeded_call(&self, index: usize, slot: u64) -> PhoneCall {
        let roll = mix(mix(self.config.seed ^ 0xca11) ^ ((index as u64) << 32) ^ slot);
        let age = Duration::from_secs(slot * SLOT_S + 1 + roll % (SLOT_S - 1));
        let inbound = roll & (1 << 20) != 0;
        let fax = (roll >> 21).is_multiple_of(20);
        let reached = !(roll >> 27).is_multiple_of(4);
        let result = match (fax, inbound, reached) {
            (true, _, _) => CallResult::FaxDone,
            (false, true, true) => CallResult::Accepted,
            (false, true, false) => CallResult::Missed,
            (false, false, true) => CallResult::Connected,
            (false, false, false) => CallResult::NoAnswer,
        };
        PhoneCall {
            id: FIRST_ID - slot * self.extensions.len() as u64 - index as u64 - 1,
            index,
            start: self.clock.before_start(age),
            seconds: if reached { 5 + (roll >> 32) as u32 % 900 } else { 20 },
            own: self.directory.first_number(index),
            other: Number(FIRST_CUSTOMER + (roll >> 40) % CUSTOMERS),
            inbound,
            fax,
            result,
            voicemail: None,
        }
    }

    /// A call that nobody took, now; with a message if the caller left one.
    pub(crate) fn missed_call(&self, index: usize, own: Number, other: Number, voicemail: Option<u64>) -> PhoneCall {
        PhoneCall {
            id: FIRST_ID + self.counters.next_secret(),
            index,
            start: self.clock.timestamp(self.clock.now()),
            seconds: 20,
            own,
            other,
            inbound: true,
            fax: false,
            result: if voicemail.is_some() { CallResult::Voicemail } else { CallResult::Missed },
            voicemail,
        }
    }
}
