//! Keeps a provider in trouble from swallowing the backlog: the fate of every send that it answers with a time-out or a 5xx
//! is unknown, and has to be found out. After a few in a row this worker stops, and then tries with one at a time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ringfleet_store::LaneId;

/// Unknown fates in a row, of at least two lanes, before the breaker opens. Single ones are everyday life.
const IN_A_ROW: u32 = 5;
/// The same of one lane alone: the trouble may be its own, and then the others must not wait for it. Its cap and its plan bound
/// what it throws away meanwhile: two rounds of eight, in half a minute where each hangs. A fleet may have no other lane.
const OF_ONE_LANE: u32 = 16;
/// First pause; doubles up to the longest with each canary that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Short, so that the first send after an outage is not far from its end.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How many messages may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hands {
    All,
    /// One, to see whether the provider is well again.
    Canary,
    None,
}

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Fates>);

#[derive(Debug, Default)]
struct Fates {
    unknown_in_a_row: u32,
    /// Of which lane the first of them was, and whether all are its.
    lane: Option<LaneId>,
    of_several: bool,
    /// When the latest request began that the provider has answered.
    answered_since: Option<Instant>,
    open_until: Option<Instant>,
    pause: Duration,
}

impl Breaker {
    /// An answer that tells what became of the text, good or bad, to a request that began at `began`.
    pub(crate) fn known(&self, began: Instant) {
        let mut fates = self.lock();
        let answered_since = fates.answered_since.max(Some(began));
        if fates.open_until.is_some() {
            tracing::info!("the provider answers again");
        }
        *fates = Fates { answered_since, ..Fates::default() };
    }

    pub(crate) fn unknown(&self, lane: &LaneId, began: Instant) {
        let mut fates = self.lock();
        // Time-outs come late, and all at once for requests that began together. While others that began after them were
        // answered, the provider is well.
        if fates.answered_since > Some(began) {
            return;
        }
        fates.unknown_in_a_row += 1;
        let is_another = fates.lane.get_or_insert_with(|| lane.clone()) != lane;
        fates.of_several |= is_another;
        let enough = if fates.of_several { IN_A_ROW } else { OF_ONE_LANE };
        // Those still under way when it opened say nothing new.
        if fates.unknown_in_a_row < enough || fates.open_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        fates.pause = (fates.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        fates.open_until = Some(Instant::now() + fates.pause);
        tracing::warn!(pause = ?fates.pause, "the provider's answers tell nothing; this worker pauses, then tries with one");
    }

    pub(crate) fn hands(&self) -> Hands {
        match self.lock().open_until {
            None => Hands::All,
            Some(until) if until > Instant::now() => Hands::None,
            Some(_) => Hands::Canary,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Fates> {
        // Whole at every step, so a panic elsewhere did not break it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::Group;

    use super::*;

    /// The `n`-th of two lanes that take turns.
    fn lane(n: u32) -> LaneId {
        LaneId::try_new("main", &(n % 2).to_string(), Group::Medium).unwrap()
    }

    #[test]
    fn it_opens_after_a_row_of_unknown_fates_and_closes_with_the_first_known_one() {
        let breaker = Breaker::default();
        for n in 0..IN_A_ROW - 1 {
            breaker.unknown(&lane(n), Instant::now());
        }
        assert_eq!(breaker.hands(), Hands::All);
        let late = Instant::now();
        breaker.known(Instant::now());
        for n in 0..2 * IN_A_ROW {
            breaker.unknown(&lane(n), late);
        }
        for n in 0..IN_A_ROW {
            assert_eq!(breaker.hands(), Hands::All);
            breaker.unknown(&lane(n), Instant::now());
        }
        assert_eq!(breaker.hands(), Hands::None);
        breaker.lock().open_until = Some(Instant::now());
        assert_eq!(breaker.hands(), Hands::Canary);
        breaker.known(Instant::now());
        assert_eq!(breaker.hands(), Hands::All);
    }

    #[test]
    fn one_lane_alone_opens_it_late_and_another_one_beside_it_at_once() {
        for (last, row) in [(0, OF_ONE_LANE), (1, IN_A_ROW)] {
            let breaker = Breaker::default();
            for _ in 1..row {
                breaker.unknown(&lane(0), Instant::now());
                assert_eq!(breaker.hands(), Hands::All);
            }
            breaker.unknown(&lane(last), Instant::now());
            assert_eq!(breaker.hands(), Hands::None, "{row}");
        }
    }
}
