//! The last reading, kept for as long as a page stands: however many browsers have it open, the store is asked no more often
//! than for one. And when the store falls silent, it is what is known.

use std::{sync::Arc, time::Duration};

use ringfleet_store::StoreError;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::trouble::Trouble;

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
    /// Some of its shards answer, and what asks all of them fails.
    InPart,
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
    /// `take` is begun only if the last reading, or the last failure, is old; `part_answers` only when it has failed: whether some
    /// of the store's shards answer all the same. Cancel-safe: who waits next begins its own.
    pub(crate) async fn read(
        &self,
        take: impl Future<Output = Result<T, StoreError>>,
        part_answers: impl Future<Output = bool>,
    ) -> Seen<T> {
        let mut last = self.0.lock().await;
        if !last.is_fresh() {
            let taken = timeout(PATIENCE, take).await.unwrap_or_else(|elapsed| {
                Err(StoreError::Unavailable { call: "reading the fleet", source: Box::new(elapsed) })
            });
            match taken {
                Ok(what) => last.note(what),
                Err(error) => last.fail(&error, Fault::of(&error, part_answers).await),
            }
        }
        Seen { reading: last.reading.clone(), fault: last.fault }
    }

    /// A call for the page has failed beside the readings: told and reckoned as one that has, so that neither each open page tries
    /// nor each is logged.
    pub(crate) async fn failed(&self, error: &StoreError, part_answers: impl Future<Output = bool>) -> Fault {
        let mut last = self.0.lock().await;
        if let Some(fault) = last.fault.filter(|_| last.is_fresh()) {
            return fault;
        }
        let fault = Fault::of(error, part_answers).await;
        last.fail(error, fault);
        fault
    }

    /// Why the store is not to be asked just now: a moment ago it did not answer. One that answers in part may.
    pub(crate) fn silence(&self) -> Option<Fault> {
        // Of one that is being asked just now nobody knows.
        let last = self.0.try_lock().ok()?;
        last.fault.filter(|fault| *fault != Fault::InPart && last.is_fresh())
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away | Fault::InPart => Trouble::StoreAway,
            Fault::Replaced => Trouble::StoreReplaced,
        }
    }
}

impl Fault {
    async fn of(error: &StoreError, part_answers: impl Future<Output = bool>) -> Self {
        if matches!(error, StoreError::Replaced { .. }) {
            return Fault::Replaced;
        }
        if error.is_transient() && part_answers.await { Fault::InPart } else { Fault::Away }
    }
}

impl<T> Last<T> {
    fn is_fresh(&self) -> bool {
        self.tried.is_some_and(|at| at.elapsed() < FRESH)
    }

    fn note(&mut self, what: T) {
        let now = Instant::now();
        self.tried = Some(now);
        self.reading = Some(Arc::new(Read { what, at: now }));
        self.fault = None;
    }

    fn fail(&mut self, error: &StoreError, fault: Fault) {
        self.tried = Some(Instant::now());
        // Once, not with each page that is loaded anew.
        if self.fault.replace(fault) != Some(fault) {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "the store failed under the operators' page of the fleet");
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
    use tracing::{Dispatch, Event, Metadata, Subscriber, span};

    use super::*;

    /// Counts what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<AtomicU32>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            self.0.fetch_add(u32::from(event.metadata().target().starts_with("ringfleet")), Ordering::Relaxed);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    /// Of a store that answers as a whole or not at all.
    async fn read(kept: &Kept<u32>, take: impl Future<Output = Result<u32, StoreError>>) -> Seen<u32> {
        kept.read(take, future::ready(false)).await
    }

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
            let pages = join_all((0..10).map(|_| read(&kept, take()))).await;
            assert!(pages.iter().all(|seen| shown(seen) == (Some(round), None)), "round {round}");
            assert_eq!(taken.load(Ordering::Relaxed), round);
            tokio::time::advance(FRESH).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_or_hangs_leaves_what_was_known_and_is_not_tried_by_each() {
        let kept = Kept::default();
        assert_eq!(kept.silence(), None);
        assert_eq!(shown(&read(&kept, async { Ok(7) }).await), (Some(7), None));
        tokio::time::advance(FRESH).await;
        let began = Instant::now();
        assert_eq!(shown(&read(&kept, future::pending()).await), (Some(7), Some(Fault::Away)));
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
        assert_eq!(kept.silence(), Some(Fault::Away));
        let never = async || -> Result<u32, StoreError> { panic!("it was tried again at once") };
        assert_eq!(shown(&read(&kept, never()).await), (Some(7), Some(Fault::Away)));
        tokio::time::advance(FRESH).await;
        assert_eq!(kept.silence(), None, "nobody would ask it again");
        let replaced = async { Err(StoreError::Replaced { call: "stats" }) };
        assert_eq!(shown(&read(&kept, replaced).await), (Some(7), Some(Fault::Replaced)));
        tokio::time::advance(FRESH).await;
        assert_eq!(shown(&read(&kept, async { Ok(8) }).await), (Some(8), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_answers_in_part_is_told_as_that_and_may_be_asked_for_other_things() {
        let kept = Kept::<u32>::default();
        let away = async || Err(StoreError::Unavailable { call: "stats", source: "gone".into() });
        let replaced = async || Err(StoreError::Replaced { call: "stats" });
        let next = async || tokio::time::advance(FRESH).await;
        assert_eq!(shown(&kept.read(async { Ok(7) }, async { panic!("nothing has failed") }).await), (Some(7), None));
        next().await;
        assert_eq!(shown(&kept.read(away(), future::ready(true)).await), (Some(7), Some(Fault::InPart)));
        assert_eq!(kept.silence(), None);
        next().await;
        assert_eq!(shown(&kept.read(future::pending(), future::ready(true)).await).1, Some(Fault::InPart));
        next().await;
        assert_eq!(shown(&kept.read(away(), future::ready(false)).await).1, Some(Fault::Away));
        next().await;
        // What was flushed is gone, whatever the other shards answer.
        assert_eq!(shown(&kept.read(replaced(), future::ready(true)).await).1, Some(Fault::Replaced));
        assert_eq!(kept.silence(), Some(Fault::Replaced));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_fails_beside_the_readings_is_reckoned_as_one_and_an_outage_is_logged_once() {
        // With one reader of logs alone, another thread that comes to the same line first would settle that nobody reads it.
        let (log, _another) = (Log::default(), Dispatch::new(Log::default()));
        let _log = tracing::subscriber::set_default(log.clone());
        let kept = Kept::<u32>::default();
        let away = || StoreError::Unavailable { call: "now", source: "gone".into() };
        for _ in 0..3 {
            assert_eq!(kept.failed(&away(), future::ready(false)).await, Fault::Away);
            assert_eq!(kept.silence(), Some(Fault::Away));
            // Neither the others nor a reading try again at once.
            assert_eq!(kept.failed(&away(), async { panic!("the shards were asked again") }).await, Fault::Away);
            assert_eq!(shown(&read(&kept, async { panic!("it was read at once") }).await), (None, Some(Fault::Away)));
            tokio::time::advance(FRESH).await;
            assert_eq!(shown(&read(&kept, async { Err(away()) }).await), (None, Some(Fault::Away)));
            tokio::time::advance(FRESH).await;
        }
        assert_eq!(log.0.load(Ordering::Relaxed), 1);
        // What is worse is told too.
        assert_eq!(kept.failed(&StoreError::Replaced { call: "now" }, future::ready(false)).await, Fault::Replaced);
        assert_eq!(log.0.load(Ordering::Relaxed), 2);
    }
}
