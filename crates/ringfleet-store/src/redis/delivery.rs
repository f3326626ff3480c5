//! Delivery reports of sent messages, lane by lane.

use std::time::Duration;

use redis::Value;

use super::{
    RedisStore, millis,
    scripts::{bytes, number, text, unreadable},
    shards::Round,
};
use crate::{
    delivery::{AwaitedReports, Delivery, Recorded},
    ids::{LaneId, MessageId},
    store::{MAX_BATCH, StoreError},
    words::short,
};

impl RedisStore {
    pub(super) async fn take_deliveries(&self, lanes: u32, lock: Duration) -> Result<Vec<AwaitedReports>, StoreError> {
        let (mut taken, mut round) = (Vec::new(), Round::new(&self.silent));
        for shard in self.delivery_turn.of(self.tags.len()).filter(|shard| !self.silent.rests(*shard)) {
            let left = lanes.saturating_sub(taken.len() as u32);
            if left == 0 || round.has_waited() {
                break;
            }
            taken.extend(round.heard(shard, self.take_deliveries_of(shard, left, lock).await).into_iter().flatten());
        }
        // What was taken is locked, and nobody else's now.
        if taken.is_empty() {
            round.end()?;
        }
        Ok(taken)
    }

    async fn take_deliveries_of(
        &self,
        shard: usize,
        lanes: u32,
        lock: Duration,
    ) -> Result<Vec<AwaitedReports>, StoreError> {
        let mut call = self.prepare(&self.scripts.delivery, &self.tags[shard]);
        call.arg("take").arg(lanes.min(MAX_BATCH as u32)).arg(millis(lock));
        let reply: Vec<Value> = self.link.run("delivery_take", &call).await?;
        let awaited = reply.chunks_exact(3).map(|lane| {
            let (name, since, waiting) = (text(&lane[0])?, number(&lane[1])?, number(&lane[2])?);
            Some(AwaitedReports { lane: name.parse().ok()?, since, waiting: waiting as u32 })
        });
        awaited.collect::<Option<_>>().ok_or_else(|| unreadable("delivery_take", "a wrong shape"))
    }

    pub(super) async fn record_reports(
        &self,
        lane: &LaneId,
        reports: &[Delivery],
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut answers = Vec::with_capacity(reports.len());
        for some in reports.chunks(MAX_BATCH) {
            let mut call = self.prepare(&self.scripts.delivery, self.tag_of_lane(lane));
            call.arg("record").arg(lane.as_str());
            for report in some {
                call.arg(short(&report.provider_id)).arg(u8::from(report.delivered)).arg(short(&report.code));
                call.arg(u8::from(report.opted_out));
            }
            let reply: Vec<Value> = self.link.run("record_delivery", &call).await?;
            let bad = || unreadable("record_delivery", "a wrong shape");
            if reply.len() != some.len() * 2 {
                return Err(bad());
            }
            for pair in reply.chunks_exact(2) {
                answers.push(match number(&pair[0]) {
                    Some(1) => {
                        let id = bytes(&pair[1]).and_then(|id| id.try_into().ok()).ok_or_else(bad)?;
                        Recorded::Done(MessageId::from_bytes(id))
                    }
                    Some(2) => Recorded::Again,
                    Some(3) => Recorded::Late,
                    _ => Recorded::Unknown,
                });
            }
        }
        Ok(answers)
    }
}
