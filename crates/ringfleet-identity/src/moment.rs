//! A moment that a process which stands still, or a machine that sleeps, can't hide.

use std::time::{Duration, Instant, SystemTime};

/// By both clocks: the one need not go on while the machine sleeps, and the other is set at times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }

    pub(crate) fn instant(&self) -> Instant {
        self.at
    }

    /// By the clock that says more.
    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_says_more_counts_and_one_that_was_set_back_says_nothing() {
        let (now, wall, hour) = (Instant::now(), SystemTime::now(), Duration::from_secs(3_600));
        for moment in [Moment { at: now - hour, wall: wall + hour }, Moment { at: now, wall: wall - hour }] {
            assert!(moment.elapsed() >= hour, "{moment:?}");
        }
        assert!(Moment { at: now, wall: wall + hour }.elapsed() < hour);
    }
}
