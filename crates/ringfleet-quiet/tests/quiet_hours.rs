//! Quiet hours against a clock that is asked minute by minute.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

use jiff::{
    SignedDuration, Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use proptest::prelude::*;
use ringfleet_quiet::{QuietHours, QuietHoursError, Zone, time_of_day};

fn hours(from: &str, to: &str, zone: &str) -> QuietHours {
    QuietHours::try_new(time_of_day(from).unwrap(), time_of_day(to).unwrap(), Zone::try_new(zone).unwrap(), false)
        .unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn until(hours: &QuietHours, number: &str, now: &str) -> Option<String> {
    hours.of(number).quiet_until(at(now)).map(|until| until.to_string())
}

fn names(number: &str) -> Vec<String> {
    let hours = hours("21:00", "08:00", "America/New_York");
    hours.of(number).zones().iter().map(|zone| zone.name().to_owned()).collect()
}

/// By the same zones, and no other arithmetic: what their clocks say at this moment.
fn is_quiet(zones: &[TimeZone], from: i64, to: i64, at: Timestamp) -> bool {
    zones.iter().any(|zone| {
        let clock = zone.to_datetime(at);
        let minute = i64::from(clock.hour()) * 60 + i64::from(clock.minute());
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    })
}

fn zones_of(number: &str) -> Vec<TimeZone> {
    names(number).iter().map(|name| TimeZoneDatabase::bundled().get(name).unwrap()).collect()
}

#[test]
fn the_longest_prefix_tells_the_zone_and_a_number_of_no_place_has_the_fleets_own() {
    assert_eq!(names("+12125550100"), ["America/New_York"]);
    assert_eq!(names("+13105550100"), ["America/Los_Angeles"]);
    assert_eq!(names("+18505550100"), ["America/New_York"], "its area code");
    assert_eq!(names("+18504320100"), ["America/Chicago"], "its exchange");
    assert_eq!(names("+12080000100"), ["America/Boise", "America/Denver", "America/Los_Angeles"], "all of the area");
    assert_eq!(names("+442071234567"), ["Europe/London"]);
    assert_eq!(names("+81312345678"), ["Asia/Tokyo"]);
    for nowhere in ["+18005550100", "+18885550100", "+15555550100", "+870123456", "+80012345678", "", "+"] {
        assert_eq!(names(nowhere), ["America/New_York"], "{nowhere}");
        assert!(!hours("21:00", "08:00", "America/New_York").of(nowhere).by_number());
    }
}

#[test]
fn a_night_ends_at_its_hour_by_the_recipients_clock() {
    let hours = hours("21:00", "08:00", "America/New_York");
    // Winter: New York is five hours behind, Los Angeles eight.
    assert_eq!(until(&hours, "+12125550100", "2030-01-15T01:59:59Z"), None, "20:59:59");
    assert_eq!(until(&hours, "+12125550100", "2030-01-15T02:00:00Z").as_deref(), Some("2030-01-15T13:00:00Z"));
    assert_eq!(until(&hours, "+12125550100", "2030-01-15T12:59:59.999Z").as_deref(), Some("2030-01-15T13:00:00Z"));
    assert_eq!(until(&hours, "+12125550100", "2030-01-15T13:00:00Z"), None, "08:00");
    assert_eq!(until(&hours, "+13105550100", "2030-01-15T13:00:00Z").as_deref(), Some("2030-01-15T16:00:00Z"));
    let told = hours.of("+13105550100").local(at("2030-01-15T16:00:00Z")).to_string();
    assert_eq!(told, "08:00 in America/Los_Angeles");
}

#[test]
fn all_zones_that_a_number_may_be_in_must_permit() {
    let hours = hours("21:00", "08:00", "America/New_York");
    let idaho = "+12085550100";
    // 08:00 in Boise is 07:00 in Los Angeles; 20:30 in Los Angeles is 21:30 in Boise.
    assert_eq!(until(&hours, idaho, "2030-01-15T15:00:00Z").as_deref(), Some("2030-01-15T16:00:00Z"));
    assert_eq!(until(&hours, idaho, "2030-01-16T04:30:00Z").as_deref(), Some("2030-01-16T16:00:00Z"));
}

#[test]
fn an_hour_that_a_change_of_the_clocks_skips_or_repeats_is_reckoned_with() {
    let night = |to| hours("01:00", to, "America/New_York");
    // 2030-03-10, New York: after 01:59 comes 03:00, at 07:00 UTC.
    assert_eq!(until(&night("02:30"), "", "2030-03-10T06:30:00Z").as_deref(), Some("2030-03-10T07:00:00Z"));
    // 2030-11-03: after 01:59 comes 01:00 once more, at 06:00 UTC.
    let twice = hours("01:30", "02:00", "America/New_York");
    assert_eq!(until(&twice, "", "2030-11-03T05:45:00Z").as_deref(), Some("2030-11-03T06:00:00Z"), "01:00 again");
    assert_eq!(until(&twice, "", "2030-11-03T06:15:00Z"), None, "01:15 for the second time");
    assert_eq!(until(&twice, "", "2030-11-03T06:45:00Z").as_deref(), Some("2030-11-03T07:00:00Z"));
}

#[test]
fn zones_that_leave_no_moment_are_looked_at_again_after_days() {
    // +7 is sixteen zones from Moscow to Kamchatka.
    let narrow = hours("10:00", "09:00", "America/New_York");
    let now = at("2030-06-01T00:00:00Z");
    let until = narrow.of("+7").quiet_until(now).unwrap();
    assert!(until.duration_since(now) > SignedDuration::from_hours(8 * 24), "{until}");
    assert!(until.duration_since(now) < SignedDuration::from_hours(10 * 24), "{until}");
}

#[test]
fn a_fault_says_what_to_write() {
    for bad in ["", "9", "21", "9:00", "24:00", "21:60", "+1:00", "T21:00", "2030-01-15T21:00", "noon"] {
        assert_eq!(time_of_day(bad), Err(QuietHoursError::NoTime { given: bad.to_owned() }));
    }
    assert_eq!(time_of_day("21:00"), time_of_day("21:00:00"));
    let made = |from, to| {
        let [from, to] = [from, to].map(|time| time_of_day(time).unwrap());
        QuietHours::try_new(from, to, Zone::try_new("Europe/Berlin").unwrap(), false).map(drop)
    };
    assert_eq!(made("21:00", "21:00"), Err(QuietHoursError::Equal));
    for (from, to) in [("08:00:05", "08:00"), ("00:04", "23:50")] {
        assert_eq!(made(from, to), Err(QuietHoursError::TooLong), "{from} to {to}");
    }
    assert_eq!((made("08:15", "08:00"), made("00:05", "23:50")), (Ok(()), Ok(())));
    assert!(Zone::try_new("America/Gotham").unwrap_err().to_string().contains("\"America/Gotham\""));
}

#[test]
fn only_where_it_is_spared_does_high_priority_go_at_night() {
    let bound = |spares| {
        let [from, to] = ["21:00", "08:00"].map(|time| time_of_day(time).unwrap());
        let hours = QuietHours::try_new(from, to, Zone::try_new("UTC").unwrap(), spares).unwrap();
        [hours.binds(true), hours.binds(false)]
    };
    assert_eq!((bound(false), bound(true)), ([true, true], [false, true]));
}

/// New York, Chicago by its exchange, three zones of Idaho, London, Sydney, Lord Howe and others (half an hour), Iran, Chile,
/// Casablanca (Ramadan), Russia, and one of no place.
const NUMBERS: [&str; 10] = [
    "+12125550100",
    "+18504320100",
    "+12085550100",
    "+442071234567",
    "+61280000000",
    "+61400000000",
    "+989120000000",
    "+56220000000",
    "+212520000000",
    "+18005550100",
];

fn minutes() -> impl Strategy<Value = (i64, i64)> {
    // Quarters meet the hours at which clocks change.
    let minute = || prop_oneof![(0..96i64).prop_map(|quarter| quarter * 15), 0..1_440i64];
    (minute(), minute()).prop_filter("they leave some of the day", |(from, to)| (from - to).rem_euclid(1_440) >= 15)
}

/// A moment of the years 2000 to 2050, mostly within two days of a change of the zone's clocks, and its second.
fn moment(number: &'static str) -> impl Strategy<Value = Timestamp> {
    let any = 946_684_800..2_524_608_000i64;
    (any, prop::bool::weighted(0.8), -2_880..2_880i64, prop_oneof![Just(0), 0..60i64]).prop_map(
        move |(second, near, minutes, rest)| {
            let any = Timestamp::from_second(second / 60 * 60 + rest).unwrap();
            let change =
                zones_of(number).iter().find_map(|zone| zone.following(any).next().map(|next| next.timestamp()));
            match change.filter(|_| near) {
                Some(change) => change + SignedDuration::from_mins(minutes) + SignedDuration::from_secs(rest),
                None => any,
            }
        },
    )
}

fn asked() -> impl Strategy<Value = (&'static str, Timestamp)> {
    prop::sample::select(&NUMBERS[..]).prop_flat_map(|number| moment(number).prop_map(move |at| (number, at)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_quiet_is_permitted_and_the_end_is_the_first_moment_that_is_not((number, now) in asked(), (from, to) in minutes()) {
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let hours = hours(&clock(from), &clock(to), "America/New_York");
        let zones = zones_of(number);
        let found = hours.of(number).quiet_until(now);
        prop_assert_eq!(found.is_some(), is_quiet(&zones, from, to, now));
        if let Some(end) = found {
            let days = end.duration_since(now) > SignedDuration::from_hours(8 * 24);
            prop_assert_eq!(is_quiet(&zones, from, to, end) && !days, false, "{} is quiet", end);
            // Every minute up to there, and the last moment.
            let second = SignedDuration::from_nanos(1);
            prop_assert!(is_quiet(&zones, from, to, end - second), "{} was early enough", end - second);
            let mut minute = Timestamp::from_second(now.as_second() / 60 * 60 + 60).unwrap();
            while minute < end {
                prop_assert!(is_quiet(&zones, from, to, minute), "{} was early enough", minute);
                minute += SignedDuration::from_mins(1);
            }
        }
    }
}
