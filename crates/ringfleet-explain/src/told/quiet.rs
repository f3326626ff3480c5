//! What is told of a recipient's quiet hours.

use jiff::Timestamp;
use ringfleet_quiet::{QuietHours, Recipient};
use ringfleet_store::{Millis, Priority, Private};
use serde::Serialize;

use super::rfc3339;

/// The quiet hours that bind a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToldQuietHours {
    /// IANA names of the time zones that were reckoned with: all must permit.
    pub zones: Vec<String>,
    /// Whether the number has told them; else it is `quiet_hours.zone`.
    pub by_number: bool,
    /// The end of those that it is in now; RFC 3339.
    pub until: Option<String>,
    pub text: String,
}

/// The recipient of a message that its quiet hours bind.
pub fn bound<'a>(hours: Option<&'a QuietHours>, to: &Private, priority: Priority) -> Option<Recipient<'a>> {
    hours.filter(|hours| hours.binds(priority == Priority::High)).map(|hours| hours.of(to.expose()))
}

impl ToldQuietHours {
    pub(super) fn of(recipient: &Recipient<'_>, now: Millis) -> Self {
        let whence = if recipient.by_number() { "by the number" } else { "quiet_hours.zone, as the number tells none" };
        let until = moment(now).and_then(|now| recipient.quiet_until(now)).map(Timestamp::as_millisecond);
        let clock = moment(now).map(|now| recipient.local(now).to_string()).unwrap_or_default();
        let quiet = if until.is_some() { "quiet hours" } else { "no quiet hours" };
        Self {
            zones: recipient.zones().iter().map(|zone| zone.name().to_owned()).collect(),
            by_number: recipient.by_number(),
            until: until.map(rfc3339),
            text: format!("its recipient's clock shows {clock} ({whence}): {quiet}"),
        }
    }
}

/// The end of the quiet hours for which a worker puts off what has its turn at a moment; whole milliseconds, and not before it.
pub(super) fn put_off_until(recipient: &Recipient<'_>, at: Millis) -> Option<Millis> {
    recipient.put_off_until(moment(at)?).map(Timestamp::as_millisecond)
}

/// Behind a sentence.
pub(super) fn by_its_clock(recipient: &Recipient<'_>, at: Millis) -> String {
    moment(at).map(|at| format!(" (to {})", recipient.local(at))).unwrap_or_default()
}

fn moment(at: Millis) -> Option<Timestamp> {
    Timestamp::from_millisecond(at).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringfleet_quiet::{Zone, time_of_day};
    use ringfleet_store::{Eta, Explained, Gate, LaneFacts, LaneId, MessageId, Place, Plan, Stand, State};

    use super::{super::Told, *};

    /// 22:00 of 14 January 2030 in New York.
    const NOW: Millis = 1_894_676_400_000;
    const HOUR: Millis = 3_600_000;

    fn hours() -> QuietHours {
        let [from, to] = ["21:00", "08:00"].map(|time| time_of_day(time).unwrap());
        let hours = QuietHours::try_new(from, to, Zone::try_new("America/New_York").unwrap(), true).unwrap();
        hours.with_on_its_way(Duration::from_secs(15))
    }

    fn one_waits(lane: LaneId) -> LaneFacts {
        LaneFacts {
            lane,
            now: NOW,
            plan: Plan { limit: 40, window_ms: 60_000 },
            slots: Vec::new(),
            penalty_until: 0,
            probe: false,
            paused: false,
            parked: None,
            in_flight: 0,
            cap: 8,
            waiting: [0, 1, 0],
            oldest_due: None,
            gate: Gate::Open,
            workers: 1,
        }
    }

    fn explained(state: State, due_at: Millis, quiet: bool, send_by: Option<Millis>) -> Explained {
        let lane = one_waits("main/101/medium".parse().unwrap());
        let stand = Stand::Waiting { due_at, quiet, place: Place::default(), busy: None };
        Explained { id: MessageId::random(), state, priority: Priority::Normal, send_by, stand, lane }
    }

    fn told(explained: &Explained, to: &str) -> Told {
        let hours = hours();
        Told::of(explained, bound(Some(&hours), &Private::new(to), explained.priority))
    }

    #[test]
    fn a_turn_in_the_recipients_quiet_hours_is_told_with_their_end() {
        let ready = explained(State::Ready, NOW, false, None);
        let told = |to| told(&ready, to);
        let eta = told("+12125550100").eta.unwrap();
        assert_eq!(
            (eta.kind, eta.at.as_deref(), eta.in_ms),
            ("not-before", Some("2030-01-15T13:00:00Z"), Some(10 * HOUR))
        );
        assert!(eta.text.ends_with("its recipient's quiet hours (to 08:00 in America/New_York)"), "{}", eta.text);
        // 17:00 in Honolulu.
        assert_eq!(told("+18085550100").eta.unwrap().text, "it goes now");
        assert_eq!(Told::of(&ready, None).eta.unwrap().text, "it goes now");
        let high = Priority::High;
        assert!(bound(Some(&hours()), &Private::new("+12125550100"), high).is_none(), "they are spared here");
    }

    #[test]
    fn one_whose_send_by_passes_in_them_expires() {
        let eta = told(&explained(State::Ready, NOW, false, Some(NOW + HOUR)), "+12125550100").eta.unwrap();
        assert_eq!((eta.kind, eta.at.as_deref(), eta.until), ("expires", Some("2030-01-15T04:00:00Z"), None));
        assert!(eta.text.contains("quiet hours"), "{}", eta.text);
        // A put-off message comes back a moment after their end.
        let eta = told(&explained(State::Ready, NOW, false, Some(NOW + 10 * HOUR)), "+12125550100").eta.unwrap();
        assert_eq!(eta.kind, "expires");
        let eta = told(&explained(State::Ready, NOW, false, Some(NOW + 11 * HOUR)), "+12125550100").eta.unwrap();
        assert_eq!(eta.kind, "not-before");
    }

    #[test]
    fn one_that_was_put_off_says_so_by_its_recipients_clock() {
        let told = told(&explained(State::Scheduled, NOW + 10 * HOUR, true, None), "+12125550100");
        let why = &told.why[0];
        let words = (why.code, why.reason.as_deref(), why.until.as_deref());
        assert_eq!(words, ("scheduled", Some("quiet-hours"), Some("2030-01-15T13:00:00Z")));
        assert_eq!(why.text, "its recipient has quiet hours (to 08:00 in America/New_York)");
        assert_eq!(told.eta.unwrap().kind, "at");
        let quiet = told.quiet_hours.unwrap();
        assert_eq!((quiet.zones, quiet.by_number), (vec!["America/New_York".to_owned()], true));
        assert_eq!(quiet.text, "its recipient's clock shows 22:00 in America/New_York (by the number): quiet hours");
    }

    #[test]
    fn a_scheduled_one_that_becomes_due_in_the_next_night_is_moved_too() {
        let eta = told(&explained(State::Scheduled, NOW + 25 * HOUR, false, None), "+18005550100").eta.unwrap();
        assert_eq!((eta.kind, eta.at.as_deref()), ("not-before", Some("2030-01-16T13:00:00Z")));
    }

    #[test]
    fn one_whose_turn_comes_just_before_the_night_is_moved_as_the_worker_will_put_it_off() {
        let told = |due_at| told(&explained(State::Scheduled, due_at, false, None), "+12125550100");
        // 21:00 of the next day.
        let night = NOW + 23 * HOUR;
        let late = told(night - 10_000);
        let eta = late.eta.unwrap();
        assert_eq!((eta.kind, eta.at.as_deref()), ("not-before", Some("2030-01-16T13:00:00Z")));
        assert_eq!(told(night - 16_000).eta.unwrap().kind, "at");
        // What its clock shows now is another question.
        let mut ready = explained(State::Ready, night - 10_000, false, None);
        ready.lane.now = night - 10_000;
        let told = Told::of(&ready, bound(Some(&hours()), &Private::new("+12125550100"), ready.priority));
        assert_eq!((told.eta.unwrap().kind, told.quiet_hours.unwrap().until), ("not-before", None));
    }

    #[test]
    fn what_has_ended_has_no_quiet_hours_any_more() {
        let mut over = explained(State::Sent, NOW, false, None);
        over.stand = Stand::Over { at: Some(NOW), reason: "accepted".into(), may_have_arrived: None };
        let told = told(&over, "+12125550100");
        assert_eq!((told.eta, told.quiet_hours, over.eta()), (None, None, Eta::Over));
    }
}
