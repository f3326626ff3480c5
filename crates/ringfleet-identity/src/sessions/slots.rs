//! The slots of requests that are no messages: logins and reads.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ringfleet_store::{LaneId, LeaseToken, PlanSeen, Release, StoreError};

use super::{Sessions, lock};
use crate::metrics;

/// More than a store that is restarted without its last moment has lost.
const LATELY: Duration = Duration::from_secs(10);
/// At most so many are remembered, which no fleet's plans let a process make in that time.
const MOST: usize = 4_096;

/// A request that the provider may have got.
#[derive(Clone)]
pub(super) struct Made {
    lane: LaneId,
    slot: LeaseToken,
    how: Release,
    at: Instant,
}

impl Sessions {
    /// Gives a slot its time. A store that does not answer frees it later than it might: what was granted must not be thrown
    /// away for that.
    pub(crate) async fn release(
        &self,
        lane: &LaneId,
        slot: LeaseToken,
        how: Release,
        read_at: Instant,
        seen: PlanSeen,
    ) {
        if how != Release::Unused {
            remember(&mut lock(&self.made), Made { lane: lane.clone(), slot, how, at: read_at });
        }
        if let Err(error) = self.store().release(lane, slot, how, read_at.elapsed(), seen).await {
            metrics::store_error("release", &error);
        }
    }

    /// Tells a store that was restarted of the logins and reads of this process's last ten seconds: the provider counts them,
    /// whatever the store has lost. Said again it changes nothing, so it may be dropped and repeated.
    ///
    /// # Errors
    /// The store does not take all of it now; the requests are remembered.
    pub async fn reassert_slots(&self) -> Result<(), StoreError> {
        let made: Vec<Made> = lock(&self.made).iter().cloned().collect();
        let mut failed = None;
        // SEND-SAFETY: (of the plan) of each request that the store has lost there would be one too many in its window.
        for Made { lane, slot, how, at } in made {
            let age = at.elapsed();
            let how = match how {
                Release::Throttled { retry_after } => {
                    Release::Throttled { retry_after: retry_after.saturating_sub(age) }
                }
                how => how,
            };
            // One shard that does not answer keeps the others from nothing.
            let told = self.store().release(&lane, slot, how, age, PlanSeen::default()).await;
            failed = failed.or(told.err());
        }
        failed.map_or(Ok(()), Err)
    }
}

fn remember(recent: &mut VecDeque<Made>, made: Made) {
    while recent.len() >= MOST || recent.front().is_some_and(|oldest| oldest.at.elapsed() > LATELY) {
        recent.pop_front();
    }
    recent.push_back(made);
}
