//! Whose budget a login spends, and a slot of it.

use std::time::{Duration, Instant};

use ringcentral::{Answer, CallError, ExtensionId, Token, TokenOutcome, classify_token};
use ringfleet_store::{Acquired, Group, LaneId, PlanSeen, Release, StoreError};

use super::{Sessions, login::NotIn};
use crate::{metrics, rate::plan_seen};

/// Stands for the extension in the lane of logins that the whole app shares.
const ALL_EXTENSIONS: &str = "*";

/// What logins are made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LoginBudget {
    /// All extensions of the app share it.
    pub(crate) shared: bool,
    /// There is room for a login that nobody waits for: it is not shared, or more than half of it is free.
    pub(crate) roomy: bool,
}

impl Sessions {
    pub(crate) async fn login_budget(&self) -> Result<LoginBudget, StoreError> {
        let Ok(shared) = LaneId::try_new(self.app(), ALL_EXTENSIONS, Group::Auth) else {
            return Ok(LoginBudget { shared: false, roomy: true });
        };
        let lane = self.store().lane(&shared).await?;
        let shared = lane.parked.is_some();
        let half = lane.plan.is_none_or(|plan| lane.slots_in_use * 2 < plan.limit);
        Ok(LoginBudget { shared, roomy: !shared || (half && lane.penalty_until.is_none()) })
    }

    /// Makes one request of the Auth lane, under a slot of its window; `call` is not polled before it has one.
    pub(super) async fn with_slot(
        &self,
        extension: &ExtensionId,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<Result<Answer<Token>, CallError>, NotIn> {
        let lane = self.auth_lane(extension).await?;
        let slot = match self.store().acquire(&lane, self.login_deadline()).await? {
            Acquired::Granted(slot) => slot,
            Acquired::Wait(delay) => return Err(NotIn::Later { delay }),
        };
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
        if let Err(error) = self.store().release(&lane, slot, how, read_at.elapsed(), seen).await {
            // The slot frees itself later than it might; a session that was granted must not be thrown away for that.
            metrics::store_error("release", &error);
        }
        if let Release::Throttled { retry_after } = how {
            self.share_auth_budget(&lane, retry_after).await;
        }
        Ok(answer)
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
