//! A limit of the account or the address: while it lasts nobody is let in to the API, whatever the own plan leaves.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Nanos, seconds_up};

/// Like a lane's penalty, it begins again with each request that meets it.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    // No lock: every request asks, and a run without such a fault must not queue here.
    until: AtomicU64,
    pause: AtomicU64,
}

impl Closure {
    pub(crate) fn begin(&self, at: Nanos, pause: Nanos) {
        self.pause.store(pause, Ordering::Release);
        self.until.fetch_max(at.saturating_add(pause), Ordering::AcqRel);
    }

    /// What a request that meets it is told to wait, in seconds.
    pub(crate) fn meets(&self, at: Nanos) -> Option<u64> {
        if at >= self.until.load(Ordering::Acquire) {
            return None;
        }
        let again = at.saturating_add(self.pause.load(Ordering::Acquire));
        let until = self.until.fetch_max(again, Ordering::AcqRel).max(again);
        Some(seconds_up(until.saturating_sub(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_begins_again_with_each_request_that_meets_it() {
        const SECOND: Nanos = 1_000_000_000;
        let closure = Closure::default();
        assert_eq!(closure.meets(0), None);
        closure.begin(SECOND, 3 * SECOND);
        assert_eq!(closure.meets(2 * SECOND), Some(3));
        // It would have ended at 4 s.
        assert_eq!(closure.meets(4 * SECOND), Some(3));
        assert_eq!(closure.meets(7 * SECOND), None);
    }
}
