//! Reports outcomes until the store has taken them. A report is never given up while the process lives: it is the only
//! evidence of what became of a text.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::future::join_all;
use ringfleet_store::{
    LaneId, Lease, LeaseRef, Outcome, PlanSeen, Reassertion, Settled, Settlement, SharedStore, StoreError,
};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    backoff::Backoff,
    failpoint,
    journal::{self, Entry, Journal},
};

#[cfg(test)]
mod tests;

/// The most that goes into one call.
const MOST: usize = 128;
/// Tries for a single report that the store will never take; about six seconds.
const MOST_REFUSALS: u32 = 10;

/// What is to be reported of a message.
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    /// The provider may have got the request.
    pub(crate) went_out: bool,
    /// When the response was read.
    pub(crate) at: Instant,
    /// Before its intent was asked for; without one, when it was to be reported. By the clock that goes on while the machine is
    /// suspended.
    pub(crate) wall: SystemTime,
    pub(crate) seen: PlanSeen,
    /// The journal knows of no beginning of it, which would have to be ended.
    pub(crate) never_begun: bool,
}

impl Told {
    /// No request was made.
    pub(crate) fn of(outcome: Outcome) -> Self {
        let (at, wall, seen) = (Instant::now(), SystemTime::now(), PlanSeen::default());
        Self { outcome, went_out: false, at, wall, seen, never_begun: false }
    }

    pub(crate) fn not_sent() -> Self {
        Self::of(Outcome::NotSent { delay: Duration::from_secs(1) })
    }

    #[cfg(test)]
    pub(crate) fn answered(outcome: Outcome) -> Self {
        Self { went_out: true, ..Self::of(outcome) }
    }
}

pub(crate) struct Report {
    pub(crate) lease: LeaseRef,
    pub(crate) lane: LaneId,
    pub(crate) told: Told,
    done: oneshot::Sender<()>,
}

#[derive(Clone)]
pub(crate) struct Settler(mpsc::Sender<Report>);

impl Settler {
    /// Resolves when the store has the report. Dropping the future does not withdraw the report.
    pub(crate) async fn report(&self, lease: &Lease, told: Told) {
        let (done, settled) = oneshot::channel();
        let report = Report { lease: lease.reference(), lane: lease.lane.clone(), told, done };
        if self.0.send(report).await.is_ok() {
            // An error means that the loop is gone with the process; the lease then tells the others.
            let _ = settled.await;
        }
    }
}

/// The settler and its loop. `settled` is told after each call, because it makes room in lanes. `retention` is that of
/// [`Store::reassert`](ringfleet_store::Store::reassert).
pub(crate) fn settler(
    store: SharedStore,
    journal: Arc<Journal>,
    settled: Arc<Notify>,
    retention: Duration,
) -> (Settler, impl Future<Output = ()> + Send) {
    let (line, mut reports) = mpsc::channel::<Report>(4 * MOST);
    // SEND-SAFETY: a loop for each shard, so that those of one that does not answer keep no other's from being told: their
    // leases would end, and what was sent would be of unknown fate. All reports of a lease go the same way, in their order.
    let (lines, loops): (Vec<_>, Vec<_>) = (0..store.shards())
        .map(|_| {
            // Bounded by the messages in hand.
            let (written, to_settle) = mpsc::unbounded_channel();
            (written, settle(store.clone(), journal.clone(), settled.clone(), retention, to_settle))
        })
        .unzip();
    // A loop of its own: what is known must be in the journal although the store can't be reached.
    let write = async move {
        let mut batch = Vec::with_capacity(MOST);
        while reports.recv_many(&mut batch, MOST).await > 0 {
            // SEND-SAFETY: a journal has room for so many sends. Thousands of messages that are put off for the night are none, and
            // would push out what was sent before.
            let ended = batch.iter().filter(|report| !report.told.never_begun);
            let ended: Vec<Entry> = ended.map(Report::entry).collect();
            if !ended.is_empty() {
                journal.record(ended).await;
            }
            for report in batch.drain(..) {
                if lines[report.lease.token.shard(lines.len())].send(report).is_err() {
                    return;
                }
            }
        }
    };
    let serve = async move {
        tokio::join!(write, join_all(loops));
    };
    (Settler(line), serve)
}

/// The loop of one shard.
async fn settle(
    store: SharedStore,
    journal: Arc<Journal>,
    settled: Arc<Notify>,
    retention: Duration,
    mut to_settle: mpsc::UnboundedReceiver<Report>,
) {
    let mut batch = Vec::with_capacity(MOST);
    while to_settle.recv_many(&mut batch, MOST).await > 0 {
        let reports = std::mem::take(&mut batch);
        failpoint::hit("settle.before");
        settle_until_taken(&store, &journal, &reports, retention).await;
        failpoint::hit("settle.after_script");
        settled.notify_one();
        for report in reports {
            let _ = report.done.send(());
        }
    }
}

async fn settle_until_taken(store: &SharedStore, journal: &Journal, reports: &[Report], retention: Duration) {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
    let mut refusals = 0;
    loop {
        // SEND-SAFETY: repeated with the same tokens until the store answers; settle is idempotent by token, so a reply
        // that was lost does no harm, and a report that was lost would.
        let answers = match reports {
            // SEND-SAFETY: of a worker that was cut off for so long. The record may be gone in its turn, and its key be another
            // message's, which must not be taken for sent: told of as by a journal, the store judges that.
            [one] if one.is_late(retention) => store.reassert(&[one.reassertion()], retention).await,
            _ if reports.iter().any(|one| one.is_late(retention)) => {
                for one in reports {
                    Box::pin(settle_until_taken(store, journal, std::slice::from_ref(one), retention)).await;
                }
                return;
            }
            _ => store.settle(&reports.iter().map(Report::settlement).collect::<Vec<_>>()).await,
        };
        let error = match answers {
            Ok(answers) => {
                tell_again(store, reports, &answers, retention).await;
                for (report, answer) in reports.iter().zip(answers) {
                    journal.answered(report.lease, &report.lane, &report.told.outcome, answer).await;
                    let tells = !matches!(
                        report.told.outcome,
                        Outcome::NotSent { .. } | Outcome::Later { .. } | Outcome::Released
                    );
                    if tells && matches!(answer, Settled::Stale | Settled::Missing) {
                        tracing::warn!(message.id = %report.lease.id, ?answer, "a report came too late to count");
                    }
                }
                return;
            }
            Err(error) => error,
        };
        crate::metrics::store_error("settle", &error);
        // SEND-SAFETY: only what will never be taken is given up. A user's rights or password are put right again; of a report that
        // is dropped before, `on_unknown` decides, and `resend` makes a second text of one that is known to be sent.
        let never =
            matches!(error, StoreError::Refused { .. } | StoreError::Unreadable { .. } | StoreError::Replaced { .. });
        if never {
            if reports.len() > 1 {
                // One record that can't be settled must not take the others along.
                for report in reports {
                    Box::pin(settle_until_taken(store, journal, std::slice::from_ref(report), retention)).await;
                }
                return;
            }
            refusals += 1;
            if refusals >= MOST_REFUSALS {
                // Its lease ends, and what was begun is looked up at the provider; the reports behind it wait no longer.
                tracing::error!(error = &error as &dyn std::error::Error, "the store refuses a report");
                return;
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// SEND-SAFETY: a message that the store does not know was lost with the moment in which it was sent. Told with its lane it
/// gets a record, so that its producer's repeat is not a second text. A request that was none has no place in a window.
async fn tell_again(store: &SharedStore, reports: &[Report], answers: &[Settled], retention: Duration) {
    let missing = reports.iter().zip(answers);
    let missing = missing.filter(|(report, answer)| report.told.went_out && **answer == Settled::Missing);
    let lost: Vec<Reassertion> = missing.map(|(report, _)| report.reassertion()).collect();
    if lost.is_empty() {
        return;
    }
    if let Err(error) = journal::tell(store, &lost, retention).await {
        // The journal tells it once more when the store's restart is noticed.
        crate::metrics::store_error("reassert", &error);
    }
}

impl Report {
    fn entry(&self) -> Entry {
        Entry::ended(self.lease, &self.lane, &self.told.outcome, self.told.went_out, self.told.at)
    }

    pub(crate) fn settlement(&self) -> Settlement {
        let Told { outcome, at, seen, .. } = &self.told;
        Settlement { lease: self.lease, outcome: outcome.clone(), age: at.elapsed(), seen: *seen }
    }

    fn reassertion(&self) -> Reassertion {
        Reassertion { settlement: self.settlement(), lane: self.lane.clone() }
    }

    /// Half of the time after which its record may be gone has passed, so that this clock need not be right. Only of a request.
    fn is_late(&self, retention: Duration) -> bool {
        self.told.went_out && self.told.wall.elapsed().is_ok_and(|age| age >= retention / 2)
    }
}
