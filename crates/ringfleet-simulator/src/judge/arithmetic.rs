//! Three figures from a list of arrivals in ascending order.

use crate::clock::Nanos;

/// An idle time of more than so many windows ends a run: as far as the judge can see, the lane had nothing to send.
const IDLE_WINDOWS: Nanos = 3;

/// By how many requests the fullest window exceeds the limit; 0 when the plan was kept.
///
/// Looks at the window that ends with each request: (t − window, t]. The fullest window always ends with one.
pub(crate) fn overshoot(arrivals: &[Nanos], limit: u32, window: Nanos) -> u64 {
    let mut oldest = 0;
    let mut worst = 0;
    for (newest, at) in arrivals.iter().enumerate() {
        while arrivals[oldest] + window <= *at {
            oldest += 1;
        }
        worst = worst.max(newest + 1 - oldest);
    }
    (worst as u64).saturating_sub(u64::from(limit))
}

/// Part of the plan that was used: window ÷ mean of (arrival of request k + limit − arrival of request k).
///
/// The judge sees no backlog, so it takes every pair within a run of requests. `None` without a pair.
pub(crate) fn quota_use(admitted: &[Nanos], limit: u32, window: Nanos) -> Option<f64> {
    let limit = limit as usize;
    let mut pairs = 0u64;
    let mut total = 0u128;
    for run in runs(admitted, window) {
        for (first, last) in run.iter().zip(run.iter().skip(limit)) {
            pairs += 1;
            total += u128::from(last - first);
        }
    }
    let mean = total as f64 / pairs as f64;
    (pairs > 0 && mean > 0.0).then(|| window as f64 / mean)
}

/// How often the lane stood still between two requests for so long that [`quota_use`] leaves it out. Whoever knows that there was a
/// backlog all the time knows that these are stalls.
pub(crate) fn pauses(admitted: &[Nanos], window: Nanos) -> u64 {
    runs(admitted, window).count().saturating_sub(1) as u64
}

fn runs(admitted: &[Nanos], window: Nanos) -> impl Iterator<Item = &[Nanos]> {
    admitted.chunk_by(move |a, b| b - a <= IDLE_WINDOWS * window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{Group, Lane, Plan, Verdict};

    #[test]
    fn overshoot_counts_the_fullest_window() {
        assert_eq!(overshoot(&[], 2, 10), 0);
        assert_eq!(overshoot(&[0, 1, 10, 11], 2, 10), 0);
        assert_eq!(overshoot(&[0, 1, 9, 10, 11], 2, 10), 1);
        assert_eq!(overshoot(&[5, 5, 5, 5, 5], 2, 10), 3);
    }

    #[test]
    fn quota_use_by_hand() {
        // Limit 2, window 100: pairs (0,100), (10,120), (100,210), (120,220): gaps 100, 110, 110, 100, mean 105.
        let used = quota_use(&[0, 10, 100, 120, 210, 220], 2, 100).expect("pairs");
        assert!((used - 100.0 / 105.0).abs() < 1e-12);
        // A pause of more than three windows counts for nothing here, and is told apart.
        let split = [0, 10, 100, 110, 900, 910, 1000, 1010];
        assert_eq!(quota_use(&split, 2, 100), Some(1.0));
        assert_eq!(pauses(&split, 100), 1);
        assert_eq!(quota_use(&[0, 10], 2, 100), None);
    }

    #[test]
    fn a_pause_is_more_than_three_windows_between_two_requests() {
        assert_eq!(pauses(&[], 100), 0);
        // One that comes late is no pause: nobody stood in the queue before, as far as the judge can see.
        assert_eq!(pauses(&[5_000], 100), 0);
        assert_eq!(pauses(&[0, 300, 600], 100), 0);
        assert_eq!(pauses(&[0, 301, 601, 902], 100), 2);
    }

    proptest! {
        /// The limiter refuses somebody exactly when the raw log holds an overfull window, and what it admitted never does.
        #[test]
        fn limiter_and_judge_agree(
            gaps in prop::collection::vec(0u64..40, 0..200),
            limit in 1u32..8,
            window in 20u64..200,
            penalty in 1u64..200,
        ) {
            let plan = Plan { limit, window, penalty };
            let mut lane = Lane::default();
            let mut now = 0;
            for gap in gaps {
                now += gap;
                lane.arrive(Group::Medium, &plan, now);
            }
            let all: Vec<_> = lane.arrivals().iter().map(|a| a.at).collect();
            let admitted: Vec<_> = lane.arrivals().iter()
                .filter(|a| a.verdict == Verdict::Admitted).map(|a| a.at).collect();
            let refused = admitted.len() < all.len();
            prop_assert_eq!(refused, overshoot(&all, limit, window) > 0);
            prop_assert_eq!(overshoot(&admitted, limit, window), 0);
            // No request was admitted less than a penalty after a refused one.
            let mut last_refused = None;
            for a in lane.arrivals() {
                if a.verdict == Verdict::Admitted {
                    prop_assert!(last_refused.is_none_or(|t| t + penalty <= a.at));
                } else {
                    last_refused = Some(a.at);
                }
            }
        }
    }
}
