//! A lane: its plan, its window, its queue.

use std::collections::BTreeMap;

use ringfleet_store::{LeaseToken, MessageId, Millis, Plan, PlanSeen, plan::slot_hold_ms};

use super::Hand;

/// Why a slot of the window is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    Message(LeaseToken),
    Request(LeaseToken),
    SomebodyElse,
}

pub(crate) struct Slot {
    pub(crate) of: Use,
    /// `None` while the request is under way.
    pub(crate) free_at: Option<Millis>,
    /// It was free already when the window turned out to be longer. Whether it counts again depends on whether the
    /// store had thrown it away by then; both are allowed.
    doubtful: bool,
}

pub(crate) struct Lane {
    pub(crate) plan: Plan,
    /// Whether its window was ever told. The first one makes no slot free sooner.
    window_told: bool,
    pub(crate) penalty: Millis,
    pub(crate) paused: bool,
    pub(crate) parked: Option<String>,
    pub(crate) probing: bool,
    pub(crate) slots: Vec<Slot>,
    /// Slots ever taken, and the latest of them whose answer's headers were heard.
    pub(crate) taken: u64,
    heard: u64,
    /// Waiting messages of all priorities, in the order in which they came.
    pub(crate) queue: Vec<MessageId>,
    /// When its unknown sends are looked up next, and until when somebody does that.
    pub(crate) look: Option<Millis>,
    pub(super) locked: Millis,
    /// Sent texts whose delivery report is waited for: their message, and before when they were not sent.
    pub(crate) awaited: BTreeMap<String, (MessageId, Millis)>,
    /// When the reports came that have come.
    pub(crate) told: BTreeMap<String, Millis>,
    /// When reports are looked for next, and until when somebody does that.
    pub(crate) report_look: Option<Millis>,
    pub(super) reports_locked: Millis,
    /// The provider's texts that were counted for messages of the lane, and when.
    pub(crate) credits: BTreeMap<String, Millis>,
}

impl Lane {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            window_told: false,
            penalty: 0,
            paused: false,
            parked: None,
            probing: false,
            slots: Vec::new(),
            taken: 0,
            heard: 0,
            queue: Vec::new(),
            look: None,
            locked: 0,
            awaited: BTreeMap::new(),
            told: BTreeMap::new(),
            report_look: None,
            reports_locked: 0,
            credits: BTreeMap::new(),
        }
    }

    pub(super) fn hold(&self) -> Millis {
        slot_hold_ms(self.plan.window_ms.into())
    }

    pub(crate) fn used(&self, now: Millis) -> usize {
        self.slots.iter().filter(|slot| slot.free_at.is_none_or(|at| at > now)).count()
    }

    /// When the window has a place; `None` = not before an answer comes.
    pub(crate) fn window_opens(&self, now: Millis) -> Option<Millis> {
        let mut times: Vec<_> = self.slots.iter().filter_map(|slot| slot.free_at).filter(|at| *at > now).collect();
        times.sort_unstable();
        times.insert(0, now);
        times.into_iter().find(|at| self.used(*at) < self.plan.limit as usize)
    }

    pub(super) fn take(&mut self, of: Use, free_at: Option<Millis>) {
        self.slots.push(Slot { of, free_at, doubtful: false });
        self.taken += 1;
    }

    pub(super) fn drop_slot(&mut self, of: Use) {
        self.slots.retain(|slot| slot.of != of);
    }

    /// The answer was read `age` ago.
    pub(crate) fn time_slot(&mut self, of: Use, now: Millis, age: Millis) {
        self.drop_slot(of);
        self.slots.push(Slot { of, free_at: Some(now + 1 - age + self.hold()), doubtful: false });
    }

    /// A late report: its request may have arrived after the slot was timed for it.
    pub(super) fn retime_slot(&mut self, of: Use, now: Millis, age: Millis) {
        let late = now + 1 - age + self.hold();
        match self.slots.iter_mut().find(|slot| slot.of == of) {
            Some(slot) => slot.free_at = slot.free_at.max(Some(late)),
            None => self.slots.push(Slot { of, free_at: Some(late), doubtful: false }),
        }
    }

    pub(crate) fn learn_plan(&mut self, now: Millis, seen: PlanSeen) {
        if let Some(limit) = seen.limit.filter(|limit| *limit > 0) {
            self.plan.limit = limit;
        }
        if let Some(window_ms) = seen.window_ms.filter(|window| *window > 0) {
            let before = self.hold();
            self.plan.window_ms = window_ms;
            let change = self.hold() - before;
            let longer = if self.window_told { change } else { change.max(0) };
            self.window_told = true;
            for slot in &mut self.slots {
                slot.doubtful |= slot.free_at.is_some_and(|at| at <= now);
                slot.free_at = slot.free_at.map(|at| at + longer);
            }
        }
    }

    /// The store counts `used` slots: of those in doubt it has forgotten the oldest.
    pub(crate) fn settle_doubt(&mut self, now: Millis, used: usize) {
        self.slots.sort_by_key(|slot| slot.free_at);
        while self.used(now) > used
            && let Some(at) = self.slots.iter().position(|slot| slot.doubtful && slot.free_at > Some(now))
        {
            self.slots.remove(at);
        }
        self.slots.iter_mut().for_each(|slot| slot.doubtful = false);
    }

    pub(super) fn learn(&mut self, hand: &Hand, now: Millis, seen: PlanSeen) {
        if hand.nth <= self.heard {
            return;
        }
        self.heard = hand.nth;
        self.learn_plan(now, seen);
        if let (Some(limit), Some(remaining)) = (seen.limit, seen.remaining) {
            // In use when it was claimed, and all that was taken since: what the server counts beyond is not ours.
            let ours = hand.used + (self.taken - hand.nth);
            let others = (i64::from(limit) - i64::from(remaining) - ours as i64).min(i64::from(self.plan.limit));
            for _ in 0..others {
                self.take(Use::SomebodyElse, Some(now + 1 + self.hold()));
            }
        }
    }
}
