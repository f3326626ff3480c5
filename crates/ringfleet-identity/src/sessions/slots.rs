//! The slots of requests that are no messages: logins and reads.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use ringfleet_store::{Acquired, LaneId, LeaseToken, PlanSeen, Release, StoreError};

use super::{Sessions, lock};
use crate::{metrics, moment::Moment, telling::tell_until};

/// More than a store that is restarted without its last moment has lost.
const LATELY: Duration = Duration::from_secs(10);
/// At most so many are remembered, and as many under way, which no fleet's plans let a process make in that time.
const MOST: usize = 4_096;
/// So many extensions are told of at a time: those of a shard that does not answer cost one deadline together.
const AT_ONCE: usize = 256;
/// What comes later than this after it was asked for is not used: as long as the store may take for an answer, and far less than
/// the window that goes on after a slot's hold.
pub(super) const LATE: Duration = Duration::from_secs(5);

/// What came of asking for a slot.
pub(crate) enum Slot {
    Taken(LeaseToken),
    /// Ask again after this time.
    Wait(Duration),
    /// The answer came too late to be used; ask again.
    Late,
}

/// Requests that the provider may have got, or gets now.
#[derive(Default)]
pub(super) struct Slots {
    /// Under way, each with the time at which it must be over: whoever asked may have gone. Two shards may give the same token.
    open: HashMap<(LaneId, LeaseToken), Instant>,
    made: VecDeque<Made>,
}

/// A request that was made, or is under way.
#[derive(Clone)]
struct Made {
    lane: LaneId,
    slot: LeaseToken,
    how: Release,
    /// `None`: it is under way.
    at: Option<Instant>,
}

impl Sessions {
    /// A slot of `lane` for a request that takes `hold` at most.
    ///
    /// SEND-SAFETY: (of the plan) a process that was stopped while it waited for the answer has lost the slot by now. So the request
    /// is to follow at once.
    pub(crate) async fn acquire(&self, lane: &LaneId, hold: Duration) -> Result<Slot, StoreError> {
        let asked = Moment::now();
        let acquired = self.store().acquire(lane, hold).await?;
        let late = self.is_late(asked);
        Ok(match acquired {
            Acquired::Granted(slot) if late => {
                self.release(lane, slot, Release::Unused, Instant::now(), PlanSeen::default()).await;
                Slot::Late
            }
            Acquired::Granted(slot) => {
                lock(&self.slots).begin(lane, slot, hold);
                Slot::Taken(slot)
            }
            Acquired::Wait(_) if late => Slot::Late,
            Acquired::Wait(delay) => Slot::Wait(delay),
        })
    }

    /// Whether what was asked for then has come too late to be used.
    pub(super) fn is_late(&self, asked: Moment) -> bool {
        asked.elapsed() >= self.late_after
    }

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
        lock(&self.slots).end(lane, slot, how, read_at);
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

    /// Tells a store that was restarted of the logins and reads of this process's last ten seconds, and of those under way: the
    /// provider counts them, whatever the store has lost. Said again it changes nothing, so it may be dropped and repeated.
    ///
    /// # Errors
    /// The store does not take all of it now; the requests are remembered.
    pub async fn reassert_slots(&self) -> Result<(), StoreError> {
        // The lanes of an extension live together, on one of the store's shards.
        let mut of_each: HashMap<String, Vec<Made>> = HashMap::new();
        for made in lock(&self.slots).all() {
            of_each.entry(made.lane.extension().to_owned()).or_default().push(made);
        }
        let told = stream::iter(of_each.into_values()).map(|of_one| self.reassert_of_one(of_one));
        let told: Vec<_> = told.buffer_unordered(AT_ONCE).collect().await;
        told.into_iter().collect()
    }

    /// SEND-SAFETY: (of the plan) of each request that the store has lost there would be one too many in its window.
    async fn reassert_of_one(&self, all: Vec<Made>) -> Result<(), StoreError> {
        let mut failed = None;
        for Made { lane, slot, how, at } in all {
            // One that is under way counts from now on; its own end, which is less than a window away, gives it the right time. One
            // that was not made has none.
            if at.is_none() && !lock(&self.slots).is_open(&lane, slot) {
                continue;
            }
            let age = at.map(|at| at.elapsed()).unwrap_or_default();
            let how = match how {
                Release::Throttled { retry_after } => {
                    Release::Throttled { retry_after: retry_after.saturating_sub(age) }
                }
                how => how,
            };
            match self.store().release(&lane, slot, how, age, PlanSeen::default()).await {
                // It does not answer, and would be waited for once for each. What is left is told with the next try.
                Err(error) if error.is_transient() => return Err(error),
                told => failed = failed.or(told.err()),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Slots {
    fn begin(&mut self, lane: &LaneId, slot: LeaseToken, hold: Duration) {
        if self.open.len() >= MOST {
            self.forget_ended();
        }
        if self.open.len() < MOST {
            self.open.insert((lane.clone(), slot), Instant::now() + hold);
        }
    }

    fn end(&mut self, lane: &LaneId, slot: LeaseToken, how: Release, read_at: Instant) {
        self.open.remove(&(lane.clone(), slot));
        if how == Release::Unused {
            return;
        }
        let is_old = |oldest: &Made| oldest.at.is_none_or(|at| at.elapsed() > LATELY);
        while self.made.len() >= MOST || self.made.front().is_some_and(is_old) {
            self.made.pop_front();
        }
        self.made.push_back(Made { lane: lane.clone(), slot, how, at: Some(read_at) });
    }

    fn is_open(&self, lane: &LaneId, slot: LeaseToken) -> bool {
        self.open.contains_key(&(lane.clone(), slot))
    }

    fn forget_ended(&mut self) {
        let now = Instant::now();
        self.open.retain(|_, ends| *ends > now);
    }

    fn all(&mut self) -> Vec<Made> {
        self.forget_ended();
        let under_way = |(lane, slot): &(LaneId, LeaseToken)| Made {
            lane: lane.clone(),
            slot: *slot,
            how: Release::Used,
            at: None,
        };
        self.made.iter().cloned().chain(self.open.keys().map(under_way)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ringcentral::{AccessToken, Answer, CallError, ExtensionId, Jwt, UsageGroup};
    use ringfleet_store::Group;
    use rusqlite::Connection;

    use super::{
        super::{
            LoginBudget, Session,
            app::{Asker, Grant},
            budget::Errand,
            login::NotIn,
            tests::fleet,
        },
        *,
    };
    use crate::{Credential, Facts, Login, ReadError, Reader, Source};

    const MINUTE: Duration = Duration::from_secs(60);

    async fn sent() -> Result<Answer<()>, CallError> {
        panic!("it is sent")
    }

    async fn taken(sessions: &Sessions, lane: &LaneId) -> LeaseToken {
        match sessions.acquire(lane, MINUTE).await.unwrap() {
            Slot::Taken(slot) => slot,
            Slot::Wait(_) | Slot::Late => panic!("the window is empty"),
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

    #[tokio::test]
    async fn what_is_under_way_when_the_store_loses_its_last_moment_counts_and_what_was_not_made_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = fleet(&folder, MINUTE).await;
        let lane = LaneId::try_new("main", "101", Group::Light).unwrap();
        let in_use = async || sessions.store().lane(&lane).await.unwrap().slots_in_use;
        let loses = async |slot| {
            let lost =
                sessions.store().release(&lane, slot, Release::Unused, Duration::ZERO, PlanSeen::default()).await;
            lost.unwrap();
            sessions.reassert_slots().await.unwrap();
        };
        let slot = taken(&sessions, &lane).await;
        loses(slot).await;
        assert_eq!(in_use().await, 1, "under way");
        sessions.release(&lane, slot, Release::Unused, Instant::now(), PlanSeen::default()).await;
        loses(slot).await;
        assert_eq!(in_use().await, 0, "not made");

        let slot = taken(&sessions, &lane).await;
        sessions.release(&lane, slot, Release::Used, Instant::now(), PlanSeen::default()).await;
        loses(slot).await;
        assert_eq!(in_use().await, 1, "made");
    }

    #[test]
    fn slots_that_nobody_gives_back_are_forgotten_when_they_must_be_over_and_there_are_never_more_than_the_most() {
        let (lane, mut slots) = (LaneId::try_new("main", "101", Group::Light).unwrap(), Slots::default());
        slots.begin(&lane, LeaseToken(0), Duration::ZERO);
        assert!(slots.all().is_empty());
        for token in 1..=MOST as u64 + 1 {
            slots.begin(&lane, LeaseToken(token), Duration::ZERO);
        }
        assert_eq!(slots.open.len(), 1, "those that are over have made room");
        for token in 1..=2 * MOST as u64 {
            slots.begin(&lane, LeaseToken(token), MINUTE);
            slots.end(&lane, LeaseToken(2 * token), Release::Used, Instant::now());
        }
        assert!(slots.open.len() <= MOST && slots.made.len() == MOST);
    }

    #[tokio::test]
    async fn a_slot_that_comes_too_late_is_given_back_and_nothing_is_sent_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut sessions = fleet(&folder, MINUTE).await;
        sessions.late_after = Duration::ZERO;
        let lane = LaneId::try_new("main", "101", Group::Auth).unwrap();
        let is_late =
            async || matches!(sessions.with_slot("101", Errand::Login, sent()).await, Err(NotIn::Later { .. }));
        assert!(is_late().await);
        assert_eq!(sessions.store().lane(&lane).await.unwrap().slots_in_use, 0);
        LoginBudget::forget(sessions.store(), "main").await.unwrap();
        assert!(is_late().await, "where nobody knows whose the budget is");
        // That the app's has no place must be new: then one is tried beyond it.
        let how = Release::Throttled { retry_after: MINUTE };
        sessions.release(&lane, LeaseToken(1), how, Instant::now(), PlanSeen::default()).await;
        assert!(matches!(sessions.acquire(&lane, MINUTE).await.unwrap(), Slot::Late));

        let token = AccessToken::try_new("a").unwrap();
        let until = Instant::now() + MINUTE;
        let session = Session { token, generation: 1, print: "p".to_owned(), until, life: MINUTE };
        assert!(sessions.know("101", &session));
        let (store, extension) = (sessions.store().clone(), ExtensionId::try_new("101").unwrap());
        let reader = Reader::new(Arc::new(sessions));
        let read = reader.call(&extension, UsageGroup::Light, Duration::from_millis(50), |_| sent()).await;
        assert!(matches!(read, Err(ReadError::NoTurn { .. })));
        let lane = LaneId::try_new("main", "101", Group::Light).unwrap();
        assert_eq!(store.lane(&lane).await.unwrap().slots_in_use, 0);
    }

    #[tokio::test]
    async fn a_login_that_was_admitted_too_late_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut sessions = fleet(&folder, MINUTE).await;
        // A trial of the app is written down, which takes some seconds here.
        sessions.app_refused(Grant::Jwt, "OAU-153").await.unwrap();
        let other = Connection::open(folder.path().join("fleet.db")).unwrap();
        let slow = "CREATE TRIGGER slow BEFORE UPDATE ON docs BEGIN SELECT sum(n) FROM (WITH RECURSIVE count(n) AS \
                    (SELECT 1 UNION ALL SELECT n + 1 FROM count LIMIT 5000000) SELECT n FROM count); END";
        other.execute_batch(slow).unwrap();
        sessions.late_after = Duration::from_millis(200);
        let login = Login::Jwt(Jwt::try_new("a-jwt").unwrap());
        let extension = ExtensionId::try_new("101").unwrap();
        let (source, facts) = (Source::File, Facts::default());
        let credential = Credential { extension, login, prefer: 10, enabled: true, source, facts };
        // One that is made meets nobody, and is to be tried after two seconds.
        let tried = sessions.log_in_anew(&credential, Asker::Person).await;
        assert!(matches!(tried, Err(NotIn::Later { delay }) if delay < Duration::from_secs(1)));
        let lane = LaneId::try_new("main", "101", Group::Auth).unwrap();
        assert_eq!(sessions.store().lane(&lane).await.unwrap().slots_in_use, 0);
    }
}
