//! When a lane's next messages go, one after the other: the exact window, simulated.
//!
//! A message goes when a place of the window is free and a hand of the lane is; the place is free again one response and
//! one window later, the hand one response later. Both are queues of times, so the n-th message goes at the greater of
//! the n-th times that come out of them.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::LaneFacts;
use crate::{message::Millis, plan::ASSUMED_RESPONSE_MS};

/// Rounds that are counted one by one before whole rounds are skipped: by then they repeat.
const SETTLED_ROUNDS: u64 = 3;

#[derive(Clone, Debug)]
pub(super) struct Course {
    /// When each place of the window can be used next.
    places: BinaryHeap<Reverse<Millis>>,
    /// When each message that may be in flight beside the others can be claimed.
    hands: BinaryHeap<Reverse<Millis>>,
    cap: usize,
    /// After a penalty one goes alone, and has not begun.
    probe: bool,
    /// Nothing goes before.
    open_at: Millis,
    response: Millis,
    hold: Millis,
    /// After so many messages everything is as it was, one round later.
    round: u64,
}

/// What waits before the message that is asked about.
pub(super) struct Queue<'a> {
    pub(super) ahead: u64,
    pub(super) below: u64,
    /// Ascending.
    pub(super) due_ahead: &'a [Millis],
    pub(super) due_at: Millis,
}

impl Course {
    pub(super) fn of(lane: &LaneFacts, open_at: Millis) -> Self {
        let limit = lane.plan.limit.max(1) as usize;
        let cap = lane.cap.max(1) as usize;
        let (response, hold) = (response(lane), lane.hold());
        let answered = |taken_at: Millis| lane.now.max(taken_at.saturating_add(response));
        let mut free: Vec<Millis> =
            lane.slots.iter().map(|slot| slot.free_at.unwrap_or(answered(slot.taken_at) + hold)).collect();
        free.sort_unstable();
        // A limit that was lowered has more slots in use than places: the first that become free open none.
        let mut places: Vec<Millis> = free.split_off(free.len().saturating_sub(limit));
        places.resize(limit, lane.now);
        let under_way = || lane.slots.iter().filter(|slot| slot.free_at.is_none()).map(|slot| slot.taken_at);
        let mut hands: Vec<Millis> = under_way().map(answered).collect();
        hands.sort_unstable();
        hands.resize(lane.in_flight as usize, lane.now + response);
        if lane.probe {
            // Alone means after those that are under way.
            hands = vec![hands.iter().copied().max().unwrap_or(lane.now); cap];
        }
        // One that was begun after the penalty is the probe.
        let probe = lane.probe && !under_way().any(|taken_at| taken_at >= lane.penalty_until);
        hands.sort_unstable();
        let mut hands: Vec<Millis> = hands.split_off(hands.len().saturating_sub(cap));
        hands.resize(cap, lane.now);
        Self {
            places: places.into_iter().map(Reverse).collect(),
            hands: hands.into_iter().map(Reverse).collect(),
            cap,
            probe,
            open_at: open_at.max(lane.now),
            response,
            hold,
            round: least_common_multiple(limit as u64, cap as u64),
        }
    }

    /// When the message goes before which all of `queue` waits.
    pub(super) fn turn(mut self, queue: &Queue<'_>) -> Millis {
        let (mut ahead, mut below) = (queue.ahead, queue.below);
        let mut arrivals = queue.due_ahead.iter().copied().peekable();
        let mut steps: u64 = 0;
        let mut round_began = None;
        loop {
            let next = self.next();
            while arrivals.next_if(|due| *due <= next).is_some() {
                ahead += 1;
            }
            let due = queue.due_at.min(arrivals.peek().copied().unwrap_or(Millis::MAX));
            if ahead == 0 && queue.due_at <= next {
                return next;
            }
            if ahead == 0 && below == 0 {
                self.open_at = self.open_at.max(due);
                (steps, round_began) = (0, None);
                continue;
            }
            if steps.is_multiple_of(self.round) {
                if let Some(began) = round_began.filter(|_| steps >= SETTLED_ROUNDS * self.round) {
                    let (waiting, horizon) = if ahead > 0 { (ahead, Millis::MAX) } else { (below, due) };
                    let rounds = self.skip(next - began, waiting, horizon.saturating_sub(next));
                    if ahead > 0 {
                        ahead -= rounds
                    } else {
                        below -= rounds
                    }
                    if rounds > 0 {
                        (steps, round_began) = (0, None);
                        continue;
                    }
                }
                round_began = Some(next);
            }
            steps += 1;
            self.take(next);
            if ahead > 0 { ahead -= 1 } else { below -= 1 }
        }
    }

    /// Goes on by whole rounds that take `length` each, as far as so many messages and this time allow, less one. Gives the
    /// number of messages that have gone.
    fn skip(&mut self, length: Millis, waiting: u64, time: Millis) -> u64 {
        let by_time = u64::try_from(time / length.max(1)).unwrap_or(0);
        let rounds = (waiting / self.round).min(by_time).saturating_sub(1);
        let by = length.saturating_mul(i64::try_from(rounds).unwrap_or(i64::MAX));
        for times in [&mut self.places, &mut self.hands] {
            *times = times.drain().map(|Reverse(at)| Reverse(at.saturating_add(by))).collect();
        }
        rounds * self.round
    }

    fn next(&self) -> Millis {
        let first = |times: &BinaryHeap<Reverse<Millis>>| times.peek().map_or(Millis::MAX, |Reverse(at)| *at);
        let hand = if self.probe {
            self.hands.iter().map(|Reverse(at)| *at).max().unwrap_or(Millis::MAX)
        } else {
            first(&self.hands)
        };
        first(&self.places).max(hand).max(self.open_at)
    }

    fn take(&mut self, at: Millis) {
        let answered = at.saturating_add(self.response);
        self.places.pop();
        self.places.push(Reverse(answered.saturating_add(self.hold)));
        if std::mem::take(&mut self.probe) {
            self.hands = std::iter::repeat_n(Reverse(answered), self.cap).collect();
        } else {
            self.hands.pop();
            self.hands.push(Reverse(answered));
        }
    }
}

/// What a request takes from its claim to its answer: the median of those in the window. A slot is free one hold after its
/// answer was read, and its token tells when it was taken.
fn response(lane: &LaneFacts) -> Millis {
    let took = |slot: &super::Slot| slot.free_at.map(|free| (free - lane.hold() - slot.taken_at).max(0));
    let mut all: Vec<Millis> = lane.slots.iter().filter_map(took).collect();
    if all.is_empty() {
        return ASSUMED_RESPONSE_MS;
    }
    let middle = all.len() / 2;
    *all.select_nth_unstable(middle).1
}

fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
