//! Why a message or a lane isn't moving.

use redis::Value;

use super::{
    RedisStore,
    scripts::{bytes, number, text, unreadable},
};
use crate::{
    calls::Gate,
    explain::{Busy, Explained, LaneFacts, MOST_COUNTED, Place, SCHEDULE_PAGE, SCHEDULE_PAGES, Slot, Stand},
    ids::{LaneId, MessageId},
    message::{Millis, OnUnknown, Priority, State, may_have_arrived},
    plan::Plan,
    store::StoreError,
};

/// The score of a slot whose request is under way; see `lua/lib/begin.lua`.
const IN_USE: Millis = 9_000_000_000_000_000;

impl RedisStore {
    pub(super) async fn explain_lane_facts(&self, lane: &LaneId) -> Result<LaneFacts, StoreError> {
        let mut call = self.prepare(&self.scripts.explain, self.tag_of_lane(lane));
        call.arg("lane").arg(lane.as_str());
        let reply: Vec<Vec<Value>> = self.link.run("explain_lane", &call).await?;
        let [facts, slots] = reply.as_slice() else { return Err(unreadable("explain_lane", "a wrong shape")) };
        lane_facts(facts, slots).ok_or_else(|| unreadable("explain_lane", "a wrong shape"))
    }

    pub(super) async fn explain_message(&self, id: &MessageId) -> Result<Option<Explained>, StoreError> {
        let ask = async |tag: &String| {
            let mut call = self.prepare(&self.scripts.explain, tag);
            call.arg("message").arg(id.as_bytes()).arg(MOST_COUNTED);
            let reply: Vec<Vec<Value>> = self.link.run("explain", &call).await?;
            let [stand, facts, slots] = reply.as_slice() else { return Ok(None) };
            let explained = lane_facts(facts, slots).and_then(|lane| explained(*id, stand, lane));
            let mut explained = explained.ok_or_else(|| unreadable("explain", "a wrong shape"))?;
            if explained.state == State::Scheduled
                && let Stand::Waiting { place, .. } = &mut explained.stand
            {
                self.count_scheduled(tag, id, place).await?;
            }
            Ok(Some(explained))
        };
        self.first_known(self.tags.iter().map(ask)).await
    }

    /// Walks through the schedule from the message towards its head, in steps that hold nobody up.
    async fn count_scheduled(&self, tag: &str, id: &MessageId, place: &mut Place) -> Result<(), StoreError> {
        let mut looked_at = 0;
        for _ in 0..SCHEDULE_PAGES {
            let mut call = self.prepare(&self.scripts.explain, tag);
            call.arg("scheduled").arg(id.as_bytes()).arg(looked_at).arg(SCHEDULE_PAGE);
            let reply: Vec<Value> = self.link.run("explain", &call).await?;
            let Some((seen, dues)) = reply.split_first() else { break };
            let seen = number(seen).unwrap_or(0).max(0) as u64;
            place.due_ahead.extend(dues.iter().filter_map(number));
            looked_at += seen;
            if seen < SCHEDULE_PAGE.into() {
                place.due_ahead.sort_unstable();
                return Ok(());
            }
        }
        place.due_ahead.sort_unstable();
        place.at_least = true;
        Ok(())
    }
}

fn explained(id: MessageId, row: &[Value], lane: LaneFacts) -> Option<Explained> {
    let [state, priority, send_by, stand @ ..] = row else { return None };
    let state = State::from_code(number(state)? as u8)?;
    let stand = match (state, stand) {
        (State::Claimed | State::Sending, [worker, since]) => {
            Stand::InHand { worker: text(worker)?, since: number(since)? }
        }
        (State::Ready | State::Scheduled, [due_at, ahead, below, cut, with, as_what, quiet]) => {
            let with = bytes(with).and_then(|id| id.try_into().ok()).map(MessageId::from_bytes);
            let busy = with.zip(State::from_code(number(as_what)? as u8)).map(|(with, state)| Busy { with, state });
            let place = Place {
                ahead: number(ahead)?.max(0) as u64,
                below: number(below)?.max(0) as u64,
                due_ahead: Vec::new(),
                at_least: number(cut)? == 1,
            };
            Stand::Waiting { due_at: number(due_at)?, quiet: number(quiet)? == 1, place, busy }
        }
        (_, [reason, at, reads, next_look, intent, policy]) => {
            let (reason, at, reads) = (text(reason)?, number(at), number(reads)?.max(0) as u32);
            let policy = OnUnknown::from_code(number(policy)? as u8)?;
            match (state, at) {
                (State::Unknown, Some(since)) => Stand::Unknown { since, reads, next_look: number(next_look) },
                _ => {
                    let may_have_arrived = may_have_arrived(state, policy, number(intent), reads);
                    Stand::Over { at, reason, may_have_arrived }
                }
            }
        }
        _ => return None,
    };
    let priority = Priority::from_code(number(priority)? as u8)?;
    Some(Explained { id, state, priority, send_by: number(send_by).filter(|at| *at > 0), stand, lane })
}

fn lane_facts(row: &[Value], slots: &[Value]) -> Option<LaneFacts> {
    let [name, now, limit, window, penalty, probe, paused, parked, in_flight, cap, rest @ ..] = row else {
        return None;
    };
    let [high, normal, low, due, stopped, reason, until, workers] = rest else { return None };
    let length = |value: &Value| Some(number(value)?.max(0) as u64);
    let reason = text(reason)?;
    let gate = match number(until) {
        _ if number(stopped)? == 1 => Gate::Stopped { reason },
        Some(until) => Gate::Until { until, reason },
        None => Gate::Open,
    };
    let slot = |pair: &[Value]| Some(Slot::of(number(pair.first()?)?, number(pair.get(1)?)?, IN_USE));
    Some(LaneFacts {
        lane: text(name)?.parse().ok()?,
        now: number(now)?,
        plan: Plan { limit: number(limit)? as u32, window_ms: number(window)? as u32 },
        slots: slots.chunks(2).map(slot).collect::<Option<_>>()?,
        penalty_until: number(penalty)?,
        probe: number(probe)? == 1,
        paused: number(paused)? == 1,
        parked: text(parked).filter(|reason| !reason.is_empty()),
        in_flight: number(in_flight)?.max(0) as u32,
        cap: number(cap)?.max(0) as u32,
        waiting: [length(high)?, length(normal)?, length(low)?],
        oldest_due: number(due),
        gate,
        workers: number(workers)?.max(0) as u32,
    })
}
