//! Takes back what dead workers held, closes what passed its `send_by`, and removes old records.

use std::time::{Duration, Instant};

use ringfleet_identity::jittered;
use ringfleet_store::SharedStore;
use tokio_util::sync::CancellationToken;

/// Of each kind in one call.
const BATCH: u32 = 200;
/// How long the reports go first that have waited for a store: longer than the longest pause between two tries of one.
const REPORTS_FIRST: Duration = Duration::from_secs(3);
/// A store that is there answers sooner.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) async fn reap(store: SharedStore, every: Duration, retention: Duration, stop: CancellationToken) {
    let mut unreadable = 0;
    let mut was_away = false;
    loop {
        // Jitter spreads the fleet's reapers.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(jittered(every)) => {}
        }
        // SEND-SAFETY: while a store is away leases end of texts that are known to be sent. Taken for of unknown fate, such a text
        // would go out again, if that is its policy, although its report is on its way. Asked first, because a call that waits for
        // the connection is carried out the moment it is back.
        let asked = Instant::now();
        let answered = store.ping().await.is_ok();
        // One that is always slow is reaped all the same.
        if !answered || (asked.elapsed() > AT_ONCE && !was_away) {
            was_away = true;
            continue;
        }
        if std::mem::take(&mut was_away) {
            tokio::time::sleep(REPORTS_FIRST).await;
        }
        loop {
            let reaped = match store.reap(BATCH, retention).await {
                Ok(reaped) => reaped,
                Err(error) => {
                    crate::metrics::store_error("reap", &error);
                    was_away = true;
                    break;
                }
            };
            crate::metrics::reaped(&reaped);
            if reaped.unreadable > unreadable {
                unreadable = reaped.unreadable;
                tracing::error!(unreadable, "things in the store can't be read; they are put aside under its key junk");
            }
            if reaped.requeued + reaped.unknown + reaped.poisoned > 0 {
                tracing::warn!(
                    requeued = reaped.requeued,
                    unknown = reaped.unknown,
                    poisoned = reaped.poisoned,
                    "took over messages whose worker stopped answering"
                );
            }
            if reaped.unreported > 0 {
                // Not every carrier tells.
                let messages = reaped.unreported;
                tracing::info!(messages, "no delivery report came in worker.delivery_wait; these messages stay sent");
            }
            let most = reaped.requeued.max(reaped.expired).max(reaped.pruned).max(reaped.unreported);
            if most < BATCH || stop.is_cancelled() {
                break;
            }
        }
    }
}
