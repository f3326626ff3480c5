//! How long messages take by the plan: reckoned beforehand, for an empty queue and no other traffic.
//!
//! A text goes when it is due and one of its extension's places in the window is free; of those that are due the higher priority
//! goes first, then what was due first; one whose `send_by` has passed does not go, and needs no place. A place is free again one
//! answer, the window and the store's margin later, as `explain` reckons where nothing tells how long answers take. How many of an
//! extension are under way at once is not looked at, so it may take longer.

use std::collections::{BTreeMap, VecDeque};

use ringfleet_store::{
    LaneId, Millis, NewMessage, Plan, Priority,
    plan::{ASSUMED_RESPONSE_MS, slot_hold_ms},
};
use serde::Serialize;

/// More of those that differ are not remembered, and nothing is reckoned: they would take more than 24 MB.
const MOST_RUNS: usize = 1_000_000;

/// What is reckoned of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Forecast {
    /// Texts of one extension in a window.
    pub limit: u32,
    pub window_ms: u32,
    /// The extension whose texts wait longest.
    pub busiest: Busiest,
    /// Texts of all extensions whose `send_by` passes before their turn, about: what waits or is sent beside them makes it more, quicker answers than assumed fewer.
    pub too_late: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Busiest {
    /// Its id.
    pub extension: String,
    pub texts: u64,
    /// The most that one of them waits for its turn once it is due, in ms.
    pub longest_wait_ms: Millis,
}

/// Where a message waits, and what decides when it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Turn {
    lane: LaneId,
    run: Run,
}

/// Texts of one lane that follow each other and are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    /// 0 = due at once.
    send_at: Millis,
    /// The last moment there is = none.
    send_by: Millis,
    texts: u32,
    priority: Priority,
}

impl Turn {
    pub(crate) fn of(message: &NewMessage) -> Self {
        let run = Run {
            send_at: message.send_at.unwrap_or(0),
            send_by: message.send_by.unwrap_or(Millis::MAX),
            texts: 1,
            priority: message.priority,
        };
        Self { lane: message.lane.clone(), run }
    }
}

/// What is to go, by lanes. A file whose rows have the same times and priority takes the same memory whatever its length.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Load {
    lanes: BTreeMap<LaneId, Vec<Run>>,
    runs: usize,
}

impl Load {
    /// Behind the others of its lane.
    pub(crate) fn add(&mut self, Turn { lane, run }: Turn) {
        if self.runs > MOST_RUNS {
            return;
        }
        let runs = self.lanes.entry(lane).or_default();
        match runs.last_mut() {
            Some(last) if last.texts < u32::MAX && (Run { texts: 1, ..*last }) == run => last.texts += 1,
            _ => {
                runs.push(run);
                self.runs += 1;
            }
        }
    }

    /// `None` if there is nothing to reckon with, or too much.
    pub(crate) fn forecast(&self, plan: Plan, now: Millis) -> Option<Forecast> {
        if self.runs > MOST_RUNS {
            return None;
        }
        let mut too_late = 0;
        let lanes = self.lanes.iter().map(|(lane, runs)| {
            let (longest_wait_ms, late) = reckon(runs, plan, now);
            too_late += late;
            let texts = runs.iter().map(|run| u64::from(run.texts)).sum();
            Busiest { extension: lane.extension().to_owned(), texts, longest_wait_ms }
        });
        let busiest = lanes.max_by_key(|lane| (lane.longest_wait_ms, lane.texts))?;
        Some(Forecast { limit: plan.limit, window_ms: plan.window_ms, busiest, too_late })
    }
}

/// The longest wait of a text of one lane, and how many come too late.
fn reckon(runs: &[Run], plan: Plan, now: Millis) -> (Millis, u64) {
    let mut coming: Vec<Run> = runs.iter().map(|run| Run { send_at: run.send_at.max(now), ..*run }).collect();
    coming.sort_by_key(|run| run.send_at);
    let mut coming = coming.into_iter().peekable();
    let mut due: [VecDeque<Run>; Priority::ALL.len()] = Default::default();
    // When the last ones went that hold a place, as many as there are places.
    let mut gone: VecDeque<Millis> = VecDeque::new();
    let place_ms = ASSUMED_RESPONSE_MS + slot_hold_ms(plan.window_ms.into());
    let (mut time, mut longest_wait, mut too_late) = (now, 0, 0);
    loop {
        while let Some(run) = coming.next_if(|run| run.send_at <= time) {
            due[run.priority as usize].push_back(run);
        }
        let Some(queue) = due.iter_mut().find(|queue| !queue.is_empty()) else {
            let Some(next) = coming.peek() else { return (longest_wait, too_late) };
            time = next.send_at;
            continue;
        };
        let Some(run) = queue.front_mut() else { continue };
        if time > run.send_by {
            too_late += u64::from(run.texts);
            queue.pop_front();
            continue;
        }
        if gone.len() >= plan.limit.max(1) as usize {
            let free = gone[0] + place_ms;
            if free > time {
                // Something of a higher priority may be due by then.
                time = free;
                continue;
            }
            gone.pop_front();
        }
        gone.push_back(time);
        longest_wait = longest_wait.max(time - run.send_at);
        run.texts -= 1;
        if run.texts == 0 {
            queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_764_000_000_000;
    const MINUTE: Millis = 60_000;
    const PLAN: Plan = Plan { limit: 40, window_ms: 60_000 };
    /// From a text until another one can have its place: the answer, the window and the store's margin.
    const ROUND: Millis = 300 + 60_000 + 60;

    fn turn(extension: &str, send_at: Option<Millis>, send_by: Option<Millis>, priority: Priority) -> Turn {
        let lane = format!("main/{extension}/medium").parse().unwrap();
        let run = Run { send_at: send_at.unwrap_or(0), send_by: send_by.unwrap_or(Millis::MAX), texts: 1, priority };
        Turn { lane, run }
    }

    fn load(turns: impl IntoIterator<Item = Turn>) -> Load {
        let mut load = Load::default();
        turns.into_iter().for_each(|turn| load.add(turn));
        load
    }

    /// The longest wait in whole rounds, and how many come too late, of one extension.
    fn reckoned(turns: impl IntoIterator<Item = Turn>) -> (Millis, u64) {
        let forecast = load(turns).forecast(PLAN, NOW).unwrap();
        assert_eq!(forecast.busiest.longest_wait_ms % ROUND, 0, "{forecast:?}");
        (forecast.busiest.longest_wait_ms / ROUND, forecast.too_late)
    }

    fn at_once(texts: usize) -> impl Iterator<Item = Turn> {
        std::iter::repeat_n(turn("101", None, None, Priority::Normal), texts)
    }

    #[test]
    fn one_window_after_the_other_is_filled() {
        for (texts, windows) in [(1, 0), (40, 0), (41, 1), (80, 1), (800, 19), (801, 20)] {
            assert_eq!(reckoned(at_once(texts)), (windows, 0), "{texts}");
        }
        assert_eq!(Load::default().forecast(PLAN, NOW), None);
    }

    #[test]
    fn the_busiest_is_the_extension_that_waits_longest_and_each_has_a_plan_of_its_own() {
        let few_at_once = at_once(90);
        let many_over_the_day = (0..200_i64).map(|n| turn("102", Some(NOW + n * 10 * MINUTE), None, Priority::Normal));
        let forecast = load(many_over_the_day.chain(few_at_once)).forecast(PLAN, NOW).unwrap();
        let busiest = Busiest { extension: "101".into(), texts: 90, longest_wait_ms: 2 * ROUND };
        assert_eq!(forecast, Forecast { limit: 40, window_ms: 60_000, busiest, too_late: 0 });
    }

    #[test]
    fn a_wait_begins_when_a_text_is_due() {
        let tomorrow = NOW + 24 * 60 * MINUTE;
        let all = |at: Millis| (0..100).map(move |_| turn("101", Some(at), None, Priority::Normal));
        assert_eq!(reckoned(all(tomorrow)), (2, 0));
        assert_eq!(reckoned(all(NOW - 60 * MINUTE)), (2, 0), "what is overdue begins now");
        let behind_others = reckoned(at_once(110).chain(all(NOW + 2 * ROUND)));
        assert_eq!(behind_others, (3, 0), "of the third window ten places are left");
    }

    #[test]
    fn texts_whose_turn_comes_after_their_send_by_are_too_late_and_take_no_place() {
        let until = |extension: &str, at: Millis, texts: usize| {
            std::iter::repeat_n(turn(extension, None, Some(at), Priority::Normal), texts)
        };
        let by = |rounds: Millis, texts: usize| until("101", NOW + rounds * ROUND, texts);
        // Those of the moment itself still go.
        assert_eq!(reckoned(by(5, 240)), (5, 0));
        // By the end of the fifth window: the sixth text of a place goes later than that.
        assert_eq!(reckoned(until("101", NOW + 5 * MINUTE, 240)), (4, 40));
        assert_eq!(reckoned(until("101", NOW + 5 * ROUND - 1, 240)), (4, 40));
        assert_eq!(reckoned(by(5, 300)), (5, 60));
        assert_eq!(reckoned(at_once(100).chain(by(1, 100)).chain(at_once(20))), (2, 100));
        assert_eq!(reckoned(by(5, 300).chain(until("102", NOW + 1, 50))), (5, 70));
    }

    #[test]
    fn a_higher_priority_that_is_due_goes_first() {
        let urgent = |at: Option<Millis>, texts: usize| {
            std::iter::repeat_n(turn("101", at, Some(NOW + ROUND), Priority::High), texts)
        };
        assert_eq!(reckoned(at_once(400).chain(urgent(None, 80))), (11, 0));
        // Due when the first window is gone.
        assert_eq!(reckoned(at_once(400).chain(urgent(Some(NOW + ROUND), 41))), (10, 1));
        let low = std::iter::repeat_n(turn("101", None, Some(NOW), Priority::Low), 40);
        assert_eq!(reckoned(low.chain(at_once(40))), (0, 40));
    }

    #[test]
    fn rows_that_are_alike_take_no_memory_and_too_many_that_differ_are_not_reckoned() {
        let same = load(at_once(1_000).chain((0..10).map(|_| turn("102", Some(NOW), None, Priority::Low))));
        assert_eq!(same.runs, 2);
        let (mut many, mut next) = (Load::default(), turn("101", Some(NOW), None, Priority::Normal));
        for _ in 0..MOST_RUNS + 5 {
            next.run.send_at += 1;
            many.add(next.clone());
        }
        assert_eq!((many.runs, many.forecast(PLAN, NOW)), (MOST_RUNS + 1, None));
    }
}
