//! Whose budget a login spends, and a slot of it.
//!
//! RingCentral documents a budget of logins for each user; a platform announcement says one for the app. Which it is, nobody
//! knows before a login is refused, so until then all logins keep to the app's, one after the other; the first for which that
//! has no place is tried beyond it. If it is taken, each extension has its own budget; if not, that was the one refusal that it
//! costs. The answer is the fleet's, for good; that each has its own gives way to 429s of two extensions within one window
//! ([`super::doubt`]), and so does not knowing: one 429 of a login that had its place makes all wait, and shows no more. What is
//! neither a 429 nor the token endpoint's own decision, as a server in trouble that asks for a pause, tells nothing of it.
//!
//! One after the other, because a login under way beside the one that is tried would meet the penalty for it.

use std::time::{Duration, Instant};

use ringcentral::{Answer, CallError, TokenOutcome, classify_token};
use ringfleet_store::{Group, LaneId, LeaseToken, Millis, PlanSeen, Release, SharedStore, StoreError, TokenLease};
use tokio::sync::OwnedMutexGuard;

use super::{Sessions, Slot, doubt, lock, login::NotIn};
use crate::{metrics, rate::plan_seen};

/// Stands for the extension in the lane of logins that the whole app shares, and in the lock that they need before anybody
/// knows.
pub(super) const ALL_EXTENSIONS: &str = "*";
/// What the shared lane is "parked" with is how the fleet remembers whose the budget is; nothing is queued in it.
const OF_THE_APP: &str = "logins share one budget";
pub(super) const OF_EACH: &str = "each extension has its own budget of logins";
/// Of a lane that has no plan of its own yet.
const WINDOW: Duration = Duration::from_secs(60);
/// How long one waits for the logins of others before anybody knows, and when it asks again after that.
const PATIENCE: Duration = Duration::from_secs(3);
pub(super) const BUSY: Duration = Duration::from_millis(300);

/// Places in the windows that a login counts in.
struct Places {
    held: Vec<(LaneId, LeaseToken)>,
    /// Nobody knows whose the budget is: no other login of the fleet meanwhile.
    alone: Option<OwnedMutexGuard<()>>,
    /// Beyond the app's budget: its answer tells whose the budget is.
    tries: bool,
}

impl Places {
    fn known(place: (LaneId, LeaseToken)) -> Self {
        Self { held: vec![place], alone: None, tries: false }
    }
}

/// What logins are made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginBudget {
    /// Whether all extensions of the app share it; `None` as long as no login has shown it.
    pub of_the_app: Option<bool>,
    /// Logins that count against the app's budget now, and how many that has; of no meaning where each extension has its own.
    pub used: u32,
    pub limit: Option<u32>,
    /// No login before this, after one that was throttled.
    pub penalty_until: Option<Millis>,
    /// All extensions of the app share it.
    pub(crate) shared: bool,
    /// There is room for a login that nobody waits for: it is not shared, or more than half of it is free.
    pub(crate) roomy: bool,
    /// The same, with a budget of which nobody knows yet whose it is taken for shared.
    pub(crate) spare: bool,
}

impl LoginBudget {
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn read(store: &SharedStore, app: &str) -> Result<Self, StoreError> {
        let Ok(shared) = LaneId::try_new(app, ALL_EXTENSIONS, Group::Auth) else {
            return Err(StoreError::Refused { call: "lane", reason: "the app's name makes no lane".to_owned() });
        };
        let lane = store.lane(&shared).await?;
        let of_the_app = match lane.parked.as_deref() {
            Some(OF_EACH) => Some(false),
            whose => whose.map(|_| true),
        };
        let (used, limit) = (lane.slots_in_use, lane.plan.map(|plan| plan.limit));
        let half = limit.is_none_or(|limit| used * 2 < limit) && lane.penalty_until.is_none();
        Ok(Self {
            of_the_app,
            used,
            limit,
            penalty_until: lane.penalty_until,
            shared: of_the_app == Some(true),
            roomy: of_the_app != Some(true) || half,
            spare: of_the_app == Some(false) || half,
        })
    }

    /// Whether a login met the end of a budget: a 429, unless it says that the same request runs already (CMN-304), or that
    /// RingCentral as a whole is busy (CMN-310).
    pub fn is_spent(error: &CallError) -> bool {
        let CallError::Status { status, error, .. } = error else { return false };
        status.as_u16() == 429 && !matches!(error.code_str(), "CMN-304" | "CMN-310")
    }

    /// A login of nobody knows whom was refused with 429. Where each extension is known to have its own budget, that one's is used
    /// up, by one person who clicks often. Else it may be everybody's that has nothing left for `retry_after`: all logins wait, but
    /// whose it is this does not show.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn throttled(store: &SharedStore, app: &str, retry_after: Duration) -> Result<(), StoreError> {
        let Ok(shared) = LaneId::try_new(app, ALL_EXTENSIONS, Group::Auth) else { return Ok(()) };
        if store.lane(&shared).await?.parked.as_deref() == Some(OF_EACH) {
            return Ok(());
        }
        // It had no slot there; one more in use is what the provider counts.
        let how = Release::Throttled { retry_after };
        store.release(&shared, LeaseToken(0), how, Duration::ZERO, PlanSeen::default()).await
    }

    /// Forgets whose the budget is, so that logins find it out again. A penalty goes on to its end.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn forget(store: &SharedStore, app: &str) -> Result<(), StoreError> {
        let Ok(shared) = LaneId::try_new(app, ALL_EXTENSIONS, Group::Auth) else { return Ok(()) };
        doubt::forget(store, app).await?;
        store.set_parked(&shared, None).await
    }
}

/// Whose the budget is, as far as the answer to a login may show it; `tries`: it was made beyond the app's budget.
///
/// What is remembered stays, and a large fleet starves on the budget of one app, so only evidence counts. A server in
/// trouble may ask for a pause too (503), and a gateway may answer before anybody has counted.
fn shown_by<T>(answer: &Result<Answer<T>, CallError>, tries: bool) -> Option<&'static str> {
    if let Err(error) = answer
        && LoginBudget::is_spent(error)
    {
        return Some(OF_THE_APP);
    }
    match classify_token(answer) {
        TokenOutcome::Granted | TokenOutcome::CredentialDead { .. } | TokenOutcome::AppDead { .. } if tries => {
            Some(OF_EACH)
        }
        _ => None,
    }
}

/// The lock of all extensions is nobody's session, and there is no credential to it.
fn nobodys() -> [String; 1] {
    ["-".to_owned()]
}

impl Sessions {
    pub(crate) async fn login_budget(&self) -> Result<LoginBudget, StoreError> {
        LoginBudget::read(self.store(), self.app()).await
    }

    /// Makes one request of the Auth lane, under a slot of its window; `call` is not polled before it has one. `whose` is the
    /// extension that logs in, or [`ALL_EXTENSIONS`] for a question about the app, whose answer tells nothing of whose the
    /// budget is.
    pub(super) async fn with_slot<T>(
        &self,
        whose: &str,
        call: impl Future<Output = Result<Answer<T>, CallError>>,
    ) -> Result<Result<Answer<T>, CallError>, NotIn> {
        let is_login = whose != ALL_EXTENSIONS;
        let places = match self.places(whose).await {
            Ok(places) => places,
            Err(error) => {
                if let (true, NotIn::Later { delay }) = (is_login, &error) {
                    self.waits_for_login(whose, *delay);
                }
                return Err(error);
            }
        };
        lock(&self.waiting).remove(whose);
        self.show_waiting();
        let shared = self.auth_lane(ALL_EXTENSIONS)?;
        let answer = match &places.alone {
            Some(_) => self.keeping_the_right(ALL_EXTENSIONS, self.token_ask(&shared, &nobodys(), 0, true), call).await,
            None => call.await,
        };
        let read_at = Instant::now();
        let (how, seen) = match &answer {
            Err(CallError::Connect { .. } | CallError::Guard { .. } | CallError::Withheld) => {
                (Release::Unused, PlanSeen::default())
            }
            other => {
                let rate = match other {
                    Ok(answer) => Some(&answer.rate),
                    Err(error) => error.rate(),
                };
                let how = match classify_token(other) {
                    TokenOutcome::Throttled { after, .. } => {
                        metrics::throttled(Group::Auth, "lane");
                        Release::Throttled { retry_after: after }
                    }
                    _ => Release::Used,
                };
                (how, rate.map(plan_seen).unwrap_or_default())
            }
        };
        for (lane, slot) in &places.held {
            self.release(lane, *slot, how, read_at, seen).await;
        }
        if is_login
            && let Some(shown) = shown_by(&answer, places.tries)
            && let Err(error) = self.remember_budget(whose, &places, how, shown).await
        {
            metrics::store_error("set_parked", &error);
        }
        if places.alone.is_some() {
            self.let_others_log_in().await;
        }
        Ok(answer)
    }

    /// Gives the lock of all logins back. It ends by itself, so a failure costs time, and never what the provider has answered.
    async fn let_others_log_in(&self) {
        if let Err(error) = self.store().token_release(ALL_EXTENSIONS, &self.worker, Duration::ZERO).await {
            metrics::store_error("token_release", &error);
        }
    }

    async fn places(&self, whose: &str) -> Result<Places, NotIn> {
        let own = self.auth_lane(whose)?;
        let shared = self.auth_lane(ALL_EXTENSIONS)?;
        let give_up = Instant::now() + PATIENCE;
        // The store's lock tells processes apart; within this one they take turns.
        let turn = tokio::time::timeout(PATIENCE, self.auth_turn.clone().lock_owned()).await;
        let Ok(turn) = turn else { return Err(NotIn::Later { delay: BUSY }) };
        loop {
            match self.store().lane(&shared).await?.parked.as_deref() {
                Some(OF_EACH) => return self.take(own).await.map(Places::known),
                Some(_) => return self.take(shared).await.map(Places::known),
                None if self.is_alone(&shared).await? => break,
                None if Instant::now() > give_up => return Err(NotIn::Later { delay: BUSY }),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        let places = self.places_alone(own, &shared).await;
        if places.is_err() {
            self.let_others_log_in().await;
        }
        places.map(|(held, tries)| Places { held, alone: Some(turn), tries })
    }

    async fn places_alone(&self, own: LaneId, shared: &LaneId) -> Result<(Vec<(LaneId, LeaseToken)>, bool), NotIn> {
        let view = self.store().lane(shared).await?;
        if view.parked.is_some() {
            // Somebody found out between the two questions.
            return Err(NotIn::Later { delay: Duration::ZERO });
        }
        let mine = self.take(own).await?;
        if mine.0 == *shared {
            return Ok((vec![mine], false));
        }
        let not_in = match self.acquire(shared, self.login_deadline()).await {
            Ok(Slot::Taken(also)) => return Ok((vec![mine, (shared.clone(), also)], false)),
            // After a 429 the lane waits, and nobody tries.
            Ok(Slot::Wait(_)) if view.penalty_until.is_none() => return Ok((vec![mine], true)),
            Ok(Slot::Wait(delay)) => NotIn::Later { delay },
            Ok(Slot::Late) => NotIn::Later { delay: BUSY },
            Err(error) => error.into(),
        };
        self.release(&mine.0, mine.1, Release::Unused, Instant::now(), PlanSeen::default()).await;
        Err(not_in)
    }

    async fn take(&self, lane: LaneId) -> Result<(LaneId, LeaseToken), NotIn> {
        match self.acquire(&lane, self.login_deadline()).await? {
            Slot::Taken(slot) => Ok((lane, slot)),
            Slot::Wait(delay) => Err(NotIn::Later { delay }),
            Slot::Late => Err(NotIn::Later { delay: BUSY }),
        }
    }

    /// Whether no other process logs in now, and none will until the lock is given back or ends.
    async fn is_alone(&self, shared: &LaneId) -> Result<bool, StoreError> {
        let credentials = nobodys();
        let ask = self.token_ask(shared, &credentials, 0, true);
        let lease = self.store().token_lease(ALL_EXTENSIONS, &self.worker, ask).await?;
        Ok(matches!(lease, TokenLease::Renew { .. }))
    }

    fn auth_lane(&self, whose: &str) -> Result<LaneId, NotIn> {
        LaneId::try_new(self.app(), whose, Group::Auth).map_err(|error| NotIn::Refused { code: error.to_string() })
    }

    async fn remember_budget(
        &self,
        extension: &str,
        places: &Places,
        how: Release,
        shown: &str,
    ) -> Result<(), StoreError> {
        let Ok(shared) = LaneId::try_new(self.app(), ALL_EXTENSIONS, Group::Auth) else { return Ok(()) };
        let view = self.store().lane(&shared).await?;
        let known = view.parked.as_deref();
        if known == Some(shown) {
            return Ok(());
        }
        if shown == OF_THE_APP {
            let window = view.plan.map_or(WINDOW, |plan| Duration::from_millis(plan.window_ms.into()));
            // The app's own penalty may last longer, and keeps refusing one after the other.
            let lasts = if let Release::Throttled { retry_after } = how { retry_after.max(window) } else { window };
            // Made beyond the app's budget it has met the end of that. Any other may have met that of its extension: a person
            // clicks often, or another program logs in with the same credential.
            let is_sure = places.tries && known.is_none();
            if !is_sure && !self.another_was_refused(extension, lasts).await? {
                return Ok(());
            }
            tracing::warn!("the token endpoint throttles; logins of this app now share one budget");
        }
        self.store().set_parked(&shared, Some(shown)).await?;
        // The penalty is the app's: its lane waits as well.
        let of_shared = places.held.iter().any(|(lane, _)| *lane == shared);
        match (how, places.held.first()) {
            (Release::Throttled { .. }, Some((_, slot))) if !of_shared => {
                self.release(&shared, *slot, how, Instant::now(), PlanSeen::default()).await;
            }
            _ => {}
        }
        Ok(())
    }

    fn waits_for_login(&self, extension: &str, delay: Duration) {
        let until = Instant::now() + delay + Duration::from_secs(2);
        let before = self.show_waiting();
        lock(&self.waiting).insert(extension.to_owned(), until);
        self.show_waiting();
        if before == 0 {
            tracing::warn!(
                extension.id = extension,
                ?delay,
                "logins wait for their budget; they are made as it allows"
            );
        }
    }

    /// Shows how many extensions this process has lately seen waiting for a login, because the budget of logins is used up.
    pub fn show_waiting(&self) -> usize {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|_, until| *until > Instant::now());
        metrics::logins_waiting(waiting.len());
        waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use ringcentral::{ProviderError, RateHeaders};

    use super::*;

    #[test]
    fn only_a_429_shows_the_apps_budget_and_only_the_token_endpoints_own_answer_that_of_each() {
        let answered = |status: u16, code: &str, retry_after: Option<u64>| {
            let error = format!(r#"{{"error":"invalid_grant","errors":[{{"errorCode":"{code}","message":"m"}}]}}"#);
            let error = Box::new(ProviderError::parse(if code.is_empty() { b"" } else { error.as_bytes() }));
            let rate = RateHeaders { retry_after: retry_after.map(Duration::from_secs), ..RateHeaders::default() };
            let status = status.try_into().expect("a status");
            Err::<Answer<()>, _>(CallError::Status { status, error, rate, request_id: None })
        };
        for tries in [false, true] {
            for throttled in [answered(429, "CMN-301", Some(60)), answered(429, "", None)] {
                assert_eq!(shown_by(&throttled, tries), Some(OF_THE_APP), "{throttled:?}");
            }
            for other in [answered(429, "CMN-304", None), answered(429, "CMN-310", Some(60))] {
                assert_eq!(shown_by(&other, tries), None, "{other:?}");
            }
            for (status, retry_after) in [(503, Some(60)), (503, None), (500, None), (502, None), (403, None)] {
                let away = answered(status, "", retry_after);
                assert_eq!(shown_by(&away, tries), None, "{away:?}");
            }
            let guarded = Err::<Answer<()>, _>(CallError::Guard { wait: PATIENCE });
            assert_eq!(shown_by(&guarded, tries), None);
            let refused = answered(400, "OAU-211", None);
            assert_eq!(shown_by(&refused, tries), tries.then_some(OF_EACH));
            let rate = RateHeaders::default();
            let granted = Ok(Answer { value: (), rate, date: None, request_id: None, elapsed: Duration::ZERO });
            assert_eq!(shown_by(&granted, tries), tries.then_some(OF_EACH));
        }
    }
}
