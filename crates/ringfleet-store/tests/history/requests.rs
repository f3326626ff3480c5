//! Requests that are no messages: a slot is taken and given back.

use ringfleet_store::{Acquired, LaneId, LeaseToken, Millis, PlanSeen, Release};

use crate::{
    model::Use,
    ops::Given,
    run::{Run, Verdict, ms, same},
    witness::Name,
};

pub(crate) struct GivenSlot {
    lane: LaneId,
    slot: LeaseToken,
    granted: Millis,
    hold_ms: Millis,
    /// How it was given back, and when its answer was read: a repeated report says the same.
    back: Option<(Given, Millis)>,
}

impl Run<'_> {
    pub(crate) async fn acquire(&mut self, lane: usize, hold_ms: Millis) -> Verdict {
        let lane = self.lanes[lane].clone();
        let answer = self.subject.store.acquire(&lane, ms(hold_ms)).await.unwrap();
        match (answer, self.model.must_wait(&lane)) {
            (Acquired::Granted(slot), None) => {
                let granted = self.model.now;
                self.model.grant(&lane, slot, hold_ms);
                self.witness.request(&lane, Name::Slot(slot), granted)?;
                self.witness.ends(&lane, Name::Slot(slot), granted + hold_ms);
                self.slots.push(GivenSlot { lane, slot, granted, hold_ms, back: None });
                Ok(())
            }
            (answer, Some(wait)) => same("acquire", answer, Acquired::Wait(ms(wait))),
            (answer, None) => Err(format!("acquire: the store says {answer:?}, the model would grant")),
        }
    }

    pub(crate) async fn release(&mut self, which: usize, how: Given, age_permille: i64, seen: PlanSeen) -> Verdict {
        let now = self.model.now;
        let given = &mut self.slots[which];
        // A request is over within its hold, and a repeated report tells the same of it.
        let longest = (now - given.granted).min(given.hold_ms);
        let answered = given.granted + longest - longest * age_permille / 1_000;
        let (how, answered) = *given.back.get_or_insert((how, answered));
        let (lane, slot, age) = (given.lane.clone(), given.slot, now - answered);
        let release = match how {
            Given::Used => Release::Used,
            Given::Unused => Release::Unused,
            Given::Throttled(after) => Release::Throttled { retry_after: ms(after) },
        };
        self.subject.store.release(&lane, slot, release, ms(age), seen).await.unwrap();
        let name = Name::Slot(slot);
        if let Given::Unused = how {
            self.model.drop_request(&lane, slot);
            self.witness.never_was(&lane, name);
        } else {
            self.model.lane(&lane).time_slot(Use::Request(slot), now, age);
            self.witness.ends(&lane, name, answered);
        }
        let l = self.model.lane(&lane);
        if let Given::Throttled(after) = how {
            l.penalty = l.penalty.max(now + after);
        }
        l.learn_plan(now, seen);
        self.witness.plan(&lane, l.plan);
        self.settle_doubts(&lane).await;
        Ok(())
    }
}
