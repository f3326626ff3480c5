//! Waiting for a condition with a deadline.

use std::{
    panic::Location,
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(5);

/// Asks `condition` again and again until it holds.
///
/// # Panics
/// When `deadline` passes first; the message names the line of the caller.
#[track_caller]
pub fn eventually<F>(deadline: Duration, mut condition: F) -> impl Future<Output = ()>
where
    F: AsyncFnMut() -> bool,
{
    let caller = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        while !condition().await {
            assert!(Instant::now() < end, "{caller}: the condition did not come true within {deadline:?}");
            tokio::time::sleep(STEP).await;
        }
    }
}

/// The same for a thread that may block. `false` when the deadline passed first.
pub fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(STEP);
    }
    true
}
