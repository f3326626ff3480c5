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
    loop {
        let settlements: Vec<Settlement> = reports
            .iter()
            .map(|report| Settlement {
                lease: report.lease,
                outcome: report.outcome.clone(),
                age: report.at.elapsed(),
                seen: report.seen,
            })
            .collect();
        // SEND-SAFETY: repeated with the same tokens until the store answers; settle is idempotent by token, so a reply
        // that was lost does no harm, and a report that was lost would.
        match store.settle(&settlements).await {
            Ok(answers) => {
                for (report, answer) in reports.iter().zip(answers) {
                    crate::metrics::settled(&report.outcome, answer);
                    if matches!(answer, Settled::Stale | Settled::Missing) {
                        tracing::warn!(message.id = %report.lease.id, ?answer, "a report came too late to count");
                    }
                }
                return;
            }
            Err(error) if error.is_transient() => {
                crate::metrics::store_error("settle", &error);
                tokio::time::sleep(backoff.next_delay()).await;
            }
            Err(error) => {
                // Asking again can't help; the leases end, and what was begun is held for a person.
                crate::metrics::store_error("settle", &error);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    reports = reports.len(),
                    "reports were refused"
                );
                return;
            }
        }
    }
}
