//! One message from claim to settle.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use ringcentral::{
    Caller, Client, ExtensionId, MessageText, Outcome as Meaning, Permit, PhoneNumber, SmsRequest, classify,
};
use ringfleet_identity::{
    NO_CREDENTIAL, NoSession, Session, Sessions,
    directory::{Directory, Register},
    plan_seen,
};
use ringfleet_quiet::QuietHours;
use ringfleet_store::{Begin, Intent, LaneId, Lease, Millis, Outcome};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    batcher::Batcher,
    breaker::Breaker,
    claimer::Work,
    failpoint,
    journal::Journal,
    metrics,
    outcome::{Consequence, report},
    parked::{CREDENTIAL, for_sender},
    quiet,
    settler::{Settler, Told},
};

/// How long a message waits in a worker's hand for a renewal before it goes back to its lane.
pub(crate) const SESSION_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) directory: Directory,
    pub(crate) register: Register,
    /// One for each shard, so that none waits for another's answer.
    pub(crate) begin: Vec<Batcher<(Intent, LaneId), Begin>>,
    pub(crate) settler: Settler,
    /// For each shard: reports that are being made without a hand.
    pub(crate) places: Vec<Semaphore>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) lease: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) quiet_hours: Option<QuietHours>,
    pub(crate) breaker: Arc<Breaker>,
    /// Set when the worker drains: what is not begun goes back.
    pub(crate) stop: CancellationToken,
}

impl Sender {
    /// Ends when the store knows what became of the message, or when the lease was lost and somebody else knows.
    pub(crate) async fn process(&self, work: Work) {
        // SEND-SAFETY: the lease is kept until the store has the report, although the hand is free before: one that ended
        // meanwhile would make a text that was sent one of unknown fate, which some policies send again.
        let Work { lease, _hold, hand } = work;
        let Some(told) = self.carry(&lease).await else { return };
        // What became of it is known, and the breaker was told, so its hand takes the next one while the report is made. Not
        // without a bound: a shard that does not answer must not get all the room that the others' messages need.
        let place = self.places[lease.token.shard(self.places.len())].try_acquire();
        let _hand = place.is_err().then_some(hand);
        if let Outcome::Parked { .. } = told.outcome {
            failpoint::hit("park.before");
        }
        self.settler.report(&lease, told).await;
    }

    /// From the lease to what is to be reported of it; `None` when the store has decided of it.
    async fn carry(&self, lease: &Lease) -> Option<Told> {
        let give_up = Instant::now() + SESSION_PATIENCE;
        let mut never_begun = true;
        loop {
            let (request, extension, session) = match self.ready(lease, give_up).await {
                Ok(ready) => ready,
                Err(outcome) => return Some(Told { never_begun, ..Told::of(outcome) }),
            };
            never_begun = false;
            if let ControlFlow::Break(told) = self.send(lease, &request, &extension, &session).await {
                return told;
            }
            // Its renewal has begun, here or elsewhere: the newest one is waited for.
            self.sessions.outdated(extension.as_str(), &session);
            if Instant::now() > give_up {
                return Some(Told::not_sent());
            }
        }
    }

    /// All that can go wrong before anything is promised: nothing was sent on any `Err`.
    async fn ready(&self, lease: &Lease, give_up: Instant) -> Result<(SmsRequest, ExtensionId, Session), Outcome> {
        if self.stop.is_cancelled() {
            return Err(Outcome::Released);
        }
        if lease.lane.app() != self.sessions.app() {
            // Sent by this app's client id, it would spend another lane's quota twice.
            tracing::error!(
                lane = %lease.lane, app = self.sessions.app(),
                "a message was handed in for another ringcentral.app than this worker's: its lane is parked"
            );
            return Err(Outcome::Parked { reason: format!("app {} is not this worker's", lease.lane.app()) });
        }
        let extension = ExtensionId::try_new(lease.lane.extension());
        let from = PhoneNumber::try_new(lease.from.expose());
        let to = PhoneNumber::try_new(lease.to.expose());
        let text = MessageText::try_new(lease.text.expose());
        let (Ok(extension), Ok(from), Ok(to), Ok(text)) = (extension, from, to, text) else {
            // Producers check this; a record that says otherwise was made by something else.
            return Err(Outcome::Rejected { code: "malformed-record".to_owned() });
        };
        // SEND-SAFETY: a number that has moved, or lost its feature, since the message was accepted: a text must not leave from
        // another extension than the number's, so it waits. Nothing was sent.
        let book = self.directory.book();
        if let Some(gone) = book.gone(&extension, &from, lease.created_at) {
            return Err(Outcome::Parked { reason: for_sender(gone, self.read_at(&extension)) });
        }
        // SEND-SAFETY: before anything is noted, so that the message waits as one of which nothing was sent. Between this look and the
        // POST lie the wait for a session, half a lease at most, and the connection (see quiet::on_its_way): it is not made once more.
        if let Some(delay) = quiet::delay(self.quiet_hours.as_ref(), &to, lease.priority, Timestamp::now()) {
            return Err(Outcome::Later { delay });
        }
        let request = SmsRequest { from, to, text, country: None };
        if let Some(session) = self.sessions.remembered(extension.as_str()) {
            return Ok((request, extension, session));
        }
        let session = tokio::select! {
            session = self.sessions.get(&extension) => session,
            () = self.stop.cancelled() => return Err(Outcome::Released),
            // A login that hangs must not keep the hands from extensions that have a session.
            () = tokio::time::sleep_until(give_up.into()) => return Err(Told::not_sent().outcome),
        };
        match session {
            Ok(session) => Ok((request, extension, session)),
            Err(NoSession::Dead { reason }) => {
                if reason == NO_CREDENTIAL {
                    self.sessions.tell_of_no_login(&extension);
                }
                Err(Outcome::Parked { reason: format!("{CREDENTIAL}{reason}") })
            }
            Err(NoSession::Later { delay }) => Err(Outcome::NotSent { delay }),
            Err(NoSession::Store(error)) => {
                metrics::store_error("token", &error);
                Err(Outcome::NotSent { delay: Duration::from_secs(1) })
            }
        }
    }

    /// Goes on if nothing was begun, because the session is over.
    async fn send(
        &self,
        lease: &Lease,
        request: &SmsRequest,
        extension: &ExtensionId,
        session: &Session,
    ) -> ControlFlow<Option<Told>> {
        let asked = Asked::now(self.lease);
        // SEND-SAFETY: a machine may be suspended under the POST for so long that its message is decided, forgotten, and its key
        // another's. The record was certainly there after this moment, so the report's age counts from it.
        let wall = asked.wall;
        failpoint::hit("intent.before");
        let intent = Intent { lease: lease.reference(), session: session.generation };
        let begin = &self.begin[lease.token.shard(self.begin.len())];
        match begin.ask((intent, lease.lane.clone())).await {
            // SEND-SAFETY: the only way to a POST.
            Ok(Begin::Go) => {}
            Ok(Begin::SessionOver) => return ControlFlow::Continue(()),
            Ok(refused) => {
                self.journal.never_began(lease.reference(), &lease.lane).await;
                metrics::not_begun(match refused {
                    Begin::LeaseLost => "lease_lost",
                    Begin::Expired => "expired",
                    Begin::Suppressed => "suppressed",
                    Begin::PutBack | Begin::SessionOver | Begin::Go => "put_back",
                });
                // SEND-SAFETY: told as under way to a store that was restarted meanwhile, it may pass for one of unknown fate.
                let never_sent = Told::of(Outcome::NotSent { delay: Duration::ZERO });
                return ControlFlow::Break((refused == Begin::LeaseLost).then_some(never_sent));
            }
            Err(error) => {
                // SEND-SAFETY: the intent may be written although its answer was lost. Nothing is posted; reporting "not
                // sent" is true in both cases and puts the message back.
                tracing::warn!(error = &error as &dyn std::error::Error, "could not write the intent");
                return ControlFlow::Break(Some(Told::not_sent()));
            }
        }
        failpoint::hit("intent.after");
        let began = Instant::now();
        metrics::waited(since(lease.due_at));
        let caller = Caller { extension, token: &session.token };
        let answer = self.client.send_sms_if(caller, request, Arc::new(asked)).await;
        let read_at = Instant::now();
        failpoint::hit("post.body");
        let rate = match &answer {
            Ok(answer) => Some(&answer.rate),
            Err(error) => error.rate(),
        };
        let seen = rate.map(plan_seen).unwrap_or_default();
        let meaning = classify(&answer);
        let went_out = !matches!(meaning, Meaning::NotSent { .. });
        if let Err(ringcentral::CallError::Guard { .. }) = &answer {
            metrics::guard_refused();
        } else {
            // What certainly never left counts against no plan, as with reads.
            metrics::posted(read_at - began, went_out);
        }
        if let Err(error) = &answer {
            tracing::debug!(
                message.id = %lease.id, extension.id = lease.lane.extension(), attempt = lease.attempt,
                rc.request_id = error.request_id(), error = error as &dyn std::error::Error, "send failed"
            );
        }
        let (mut outcome, consequence) = report(meaning, self.max_attempts);
        match &outcome {
            Outcome::Unknown { .. } => self.breaker.unknown(&lease.lane, began),
            Outcome::NotSent { .. } => {}
            _ => self.breaker.known(began),
        }
        if !matches!(outcome, Outcome::NotSent { .. } | Outcome::Unknown { .. } | Outcome::Parked { .. }) {
            self.sessions.proven(extension.as_str(), session);
        }
        if let Some(reason) = self.follow(extension, session, &outcome, consequence, began).await {
            outcome = Outcome::Parked { reason };
        }
        ControlFlow::Break(Some(Told { went_out, at: read_at, wall, seen, ..Told::of(outcome) }))
    }

    /// Gives the reason to park the lane with, when a new session would be refused like this one.
    async fn follow(
        &self,
        extension: &ExtensionId,
        session: &Session,
        outcome: &Outcome,
        consequence: Consequence,
        began: Instant,
    ) -> Option<String> {
        if let Outcome::Throttled { .. } = outcome {
            let scope = if let Consequence::CloseGate { .. } = consequence { "wider" } else { "lane" };
            metrics::throttled("medium", scope);
        }
        match consequence {
            Consequence::None => {}
            Consequence::ForgetSession { kind } => self.sessions.refused(extension.as_str(), session, kind, began),
            Consequence::Condemn { code } => {
                let reason = self.sessions.condemn(extension, session, &code, began).await;
                return Some(format!("{CREDENTIAL}{reason}"));
            }
            Consequence::AskForNumbers => {
                let Outcome::Parked { reason } = outcome else { return None };
                tracing::warn!(
                    extension.id = extension.as_str(), rc.error_code = %reason,
                    "the provider does not let it text from this number; lane parked, its numbers are read again"
                );
                let reason = for_sender(reason, self.read_at(extension));
                if let Err(error) = self.register.ask(extension).await {
                    // The caretaker asks again.
                    metrics::store_error("doc_put", &error);
                }
                return Some(reason);
            }
            Consequence::CloseGate { delay } => self.sessions.close_gate(delay).await,
        }
        None
    }

    /// When the extension's own list was last read, as far as this process knows.
    fn read_at(&self, extension: &ExtensionId) -> Millis {
        self.directory.book().extension(extension).map_or(0, |facts| facts.read_at)
    }
}

/// When the intent was asked for; it was written later than that.
///
/// SEND-SAFETY: a process that was frozen, or a connection that took long, may have lost its lease meanwhile, and the message
/// may be in other hands by now. Within half a lease of asking nobody else can have it. Looked at when the connection takes
/// the text. The machine's wall clock is asked as well, because the other one stands still while a machine is suspended.
struct Asked {
    at: Instant,
    wall: SystemTime,
    lease: Duration,
}

impl Asked {
    fn now(lease: Duration) -> Self {
        Self { at: Instant::now(), wall: SystemTime::now(), lease }
    }
}

impl Permit for Asked {
    fn granted(&self) -> bool {
        failpoint::hit("post.connected");
        let slept = self.wall.elapsed().unwrap_or_default();
        let granted = self.at.elapsed().max(slept) < self.lease / 2;
        failpoint::hit_soon("post.body_sent");
        granted
    }

    fn answered(&self) {
        failpoint::hit("post.headers");
    }
}

/// Time since a moment of the store's clock, by this machine's: good enough for a histogram, wrong by their difference.
fn since(at: ringfleet_store::Millis) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(at.max(0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Mutex;

    use axum::{Json, Router, routing::post};
    use ringfleet_store::{OnUnknown, sqlite::SqliteOptions};
    use serde_json::json;

    use crate::tests::rig::{EXTENSION, Worker, claimed, provider, sqlite, text};

    const LEASE: Duration = Duration::from_secs(60);
    const EARLY: Duration = Duration::from_secs(5);

    #[test]
    fn nothing_leaves_once_half_a_lease_is_over_by_either_clock() {
        let (at, wall) = (Instant::now(), SystemTime::now());
        let half = LEASE / 2;
        let granted = |at, wall| Asked { at, wall, lease: LEASE }.granted();
        assert!(granted(at, wall) && granted(at - EARLY, wall - EARLY));
        assert!(!granted(at - half, wall), "a process that was stopped, by its own clock alone");
        assert!(!granted(at, wall - half), "a machine that was suspended, by the wall clock alone");
        // One that was put back says nothing, and must not lend the other any time.
        assert!(granted(at, wall + LEASE) && !granted(at - half, wall + LEASE));
    }

    #[tokio::test]
    async fn the_age_of_a_report_counts_from_before_its_post_however_long_that_takes() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let arrived = Arc::new(Mutex::new(None));
        let arrives = arrived.clone();
        let take = move || {
            arrives.lock().unwrap().get_or_insert_with(SystemTime::now);
            async { Json(json!({"id": 1, "messageStatus": "Queued"})) }
        };
        let routes = Router::new().route("/restapi/v1.0/account/~/extension/~/sms", post(take));
        let (worker, settling) = Worker::new(&store, provider(routes).await);
        tokio::spawn(settling);
        let lease = claimed(&store, text(EXTENSION, 1, OnUnknown::Hold)).await;
        let (request, extension, session) = worker.sender.ready(&lease, Instant::now() + LEASE).await.unwrap();
        let told = worker.sender.send(&lease, &request, &extension, &session).await;
        let ControlFlow::Break(Some(told)) = told else { panic!("nothing is told") };
        assert!(told.went_out && told.wall <= arrived.lock().unwrap().unwrap());
    }
}
