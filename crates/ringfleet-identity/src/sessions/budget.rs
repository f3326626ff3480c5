//! Whose budget a login spends, and a slot of it.

use std::time::{Duration, Instant};

use ringcentral::{Answer, CallError, ExtensionId, Token, TokenOutcome, classify_token};
use ringfleet_store::{Acquired, Group, LaneId, PlanSeen, Release, StoreError};

use super::{Sessions, login::NotIn};
use crate::{metrics, rate::plan_seen};

/// Stands for the extension in the lane of logins that the whole app shares.
pub(super) const ALL_EXTENSIONS: &str = "*";

impl Sessions {
    /// Makes one request of the Auth lane, under a slot of its window; `call` is not polled before it has one.
    pub(super) async fn with_slot<T>(
        &self,
        extension: &ExtensionId,
        call: impl Future<Output = Result<Answer<T>, CallError>>,
    ) -> Result<Result<Answer<T>, CallError>, NotIn> {
        let lane = self.auth_lane(extension).await?;
        self.under(&lane, call).await
    }

    /// The same under a slot of `lane`.
    pub(super) async fn under<T>(
        &self,
        lane: &LaneId,
        call: impl Future<Output = Result<Answer<T>, CallError>>,
    ) -> Result<Result<Answer<T>, CallError>, NotIn> {
        let slot = match self.store().acquire(lane, self.login_deadline()).await? {
            Acquired::Granted(slot) => slot,
            Acquired::Wait(delay) => return Err(NotIn::Later { delay }),
        };
        let answer = call.await;
        let read_at = Instant::now();
        // What is granted differs from call to call; what an error means does not.
        let (granted, errors) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(error)),
        };
        let refused: Option<Result<Answer<Token>, CallError>> = errors.map(Err);
        let (how, seen) = match &refused {
            Some(Err(CallError::Connect { .. } | CallError::Guard { .. })) => (Release::Unused, PlanSeen::default()),
            other => {
                let rate = match (&granted, other) {
                    (Some(answer), _) => Some(&answer.rate),
                    (None, Some(Err(error))) => error.rate(),
                    (None, _) => None,
                };
                let how = match other.as_ref().map_or(TokenOutcome::Granted, classify_token) {
                    TokenOutcome::Throttled { after, .. } => {
                        metrics::throttled(Group::Auth, "lane");
                        Release::Throttled { retry_after: after }
                    }
                    _ => Release::Used,
                };
                (how, rate.map(plan_seen).unwrap_or_default())
            }
        };
        if let Err(error) = self.store().release(lane, slot, how, read_at.elapsed(), seen).await {
            // The slot frees itself later than it might; a session that was granted must not be thrown away for that.
            metrics::store_error("release", &error);
        }
        if let Release::Throttled { retry_after } = how {
            self.share_auth_budget(lane, retry_after).await;
        }
        Ok(match (granted, refused) {
            (Some(answer), _) => Ok(answer),
            (None, Some(Err(error))) => Err(error),
            (None, _) => Err(CallError::Withheld),
        })
    }

    /// RingCentral documents a budget for each user; a platform announcement says one for the app. It begins with the user's,
    /// and the first 429 of the token endpoint makes it the app's, for the whole fleet and for good.
    async fn auth_lane(&self, extension: &ExtensionId) -> Result<LaneId, NotIn> {
        let lane = |whose| {
            LaneId::try_new(self.app(), whose, Group::Auth).map_err(|error| NotIn::Refused { code: error.to_string() })
        };
        let shared = lane(ALL_EXTENSIONS)?;
        let view = self.store().lane(&shared).await?;
        if view.parked.is_some() { Ok(shared) } else { lane(extension.as_str()) }
    }

    async fn share_auth_budget(&self, throttled: &LaneId, retry_after: Duration) {
        let Ok(shared) = LaneId::try_new(self.app(), ALL_EXTENSIONS, Group::Auth) else { return };
        if *throttled == shared {
            return;
        }
        tracing::warn!("the token endpoint throttles; logins of this app now share one budget");
        let hold = Duration::from_secs(1);
        let shared_it = async {
            // "Parked" is how a lane remembers; nothing is queued in this one.
            self.store().set_parked(&shared, Some("logins share one budget")).await?;
            if let Acquired::Granted(slot) = self.store().acquire(&shared, hold).await? {
                let how = Release::Throttled { retry_after };
                self.store().release(&shared, slot, how, Duration::ZERO, PlanSeen::default()).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = shared_it.await {
            metrics::store_error("release", &error);
        }
    }
}
