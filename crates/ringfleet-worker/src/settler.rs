//! Reports outcomes until the store has taken them. A report is never given up while the process lives: it is the only
//! evidence of what became of a text.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ringfleet_store::{LeaseRef, Outcome, PlanSeen, Settled, Settlement, SharedStore};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::backoff::Backoff;

/// The most that goes into one call.
const MOST: usize = 128;
/// Tries for a single report that the store answers with a refusal rather than not at all; about six seconds.
const MOST_REFUSALS: u32 = 10;

pub(crate) struct Report {
    pub(crate) lease: LeaseRef,
    pub(crate) outcome: Outcome,
    /// When the response was read.
    pub(crate) at: Instant,
    pub(crate) seen: PlanSeen,
    done: oneshot::Sender<()>,
}

#[derive(Clone)]
pub(crate) struct Settler(mpsc::Sender<Report>);

impl Settler {
    /// Resolves when the store has the report. Not cancel-safe in the sense that the report is made all the same.
    pub(crate) async fn report(&self, lease: LeaseRef, outcome: Outcome, at: Instant, seen: PlanSeen) {
        let (done, settled) = oneshot::channel();
        if self.0.send(Report { lease, outcome, at, seen, done }).await.is_ok() {
            // An error means that the loop is gone with the process; the lease then tells the others.
            let _ = settled.await;
        }
    }
}

/// The settler and its loop. `settled` is told after each call, because it makes room in lanes.
pub(crate) fn settler(store: SharedStore, settled: Arc<Notify>) -> (Settler, impl Future<Output = ()> + Send) {
    let (line, mut reports) = mpsc::channel::<Report>(4 * MOST);
    let serve = async move {
        let mut batch = Vec::with_capacity(MOST);
        while reports.recv_many(&mut batch, MOST).await > 0 {
            let reports = std::mem::take(&mut batch);
            settle_until_taken(&store, &reports).await;
            settled.notify_one();
            for report in reports {
                let _ = report.done.send(());
            }
        }
    };
    (Settler(line), serve)
}

async fn settle_until_taken(store: &SharedStore, reports: &[Report]) {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(2));
    let mut refusals = 0;
    loop {
        let settlements: Vec<Settlement> = reports.iter().map(Report::settlement).collect();
        // SEND-SAFETY: repeated with the same tokens until the store answers; settle is idempotent by token, so a reply
        // that was lost does no harm, and a report that was lost would.
        let error = match store.settle(&settlements).await {
            Ok(answers) => {
                for (report, answer) in reports.iter().zip(answers) {
                    crate::metrics::settled(&report.outcome, answer);
                    if matches!(answer, Settled::Stale | Settled::Missing) {
                        tracing::warn!(message.id = %report.lease.id, ?answer, "a report came too late to count");
                    }
                }
                return;
            }
            Err(error) => error,
        };
        crate::metrics::store_error("settle", &error);
        if !error.is_transient() {
            if reports.len() > 1 {
                // One record that can't be settled must not take the others along.
                for report in reports {
                    Box::pin(settle_until_taken(store, std::slice::from_ref(report))).await;
                }
                return;
            }
            refusals += 1;
            if refusals >= MOST_REFUSALS {
                // Its lease ends, and what was begun is held for a person; the reports behind it wait no longer.
                tracing::error!(error = &error as &dyn std::error::Error, "the store refuses a report");
                return;
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

impl Report {
    fn settlement(&self) -> Settlement {
        Settlement { lease: self.lease, outcome: self.outcome.clone(), age: self.at.elapsed(), seen: self.seen }
    }
}
