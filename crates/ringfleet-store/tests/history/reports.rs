//! The provider's word on the delivery of texts, repeated, late, contradictory, or of texts that are not ours.

use ringfleet_store::{Delivery, LaneId, OptOut, Recorded};

use crate::{
    ops::{Told, ToldOf},
    run::{Run, Verdict, ms, same},
};

impl Run<'_> {
    pub(crate) async fn take_deliveries(&mut self, lanes: u32, lock_ms: i64) -> Verdict {
        let taken = self.subject.store.delivery_take(lanes, ms(lock_ms)).await.unwrap();
        let taken: Vec<_> = taken.into_iter().map(|one| (one.lane, one.since, one.waiting)).collect();
        same("delivery_take", taken, self.model.delivery_take(lanes as usize, lock_ms))
    }

    fn report(&self, lane: &LaneId, told: &Told) -> Delivery {
        let lane = &self.model.lanes[lane];
        let waiting: Vec<_> = lane.awaited.keys().collect();
        let ever: Vec<_> = lane.told.keys().chain(lane.credits.keys()).collect();
        let provider_id = match &told.of {
            ToldOf::Waiting(index) if !waiting.is_empty() => (*index.get(&waiting)).clone(),
            ToldOf::Waiting(index) | ToldOf::Ever(index) if !ever.is_empty() => (*index.get(&ever)).clone(),
            _ => "not ours".to_owned(),
        };
        let code = if told.delivered { "" } else { "SMS-CAR-411" };
        Delivery { provider_id, delivered: told.delivered, code: code.to_owned(), opted_out: told.opted_out }
    }

    pub(crate) async fn tell_deliveries(&mut self, lane: usize, told: &[Told]) -> Verdict {
        let lane = self.lanes[lane].clone();
        let reports: Vec<_> = told.iter().map(|told| self.report(&lane, told)).collect();
        let answers = self.subject.store.record_delivery(&lane, &reports).await.unwrap();
        let expected: Vec<Recorded> = reports.iter().map(|report| self.model.record_delivery(&lane, report)).collect();
        self.model.index_reports(&lane);
        for (report, recorded) in reports.iter().zip(&expected) {
            if let Recorded::Done(id) = recorded
                && report.opted_out
            {
                let new = &self.model.messages[id].new;
                let change = OptOut { from: new.from.clone(), to: new.to.clone(), out: true };
                self.witness.opts_out(Some(lane.extension()), &change, None, self.model.now);
            }
        }
        same("record_delivery", answers, expected)
    }
}
