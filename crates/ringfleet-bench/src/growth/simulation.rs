//! The same fleet in small steps: every extension a lane with an endless backlog, every shard a server that does one thing at a
//! time. A lane's forty go in a burst, and again one window after their answers.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::model::{HOLD_S, Model, WINDOW_S};
use crate::size::LIMIT;

/// Windows that are simulated; the first one, in which all lanes begin at once, is not counted.
const WINDOWS: u32 = 6;

/// Part of the plan that the lanes use, by the judge's formula.
pub(super) fn quota_use(model: &Model) -> f64 {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut shards = vec![0_u64; model.shards as usize];
    for _ in 0..model.extensions {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        shards[(seed >> 33) as usize % model.shards as usize] += 1;
    }
    let (mut used, mut lanes) = (0.0, 0);
    for count in shards {
        used += shard(count, model.service_s()) * count as f64;
        lanes += count;
    }
    used / lanes.max(1) as f64
}

/// One shard with `lanes` lanes: the mean over its lanes of window ÷ time between two bursts of a lane.
fn shard(lanes: u64, service_s: f64) -> f64 {
    const NS: f64 = 1e9;
    let burst = (service_s * f64::from(LIMIT) * NS) as u64;
    let hold = (HOLD_S * NS) as u64;
    // When a lane's window is free, and when its last burst ended.
    let mut free: BinaryHeap<Reverse<(u64, u64)>> = (0..lanes).map(|_| Reverse((0, 0))).collect();
    let (mut clock, mut gaps, mut counted) = (0, 0.0, 0_u64);
    let bursts = lanes * u64::from(WINDOWS);
    for n in 0..bursts {
        let Some(Reverse((at, last))) = free.pop() else { break };
        clock = at.max(clock) + burst;
        if n >= 2 * lanes {
            gaps += (clock - last) as f64;
            counted += 1;
        }
        free.push(Reverse((clock + hold, clock)));
    }
    if counted == 0 { 1.0 } else { WINDOW_S * NS / (gaps / counted as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_is_idle_lets_its_lanes_use_the_plan_but_for_the_margin() {
        let used = shard(10, 1e-6);
        assert!(used > 0.9989 && used < 0.9991, "{used}");
    }

    #[test]
    fn a_shard_with_twice_what_it_can_do_halves_the_plan() {
        // 40 messages of 1 ms are 40 ms a burst: 1,500 bursts fill the minute.
        let used = shard(3_000, 1e-3);
        assert!((used - 0.5).abs() < 0.01, "{used}");
    }
}
