//! Sessions for lanes whose first scheduled message is due soon, so that it is not late by a login. A lane that sends anyway
//! has its session; nothing else is logged in for.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use ringcentral::ExtensionId;
use ringfleet_identity::{Sessions, jittered};
use ringfleet_store::{DueSoon, Gate, LaneId, MAX_BATCH, Millis, StoreError};
use tokio_util::sync::CancellationToken;

/// How far it looks ahead.
const AHEAD: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// A schedule of more than one page is read as a whole so often, its first page each time: all pages each time, by every worker,
/// would be a good part of what the store can do.
const WHOLE: Duration = Duration::from_secs(5);
/// A session is there so long before its message is due, at least; the logins of many lanes are spread over the time before.
const AT_LEAST: Duration = Duration::from_secs(5);
/// Logins of this process at once.
const AT_ONCE: usize = 8;
/// Messages looked at in one round.
const MOST: u32 = 20 * MAX_BATCH as u32;

pub(crate) struct Foresight {
    sessions: Arc<Sessions>,
    outlook: Outlook,
    /// When this process comes to a lane; drawn once for each of its due times.
    turns: HashMap<(LaneId, Millis), Instant>,
}

impl Foresight {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions, outlook: Outlook::default(), turns: HashMap::new() }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(EVERY)) => {}
            }
            if let Err(error) = self.round(&stop).await {
                crate::metrics::store_error("due_soon", &error);
            }
        }
    }

    async fn round(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        let store = self.sessions.store().clone();
        let app = self.sessions.app();
        let page = |skip| {
            let store = &store;
            async move {
                let mut page = store.due_soon(AHEAD, skip).await?;
                page.lanes.retain(|(lane, _)| lane.app() == app);
                Ok(page)
            }
        };
        self.outlook.look(Instant::now(), page).await?;
        if self.outlook.soon.is_empty() {
            self.turns.clear();
            return Ok(());
        }
        if !matches!(store.gate().await?, Gate::Open) {
            return Ok(());
        }
        let now = store.now().await?;
        self.outlook.soon.retain(|_, due| *due > now);
        let in_turn = self.in_turn(now);
        futures::stream::iter(in_turn)
            .take_until(stop.cancelled())
            .for_each_concurrent(AT_ONCE, |(lane, due_in)| self.prepare(lane, due_in))
            .await;
        Ok(())
    }

    /// The lanes whose turn has come and which lack a session, with the time that is left, the soonest first.
    fn in_turn(&mut self, now: Millis) -> Vec<(LaneId, Duration)> {
        let soon = &self.outlook.soon;
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

/// What is due soon, as far as the schedule was read.
#[derive(Default)]
struct Outlook {
    /// Lanes with the time of their first message. One that was cancelled may stand here until the next look at all pages.
    soon: HashMap<LaneId, Millis>,
    /// When all pages are read again; `None` if they were one, which is read each time anyway.
    whole_at: Option<Instant>,
}

impl Outlook {
    async fn look<R>(&mut self, now: Instant, page_after: impl Fn(u32) -> R) -> Result<(), StoreError>
    where
        R: Future<Output = Result<DueSoon, StoreError>>,
    {
        let whole = self.whole_at.is_none_or(|at| at <= now);
        let (mut soon, mut skip) = (HashMap::new(), 0);
        let more = loop {
            let page = page_after(skip).await?;
            for (lane, due) in page.lanes {
                soon.entry(lane).or_insert(due);
            }
            skip += MAX_BATCH as u32;
            if !page.more || !whole || skip >= MOST {
                break page.more;
            }
        };
        if whole {
            let again = now + jittered(WHOLE);
            self.whole_at = (skip > MAX_BATCH as u32).then_some(again);
        }
        if whole || !more {
            self.soon = soon;
        } else {
            self.soon.extend(soon);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
mod tests {
    use std::{cell::Cell, future::ready};

    use ringfleet_store::Group;

    use super::*;

    fn lane(page: u32) -> LaneId {
        LaneId::try_new("main", &format!("10{page}"), Group::Medium).unwrap()
    }

    /// A schedule of so many pages, each of one lane; counts the pages that were read.
    struct Schedule {
        pages: u32,
        read: Cell<u32>,
    }

    impl Schedule {
        fn page_after(&self, skip: u32) -> std::future::Ready<Result<DueSoon, StoreError>> {
            self.read.set(self.read.get() + 1);
            let page = skip / MAX_BATCH as u32;
            let lanes = if page < self.pages { vec![(lane(page), Millis::from(page))] } else { Vec::new() };
            ready(Ok(DueSoon { lanes, more: page + 1 < self.pages }))
        }
    }

    #[tokio::test]
    async fn a_long_schedule_is_read_whole_every_few_seconds_only_and_all_its_lanes_stay_in_sight() {
        const ROUNDS: u32 = 60;
        let long = Schedule { pages: 20, read: Cell::default() };
        let (mut outlook, start) = (Outlook::default(), Instant::now());
        for round in 0..ROUNDS {
            outlook.look(start + EVERY * round, |skip| long.page_after(skip)).await.unwrap();
            assert!((0..20).all(|page| outlook.soon.get(&lane(page)) == Some(&Millis::from(page))), "round {round}");
        }
        let read = long.read.get();
        assert!((ROUNDS..ROUNDS * 20 / 3).contains(&read), "{read} pages in {ROUNDS} rounds");
        // What is gone is forgotten with the next look at all of it, or at once if that is one page.
        let short = Schedule { pages: 1, read: Cell::default() };
        outlook.look(start + EVERY * ROUNDS, |skip| short.page_after(skip)).await.unwrap();
        assert_eq!((outlook.soon.len(), short.read.get()), (1, 1));
    }

    #[tokio::test]
    async fn a_schedule_that_grows_beyond_a_page_is_read_whole_at_once() {
        let (mut outlook, start) = (Outlook::default(), Instant::now());
        for (round, pages) in [0, 1, 3].into_iter().enumerate() {
            let schedule = Schedule { pages, read: Cell::default() };
            outlook.look(start + EVERY * round as u32, |skip| schedule.page_after(skip)).await.unwrap();
            assert_eq!(outlook.soon.len(), pages as usize);
        }
    }
}
