//! The zones that a number may be in, by the longest prefix that the table knows. A number can be kept when its owner moves:
//! then it tells where it was given out, not where the phone is.

use std::{collections::HashMap, sync::LazyLock};

use jiff::{
    Timestamp,
    civil::Time,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::QuietHoursError;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("../data/zones.txt")));

/// A time zone by its IANA name, as this program knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone(TimeZone);

struct Table {
    sets: HashMap<&'static str, usize>,
    zones: Vec<Vec<Zone>>,
    longest: usize,
}

impl Zone {
    /// # Errors
    /// [`QuietHoursError::NoZone`].
    pub fn try_new(name: &str) -> Result<Self, QuietHoursError> {
        // Not the machine's: two of a fleet would reckon with different rules, and a container has none.
        let zone = TimeZoneDatabase::bundled().get(name);
        zone.map(Self).map_err(|_| QuietHoursError::NoZone { given: name.to_owned() })
    }

    /// None for one that the table does not know, and for numbers of +1 that belong to no place, such as toll-free ones.
    pub(crate) fn of(number: &str) -> &'static [Zone] {
        let digits = number.strip_prefix('+').unwrap_or(number);
        let known = |length| TABLE.sets.get(digits.get(..length)?);
        (1..=TABLE.longest).rev().find_map(known).map_or(&[], |set| &TABLE.zones[*set])
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What its clocks show.
    pub fn clock(&self, at: Timestamp) -> Time {
        self.0.to_datetime(at).time()
    }

    /// When its clocks are put forward or back next.
    pub(crate) fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.0.following(after).next().map(|change| change.timestamp())
    }
}

impl Table {
    /// A zone that the bundled database does not have is left out; a test knows that there is none.
    fn read(text: &'static str) -> Self {
        let mut table = Self { sets: HashMap::new(), zones: Vec::new(), longest: 0 };
        let mut known = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let names = words.next().unwrap_or_default().split(',');
            let set = names.filter_map(|name| known.entry(name).or_insert_with(|| Zone::try_new(name).ok()).clone());
            table.zones.push(set.collect());
            for prefix in words {
                table.longest = table.longest.max(prefix.len());
                table.sets.insert(prefix, table.zones.len() - 1);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_of_the_table_is_in_the_program() {
        let lines = include_str!("../data/zones.txt").lines().filter(|line| !line.starts_with('#'));
        let names: Vec<&str> = lines.flat_map(|line| line.split(' ').next().unwrap().split(',')).collect();
        assert!(names.len() > 300 && TABLE.sets.len() > 3_000, "the table is no longer read");
        for name in names {
            assert!(Zone::try_new(name).is_ok(), "{name}");
        }
    }
}
