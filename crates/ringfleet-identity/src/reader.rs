//! Reading from the provider on behalf of the fleet: with its session, in a turn of the lane that the request counts for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::{
    AccessToken, Answer, CallError, Caller, Client, Cure, ExtensionId, NextPage, Outcome, Page, Read, ThrottleScope,
    UsageGroup, classify_read,
};
use ringfleet_store::{Gate, Group, LaneId, LeaseToken, PlanSeen, Release, StoreError};
use serde::de::DeserializeOwned;

use crate::{
    metrics,
    rate::plan_seen,
    sessions::{NoSession, Session, Sessions, Slot},
};

/// How soon a stopped fleet is looked at again.
const STOPPED: Duration = Duration::from_secs(60);

/// Makes every read that the fleet makes. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    sessions: Arc<Sessions>,
}

/// Who makes one request, and through which client.
pub struct Turn {
    pub client: Client,
    pub extension: ExtensionId,
    token: AccessToken,
}

impl Turn {
    pub fn caller(&self) -> Caller<'_> {
        Caller { extension: &self.extension, token: &self.token }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Until somebody acts.
    #[error("nobody can log in for the extension ({reason})")]
    NoSession { reason: String },
    #[error("the usage plan leaves no turn now; the next one comes in {wait:?}")]
    NoTurn {
        /// Ask again after this time.
        wait: Duration,
    },
    /// See [`classify_read`]. A refused token was renewed once before, where that could help.
    #[error("the provider gave no answer")]
    Call(#[source] CallError),
    #[error("the store gave no turn")]
    Store(#[from] StoreError),
}

/// Why there is no answer, for one who asks again later anyway.
#[derive(Debug)]
pub enum Unread {
    /// Nobody gets one until somebody acts; with RingCentral's code.
    Refused {
        code: String,
    },
    /// It may come later: that nobody can log in is told elsewhere, and a refusal without a code is a gateway's on the way.
    Later,
    Store(StoreError),
}

impl Unread {
    /// What the answer to a read means; see [`classify_read`].
    pub fn of(meaning: Outcome) -> Self {
        match meaning {
            Outcome::Rejected { code: Some(code), .. } => Unread::Refused { code: code.as_str().to_owned() },
            _ => Unread::Later,
        }
    }
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Call(error) => Unread::of(classify_read(&error)),
            ReadError::NoSession { .. } | ReadError::NoTurn { .. } => Unread::Later,
            ReadError::Store(error) => Unread::Store(error),
        }
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Unread::Store(error)
    }
}

impl Reader {
    pub fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }

    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Whether a request that nobody waits for may go out now: half of the lane's plan is free and, should it need a login, half
    /// of a budget that all extensions share.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn has_room(&self, extension: &ExtensionId, group: UsageGroup) -> Result<bool, StoreError> {
        let sessions = &self.sessions;
        let Ok(lane) = LaneId::try_new(sessions.app(), extension.as_str(), lane_group(group)) else { return Ok(false) };
        let lane = sessions.store().lane(&lane).await?;
        if lane.penalty_until.is_some() || lane.plan.is_some_and(|plan| lane.slots_in_use * 2 >= plan.limit) {
            return Ok(false);
        }
        if sessions.is_there(extension.as_str()).await? {
            return Ok(true);
        }
        Ok(!self.is_stopped().await? && sessions.login_budget().await?.roomy)
    }

    async fn is_stopped(&self) -> Result<bool, StoreError> {
        Ok(matches!(self.sessions.store().gate().await?, Gate::Stopped { .. }))
    }

    /// Reads one object; see [`call`](Self::call) for how it waits.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read<T: DeserializeOwned>(
        &self,
        extension: &ExtensionId,
        read: &Read<T>,
        patience: Duration,
    ) -> Result<Answer<T>, ReadError> {
        let ask = |turn: Turn| async move { turn.client.read(turn.caller(), read).await };
        self.call(extension, read.operation().group, patience, ask).await
    }

    /// Reads the first page of a list; see [`call`](Self::call) for how it waits.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_page<T: DeserializeOwned>(
        &self,
        extension: &ExtensionId,
        read: &Read<Page<T>>,
        patience: Duration,
    ) -> Result<Answer<Page<T>>, ReadError> {
        let ask = |turn: Turn| async move { turn.client.read_page(turn.caller(), read).await };
        self.call(extension, read.operation().group, patience, ask).await
    }

    /// Reads a further page of a list; see [`call`](Self::call) for how it waits.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn next_page<T: DeserializeOwned>(
        &self,
        extension: &ExtensionId,
        next: &NextPage<T>,
        patience: Duration,
    ) -> Result<Answer<Page<T>>, ReadError> {
        let ask = |turn: Turn| async move { turn.client.next_page(turn.caller(), next).await };
        self.call(extension, next.operation().group, patience, ask).await
    }

    /// Makes one request of `extension`, under a slot of its lane in `group`, and waits for session and slot up to `patience`
    /// (plus the request's own time). A refused token is renewed and the request made once more; a 429 is the lane's penalty,
    /// and the request waits for its end like everybody. `call` makes one request of `group` and nothing else; it is called
    /// again for a second try.
    ///
    /// Cancel-safe as far as the fleet goes: the slot of a dropped read frees itself when the request must be over.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn call<T, F, Fut>(
        &self,
        extension: &ExtensionId,
        group: UsageGroup,
        patience: Duration,
        call: F,
    ) -> Result<Answer<T>, ReadError>
    where
        F: Fn(Turn) -> Fut,
        Fut: Future<Output = Result<Answer<T>, CallError>>,
    {
        let (sessions, group) = (&self.sessions, lane_group(group));
        let lane = LaneId::try_new(sessions.app(), extension.as_str(), group)
            .map_err(|error| ReadError::NoSession { reason: error.to_string() })?;
        let deadline = Instant::now() + patience;
        let mut renewed = false;
        loop {
            self.session(extension, deadline).await?;
            let slot = self.slot(&lane, deadline).await?;
            // Waiting for the slot may have taken long.
            let Some(session) = sessions.remembered(extension.as_str()) else {
                sessions.release(&lane, slot, Release::Unused, Instant::now(), PlanSeen::default()).await;
                continue;
            };
            let (client, token) = (sessions.client().clone(), session.token.clone());
            let began = Instant::now();
            let answer = call(Turn { client, extension: extension.clone(), token }).await;
            let read_at = Instant::now();
            let meaning = answer.as_ref().err().map(classify_read);
            let how = match &meaning {
                Some(Outcome::NotSent { .. }) => Release::Unused,
                Some(Outcome::Throttled { after, scope }) => {
                    let wider = *scope == ThrottleScope::Wider;
                    metrics::throttled(group, if wider { "wider" } else { "lane" });
                    Release::Throttled { retry_after: *after }
                }
                _ => Release::Used,
            };
            if how != Release::Unused {
                metrics::read(group);
            }
            let rate = match &answer {
                Ok(answer) => Some(&answer.rate),
                Err(error) => error.rate(),
            };
            let seen = rate.map(plan_seen).unwrap_or_default();
            sessions.release(&lane, slot, how, read_at, seen).await;
            let error = match answer {
                Ok(answer) => {
                    sessions.proven(extension.as_str(), &session);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            match meaning {
                Some(Outcome::Throttled { after, scope }) => {
                    if scope == ThrottleScope::Wider {
                        sessions.close_gate(after).await;
                    }
                    if Instant::now() + after > deadline {
                        return Err(ReadError::NoTurn { wait: after });
                    }
                }
                Some(Outcome::Unauthorised { kind, .. }) => {
                    sessions.refused(extension.as_str(), &session, kind, began);
                    if renewed || kind.cure() != Cure::Renew {
                        return Err(ReadError::Call(error));
                    }
                    renewed = true;
                }
                _ => return Err(ReadError::Call(error)),
            }
        }
    }

    async fn session(&self, extension: &ExtensionId, deadline: Instant) -> Result<Session, ReadError> {
        loop {
            // The kill switch lets logins through, for connections that would be lost; one for a read would be in vain.
            if !self.sessions.is_there(extension.as_str()).await? && self.is_stopped().await? {
                wait(STOPPED, deadline).await?;
                continue;
            }
            match self.sessions.get(extension).await {
                Ok(session) => return Ok(session),
                Err(NoSession::Dead { reason }) => return Err(ReadError::NoSession { reason }),
                Err(NoSession::Store(error)) => return Err(ReadError::Store(error)),
                Err(NoSession::Later { delay }) => wait(delay, deadline).await?,
            }
        }
    }

    async fn slot(&self, lane: &LaneId, deadline: Instant) -> Result<LeaseToken, ReadError> {
        let config = self.sessions.client().config();
        let hold = config.total_timeout + config.connect_timeout;
        loop {
            match self.sessions.acquire(lane, hold).await? {
                Slot::Taken(slot) => return Ok(slot),
                Slot::Wait(delay) => wait(delay, deadline).await?,
                Slot::Late => wait(Duration::ZERO, deadline).await?,
            }
        }
    }
}

fn lane_group(group: UsageGroup) -> Group {
    match group {
        UsageGroup::Heavy => Group::Heavy,
        UsageGroup::Medium => Group::Medium,
        UsageGroup::Light => Group::Light,
        UsageGroup::Auth => Group::Auth,
    }
}

/// Sleeps as long as the store says, unless that is longer than one is willing to wait.
async fn wait(delay: Duration, deadline: Instant) -> Result<(), ReadError> {
    if Instant::now() + delay > deadline {
        return Err(ReadError::NoTurn { wait: delay });
    }
    tokio::time::sleep(delay).await;
    Ok(())
}
