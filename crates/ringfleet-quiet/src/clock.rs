//! One zone's clock, which may leap over the beginning or the end of the quiet hours, or show it twice.

use jiff::{SignedDuration, Timestamp, civil::Time};

use crate::zones::Zone;

const DAY: SignedDuration = SignedDuration::from_hours(24);

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

    /// `None` if it is not quiet in the zone at `at`; else a later moment, up to which it certainly is.
    ///
    /// Between two changes of its offset a clock just runs: that moment is when it shows `to`, or is put forward or back before that.
    pub(crate) fn quiet_up_to(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        let clock = zone.clock(at);
        if !self.is_quiet(clock) {
            return None;
        }
        let left = clock.duration_until(self.to);
        let left = if left.is_positive() { left } else { left + DAY };
        // The last moments of the year 9999 have no end.
        let end = at.checked_add(left).ok()?;
        Some(zone.next_change(at).map_or(end, |change| change.min(end)))
    }
}
