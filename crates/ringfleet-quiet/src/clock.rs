//! One zone's clock, which may leap over the beginning or the end of the quiet hours, or show it twice.

use jiff::{Timestamp, civil::Time};

use crate::zones::Zone;

/// By a local clock; `from` is quiet, `to` is not. Never equal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hours {
    pub(crate) from: Time,
    pub(crate) to: Time,
}

impl Hours {
    pub(crate) fn is_quiet(&self, clock: Time) -> bool {
        if self.from < self.to { self.from <= clock && clock < self.to } else { clock >= self.from || clock < self.to }
    }

    /// `None` if it is not quiet in the zone at `at`; else the first moment after it at which it is not.
    ///
    /// Between two changes of its offset a clock just runs, so the end is where it shows `to`, or a change before that which
    /// makes it show an hour that is not quiet.
    pub(crate) fn end(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        let mut from = at;
        if !self.is_quiet(zone.clock(from)) {
            return None;
        }
        loop {
            let shown = zone.clock(from);
            let left = shown.duration_until(self.to);
            let day = jiff::SignedDuration::from_hours(24);
            let left = if left.is_positive() { left } else { left + day };
            // Times of the year 9999 have no end.
            let end = from.checked_add(left).ok()?;
            match zone.next_change(from).filter(|change| *change <= end) {
                None => return Some(end),
                Some(change) if !self.is_quiet(zone.clock(change)) => return Some(change),
                Some(change) => from = change,
            }
        }
    }
}
