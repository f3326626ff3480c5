//! One clock for everything: nanoseconds since the simulator started, never going back.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Nanoseconds since the start of the simulator.
pub(crate) type Nanos = u64;

#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), started_at: Timestamp::now() }
    }

    pub(crate) fn now(&self) -> Nanos {
        nanos(self.started.elapsed())
    }

    /// The calendar time of an instant, for the fields that clients read. A later step of the machine's clock does not move it.
    pub(crate) fn timestamp(&self, at: Nanos) -> Timestamp {
        self.started_at.checked_add(Duration::from_nanos(at)).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn before_start(&self, span: Duration) -> Timestamp {
        self.started_at.checked_sub(span).unwrap_or(Timestamp::MIN)
    }
}

/// A span in nanoseconds; spans over 584 years are cut to that.
pub(crate) fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole seconds, rounded up: `Retry-After` and `X-Rate-Limit-Window` must never promise too early an instant.
pub(crate) fn seconds_up(span: Nanos) -> u64 {
    span.div_ceil(1_000_000_000)
}
