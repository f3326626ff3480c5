//! Dates: an instant or a refusal, never a guess about somebody's time zone.

use jiff::{Timestamp, ToSpan, civil};
use ringfleet_store::Millis;

use crate::refusal::{Code, Field, Refusal};

/// A message that waits longer than this is a typing error in the year.
const MOST_DAYS_AHEAD: i64 = 366;
/// One that should have gone before is of an old file, or a typing error. What is late by less has waited for its store.
const MOST_DAYS_PAST: i64 = 7;
/// No place on earth is further from UTC.
const MOST_MINUTES_OFF: u32 = 14 * 60;

/// Parses RFC 3339. The value is not repeated in the refusal: a column of numbers may stand where dates should.
pub(crate) fn instant(field: Field, raw: &str) -> Result<Millis, Refusal> {
    let parsed = if is_rfc_3339(raw) { raw.parse::<Timestamp>().ok().or_else(|| beyond_the_last(raw)) } else { None };
    // Millisecond zero means "no time" in the store.
    parsed.map(|time| time.as_millisecond().max(1)).ok_or_else(|| not_an_instant(field, raw))
}

/// The shape of section 5.6, with the blank that it allows in place of the T.
// SEND-SAFETY: jiff takes other forms too, and means by them what their writer need not: it reads past a `[Zone/Name]`, and takes
// +25:00 for the day before. Each would be a text at a wrong hour.
fn is_rfc_3339(raw: &str) -> bool {
    let fits = |byte: u8, sign: u8| if sign == b'0' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(&sign) };
    let (Some(time), Some(mut rest)) = (raw.get(..19), raw.get(19..)) else { return false };
    let shaped =
        |raw: &str, shape: &str| raw.len() == shape.len() && raw.bytes().zip(shape.bytes()).all(|(a, b)| fits(a, b));
    if !shaped(time, "0000-00-00T00:00:00") && !shaped(time, "0000-00-00 00:00:00") {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == fraction.len() {
            return false;
        }
    }
    let Some(offset) = rest.strip_prefix(['+', '-']) else { return rest.eq_ignore_ascii_case("Z") };
    let number = |digits: &str| digits.parse::<u32>().unwrap_or(u32::MAX);
    shaped(offset, "00:00")
        && number(&offset[3..]) < 60
        && number(&offset[..2]) * 60 + number(&offset[3..]) <= MOST_MINUTES_OFF
}

/// "Never", as many write it: the last day of the year 9999 ends behind the last instant that there is here, which means the same.
fn beyond_the_last(raw: &str) -> Option<Timestamp> {
    let is_date = raw.starts_with("9999-") && raw.get(..19)?.parse::<civil::DateTime>().is_ok();
    is_date.then_some(Timestamp::MAX)
}

fn not_an_instant(field: Field, raw: &str) -> Refusal {
    if !raw.contains('[') && raw.parse::<civil::DateTime>().is_ok() && is_without_offset(raw) {
        return Refusal::new(
            field,
            Code::DateWithoutOffset,
            "has no offset from UTC, so it could mean 24 different hours",
            "add Z or the offset, like 2026-01-31T09:00:00-05:00",
        );
    }
    Refusal::new(
        field,
        Code::BadDate,
        "is not a date and time",
        "write RFC 3339 with seconds and offset, like 2026-01-31T09:00:00-05:00",
    )
}

/// Of what jiff reads as a local time, which may have an offset that it leaves aside.
fn is_without_offset(raw: &str) -> bool {
    let time = raw.get("2026-01-31".len()..).unwrap_or_default();
    !time.is_empty() && !time.contains(['+', '-', 'Z', 'z'])
}

/// The rules between the two dates and the present.
pub(crate) fn faults(send_at: Option<Millis>, send_by: Option<Millis>, now: Timestamp) -> Vec<Refusal> {
    let mut faults = Vec::new();
    let latest = now.checked_add((MOST_DAYS_AHEAD * 24).hours()).unwrap_or(Timestamp::MAX).as_millisecond();
    if send_at.is_some_and(|at| at > latest) {
        let problem = format!("is more than {MOST_DAYS_AHEAD} days ahead");
        faults.push(Refusal::new(Field::SendAt, Code::SendAtTooFar, problem, "check the year, or enqueue it later"));
    }
    // SEND-SAFETY: a file of last year would go out at once, to all of its recipients.
    let earliest = now.checked_sub((MOST_DAYS_PAST * 24).hours()).unwrap_or(Timestamp::MIN).as_millisecond();
    if send_at.is_some_and(|at| at < earliest) {
        let problem = format!("is more than {MOST_DAYS_PAST} days past");
        let remedy = "check the date, or leave it out to send now";
        faults.push(Refusal::new(Field::SendAt, Code::SendAtPast, problem, remedy));
    }
    let Some(send_by) = send_by else { return faults };
    if send_by <= now.as_millisecond() {
        let remedy = "move it into the future, or leave it out to send at any time";
        faults.push(Refusal::new(Field::SendBy, Code::SendByPast, "is already past", remedy));
    }
    if send_at.is_some_and(|at| send_by <= at) {
        let remedy = "make send_by later than send_at";
        faults.push(Refusal::new(Field::SendBy, Code::SendByBeforeSendAt, "is not after send_at", remedy));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn at(raw: &str) -> Option<Millis> {
        Some(instant(Field::SendAt, raw).unwrap())
    }

    fn codes(send_at: Option<Millis>, send_by: Option<Millis>) -> Vec<Code> {
        faults(send_at, send_by, now()).into_iter().map(|fault| fault.code).collect()
    }

    fn words(send_at: Option<Millis>, send_by: Option<Millis>) -> Vec<&'static str> {
        codes(send_at, send_by).into_iter().map(Code::as_str).collect()
    }

    #[test]
    fn offsets_and_z_name_the_same_instant() {
        assert_eq!(at("2026-01-31T12:00:00Z"), at("2026-01-31T07:00:00-05:00"));
        assert_eq!(at("2026-01-31T12:00:00Z"), Some(now().as_millisecond()));
        assert_eq!(at("1969-12-31T23:00:00Z"), Some(1), "zero means no time");
    }

    #[test]
    fn local_time_is_refused_with_the_remedy() {
        for raw in ["2026-01-31T09:00:00", "2026-01-31 09:00", "2026-01-31T09:00:00.5"] {
            let refusal = instant(Field::SendBy, raw).unwrap_err();
            assert_eq!((refusal.field, refusal.code), (Field::SendBy, Code::DateWithoutOffset), "{raw}");
            assert!(refusal.remedy.contains("offset"));
        }
    }

    #[test]
    fn what_is_no_date_is_refused_without_being_repeated() {
        let others = ["", "tomorrow", "2026-03-15", "2026-02-30T09:00:00Z", "31.01.2026 09:00", "+15550100001"];
        for raw in others.into_iter().chain(["2026-03-15T09:00:00-05:00[America/New_York]"]) {
            let refusal = instant(Field::SendAt, raw).unwrap_err();
            assert_eq!(refusal.code, Code::BadDate, "{raw}");
            assert!(raw.is_empty() || !refusal.to_string().contains(raw));
        }
    }

    #[test]
    fn send_by_must_lie_ahead_and_after_send_at() {
        assert_eq!(codes(None, at("2026-01-31T12:00:00Z")), [Code::SendByPast]);
        assert_eq!(codes(None, at("2026-01-31T12:00:01Z")), []);
        assert_eq!(codes(at("2026-02-01T12:00:00Z"), at("2026-02-01T12:00:00Z")), [Code::SendByBeforeSendAt]);
        let both = codes(at("2026-01-31T11:00:00Z"), at("2026-01-31T10:00:00Z"));
        assert_eq!(both, [Code::SendByPast, Code::SendByBeforeSendAt]);
    }

    #[test]
    fn send_at_may_be_a_week_past_but_no_more_and_not_years_ahead() {
        assert_eq!(words(at("2026-01-24T12:00:00Z"), None), [""; 0], "it is due at once");
        assert_eq!(words(at("2026-01-24T11:59:59Z"), None), ["send-at-past"]);
        assert_eq!(words(at("2025-01-31T12:00:00Z"), None), ["send-at-past"]);
        assert_eq!(words(at("2027-02-01T12:00:00Z"), None), [""; 0]);
        assert_eq!(words(at("2027-02-01T12:00:01Z"), None), ["send-at-too-far"]);
        let old = &faults(at("2025-01-31T12:00:00Z"), None, now())[0];
        assert_eq!(old.to_string(), "send_at: is more than 7 days past; check the date, or leave it out to send now");
    }

    #[test]
    fn what_stands_beyond_the_last_date_there_is_means_that_one() {
        let never = at("9999-12-31T23:59:59Z");
        assert_eq!(never, Some(Timestamp::MAX.as_millisecond()));
        assert_eq!(at("9999-12-31T23:59:59.999-14:00"), never);
        assert_eq!(words(None, never), [""; 0]);
        assert_eq!(words(never, None), ["send-at-too-far"]);
        assert!(instant(Field::SendBy, "9999-12-32T23:59:59Z").is_err());
    }

    #[test]
    fn only_what_rfc_3339_has_is_a_date() {
        for raw in ["2026-12-01T09:00:00+14:00", "2026-12-01t09:00:00.123456z", "2026-12-01 09:00:00-00:00"] {
            assert!(instant(Field::SendAt, raw).is_ok(), "{raw}");
        }
        for raw in [
            "2026-12-01T09:00:00+25:00",
            "2026-12-01T09:00:00+14:01",
            "2026-12-01T09:00:00-05:60",
            "2026-12-01T09:00:00-05:00:30",
            "2026-12-01T09:00:00-0500",
            "2026-12-01T09:00:00-05",
            "2026-12-01T09-05:00",
            "2026-12-01T09:00Z",
            "2026-12-01T09Z",
            "20261201T090000-0500",
            "20261201T090000Z",
            "2026-12-01T090000Z",
            "+002026-12-01T09:00:00Z",
            "2026-12-01T09:00:00,5Z",
            "2026-12-01T09:00:00.Z",
            "2026-12-01T24:00:00Z",
        ] {
            assert_eq!(instant(Field::SendAt, raw).unwrap_err().code, Code::BadDate, "{raw}");
        }
    }
}
