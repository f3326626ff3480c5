//! The loop that claims: as many as there are free hands, when lanes may send, asleep otherwise.

use std::{sync::Arc, time::Duration};

use ringfleet_store::{ClaimRequest, Lease, SharedStore, WorkerId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    breaker::{Breaker, Hands},
    failpoint,
    keeper::{Hold, InHand},
};

/// A claimed message with the hand that holds it. Dropping it frees the hand and stops keeping the lease.
pub(crate) struct Work {
    pub(crate) lease: Lease,
    pub(crate) _hold: Hold,
    /// Free again once it is known what became of the message.
    pub(crate) hand: OwnedSemaphorePermit,
}

pub(crate) struct Claimer {
    pub(crate) store: SharedStore,
    pub(crate) worker: WorkerId,
    pub(crate) in_hand: InHand,
    /// One permit a message from its claim to the provider's answer.
    pub(crate) hands: Arc<Semaphore>,
    pub(crate) lease: Duration,
    pub(crate) poll: Duration,
    /// Told by the settler: a lane may have room again.
    pub(crate) settled: Arc<Notify>,
    pub(crate) out: mpsc::Sender<Work>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) concurrency: usize,
    pub(crate) stop: CancellationToken,
}

impl Claimer {
    /// Ends on `stop`, or when nobody takes work any more; closing `out` lets the workers finish.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            // Taken before the claim, so that what comes in during it is not overlooked.
            let hint = self.store.work_hint();
            let mut hands = tokio::select! {
                () = self.stop.cancelled() => return,
                hand = self.hands.clone().acquire_owned() => match hand {
                    Ok(hand) => hand,
                    Err(_) => return,
                },
            };
            while let Ok(more) = self.hands.clone().try_acquire_owned() {
                hands.merge(more);
            }
            let free_slots = match self.breaker.hands() {
                Hands::All => hands.num_permits() as u32,
                // A canary goes alone: not before the others have come home.
                Hands::Canary if hands.num_permits() == self.concurrency => 1,
                closed => {
                    drop(hands);
                    if self.hold_back(closed).await {
                        return;
                    }
                    continue;
                }
            };
            let request = ClaimRequest { worker: &self.worker, free_slots, lease: self.lease };
            let claim = match self.store.claim(request).await {
                Ok(claim) => {
                    if !claim.leases.is_empty() {
                        failpoint::hit("claim.after_script");
                    }
                    claim
                }
                Err(error) => {
                    crate::metrics::store_error("claim", &error);
                    let delay = backoff.next_delay();
                    tracing::warn!(error = &error as &dyn std::error::Error, ?delay, "can't claim");
                    drop(hands);
                    if self.pause(delay).await {
                        return;
                    }
                    continue;
                }
            };
            backoff.reset();
            let claimed = !claim.leases.is_empty();
            for lease in claim.leases {
                // Claims are never larger than the hands that were free; `split` proves it once more.
                let Some(hand) = hands.split(1) else { break };
                let hold = self.in_hand.hold(lease.reference());
                if self.out.send(Work { lease, _hold: hold, hand }).await.is_err() {
                    return;
                }
            }
            if claimed {
                failpoint::hit("claim.after_reply");
            }
            let all_busy = hands.num_permits() == 0;
            drop(hands);
            let sleep = claim.next_due.map_or(self.poll, |due| due.min(self.poll));
            if all_busy || sleep.is_zero() {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = hint => {}
                () = self.settled.notified() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Until it is time to ask the breaker again. `true` when the worker is to stop.
    async fn hold_back(&self, closed: Hands) -> bool {
        tokio::select! {
            stops = self.pause(Duration::from_millis(100)) => stops,
            // At once: a canary that is put off for the night tells nothing of the provider, and a backlog of such may stand before
            // the first one that goes.
            _ = self.hands.clone().acquire_many_owned(self.concurrency as u32), if closed == Hands::Canary => false,
        }
    }

    /// `true` when the worker is to stop.
    async fn pause(&self, delay: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(delay) => false,
        }
    }
}
