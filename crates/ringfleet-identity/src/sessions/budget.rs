//! Whose budget a login spends, and a slot of it.
//!
//! RingCentral documents a budget of logins for each user; a platform announcement says one for the app. Which it is, nobody
//! knows before a login has shown it, so until then all logins keep to the app's, one after the other. When the app's is used up
//! by logins that were granted, one more is tried beyond it: if it is granted too, each extension has its own budget; if not, that
//! was the one refusal that it costs ([`evidence`]). The answer is the fleet's, for good; that each has its own gives way to
//! 429s of two extensions within one window ([`super::doubt`]), and so does not knowing: one 429 of a login that had its place
//! makes all wait, and shows no more before another extension's follows.
//!
//! One after the other, because a login under way beside the one that is tried would meet the penalty for it.

mod evidence;

use std::time::{Duration, Instant};

use ringcentral::{Answer, CallError, TokenOutcome, classify_token};
use ringfleet_store::{
    Group, LaneId, LaneRules, LaneView, LeaseToken, Millis, Plan, PlanSeen, Release, SharedStore, StoreError,
    TokenLease,
};
use tokio::sync::OwnedMutexGuard;

use self::evidence::{Shown, shown_by};
use super::{Sessions, Slot, doubt, lock, login::NotIn};
use crate::{metrics, rate::plan_seen};

/// Stands for the extension in the lane of logins that the whole app shares, and in the lock that they need before anybody
/// knows.
pub(super) const ALL_EXTENSIONS: &str = "*";
/// What the shared lane is "parked" with is how the fleet remembers whose the budget is; nothing is queued in it.
const OF_THE_APP: &str = "logins share one budget";
pub(super) const OF_EACH: &str = "each extension has its own budget of logins";
/// How long one waits for the logins of others before anybody knows, and when it asks again after that.
const PATIENCE: Duration = Duration::from_secs(3);
pub(super) const BUSY: Duration = Duration::from_millis(300);

/// What a request of the Auth group is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Errand {
    Login,
    /// A login that a person waits for: one more than the app's budget has is made for them, unless all logins wait.
    Asked,
    /// A question about the app, or the end of a session: its answer shows nothing of whose the budget is.
    Other,
}

/// Places in the windows that a login counts in.
struct Places {
    held: Vec<(LaneId, LeaseToken)>,
    /// Nobody knows whose the budget is, so no other login of the fleet is made: since then, by the store's clock.
    alone_since: Option<Millis>,
    /// Of this process's logins, as long as that is so.
    _turn: Option<OwnedMutexGuard<()>>,
    /// Beyond the app's budget: its answer tells whose the budget is.
    tries: bool,
}

impl Places {
    fn known(place: (LaneId, LeaseToken)) -> Self {
        Self { held: vec![place], alone_since: None, _turn: None, tries: false }
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
        evidence::forget(store, app).await?;
        store.set_parked(&shared, None).await
    }
}

/// The documented one where a lane tells none.
fn plan_of(lane: &LaneView) -> Plan {
    lane.plan.unwrap_or_else(|| LaneRules::documented().plan(Group::Auth))
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
    /// extension, or [`ALL_EXTENSIONS`] for a question about the app.
    pub(super) async fn with_slot<T>(
        &self,
        whose: &str,
        errand: Errand,
        call: impl Future<Output = Result<Answer<T>, CallError>>,
    ) -> Result<Result<Answer<T>, CallError>, NotIn> {
        let is_login = errand != Errand::Other;
        let places = match self.places(whose, errand).await {
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
        let answer = match places.alone_since {
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
            && let Some(shown) = shown_by(&answer)
            && let Err(error) = self.remember_budget(whose, &places, how, shown).await
        {
            metrics::store_error("set_parked", &error);
        }
        if places.alone_since.is_some() {
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

    async fn places(&self, whose: &str, errand: Errand) -> Result<Places, NotIn> {
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
        let places = self.places_alone(own, &shared, errand).await;
        if places.is_err() {
            self.let_others_log_in().await;
        }
        places.map(|places| Places { _turn: Some(turn), ..places })
    }

    async fn places_alone(&self, own: LaneId, shared: &LaneId, errand: Errand) -> Result<Places, NotIn> {
        let view = self.store().lane(shared).await?;
        if view.parked.is_some() {
            // Somebody found out between the two questions.
            return Err(NotIn::Later { delay: Duration::ZERO });
        }
        let since = self.store().time_of(shared).await?;
        // After a 429 the lane waits, and nobody tries. Asked before there is a place: the request is to follow at once.
        let is_free = view.penalty_until.is_none();
        let may_try = errand != Errand::Other && is_free && self.one_more_shows(plan_of(&view), since).await?;
        let mine = self.take(own).await?;
        let places = |held, tries| Places { held, alone_since: Some(since), _turn: None, tries };
        if mine.0 == *shared {
            return Ok(places(vec![mine], false));
        }
        let not_in = match self.acquire(shared, self.login_deadline()).await {
            Ok(Slot::Taken(also)) => return Ok(places(vec![mine, (shared.clone(), also)], false)),
            Ok(Slot::Wait(_)) if may_try => return Ok(places(vec![mine], true)),
            // Small fleets may never find out. Refused, it is as any other's 429: all wait, and nothing is shown.
            Ok(Slot::Wait(_)) if errand == Errand::Asked && is_free => return Ok(places(vec![mine], false)),
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
        shown: Shown,
    ) -> Result<(), StoreError> {
        let Ok(shared) = LaneId::try_new(self.app(), ALL_EXTENSIONS, Group::Auth) else { return Ok(()) };
        let view = self.store().lane(&shared).await?;
        let known = view.parked.as_deref();
        let whose = match (shown, places.alone_since) {
            (Shown::Spent, _) if known != Some(OF_THE_APP) => {
                let window = Duration::from_millis(plan_of(&view).window_ms.into());
                let lasts = match how {
                    // All wait for its end now, so the next one is refused after that at the earliest.
                    Release::Throttled { retry_after } if known.is_none() => retry_after.saturating_add(window),
                    // The app's own penalty may last longer, and keeps refusing one after the other.
                    Release::Throttled { retry_after } => retry_after.max(window),
                    Release::Used | Release::Unused => window,
                };
                // Made beyond the app's budget it has met the end of that. Any other may have met that of its extension: a
                // person clicks often, or another program logs in with the same credential.
                let is_sure = places.tries && known.is_none();
                if is_sure || self.another_was_refused(extension, lasts).await? {
                    tracing::warn!("the token endpoint throttles; logins of this app now share one budget");
                    Some(OF_THE_APP)
                } else if known.is_none() {
                    None
                } else {
                    return Ok(());
                }
            }
            (Shown::Granted, Some(since)) if known.is_none() => {
                let now = self.store().time_of(&shared).await?;
                if !self.note_granted(plan_of(&view), since, now).await? {
                    return Ok(());
                }
                Some(OF_EACH)
            }
            _ => return Ok(()),
        };
        if whose.is_some() {
            self.store().set_parked(&shared, whose).await?;
        }
        // The penalty is the app's, or may be: its lane waits as well.
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
