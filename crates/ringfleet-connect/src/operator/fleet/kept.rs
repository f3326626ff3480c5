//! The last reading, kept for as long as a page stands: however many browsers have it open, the store is asked no more often
//! than for one. And when the store falls silent, it is what is known.

use std::{sync::Arc, time::Duration};

use ringfleet_store::StoreError;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long a reading is shown, and after a failure nobody tries again. As long as a page stands before it is loaded anew.
pub(crate) const FRESH: Duration = Duration::from_secs(3);
/// For all calls of a reading together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whoever holds the lock asks the store; the others wait for its answer.
pub(crate) struct Kept<T>(Mutex<Last<T>>);

struct Last<T> {
    reading: Option<Arc<Read<T>>>,
    /// Of the last try, which may have failed.
    tried: Option<Instant>,
    fault: Option<Fault>,
}

pub(crate) struct Read<T> {
    pub(crate) what: T,
    pub(crate) at: Instant,
}

/// Why there is nothing newer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Away,
    /// What it held is gone.
    Replaced,
}

/// What there is to be shown.
pub(crate) struct Seen<T> {
    /// `None`: this process has never had an answer.
    pub(crate) reading: Option<Arc<Read<T>>>,
    pub(crate) fault: Option<Fault>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(Last { reading: None, tried: None, fault: None }))
    }
}

impl<T> Kept<T> {
    /// `take` is begun only if the last reading, or the last failure, is old. Cancel-safe: who waits next begins its own.
    pub(crate) async fn read(&self, take: impl Future<Output = Result<T, StoreError>>) -> Seen<T> {
        let mut last = self.0.lock().await;
        if !last.is_fresh() {
            let taken = timeout(PATIENCE, take).await;
            last.note(taken.unwrap_or_else(|elapsed| {
                Err(StoreError::Unavailable { call: "reading the fleet", source: Box::new(elapsed) })
            }));
        }
        Seen { reading: last.reading.clone(), fault: last.fault }
    }

    /// Whether the store did not answer a moment ago.
    pub(crate) fn is_silent(&self) -> bool {
        // Of one that is being asked just now nobody knows.
        self.0.try_lock().is_ok_and(|last| last.fault.is_some() && last.is_fresh())
    }
}

impl<T> Last<T> {
    fn is_fresh(&self) -> bool {
        self.tried.is_some_and(|at| at.elapsed() < FRESH)
    }

    fn note(&mut self, taken: Result<T, StoreError>) {
        let now = Instant::now();
        self.tried = Some(now);
        match taken {
            Ok(what) => {
                self.reading = Some(Arc::new(Read { what, at: now }));
                self.fault = None;
            }
            Err(error) => {
                // Once, not with each page that is loaded anew.
                if self.fault.is_none() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the store failed under the operators' page of the fleet");
                }
                let replaced = matches!(error, StoreError::Replaced { .. });
                self.fault = Some(if replaced { Fault::Replaced } else { Fault::Away });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future,
        sync::atomic::{AtomicU32, Ordering},
    };

    use futures::future::join_all;

    use super::*;

    fn shown(seen: &Seen<u32>) -> (Option<u32>, Option<Fault>) {
        (seen.reading.as_ref().map(|read| read.what), seen.fault)
    }

    #[tokio::test(start_paused = true)]
    async fn ten_open_pages_cost_the_store_as_much_as_one() {
        let (kept, taken) = (Kept::default(), AtomicU32::new(0));
        let take = async || {
            // As long as the store takes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<_, StoreError>(taken.fetch_add(1, Ordering::Relaxed) + 1)
        };
        for round in 1..=3 {
            let pages = join_all((0..10).map(|_| kept.read(take()))).await;
            assert!(pages.iter().all(|seen| shown(seen) == (Some(round), None)), "round {round}");
            assert_eq!(taken.load(Ordering::Relaxed), round);
            tokio::time::advance(FRESH).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_or_hangs_leaves_what_was_known_and_is_not_tried_by_each() {
        let kept = Kept::default();
        assert!(!kept.is_silent());
        assert_eq!(shown(&kept.read(async { Ok(7) }).await), (Some(7), None));
        tokio::time::advance(FRESH).await;
        let began = Instant::now();
        assert_eq!(shown(&kept.read(future::pending()).await), (Some(7), Some(Fault::Away)));
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
        assert!(kept.is_silent());
        let never = async || -> Result<u32, StoreError> { panic!("it was tried again at once") };
        assert_eq!(shown(&kept.read(never()).await), (Some(7), Some(Fault::Away)));
        tokio::time::advance(FRESH).await;
        assert!(!kept.is_silent(), "nobody would ask it again");
        let replaced = async { Err(StoreError::Replaced { call: "stats" }) };
        assert_eq!(shown(&kept.read(replaced).await), (Some(7), Some(Fault::Replaced)));
        tokio::time::advance(FRESH).await;
        assert_eq!(shown(&kept.read(async { Ok(8) }).await), (Some(8), None));
    }
}
