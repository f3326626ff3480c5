//! What becomes of a text after it was sent.

use ringfleet_store::{Delivery, DeliveryReport, LaneId, LeaseToken, MessageId, Millis, OptOut, Recorded, State};

use super::Model;

const FIRST_LOOK: Millis = 30_000;
const HOUR: Millis = 3_600_000;

impl Model {
    pub(crate) fn report_wait(&self) -> Millis {
        self.rules.delivery_wait.as_millis() as Millis
    }

    pub(super) fn await_report(&mut self, id: &MessageId, provider_id: &str, token: LeaseToken) {
        if self.report_wait() == 0 {
            return;
        }
        let m = &self.messages[id];
        let claimed = self.claimed[&token];
        let since = m.intent.map_or(claimed, |intent| intent.min(claimed));
        let (lane, now) = (m.new.lane.clone(), self.now);
        let lane = self.lane(&lane);
        lane.awaited.insert(provider_id.to_owned(), (*id, since));
        let soon = lane.reports_locked.max(now + FIRST_LOOK);
        lane.report_look = Some(lane.report_look.map_or(soon, |look| look.min(soon)));
    }

    pub(crate) fn delivery_take(&mut self, lanes: usize, lock_ms: Millis) -> Vec<(LaneId, Millis, u32)> {
        let (now, too_old) = (self.now, self.now - self.report_wait());
        let due = self.lanes.iter().filter_map(|(id, lane)| Some((lane.report_look?, id.clone())));
        let mut due: Vec<_> = due.filter(|(look, _)| *look <= now).collect();
        due.sort();
        let mut taken = Vec::new();
        for (_, id) in due.into_iter().take(lanes) {
            let lane = self.lane(&id);
            let open: Vec<_> =
                lane.awaited.values().map(|(_, since)| *since).filter(|since| *since > too_old).collect();
            let (Some(first), Some(last)) = (open.iter().min(), open.iter().max()) else {
                lane.report_look = None;
                continue;
            };
            let pause = (now - last).clamp(FIRST_LOOK, HOUR);
            (lane.report_look, lane.reports_locked) = (Some(now + pause.max(lock_ms)), now + lock_ms);
            taken.push((id, *first, open.len() as u32));
        }
        taken
    }

    pub(crate) fn record_delivery(&mut self, lane: &LaneId, report: &Delivery) -> Recorded {
        let (now, too_old) = (self.now, self.now - self.report_wait());
        let l = self.lane(lane);
        let Some((id, since)) = l.awaited.get(&report.provider_id).copied() else {
            let told = l.told.get(&report.provider_id).is_some_and(|at| *at > now - HOUR);
            return if told { Recorded::Again } else { Recorded::Unknown };
        };
        if since <= too_old {
            return Recorded::Late;
        }
        l.awaited.remove(&report.provider_id);
        let ours = |m: &&mut super::Message| {
            m.state == State::Sent && m.new.lane == *lane && m.provider_id.as_ref() == Some(&report.provider_id)
        };
        let Some(m) = self.messages.get_mut(&id).filter(ours) else { return Recorded::Unknown };
        m.state = if report.delivered { State::Delivered } else { State::DeliveryFailed };
        m.delivery = Some(DeliveryReport { code: report.code.clone(), at: now });
        let new = (report.opted_out && !m.new.to.expose().is_empty()).then(|| m.new.clone());
        self.lane(lane).told.insert(report.provider_id.clone(), now);
        if let Some(new) = new {
            self.set_opt_out(Some(lane.extension()), &OptOut { from: new.from, to: new.to, out: true }, None);
        }
        Recorded::Done(id)
    }

    /// After reports of a lane were told.
    pub(crate) fn index_reports(&mut self, lane: &LaneId) {
        let lane = self.lane(lane);
        if lane.awaited.is_empty() {
            lane.report_look = None;
        }
    }

    /// Forgets reports that did not come in their time; how many.
    pub(crate) fn reap_reports(&mut self, limit: usize) -> u32 {
        let too_old = self.now - self.report_wait();
        let oldest = |(id, lane): (&LaneId, &super::Lane)| {
            Some((lane.awaited.values().map(|(_, since)| *since).min()?, id.clone()))
        };
        let mut lanes: Vec<_> = self.lanes.iter().filter_map(oldest).filter(|(since, _)| *since <= too_old).collect();
        lanes.sort();
        let mut left = limit;
        for (_, id) in lanes.into_iter().take(limit) {
            let lane = self.lane(&id);
            let mut old: Vec<_> = lane.awaited.iter().map(|(text, (_, since))| (*since, text.clone())).collect();
            old.retain(|(since, _)| *since <= too_old);
            old.sort();
            for (_, text) in old.into_iter().take(left) {
                lane.awaited.remove(&text);
                left -= 1;
            }
            self.index_reports(&id);
            if left == 0 {
                break;
            }
        }
        (limit - left) as u32
    }
}
