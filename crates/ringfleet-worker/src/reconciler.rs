//! Finds out what became of sends whose fate is unknown: reads the extension's outbound texts from the provider's message
//! store, over the Light lane, so that it costs nothing of what messages are sent with. One reading serves all unknown
//! sends of an extension. What the records mean is decided by the store, in one step; see [`Store::decide`].
//!
//! [`Store::decide`]: ringfleet_store::Store::decide

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use ringcentral::{
    Answer, CallError, Caller, Client, ExtensionId, MessageQuery, MessageRecord, Outcome as Meaning, Page, Read,
    classify_read,
};
use ringfleet_store::{
    Acquired, Decided, Evidence, Found, Group, LaneId, Millis, Release, SharedStore, StoreError, UnknownSend,
    UnknownSends,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    matching::candidates,
    metrics,
    options::ReconcileOptions,
    outcome::{plan_seen, word},
    sessions::{NoSession, Session, Sessions},
};

/// Lanes read at the same time by one worker.
const LANES: u32 = 8;
/// A reading longer than this is not of this world: 1,000 records a page.
const MOST_PAGES: usize = 50;

pub(crate) struct Reconciler {
    pub(crate) store: SharedStore,
    pub(crate) client: Client,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) app: String,
    pub(crate) options: ReconcileOptions,
    pub(crate) max_attempts: u32,
    /// Nobody else reads a lane for so long: as for a message, a dead worker's work goes on after it. A reading that takes
    /// longer is done twice, which does no harm.
    pub(crate) lock: Duration,
    pub(crate) stop: CancellationToken,
}

/// Why a reading did not come to its end.
enum Unread {
    /// It may do later.
    Later,
    /// Nobody may read these messages, until somebody acts.
    Refused { reason: String },
}

impl Reconciler {
    pub(crate) async fn run(self) {
        let this = Arc::new(self);
        let readings = TaskTracker::new();
        loop {
            tokio::select! {
                () = this.stop.cancelled() => break,
                // Jitter spreads the fleet's reconcilers.
                () = tokio::time::sleep(this.options.every.mul_f64(rand::random_range(0.7..=1.3))) => {}
            }
            let free = LANES.saturating_sub(readings.len() as u32);
            if free == 0 {
                continue;
            }
            match this.store.reconcile_take(free, this.lock).await {
                Ok(lanes) => {
                    for lane in lanes.into_iter().filter(|lane| lane.lane.app() == this.app) {
                        let this = this.clone();
                        readings.spawn(async move { this.look_up(lane).await });
                    }
                }
                Err(error) => metrics::store_error("reconcile_take", &error),
            }
        }
    }

    async fn look_up(&self, unknown: UnknownSends) {
        let evidence = match self.read(&unknown).await {
            Ok((records, read_at)) => self.judge(&unknown.sends, &records, read_at),
            Err(StoreOr::Store(error)) => return metrics::store_error("reconcile", &error),
            Err(StoreOr::Unread(unread)) => self.give_up(&unknown.sends, unread).await,
        };
        if evidence.is_empty() {
            return;
        }
        match self.store.decide(&evidence, self.options.settle_time, self.max_attempts).await {
            Ok(decided) => {
                for (one, decided) in evidence.iter().zip(decided) {
                    metrics::reconciled(decided);
                    if matches!(decided, Decided::Held | Decided::Dead) {
                        tracing::warn!(message.id = %one.lease.id, ?decided, "a send could not be cleared up; a person must look");
                    }
                }
            }
            Err(error) => metrics::store_error("decide", &error),
        }
    }

    fn judge(&self, sends: &[UnknownSend], records: &[MessageRecord], read_at: Millis) -> Vec<Evidence> {
        let skew = self.options.clock_skew;
        let found = |send: &UnknownSend| {
            let earliest = send.intent_at.saturating_sub(skew.as_millis() as Millis);
            Found::Candidates { ids: candidates(send, earliest, records), read_at }
        };
        sends.iter().map(|send| Evidence { lease: send.lease, found: found(send) }).collect()
    }

    /// Nothing is decided by what could not be read, until a person is asked.
    async fn give_up(&self, sends: &[UnknownSend], unread: Unread) -> Vec<Evidence> {
        let held = |send: &UnknownSend, reason: &str| Evidence {
            lease: send.lease,
            found: Found::Undecidable { reason: reason.to_owned() },
        };
        match unread {
            Unread::Refused { reason } => {
                sends.iter().map(|send| held(send, &format!("unreadable {reason}"))).collect()
            }
            Unread::Later => {
                let Ok(now) = self.store.now().await else { return Vec::new() };
                let too_old = now - self.options.give_up.as_millis() as Millis;
                sends
                    .iter()
                    .filter(|send| send.since < too_old)
                    .map(|send| held(send, "unreadable for too long"))
                    .collect()
            }
        }
    }

    /// All outbound texts of the extension since the first of these sends, to the last page, and when the reading began.
    async fn read(&self, unknown: &UnknownSends) -> Result<(Vec<MessageRecord>, Millis), StoreOr> {
        let extension = ExtensionId::try_new(unknown.lane.extension()).map_err(|_| refused("no extension"))?;
        let lane = LaneId::try_new(&self.app, extension.as_str(), Group::Light).map_err(|_| refused("no lane"))?;
        let session = match self.sessions.get(extension.as_str()).await {
            Ok(session) => session,
            Err(NoSession::Dead { .. } | NoSession::Later { .. }) => return Err(StoreOr::Unread(Unread::Later)),
            Err(NoSession::Store(error)) => return Err(StoreOr::Store(error)),
        };
        let first = unknown.sends.iter().map(|send| send.intent_at).min().unwrap_or_default();
        let skew = self.options.clock_skew.as_millis() as Millis;
        // SEND-SAFETY: both ends explicit, and beyond what the two clocks can differ by: without dates the provider shows the
        // last 24 hours only, and what it does not show would count as never sent. By the store's clock, taken before the
        // first request: however long this process is held up, an early reading stays an early one.
        let now = self.store.now().await.map_err(StoreOr::Store)?;
        let texts = Read::messages(&MessageQuery::outbound_sms(instant(first - skew), instant(now + skew)));
        let caller = Caller { extension: &extension, token: &session.token };
        let mut page = self.page(&lane, &session, &extension, self.client.read_page(caller, &texts)).await?;
        let mut records = Vec::new();
        for _ in 0..MOST_PAGES {
            records.append(&mut page.records);
            let Some(next) = page.next else { return Ok((records, now)) };
            page = self.page(&lane, &session, &extension, self.client.next_page(caller, &next)).await?;
        }
        Err(StoreOr::Unread(Unread::Later))
    }

    /// One request of the Light lane, under a slot of its window; `call` is not polled before it has one.
    async fn page(
        &self,
        lane: &LaneId,
        session: &Session,
        extension: &ExtensionId,
        call: impl Future<Output = Result<Answer<Page<MessageRecord>>, CallError>>,
    ) -> Result<Page<MessageRecord>, StoreOr> {
        let config = self.client.config();
        let slot = loop {
            match self
                .store
                .acquire(lane, config.total_timeout + config.connect_timeout)
                .await
                .map_err(StoreOr::Store)?
            {
                Acquired::Granted(slot) => break slot,
                Acquired::Wait(wait) if wait < self.lock / 2 => tokio::time::sleep(wait).await,
                Acquired::Wait(_) => return Err(StoreOr::Unread(Unread::Later)),
            }
        };
        let answer = call.await;
        let read_at = Instant::now();
        let rate = match &answer {
            Ok(answer) => Some(&answer.rate),
            Err(error) => error.rate(),
        };
        let seen = rate.map(plan_seen).unwrap_or_default();
        let meaning = answer.as_ref().err().map(classify_read);
        let how = match (&answer, &meaning) {
            (Err(CallError::Connect { .. } | CallError::Guard { .. }), _) => Release::Unused,
            (_, Some(Meaning::Throttled { after, .. })) => {
                metrics::throttled("light", "lane");
                Release::Throttled { retry_after: *after }
            }
            _ => Release::Used,
        };
        metrics::looked_up();
        if let Err(error) = self.store.release(lane, slot, how, read_at.elapsed(), seen).await {
            // The slot frees itself later than it might.
            metrics::store_error("release", &error);
        }
        match meaning {
            None => answer.map(|answer| answer.value).map_err(|_| StoreOr::Unread(Unread::Later)),
            Some(Meaning::Rejected { code: Some(code), .. }) => Err(refused(&word(Some(&code)))),
            Some(Meaning::Unauthorised { .. }) => {
                self.sessions.refused(extension.as_str(), session);
                Err(StoreOr::Unread(Unread::Later))
            }
            Some(_) => Err(StoreOr::Unread(Unread::Later)),
        }
    }
}

enum StoreOr {
    Store(StoreError),
    Unread(Unread),
}

fn refused(reason: &str) -> StoreOr {
    StoreOr::Unread(Unread::Refused { reason: reason.to_owned() })
}

fn instant(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
