//! Requests to the provider, each under a slot of its lane, so that people who connect extensions don't carry the fleet over
//! a plan.

use std::time::{Duration, Instant};

use ringcentral::{
    AccessToken, Answer, AuthBudget, CallError, Caller, Client, ExtensionId, ExtensionInfo, Read, Token, Whose,
};
use ringfleet_identity::{LoginBudget, plan_seen};
use ringfleet_store::{Acquired, Group, LaneId, LeaseToken, PlanSeen, Release, SharedStore, StoreError};

use crate::trouble::Trouble;

/// Stands for the extension in the lane of logins that the whole app shares.
const ALL_EXTENSIONS: &str = "*";
/// A person waits this long for a slot; an authorization code lives for a minute.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) client: Client,
    pub(crate) store: SharedStore,
    pub(crate) app: String,
}

impl Provider {
    /// Makes the token call of an extension that only its answer names. Where logins share one budget, under a slot of it;
    /// else the slot is booked for the extension afterwards: the plan is the user's own, and nobody could know whose.
    pub(crate) async fn log_in(
        &self,
        shared: Option<&LaneId>,
        call: impl Future<Output = Result<Answer<Token>, CallError>>,
    ) -> Result<Result<Answer<Token>, CallError>, Trouble> {
        if let Some(shared) = shared {
            return self.under_slot(shared, call).await;
        }
        let answer = call.await;
        let read_at = Instant::now();
        if let Ok(Answer { value: Token { owner_id: Some(owner), .. }, rate, .. }) = &answer
            && let Err(error) = self.book(owner, read_at, plan_seen(rate)).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a login could not be counted in its plan");
        }
        // SEND-SAFETY: (of the plan) each request in a penalty starts it again, and those of the workers would be next.
        if let Err(spent @ CallError::Status { rate, .. }) = &answer
            && LoginBudget::is_spent(spent)
            && let Err(error) = LoginBudget::throttled(&self.store, &self.app, rate.quiet_for()).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a penalty of logins could not be remembered");
        }
        Ok(answer)
    }

    async fn book(&self, owner: &ExtensionId, read_at: Instant, seen: PlanSeen) -> Result<(), StoreError> {
        let Ok(lane) = LaneId::try_new(&self.app, owner.as_str(), Group::Auth) else { return Ok(()) };
        if let Acquired::Granted(slot) = self.store.acquire(&lane, PATIENCE).await? {
            self.store.release(&lane, slot, Release::Used, read_at.elapsed(), seen).await?;
        }
        Ok(())
    }

    /// Ends a session, as well as it goes: what is not ended so ends by itself.
    pub(crate) async fn revoke(&self, extension: &ExtensionId, token: &AccessToken) -> Result<(), Trouble> {
        let shared = self.shared_logins().await?;
        let lane = match &shared {
            Some(shared) => shared.clone(),
            None => self.lane(extension, Group::Auth)?,
        };
        let budget = if shared.is_some() { AuthBudget::App } else { AuthBudget::Extension(extension) };
        match self.under_slot(&lane, self.client.revoke(budget, token)).await? {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.provider().and_then(|error| error.code.as_ref());
                tracing::warn!(extension.id = extension.as_str(), rc.error_code = ?code, "a session could not be revoked");
                Err(Trouble::ProviderAway)
            }
        }
    }

    /// The extension that a token belongs to, as the provider describes it.
    pub(crate) async fn extension(
        &self,
        extension: &ExtensionId,
        token: &AccessToken,
    ) -> Result<Result<Answer<ExtensionInfo>, CallError>, Trouble> {
        let lane = self.lane(extension, Group::Light)?;
        self.under_slot(&lane, self.client.read(Caller { extension, token }, &Read::extension(Whose::Own))).await
    }

    fn lane(&self, extension: &ExtensionId, group: Group) -> Result<LaneId, Trouble> {
        LaneId::try_new(&self.app, extension.as_str(), group).map_err(|_| Trouble::NoOwner)
    }

    /// The lane of all logins, if the token endpoint has shown that it counts them together; as long as nobody knows, in a
    /// penalty as well.
    ///
    /// SEND-SAFETY: (of the plan) it may be everybody's, and each request in it starts it again.
    pub(crate) async fn shared_logins(&self) -> Result<Option<LaneId>, Trouble> {
        let Ok(shared) = LaneId::try_new(&self.app, ALL_EXTENSIONS, Group::Auth) else { return Ok(None) };
        let budget = LoginBudget::read(&self.store, &self.app).await?;
        let is_shared = budget.of_the_app.unwrap_or(budget.penalty_until.is_some());
        Ok(is_shared.then_some(shared))
    }

    /// `call` is not polled before it has a slot.
    async fn under_slot<T>(
        &self,
        lane: &LaneId,
        call: impl Future<Output = Result<Answer<T>, CallError>>,
    ) -> Result<Result<Answer<T>, CallError>, Trouble> {
        let slot = self.slot(lane).await?;
        let answer = call.await;
        let read_at = Instant::now();
        let rate = match &answer {
            Ok(answer) => Some(&answer.rate),
            Err(error) => error.rate(),
        };
        let how = match &answer {
            Err(CallError::Connect { .. } | CallError::Guard { .. } | CallError::Withheld) => Release::Unused,
            Err(CallError::Status { status, rate, .. }) if status.as_u16() == 429 => {
                Release::Throttled { retry_after: rate.quiet_for() }
            }
            _ => Release::Used,
        };
        let seen = rate.map(plan_seen).unwrap_or_default();
        if let Err(error) = self.store.release(lane, slot, how, read_at.elapsed(), seen).await {
            // The slot frees itself later than it might; what was granted must not be thrown away for that.
            tracing::warn!(error = &error as &dyn std::error::Error, "a slot could not be given back");
        }
        Ok(answer)
    }

    async fn slot(&self, lane: &LaneId) -> Result<LeaseToken, Trouble> {
        let config = self.client.config();
        let hold = config.connect_timeout + config.total_timeout;
        let began = Instant::now();
        loop {
            match self.store.acquire(lane, hold).await? {
                Acquired::Granted(slot) => return Ok(slot),
                Acquired::Wait(wait) if began.elapsed() + wait <= PATIENCE => tokio::time::sleep(wait).await,
                Acquired::Wait(wait) => return Err(Trouble::Busy { wait }),
            }
        }
    }
}
