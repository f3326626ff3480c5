//! Whether store and model show the same, and whether a history comes to its end.

use futures::future::join_all;
use ringfleet_store::{ChangeCursor, Gate, LaneView, ListFrom, PlanSeen, Private, State, Stats};

use crate::{
    harness::Backend,
    model::Message,
    run::{END_WITHIN, Run, Verdict, same},
};

impl Run<'_> {
    /// Totals and lanes, which are cheap to ask for.
    pub(crate) async fn totals_agree(&self) -> Verdict {
        let mut expected = Stats { now: self.model.now, ..Stats::default() };
        for m in self.model.messages.values() {
            expected.by_state[m.state as usize - 1] += 1;
        }
        let stats = self.subject.store.stats().await.unwrap();
        same("messages per state", stats.by_state, expected.by_state)?;
        same("all messages", stats.total(), self.model.accepted - self.model.pruned)?;
        let views = join_all(self.model.lanes.keys().map(|id| self.subject.store.lane(id))).await;
        for ((id, lane), view) in self.model.lanes.iter().zip(views) {
            let view = view.unwrap();
            let waiting = lane.queue.len() as u64;
            // Redis may count a message that was cancelled or expired until its turn comes.
            let shadows = self.subject.backend != Backend::Sqlite && view.waiting > waiting;
            let expected = LaneView {
                lane: Some(id.clone()),
                waiting: if shadows { view.waiting } else { waiting },
                in_flight: self.model.in_flight(id) as u32,
                slots_in_use: lane.used(self.model.now) as u32,
                plan: Some(lane.plan),
                paused: lane.paused,
                parked: lane.parked.clone(),
                penalty_until: Some(lane.penalty).filter(|until| *until > self.model.now),
                oldest_due: view.oldest_due,
            };
            same("a lane", view, expected)?;
        }
        Ok(())
    }

    /// Every message, one by one.
    pub(crate) async fn records_agree(&self) -> Verdict {
        let views = join_all(self.model.messages.keys().map(|id| self.subject.store.get(id))).await;
        for ((id, m), view) in self.model.messages.iter().zip(views) {
            let view = view.unwrap().ok_or_else(|| format!("LOST: {id}"))?;
            let text = if m.state.was_sent() { Private::default() } else { m.new.text.clone() };
            same("a message's state", (id, view.state, view.reason.as_str()), (id, m.state, m.reason.as_str()))?;
            same("its counts", (view.attempt, view.recoveries), (m.attempt, m.recoveries))?;
            same("its end", (view.finished_at, &view.provider_id), (m.finished_at, &m.provider_id))?;
            same("its text", view.text.expose(), text.expose())?;
            same(
                "its times",
                (view.created_at, view.send_at, view.send_by),
                (m.created, m.new.send_at, m.new.send_by),
            )?;
            same("what is known of its sends", (view.intent_at, view.reads), (m.intent, m.reads))?;
            same("its delivery", &view.delivery, &m.delivery)?;
            same("its policy", view.on_unknown, m.new.on_unknown)?;
            same("its lane", (&view.lane, view.priority), (&m.new.lane, m.new.priority))?;
        }
        self.opt_outs_agree().await?;
        self.lists_agree().await?;
        self.changes_agree().await
    }

    /// Read from the beginning, the changes are all that has ended or is held, once each and in their order.
    async fn changes_agree(&self) -> Verdict {
        let (store, mut told) = (&self.subject.store, Vec::new());
        for shard in 0..store.shards() {
            let (mut after, mut more) = (ChangeCursor::before(0), true);
            while more {
                let page = store.changes(shard, Some(&after), 50).await.unwrap();
                told.extend(page.changes.into_iter().map(|change| (change.cursor.at(), change.message.id)));
                (after, more) = (page.next, page.more);
            }
        }
        if store.shards() > 1 {
            told.sort();
        }
        let settled = |m: &&Message| m.came_into_state().is_some_and(|at| at <= self.model.now - 3_000);
        let ended = |m: &&Message| (m.state.is_final() || m.state == State::Held) && settled(m);
        let ended = self.model.messages.iter().filter(|(_, m)| ended(m));
        let mut expected: Vec<_> = ended.filter_map(|(id, m)| Some((m.came_into_state()?, *id))).collect();
        expected.sort();
        same("the changes", told, expected)
    }

    async fn lists_agree(&self) -> Verdict {
        for state in State::ALL.into_iter().filter(|state| state.is_listed()) {
            let (mut listed, mut next) = (Vec::new(), Some(ListFrom::newest(state)));
            while let Some(from) = next {
                let page = self.subject.store.list(&from, 7).await.unwrap();
                listed.extend(page.messages.into_iter().map(|view| view.id));
                next = page.next;
            }
            let in_state = self.model.messages.iter().filter(|(_, m)| m.state == state);
            let mut expected: Vec<_> = in_state.map(|(id, m)| (m.came_into_state(), *id)).collect();
            expected.sort();
            same("a list", (state, listed), (state, expected.into_iter().rev().map(|(_, id)| id).collect::<Vec<_>>()))?;
        }
        Ok(())
    }

    /// Nothing is lost: with every stop lifted, all that waits is sent, and what is left is final or held.
    pub(crate) async fn come_to_an_end(&mut self) -> Verdict {
        self.set_gate(&Gate::Open).await?;
        for lane in 0..self.lanes.len() {
            self.pause(lane, false).await?;
            self.park(lane, None).await?;
        }
        for _ in 0..END_WITHIN {
            self.reap(500, 365 * 86_400_000).await?;
            self.find_all().await?;
            self.claim(0, 6, 60_000).await?;
            self.send_all(0, PlanSeen::default()).await?;
            let messages = self.model.messages.values();
            let open = messages.into_iter().any(|m| m.waits() || m.hand.is_some() || m.state == State::Unknown);
            if !open {
                self.totals_agree().await?;
                return self.records_agree().await;
            }
            let ends = self.model.messages.values().filter_map(|m| m.hand.as_ref()).map(|hand| hand.ends);
            let look = self.next_look().zip(self.model.gate_opens()).map(|(look, gate)| look.max(gate));
            let next = self.model.next_instant().into_iter().chain(ends).chain(look).min();
            // The reaper looks within a second for a message that passed its time in a worker's hand.
            let past = self.model.messages.values().any(|m| m.waits() && m.is_past(self.model.now));
            let next = next.or(past.then_some(self.model.now + 1_000));
            self.move_to(next.ok_or("STALL: messages wait and nothing will ever happen")?);
        }
        Err("STALL: the history does not come to its end".to_owned())
    }
}
