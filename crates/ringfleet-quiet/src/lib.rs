//! Quiet hours in the recipient's time zone: whether a number may be texted at a moment, and if not, from when on.
//!
//! - `zones`: the time zones that a number may be in, by its prefix
//! - `clock`: how long they last by one zone's clocks, whatever those do meanwhile
//!
//! Pure: the caller says what time it is. *Absent on purpose:* knowledge of messages, stores and workers.

mod clock;
mod zones;

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp, civil::Time};

use self::clock::Hours;
pub use self::zones::Zone;

/// A recipient whose zones leave no moment in so many days is looked at again then.
const FARTHEST: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Of the day that quiet hours must leave. A text needs some moments until it has left.
const SHORTEST_DAY: Duration = Duration::from_secs(15 * 60);

/// The hours, by a local clock, in which nothing is sent.
#[derive(Clone, Debug)]
pub struct QuietHours {
    hours: Hours,
    /// Of recipients whose number does not tell.
    zone: Zone,
    spares_high_priority: bool,
    on_its_way: Duration,
}

/// What is wrong with a setting; says what to write instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuietHoursError {
    #[error("is {given:?}, must be a time of day like \"21:00\"")]
    NoTime { given: String },
    #[error("is {given:?}, must be an IANA time zone like \"America/New_York\" that this program knows")]
    NoZone { given: String },
    #[error("is the same as the beginning, which would be never or always; write another time")]
    Equal,
    #[error(
        "leaves less than a quarter of an hour of the day until they begin again; write an earlier end, or a later beginning"
    )]
    TooLong,
}

/// `"21:00"`, or with seconds.
///
/// # Errors
/// [`QuietHoursError::NoTime`].
pub fn time_of_day(text: &str) -> Result<Time, QuietHoursError> {
    // The library also takes `T21` and dates.
    let plain = text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let time = text.parse().ok().filter(|_| plain);
    time.ok_or_else(|| QuietHoursError::NoTime { given: text.to_owned() })
}

impl QuietHours {
    /// From `from` to `to` by the recipient's clock, over midnight if `to` is the earlier; at `to` it is over.
    ///
    /// # Errors
    /// [`QuietHoursError::Equal`]; [`QuietHoursError::TooLong`], as messages would be put off for ever.
    pub fn try_new(from: Time, to: Time, zone: Zone, spares_high_priority: bool) -> Result<Self, QuietHoursError> {
        if from == to {
            return Err(QuietHoursError::Equal);
        }
        let made = Self { hours: Hours { from, to }, zone, spares_high_priority, on_its_way: Duration::ZERO };
        if made.day() < SHORTEST_DAY { Err(QuietHoursError::TooLong) } else { Ok(made) }
    }

    /// For texts that may take so long from their turn until they have left: see [`Recipient::put_off_until`]. Else they take no time.
    pub fn with_on_its_way(self, on_its_way: Duration) -> Self {
        Self { on_its_way, ..self }
    }

    /// How much of a day of 24 hours they leave.
    pub fn day(&self) -> Duration {
        let left = self.hours.to.duration_until(self.hours.from);
        let left = if left.is_positive() { left } else { left + SignedDuration::from_hours(24) };
        left.unsigned_abs()
    }

    /// Whether a message of high, or of another, priority waits for their end.
    pub fn binds(&self, high_priority: bool) -> bool {
        !(high_priority && self.spares_high_priority)
    }

    /// Of a number in E.164 form, with or without its +.
    pub fn of(&self, number: &str) -> Recipient<'_> {
        let known = Zone::of(number);
        let zones = if known.is_empty() { std::slice::from_ref(&self.zone) } else { known };
        Recipient { hours: &self.hours, by_number: !known.is_empty(), zones, on_its_way: self.on_its_way }
    }
}

/// A recipient's clocks: more than one where its number leaves open in which of several zones it is.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    hours: &'a Hours,
    by_number: bool,
    zones: &'a [Zone],
    on_its_way: Duration,
}

impl<'a> Recipient<'a> {
    /// Whether its number has told the zones; else it is the fleet's own.
    pub fn by_number(&self) -> bool {
        self.by_number
    }

    /// Never empty.
    pub fn zones(&self) -> &'a [Zone] {
        self.zones
    }

    /// `None` if all its clocks permit a text at `at`; else the next moment at which they all do. Where there is none within
    /// eight days, a moment after them, to be looked at again.
    pub fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        let mut until = at;
        // Each zone may have quiet hours of its own when another's end, or still have them after a change of its clocks.
        while let Some(end) = self.zones.iter().find_map(|zone| self.hours.quiet_up_to(zone, until)) {
            until = end;
            if until.duration_since(at) > FARTHEST {
                break;
            }
        }
        (until > at).then_some(until)
    }

    /// Until when a text is put off whose turn comes at `at`; `None` lets it go. Quiet hours that begin while it may be on its way
    /// bind it too.
    pub fn put_off_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.quiet_until(at).or_else(|| self.quiet_until(at.saturating_add(self.on_its_way).ok()?))
    }

    /// What the clock says at a moment: `08:00 in America/New_York`, of the first of its zones.
    pub fn local(&self, at: Timestamp) -> Local<'a> {
        Local { zones: self.zones, at }
    }
}

/// A time of day and where: see [`Recipient::local`].
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    zones: &'a [Zone],
    at: Timestamp,
}

impl fmt::Display for Local<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.zones.split_first() else { return Ok(()) };
        write!(f, "{} in {}", first.clock(self.at).strftime("%H:%M"), first.name())?;
        match others.len() {
            0 => Ok(()),
            1 => write!(f, ", {} in {}", others[0].clock(self.at).strftime("%H:%M"), others[0].name()),
            more => write!(f, " and {more} zones more"),
        }
    }
}
