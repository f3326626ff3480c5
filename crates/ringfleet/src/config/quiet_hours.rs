//! When nothing is sent, by the recipient's clock.

use std::time::Duration;

use ringfleet_quiet::{QuietHours, Zone, time_of_day};
use ringfleet_worker::on_its_way;

use super::{reader::Reader, settings::optional};

/// `Some(None)`: there are none. `lease`: of the workers' leases.
pub(super) fn read_quiet_hours(r: &mut Reader<'_>, lease: Option<Duration>) -> Option<Option<QuietHours>> {
    let from = optional(r, "quiet_hours.from", time_of_day);
    let to = optional(r, "quiet_hours.to", time_of_day);
    let zone = r.parsed("quiet_hours.zone", Zone::try_new);
    let spares = r.parsed("quiet_hours.high_priority", |word| match word {
        "wait" => Ok(false),
        "send" => Ok(true),
        other => Err(format!("is {other:?}, must be \"wait\" or \"send\"")),
    });
    let (empty, set) = match (from?, to?) {
        (None, None) => return zone.and(spares).map(|_| None),
        (Some(from), Some(to)) => {
            let hours = QuietHours::try_new(from, to, zone?, spares?);
            let hours = hours.map_err(|error| r.fault("quiet_hours.to", error.to_string())).ok()?;
            return with_time_to_send(r, hours, lease?).map(Some);
        }
        (Some(_), None) => ("quiet_hours.to", "quiet_hours.from"),
        (None, Some(_)) => ("quiet_hours.from", "quiet_hours.to"),
    };
    r.fault(empty, format!("is empty, and {set} is not; write a time of day like \"21:00\", or leave both empty"));
    None
}

/// A day that is no longer than a text may be on its way would put all messages off for ever.
fn with_time_to_send(r: &mut Reader<'_>, hours: QuietHours, lease: Duration) -> Option<QuietHours> {
    let (day, on_its_way) = (hours.day(), on_its_way(lease));
    let least = on_its_way + Duration::from_secs(300);
    if day < least {
        r.fault(
            "quiet_hours.to",
            format!(
                "leaves {day:?} of the day until they begin again, must leave {least:?} where worker.lease is {lease:?}, as a text \
                 may take half of that and 10s until it has left; write an earlier end, a later beginning, or a shorter \
                 worker.lease"
            ),
        );
        return None;
    }
    Some(hours.with_on_its_way(on_its_way))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{Faults, Settings, load};

    fn settings(text: &str) -> Result<Settings, Faults> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ringfleet.toml");
        std::fs::write(&path, format!("[quiet_hours]\n{text}")).unwrap();
        load(Some(&path)).unwrap().settings()
    }

    #[test]
    fn quiet_hours_are_off_until_both_ends_are_set_and_reach_the_worker_as_written() {
        assert!(settings("").unwrap().worker.quiet_hours.is_none());
        let set = "from = \"21:00\"\nto = \"08:00\"\nzone = \"Europe/Berlin\"\nhigh_priority = \"send\"\n";
        let hours = settings(set).unwrap().worker.quiet_hours.unwrap();
        assert!(hours.binds(false) && !hours.binds(true));
        // 22:30 in Berlin, which the number of no place is taken to be in; 17:30 in New York.
        let at: Timestamp = "2030-01-15T21:30:00Z".parse().unwrap();
        let until = |number| hours.of(number).quiet_until(at).map(|until| until.to_string());
        assert_eq!(until("+18005550100").as_deref(), Some("2030-01-16T07:00:00Z"));
        assert_eq!(until("+12125550100"), None);
        // 20:59:50 and 20:59:40 there: a text may take 15 s until it has left.
        let put_off = |at: &str| hours.of("+18005550100").put_off_until(at.parse().unwrap()).is_some();
        assert!(put_off("2030-01-15T19:59:50Z") && !put_off("2030-01-15T19:59:40Z"));
        let default = settings("from = \"21:00\"\nto = \"08:00\"\n").unwrap().worker.quiet_hours.unwrap();
        assert!(default.binds(true));
        assert_eq!(default.of("+18005550100").zones()[0].name(), "America/New_York");
    }

    #[test]
    fn all_faults_of_quiet_hours_are_told_at_once_with_what_to_write() {
        let bad = "from = \"9\"\nto = \"25:00\"\nzone = \"Gotham\"\nhigh_priority = \"go\"\n";
        let faults = settings(bad).unwrap_err().to_string();
        for part in [
            "quiet_hours.from: is \"9\", must be a time of day like \"21:00\"",
            "quiet_hours.to: is \"25:00\"",
            "quiet_hours.zone: is \"Gotham\", must be an IANA time zone",
            "quiet_hours.high_priority: is \"go\", must be \"wait\" or \"send\"",
        ] {
            assert!(faults.contains(part), "{part} is missing in:\n{faults}");
        }
        let one = settings("to = \"08:00\"\n").unwrap_err().to_string();
        assert!(one.contains("quiet_hours.from: is empty, and quiet_hours.to is not"), "{one}");
        let one = settings("from = \"08:00\"\n").unwrap_err().to_string();
        assert!(one.contains("quiet_hours.to: is empty, and quiet_hours.from is not"), "{one}");
        let same = settings("from = \"08:00\"\nto = \"08:00\"\n").unwrap_err().to_string();
        assert!(same.contains("quiet_hours.to: is the same as the beginning"), "{same}");
        assert!(settings("zone = \"\"\n").unwrap_err().to_string().contains("quiet_hours.zone: is \"\""));
    }

    #[test]
    fn quiet_hours_that_leave_no_time_to_send_by_a_workers_lease_are_refused() {
        let with_lease =
            |to, lease| settings(&format!("from = \"08:30\"\nto = \"{to}\"\n[worker]\nlease = \"{lease}\"\n"));
        let told = with_lease("08:00", "1h").unwrap_err().to_string();
        for part in
            ["quiet_hours.to: leaves 1800s", "must leave 2110s where worker.lease is 3600s", "a shorter worker.lease"]
        {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        for (to, lease) in [("08:00", "10s"), ("07:54", "1h")] {
            assert!(with_lease(to, lease).unwrap().worker.quiet_hours.is_some(), "{to}, {lease}");
        }
    }
}
