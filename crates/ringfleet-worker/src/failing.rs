//! Since when this process looks a lane's sends up in vain. A fleet that stood still, or that had no login left for the lane,
//! has not looked, however old the sends have become meanwhile.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ringfleet_store::LaneId;

#[derive(Default)]
pub(crate) struct Failing {
    lanes: HashMap<LaneId, Row>,
}

/// Looks of one lane that failed one after the other.
struct Row {
    failed: Duration,
    last: Instant,
}

impl Failing {
    /// A look at `lane` failed; returns for how long looks at it have. Between two of them at most `most` counts, as in a longer
    /// time nobody looked, or somebody else did. Those that are `gap` apart don't belong together, so this remembers no more
    /// lanes than have failed within `gap`.
    pub(crate) fn once_more(&mut self, lane: &LaneId, (most, gap): (Duration, Duration), now: Instant) -> Duration {
        self.lanes.retain(|_, row| now.saturating_duration_since(row.last) <= gap);
        let row = self.lanes.entry(lane.clone()).or_insert(Row { failed: Duration::ZERO, last: now });
        row.failed += now.saturating_duration_since(row.last).min(most);
        row.last = now;
        row.failed
    }

    /// It was read to the end.
    pub(crate) fn is_over(&mut self, lane: &LaneId) {
        self.lanes.remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::Group;

    use super::*;

    const LIMITS: (Duration, Duration) = (Duration::from_secs(100), Duration::from_secs(1_000));

    fn lane(extension: &str) -> LaneId {
        LaneId::try_new("main", extension, Group::Medium).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn looks_that_fail_one_after_the_other_are_counted_together_until_one_comes_to_its_end() {
        let (mut failing, began) = (Failing::default(), Instant::now());
        let mut fails = |extension: &str, at| {
            failing.once_more(&lane(extension), LIMITS, began + Duration::from_secs(at)).as_secs()
        };
        assert_eq!([fails("1", 0), fails("1", 60), fails("2", 60), fails("1", 160)], [0, 60, 0, 160]);
        failing.is_over(&lane("1"));
        let mut fails = |at| failing.once_more(&lane("1"), LIMITS, began + Duration::from_secs(at)).as_secs();
        assert_eq!([fails(170), fails(180)], [0, 10]);
    }

    #[test]
    fn a_time_in_which_nobody_looked_does_not_count() {
        let (mut failing, began) = (Failing::default(), Instant::now());
        let mut fails = |at| failing.once_more(&lane("1"), LIMITS, began + Duration::from_secs(at)).as_secs();
        assert_eq!([fails(0), fails(90), fails(990), fails(1_000)], [0, 90, 190, 200]);
        assert_eq!([fails(3_600), fails(3_610)], [0, 10]);
        assert_eq!(failing.lanes.len(), 1);
    }

    #[test]
    fn lanes_that_fail_no_more_are_forgotten() {
        let (mut failing, began) = (Failing::default(), Instant::now());
        for n in 0..50 {
            failing.once_more(&lane(&n.to_string()), LIMITS, began);
        }
        failing.once_more(&lane("last"), LIMITS, began + LIMITS.1 * 2);
        assert_eq!(failing.lanes.len(), 1);
    }
}
