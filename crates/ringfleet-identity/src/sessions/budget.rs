//! Whose budget a login spends, and a slot of it.
//!
//! RingCentral documents a budget of logins for each user; a platform announcement says one for the app. Which it is, nobody
//! knows before a login is refused, so until then all logins keep to the app's; when that is used up, one process tries a
//! login beyond it. If it is taken, each extension has its own budget; if not, that was the one refusal that it costs. The
//! answer is the fleet's, for good; a later 429 makes the budget the app's all the same.

use std::time::{Duration, Instant};

use ringcentral::{Answer, CallError, ExtensionId, Token, TokenOutcome, classify_token};
use ringfleet_store::{Acquired, Group, LaneId, LeaseToken, PlanSeen, Release, StoreError, TokenAsk, TokenLease};

use super::{Sessions, lock, login::NotIn};
use crate::{metrics, rate::plan_seen};

/// Stands for the extension in the lane of logins that the whole app shares, and in the lock of who tries beyond it.
const ALL_EXTENSIONS: &str = "*";
/// What the shared lane is "parked" with is how the fleet remembers whose the budget is; nothing is queued in it.
const OF_THE_APP: &str = "logins share one budget";
const OF_EACH: &str = "each extension has its own budget of logins";
/// How long one waits for another who tries beyond the app's budget.
const PATIENCE: Duration = Duration::from_secs(3);

/// Places in the windows that a login counts in.
struct Places {
    held: Vec<(LaneId, LeaseToken)>,
    /// Beyond the app's budget: its answer tells whose the budget is.
    tries: bool,
}

impl Sessions {
    /// Makes one request of the Auth group, under a slot of its window; `call` is not polled before it has one.
    pub(super) async fn with_slot(
        &self,
        extension: &ExtensionId,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<Result<Answer<Token>, CallError>, NotIn> {
        let places = match self.places(extension).await {
            Ok(places) => places,
            Err(error) => {
                if let NotIn::Later { delay } = error {
                    self.waits_for_login(extension.as_str(), delay);
                }
                return Err(error);
            }
        };
        lock(&self.waiting).remove(extension.as_str());
        let answer = call.await;
        let read_at = Instant::now();
        let (how, seen) = match &answer {
            Err(CallError::Connect { .. } | CallError::Guard { .. }) => (Release::Unused, PlanSeen::default()),
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
            if let Err(error) = self.store().release(lane, *slot, how, read_at.elapsed(), seen).await {
                // The slot frees itself later than it might; a session that was granted must not be thrown away for that.
                metrics::store_error("release", &error);
            }
        }
        let answered = answer.is_ok() || answer.as_ref().is_err_and(|error| error.status().is_some());
        let told = match how {
            Release::Throttled { .. } => self.remember_budget(&places, how, OF_THE_APP).await,
            Release::Used if places.tries && answered => self.remember_budget(&places, how, OF_EACH).await,
            Release::Used | Release::Unused => Ok(()),
        };
        if let Err(error) = told {
            metrics::store_error("set_parked", &error);
        }
        if places.tries {
            self.store().token_release(ALL_EXTENSIONS, &self.worker, Duration::ZERO).await?;
        }
        Ok(answer)
    }

    async fn places(&self, extension: &ExtensionId) -> Result<Places, NotIn> {
        let own = self.auth_lane(extension.as_str())?;
        let shared = self.auth_lane(ALL_EXTENSIONS)?;
        // One of this process at a time, so that not every extension asks the store who tries.
        let _turn = self.auth_turn.lock().await;
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.store().lane(&shared).await?.parked.as_deref() {
                Some(OF_EACH) => return Ok(Places { held: vec![self.take(own).await?], tries: false }),
                Some(_) => return Ok(Places { held: vec![self.take(shared).await?], tries: false }),
                None => {}
            }
            let mine = self.take(own.clone()).await?;
            let wait = match self.take(shared.clone()).await {
                Ok(also) => return Ok(Places { held: vec![mine, also], tries: false }),
                Err(NotIn::Later { delay }) => delay,
                Err(error) => return Err(error),
            };
            if self.may_try(&shared).await? {
                return Ok(Places { held: vec![mine], tries: true });
            }
            self.store().release(&mine.0, mine.1, Release::Unused, Duration::ZERO, PlanSeen::default()).await?;
            if Instant::now() > give_up {
                return Err(NotIn::Later { delay: wait });
            }
            tokio::time::sleep(wait.min(Duration::from_millis(50))).await;
        }
    }

    async fn take(&self, lane: LaneId) -> Result<(LaneId, LeaseToken), NotIn> {
        match self.store().acquire(&lane, self.login_deadline()).await? {
            Acquired::Granted(slot) => Ok((lane, slot)),
            Acquired::Wait(delay) => Err(NotIn::Later { delay }),
        }
    }

    /// Whether this process is the one that tries a login beyond the app's budget. After a 429 the lane waits, and nobody does.
    async fn may_try(&self, shared: &LaneId) -> Result<bool, NotIn> {
        let view = self.store().lane(shared).await?;
        if view.penalty_until.is_some() || view.parked.is_some() {
            return Ok(false);
        }
        let credentials = ["-".to_owned()];
        let ask = TokenAsk {
            known_bad: None,
            credentials: &credentials,
            lock: self.login_deadline(),
            renew: true,
            sends: shared,
        };
        let lease = self.store().token_lease(ALL_EXTENSIONS, &self.worker, ask).await?;
        if !matches!(lease, TokenLease::Renew { .. }) {
            return Ok(false);
        }
        // Somebody may have found out between the two questions.
        let known = self.store().lane(shared).await?.parked.is_some();
        if known {
            self.store().token_release(ALL_EXTENSIONS, &self.worker, Duration::ZERO).await?;
        }
        Ok(!known)
    }

    fn auth_lane(&self, whose: &str) -> Result<LaneId, NotIn> {
        LaneId::try_new(self.app(), whose, Group::Auth).map_err(|error| NotIn::Refused { code: error.to_string() })
    }

    async fn remember_budget(&self, places: &Places, how: Release, whose: &str) -> Result<(), StoreError> {
        let Ok(shared) = LaneId::try_new(self.app(), ALL_EXTENSIONS, Group::Auth) else { return Ok(()) };
        let known = self.store().lane(&shared).await?.parked;
        if known.as_deref() == Some(whose) {
            return Ok(());
        }
        if whose == OF_THE_APP {
            tracing::warn!("the token endpoint throttles; logins of this app now share one budget");
        }
        self.store().set_parked(&shared, Some(whose)).await?;
        // The penalty is the app's: its lane waits as well.
        let of_shared = places.held.iter().any(|(lane, _)| *lane == shared);
        match (how, places.held.first()) {
            (Release::Throttled { .. }, Some((_, slot))) if !of_shared => {
                self.store().release(&shared, *slot, how, Duration::ZERO, PlanSeen::default()).await
            }
            _ => Ok(()),
        }
    }

    fn waits_for_login(&self, extension: &str, delay: Duration) {
        let until = Instant::now() + delay + Duration::from_secs(2);
        lock(&self.waiting).insert(extension.to_owned(), until);
    }

    /// Extensions that this process has lately seen waiting for a login, because the budget of logins is used up.
    pub fn waiting_for_login(&self) -> usize {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|_, until| *until > Instant::now());
        waiting.len()
    }
}
