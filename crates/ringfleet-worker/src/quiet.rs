//! Whether a message may leave now by its recipient's clock.

use std::time::Duration;

use jiff::Timestamp;
use ringcentral::PhoneNumber;
use ringfleet_quiet::QuietHours;
use ringfleet_store::Priority;

use crate::sender::SESSION_PATIENCE;

/// What a connection takes, mostly.
const TO_CONNECT: Duration = Duration::from_secs(5);

/// How long a text may take from the look at its recipient's clock until it has left, where a worker has such leases: the wait for
/// a session, half a lease at most, and the connection.
pub fn on_its_way(lease: Duration) -> Duration {
    SESSION_PATIENCE + lease / 2 + TO_CONNECT
}

/// For how long the message is to be put off; `None` lets it go. By this machine's clock: one that is wrong by minutes sends by so
/// much too early or too late.
pub(crate) fn delay(
    hours: Option<&QuietHours>,
    to: &PhoneNumber,
    priority: Priority,
    now: Timestamp,
) -> Option<Duration> {
    let recipient = hours.filter(|hours| hours.binds(priority == Priority::High))?.of(to.expose());
    let until = recipient.put_off_until(now)?;
    // A whole millisecond at least: the store knows no less, and a message without a delay comes back at once.
    Some(until.duration_since(now).unsigned_abs() + Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use ringfleet_quiet::{Zone, time_of_day};

    use super::*;

    /// Of it half is on the way.
    const LEASE: Duration = Duration::from_secs(10);
    const NEW_YORK: &str = "+12125550100";
    const HONOLULU: &str = "+18085550100";

    fn delay_at(now: &str, to: &str, priority: Priority, spares: bool) -> Option<u64> {
        let [from, till] = ["21:00", "08:00"].map(|time| time_of_day(time).unwrap());
        let hours = QuietHours::try_new(from, till, Zone::try_new("America/New_York").unwrap(), spares).unwrap();
        let hours = hours.with_on_its_way(on_its_way(LEASE));
        let to = PhoneNumber::try_new(to).unwrap();
        delay(Some(&hours), &to, priority, now.parse().unwrap()).map(|delay| delay.as_secs())
    }

    #[test]
    fn a_message_is_put_off_to_the_end_of_its_recipients_quiet_hours() {
        // 22:00 in New York, 17:00 in Honolulu.
        assert_eq!(delay_at("2030-01-15T03:00:00Z", NEW_YORK, Priority::Normal, false), Some(10 * 3_600));
        assert_eq!(delay_at("2030-01-15T03:00:00Z", HONOLULU, Priority::Normal, false), None);
        assert_eq!(delay_at("2030-01-15T12:59:59.999Z", NEW_YORK, Priority::Normal, false), Some(0));
        assert_eq!(delay_at("2030-01-15T13:00:00Z", NEW_YORK, Priority::Normal, false), None);
        let to = PhoneNumber::try_new(NEW_YORK).unwrap();
        assert_eq!(delay(None, &to, Priority::Normal, "2030-01-15T03:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn what_would_leave_just_when_quiet_hours_begin_is_put_off_too() {
        assert_eq!(delay_at("2030-01-15T01:59:44Z", NEW_YORK, Priority::Normal, false), None);
        assert_eq!(delay_at("2030-01-15T01:59:46Z", NEW_YORK, Priority::Normal, false), Some(11 * 3_600 + 14));
    }

    #[test]
    fn only_high_priority_goes_at_night_and_only_where_that_is_set() {
        let at_night = |priority, spares| delay_at("2030-01-15T03:00:00Z", NEW_YORK, priority, spares).is_some();
        assert!(at_night(Priority::High, false) && at_night(Priority::Normal, true) && at_night(Priority::Low, true));
        assert!(!at_night(Priority::High, true));
    }
}
