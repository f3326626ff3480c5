//! Since when the fleet looks a lane's sends up in vain. A fleet that stood still, or that had no login left for the lane, has not
//! looked, however old the sends have become meanwhile.
//!
//! It stands in the store: the next look at a lane is any worker's, and in a large fleet the same one's only after hours.

use std::time::Duration;

use ringfleet_store::{DocKind, Expect, LaneId, Millis, SharedStore, StoreError};
use serde::{Deserialize, Serialize};

/// Looks of one lane that failed one after the other: for how long, and when the last one did, by the lane's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Row {
    failed_ms: Millis,
    last: Millis,
}

impl Row {
    /// One more. Between two of them at most `most` counts, as in a longer time nobody looked.
    fn after(before: Option<Self>, most: Duration, now: Millis) -> Self {
        let before = before.unwrap_or(Self { failed_ms: 0, last: now });
        let since = (now - before.last).clamp(0, most.as_millis() as Millis);
        Self { failed_ms: before.failed_ms + since, last: now }
    }
}

fn key(lane: &LaneId) -> String {
    format!("unread/{lane}")
}

/// A look at `lane` failed; returns for how long the fleet's looks at it have. Those that are `gap` apart don't belong together.
pub(crate) async fn once_more(
    store: &SharedStore,
    lane: &LaneId,
    (most, gap): (Duration, Duration),
    now: Millis,
) -> Result<Duration, StoreError> {
    let known = store.doc_get(DocKind::Progress, &key(lane)).await?;
    let known = known.and_then(|doc| serde_json::from_slice(&doc.body).ok());
    let row = Row::after(known, most, now);
    let body = serde_json::to_vec(&row).unwrap_or_default();
    store.doc_put(DocKind::Progress, &key(lane), Expect::Anything, Some(&body), Some(gap)).await?;
    Ok(Duration::from_millis(row.failed_ms as u64))
}

/// It was read to the end.
pub(crate) async fn is_over(store: &SharedStore, lane: &LaneId) -> Result<(), StoreError> {
    if store.doc_get(DocKind::Progress, &key(lane)).await?.is_some() {
        store.doc_put(DocKind::Progress, &key(lane), Expect::Anything, None, None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{Clock, sqlite::SqliteOptions};

    use super::*;
    use crate::tests::rig::{lane, sqlite};

    const LIMITS: (Duration, Duration) = (Duration::from_secs(100), Duration::from_secs(1_000));
    const BEGAN: Millis = 1_767_323_045_000;

    #[tokio::test]
    async fn looks_of_all_workers_that_fail_one_after_the_other_count_together_until_one_comes_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::by_hand(BEGAN);
        let options = || SqliteOptions { clock: clock.clone(), ..SqliteOptions::default() };
        let workers = [sqlite(folder.path(), options()).await, sqlite(folder.path(), options()).await];
        let fails = async |worker: usize, extension: &str, at: i64| {
            hand.store(BEGAN + at * 1_000, std::sync::atomic::Ordering::SeqCst);
            once_more(&workers[worker], &lane(extension), LIMITS, BEGAN + at * 1_000).await.unwrap().as_secs()
        };
        assert_eq!([fails(0, "1", 0).await, fails(1, "1", 60).await, fails(0, "1", 120).await], [0, 60, 120]);
        assert_eq!(fails(1, "2", 120).await, 0, "another lane");
        is_over(&workers[1], &lane("1")).await.unwrap();
        assert_eq!([fails(0, "1", 130).await, fails(1, "1", 140).await], [0, 10]);
        assert_eq!(fails(1, "1", 140 + 1_001).await, 0, "too long ago");
    }

    #[test]
    fn a_time_in_which_nobody_looked_does_not_count() {
        let mut row = None;
        let mut fails = |at: i64| {
            let next = Row::after(row, LIMITS.0, BEGAN + at * 1_000);
            row = Some(next);
            next.failed_ms / 1_000
        };
        assert_eq!([fails(0), fails(90), fails(990), fails(1_000)], [0, 90, 190, 200]);
    }

    /// Two shards' clocks may differ, and the fleet's time stands still where a server's steps back.
    #[test]
    fn a_time_before_the_last_one_counts_nothing() {
        let row = Row { failed_ms: 5, last: BEGAN };
        assert_eq!(Row::after(Some(row), LIMITS.0, BEGAN - 1), Row { failed_ms: 5, last: BEGAN - 1 });
    }
}
