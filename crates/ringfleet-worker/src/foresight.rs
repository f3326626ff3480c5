//! Sessions for lanes whose first scheduled message is due soon, so that it is not late by a login. A lane that sends anyway
//! has its session; nothing else is logged in for.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use ringcentral::ExtensionId;
use ringfleet_identity::Sessions;
use ringfleet_store::{Gate, LaneId, MAX_BATCH, Millis, StoreError};
use tokio_util::sync::CancellationToken;

/// How far it looks ahead.
const AHEAD: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// A session is there so long before its message is due, at least; the logins of many lanes are spread over the time before.
const AT_LEAST: Duration = Duration::from_secs(5);
/// Logins of this process at once.
const AT_ONCE: usize = 8;
/// Messages looked at in one round.
const MOST: u32 = 20 * MAX_BATCH as u32;

pub(crate) struct Foresight {
    sessions: Arc<Sessions>,
    /// When this process comes to a lane; drawn once for each of its due times.
    turns: HashMap<(LaneId, Millis), Instant>,
}

impl Foresight {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions, turns: HashMap::new() }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY.mul_f64(rand::random_range(0.7..=1.3))) => {}
            }
            if let Err(error) = self.round(&stop).await {
                crate::metrics::store_error("due_soon", &error);
            }
        }
    }

    async fn round(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        let store = self.sessions.store().clone();
        let (mut soon, mut skip) = (HashMap::new(), 0);
        loop {
            let page = store.due_soon(AHEAD, skip).await?;
            for (lane, due) in page.lanes.into_iter().filter(|(lane, _)| lane.app() == self.sessions.app()) {
                soon.entry(lane).or_insert(due);
            }
            skip += MAX_BATCH as u32;
            if !page.more || skip >= MOST {
                break;
            }
        }
        if soon.is_empty() {
            self.turns.clear();
            return Ok(());
        }
        if !matches!(store.gate().await?, Gate::Open) {
            return Ok(());
        }
        let now = store.now().await?;
        let in_turn = self.in_turn(&soon, now);
        futures::stream::iter(in_turn)
            .take_until(stop.cancelled())
            .for_each_concurrent(AT_ONCE, |(lane, due_in)| self.prepare(lane, due_in))
            .await;
        Ok(())
    }

    /// The lanes whose turn has come and which lack a session, with the time that is left, the soonest first.
    fn in_turn(&mut self, soon: &HashMap<LaneId, Millis>, now: Millis) -> Vec<(LaneId, Duration)> {
        self.turns.retain(|(lane, due), _| soon.get(lane) == Some(due));
        let mut in_turn = Vec::new();
        for (lane, due) in soon {
            let due_in = Duration::from_millis((due - now).max(0).unsigned_abs());
            let spread = due_in.saturating_sub(AT_LEAST);
            let turn = self.turns.entry((lane.clone(), *due));
            let turn = turn.or_insert_with(|| Instant::now() + spread.mul_f64(rand::random()));
            if *turn <= Instant::now() && !self.sessions.is_prepared(lane.extension(), due_in) {
                in_turn.push((lane.clone(), due_in));
            }
        }
        in_turn.sort_by_key(|(_, due_in)| *due_in);
        in_turn
    }

    async fn prepare(&self, lane: LaneId, due_in: Duration) {
        let Ok(extension) = ExtensionId::try_new(lane.extension()) else { return };
        // What waits already comes first; this one logs in when it is due.
        let wanted = async {
            let view = self.sessions.store().lane(&lane).await?;
            Ok::<_, StoreError>(!view.paused && view.parked.is_none() && self.sessions.may_prepare().await?)
        };
        match wanted.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return crate::metrics::store_error("lane", &error),
        }
        if let Err(error) = self.sessions.prepare(&extension, due_in).await {
            // Its message will tell.
            tracing::debug!(extension.id = extension.as_str(), ?error, "no session ahead of time");
        }
    }
}
