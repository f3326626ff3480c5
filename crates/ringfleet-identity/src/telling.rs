//! What the store must hear although it does not take it now.

use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use crate::jittered;

/// How soon a store that could not be told, or a shard of it, is told again.
const AGAIN: Duration = Duration::from_secs(1);

/// Repeats `tell` until it says that the store has taken it, or until there is nothing to tell any more. A drain waits for the
/// tasks of `telling`, no longer than for everything else.
pub(crate) fn tell_until<F>(telling: &TaskTracker, until: Instant, tell: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = bool> + Send + 'static,
{
    telling.spawn(async move {
        while Instant::now() < until {
            tokio::time::sleep(jittered(AGAIN)).await;
            if tell().await {
                return;
            }
        }
    });
}
