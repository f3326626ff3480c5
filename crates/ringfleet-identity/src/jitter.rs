//! Spreads what all processes of a fleet do in the same rhythm.

use std::time::Duration;

/// `time` give or take three tenths, drawn anew each time: processes that began together don't stay together.
pub fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::random_range(0.7..=1.3))
}
