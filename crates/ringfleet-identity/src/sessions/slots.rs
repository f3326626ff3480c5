//! The slots of requests that are no messages: logins and reads.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ringfleet_store::{LaneId, LeaseToken, PlanSeen, Release, StoreError};

use super::{Sessions, lock};
use crate::{metrics, telling::tell_until};

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
    /// away for that. A penalty is told until the store has it, or it is over.
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
        let told = self.store().release(lane, slot, how, read_at.elapsed(), seen).await;
        let Err(error) = told else { return };
        metrics::store_error("release", &error);
        // SEND-SAFETY: (of the plan) nobody else knows of a penalty, and a request inside it would restart it.
        if let Release::Throttled { retry_after } = how {
            let (store, lane, until) = (self.store().clone(), lane.clone(), read_at + retry_after);
            tell_until(&self.telling, until, move || {
                let (store, lane) = (store.clone(), lane.clone());
                async move {
                    let how = Release::Throttled { retry_after: until.saturating_duration_since(Instant::now()) };
                    // Without the plan that its answer told: others may have told a newer one since.
                    let told = store.release(&lane, slot, how, read_at.elapsed(), PlanSeen::default()).await;
                    if let Err(error) = &told {
                        metrics::store_error("release", error);
                    }
                    told.is_ok()
                }
            });
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

#[cfg(test)]
mod tests {
    use ringfleet_store::{Acquired, Group};
    use rusqlite::Connection;

    use super::{super::tests::fleet, *};

    const MINUTE: Duration = Duration::from_secs(60);

    async fn taken(sessions: &Sessions, lane: &LaneId) -> LeaseToken {
        match sessions.store().acquire(lane, MINUTE).await.unwrap() {
            Acquired::Granted(slot) => slot,
            Acquired::Wait(wait) => panic!("{wait:?}"),
        }
    }

    #[tokio::test]
    async fn a_penalty_that_the_store_did_not_take_is_told_until_it_does_and_a_drain_waits_for_that() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, MINUTE).await;
        let lane = LaneId::try_new("main", "101", Group::Light).unwrap();
        let slot = taken(&sessions, &lane).await;
        let other = Connection::open(folder.path().join("fleet.db")).unwrap();
        let refuses = "CREATE TRIGGER refuses BEFORE UPDATE ON lanes BEGIN SELECT RAISE(ABORT, 'no'); END";
        other.execute_batch(refuses).unwrap();
        let how = Release::Throttled { retry_after: MINUTE };
        sessions.release(&lane, slot, how, Instant::now(), PlanSeen::default()).await;
        let penalty = async || sessions.store().lane(&lane).await.unwrap().penalty_until;
        assert_eq!(penalty().await, None, "the store did not fail, so this shows nothing");
        let end = sessions.end_logins();
        tokio::pin!(end);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut end).await.is_err(), "it is to be told still");
        other.execute_batch("DROP TRIGGER refuses").unwrap();
        tokio::time::timeout(Duration::from_secs(20), end).await.expect("told");
        assert!(penalty().await.is_some());
    }
}
