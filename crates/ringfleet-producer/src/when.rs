//! Dates: an instant or a refusal, never a guess about somebody's time zone.

use jiff::{Timestamp, ToSpan, civil};
use ringfleet_store::Millis;

use crate::refusal::{Code, Field, Refusal};

/// A message that waits longer than this is a typing error in the year.
const MOST_DAYS_AHEAD: i64 = 366;

/// Parses RFC 3339. The value is not repeated in the refusal: a column of numbers may stand where dates should.
pub(crate) fn instant(field: Field, raw: &str) -> Result<Millis, Refusal> {
    // jiff would read past a `[Zone/Name]` and use the offset alone; when the two disagree, that is a wrong hour.
    let parsed = if raw.contains('[') { None } else { raw.parse::<Timestamp>().ok() };
    // Millisecond zero means "no time" in the store.
    parsed.map(|time| time.as_millisecond().max(1)).ok_or_else(|| not_an_instant(field, raw))
}

fn not_an_instant(field: Field, raw: &str) -> Refusal {
    if !raw.contains('[') && raw.parse::<civil::DateTime>().is_ok() && raw.len() > "2026-01-31".len() {
        return Refusal::new(
            field,
            Code::DateWithoutOffset,
            "has no offset from UTC, so it could mean 24 different hours",
            "add Z or the offset, like 2026-01-31T09:00:00-05:00",
        );
    }
    Refusal::new(field, Code::BadDate, "is not a date and time", "write RFC 3339, like 2026-01-31T09:00:00-05:00")
}

/// The rules between the two dates and the present.
pub(crate) fn faults(send_at: Option<Millis>, send_by: Option<Millis>, now: Timestamp) -> Vec<Refusal> {
    let mut faults = Vec::new();
    let latest = now.checked_add((MOST_DAYS_AHEAD * 24).hours()).unwrap_or(Timestamp::MAX).as_millisecond();
    if send_at.is_some_and(|at| at > latest) {
        let problem = format!("is more than {MOST_DAYS_AHEAD} days ahead");
        faults.push(Refusal::new(Field::SendAt, Code::SendAtTooFar, problem, "check the year, or enqueue it later"));
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
    fn send_at_may_be_past_but_not_years_ahead() {
        assert_eq!(codes(at("2025-01-31T12:00:00Z"), None), [], "it is due at once");
        assert_eq!(codes(at("2027-02-01T12:00:00Z"), None), []);
        assert_eq!(codes(at("2027-02-01T12:00:01Z"), None), [Code::SendAtTooFar]);
    }
}
